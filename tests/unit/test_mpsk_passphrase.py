# SPDX-License-Identifier: Apache-2.0
"""Passphrases: what is generated is good, and what is weak is said to be."""

from __future__ import annotations

import random

import pytest

from edged.mpsk.passphrase import Weakness, readable, weakness, well_formed
from edged.values import Secret


def test_generated_passphrases_are_strong_readable_and_all_different() -> None:
    choice = random.Random(7).choice
    made = [readable(choice).reveal_text() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert all(weakness(Secret(text)) is None for text in made)
    assert all(set(text) <= set("abdefghijkmnoprstuvz-23456789") for text in made)


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
