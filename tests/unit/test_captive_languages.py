"""Which language a page speaks."""

from __future__ import annotations

import pytest

from edged.captive.page.languages import choose_language, wanted_languages

BUILT_IN = ("en", "es", "pt", "fr", "de", "ar")


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("es", "es"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("ja,de;q=0.5,fr;q=0.9", "fr"),
        ("zh-Hant-TW", "en"),
        ("en;q=0,es;q=0.1", "es"),
        ("*", "en"),
        ("", "en"),
        (";;q=x,,fr", "fr"),
        ("DE-ch", "de"),
        ("a" * 5000, "en"),
    ],
)
def test_the_reader_is_spoken_to_as_asked(header: str, tag: str) -> None:
    assert choose_language(wanted_languages(header), BUILT_IN) == tag


def test_a_wish_for_a_language_finds_its_regional_kin() -> None:
    assert choose_language(("pt",), ("en", "pt-BR")) == "pt-BR"
    assert choose_language(("pt-PT",), ("en", "pt-BR")) == "pt-BR"


def test_a_thousand_wishes_are_not_weighed() -> None:
    assert len(wanted_languages(",".join(["fr"] * 1000))) <= 16
