from __future__ import annotations

import time

import pytest

from edged.dns import names
from edged.dns.names import SuffixMap, SuffixSet


def wire(text: str) -> bytes:
    return names.lower(names.to_wire(text))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (".", b"\x00"),
        ("", b"\x00"),
        ("a.b", b"\x01a\x01b\x00"),
        ("a.b.", b"\x01a\x01b\x00"),
        (r"a\.b.c", b"\x03a.b\x01c\x00"),
        (r"\000\255", b"\x02\x00\xff\x00"),
        ("Pay.Example", b"\x03Pay\x07Example\x00"),
    ],
)
def test_text_becomes_wire_octets(text: str, octets: bytes) -> None:
    assert names.to_wire(text) == octets


@pytest.mark.parametrize("text", ["a..b", ".a", "a" * 64, r"\256", r"a\ ".strip(), ".".join(["a" * 60] * 5)])
def test_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        names.to_wire(text)


def test_octets_that_could_mislead_a_reader_are_escaped() -> None:
    assert names.to_text(b"\x04a.\x1b;\x01b\x00") == r"a\046\027\059.b"
    assert names.to_text(b"\x00") == "."


def test_a_name_of_255_octets_is_whole_and_one_of_256_is_not() -> None:
    longest = b"\x3f" + b"a" * 63
    fits = longest * 3 + b"\x3d" + b"b" * 61 + b"\x00"
    over = longest * 3 + b"\x3e" + b"b" * 62 + b"\x00"

    assert names.end_of_name(fits, 0) == 255
    assert len(names.to_wire(".".join(["a" * 63, "a" * 63, "a" * 63, "a" * 61]))) == 255
    with pytest.raises(ValueError, match="255"):
        names.to_wire(".".join(["a" * 63, "a" * 63, "a" * 63, "a" * 62]))
    with pytest.raises(ValueError, match="255"):
        names.end_of_name(over, 0)


def test_the_three_spellings_cover_what_they_say() -> None:
    garden = SuffixSet(["exact.example", "*.below.example", ".both.example"])

    assert wire("exact.example") in garden
    assert wire("x.exact.example") not in garden
    assert wire("below.example") not in garden
    assert wire("a.b.c.below.example") in garden
    assert wire("both.example") in garden
    assert wire("a.b.both.example") in garden
    assert wire("notboth.example") not in garden
    assert wire("example") not in garden


def test_labels_match_whole_and_never_as_text() -> None:
    garden = SuffixSet(["*.pay.example"])

    assert b"\x05x.pay\x07example\x00" not in garden
    assert b"\x03x.y\x03pay\x07example\x00" in garden
    assert garden.find(wire("X.PAY.example")) == "*.pay.example"


def test_the_nearest_entry_wins() -> None:
    zones = SuffixMap([(".arpa", 1), (".in-addr.arpa", 2), ("x.in-addr.arpa", 3)])

    assert zones.find(wire("home.arpa")) == 1
    assert zones.find(wire("10.in-addr.arpa")) == 2
    assert zones.find(wire("x.in-addr.arpa")) == 3


def test_a_look_up_among_a_hundred_thousand_names_takes_microseconds() -> None:
    garden = SuffixSet(f"*.n{i}.example" for i in range(100_000))
    name = wire("a.b.c.d.e.f.n99999.example")

    begin = time.perf_counter()
    found = [garden.find(name) for _ in range(1000)]
    spent = time.perf_counter() - begin

    assert set(found) == {"*.n99999.example"}
    assert len(garden) == 100_000
    assert spent < 0.1
