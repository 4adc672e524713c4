# SPDX-License-Identifier: Apache-2.0
"""The built-in texts of the page in English. Pure data; the keys are those of ``en``."""

from __future__ import annotations

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
    "blocked.title": "Your internet is paused",
    "blocked.text": "The service on this line is paused. Sign in to see why and what to do next.",
    "blocked.button": "See what to do",
    "blocked.unpaid.title": "Your internet is paused",
    "blocked.unpaid.text": (
        "A payment on your account is open. When it is paid, the internet comes back by itself, "
        "usually within a minute."
    ),
    "blocked.unpaid.text.known": (
        "{amount} was due on {date}. When it is paid, the internet comes back by itself, usually within a minute."
    ),
    "blocked.unpaid.button": "See what is due",
    "blocked.new.title": "Let us finish setting up your line",
    "blocked.new.text": "This connection works but is not registered yet. It takes about two minutes.",
    "blocked.new.button": "Register this line",
    "blocked.quota.title": "This month's data is used up",
    "blocked.quota.text": (
        "The data of your plan is used up for now. You can add more, or wait until it starts again."
    ),
    "blocked.quota.button": "Add data",
    "blocked.abuse.title": "We paused your line to protect you",
    "blocked.abuse.text": (
        "A device in your home is sending harmful traffic. It is often an infected computer or "
        "camera, and usually its owner does not know."
    ),
    "blocked.abuse.button": "How to fix it",
    "blocked.disabled.title": "This connection is switched off",
    "blocked.disabled.text": ("The service here ended or was put on hold. You can start it again, or start a new one."),
    "blocked.disabled.button": "Contact us",
    "notice.title": "A reminder, your internet works",
    "notice.text": "A payment on your account is open. If it stays open, the line will be paused.",
    "notice.text.known": "{amount} is due on {date}. If it stays open, the line will be paused.",
    "notice.button": "See what is due",
    "notice.seen": "Continue",
    "notice.later": "Remind me later",
    "pass.title": "The internet is open for a while",
    "pass.text": "You have time to pay or to call us. Card checks and bank apps work.",
    "pass.button": "See what is due",
    "drain.title": "You are back online",
    "drain.text": "Thank you. If a page still does not load, close this window and open it again.",
    "open.title": "Your internet works",
    "open.text": "There is nothing to do here. If a page does not load, wait a minute and open it again.",
    "stranger.title": "This page has nothing for this device",
    "stranger.text": "You are not on a line of {name}, or it is not paused.",
    "missing.title": "There is no such page",
    "missing.text": "The address may be old or not complete.",
    "missing.button": "Go to the start",
    "pay": "Pay",
    "pay.amount": "Pay {amount}",
    "opens": "Opens {host}",
    "check": "I have paid: check now",
    "again": "Look again",
    "pass.start": "Open the internet for {minutes} min to pay",
    "pass.left": "Left today: {count}",
    "outcome.check": (
        "We are asking for your payment. When it has arrived, the internet comes back by itself. "
        "Bank transfers can take until the next working day."
    ),
    "outcome.pass-used": (
        "Today's openings are used. You can open the line again tomorrow. Paying from a phone on "
        "mobile data works at any time."
    ),
    "outcome.seen": "Thank you. Your internet works as before.",
    "outcome.later": "We will remind you later. Your internet works as before.",
    "fact.amount": "Amount",
    "fact.due": "Due",
    "fact.name": "Name",
    "fact.customer": "Customer number",
    "fact.minutes": "Minutes left",
    "help.title": "Need help or more time?",
    "help.text": (
        "Call the number on your invoice. We can look at the account together and agree on what works for you."
    ),
    "help.disabled": "Call the number on your invoice. We can tell you more and help you start again.",
    "real.title": "Is this page really from us?",
    "real.text": (
        "Type {host} into a browser yourself: you will see this page. It never asks for a card or a password."
    ),
    "browser": "To go on in your browser, open {host}",
    "languages": "Languages",
    "date": "{weekday}, {day} {month} {year}",
}
