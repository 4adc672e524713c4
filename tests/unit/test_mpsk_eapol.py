# SPDX-License-Identifier: Apache-2.0
"""Message 2: what is read from it, and what is not taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from edged.errors import WireError
from edged.mpsk.eapol import MAX_FRAME, parse_message_2
from tests.mpsk_world import HOSTAPD, RSNE, VECTORS, message_2

V1 = bytes.fromhex(VECTORS["handshakes"][0]["frame"])


def changed(position: int, *octets: int, frame: bytes = V1) -> bytes:
    return frame[:position] + bytes(octets) + frame[position + len(octets) :]


@pytest.mark.parametrize("row", VECTORS["handshakes"], ids=lambda row: str(row["name"]))
def test_the_fields_of_public_captures_are_read(row: dict[str, Any]) -> None:
    frame = bytes.fromhex(row["frame"])

    message = parse_message_2(frame)

    assert message.mic == frame[81:97]
    assert message.snonce == frame[17:49]
    assert message.akm == (0x000FAC06 if row["suite"] == "psk-sha256" else 0x000FAC02)
    assert message.pairwise == 0x000FAC04
    assert message.unsigned == frame[:81] + bytes(16) + frame[97:]


def test_padding_of_the_link_layer_is_cut_off() -> None:
    assert parse_message_2(V1 + bytes(7)) == parse_message_2(V1)


def test_the_mobility_elements_of_a_real_ft_station_are_read() -> None:
    row = next(v for v in HOSTAPD if v["id"] == "h211-m3-ft-long")

    ft = parse_message_2(bytes.fromhex(row["expected"]["eapol_key_msg"])).ft

    assert ft is not None
    assert ft.r0kh_id == b"ap-lobby-1.example"
    assert ft.r1kh_id == bytes.fromhex("020000000003") or len(ft.r1kh_id) == 6


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "eapol-short"),
        (V1[:98], "eapol-short"),
        (changed(1, 0), "eapol-type"),
        (changed(2, 0xFF, 0xFF), "eapol-length"),
        (changed(2, 0, 10), "eapol-length"),
        (changed(97, 0, 0), "eapol-length"),
        (changed(97, 0xFF, 0xFF), "eapol-length"),
        (changed(4, 1), "eapol-descriptor"),
        (changed(5, 0x00, 0x8A), "eapol-not-message-2"),  # message 1: Ack
        (changed(5, 0x13, 0xCA), "eapol-not-message-2"),  # message 3: Ack, Install
        (changed(5, 0x00, 0x0A), "eapol-not-message-2"),  # no MIC
        (changed(5, 0x01, 0x02), "eapol-not-message-2"),  # a group key
        (changed(17, *bytes(32)), "eapol-not-message-2"),  # no nonce: message 4
        (V1 + bytes(MAX_FRAME), "eapol-long"),
    ],
)
def test_what_is_no_message_2_is_named(frame: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_message_2(frame)

    assert caught.value.reason == reason


def test_message_4_with_a_nonce_is_told_by_secure_without_key_data() -> None:
    message_4 = changed(97, 0, 0, frame=changed(5, 0x03, 0x0A, frame=changed(2, 0, 95)))[:99]

    with pytest.raises(WireError, match="eapol-not-message-2"):
        parse_message_2(message_4)


def test_a_message_2_with_secure_set_is_tolerated() -> None:
    assert parse_message_2(changed(5, 0x03, 0x0A)).akm == 0x000FAC02


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\xff\x01\x00", b"\x30\x02\x01\x00", b"\xdd\x03abc"])
def test_key_data_without_a_readable_rsne_names_no_akm(data: bytes) -> None:
    _, frame = message_2(bytes(32), data=data)

    assert parse_message_2(frame).akm is None


def test_the_element_of_wpa_before_rsn_names_its_akm() -> None:
    _, frame = message_2(bytes(32), data=bytes.fromhex("dd160050f20101000050f20201000050f20201000050f202"))

    assert parse_message_2(frame).akm == 0x0050F202


def test_the_representation_shows_no_mic() -> None:
    message = parse_message_2(V1)

    assert repr(message.mic) not in repr(message)
    assert RSNE["psk-sha1"].hex() not in repr(message)
