# SPDX-License-Identifier: Apache-2.0
"""A brand's colour in, the colours of both themes by the names of ``page.css`` out. Pure. WCAG 2.2."""

from __future__ import annotations

from edged.captive.page.colour import DARK_GROUND, LIGHT_GROUND, contrast, mix, palette

_PAGE_LIGHT, _PAGE_DARK = "#f3f5f8", "#0b0f17"
"""The ground around the sheet, before a trace of the brand."""
_CONTROL_RATIO = 3.0
"""WCAG 2.2 criterion 1.4.11: the edge of a control against its ground."""


def themes(colour: str) -> dict[str, dict[str, str]]:
    """The colours of the themes ``light`` and ``dark`` of a brand in ``colour``."""
    return {
        "light": _theme(colour, LIGHT_GROUND, mix(_PAGE_LIGHT, colour, 0.05)),
        "dark": _theme(colour, DARK_GROUND, mix(_PAGE_DARK, colour, 0.025)),
    }


def _theme(brand: str, ground: str, page: str) -> dict[str, str]:
    first = palette(brand, ground)
    wash = mix(ground, first.accent, 0.08)
    # the pale ground of a chip and the ground around the sheet cost contrast: the accent passes there too
    accent = palette(palette(first.accent, wash).accent, page).accent
    return {
        "ground": ground,
        "tint": page,
        "wash": wash,
        "accent": accent,
        "brand": first.brand,
        "on_brand": first.on_brand,
        "rim": first.brand if contrast(first.brand, ground) >= _CONTROL_RATIO else accent,
    }
