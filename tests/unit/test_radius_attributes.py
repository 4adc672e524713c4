# SPDX-License-Identifier: Apache-2.0
"""Attributes found by name and built from values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from edged.radius.attributes import (
    Attribute,
    Value,
    address,
    attribute,
    first,
    integer,
    long_extended,
    prefixes,
    tagged,
    text,
    tlvs,
    values,
)
from edged.radius.dictionary import BY_NAME, DEFINITIONS
from edged.values import parse_prefix

EAPOL = "FreeRADIUS-802.1X-EAPoL-Key-Msg"
VENDOR = (11344).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("name", "value", "tag", "octets"),
    [
        ("User-Name", "bob", 0, "0105626f62"),
        ("Session-Timeout", 3600, 0, "1b0600000e10"),
        ("NAS-IP-Address", IPv4Address("192.0.2.1"), 0, "0406c0000201"),
        ("NAS-IPv6-Address", IPv6Address("2001:db8::1"), 0, "5f1220010db8000000000000000000000001"),
        ("Delegated-IPv6-Prefix", parse_prefix("2001:db8:1::/48"), 0, "7b0a003020010db80001"),
        ("Framed-IPv6-Prefix", parse_prefix("::/0"), 0, "61040000"),
        ("Tunnel-Type", 13, 0, "40060000000d"),
        ("Tunnel-Medium-Type", 6, 1, "410601000006"),
        ("Tunnel-Private-Group-Id", "131", 0, "5105313331"),
        ("Tunnel-Private-Group-Id", "131", 2, "510602313331"),
        ("Mikrotik-Wireless-VLANID", 131, 0, "1a0c00003a8c1a0600000083"),
        ("Cisco-AVPair", b"psk=a\x00", 0, "1a0e0000000901087073" + "6b3d6100"),
    ],
)
def test_an_attribute_is_built_as_the_standard_spells_it(name: str, value: Value, tag: int, octets: str) -> None:
    built = attribute(name, value, tag)
    assert bytes((built.type, len(built.value) + 2)) + built.value == bytes.fromhex(octets)


@pytest.mark.parametrize(
    ("name", "value", "tag"),
    [
        ("Session-Timeout", -1, 0),
        ("Session-Timeout", 1 << 32, 0),
        ("Session-Timeout", "3600", 0),
        ("Tunnel-Type", 1 << 24, 0),
        ("Tunnel-Type", 13, 32),
        ("NAS-IP-Address", IPv6Address("::1"), 0),
        ("Delegated-IPv6-Prefix", parse_prefix("192.0.2.0/24"), 0),
        ("Reply-Message", "x" * 254, 0),
        ("Cisco-AVPair", "x" * 248, 0),
        ("Tunnel-Password", "never in clear", 0),
        ("Aruba-MPSK-Passphrase", "never in clear", 0),
        (EAPOL, b"too long for one", 0),
    ],
)
def test_a_value_that_an_attribute_cannot_carry_is_refused(name: str, value: Value, tag: int) -> None:
    with pytest.raises(ValueError, match=name if tag < 32 else "tag"):
        attribute(name, value, tag)


def test_a_name_or_a_number_stands_once_in_the_dictionary() -> None:
    assert len(BY_NAME) == len(DEFINITIONS)
    assert len({(row.vendor, row.extended, row.number) for row in DEFINITIONS}) == len(DEFINITIONS)


def test_values_come_in_order_and_other_types_are_passed_over() -> None:
    given = (Attribute(1, b"a"), Attribute(250, b"?"), Attribute(1, b"b"))
    assert values(given, "User-Name") == (b"a", b"b")
    assert first(given, "User-Name") == b"a"
    assert first(given, "NAS-Identifier") is None
    assert text(given, "NAS-Identifier") == ""


def test_text_that_is_not_utf_8_is_still_text() -> None:
    assert text((Attribute(1, b"caf\xe9"),), "User-Name") == "caf\ufffd"


def test_numbers_and_addresses_of_a_wrong_size_are_absent() -> None:
    given = (Attribute(27, b"\0\0\1"), Attribute(4, b"\x7f"), Attribute(95, b"\0" * 4))
    assert integer(given, "Session-Timeout") is None
    assert address(given, "NAS-IP-Address") is None
    assert address(given, "NAS-IPv6-Address") is None


def test_a_tagged_integer_is_read_without_its_tag() -> None:
    given = (attribute("Tunnel-Type", 13, 5),)
    assert integer(given, "Tunnel-Type") == 13
    assert tagged(given, "Tunnel-Type") == ((5, b"\0\0\x0d"),)


def test_a_first_octet_above_1f_is_text_and_no_tag() -> None:
    given = (Attribute(81, b"131"), Attribute(81, b"\x02131"), Attribute(81, b"\x00131"), Attribute(81, b""))
    assert tagged(given, "Tunnel-Private-Group-Id") == ((0, b"131"), (2, b"131"), (0, b"131"), (0, b""))


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("003020010db80001", ("2001:db8:1::/48",)),
        ("003c20010db8000100ff", ("2001:db8:1:f0::/60",)),  # bits after the length are cleared
        ("008020010db8000000000000000000000001", ("2001:db8::1",)),
        ("0000", ("::/0",)),
        ("003020010db8", ()),  # fewer octets than the length needs
        ("0081" + "00" * 16, ()),  # longer than an address
        ("0040" + "00" * 17, ()),
        ("00", ()),
        ("", ()),
    ],
)
def test_an_ipv6_prefix_is_read_or_absent(octets: str, expected: tuple[str, ...]) -> None:
    given = (Attribute(123, bytes.fromhex(octets)),)
    assert tuple(str(prefix) for prefix in prefixes(given, "Delegated-IPv6-Prefix")) == expected


def test_a_vendor_block_may_hold_several_attributes() -> None:
    block = (14988).to_bytes(4, "big") + b"\x10\x05psk" + b"\x1a\x06\0\0\0\x07"
    given = (Attribute(26, block),)
    assert text(given, "Mikrotik-Wireless-PSK") == "psk"
    assert integer(given, "Mikrotik-Wireless-VLANID") == 7


@pytest.mark.parametrize("tail", ["10", "1001", "1000", "1005ab", "1004abcd1a"])
def test_a_malformed_vendor_block_is_no_attribute_at_all(tail: str) -> None:
    given = (Attribute(26, (14988).to_bytes(4, "big") + bytes.fromhex(tail)), Attribute(26, b"\0\0"))
    assert values(given, "Mikrotik-Wireless-PSK") == ()


def test_tlvs_are_whole_or_nothing() -> None:
    assert tlvs(b"\x01\x03a\x02\x02") == ((1, b"a"), (2, b""))
    assert tlvs(b"\x01\x03a\x02") == ()
    assert tlvs(b"") == ()


def test_thirty_two_octets_make_the_long_extended_attribute_of_the_standard() -> None:
    (built,) = long_extended("FreeRADIUS-802.1X-Anonce", b"\xaa" * 32)
    assert bytes((built.type, len(built.value) + 2)) + built.value == bytes.fromhex("f5291a0000002c5001" + "aa" * 32)


@pytest.mark.parametrize("size", [0, 1, 246, 247, 248, 260, 497, 498, 1000])
def test_long_extended_fragments_join_to_what_was_cut(size: int) -> None:
    value = bytes(index & 0xFF for index in range(size))
    given = long_extended(EAPOL, value)
    assert all(len(fragment.value) <= 253 for fragment in given)
    assert values(given, EAPOL) == (value,)
    assert [bool(fragment.value[1] & 0x80) for fragment in given] == [True] * (len(given) - 1) + [False]


def test_fragments_need_not_be_adjacent_and_reserved_bits_mean_nothing() -> None:
    one, two = long_extended(EAPOL, bytes(300))
    loose = Attribute(two.type, two.value[:1] + b"\x7f" + two.value[2:])
    given = (one, attribute("User-Name", "between"), loose)
    assert values(given, EAPOL) == (bytes(300),)


def test_a_fragment_without_its_continuation_is_invalid_alone() -> None:
    one, _ = long_extended(EAPOL, bytes(300))
    given = (one, attribute("User-Name", "bob"))
    assert values(given, EAPOL) == ()
    assert text(given, "User-Name") == "bob"


@pytest.mark.parametrize("value", [b"", b"\x1a", b"\x1a\x00", b"\x1a\x00\x00\x00\x2c", b"\x01\x00" + VENDOR + b"\x02x"])
def test_a_stunted_long_extended_attribute_is_passed_over(value: bytes) -> None:
    assert values((Attribute(245, value),), EAPOL) == ()


def test_an_oversize_frame_as_an_old_access_point_breaks_it_costs_the_attribute_and_not_the_packet() -> None:
    # the length octet of a long frame wrapped: a short one remains, its "more" bit set, nothing after it
    stump = Attribute(245, b"\x1a\x80" + VENDOR + b"\x02" + bytes(3))
    given = (*long_extended("FreeRADIUS-802.1X-Anonce", bytes(32)), stump, attribute("User-Name", "bob"))
    assert values(given, EAPOL) == ()
    assert values(given, "FreeRADIUS-802.1X-Anonce") == (bytes(32),)


def test_an_attribute_never_shows_its_value() -> None:
    assert "secret" not in repr(Attribute(2, b"secret"))
