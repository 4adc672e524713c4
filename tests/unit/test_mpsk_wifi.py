# SPDX-License-Identifier: Apache-2.0
"""What tests/wifi recorded where residents' devices joined edged over simulated radios, once more from its octets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from edged.errors import WireError
from edged.mpsk.desk import Desk
from edged.mpsk.eapol import parse_message_2
from edged.mpsk.identity import identity_of
from edged.mpsk.keyring import Keyring, compile_keyring
from edged.mpsk.memory import Last
from edged.mpsk.question import Question, read_question
from edged.mpsk.usage import Used, used_key
from edged.mpsk.wpa import Handshake, challenge_of, kck_of, name_of, pmk_of, verifies
from edged.radius.accounting import read
from edged.radius.admission import ACCOUNTING, AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import Attribute, text
from edged.radius.clients import Source
from edged.radius.packet import Answer, Code, Hidden, Packet
from edged.state.keys import BILLING, KeyId
from edged.values import MacAddress, Secret, mac_octets
from tests.mpsk_world import FOLDER, HOME, NOW, answered, client, mpsk_settings, ring_of, stored

RECORDED = json.loads((FOLDER / "mpsk_wifi.json").read_text("utf-8"))
ROWS: list[dict[str, Any]] = RECORDED["vectors"]
ACCESS = [row for row in ROWS if "expected" in row]
SESSIONS = [row for row in ROWS if "user_name" in row]
SHAKEN = [row for row in ACCESS if "kck" in row["expected"]]


def named(row: dict[str, Any]) -> str:
    return str(row["id"])


KEY = KeyId(BILLING, "k-101")


def admitted(
    octets: bytes,
    row: dict[str, Any],
    codes: frozenset[Code] = AUTHENTICATION,
    signed: SignedSources | None = None,
) -> Packet | None:
    """The request as the service takes it in; None: it is dropped."""
    source = Source(HOME, client().model_copy(update={"secret": Secret(row["secret"])}), str(HOME))
    try:
        packet = admit(octets, source, codes, signed or SignedSources())
    except WireError:
        return None
    return packet if isinstance(packet, Packet) else None


def resident(row: dict[str, Any], passphrase: str) -> Desk:
    """edged with one key; where the access point asks by MAC address, it is registered for this device."""
    ssid = bytes.fromhex(row["ssid_hex"]).decode()
    made = Desk(mpsk_settings(ssid))
    key = stored(
        KEY.id, origin=BILLING, ssid=ssid, passphrase=Secret(passphrase), vlan=row["expected"].get("vlan"),
        devices=() if row["mode"] == 3 else (MacAddress(row["sta_mac"]),),
    )  # fmt: skip
    made.ring = compile_keyring([key], (), (ssid,), NOW)
    return made


def test_they_say_where_they_come_from_and_are_all_there() -> None:
    assert set(RECORDED["with"]) == {"hostapd 2.10", "hostapd 2.11", "wpa_supplicant", "kernel"}
    assert RECORDED["recorded"]
    assert len(ACCESS) >= 14
    assert {row["expected"]["akm"] for row in SHAKEN} == {"000fac02", "000fac04", "000fac06"}
    assert [row["note"] for row in SESSIONS] == ["Interim", "Start", "Stop"]


@pytest.mark.parametrize("row", ACCESS, ids=named)
def test_each_gets_its_key_and_vlan_or_a_reject(row: dict[str, Any]) -> None:
    packet = admitted(bytes.fromhex(row["request_hex"]), row)
    assert packet is not None
    known = row["expected"]["code"] == Code.ACCESS_ACCEPT
    passphrase = row["passphrase"] if known else "maple-heron-cello-77"

    answer = answered(resident(row, passphrase), packet, client())

    assert answer is not None
    assert answer.code == row["expected"]["code"]
    plain = tuple(a for a in answer.attributes if isinstance(a, Attribute))
    keys = [a for a in answer.attributes if isinstance(a, Hidden)]
    assert keys == ([Hidden("Tunnel-Password", Secret(passphrase))] if known else [])
    assert text(plain, "Tunnel-Private-Group-Id") == str(row["expected"].get("vlan", ""))


@pytest.mark.parametrize("row", [row for row in ACCESS if row["expected"]["code"] == Code.ACCESS_ACCEPT], ids=named)
def test_with_another_residents_key_none_of_them_gets_on(row: dict[str, Any]) -> None:
    packet = admitted(bytes.fromhex(row["request_hex"]), row)
    assert packet is not None
    desk = resident({**row, "mode": 3}, "another-residents-key")

    answer = answered(desk, packet, client())

    assert answer == Answer(Code.ACCESS_REJECT)


@pytest.mark.parametrize("row", SHAKEN, ids=named)
def test_pmk_and_kck_are_those_that_the_station_printed_in_its_own_log(row: dict[str, Any]) -> None:
    expected, ssid = row["expected"], bytes.fromhex(row["ssid_hex"])
    message = parse_message_2(bytes.fromhex(expected["eapol_key_msg"]))
    made = Handshake(
        mac_octets(MacAddress(row["bssid"])), mac_octets(MacAddress(row["sta_mac"])),
        bytes.fromhex(expected["anonce"]), message, ssid, int(expected["akm"], 16),
    )  # fmt: skip
    pmk = pmk_of(Secret(row["passphrase"]), ssid.decode()).reveal()
    challenge, name = challenge_of(made), name_of(made)

    assert pmk.hex() == expected["pmk"]
    assert challenge is not None
    assert kck_of(challenge, pmk).hex() == expected["kck"]
    assert verifies(challenge, pmk)
    assert (name is not None) is (expected["akm"] == "000fac04")
    assert name is None or verifies(name, pmk)


@pytest.mark.parametrize("row", SHAKEN, ids=named)
def test_the_handshake_in_the_request_is_the_one_that_was_sent(row: dict[str, Any]) -> None:
    packet = admitted(bytes.fromhex(row["request_hex"]), row)
    assert packet is not None

    question = read_question(packet, client(), [bytes.fromhex(row["ssid_hex"]).decode()])

    assert isinstance(question, Question)
    assert question.handshake is not None
    assert question.handshake.message == parse_message_2(bytes.fromhex(row["expected"]["eapol_key_msg"]))
    assert question.handshake.anonce.hex() == row["expected"]["anonce"]
    assert question.dialect.name == "hostapd-psk"


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_no_truncation_of_them_gets_through(row: dict[str, Any]) -> None:
    """Of an access point that has signed before; whatever is cut off, with or without a length that fits."""
    octets, codes = bytes.fromhex(row["request_hex"]), ACCOUNTING if "user_name" in row else AUTHENTICATION
    signed = SignedSources([HOME])
    assert admitted(octets, row, codes, signed) is not None
    for end in range(len(octets)):
        assert admitted(octets[:end], row, codes, signed) is None
        if end >= 20:
            assert admitted(octets[:2] + end.to_bytes(2, "big") + octets[4:end], row, codes, signed) is None


@pytest.mark.parametrize("row", SHAKEN, ids=named)
def test_no_truncation_of_their_message_2_raises_anything_but_a_wire_error(row: dict[str, Any]) -> None:
    frame = bytes.fromhex(row["expected"]["eapol_key_msg"])
    for end in range(len(frame)):
        with pytest.raises(WireError):
            parse_message_2(frame[:end])


@dataclass
class Room:
    ring: Keyring = field(default_factory=lambda: ring_of(stored(KEY.id, origin=BILLING, derived=False)))

    def explain_device(self, _mac: MacAddress) -> Last | None:
        return None


@pytest.mark.parametrize("row", SESSIONS, ids=named)
def test_their_sessions_name_the_key_that_edged_named_in_its_answer(row: dict[str, Any]) -> None:
    packet = admitted(bytes.fromhex(row["request_hex"]), row, ACCOUNTING)
    assert packet is not None
    assert row["user_name"] == identity_of(KEY)

    used = used_key(packet, row["sta_mac"], Room(), "building-7")
    event = read(packet)

    ssid = bytes.fromhex(row["ssid_hex"]).decode()
    assert used == Used(ssid, KEY, is_identity=True, bssid=row["bssid"])
    assert event is not None
    assert {1: "Start", 2: "Stop", 3: "Interim"}[event.status] == row["note"]
    assert (event.octets_in > 0) is (row["note"] != "Start")
