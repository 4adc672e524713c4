# SPDX-License-Identifier: Apache-2.0
"""Days, times, sums and numbers in, text as a language writes it out. Pure; the time zone is passed in.

CLDR is the source of the rules; they are data in ``locales/``.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from gettext import c2py

from edged.captive.page.locales import LOCALES, Locale
from edged.model import Account

_PLAIN = re.compile(r"(\d{1,12})(?:\.(\d{1,3}))?")
"""A sum that can be written anew without changing what it says."""
_plural = cache(c2py)


def long_date(iso: str, locale: Locale) -> str:
    """An ISO 8601 date with the month in letters; unchanged when it is none."""
    try:
        day = date.fromisoformat(iso[:10])
    except ValueError:
        return iso
    return _written_out(day, locale)


def is_past(iso: str, moment: float, zone: tzinfo | None) -> bool:
    """True when the day of an ISO 8601 date is over at ``moment`` (epoch seconds); False when it is no date."""
    try:
        return date.fromisoformat(iso[:10]) < _local(moment, zone).date()
    except ValueError:
        return False


def _written_out(day: date, locale: Locale) -> str:
    pattern = locale.texts.get("date", LOCALES["en"].texts["date"])
    return pattern.format(
        weekday=locale.weekdays[day.weekday()], day=day.day, month=locale.months[day.month - 1], year=day.year
    )


def day_of(moment: float, locale: Locale, zone: tzinfo | None) -> str:
    """The day of ``moment`` (epoch seconds), written out. ``zone``: None for that of this host."""
    return _written_out(_local(moment, zone).date(), locale)


def time_of(moment: float, zone: tzinfo | None) -> str:
    """The time of ``moment`` (epoch seconds) as ``18:45``, with the zone's name where that is UTC."""
    local = _local(moment, zone)
    # a router's clock is often set to UTC: without a word a reader would take it for their own
    return f"{local:%H:%M} UTC" if local.tzname() == "UTC" else f"{local:%H:%M}"


def _local(moment: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone)


def sum_of(account: Account, locale: Locale) -> str:
    """What is due, as the language writes it where that is sure, else as billing spells it; empty: not known."""
    amount, currency, money = account.amount_due, account.currency, locale.money
    plain = _PLAIN.fullmatch(amount)
    if money is None or plain is None or not currency:
        return f"{amount} {currency}".strip() if amount else ""
    whole, cents = plain[1], plain[2]
    if len(whole) >= money.grouped_from:
        whole = f"{int(whole):,}".replace(",", money.group)
    symbol = money.symbols.get(currency, currency)
    # a code is a word: it never touches the figures
    symbol += "\u00a0" if symbol.isalpha() and money.pattern.startswith("{currency}{") else ""
    return money.pattern.format(amount=whole + (money.decimal + cents if cents else ""), currency=symbol)


def form_for(number: int, forms: int, locale: Locale) -> int:
    """Which of the ``forms`` of a counted text goes with ``number``."""
    return min(_plural(locale.plural)(number), forms - 1)
