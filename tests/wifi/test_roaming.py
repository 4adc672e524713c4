# SPDX-License-Identifier: Apache-2.0
"""Two access points, one network: what a device that walks through the building keeps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.lab import until
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import ANA, ANA_KEY, ANA_VLAN, BLOCKED_VLAN, BOB_KEY, BOB_VLAN, SSID, Residence

FT_SECRET = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"


def device_row(residence: Residence, mac: str) -> dict[str, Any]:
    """What ``edged keys devices`` says of one device."""
    rows = [row for row in residence.facts("keys", "devices")["devices"] if row["mac"] == mac]
    assert len(rows) == 1, rows
    return dict(rows[0])


def fast(residence: Residence, name: str, **settings: str | int) -> AccessPoint:
    """An access point of one mobility domain: the holders of keys find each other over the trunk, whoever they are."""
    return residence.point(
        name, version="2.11", mode=3, wpa_key_mgmt="FT-PSK", mobility_domain="a1b2", pmk_r1_push=1,
        r1_key_holder={"ap1": "02005e0000a1", "ap2": "02005e0000a2"}[name],
        r0kh=f"ff:ff:ff:ff:ff:ff * {FT_SECRET}", r1kh=f"00:00:00:00:00:00 00:00:00:00:00:00 {FT_SECRET}",
        ft_iface="eth0", **settings,
    )  # fmt: skip


def test_a_device_that_walks_over_is_asked_about_there_and_stays_in_its_vlan(residence: Residence) -> None:
    here, there = (residence.point(name, version="2.11", mode=3) for name in ("ap1", "ap2"))
    phone = residence.device()
    residence.give({**ANA_KEY, "device_limit": 1}, BOB_KEY)
    mark = phone.choose(SSID, ANA_KEY["passphrase"], bssid=here.bssid)
    assert phone.joined(mark) == here.bssid
    residence.dhcp(phone)
    residence.wait_for("it is at ap1", lambda: device_row(residence, phone.mac)["nas"] == "ap1@192.0.2.11")
    phone.control.tell("SET_NETWORK 0 bssid any")

    assert phone.joined(phone.roam(there.bssid)) == there.bssid

    member = there.member(phone.mac)
    assert member is not None
    assert member.vlan == ANA_VLAN
    assert "the internet" in residence.sees(phone)
    assert residence.on_bridge(there, phone) == ANA_VLAN
    residence.wait_for("it is at ap2", lambda: device_row(residence, phone.mac)["nas"] == "ap2@192.0.2.12")
    assert phone.mac not in here.members()


def test_ft(residence: Residence) -> None:
    here, there = (fast(residence, name) for name in ("ap1", "ap2"))
    phone = residence.device()
    residence.give({**ANA_KEY, "device_limit": 1}, BOB_KEY)
    mark = phone.choose(SSID, ANA_KEY["passphrase"], key_mgmt="FT-PSK", bssid=here.bssid)
    assert phone.joined(mark) == here.bssid
    residence.dhcp(phone)
    phone.control.tell("SET_NETWORK 0 bssid any")

    mark = phone.roam(there.bssid)
    assert phone.joined(mark) == there.bssid
    print(phone.control.events(mark))
    print(there.member(phone.mac))
    print(there.control.ask(f"STA {phone.mac}"))
    print(residence.wire.heard())
    print(len(residence.wire.requests(phone.mac)))
    assert "the internet" in residence.sees(phone)
    print(device_row(residence, phone.mac))
    assert 0
