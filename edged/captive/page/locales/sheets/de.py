# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the resident's key sheet in German. Pure data; the keys are those of ``en``."""

from __future__ import annotations

TEXTS = {
    "title": "Ihr WLAN zu Hause",
    "network": "Netz",
    "key": "Schlüssel",
    "small": "Alle Buchstaben sind klein.",
    "capitals": "Alle Buchstaben sind groß.",
    "mixed": "Groß- und Kleinschreibung zählt.",
    "dashes": "Auch die Striche eingeben.",
    "signs": "Alle Zeichen eingeben.",
    "space": "Ein Kästchen steht für ein Leerzeichen.",
    "long": "Es ist ein einziges Wort: ohne Lücke eingeben.",
    "clear": "Der Schlüssel enthält kein o, l, i, 0 und keine 1.",
    "scan": "Handykamera hierauf richten",
    "code": "QR-Code für das Netz {ssid}",
    "own": "Dieser Schlüssel gehört allein zu Ihrer Wohnung.",
    "from": "Gilt ab {date}.",
    "until": "Gilt bis {date}.",
    "old": "Ihr bisheriger Schlüssel gilt noch bis {date}.",
    "phone": "Handy oder Tablet",
    "phone.how": "Den Code scannen und auf Verbinden tippen.",
    "computer": "Computer",
    "computer.how": "{ssid} wählen und den Schlüssel einmal eingeben.",
    "screen": "Fernseher, Konsole",
    "screen.how": "Einstellungen, dann Netzwerk öffnen, dieses Netz wählen und den Schlüssel eingeben.",
    "thing": "Kamera, Steckdose",
    "thing.how": "Mit der App des Geräts, während das Handy mit diesem Netz verbunden ist.",
    "hidden": "Das Netz zeigt sich nicht: Anderes Netz wählen und den Namen eingeben.",
    "address": (
        "Schalten Sie für dieses Netz auf jedem Gerät die private oder zufällige WLAN-Adresse aus: wir erkennen "
        "Ihre Geräte an der eigenen Adresse."
    ),
    "registered": "Der Schlüssel gilt für die dafür eingetragenen Geräte. Sagen Sie uns, wenn ein neues dazukommt.",
    "wrong": "Es heißt: falsches Passwort?",
    "wrong.how": "Vergleichen Sie jedes Zeichen mit diesem Blatt.",
    "help": "Fragen, oder ein neuer Schlüssel?",
    "help.call": "Rufen Sie an: {phone}.",
    "help.link": "Ihr Konto: {link}",
    "keep": "Behalten Sie dieses Blatt für sich: Wer den Schlüssel hat, kann Ihr WLAN nutzen.",
    "back": "Deutsch auf der Rückseite",
    "printed": "Gedruckt am {date}",
    "number": "Schlüsselnummer {id}",
    "fold": "Hier falten",
    "card": "Den Code mit dem Handy scannen, oder das Netz wählen und den Schlüssel eingeben.",
    "list": "Schlüssel zum Verteilen",
    "list.unit": "Wohnung",
    "list.site": "Standort",
    "list.number": "Schlüsselnummer",
    "list.given": "Übergeben am",
}

COUNTED = {
    "limit": (
        "Gilt für {count} Gerät.",
        "Gilt für bis zu {count} Geräte.",
    ),
    "list.count": (
        "{count} Schlüssel",
        "{count} Schlüssel",
    ),
}
