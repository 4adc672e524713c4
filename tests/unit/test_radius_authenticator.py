# SPDX-License-Identifier: Apache-2.0
"""Authenticators, Message-Authenticator and hiding; pyrad is the independent judge."""

from __future__ import annotations

import hmac
from itertools import islice

import pytest
from pyrad import packet as pyrad
from pyrad.dictionary import Dictionary

from edged.errors import WireError
from edged.radius.attributes import Attribute, attribute
from edged.radius.authenticator import (
    Signature,
    reply_is_authentic,
    request_is_authentic,
    request_signature,
    sign_reply,
    sign_request,
)
from edged.radius.hiding import hide_password, hide_salted, reveal_password, reveal_salted, sealed
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.radius.reply import encode_answer, salts_from, with_clear_password
from edged.values import Secret

SECRET = Secret("testing123")
RANDOM = bytes(range(16))
ACCESS = Code.ACCESS_REQUEST
REQUEST = Packet(Code.ACCESS_REQUEST, 9, RANDOM, (attribute("User-Name", "bob"),))


@pytest.mark.parametrize("code", [Code.ACCOUNTING_REQUEST, Code.DISCONNECT_REQUEST, Code.COA_REQUEST])
def test_a_hashed_request_is_authentic_under_its_secret_alone(code: Code) -> None:
    octets = sign_request(Packet(code, 9, RANDOM, (attribute("User-Name", "bob"),)), SECRET)
    assert request_is_authentic(octets, SECRET)
    assert not request_is_authentic(octets, Secret("testing124"))
    assert request_signature(octets, SECRET) is Signature.VALID


def test_pyrad_verifies_our_disconnect_request() -> None:
    octets = sign_request(Packet(Code.DISCONNECT_REQUEST, 9, RANDOM, (attribute("User-Name", "bob"),)), SECRET)
    judge = pyrad.CoAPacket(code=40, packet=octets, secret=SECRET.reveal(), dict=Dictionary())
    assert judge.VerifyCoARequest()
    assert judge.verify_message_authenticator()


def test_pyrad_signs_a_request_that_we_accept() -> None:
    judge = pyrad.AuthPacket(code=1, secret=SECRET.reveal(), authenticator=RANDOM, dict=Dictionary(), id=5)
    judge[1] = [b"bob"]
    judge.add_message_authenticator()
    assert request_signature(judge.RequestPacket(), SECRET) is Signature.VALID


def test_the_message_authenticator_is_the_first_attribute_of_every_reply_and_request() -> None:
    replies = [sign_reply(code, (attribute("Reply-Message", "x"),), REQUEST, SECRET) for code in Code]
    requests = [sign_request(REQUEST, SECRET)]
    assert all(octets[20:22] == b"\x50\x12" for octets in replies + requests)


def test_its_place_on_receipt_does_not_matter() -> None:
    signed = decode(sign_request(REQUEST, SECRET))
    moved = Packet(signed.code, signed.identifier, signed.authenticator, signed.attributes[::-1])
    assert request_signature(encode(moved), SECRET) is Signature.INVALID  # the order is part of what is signed
    empty = Packet(ACCESS, 9, RANDOM, (attribute("User-Name", "bob"), Attribute(80, bytes(16))))
    last = Attribute(80, hmac.digest(SECRET.reveal(), encode(empty), "md5"))
    assert (
        request_signature(encode(Packet(ACCESS, 9, RANDOM, (*empty.attributes[:1], last))), SECRET) is Signature.VALID
    )


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_message_authenticator_of_another_length_is_invalid(size: int) -> None:
    packet = Packet(Code.ACCESS_REQUEST, 9, RANDOM, (Attribute(80, bytes(size)),))
    assert request_signature(encode(packet), SECRET) is Signature.INVALID


def test_two_message_authenticators_are_invalid_even_when_one_is_right() -> None:
    signed = decode(sign_request(REQUEST, SECRET))
    twice = Packet(signed.code, 9, RANDOM, (*signed.attributes, signed.attributes[0]))
    assert request_signature(encode(twice), SECRET) is Signature.INVALID


def test_a_changed_octet_anywhere_in_a_signed_request_shows() -> None:
    octets = sign_request(REQUEST, SECRET)
    for position in range(len(octets)):
        changed = bytearray(octets)
        changed[position] ^= 0x01
        try:
            packet = decode(bytes(changed))
        except WireError:
            continue
        assert request_signature(encode(packet), SECRET) is not Signature.VALID


def test_a_reply_to_another_request_is_not_authentic() -> None:
    reply = sign_reply(Code.ACCESS_ACCEPT, (), REQUEST, SECRET)
    assert reply_is_authentic(reply, RANDOM, SECRET)
    assert not reply_is_authentic(reply, bytes(16), SECRET)


@pytest.mark.parametrize("password", ["", "a", "x" * 16, "x" * 17, "x" * 128])
def test_pyrad_reads_the_user_password_that_we_hide(password: str) -> None:
    hidden = hide_password(Secret(password), SECRET, RANDOM)
    judge = pyrad.AuthPacket(code=1, secret=SECRET.reveal(), authenticator=RANDOM, dict=Dictionary())
    assert judge.PwDecrypt(hidden) == password
    assert reveal_password(hidden, SECRET, RANDOM) == password.encode()


def test_a_password_beyond_128_octets_is_refused() -> None:
    with pytest.raises(ValueError, match="128"):
        hide_password(Secret("x" * 129), SECRET, RANDOM)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 144])
def test_a_user_password_of_an_impossible_length_is_a_wire_error(size: int) -> None:
    packet = Packet(Code.ACCESS_REQUEST, 9, RANDOM, (Attribute(2, bytes(size)),))
    with pytest.raises(WireError):
        with_clear_password(packet, SECRET)


def test_the_handler_sees_the_password_in_clear_and_all_else_as_it_came() -> None:
    hidden = Attribute(2, hide_password(Secret("bob"), SECRET, RANDOM))
    packet = Packet(Code.ACCESS_REQUEST, 9, RANDOM, (REQUEST.attributes[0], hidden))
    assert with_clear_password(packet, SECRET).attributes == (REQUEST.attributes[0], Attribute(2, b"bob"))


@pytest.mark.parametrize(("clear", "salt"), [(b"x" * 240, b"\x80\x01"), (b"x", b"\x00\x01"), (b"x", b"\x80")])
def test_a_salted_value_that_cannot_be_is_refused(clear: bytes, salt: bytes) -> None:
    with pytest.raises(ValueError, match=r"salt|hidden value"):
        hide_salted(clear, SECRET, RANDOM, salt)


@pytest.mark.parametrize("value", [b"", b"\x80\x01", b"\x80\x01" + bytes(15)])
def test_a_salted_value_of_an_impossible_length_is_a_wire_error(value: bytes) -> None:
    with pytest.raises(WireError):
        reveal_salted(value, SECRET, RANDOM)


@pytest.mark.parametrize(
    ("name", "type_", "before"),
    [
        ("Tunnel-Password", 69, b"\x03"),
        ("MS-MPPE-Recv-Key", 26, (311).to_bytes(4, "big") + b"\x11\x34"),
        ("Aruba-MPSK-Passphrase", 26, (14823).to_bytes(4, "big") + b"\x2c\x34"),
    ],
)
def test_a_hidden_attribute_has_a_tag_only_where_its_standard_does(name: str, type_: int, before: bytes) -> None:
    clear = bytes(range(32))
    answer = Answer(Code.ACCESS_ACCEPT, (Hidden(name, Secret(clear), tag=3),))
    built = encode_answer(answer, REQUEST, SECRET, iter([b"\x81\x02"]))[38:]
    assert len(built) == built[1]
    assert (built[0], built[2 : 2 + len(before)]) == (type_, before)
    assert reveal_salted(built[2 + len(before) :], SECRET, RANDOM) == clear


def test_only_what_the_dictionary_marks_is_hidden() -> None:
    with pytest.raises(ValueError, match="User-Name"):
        sealed(Hidden("User-Name", Secret("bob")))


def test_proxy_state_is_echoed_in_order_and_last() -> None:
    states = (Attribute(33, b"one"), Attribute(33, b""), Attribute(33, b"two"))
    request = Packet(Code.ACCESS_REQUEST, 9, RANDOM, (states[0], REQUEST.attributes[0], *states[1:]))
    answer = Answer(Code.ACCESS_REJECT, (attribute("Reply-Message", "no"),))
    reply = decode(encode_answer(answer, request, SECRET, salts_from(0)))
    assert reply.attributes[1:] == (attribute("Reply-Message", "no"), *states)


def test_an_accounting_response_has_no_message_authenticator_except_to_a_status_server() -> None:
    answer = Answer(Code.ACCOUNTING_RESPONSE)
    accounting = decode(sign_request(Packet(Code.ACCOUNTING_REQUEST, 9, RANDOM), SECRET))
    status = Packet(Code.STATUS_SERVER, 9, RANDOM)
    assert len(encode_answer(answer, accounting, SECRET, salts_from(0))) == 20
    assert len(encode_answer(answer, status, SECRET, salts_from(0))) == 38


def test_every_hidden_value_of_a_reply_has_its_own_salt() -> None:
    answer = Answer(Code.ACCESS_ACCEPT, (Hidden("Tunnel-Password", Secret("same")),) * 3)
    reply = decode(encode_answer(answer, REQUEST, SECRET, salts_from(7)))
    assert len({given.value for given in reply.attributes[1:]}) == 3


def test_salts_have_the_top_bit_and_repeat_after_32768() -> None:
    salts = list(islice(salts_from(32_700), 32_769))
    assert all(salt[0] & 0x80 for salt in salts)
    assert len(set(salts)) == 32_768
    assert salts[0] == salts[-1]


def test_an_answer_too_long_for_a_packet_is_our_bug_and_says_so() -> None:
    with pytest.raises(ValueError, match="4096"):
        encode_answer(Answer(Code.ACCESS_ACCEPT, (Attribute(18, bytes(253)),) * 17), REQUEST, SECRET, salts_from(0))


def test_what_we_encode_decodes_to_the_same_packet() -> None:
    assert decode(encode(REQUEST)) == REQUEST
