# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in French. Pure data; the keys are those of ``en``."""

from __future__ import annotations

from edged.captive.page.locales.money import Money

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
    "chip.looking": "Recherche",
    "chip.unseen": "Pas encore visible",
    "chip.away": "En pause",
    "chip.used-up": "En pause",
    "chip.opening": "Ouverture",
    "chip.restored": "En ligne",
    "chip.fault": "Un défaut chez nous",
    "blocked.title": "Votre internet est en pause",
    "blocked.text": "Le service de cette ligne est en pause. Ouvrez votre compte pour voir pourquoi et que faire.",
    "blocked.button": "Voir que faire",
    "blocked.unpaid.title": "Votre internet est en pause",
    "blocked.unpaid.text": (
        "Un paiement de votre compte est ouvert. Une fois réglé, internet revient tout seul, en général en "
        "moins d'une minute."
    ),
    "blocked.unpaid.text.known": (
        "{amount} était à payer le {date}. Une fois réglé, internet revient tout seul, en général en moins "
        "d'une minute."
    ),
    "blocked.unpaid.button": "Voir ce qui est dû",
    "blocked.new.title": "Terminons l'installation de votre ligne",
    "blocked.new.button": "Enregistrer cette ligne",
    "blocked.quota.title": "Les données du mois sont épuisées",
    "blocked.quota.text": (
        "Les données de votre forfait sont épuisées pour le moment. Vous pouvez en ajouter ou attendre la "
        "nouvelle période."
    ),
    "blocked.quota.button": "Ajouter des données",
    "blocked.abuse.title": "Votre ligne est en pause pour vous protéger",
    "blocked.abuse.text": (
        "Un appareil chez vous envoie un trafic nuisible. C'est souvent un ordinateur ou une caméra "
        "infectés, et leur propriétaire l'ignore en général."
    ),
    "blocked.abuse.button": "Comment y remédier",
    "blocked.disabled.title": "Cette connexion est désactivée",
    "blocked.disabled.text": (
        "Le service est terminé ou suspendu ici. Vous pouvez le reprendre ou en commencer un nouveau."
    ),
    "blocked.disabled.button": "Nous contacter",
    "blocked.unpaid.text.invoice": (
        "La facture {invoice} de {amount} était à payer le {date}. Une fois réglée, internet revient tout "
        "seul, en général en moins d'une minute."
    ),
    "blocked.new.text": (
        "Cette connexion fonctionne mais n'est pas encore enregistrée. Enregistrez-la pour utiliser internet."
    ),
    "notice.title": "Un rappel : votre internet fonctionne",
    "notice.text": "Un paiement de votre compte est ouvert. S'il le reste, la ligne sera mise en pause.",
    "notice.text.known": "{amount} est à payer le {date}. Sans paiement, la ligne sera mise en pause.",
    "notice.button": "Voir ce qui est dû",
    "notice.text.invoice": (
        "La facture {invoice} de {amount} est à payer le {date}. Sans paiement, la ligne sera mise en pause."
    ),
    "notice.text.overdue.known": "{amount} était à payer le {date}. Sans paiement, la ligne sera mise en pause.",
    "notice.text.overdue.invoice": (
        "La facture {invoice} de {amount} était à payer le {date}. Sans paiement, la ligne sera mise en pause."
    ),
    "notice.seen": "Continuer",
    "notice.later": "Me le rappeler plus tard",
    "pass.text": (
        "Vous avez le temps de payer ou de nous appeler. Les contrôles de carte et les applis de banque fonctionnent."
    ),
    "pass.button": "Voir ce qui est dû",
    "pass.title": "Internet est ouvert pour un moment",
    "pass.title.until": "Internet est ouvert jusqu'à {time}",
    "pass.then": "À {time}, la ligne est remise en pause, sauf si votre paiement est arrivé d'ici là.",
    "pass.none": "Les ouvertures du jour sont utilisées. Vous pourrez rouvrir la ligne au plus tard dans 24 heures.",
    "used-up.title": "Les ouvertures du jour sont utilisées",
    "used-up.text": (
        "Vous pourrez rouvrir la ligne au plus tard dans 24 heures. "
        "Payer depuis un téléphone en données mobiles marche toujours."
    ),
    "used-up.button": "Voir ce qui est dû",
    "looking.title": "Nous cherchons votre paiement",
    "looking.text": (
        "Dès son arrivée, internet revient tout seul. Un virement peut prendre jusqu'au prochain jour ouvré."
    ),
    "looking.button": "Voir ce qui est dû",
    "unseen.title": "Nous ne le voyons pas encore",
    "unseen.text": (
        "Rien n'est perdu. Si votre banque l'indique comme payé, appelez-nous et nous le chercherons ensemble."
    ),
    "unseen.button": "Voir ce qui est dû",
    "away.title": "Votre internet est en pause",
    "away.text": (
        "Nous ne pouvons pas consulter les paiements en ce moment. Vous pouvez tout de même payer ou nous appeler."
    ),
    "away.button": "Voir ce qui est dû",
    "opening.title": "Nous ouvrons votre ligne",
    "opening.text": "Merci, votre paiement est arrivé. Internet revient tout seul.",
    "opening.text.pass": "Internet s'ouvre tout seul dans un moment.",
    "restored.title": "Internet est revenu",
    "restored.text": "Merci. Si une page ne s'ouvre pas encore, fermez cette fenêtre et ouvrez-la de nouveau.",
    "restored.button": "Continuer",
    "drain.title": "Internet est revenu",
    "drain.text": "Merci. Si une page ne s'ouvre pas encore, fermez cette fenêtre et ouvrez-la de nouveau.",
    "open.title": "Votre internet fonctionne",
    "open.text": "Il n'y a rien à faire ici. Si une page ne s'ouvre pas, attendez une minute et réessayez.",
    "stranger.title": "Cette page n'a rien pour cet appareil",
    "stranger.text": "Vous n'êtes pas sur une ligne de {name}, ou elle n'est pas en pause.",
    "stranger.button": "Vérifier ma connexion",
    "missing.title": "Cette page n'existe pas",
    "missing.text": "L'adresse est peut-être ancienne ou incomplète.",
    "missing.button": "Aller au début",
    "fault.title": "Cette page a un défaut",
    "fault.text": "Cela vient de nous. Vérifiez à nouveau dans une minute, ou appelez-nous.",
    "pay.amount": "Payer {amount}",
    "opens": "Ouvre {host}",
    "check": "J'ai payé : vérifier",
    "again": "Vérifier à nouveau",
    "outcome.seen": "Merci. Votre internet fonctionne : vous pouvez ouvrir la page que vous vouliez.",
    "outcome.later": (
        "Nous vous le rappellerons plus tard. Votre internet fonctionne : vous pouvez ouvrir la page que vous vouliez."
    ),
    "count.title": "Temps restant",
    "count.over": "Le temps est écoulé",
    "fact.amount": "Montant",
    "fact.due": "Échéance",
    "fact.name": "Nom",
    "fact.customer": "Numéro de client",
    "fact.invoice": "Facture",
    "fact.since": "En pause depuis",
    "help.title": "Besoin d'aide ou de temps ?",
    "help.title.plain": "Besoin d'aide ?",
    "help.text": "Nous pouvons regarder le compte ensemble et convenir de ce qui vous va.",
    "help.text.other": "Nous vous en dirons plus et vous aiderons à continuer.",
    "help.call": "Appeler le {phone}",
    "help.invoice": "Le numéro de téléphone est sur votre facture.",
    "help.ways": "Autres moyens de payer",
    "help.reference": "À écrire avec votre paiement : {invoice}",
    "real.title": "Cette page vient-elle bien de nous ?",
    "real.text": "Tapez {host} dans un navigateur : vous verrez cette page.",
    "real.never": "Cette page ne demande jamais de carte ni de mot de passe.",
    "real.phone": "Comparez notre numéro de téléphone avec celui de votre facture.",
    "real.staff": (
        "Donnez-nous au téléphone la référence {reference}. Nous pourrons alors vous dire quel est votre forfait."
    ),
    "browser.title": "Continuer dans votre navigateur",
    "browser.text": "Si ceci est une petite fenêtre de connexion, ouvrez votre navigateur et tapez {host}.",
    "code.text": "Sur un téléphone : scannez le code ou tapez cette adresse.",
    "code.label": "Code QR de l'adresse {link}",
    "languages": "Langues",
    "foot.reference": "Référence de la page",
    "foot.at": "Compte au {date}, {time}",
    "date": "{weekday} {day} {month} {year}",
}

PLURAL = "(n > 1)"
"""Which form of ``COUNTED`` a number takes (CLDR), in the notation of gettext."""
COUNTED = {
    "minutes.left": (
        "{count} minute",
        "{count} minutes",
    ),
    "pass.start": (
        "Ouvrir internet {count} minute pour payer",
        "Ouvrir internet {count} minutes pour payer",
    ),
    "pass.left": (
        "{count} ouverture restante aujourd'hui",
        "{count} ouvertures restantes aujourd'hui",
    ),
    "remind.minutes": (
        "Nous vous le rappelons dans {count} minute",
        "Nous vous le rappelons dans {count} minutes",
    ),
    "remind.hours": (
        "Nous vous le rappelons dans {count} heure",
        "Nous vous le rappelons dans {count} heures",
    ),
    "remind.days": (
        "Nous vous le rappelons dans {count} jour",
        "Nous vous le rappelons dans {count} jours",
    ),
}

MONEY = Money(
    decimal=",",
    group="\u202f",
    grouped_from=4,
    pattern="{amount}\xa0{currency}",
    symbols={"BRL": "R$", "EUR": "€", "GBP": "£GB", "USD": "$US"},
)
"""Decimal and thousands separator, where the currency stands, and the signs that are plain to every reader (CLDR)."""
