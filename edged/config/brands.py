# SPDX-License-Identifier: Apache-2.0
"""The brands of the page in, what an operator should know about them out. Looks at logo files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edged.captive.files.service import HEAVY_LOGO
from edged.captive.page.colour import LIGHT_GROUND, TEXT_RATIO, contrast
from edged.captive.page.style import themes
from edged.captive.page.texts import TRANSLATED
from edged.captive.settings import BrandSettings, PortalSettings
from edged.config.document import Location
from edged.config.finding import Found, warning

_NAMED = 6
"""Missing translations named; more are counted."""


def brand_checks(portal: PortalSettings) -> Found:
    """Warnings about each brand; none where there is no page."""
    if not portal.url:
        return
    for name, brand in portal.brands.items():
        location: Location = ("portal", "brands", name)
        if not (brand.phone or brand.help):
            yield warning(
                location, "neither phone nor help", "who cannot pay on the page is told to look at the invoice",
                'phone: "+1 555 0100"',
            )  # fmt: skip
        yield from _colour(location, brand)
        yield from _untranslated(location, brand)


def _colour(location: Location, brand: BrandSettings) -> Found:
    """A colour that cannot be read as text on white, and what stands in for it."""
    light, dark = (themes(brand.colour)[theme] for theme in ("light", "dark"))
    if contrast(brand.colour, LIGHT_GROUND) >= TEXT_RATIO:
        return
    yield warning(
        (*location, "colour"), f'"{brand.colour}", too pale to read on white',
        f'links and edges become "{light["accent"]}", in the dark theme "{dark["accent"]}"; '
        f'the button keeps it, with text in "{light["on_brand"]}"',
    )  # fmt: skip


def _untranslated(location: Location, brand: BrandSettings) -> Found:
    missing = [f"{place} ({', '.join(tags)})" for place, tags in _missing(brand)]
    if missing:
        named = ", ".join(missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        texts = "1 text is" if len(missing) == 1 else f"{len(missing)} texts are"
        yield warning(
            location, f"{texts} not in every language of this brand: {named}{more}",
            "the built-in text, or another language, is shown instead",
        )  # fmt: skip


def _missing(brand: BrandSettings) -> Iterator[tuple[str, list[str]]]:
    """Each text that is not in every language that the operator writes, and those that it lacks."""
    places = (("", brand), *((f"reasons.{reason}.", texts) for reason, texts in brand.reasons.items()))
    written = [
        (f"{place}{field}", {tag.partition("-")[0]: None for tag in getattr(texts, field)})
        for place, texts in places
        for field in TRANSLATED
        if getattr(texts, field)
    ]
    languages = dict.fromkeys(tag for _, tags in written for tag in tags)
    for place, tags in written:
        lacking = [tag for tag in languages if tag not in tags]
        if lacking:
            yield place, lacking


def heavy_logo(path: Path, location: Location) -> Found:
    """A logo that makes every page slow to load."""
    try:
        octets = path.stat().st_size
    except OSError:
        return
    if octets > HEAVY_LOGO:
        yield warning(
            location, f"{path}: {octets / 1024:.0f} KiB", "it travels in every page: a second or more on a poor line",
            f"an SVG, or a picture of at most {HEAVY_LOGO // 1024} KiB",
        )  # fmt: skip
