# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the resident's key sheet in French. Pure data; the keys are those of ``en``."""

from __future__ import annotations

TEXTS = {
    "title": "Le Wi-Fi de votre logement",
    "network": "Réseau",
    "key": "Clé",
    "small": "Toutes les lettres sont des minuscules.",
    "capitals": "Toutes les lettres sont des majuscules.",
    "mixed": "Majuscules et minuscules sont différentes.",
    "dashes": "Tapez aussi les tirets.",
    "signs": "Tapez tous les signes.",
    "space": "Un cadre représente une espace.",
    "long": "C'est un seul mot : tapez-le sans coupure.",
    "clear": "La clé ne contient ni o, l, i, 0, ni 1.",
    "scan": "Visez ici avec l'appareil photo d'un téléphone",
    "code": "Code QR pour rejoindre {ssid}",
    "own": "Cette clé est réservée à votre logement.",
    "from": "Valable à partir du {date}.",
    "until": "Valable jusqu'au {date}.",
    "old": "La clé que vous aviez avant fonctionne jusqu'au {date}.",
    "phone": "Téléphone ou tablette",
    "phone.how": "Scannez le code et touchez Rejoindre.",
    "computer": "Ordinateur",
    "computer.how": "Choisissez {ssid} et tapez la clé une fois.",
    "screen": "Télévision, console",
    "screen.how": "Ouvrez Paramètres, puis Réseau, choisissez ce réseau et tapez la clé.",
    "thing": "Caméra, prise",
    "thing.how": "Utilisez son application avec le téléphone connecté à ce réseau.",
    "hidden": "Le réseau ne s'affiche pas : choisissez Autre réseau et tapez son nom.",
    "address": (
        "Désactivez l'adresse Wi-Fi privée ou aléatoire pour ce réseau sur chacun de vos appareils : nous les "
        "reconnaissons à leur propre adresse."
    ),
    "registered": (
        "La clé fonctionne sur les appareils enregistrés pour elle. Dites-le-nous quand vous en avez un nouveau."
    ),
    "wrong": "Il indique mot de passe incorrect ?",
    "wrong.how": "Comparez chaque signe avec cette feuille.",
    "help": "Des questions, ou une nouvelle clé ?",
    "help.call": "Appelez le {phone}.",
    "help.link": "Votre compte : {link}",
    "keep": "Gardez cette feuille pour vous : qui a la clé peut utiliser votre Wi-Fi.",
    "back": "Français au verso",
    "printed": "Imprimé le {date}",
    "number": "Clé numéro {id}",
    "fold": "Plier ici",
    "card": "Scannez le code avec un téléphone, ou choisissez le réseau et tapez la clé.",
    "list": "Clés à remettre",
    "list.unit": "Logement",
    "list.site": "Site",
    "list.number": "Numéro de clé",
    "list.given": "Remise le",
}

COUNTED = {
    "limit": (
        "Valable pour {count} appareil.",
        "Valable pour {count} appareils au plus.",
    ),
    "list.count": (
        "{count} clé",
        "{count} clés",
    ),
}
