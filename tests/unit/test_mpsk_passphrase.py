# SPDX-License-Identifier: Apache-2.0
"""Passphrases: what is generated is good, and what is weak is said to be."""

from __future__ import annotations

import random
import re

import pytest

from edged.mpsk import passphrase
from edged.mpsk.passphrase import MAX_RANDOM, MIN_RANDOM, Weakness, readable, weakness, well_formed
from edged.values import Secret


def test_generated_passphrases_are_strong_readable_and_all_different() -> None:
    choice = random.Random(7).choice
    made = [readable(choice).reveal_text() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert all(weakness(Secret(text)) is None for text in made)
    assert all(set(text) <= set("abdefghijkmnoprstuvz-23456789") for text in made)


@pytest.mark.parametrize("word", [False, True])
def test_random_passphrases_are_groups_of_four_without_what_is_mistaken(word: bool) -> None:
    choice = random.Random(7).choice
    form = re.compile(("[a-hjkmnp-z]{3,9}-" if word else "") + "-".join(["[a-hjkmnp-z2-9]{4}"] * 3))

    made = [passphrase.random(choice, word=word).reveal_text() for _ in range(1000)]

    assert all(form.fullmatch(text) for text in made)
    assert len({text[-14:] for text in made}) == 1000, "the random part alone tells them apart"


def test_a_random_passphrase_is_as_long_as_asked_and_never_too_short_or_long() -> None:
    choice = random.Random(7).choice

    longest = passphrase.random(choice, MAX_RANDOM, word=True)

    assert well_formed(longest)
    assert passphrase.random(choice, 18).reveal_text().count("-") == 4
    for length in (MIN_RANDOM - 1, MAX_RANDOM + 1):
        with pytest.raises(ValueError, match="12 to 40"):
            passphrase.random(choice, length)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("copper-otter-violin-42", None),
        ("Pancakes1124 at home", None),
        ("c0ffee" + "0123456789abcdef3141592653589793fedcba98765432100a1b2c3d4e", None),
        ("short", Weakness.FORM),
        ("x" * 64, Weakness.FORM),
        ("naïve-résumé-words", Weakness.FORM),
        ("tab\tin-the-middle", Weakness.FORM),
        ("Pancakes112", Weakness.SHORT),
        ("aaaaaaaaaaaab", Weakness.REPETITIVE),
        ("abababababababab", Weakness.REPETITIVE),
        ("abcdefghijklmnop", Weakness.SEQUENCE),
        ("1234567890123456", Weakness.SEQUENCE),
        ("password12345678", Weakness.COMMON),
        ("WelcomePassw0rd!", Weakness.COMMON),
    ],
)
def test_each_weakness_is_named(text: str, expected: Weakness | None) -> None:
    assert weakness(Secret(text)) is expected


@pytest.mark.parametrize(
    ("text", "good"), [("8letters", True), ("x" * 63, True), ("7letter", False), ("ab" * 32, True)]
)
def test_what_an_access_point_takes_is_well_formed(text: str, *, good: bool) -> None:
    assert well_formed(Secret(text)) is good
