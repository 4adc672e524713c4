"""What the worst packets cost, counted in lines of our code that they run: the same figure on every machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from edged.dns import answer, message
from edged.errors import WireError
from edged.model import Access
from tests.dns_lab import CLIENT, NOW, lab_sinkhole
from tests.dns_worst import queries, replies

QUERY_LINES, REPLY_LINES = 5000, 16_000
"""A third of a millisecond, and one, where a line takes some 60 ns; an ordinary query runs 300, a reply 250."""
SENT = answer.query(message.ask("www.shop.example"), 7, b"\x03www\x04shop\x07example\x00")
QUERIES, REPLIES = dict(queries()), dict(replies(SENT))


def lines(do: Callable[[], object]) -> int:
    """How many lines of Python ``do`` runs."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with contextlib.suppress(WireError):
            do()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("access", [Access.BLOCKED, Access.OPEN, Access.STRANGER])
@pytest.mark.parametrize("what", QUERIES)
def test_no_query_costs_much_more_than_an_ordinary_one(what: str, access: Access) -> None:
    sinkhole = lab_sinkhole(access)

    assert 0 < lines(lambda: sinkhole.answer(QUERIES[what], CLIENT, NOW, stream=True)) < QUERY_LINES


@pytest.mark.parametrize("what", REPLIES)
def test_no_reply_of_an_upstream_costs_more_than_its_records(what: str) -> None:
    assert 0 < lines(lambda: answer.parse(REPLIES[what], SENT)) < REPLY_LINES


def test_a_query_may_have_a_hundred_options_and_no_more() -> None:
    def query(count: int) -> bytes:
        rdata = b"\x00\x64\x00\x00" * count
        head = bytes.fromhex("0001 0100 0001 0000 0000 0001 0161 00 0001 0001 00 0029 04d0 00000000")
        return head + len(rdata).to_bytes(2) + rdata

    assert message.parse(query(100)).edns is not None
    with pytest.raises(WireError, match="formerr"):
        message.parse(query(101))


def test_an_owner_in_a_query_is_at_most_255_octets() -> None:
    def query(labels: int) -> bytes:
        head = bytes.fromhex("0001 0100 0001 0000 0000 0001 0161 00 0001 0001")
        return head + b"\x01a" * labels + b"\x00" + bytes.fromhex("0010 0001 00000000 0000")

    assert message.parse(query(127)).edns is None
    with pytest.raises(WireError, match="formerr"):
        message.parse(query(128))


def test_a_reply_of_256_addresses_is_read_whole() -> None:
    found = answer.parse(REPLIES["256 addresses"], SENT)

    assert len(found.addresses) == len(set(found.addresses)) == 256


def test_names_that_are_pointers_to_pointers_end_the_reading_of_a_reply() -> None:
    with pytest.raises(WireError, match="malformed"):
        answer.parse(REPLIES["255 owners at the end of 7,000 pointers"], SENT)
