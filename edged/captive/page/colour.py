# SPDX-License-Identifier: Apache-2.0
"""A brand's colour in, the readable colours around it out. Pure. WCAG 2.2 criteria 1.4.3 and 1.4.11.

Colours are ``#rrggbb``.
"""

from __future__ import annotations

from dataclasses import dataclass

WHITE, INK = "#ffffff", "#0f172a"
LIGHT_GROUND, DARK_GROUND = "#ffffff", "#151b26"
"""What the card of the page is painted with in either theme."""
TEXT_RATIO = 4.5
"""WCAG 2.2 criterion 1.4.3, level AA, for text of any size."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme that follow from the brand."""

    brand: str
    """The button's ground."""
    on_brand: str
    """Text on it."""
    accent: str
    """Links, control edges and focus on the card: the brand's colour, moved until it is readable."""


def luminance(colour: str) -> float:
    """Relative luminance, 0.0 to 1.0 (WCAG 2.2, definition)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio, 1.0 to 21.0."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def text_on(ground: str) -> str:
    """White or ink, whichever is easier to read on ``ground``; white already where it passes."""
    if contrast(WHITE, ground) >= TEXT_RATIO:
        return WHITE
    return INK if contrast(INK, ground) >= TEXT_RATIO else "#000000"


def mix(colour: str, other: str, share: float) -> str:
    """``colour`` with ``share`` (0.0 to 1.0) of ``other`` in it."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def readable_on(colour: str, ground: str) -> str:
    """``colour``, moved in small steps towards black or white until text in it is readable on ``ground``."""
    target = "#000000" if luminance(ground) > 0.5 else WHITE
    steps = (mix(colour, target, step / 20) for step in range(21))
    return next(c for c in steps if contrast(c, ground) >= TEXT_RATIO)


def palette(brand: str, ground: str) -> Palette:
    """The colours of the theme whose card is ``ground``."""
    return Palette(brand, text_on(brand), readable_on(brand, ground))
