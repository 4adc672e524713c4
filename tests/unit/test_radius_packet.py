# SPDX-License-Identifier: Apache-2.0
"""Lengths, padding and limits of a packet."""

from __future__ import annotations

import pytest

from edged.errors import WireError
from edged.radius.attributes import Attribute
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.values import Secret

EMPTY = bytes.fromhex("01070014") + bytes(16)


def _packet(body: bytes, code: int = 1) -> bytes:
    return bytes((code, 7)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "short"),
        (EMPTY[:19], "short"),
        (bytes.fromhex("01070013") + bytes(16), "bad-length"),
        (bytes.fromhex("01071001") + bytes(4093), "bad-length"),
        (bytes.fromhex("01070015") + bytes(16), "truncated"),
        (_packet(b"", code=0), "unknown-code"),
        (_packet(b"", code=52), "unknown-code"),
        (_packet(b"\x01"), "bad-attribute"),
        (_packet(b"\x01\x00"), "bad-attribute"),
        (_packet(b"\x01\x01"), "bad-attribute"),
        (_packet(b"\x01\x04a"), "bad-attribute"),
        (_packet(b"\x01\x02" * 201), "too-many-attributes"),
    ],
)
def test_a_malformed_packet_is_a_wire_error(octets: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(octets)
    assert caught.value.reason == reason


def test_octets_after_the_length_are_padding() -> None:
    assert decode(EMPTY + b"\x01\x01junk") == Packet(Code.ACCESS_REQUEST, 7, bytes(16))


def test_an_empty_value_is_tolerated() -> None:
    assert decode(_packet(b"\x02\x02")).attributes == (Attribute(2, b""),)


def test_two_hundred_attributes_and_4096_octets_are_still_right() -> None:
    assert len(decode(_packet(b"\x01\x02" * 200)).attributes) == 200
    full = Packet(Code.ACCESS_REQUEST, 1, bytes(16), (Attribute(1, bytes(253)),) * 15 + (Attribute(1, bytes(249)),))
    assert len(encode(full)) == 4096
    assert decode(encode(full)) == full


def test_a_packet_beyond_4096_octets_is_never_built() -> None:
    with pytest.raises(ValueError, match="4096"):
        encode(Packet(Code.ACCESS_ACCEPT, 1, bytes(16), (Attribute(1, bytes(253)),) * 16))


def test_neither_packet_nor_answer_shows_what_they_carry() -> None:
    packet = Packet(Code.ACCESS_REQUEST, 1, bytes(16), (Attribute(2, b"hunter2!"),))
    answer = Answer(Code.ACCESS_ACCEPT, (Hidden("Tunnel-Password", Secret("hunter2!")), Attribute(26, b"hunter2!")))
    assert "hunter2" not in repr(packet) + repr(answer)
