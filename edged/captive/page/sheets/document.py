# SPDX-License-Identifier: Apache-2.0
"""Sheets, a brand and the templates in, one HTML document to print out. Pure; the clock is passed in. WCAG 2.2.

It has no script and loads nothing. A page of paper is a ``section``: what a browser prints is what the document shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from markupsafe import Markup

from edged.captive.destination import is_web
from edged.captive.page.locales.sheets import SHEETS
from edged.captive.page.pages import environment
from edged.captive.page.sheets.code import code, drawn, joining, width
from edged.captive.page.sheets.sayings import Sayings
from edged.captive.page.sheets.sheet import Sheet
from edged.captive.page.texts import direction, in_language
from edged.captive.settings import BrandSettings

PAPERS = {"a4": ("A4", 210.0, 297.0), "letter": ("letter", 215.9, 279.4)}
"""The name in CSS, width and height in millimetres."""
CARDS = 8
"""On one page."""
ROWS = 30
"""Keys on one page of the checklist."""
_CODE_MM, _CODE_ON_CARD_MM = 38.0, 30.0
"""The symbol without its quiet zone."""


@dataclass(frozen=True, slots=True)
class Printing:
    """How a batch is printed."""

    brand: BrandSettings
    logo: str
    """Data URI; empty: the first letter of the name."""
    languages: tuple[str, ...]
    """One, or two: the second is on the back."""
    now: float
    """Epoch seconds."""
    size: str = "a4"
    """One of ``PAPERS``."""
    cards: bool = False
    zone: tzinfo | None = None
    """Of the days on paper; None: that of this host."""


def document(sheets: Sequence[Sheet], how: Printing, templates: Mapping[str, str]) -> str:
    """The document: for more than one key a checklist without keys, then a page a key or a page of cards."""
    found = environment(templates)
    paper, wide, high = PAPERS[how.size]
    style = found.get_template("sheet.css").render(paper=paper, wide=wide, high=high)
    said = Sayings(how.languages[0], how.zone)
    return found.get_template("sheet.html").render(
        lang=said.language,
        dir=direction(said.language),
        style=Markup(style),  # noqa: S704  # our own style sheet
        title=said.say("list" if len(sheets) > 1 else "title"),
        name=how.brand.name,
        logo=how.logo,
        said=said.say,
        lists=list(_checklist(sheets, said)) if len(sheets) > 1 else [],
        count=said.counted("list.count", len(sheets)),
        printed=said.say("printed", date=_day(how)),
        pages=[page for sheet in sheets for page in _pages(sheet, how)] if not how.cards else [],
        cards=[[_card(sheet, how) for sheet in page] for page in _cut(sheets, CARDS)] if how.cards else [],
    )


def pages_of(count: int, how: Printing) -> int:
    """How many pages of paper ``count`` keys take."""
    lists = -(-count // ROWS) if count > 1 else 0
    return lists + (-(-count // CARDS) if how.cards else count * len(how.languages))


def _cut(sheets: Sequence[Sheet], size: int) -> Iterator[Sequence[Sheet]]:
    return (sheets[start : start + size] for start in range(0, len(sheets), size))


def _checklist(sheets: Sequence[Sheet], said: Sayings) -> Iterator[dict[str, Any]]:
    pages = list(_cut(sheets, ROWS))
    for number, rows in enumerate(pages, start=1):
        yield {"rows": rows, "number": f"{number}/{len(pages)}", "title": said.say("list")}


def _pages(sheet: Sheet, how: Printing) -> Iterator[dict[str, Any]]:
    """The front, and the back in the second language."""
    symbol = code(joining(sheet.ssid, sheet.passphrase, hidden=sheet.hidden))
    svg, wide = drawn(symbol), f"{width(symbol, _CODE_MM):.1f}mm"
    for language in how.languages:
        said = Sayings(language, how.zone)
        others = [other for other in how.languages if other != language]
        yield _common(sheet, said, how) | {
            "code": svg,
            "width": wide,
            "how": said.how(sheet),
            "devices": list(said.devices(sheet)),
            "unlike": said.say("clear") if said.unmistakable(sheet.passphrase.reveal_text()) else "",
            "help": _help(said, how.brand),
            "other": [{"lang": tag, "dir": direction(tag), "text": SHEETS[tag].texts["back"]} for tag in others]
            if language == how.languages[0]
            else [],
        }


def _card(sheet: Sheet, how: Printing) -> dict[str, Any]:
    symbol = code(joining(sheet.ssid, sheet.passphrase, hidden=sheet.hidden))
    said = Sayings(how.languages[0], how.zone)
    return _common(sheet, said, how) | {
        "code": drawn(symbol),
        "width": f"{width(symbol, _CODE_ON_CARD_MM):.1f}mm",
        "spelt": list(said.spelt(sheet.passphrase.reveal_text()))[:2],
        "long_name": len(sheet.ssid) > _LONG_NAME,
        "long_unit": len(sheet.unit) > _LONG_NAME,
    }


def _common(sheet: Sheet, said: Sayings, how: Printing) -> dict[str, Any]:
    key = sheet.passphrase.reveal_text()
    return {
        "lang": said.language,
        "dir": direction(said.language),
        "said": said.say,
        "id": sheet.id,
        "unit": sheet.unit,
        "site": sheet.site,
        "ssid": sheet.ssid,
        "key": Markup('<span class="space">\N{OPEN BOX}</span>').join(key.split(" ")),
        "length": "long" if len(key) > _LONG_KEY else "middle" if len(key) > _SHORT_KEY else "short",
        "spelt": list(said.spelt(key)),
        "label": Markup(said.say("code", ssid=sheet.ssid)).striptags(),  # noqa: S704  # filled, so escaped
        "good": list(said.good(sheet)),
        "printed": said.say("printed", date=_day(how)),
        "number": said.say("number", id=sheet.id),
    }


_SHORT_KEY, _LONG_KEY, _LONG_NAME = 22, 40, 14
"""Characters: a short key is set in 24 pt, a long one in 18 pt; on a card a long SSID is set smaller."""


def _help(said: Sayings, brand: BrandSettings) -> dict[str, Any] | None:
    """Whom to ask: only what the operator has named."""
    link = brand.link or ""
    shown = link.removeprefix("https://").removeprefix("http://").rstrip("/") if is_web(link) else ""
    hours = in_language(brand.hours, said.language) or ""
    if not (brand.phone or shown):
        return None
    return {
        "phone": said.say("help.call", phone=brand.phone) if brand.phone else "",
        "hours": hours if brand.phone else "",
        "link": said.say("help.link", link=shown) if shown else "",
    }


def _day(how: Printing) -> str:
    """ISO 8601: alike in every language, and short."""
    return datetime.fromtimestamp(how.now, UTC).astimezone(how.zone).date().isoformat()
