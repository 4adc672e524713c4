# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in German. Pure data; the keys are those of ``en``."""

from __future__ import annotations

NAME = "Deutsch"
DIRECTION = "ltr"
MONTHS = (
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
)
WEEKDAYS = (
    "Montag",
    "Dienstag",
    "Mittwoch",
    "Donnerstag",
    "Freitag",
    "Samstag",
    "Sonntag",
)
"""Monday first."""

TEXTS = {
    "chip.blocked": "Pausiert",
    "chip.notice": "Erinnerung",
    "chip.pass": "Eine Weile offen",
    "chip.drain": "Online",
    "chip.open": "Online",
    "chip.stranger": "Nicht an diesem Anschluss",
    "chip.missing": "Nicht gefunden",
    "blocked.title": "Ihr Internet ist pausiert",
    "blocked.text": (
        "Der Dienst an diesem Anschluss ist pausiert. In Ihrem Konto sehen Sie den Grund und was zu tun ist."
    ),
    "blocked.button": "Was zu tun ist",
    "blocked.unpaid.title": "Ihr Internet ist pausiert",
    "blocked.unpaid.text": (
        "Auf Ihrem Konto ist eine Zahlung offen. Ist sie bezahlt, kommt das Internet von selbst "
        "zurück, meist innerhalb einer Minute."
    ),
    "blocked.unpaid.text.known": (
        "{amount} war am {date} fällig. Ist es bezahlt, kommt das Internet von selbst zurück, "
        "meist innerhalb einer Minute."
    ),
    "blocked.unpaid.button": "Offenen Betrag ansehen",
    "blocked.new.title": "Richten wir Ihren Anschluss fertig ein",
    "blocked.new.text": ("Diese Verbindung funktioniert, ist aber noch nicht angemeldet. Es dauert etwa zwei Minuten."),
    "blocked.new.button": "Anschluss anmelden",
    "blocked.quota.title": "Das Datenvolumen ist aufgebraucht",
    "blocked.quota.text": (
        "Das Volumen Ihres Tarifs ist vorerst aufgebraucht. Sie können mehr buchen oder auf den neuen Zeitraum warten."
    ),
    "blocked.quota.button": "Volumen buchen",
    "blocked.abuse.title": "Pausiert zu Ihrem Schutz",
    "blocked.abuse.text": (
        "Ein Gerät bei Ihnen sendet schädlichen Verkehr. Oft ist es ein befallener Computer oder "
        "eine Kamera, und meist weiß niemand davon."
    ),
    "blocked.abuse.button": "So beheben Sie es",
    "blocked.disabled.title": "Dieser Anschluss ist abgeschaltet",
    "blocked.disabled.text": (
        "Der Dienst hier ist beendet oder ruht. Sie können ihn wieder aufnehmen oder einen neuen beginnen."
    ),
    "blocked.disabled.button": "Kontakt aufnehmen",
    "notice.title": "Eine Erinnerung: Ihr Internet läuft",
    "notice.text": "Auf Ihrem Konto ist eine Zahlung offen. Bleibt sie offen, wird der Anschluss pausiert.",
    "notice.text.known": "{amount} ist am {date} fällig. Bleibt es offen, wird der Anschluss pausiert.",
    "notice.button": "Offenen Betrag ansehen",
    "notice.seen": "Weiter",
    "notice.later": "Später erinnern",
    "pass.title": "Das Internet ist eine Weile offen",
    "pass.text": ("Sie haben Zeit, zu bezahlen oder uns anzurufen. Kartenprüfungen und Bank-Apps funktionieren."),
    "pass.button": "Offenen Betrag ansehen",
    "drain.title": "Sie sind wieder online",
    "drain.text": "Danke. Lädt eine Seite noch nicht, schließen Sie dieses Fenster und öffnen Sie es neu.",
    "open.title": "Ihr Internet läuft",
    "open.text": ("Hier ist nichts zu tun. Lädt eine Seite nicht, warten Sie eine Minute und öffnen Sie sie neu."),
    "stranger.title": "Diese Seite hat nichts für dieses Gerät",
    "stranger.text": "Sie sind an keinem Anschluss von {name}, oder er ist nicht pausiert.",
    "missing.title": "Diese Seite gibt es nicht",
    "missing.text": "Die Adresse ist vielleicht alt oder nicht vollständig.",
    "missing.button": "Zur Startseite",
    "pay": "Bezahlen",
    "pay.amount": "{amount} bezahlen",
    "opens": "Öffnet {host}",
    "check": "Ich habe bezahlt: prüfen",
    "again": "Noch einmal prüfen",
    "pass.start": "Internet {minutes} Min. zum Bezahlen öffnen",
    "pass.left": "Heute noch: {count}",
    "outcome.check": (
        "Wir fragen nach Ihrer Zahlung. Sobald sie da ist, kommt das Internet von selbst zurück. "
        "Eine Überweisung kann bis zum nächsten Werktag dauern."
    ),
    "outcome.pass-used": (
        "Die Öffnungen für heute sind genutzt. Morgen können Sie den Anschluss wieder öffnen. "
        "Bezahlen vom Handy über Mobilfunk geht jederzeit."
    ),
    "outcome.seen": "Danke. Ihr Internet läuft wie zuvor.",
    "outcome.later": "Wir erinnern Sie später. Ihr Internet läuft wie zuvor.",
    "fact.amount": "Betrag",
    "fact.due": "Fällig",
    "fact.name": "Name",
    "fact.customer": "Kundennummer",
    "fact.minutes": "Minuten übrig",
    "help.title": "Hilfe oder mehr Zeit nötig?",
    "help.text": (
        "Rufen Sie die Nummer auf Ihrer Rechnung an. Wir sehen uns das Konto gemeinsam an und "
        "finden, was für Sie passt."
    ),
    "help.disabled": ("Rufen Sie die Nummer auf Ihrer Rechnung an. Wir sagen Ihnen mehr und helfen beim Neustart."),
    "real.title": "Ist diese Seite wirklich von uns?",
    "real.text": (
        "Geben Sie {host} selbst in einen Browser ein: Sie sehen diese Seite. Sie fragt nie nach Karte oder Passwort."
    ),
    "browser": "Um im Browser fortzufahren, öffnen Sie {host}",
    "languages": "Sprachen",
    "date": "{weekday}, {day}. {month} {year}",
}
