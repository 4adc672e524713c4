# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a neighbour, read from the octets that Linux 6.18 sent."""

from __future__ import annotations

import sys
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.host.nearby import NewNeighbour, new_neighbours
from edged.values import parse_mac

PHONE = parse_mac("02:00:5e:10:00:0a")
STALE4 = bytes.fromhex(
    "4c0000001c000000000000008d11000002000000030000000400000108000100644206070a00020002005e10000a0000"
    "08000400000000001400030070170000000000000000000001000000"
)
REACHABLE6 = bytes.fromhex(
    "580000001c000000000000008e1100000a00000003000000020000011400010020010db80100066600000000000000070a"
    "00020002005e10000a000008000400000000001400030000000000000000000000000002000000"
)
FAILED = bytes.fromhex(
    "400000001c000000000000008f1100000200000003000000200000010800010064420607080004000000000014000300"
    "70170000000000000000000001000000"
)
GONE = bytes.fromhex(
    "400000001d00000000000000000000000200000003000000200000010800010064420607080004000000000014000300"
    "70170000000000000000000000000000"
)

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="netlink is in the host's byte order")


def test_a_neighbour_of_either_family_is_read_with_its_interface() -> None:
    assert list(new_neighbours(STALE4 + REACHABLE6)) == [
        NewNeighbour(ip_address("100.66.6.7"), PHONE, 3),
        NewNeighbour(ip_address("2001:db8:100:666::7"), PHONE, 3),
    ]


def test_one_that_does_not_answer_and_one_that_is_gone_are_no_news() -> None:
    assert list(new_neighbours(FAILED + GONE + STALE4)) == [NewNeighbour(ip_address("100.66.6.7"), PHONE, 3)]


@given(st.integers(0, len(STALE4) - 1))
def test_what_is_cut_short_is_left_out(length: int) -> None:
    assert list(new_neighbours(STALE4[:length])) == []


@given(st.binary(max_size=300))
def test_rubbish_ends_nothing(octets: bytes) -> None:
    for found in new_neighbours(octets + REACHABLE6):
        assert isinstance(found, NewNeighbour)
