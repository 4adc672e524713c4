# SPDX-License-Identifier: Apache-2.0
"""The twins of edged/native/radius.py say the same of every packet, and hashlib is the judge of both."""

from __future__ import annotations

import hmac
from contextlib import suppress
from hashlib import md5
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.native.radius import INVALID, MAX_LENGTH, VALID, Piece, Portable, Shared, states_of
from edged.radius.attributes import Attribute
from edged.radius.authenticator import Signature, request_is_authentic, request_signature, sign_request
from edged.radius.hiding import hide_password, hide_salted
from edged.radius.packet import Code, Packet, decode, encode
from edged.radius.reply import with_clear_password
from edged.values import Secret
from tests.native import BOTH, shared_twin

octet = st.integers(0, 255)
authenticators = st.binary(min_size=16, max_size=16)
secrets = st.binary(min_size=8, max_size=100)
kinds = st.one_of(octet, st.sampled_from([1, 2, 31, 33, 79, 80]))
lengths = st.one_of(st.integers(0, 40), st.sampled_from([16, 18, 32, 128, 144, 253]))
attributes = st.builds(lambda kind, length, fill: Attribute(kind, bytes([fill]) * length), kinds, lengths, octet)
codes = st.sampled_from([Code.ACCESS_REQUEST, Code.ACCOUNTING_REQUEST, Code.STATUS_SERVER, Code.COA_REQUEST])
packets = st.builds(Packet, codes, octet, authenticators, st.lists(attributes, max_size=12).map(tuple))
pieces: st.SearchStrategy[list[Piece]] = st.lists(
    st.one_of(
        st.binary(max_size=600),
        st.tuples(st.binary(max_size=20), st.integers(0, 15).map(lambda blocks: bytes(range(16)) * blocks)),
    ),
    max_size=10,
)


def both(secret: bytes) -> list[Shared]:
    return [shared_twin(name)(secret) for name in BOTH]


@given(st.binary(max_size=5000), secrets)
@example(b"\x01\x00\x0f\xfc" + bytes(16) + b"\x21\x02" * 2036, b"eight888")
@example(b"\x01\x00\x10\x00" + bytes(16) + b"\x02\x02" * 2038, b"eight888")
@example(b"\x01\x00\x01\xa4" + bytes(16) + b"\x50\x02" * 200, b"eight888")
def test_of_any_octets_both_say_the_same(octets: bytes, secret: bytes) -> None:
    compiled, portable = (one.open(octets) for one in both(secret))
    assert compiled == portable


@given(octet, st.binary(max_size=400), secrets, st.integers(-3, 3), st.binary(max_size=9))
def test_of_any_body_both_say_the_same(code: int, body: bytes, secret: bytes, lie: int, padding: bytes) -> None:
    length = max(0, 20 + len(body) + lie)
    octets = bytes((code, 0)) + length.to_bytes(2, "big") + bytes(range(16)) + body + padding
    compiled, portable = (one.open(octets) for one in both(secret))
    assert compiled == portable


@given(packets, secrets, st.booleans(), st.binary(max_size=5))
def test_what_is_well_formed_is_judged_as_hashlib_does(
    packet: Packet, secret: bytes, signed: bool, padding: bytes
) -> None:
    octets = sign_request(packet, Secret(secret)) if signed else encode(packet)
    compiled, portable = (one.open(octets + padding) for one in both(secret))
    assert compiled == portable
    assert not isinstance(compiled, str)
    _, authentic, verdict, passwords, states, _constant = compiled
    assert authentic is request_is_authentic(octets, Secret(secret))
    names = {VALID: Signature.VALID, INVALID: Signature.INVALID}
    assert names.get(verdict, Signature.ABSENT) is request_signature(octets, Secret(secret))
    assert states == b"".join(bytes((33, len(a.value) + 2)) + a.value for a in packet.attributes if a.type == 33)
    with suppress(Exception):
        clear = with_clear_password(decode(octets), Secret(secret)).attributes
        assert passwords == tuple(a.value for a in clear if a.type == 2)


@given(st.binary(max_size=128).filter(lambda it: not it.endswith(b"\0")), secrets, authenticators, secrets)
def test_a_password_comes_back_and_what_asks_the_same_is_the_same(
    password: bytes, secret: bytes, random: bytes, other: bytes
) -> None:
    found = []
    for key, authenticator in ((secret, random), (other, md5(random).digest())):
        hidden = Attribute(2, hide_password(Secret(password), Secret(key), authenticator))
        given_ = (Attribute(1, b"bob"), hidden, Attribute(31, b"02-00-5E-10-00-01"))
        octets = sign_request(Packet(Code.ACCESS_REQUEST, key[0], authenticator, given_), Secret(key))
        for twin in both(key):
            opened = twin.open(octets)
            assert not isinstance(opened, str)
            assert opened[3] == (password,)
            found.append(opened[5])
    assert len(set(found)) == 1
    assert found[0].endswith(bytes((2, len(password) + 2)) + password)


@given(st.binary(min_size=2, max_size=2), authenticators, pieces, secrets, st.booleans())
def test_both_write_the_same_reply_and_it_is_right(
    head: bytes, random: bytes, given_: list[Piece], secret: bytes, signed: bool
) -> None:
    hidden = [piece for piece in given_ if not isinstance(piece, bytes)]
    salts = b"".join(bytes((0x80, number)) for number in range(len(hidden)))
    written: list[bytes | None] = []
    for twin in both(secret):
        try:
            written.append(twin.reply(head, random, given_, salts, signed))
        except ValueError:
            written.append(None)
    compiled, portable = written
    assert compiled == portable
    octets = 20 + 18 * signed + sum(len(p) if isinstance(p, bytes) else len(p[0]) + 2 + len(p[1]) for p in given_)
    if compiled is None:
        assert octets > MAX_LENGTH
        return
    assert len(compiled) == octets == int.from_bytes(compiled[2:4], "big")
    asked = compiled[:4] + random + compiled[20:]
    assert compiled[4:20] == md5(asked + secret).digest()
    if signed:
        assert compiled[20:22] == b"\x50\x12"
        unsigned = asked[:22] + bytes(16) + asked[38:]
        assert compiled[22:38] == hmac.digest(secret, unsigned, "md5")


@given(st.binary(max_size=239), secrets, authenticators)
def test_a_sealed_attribute_is_hidden_as_rfc_2868_says(clear: bytes, secret: bytes, random: bytes) -> None:
    plain = bytes((len(clear),)) + clear
    piece = (b"head", plain + bytes(-len(plain) % 16))
    for twin in both(secret):
        reply = twin.reply(b"\x02\x01", random, [piece], b"\x80\x01", False)
        assert reply[20:] == b"head" + hide_salted(clear, Secret(secret), random, b"\x80\x01")


@pytest.mark.parametrize(
    ("head", "authenticator", "given_", "salts"),
    [
        (b"", bytes(16), [], b""),
        (b"\x02\x01", b"short", [], b""),
        (b"\x02\x01", bytes(16), [(b"", bytes(16))], b""),
        (b"\x02\x01", bytes(16), [(b"", bytes(15))], b"\x80\x01"),
        (b"\x02\x01", bytes(16), [(b"",)], b"\x80\x01"),
        (b"\x02\x01", bytes(16), [1], b""),
        (b"\x02\x01", bytes(16), [bytearray(9)], b""),
    ],
)
def test_the_compiled_one_refuses_what_no_caller_of_ours_gives(
    head: bytes, authenticator: bytes, given_: Any, salts: bytes
) -> None:
    twin = shared_twin("compiled")(b"testing123")
    with pytest.raises((ValueError, TypeError)):
        twin.reply(head, authenticator, given_, salts, True)
    with pytest.raises(TypeError):
        twin.open(bytearray(30))  # type: ignore[arg-type]


def test_proxy_states_are_found_in_order() -> None:
    octets = encode(
        Packet(Code.ACCESS_REQUEST, 1, bytes(16), (Attribute(33, b"a"), Attribute(1, b"x"), Attribute(33, b"")))
    )
    opened = Portable(b"testing123").open(octets)
    assert not isinstance(opened, str)
    assert states_of(octets, opened[0]) == b"\x21\x03a\x21\x02"
