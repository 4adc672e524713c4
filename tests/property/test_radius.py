# SPDX-License-Identifier: Apache-2.0
"""Whatever arrives, and whatever we send: properties of the RADIUS codec."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from edged.errors import WireError
from edged.radius.accounting import read
from edged.radius.admission import ACCOUNTING, AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import (
    Attribute,
    address,
    integer,
    long_extended,
    prefixes,
    tagged,
    text,
    values,
)
from edged.radius.authenticator import (
    Signature,
    reply_is_authentic,
    request_is_authentic,
    request_signature,
    sign_request,
)
from edged.radius.clients import Source
from edged.radius.counters import Discard
from edged.radius.dictionary import BY_NAME
from edged.radius.hiding import hide_password, hide_salted, reveal_password, reveal_salted
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.radius.reply import encode_answer, salts_from
from edged.radius.settings import ClientSettings
from edged.values import Secret, parse_address

SOURCE = Source(
    parse_address("192.0.2.1"),
    ClientSettings.model_validate({"name": "ap", "networks": ["192.0.2.1"], "secret": "testing123"}),
    "192.0.2.1",
)
SECRET = SOURCE.client.secret

octet = st.integers(0, 255)
authenticators = st.binary(min_size=16, max_size=16)
secrets = st.builds(Secret, st.binary(min_size=8, max_size=64))
names = st.sampled_from(sorted(BY_NAME))
attributes = st.builds(Attribute, octet, st.binary(max_size=253))
lists = st.lists(attributes, max_size=15).map(tuple)
codes = st.sampled_from(list(Code))
packets = st.builds(Packet, codes, octet, authenticators, lists)
plain = st.lists(attributes.filter(lambda it: it.type not in {80, 33, 2}), max_size=10).map(tuple)


@given(packets)
def test_a_packet_decodes_to_what_was_encoded(packet: Packet) -> None:
    assert decode(encode(packet)) == packet


@given(packets, st.binary(max_size=64))
def test_padding_changes_nothing(packet: Packet, padding: bytes) -> None:
    assert decode(encode(packet) + padding) == packet


@given(st.binary(max_size=5000))
@example(b"\x01\x00\x00\x14" + bytes(16))
def test_any_octets_are_a_packet_or_a_wire_error(octets: bytes) -> None:
    try:
        packet = decode(octets)
    except WireError:
        return
    assert encode(packet) == octets[: octets[2] << 8 | octets[3]]


@given(octet, st.binary(max_size=400))
def test_any_body_is_a_packet_or_a_wire_error(code: int, body: bytes) -> None:
    octets = bytes((code, 0)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body
    with suppress(WireError):
        assert encode(decode(octets)) == octets


@given(octet, st.binary(max_size=400))
def test_any_datagram_of_a_client_is_admitted_or_dropped(code: int, body: bytes) -> None:
    octets = bytes((code, 0)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body
    for port in (AUTHENTICATION, ACCOUNTING):
        with suppress(WireError):
            assert isinstance(admit(octets, SOURCE, port, SignedSources()), Packet | Discard)


wild = st.lists(
    st.one_of(
        attributes,
        st.builds(Attribute, st.sampled_from([26, 245, 246]), st.binary(max_size=40)),
        st.builds(
            lambda flags, rest: Attribute(245, b"\x1a" + bytes((flags,)) + (11344).to_bytes(4, "big") + rest),
            octet,
            st.binary(max_size=30),
        ),
    ),
    max_size=12,
).map(tuple)


@given(wild, names)
def test_reading_any_name_from_any_attributes_never_fails(given_: tuple[Attribute, ...], name: str) -> None:
    reading: list[Any] = [values(given_, name), text(given_, name), integer(given_, name)]
    reading += [address(given_, name), prefixes(given_, name), tagged(given_, name)]
    assert sum(len(value) for value in reading[0]) <= sum(len(it.value) for it in given_)


@given(wild)
def test_any_accounting_is_an_event_or_a_wire_error(given_: tuple[Attribute, ...]) -> None:
    with suppress(WireError):
        read(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given_))


@given(st.binary(max_size=2000))
def test_long_extended_fragments_join(value: bytes) -> None:
    assert values(long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", value), "FreeRADIUS-802.1X-EAPoL-Key-Msg") == (
        value,
    )


@given(st.binary(max_size=128).filter(lambda it: not it.endswith(b"\0")), secrets, authenticators)
def test_a_password_comes_back(password: bytes, secret: Secret, authenticator: bytes) -> None:
    assert reveal_password(hide_password(Secret(password), secret, authenticator), secret, authenticator) == password


@given(st.binary(max_size=239), secrets, authenticators, st.integers(0x8000, 0xFFFF))
def test_a_salted_value_comes_back(clear: bytes, secret: Secret, authenticator: bytes, salt: int) -> None:
    hidden = hide_salted(clear, secret, authenticator, salt.to_bytes(2, "big"))
    assert reveal_salted(hidden, secret, authenticator) == clear


@given(st.binary(max_size=260), secrets, authenticators)
def test_any_hidden_octets_are_a_value_or_a_wire_error(octets: bytes, secret: Secret, authenticator: bytes) -> None:
    with suppress(WireError):
        assert len(reveal_salted(octets, secret, authenticator)) < len(octets)
    with suppress(WireError):
        assert len(reveal_password(octets, secret, authenticator)) <= len(octets)


@given(codes, octet, authenticators, plain, secrets)
def test_what_we_sign_we_accept(
    code: Code, identifier: int, random: bytes, given_: tuple[Attribute, ...], secret: Secret
) -> None:
    octets = sign_request(Packet(code, identifier, random, given_), secret)
    assert request_is_authentic(octets, secret)
    assert request_signature(octets, secret) is Signature.VALID


@given(packets, plain, st.lists(st.binary(min_size=8, max_size=63), max_size=3), secrets, st.integers(0, 1 << 16))
def test_an_answer_is_authentic_signed_first_and_echoes_proxy_state(
    request: Packet, given_: tuple[Attribute, ...], keys: list[bytes], secret: Secret, start: int
) -> None:
    hidden = tuple(Hidden("Tunnel-Password", Secret(key)) for key in keys)
    answer = Answer(Code.ACCESS_ACCEPT, (*given_, *hidden))
    with suppress(ValueError):  # fifteen Proxy-States and ten attributes may be more than 4096 octets
        octets = encode_answer(answer, request, secret, salts_from(start))
        reply = decode(octets)
        assert reply_is_authentic(octets, request.authenticator, secret)
        assert reply.attributes[0].type == 80
        states = [it for it in request.attributes if it.type == 33]
        assert list(reply.attributes[len(reply.attributes) - len(states) :]) == states
        sealed = [it for it in reply.attributes if it.type == 69][-len(keys) :] if keys else []
        for key, attribute in zip(keys, sealed, strict=True):
            assert reveal_salted(attribute.value[1:], secret, request.authenticator) == key


def test_salts_never_run_out() -> None:
    salts = salts_from(0)
    assert all(next(salts)[0] & 0x80 for _ in zip(range(70_000), count(), strict=False))
