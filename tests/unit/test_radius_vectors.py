# SPDX-License-Identifier: Apache-2.0
"""Every row of tests/vectors/radius.yaml, in both directions, and through pyrad as an independent judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pyrad import packet as pyrad
from pyrad.dictionary import Dictionary

from edged.errors import WireError
from edged.native.radius import ready
from edged.radius.attributes import Attribute, attribute, integer, values
from edged.radius.authenticator import (
    Signature,
    reply_is_authentic,
    request_is_authentic,
    request_signature,
    sign_request,
)
from edged.radius.dictionary import BY_NAME, MESSAGE_AUTHENTICATOR
from edged.radius.hiding import hide_password, hide_salted, reveal_password, reveal_salted
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.radius.reply import encode_answer, with_clear_password
from edged.values import Secret

VECTORS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent.parent / "vectors" / "radius.yaml").read_text()
)
REQUESTS = {row["name"]: row for row in VECTORS["requests"]}


def _by_name(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row["name"] for row in rows])


def _clear(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def _answer(row: dict[str, Any]) -> Answer:
    given: list[Attribute | Hidden] = []
    for item in row["answer"]:
        match item:
            case {"hidden": name, "clear": clear}:
                given.append(Hidden(name, Secret(_clear(clear))))
            case [name, int(number)]:
                given.append(attribute(name, number))
            case [name, str(text)]:
                given.append(attribute(name, _clear(text)))
    return Answer(Code[row["code"]], tuple(given))


@_by_name(VECTORS["hiding"])
def test_a_hidden_value_is_bit_exact_and_comes_back(row: dict[str, Any]) -> None:
    secret, authenticator = Secret(row["secret"]), bytes.fromhex(row["authenticator"])
    clear, hidden = row["clear"].encode(), bytes.fromhex(row["hidden"])
    if row["kind"] == "password":
        assert hide_password(Secret(clear), secret, authenticator) == hidden
        assert reveal_password(hidden, secret, authenticator) == clear
        return
    assert hidden[0] == row["tag"]
    assert reveal_salted(hidden[1:], secret, authenticator) == clear
    if not row.get("one_way"):
        assert hide_salted(clear, secret, authenticator, bytes.fromhex(row["salt"])) == hidden[1:]


@_by_name(VECTORS["requests"])
def test_a_request_decodes_to_what_it_says(row: dict[str, Any]) -> None:
    octets, secret = bytes.fromhex(row["octets"]), Secret(row["secret"])
    packet = decode(octets)
    assert packet.code is Code[row["code"]]
    assert request_is_authentic(octets, secret)
    assert request_signature(octets, secret) is Signature.VALID
    clear = with_clear_password(packet, secret)
    for name, expected in row["read"].items():
        if isinstance(expected, int):
            assert integer(clear.attributes, name) == expected
        else:
            assert values(clear.attributes, name)[0] == _clear(expected)


@_by_name(VECTORS["requests"])
def test_a_request_encodes_and_signs_to_the_same_octets(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["octets"])
    packet = decode(octets)
    assert encode(packet) == octets
    unsigned = tuple(given for given in packet.attributes if given.type != MESSAGE_AUTHENTICATOR)
    bare = Packet(packet.code, packet.identifier, packet.authenticator, unsigned)
    assert sign_request(bare, Secret(row["secret"])) == octets


@_by_name(VECTORS["requests"])
def test_no_truncation_of_a_request_is_anything_but_a_wire_error(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["octets"])
    for length in range(len(octets)):
        with pytest.raises(WireError):
            decode(octets[:length])


@_by_name(VECTORS["requests"])
def test_a_request_cut_short_with_an_honest_length_never_reads_past_its_end(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["octets"])
    for length in range(20, len(octets)):
        cut = octets[:2] + length.to_bytes(2, "big") + octets[4:length]
        try:
            packet = decode(cut + b"\xff" * 64)
        except WireError:
            continue
        assert encode(packet) == cut
        for name in BY_NAME:
            assert all(value in cut or len(value) > 246 for value in values(packet.attributes, name))


@_by_name(VECTORS["replies"])
def test_an_answer_encodes_to_the_golden_octets(row: dict[str, Any]) -> None:
    asked = REQUESTS[row["request"]]
    request, secret = decode(bytes.fromhex(asked["octets"])), Secret(asked["secret"])
    salts = iter([bytes.fromhex(salt) for salt in row["salts"]])
    octets = encode_answer(_answer(row), request, secret, salts)
    assert octets.hex() == row["octets"]
    assert decode(octets).attributes[0].type == MESSAGE_AUTHENTICATOR
    assert reply_is_authentic(octets, request.authenticator, secret)
    assert not reply_is_authentic(octets, request.authenticator, Secret("another-secret"))


@_by_name(VECTORS["replies"])
def test_pyrad_accepts_our_replies(row: dict[str, Any]) -> None:
    asked = REQUESTS[row["request"]]
    request = pyrad.AuthPacket(
        packet=bytes.fromhex(asked["octets"]), secret=asked["secret"].encode(), dict=Dictionary()
    )
    assert request.verify_message_authenticator()
    octets = bytes.fromhex(row["octets"])
    reply = pyrad.AuthPacket(packet=octets, secret=request.secret, dict=Dictionary())
    assert request.VerifyReply(reply, octets, enforce_ma=True)


def test_the_example_of_rfc_2865_comes_out_where_nothing_is_signed() -> None:
    request = decode(
        bytes.fromhex(
            "010000380f403f9473978057bd83d5cb98f4227a01066e656d6f02120dbe708d93d413ce3196e43f782a0aee"
            "0406c0a80110050600000003"
        )
    )
    host = bytes((192, 168, 1, 3))
    attributes = (attribute("Service-Type", 1), Attribute(15, bytes(4)), Attribute(14, host))
    plain = b"".join(bytes((it.type, len(it.value) + 2)) + it.value for it in attributes)
    head = bytes((Code.ACCESS_ACCEPT, request.identifier))
    reply = ready(b"xyzzy5461").reply(head, request.authenticator, [plain], b"", False)  # as in Shared
    assert reply.hex() == ("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103")
