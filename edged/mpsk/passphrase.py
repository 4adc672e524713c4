# SPDX-License-Identifier: Apache-2.0
"""Passphrases: random choice -> text; text -> what is wrong with it. Pure; randomness is passed in.

IEEE 802.11-2020, section J.4: 8 to 63 printable ASCII characters, or the PMK as 64 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise

from edged.model import is_passphrase
from edged.values import Secret

_CONSONANTS, _VOWELS, _DIGITS = "bdfghjkmnprstvz", "aeiou", "23456789"
"""No c/k, l/1, o/0, q, w, x, y: what people mishear or mistype."""
_SYLLABLES = 8
_PLAIN = "abcdefghjkmnpqrstuvwxyz23456789"
"""Lower case and digits without 0 1 l o i: what is printed is what is typed."""
_GROUP = 4
_WORDS = (
    "amber", "badger", "beach", "bear", "bread", "brush", "camera", "canary", "carpet", "cedar", "chart",
    "crane", "deer", "desk", "drum", "earth", "fern", "fresh", "garden", "grape", "green", "hammer", "harp",
    "heart", "jump", "karate", "market", "mask", "nut", "panther", "paper", "penny", "pepper", "quartz",
    "raven", "reed", "seven", "spark", "square", "street", "summer", "swan", "thunder", "tram", "tree", "wave",
    "wheat", "wren", "yard", "zebra",
)  # fmt: skip
"""For the telephone; the strength does not count on them."""
MIN_RANDOM = 12
"""A neighbour can try a captured handshake offline; shorter ones fall to a rented graphics card in days."""
MAX_RANDOM = 40
"""With its dashes and a word in front it still fits the 63 characters."""
_MIN_DISTINCT = 6
_MIN_JUMPS = 6
"""Pairs of neighbours that are neither equal nor consecutive: 123456789abc has one."""

_COMMON = (
    "password", "passw0rd", "12345678", "87654321", "qwerty", "letmein", "welcome", "iloveyou", "changeme",
    "internet", "wireless", "residence", "admin", "abcdefgh", "football", "sunshine", "princess", "default",
    "guest", "secret",
)  # fmt: skip
"""Words that head every cracking list; a passphrase that is little more than one of them is weak."""


class Weakness(StrEnum):
    """What is wrong with a passphrase."""

    FORM = "not 8 to 63 printable ASCII characters, nor 64 hexadecimal digits"
    SHORT = "shorter than 12 characters"
    REPETITIVE = "too few different characters"
    SEQUENCE = "a run of the keyboard or the alphabet"
    COMMON = "little more than a word of every cracking list"


def readable(choice: Callable[[Sequence[str]], str]) -> Secret:
    """Four pairs of syllables and a number, ``bado-kefi-sumo-teri-47``: 2^56 of them, easily read out.

    ``choice`` picks one at random; ``secrets.choice`` in earnest.
    """
    syllables = [choice(_CONSONANTS) + choice(_VOWELS) for _ in range(_SYLLABLES)]
    words = ["".join(syllables[i : i + 2]) for i in range(0, _SYLLABLES, 2)]
    return Secret("-".join([*words, choice(_DIGITS) + choice(_DIGITS)]))


def random(choice: Callable[[Sequence[str]], str], length: int = MIN_RANDOM, *, word: bool = False) -> Secret:
    """``length`` random characters in groups of four, ``7mvq-3hnd-w4xt``: 31^12 or 2^59 of them.

    ``word`` puts one in front, ``wren-7mvq-3hnd-w4xt``, easier to begin with on the telephone and no stronger.
    """
    if not MIN_RANDOM <= length <= MAX_RANDOM:
        raise ValueError(f"a random passphrase has {MIN_RANDOM} to {MAX_RANDOM} random characters")
    drawn = "".join(choice(_PLAIN) for _ in range(length))
    groups = [drawn[i : i + _GROUP] for i in range(0, length, _GROUP)]
    return Secret("-".join([choice(_WORDS), *groups] if word else groups))


def well_formed(passphrase: Secret) -> bool:
    """True for what an access point takes."""
    try:
        text = passphrase.reveal().decode("ascii")
    except UnicodeDecodeError:
        return False
    return is_passphrase(text)


def weakness(passphrase: Secret) -> Weakness | None:
    """What is wrong with ``passphrase`` for a new key; None when it will do."""
    if not well_formed(passphrase):
        return Weakness.FORM
    text = passphrase.reveal_text().lower()
    if len(text) < MIN_RANDOM:
        return Weakness.SHORT
    if len(set(text)) < _MIN_DISTINCT:
        return Weakness.REPETITIVE
    jumps = sum(abs(ord(a) - ord(b)) > 1 for a, b in pairwise(text))
    if jumps < _MIN_JUMPS:
        return Weakness.SEQUENCE
    rest = text
    for word in _COMMON:
        rest = rest.replace(word, "")
    if len(text) != len(rest) and sum(c.isalnum() for c in rest) < _MIN_DISTINCT:
        return Weakness.COMMON
    return None
