# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in French. Pure data; the keys are those of ``en``."""

from __future__ import annotations

NAME = "Français"
DIRECTION = "ltr"
MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)
WEEKDAYS = (
    "lundi",
    "mardi",
    "mercredi",
    "jeudi",
    "vendredi",
    "samedi",
    "dimanche",
)
"""Monday first."""

TEXTS = {
    "chip.blocked": "En pause",
    "chip.notice": "Rappel",
    "chip.pass": "Ouvert un moment",
    "chip.drain": "En ligne",
    "chip.open": "En ligne",
    "chip.stranger": "Hors de cette ligne",
    "chip.missing": "Introuvable",
    "blocked.title": "Votre internet est en pause",
    "blocked.text": ("Le service de cette ligne est en pause. Ouvrez votre compte pour voir pourquoi et que faire."),
    "blocked.button": "Voir que faire",
    "blocked.unpaid.title": "Votre internet est en pause",
    "blocked.unpaid.text": (
        "Un paiement de votre compte est ouvert. Une fois réglé, internet revient tout seul, en "
        "général en moins d'une minute."
    ),
    "blocked.unpaid.text.known": (
        "{amount} était à payer le {date}. Une fois réglé, internet revient tout seul, en général"
        " en moins d'une minute."
    ),
    "blocked.unpaid.button": "Voir ce qui est dû",
    "blocked.new.title": "Terminons l'installation de votre ligne",
    "blocked.new.text": (
        "Cette connexion fonctionne mais n'est pas encore enregistrée. Cela prend environ deux minutes."
    ),
    "blocked.new.button": "Enregistrer cette ligne",
    "blocked.quota.title": "Les données du mois sont épuisées",
    "blocked.quota.text": (
        "Les données de votre forfait sont épuisées pour le moment. Vous pouvez en ajouter ou "
        "attendre la nouvelle période."
    ),
    "blocked.quota.button": "Ajouter des données",
    "blocked.abuse.title": "Votre ligne est en pause pour vous protéger",
    "blocked.abuse.text": (
        "Un appareil chez vous envoie un trafic nuisible. C'est souvent un ordinateur ou une "
        "caméra infectés, et leur propriétaire l'ignore en général."
    ),
    "blocked.abuse.button": "Comment y remédier",
    "blocked.disabled.title": "Cette connexion est désactivée",
    "blocked.disabled.text": (
        "Le service est terminé ou suspendu ici. Vous pouvez le reprendre ou en commencer un nouveau."
    ),
    "blocked.disabled.button": "Nous contacter",
    "notice.title": "Un rappel : votre internet fonctionne",
    "notice.text": "Un paiement de votre compte est ouvert. S'il le reste, la ligne sera mise en pause.",
    "notice.text.known": "{amount} est à payer le {date}. Sans paiement, la ligne sera mise en pause.",
    "notice.button": "Voir ce qui est dû",
    "notice.seen": "Continuer",
    "notice.later": "Me le rappeler plus tard",
    "pass.title": "Internet est ouvert pour un moment",
    "pass.text": (
        "Vous avez le temps de payer ou de nous appeler. Les contrôles de carte et les applis de banque fonctionnent."
    ),
    "pass.button": "Voir ce qui est dû",
    "drain.title": "Internet est revenu",
    "drain.text": "Merci. Si une page ne s'ouvre pas encore, fermez cette fenêtre et ouvrez-la de nouveau.",
    "open.title": "Votre internet fonctionne",
    "open.text": "Il n'y a rien à faire ici. Si une page ne s'ouvre pas, attendez une minute et réessayez.",
    "stranger.title": "Cette page n'a rien pour cet appareil",
    "stranger.text": "Vous n'êtes pas sur une ligne de {name}, ou elle n'est pas en pause.",
    "missing.title": "Cette page n'existe pas",
    "missing.text": "L'adresse est peut-être ancienne ou incomplète.",
    "missing.button": "Aller au début",
    "pay": "Payer",
    "pay.amount": "Payer {amount}",
    "opens": "Ouvre {host}",
    "check": "J'ai payé : vérifier",
    "again": "Vérifier à nouveau",
    "pass.start": "Ouvrir internet {minutes} min pour payer",
    "pass.left": "Restant aujourd'hui : {count}",
    "outcome.check": (
        "Nous cherchons votre paiement. Dès son arrivée, internet revient tout seul. Un virement "
        "peut prendre jusqu'au prochain jour ouvré."
    ),
    "outcome.pass-used": (
        "Les ouvertures du jour sont utilisées. Vous pourrez rouvrir la ligne demain. Payer "
        "depuis un téléphone en données mobiles marche toujours."
    ),
    "outcome.seen": "Merci. Votre internet fonctionne comme avant.",
    "outcome.later": "Nous vous le rappellerons plus tard. Votre internet fonctionne comme avant.",
    "fact.amount": "Montant",
    "fact.due": "Échéance",
    "fact.name": "Nom",
    "fact.customer": "Numéro de client",
    "fact.minutes": "Minutes restantes",
    "help.title": "Besoin d'aide ou de temps ?",
    "help.text": (
        "Appelez le numéro de votre facture. Nous pouvons regarder le compte ensemble et convenir de ce qui vous va."
    ),
    "help.disabled": ("Appelez le numéro de votre facture. Nous vous en dirons plus et vous aiderons à reprendre."),
    "real.title": "Cette page vient-elle bien de nous ?",
    "real.text": (
        "Tapez {host} dans un navigateur : vous verrez cette page. Elle ne demande jamais de carte ni de mot de passe."
    ),
    "browser": "Pour continuer dans votre navigateur, ouvrez {host}",
    "languages": "Langues",
    "date": "{weekday} {day} {month} {year}",
}
