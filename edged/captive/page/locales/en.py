# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in English. Pure data; the keys are those of ``en``."""

from __future__ import annotations

from edged.captive.page.locales.money import Money

NAME = "English"
DIRECTION = "ltr"
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
"""Monday first."""

TEXTS = {
    "chip.blocked": "Paused",
    "chip.notice": "Reminder",
    "chip.pass": "Open for a while",
    "chip.drain": "Online",
    "chip.open": "Online",
    "chip.stranger": "Not on this line",
    "chip.missing": "Not found",
    "chip.looking": "Looking",
    "chip.unseen": "Not seen yet",
    "chip.away": "Paused",
    "chip.used-up": "Paused",
    "chip.opening": "Opening",
    "chip.restored": "Online",
    "chip.fault": "A fault on our side",
    "blocked.title": "Your internet is paused",
    "blocked.text": "The service on this line is paused. Sign in to see why and what to do next.",
    "blocked.button": "See what to do",
    "blocked.unpaid.title": "Your internet is paused",
    "blocked.unpaid.text": (
        "A payment on your account is open. When it is paid, the internet comes back by itself, usually "
        "within a minute."
    ),
    "blocked.unpaid.text.known": (
        "{amount} was due on {date}. When it is paid, the internet comes back by itself, usually within a minute."
    ),
    "blocked.unpaid.button": "See what is due",
    "blocked.new.title": "Let us finish setting up your line",
    "blocked.new.button": "Register this line",
    "blocked.quota.title": "This month's data is used up",
    "blocked.quota.text": (
        "The data of your plan is used up for now. You can add more, or wait until it starts again."
    ),
    "blocked.quota.button": "Add data",
    "blocked.abuse.title": "We paused your line to protect you",
    "blocked.abuse.text": (
        "A device in your home is sending harmful traffic. It is often an infected computer or camera, and "
        "usually its owner does not know."
    ),
    "blocked.abuse.button": "How to fix it",
    "blocked.disabled.title": "This connection is switched off",
    "blocked.disabled.text": ("The service here ended or was put on hold. You can start it again, or start a new one."),
    "blocked.disabled.button": "Contact us",
    "blocked.unpaid.text.invoice": (
        "Invoice {invoice} of {amount} was due on {date}. When it is paid, the internet comes back by "
        "itself, usually within a minute."
    ),
    "blocked.new.text": "This connection works but is not registered yet. Register it to use the internet.",
    "notice.title": "A reminder, your internet works",
    "notice.text": "A payment on your account is open. If it stays open, the line will be paused.",
    "notice.text.known": "{amount} is due on {date}. If it stays open, the line will be paused.",
    "notice.button": "See what is due",
    "notice.text.invoice": (
        "Invoice {invoice} of {amount} is due on {date}. If it stays open, the line will be paused."
    ),
    "notice.text.overdue.known": "{amount} was due on {date}. If it stays open, the line will be paused.",
    "notice.text.overdue.invoice": (
        "Invoice {invoice} of {amount} was due on {date}. If it stays open, the line will be paused."
    ),
    "notice.seen": "Continue",
    "notice.later": "Remind me later",
    "pass.text": "You have time to pay or to call us. Card checks and bank apps work.",
    "pass.button": "See what is due",
    "pass.title": "The internet is open for a while",
    "pass.title.until": "The internet is open until {time}",
    "pass.then": "At {time} the line is paused again, unless your payment has arrived by then.",
    "pass.none": "Today's openings are used. You can open the line again in 24 hours at the latest.",
    "used-up.title": "Today's openings are used",
    "used-up.text": (
        "You can open the line again in 24 hours at the latest. Paying from a phone on mobile data works at any time."
    ),
    "used-up.button": "See what is due",
    "looking.title": "We are looking for your payment",
    "looking.text": (
        "When it has arrived, the internet comes back by itself. Bank transfers can take until the next working day."
    ),
    "looking.button": "See what is due",
    "unseen.title": "We cannot see it yet",
    "unseen.text": "Nothing is lost. If your bank shows it as paid, call us and we look for it together.",
    "unseen.button": "See what is due",
    "away.title": "Your internet is paused",
    "away.text": "We cannot look up payments this minute. You can still pay, or call us.",
    "away.button": "See what is due",
    "opening.title": "Your line is being opened",
    "opening.text": "Thank you, your payment has arrived. The internet comes back by itself.",
    "opening.text.pass": "The internet opens by itself in a moment.",
    "restored.title": "You are back online",
    "restored.text": "Thank you. If a page still does not load, close this window and open it again.",
    "restored.button": "Continue",
    "drain.title": "You are back online",
    "drain.text": "Thank you. If a page still does not load, close this window and open it again.",
    "open.title": "Your internet works",
    "open.text": "There is nothing to do here. If a page does not load, wait a minute and open it again.",
    "stranger.title": "This page has nothing for this device",
    "stranger.text": "You are not on a line of {name}, or it is not paused.",
    "stranger.button": "Check my connection",
    "missing.title": "There is no such page",
    "missing.text": "The address may be old or not complete.",
    "missing.button": "Go to the start",
    "fault.title": "This page has a fault",
    "fault.text": "It is on our side. Look again in a minute, or call us.",
    "pay.amount": "Pay {amount}",
    "opens": "Opens {host}",
    "check": "I have paid: check now",
    "again": "Look again",
    "outcome.seen": "Thank you. Your internet works: you can open the page that you wanted.",
    "outcome.later": "We will remind you later. Your internet works: you can open the page that you wanted.",
    "count.title": "Time left",
    "count.over": "The time is over",
    "fact.amount": "Amount",
    "fact.due": "Due",
    "fact.name": "Name",
    "fact.customer": "Customer number",
    "fact.invoice": "Invoice",
    "fact.since": "Paused since",
    "help.title": "Need help or more time?",
    "help.title.plain": "Need help?",
    "help.text": "We can look at the account together and agree on what works for you.",
    "help.text.other": "We can tell you more and help you go on.",
    "help.call": "Call {phone}",
    "help.invoice": "The phone number is on your invoice.",
    "help.ways": "Other ways to pay",
    "help.reference": "Write this with your payment: {invoice}",
    "real.title": "Is this page really from us?",
    "real.text": "Type {host} into a browser yourself: you will see this page.",
    "real.never": "This page never asks for a card or a password.",
    "real.phone": "Compare our phone number with the one on your invoice.",
    "real.staff": "Tell us the page reference {reference} on the phone. We can then tell you which plan you have.",
    "browser.title": "Go on in your browser",
    "browser.text": "If this is a small sign-in window, open your browser and type {host}.",
    "code.text": "On a phone: scan the code, or type this address.",
    "code.label": "QR code of the address {link}",
    "languages": "Languages",
    "foot.reference": "Page reference",
    "foot.at": "Account as of {date}, {time}",
    "date": "{weekday}, {day} {month} {year}",
}

PLURAL = "(n != 1)"
"""Which form of ``COUNTED`` a number takes (CLDR), in the notation of gettext."""
COUNTED = {
    "minutes.left": (
        "{count} minute",
        "{count} minutes",
    ),
    "pass.start": (
        "Open the internet for {count} minute to pay",
        "Open the internet for {count} minutes to pay",
    ),
    "pass.left": (
        "{count} opening left today",
        "{count} openings left today",
    ),
    "remind.minutes": (
        "We remind you again in {count} minute",
        "We remind you again in {count} minutes",
    ),
    "remind.hours": (
        "We remind you again in {count} hour",
        "We remind you again in {count} hours",
    ),
    "remind.days": (
        "We remind you again in {count} day",
        "We remind you again in {count} days",
    ),
}

MONEY = Money(
    decimal=".",
    group=",",
    grouped_from=4,
    pattern="{currency}{amount}",
    symbols={"BRL": "R$", "EUR": "€", "GBP": "£", "USD": "$"},
)
"""Decimal and thousands separator, where the currency stands, and the signs that are plain to every reader (CLDR)."""
