# SPDX-License-Identifier: Apache-2.0
"""Netlink messages octet for octet, and the guard: no delete without a tuple can be made."""

from __future__ import annotations

import pytest

from edged.enforce.conntrack import (
    CT_DELETE,
    CT_NEW,
    Connection,
    connection,
    delete_connection,
    delete_from,
    error_number,
    generation,
    get_generation,
    messages,
)
from edged.values import parse_address, parse_prefix

# one entry as Linux 6.18 dumped it: udp 100.64.0.7:39102 -> 127.0.0.1:9 (attributes after the id left out)
TUPLE_ORIG = bytes.fromhex(
    "3400018014000180080001006440000708000200 7f000001".replace(" ", "")
    + "1c000280050001001100000006000200 98be0000 06000300 00090000".replace(" ", "")
)
TUPLE_REPLY = bytes.fromhex(
    "34000280140001800800010 07f000001 0800020064400007".replace(" ", "")
    + "1c000280050001001100000006000200 00090000 06000300 98be0000".replace(" ", "")
)
ID = bytes.fromhex("08000c00deadbeef")
PAYLOAD = bytes.fromhex("02000000") + TUPLE_ORIG + TUPLE_REPLY + ID


def test_an_entry_is_read_with_the_octets_that_name_it() -> None:
    assert connection(PAYLOAD) == Connection(
        4, int(parse_address("100.64.0.7")), int(parse_address("127.0.0.1")), 17, TUPLE_ORIG + ID
    )


def test_exactly_that_entry_is_deleted() -> None:
    entry = connection(PAYLOAD)
    assert entry is not None
    message = delete_connection(7, entry)
    assert len(message) == int.from_bytes(message[:4], "little")
    ((kind, seq, payload),) = messages(message)
    assert (kind, seq) == (CT_DELETE, 7)
    assert payload == bytes.fromhex("02010000") + TUPLE_ORIG + ID


def test_a_delete_without_a_tuple_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="flush every connection"):
        delete_connection(1, Connection(4, 1, 2, 17, b""))


def test_a_delete_by_address_names_the_address_and_the_filter() -> None:
    ((kind, _, payload),) = messages(delete_from(1, parse_prefix("100.64.0.7"), "original"))
    assert kind == CT_DELETE
    assert payload.hex() == (
        "02010000"  # IPv4, version 1
        "10000180"
        "0c000180"
        "0800010064400007"  # original tuple, addresses, source
        "14001980"
        "0800010001000000"
        "0800020000000000"  # filter: original by source, reply by nothing
    )


def test_a_delete_of_one_protocol_names_it_and_the_filter() -> None:
    ((_, _, payload),) = messages(delete_from(1, parse_prefix("100.64.0.7"), "reply", 17))
    assert payload.hex() == (
        "02010000"
        "1c000280"
        "0c000180"
        "0800010064400007"  # reply tuple, addresses, source
        "0c000280"
        "0500010011000000"  # protocol 17
        "14001980"
        "0800010000000000"
        "0800020009000000"  # filter: reply by source and protocol
    )


@pytest.mark.parametrize("text", ["100.64.0.0/24", "2001:db8:100::7", "0.0.0.0/0"])
def test_the_kernels_filter_is_used_for_single_ipv4_addresses_alone(text: str) -> None:
    with pytest.raises(ValueError, match="whole IPv4 addresses"):
        delete_from(1, parse_prefix(text), "original")


def test_what_is_neither_family_is_no_connection() -> None:
    assert connection(bytes.fromhex("07000000") + TUPLE_ORIG) is None
    assert connection(bytes.fromhex("02000000") + ID) is None


def test_a_torn_datagram_gives_its_whole_messages() -> None:
    whole = get_generation(1)
    assert len(list(messages(whole + whole[:-1]))) == 1
    assert not list(messages(b"\x05" + bytes(15)))


def test_numbers_are_read() -> None:
    assert generation(bytes.fromhex("000000000800010000000005")) == 5
    assert generation(bytes.fromhex("00000000")) == 0
    assert error_number((-2).to_bytes(4, "little", signed=True)) == 2
    assert CT_NEW == 0x100
