# SPDX-License-Identifier: Apache-2.0
"""The code that a reader says on the telephone."""

from __future__ import annotations

import pytest

from edged.captive.reference import (
    ALPHABET,
    find_referenced,
    is_of_site,
    make_reference,
    parse_reference,
    site_letters,
)
from edged.ops.control import Refused
from edged.ops.subjects import subscriber_of
from tests.captive_scene import KEY, subscriber, view


@pytest.mark.parametrize(
    ("site", "letters"),
    [("tower-12", "T12"), ("edged", "E"), ("north-fibre-3", "NF3"), ("building7", "B7"), ("a.b_c-d-e-f-g-h", "ABCDEF")],
)
def test_a_site_has_short_letters(site: str, letters: str) -> None:
    assert site_letters(site) == letters


def test_a_reference_is_the_same_for_months_and_another_for_another_line_site_or_key() -> None:
    # written down once: a version that says another one breaks what is on paper
    assert make_reference(KEY, "tower-12", "1001") == "T12-MFYE"
    assert make_reference(KEY, "tower-12", "1001") == make_reference(KEY, "tower-12", "1001")
    others = {
        make_reference(KEY, "tower-12", "1002"), make_reference(KEY, "tower-13", "1001"),
        make_reference(bytes(32), "tower-12", "1001"),
    }  # fmt: skip
    assert "T12-MFYE" not in others
    assert len({name.partition("-")[2] for name in others}) == 3


def test_a_reference_has_only_characters_that_are_not_misread() -> None:
    for number in range(500):
        code = make_reference(KEY, "tower-12", str(number)).partition("-")[2]
        assert len(code) == 4
        assert set(code) <= set(ALPHABET)
    assert not set("ILOU") & set(ALPHABET)


@pytest.mark.parametrize("said", ["T12-7K4M", "t12-7k4m", " t12 7k4m ", "T127K4M"])
def test_a_reference_is_read_however_it_is_spelt(said: str) -> None:
    assert parse_reference(said) == "T12-7K4M"


def test_what_is_misheard_is_read_as_what_it_must_be() -> None:
    assert parse_reference("T12-OIL9") == "T12-0119"


@pytest.mark.parametrize("text", ["", "1001", "T12-7K4", "T12-7K4U", "100.64.1.7", "02:00:5e:10:00:01", "T12-7K4M-9"])
def test_what_is_no_reference_is_none(text: str) -> None:
    assert parse_reference(text) == ""


def test_a_reference_of_another_site_is_known_as_such() -> None:
    assert is_of_site("T12-7K4M", "tower-12")
    assert not is_of_site("T13-7K4M", "tower-12")


def test_two_who_share_a_reference_are_both_found() -> None:
    named: dict[str, list[str]] = {}
    for number in range(5000):
        named.setdefault(make_reference(KEY, "t", str(number)), []).append(str(number))
    reference, both = max(named.items(), key=lambda item: len(item[1]))

    assert len(both) > 1, "five thousand have about twelve pairs"
    assert find_referenced(KEY, "t", reference, map(str, range(5000))) == tuple(both)


def test_an_operators_command_takes_a_reference_and_refuses_to_choose_between_two() -> None:
    known = view(subscriber("1001"), subscriber("1002", address="127.0.0.3"))

    assert subscriber_of(known, "T12-7K4M", lambda *_: ("1002",)) == "1002"
    assert subscriber_of(known, "T12-7K4M", lambda *_: ()) == "T12-7K4M"
    assert subscriber_of(known, "1001", lambda *_: ("1002",)) == "1001", "an id is an id first"
    with pytest.raises(Refused, match="1001 and of 1002"):
        subscriber_of(known, "T12-7K4M", lambda *_: ("1001", "1002"))
