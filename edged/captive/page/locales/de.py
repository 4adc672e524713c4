# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in German. Pure data; the keys are those of ``en``."""

from __future__ import annotations

from edged.captive.page.locales.money import Money

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
    "chip.looking": "Wird gesucht",
    "chip.unseen": "Noch nicht da",
    "chip.away": "Pausiert",
    "chip.used-up": "Pausiert",
    "chip.opening": "Wird geöffnet",
    "chip.restored": "Online",
    "chip.fault": "Ein Fehler bei uns",
    "blocked.title": "Ihr Internet ist pausiert",
    "blocked.text": (
        "Der Dienst an diesem Anschluss ist pausiert. In Ihrem Konto sehen Sie den Grund und was zu tun ist."
    ),
    "blocked.button": "Was zu tun ist",
    "blocked.unpaid.title": "Ihr Internet ist pausiert",
    "blocked.unpaid.text": (
        "Auf Ihrem Konto ist eine Zahlung offen. Ist sie bezahlt, kommt das Internet von selbst zurück, "
        "meist innerhalb einer Minute."
    ),
    "blocked.unpaid.text.known": (
        "{amount} war am {date} fällig. Ist es bezahlt, kommt das Internet von selbst zurück, meist "
        "innerhalb einer Minute."
    ),
    "blocked.unpaid.button": "Offenen Betrag ansehen",
    "blocked.new.title": "Richten wir Ihren Anschluss fertig ein",
    "blocked.new.button": "Anschluss anmelden",
    "blocked.quota.title": "Das Datenvolumen ist aufgebraucht",
    "blocked.quota.text": (
        "Das Volumen Ihres Tarifs ist vorerst aufgebraucht. Sie können mehr buchen oder auf den neuen Zeitraum warten."
    ),
    "blocked.quota.button": "Volumen buchen",
    "blocked.abuse.title": "Pausiert zu Ihrem Schutz",
    "blocked.abuse.text": (
        "Ein Gerät bei Ihnen sendet schädlichen Verkehr. Oft ist es ein befallener Computer oder eine "
        "Kamera, und meist weiß niemand davon."
    ),
    "blocked.abuse.button": "So beheben Sie es",
    "blocked.disabled.title": "Dieser Anschluss ist abgeschaltet",
    "blocked.disabled.text": (
        "Der Dienst hier ist beendet oder ruht. Sie können ihn wieder aufnehmen oder einen neuen beginnen."
    ),
    "blocked.disabled.button": "Kontakt aufnehmen",
    "blocked.unpaid.text.invoice": (
        "Die Rechnung {invoice} über {amount} war am {date} fällig. Ist sie bezahlt, kommt das Internet von "
        "selbst zurück, meist innerhalb einer Minute."
    ),
    "blocked.new.text": (
        "Diese Verbindung funktioniert, ist aber noch nicht angemeldet. Melden Sie sie an, um das Internet zu nutzen."
    ),
    "notice.title": "Eine Erinnerung: Ihr Internet läuft",
    "notice.text": "Auf Ihrem Konto ist eine Zahlung offen. Bleibt sie offen, wird der Anschluss pausiert.",
    "notice.text.known": "{amount} ist am {date} fällig. Bleibt es offen, wird der Anschluss pausiert.",
    "notice.button": "Offenen Betrag ansehen",
    "notice.text.invoice": (
        "Die Rechnung {invoice} über {amount} ist am {date} fällig. Bleibt sie offen, wird der Anschluss pausiert."
    ),
    "notice.text.overdue.known": "{amount} war am {date} fällig. Bleibt es offen, wird der Anschluss pausiert.",
    "notice.text.overdue.invoice": (
        "Die Rechnung {invoice} über {amount} war am {date} fällig. Bleibt sie offen, wird der Anschluss pausiert."
    ),
    "notice.seen": "Weiter",
    "notice.later": "Später erinnern",
    "pass.text": "Sie haben Zeit, zu bezahlen oder uns anzurufen. Kartenprüfungen und Bank-Apps funktionieren.",
    "pass.button": "Offenen Betrag ansehen",
    "pass.title": "Das Internet ist eine Weile offen",
    "pass.title.until": "Das Internet ist offen bis {time}",
    "pass.then": "Um {time} wird der Anschluss wieder pausiert, falls Ihre Zahlung bis dahin nicht da ist.",
    "pass.none": (
        "Die Öffnungen für heute sind genutzt. Spätestens in 24 Stunden können Sie den Anschluss wieder öffnen."
    ),
    "used-up.title": "Die Öffnungen für heute sind genutzt",
    "used-up.text": (
        "Spätestens in 24 Stunden können Sie den Anschluss wieder öffnen. "
        "Bezahlen vom Handy über Mobilfunk geht jederzeit."
    ),
    "used-up.button": "Offenen Betrag ansehen",
    "looking.title": "Wir suchen Ihre Zahlung",
    "looking.text": (
        "Sobald sie da ist, kommt das Internet von selbst zurück. Eine Überweisung kann bis zum nächsten "
        "Werktag dauern."
    ),
    "looking.button": "Offenen Betrag ansehen",
    "unseen.title": "Wir sehen sie noch nicht",
    "unseen.text": (
        "Es ist nichts verloren. Zeigt Ihre Bank sie als bezahlt, rufen Sie uns an, und wir suchen sie gemeinsam."
    ),
    "unseen.button": "Offenen Betrag ansehen",
    "away.title": "Ihr Internet ist pausiert",
    "away.text": "Wir können im Moment keine Zahlungen nachsehen. Sie können trotzdem bezahlen oder uns anrufen.",
    "away.button": "Offenen Betrag ansehen",
    "opening.title": "Ihr Anschluss wird geöffnet",
    "opening.text": "Danke, Ihre Zahlung ist da. Das Internet kommt von selbst zurück.",
    "opening.text.pass": "Das Internet öffnet sich gleich von selbst.",
    "restored.title": "Sie sind wieder online",
    "restored.text": "Danke. Lädt eine Seite noch nicht, schließen Sie dieses Fenster und öffnen Sie es neu.",
    "restored.button": "Weiter",
    "drain.title": "Sie sind wieder online",
    "drain.text": "Danke. Lädt eine Seite noch nicht, schließen Sie dieses Fenster und öffnen Sie es neu.",
    "open.title": "Ihr Internet läuft",
    "open.text": "Hier ist nichts zu tun. Lädt eine Seite nicht, warten Sie eine Minute und öffnen Sie sie neu.",
    "stranger.title": "Diese Seite hat nichts für dieses Gerät",
    "stranger.text": "Sie sind an keinem Anschluss von {name}, oder er ist nicht pausiert.",
    "stranger.button": "Meine Verbindung prüfen",
    "missing.title": "Diese Seite gibt es nicht",
    "missing.text": "Die Adresse ist vielleicht alt oder nicht vollständig.",
    "missing.button": "Zur Startseite",
    "fault.title": "Diese Seite hat einen Fehler",
    "fault.text": "Er liegt bei uns. Prüfen Sie in einer Minute noch einmal, oder rufen Sie uns an.",
    "pay.amount": "{amount} bezahlen",
    "opens": "Öffnet {host}",
    "check": "Ich habe bezahlt: prüfen",
    "again": "Noch einmal prüfen",
    "outcome.seen": "Danke. Ihr Internet läuft: Sie können die gewünschte Seite jetzt öffnen.",
    "outcome.later": "Wir erinnern Sie später. Ihr Internet läuft: Sie können die gewünschte Seite jetzt öffnen.",
    "count.title": "Restzeit",
    "count.over": "Die Zeit ist um",
    "fact.amount": "Betrag",
    "fact.due": "Fällig",
    "fact.name": "Name",
    "fact.customer": "Kundennummer",
    "fact.invoice": "Rechnung",
    "fact.since": "Pausiert seit",
    "help.title": "Hilfe oder mehr Zeit nötig?",
    "help.title.plain": "Brauchen Sie Hilfe?",
    "help.text": "Wir sehen uns das Konto gemeinsam an und finden, was für Sie passt.",
    "help.text.other": "Wir sagen Ihnen mehr und helfen Ihnen weiter.",
    "help.call": "Anrufen: {phone}",
    "help.invoice": "Die Telefonnummer steht auf Ihrer Rechnung.",
    "help.ways": "Andere Zahlungswege",
    "help.reference": "Bei der Zahlung bitte angeben: {invoice}",
    "real.title": "Ist diese Seite wirklich von uns?",
    "real.text": "Geben Sie {host} selbst in einen Browser ein: Sie sehen diese Seite.",
    "real.never": "Diese Seite fragt nie nach Karte oder Passwort.",
    "real.phone": "Vergleichen Sie unsere Telefonnummer mit der auf Ihrer Rechnung.",
    "real.staff": (
        "Nennen Sie uns am Telefon die Kennung {reference}. Dann können wir Ihnen sagen, welchen Tarif Sie haben."
    ),
    "browser.title": "Im Browser weitermachen",
    "browser.text": "Ist das hier ein kleines Anmeldefenster, öffnen Sie Ihren Browser und geben Sie {host} ein.",
    "code.text": "Am Handy: den Code scannen oder diese Adresse eingeben.",
    "code.label": "QR-Code der Adresse {link}",
    "languages": "Sprachen",
    "foot.reference": "Kennung der Seite",
    "foot.at": "Kontostand vom {date}, {time}",
    "date": "{weekday}, {day}. {month} {year}",
}

PLURAL = "(n != 1)"
"""Which form of ``COUNTED`` a number takes (CLDR), in the notation of gettext."""
COUNTED = {
    "minutes.left": (
        "{count} Minute",
        "{count} Minuten",
    ),
    "pass.start": (
        "Internet {count} Minute zum Bezahlen öffnen",
        "Internet {count} Minuten zum Bezahlen öffnen",
    ),
    "pass.left": (
        "Heute noch {count} Öffnung",
        "Heute noch {count} Öffnungen",
    ),
    "remind.minutes": (
        "Wir erinnern Sie in {count} Minute wieder",
        "Wir erinnern Sie in {count} Minuten wieder",
    ),
    "remind.hours": (
        "Wir erinnern Sie in {count} Stunde wieder",
        "Wir erinnern Sie in {count} Stunden wieder",
    ),
    "remind.days": (
        "Wir erinnern Sie in {count} Tag wieder",
        "Wir erinnern Sie in {count} Tagen wieder",
    ),
}

MONEY = Money(
    decimal=",",
    group=".",
    grouped_from=4,
    pattern="{amount}\xa0{currency}",
    symbols={"BRL": "R$", "EUR": "€", "GBP": "£", "USD": "$"},
)
"""Decimal and thousands separator, where the currency stands, and the signs that are plain to every reader (CLDR)."""
