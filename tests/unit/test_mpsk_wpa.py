# SPDX-License-Identifier: Apache-2.0
"""The key hierarchies against public captures and against what real stations computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.mpsk.eapol import parse_message_2
from edged.mpsk.wpa import (
    AKM_PSK,
    AKM_PSK_SHA256,
    AKM_WPA_PSK,
    Handshake,
    challenge_of,
    kck_of,
    name_of,
    pmk_of,
    verifies,
)
from edged.values import MacAddress, Secret, mac_octets
from tests.mpsk_world import HOSTAPD, SSID, VECTORS, challenge, message_2

MODE_3 = [v for v in HOSTAPD if "eapol_key_msg" in v["expected"]]


def handshake(row: dict[str, Any], akm: int | None = None) -> Handshake:
    aa, spa, anonce, frame = (bytes.fromhex(row[name]) for name in ("aa", "spa", "anonce", "frame"))
    return Handshake(aa, spa, anonce, parse_message_2(frame), row["ssid"].encode(), akm)


@pytest.mark.parametrize("row", VECTORS["passphrases"], ids=lambda row: str(row["ssid"]))
def test_passphrases_of_the_standard_make_their_pmk(row: dict[str, Any]) -> None:
    assert pmk_of(Secret(row["passphrase"]), row["ssid"]).reveal().hex() == row["pmk"]


def test_sixty_four_hexadecimal_digits_are_the_pmk() -> None:
    assert pmk_of(Secret("ab" * 32), SSID).reveal() == b"\xab" * 32


@pytest.mark.parametrize("row", VECTORS["handshakes"], ids=lambda row: str(row["name"]))
def test_public_captures_verify(row: dict[str, Any]) -> None:
    made = challenge_of(handshake(row))

    assert made is not None
    assert made.suite == row["suite"]
    pmk = bytes.fromhex(row["pmk"])
    assert not row["kck"] or kck_of(made, pmk).hex() == row["kck"]
    assert verifies(made, pmk)
    assert not verifies(made, pmk[::-1])
    if row["passphrase"]:
        assert pmk_of(Secret(row["passphrase"]), row["ssid"]).reveal() == pmk


@pytest.mark.parametrize("row", MODE_3, ids=lambda row: str(row["id"]))
def test_what_real_stations_computed_is_computed_again(row: dict[str, Any]) -> None:
    expected = row["expected"]
    ssid = bytes.fromhex(row["ssid_hex"])
    made = challenge_of(
        Handshake(
            bytes.fromhex(row["bssid"].replace(":", "")), bytes.fromhex(row["sta_mac"].replace(":", "")),
            bytes.fromhex(expected["anonce"]),
            parse_message_2(bytes.fromhex(expected["eapol_key_msg"])), ssid, int(expected["akm"], 16),
        )
    )  # fmt: skip

    assert made is not None
    pmk = pmk_of(Secret(row["passphrase"]), ssid.decode()).reveal()
    assert pmk.hex() == expected["pmk"]
    assert kck_of(made, pmk).hex() == expected["kck"]
    assert verifies(made, pmk)


@pytest.mark.parametrize("suite", ["psk-md5", "psk-sha1", "psk-sha256"])
def test_a_station_of_each_suite_is_recognised(suite: str) -> None:
    made = challenge(b"p" * 32, suite=suite)

    assert made.suite == suite
    assert verifies(made, b"p" * 32)


def test_the_name_that_a_real_ft_station_sent_is_made_of_its_passphrase_and_no_other() -> None:
    row = next(v for v in HOSTAPD if v["id"] == "h211-m3-ft-long")
    ssid = bytes.fromhex(row["ssid_hex"])
    message = parse_message_2(bytes.fromhex(row["expected"]["eapol_key_msg"]))
    spa, bssid = mac_octets(MacAddress(row["sta_mac"])), mac_octets(MacAddress(row["bssid"]))

    made = name_of(Handshake(bssid, spa, bytes(32), message, ssid))

    assert made is not None
    assert (made.suite, made.mic) == ("ft-name", message.pmkid)
    assert verifies(made, pmk_of(Secret(row["passphrase"]), ssid.decode()).reveal())
    assert not verifies(made, pmk_of(Secret("another-passphrase"), ssid.decode()).reveal())


@pytest.mark.parametrize("suite", ["psk-md5", "psk-sha1", "psk-sha256"])
def test_no_other_handshake_has_a_name(suite: str) -> None:
    anonce, frame = message_2(b"p" * 32, suite=suite)

    assert name_of(Handshake(b"a" * 6, b"s" * 6, anonce, parse_message_2(frame), b"x")) is None


def test_an_sae_station_has_no_passphrase_to_find() -> None:
    anonce, frame = message_2(bytes(32), suite="sae")

    assert challenge_of(Handshake(b"a" * 6, b"s" * 6, anonce, parse_message_2(frame), b"x")) is None


@pytest.mark.parametrize(("akm", "agrees"), [(AKM_PSK, True), (AKM_PSK_SHA256, False), (None, True)])
def test_request_and_rsne_must_agree_on_the_akm(akm: int | None, *, agrees: bool) -> None:
    assert (challenge_of(handshake(VECTORS["handshakes"][0], akm)) is not None) is agrees


def test_wpa_before_rsn_has_the_same_akm_under_another_number() -> None:
    """hostapd 2.11 names RSN's in the request, whatever the station's element says (``wifi-m3-wpa1-tkip``)."""
    element = bytes.fromhex("dd160050f20101000050f20201000050f20201000050f202")
    anonce, frame = message_2(b"p" * 32, suite="psk-md5", data=element)
    heard = Handshake(b"a" * 6, b"s" * 6, anonce, parse_message_2(frame), b"x")

    assert heard.message.akm == AKM_WPA_PSK
    for akm in (None, AKM_WPA_PSK, AKM_PSK):
        made = challenge_of(replace(heard, akm=akm))
        assert made is not None
        assert made.suite == "psk-md5"
    assert challenge_of(replace(heard, akm=AKM_PSK_SHA256)) is None


def test_the_order_of_addresses_is_that_of_unsigned_octets() -> None:
    row = VECTORS["handshakes"][0]
    swapped = {**row, "aa": row["spa"], "spa": row["aa"]}

    assert challenge_of(handshake(row)) == challenge_of(handshake(swapped))


def test_a_challenge_shows_neither_frame_nor_mic() -> None:
    made = challenge_of(handshake(VECTORS["handshakes"][0]))

    assert made is not None
    assert repr(made.mic) not in repr(made)
    assert repr(made.frame) not in repr(made)
