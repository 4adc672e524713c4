# SPDX-License-Identifier: Apache-2.0
"""hostapd 2.11, which asks during the handshake: one key typed on every device, whatever address it shows."""

from __future__ import annotations

from typing import Any

import pytest

from edged.radius.packet import Code
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import ANA_KEY, ANA_VLAN, BOB_KEY, BOB_VLAN, SSID, Residence

FT = {"wpa_key_mgmt": "FT-PSK", "mobility_domain": "a1b2"}
LONG_NAME = "b7-floor-3-east.example"
"""With a ``nas_identifier`` of nine or more characters hostapd 2.11 sends a broken packet for fast transition."""


def unbound(residence: Residence, **settings: str | int) -> AccessPoint:
    """Mode 3; what is not signed it does not take either."""
    return residence.point(version="2.11", mode=3, **{"radius_require_message_authenticator": 1, **settings})


def device_row(residence: Residence, mac: str) -> dict[str, Any]:
    """What ``edged keys devices`` says of one device."""
    rows = [row for row in residence.facts("keys", "devices")["devices"] if row["mac"] == mac]
    assert len(rows) == 1, rows
    return dict(rows[0])


def assert_is_on(residence: Residence, point: AccessPoint, station: Station, vlan: int, akm: str) -> None:
    """In its VLAN as the access point sees it, with its frames on that bridge, and the internet behind it."""
    member = point.member(station.mac)
    assert member is not None
    assert (member.authorized, member.vlan, member.akm) == (True, vlan, akm)
    residence.dhcp(station)
    assert "the internet" in residence.sees(station)
    assert residence.on_bridge(point, station) == vlan


def test_a_phone_that_nobody_has_seen_gets_on_with_a_made_up_address_and_again_with_another(
    residence: Residence,
) -> None:
    point, phone = unbound(residence), residence.device()
    residence.give(ANA_KEY, BOB_KEY)
    own = phone.mac
    phone.control.tell("SET rand_addr_lifetime 1")
    phone.join(SSID, ANA_KEY["passphrase"], mac_addr=1)
    first = phone.mac

    assert int(first[1], 16) & 2, "a made-up address says so"
    assert first != own
    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-2")
    said = residence.facts("explain", first)
    assert "let on to Residence" in said["headline"]
    assert said["who"][:2] == ["key k-101", f"VLAN {ANA_VLAN}"]
    assert device_row(residence, first)["key"] == "k-101"
    residence.recorder.access(
        "wifi-m3-random-mac", "a made-up MAC address that nobody has seen", point, first, ANA_KEY["passphrase"], phone.log
    )

    phone.leave()
    residence.wait_for("its address is old", lambda: phone.control.ask("PING") == "PONG", timeout=5)
    phone.join(SSID, ANA_KEY["passphrase"], mac_addr=1)
    second = phone.mac

    assert second not in {own, first}
    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-2")
    assert {device_row(residence, mac)["key"] for mac in (first, second)} == {"k-101"}
