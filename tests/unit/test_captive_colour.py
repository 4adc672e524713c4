"""Readable colours from any brand (WCAG 2.2 criteria 1.4.3 and 1.4.11)."""

from __future__ import annotations

import pytest

from edged.captive.page.colour import DARK_GROUND, INK, LIGHT_GROUND, WHITE, contrast, palette, text_on

BRANDS = ["#0a5cff", "#ffd400", "#000000", "#ffffff", "#777777", "#b91c1c", "#0f766e", "#ff00ff", "#00ff00"]


def test_the_extremes_are_twenty_one_to_one() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#0a5cff", "#0a5cff") == 1


@pytest.mark.parametrize(("brand", "text"), [("#0a5cff", WHITE), ("#ffd400", INK)])
def test_the_text_on_a_button_is_chosen_by_contrast(brand: str, text: str) -> None:
    assert text_on(brand) == text


@pytest.mark.parametrize("ground", [LIGHT_GROUND, DARK_GROUND])
@pytest.mark.parametrize("brand", BRANDS)
def test_every_brand_is_readable_in_both_themes(brand: str, ground: str) -> None:
    colours = palette(brand, ground)

    assert contrast(colours.on_brand, colours.brand) >= 4.5
    assert contrast(colours.accent, ground) >= 4.5
