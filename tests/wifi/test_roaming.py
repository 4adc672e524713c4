# SPDX-License-Identifier: Apache-2.0
"""Two access points, one network: what a device that walks through the building keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.radius.attributes import integer
from edged.radius.packet import Code
from edged.state.sessions import Status
from tests.e2e.lab import until
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import (
    ANA,
    ANA_KEY,
    ANA_VLAN,
    BLOCKED_VLAN,
    BOB_KEY,
    POINTS,
    SSID,
    Object,
    Residence,
)

BRIDGE = "br-trunk"
FT_SECRET = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"


def bridged(residence: Residence, name: str) -> str:
    """A bridge of the untagged network on an access point: where the holders of keys find each other."""
    address = POINTS[name][1]
    residence.lab.run(
        name, "sh", "-c",
        f"ip link show {BRIDGE} >/dev/null 2>&1 && exit"
        f"; ip link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0"
        f" && ip address flush dev eth0 && ip link set eth0 master {BRIDGE} && ip address add {address}/24 dev {BRIDGE}"
        f" && ip link set {BRIDGE} up",
    )  # fmt: skip
    return BRIDGE


def fast(residence: Residence, name: str, **settings: Any) -> AccessPoint:
    """An access point of one mobility domain: the holders of keys find each other over the trunk, whoever they are."""
    return residence.point(
        name, version="2.11", mode=3, wpa_key_mgmt="FT-PSK", mobility_domain="a1b2",
        r1_key_holder={"ap1": "02005e0000a1", "ap2": "02005e0000a2"}[name],
        r0kh=f"ff:ff:ff:ff:ff:ff * {FT_SECRET}", r1kh=f"00:00:00:00:00:00 00:00:00:00:00:00 {FT_SECRET}",
        bridge=bridged(residence, name), **{"pmk_r1_push": 1, **settings},
    )  # fmt: skip


def open_to_all(residence: Residence, *keys: Object) -> None:
    """These keys, and nobody suspended any more."""
    residence.give(*keys)
    residence.wait_for("Ana has paid", lambda: "gets" not in residence.facts("explain", "k-101"), timeout=10.0)


def join_here(residence: Residence, phone: Station, here: AccessPoint, **settings: Any) -> None:
    """On at ``here``, with an address, and free to go elsewhere."""
    mark = phone.choose(SSID, ANA_KEY["passphrase"], bssid=here.bssid, **settings)
    assert phone.joined(mark) == here.bssid
    phone.control.tell("SET_NETWORK 0 bssid any")
    residence.dhcp(phone)


def walk_over(phone: Station, there: AccessPoint) -> None:
    """Where the access points are too slow to find each other for a fast transition, a phone stays, and tries again."""
    reached = [phone.joined(phone.roam(there.bssid))]
    while reached[-1] != there.bssid and len(reached) < 4:
        reached.append(phone.joined(phone.roam(there.bssid)))
    assert reached[-1] == there.bssid, reached


def bridges_of(residence: Residence, point: AccessPoint, phone: Station) -> set[str]:
    """Bridges that know the phone; hostapd announces it on the untagged one too where it has one."""
    heard = json.loads(residence.lab.run(point.name, "bridge", "-j", "fdb", "show").stdout)
    return {row["master"] for row in heard if row["mac"] == phone.mac and "master" in row}


def asked(residence: Residence, phone: Station, point: AccessPoint) -> int:
    """How often edged was asked about the phone by that access point."""
    address = POINTS[point.name][1]
    return sum(request.source.startswith(f"{address}:") for request in residence.wire.requests(phone.mac))


def reports(residence: Residence, mac: str, point: AccessPoint, status: int) -> int:
    """How many accounting reports of that status it sent about the phone."""
    address = POINTS[point.name][1]
    return sum(
        request.source.startswith(f"{address}:")
        and request.packet is not None
        and integer(request.packet.attributes, "Acct-Status-Type") == status
        for request in residence.wire.requests(mac, Code.ACCOUNTING_REQUEST)
    )


def test_a_device_that_walks_over_is_asked_about_there_and_stays_in_its_vlan(residence: Residence) -> None:
    here, there = (
        residence.point(name, version="2.11", mode=3, radius_acct_interim_interval=5) for name in ("ap1", "ap2")
    )
    phone = residence.device()
    mac = phone.mac
    open_to_all(residence, {**ANA_KEY, "device_limit": 1}, BOB_KEY)
    join_here(residence, phone, here)
    residence.wait_for("it is at ap1", lambda: residence.known(phone.mac)["nas"] == "ap1@192.0.2.11")

    walk_over(phone, there)

    assert asked(residence, phone, there) == 1
    assert there.vlan_of(phone) == ANA_VLAN
    assert "the internet" in residence.sees(phone)
    assert residence.on_bridge(there, phone) == ANA_VLAN
    assert [row["mac"] for row in residence.devices("k-101")] == [phone.mac]
    residence.wait_for("it is at ap2", lambda: residence.known(phone.mac)["nas"] == "ap2@192.0.2.12")
    # nobody tells the first one that the phone has gone: it reports on
    told = reports(residence, mac, here, Status.INTERIM)
    until("ap1 reports on", lambda: reports(residence, mac, here, Status.INTERIM) > told, timeout=15.0)
    assert residence.known(phone.mac)["nas"] == "ap2@192.0.2.12"
    note = "after a reassociation from another access point"
    residence.recorder.access("wifi-m3-roamed", note, there, phone, ANA_KEY["passphrase"])
    until("ap2 reports too", lambda: reports(residence, mac, there, Status.INTERIM), timeout=15.0)
    phone.leave()
    until("ap2 tells", lambda: reports(residence, mac, there, Status.STOP) == 1, timeout=10.0)
    for status in (Status.START, Status.INTERIM, Status.STOP):
        residence.recorder.accounting(f"wifi-m3-acct-{status.name.lower()}", there, mac, status)


def test_fast_transition_takes_the_vlan_along_and_nobody_is_asked(residence: Residence) -> None:
    here, there = (fast(residence, name, radius_acct_interim_interval=5) for name in ("ap1", "ap2"))
    phone = residence.device()
    mac = phone.mac
    open_to_all(residence, ANA_KEY, BOB_KEY)
    join_here(residence, phone, here, key_mgmt="FT-PSK")

    note = "FT-PSK, R1KH-ID other than the BSSID"
    residence.recorder.access("wifi-m3-ft-holders", note, here, phone, ANA_KEY["passphrase"])
    walk_over(phone, there)

    assert asked(residence, phone, there) == 0
    assert "FT: Found PMKR1Name (using SHA256) from local cache" in there.log
    assert there.vlan_of(phone) == ANA_VLAN
    assert "the internet" in residence.sees(phone)
    assert "brvlan101" in bridges_of(residence, there, phone)
    # nor is anybody told
    told = reports(residence, mac, here, Status.INTERIM)
    until("ap1 reports on", lambda: reports(residence, mac, here, Status.INTERIM) > told + 1, timeout=20.0)
    assert residence.wire.requests(phone.mac, Code.ACCOUNTING_REQUEST)
    assert reports(residence, mac, there, Status.START) + reports(residence, mac, there, Status.INTERIM) == 0


def test_a_resident_who_is_suspended_after_a_fast_transition_is_sent_away_from_where_the_phone_is_now(
    residence: Residence,
) -> None:
    here, there = (fast(residence, name) for name in ("ap1", "ap2"))
    phone = residence.device()
    open_to_all(residence, ANA_KEY, BOB_KEY)
    join_here(residence, phone, here, key_mgmt="FT-PSK")
    walk_over(phone, there)

    residence.tell(ANA, keys=[ANA_KEY, BOB_KEY])

    until(
        "the phone is with the blocked", lambda: BLOCKED_VLAN in {p.vlan_of(phone) for p in (here, there)}, timeout=20
    )
    residence.tell(keys=[ANA_KEY, BOB_KEY])
    until("the phone is back", lambda: ANA_VLAN in {p.vlan_of(phone) for p in (here, there)}, timeout=20)


def test_a_key_that_ends_after_a_fast_transition_ends_where_the_phone_is_now(residence: Residence) -> None:
    here, there = (fast(residence, name) for name in ("ap1", "ap2"))
    phone = residence.device()
    open_to_all(residence, ANA_KEY, BOB_KEY)
    join_here(residence, phone, here, key_mgmt="FT-PSK")
    walk_over(phone, there)
    mark = phone.control.mark()

    residence.give(BOB_KEY)

    phone.control.wait(mark, f"CTRL-EVENT-DISCONNECTED bssid={there.bssid}")
    phone.refused(mark)
    assert any(said.startswith("reason revoked") for said in residence.facts("explain", phone.mac)["who"])
    assert (here.vlan_of(phone), there.vlan_of(phone)) == (None, None)


@pytest.mark.parametrize(("push", "vlan"), [(1, BLOCKED_VLAN), (0, ANA_VLAN)])
def test_an_access_point_that_is_not_told_keeps_the_vlan_of_before_for_fast_transitions(
    residence: Residence, push: int, vlan: int
) -> None:
    """hostapd's own memory, which edged cannot reach: hence ``pmk_r1_push=1`` in docs/wifi/hostapd-openwrt.md."""
    here, there = (fast(residence, name, pmk_r1_push=push) for name in ("ap1", "ap2"))
    phone = residence.device()
    open_to_all(residence, ANA_KEY, BOB_KEY)
    join_here(residence, phone, here, key_mgmt="FT-PSK")
    walk_over(phone, there)
    walk_over(phone, here)
    phone.control.tell(f"SET_NETWORK 0 bssid {here.bssid}")

    residence.tell(ANA, keys=[ANA_KEY, BOB_KEY])

    until("the phone is with the blocked", lambda: here.vlan_of(phone) == BLOCKED_VLAN, timeout=20)
    phone.control.tell("SET_NETWORK 0 bssid any")
    walk_over(phone, there)
    assert there.vlan_of(phone) == vlan
    assert asked(residence, phone, there) == 0


def test_a_device_that_came_back_from_an_access_points_memory_is_sent_away_from_there(residence: Residence) -> None:
    here, there = (residence.point(name, version="2.10", mode=1) for name in ("ap1", "ap2"))
    phone = residence.device()
    mac = phone.mac
    key = {**ANA_KEY, "devices": [phone.mac]}
    open_to_all(residence, key, BOB_KEY)
    join_here(residence, phone, here)
    walk_over(phone, there)
    walk_over(phone, here)
    assert (asked(residence, phone, here), asked(residence, phone, there)) == (1, 1)
    note = "2.10, after a reassociation from another access point"
    residence.recorder.access("wifi-m1-roamed", note, there, phone, ANA_KEY["passphrase"])
    until("ap1 has told", lambda: reports(residence, mac, here, Status.START) == 2, timeout=10.0)
    mark = phone.control.mark()

    residence.tell(ANA, keys=[key, BOB_KEY])

    phone.control.wait(mark, f"CTRL-EVENT-DISCONNECTED bssid={here.bssid}", timeout=10.0)
    # the other one remembers it as well, for half a minute
    phone.control.wait(mark, f"CTRL-EVENT-DISCONNECTED bssid={there.bssid}", timeout=60.0)
    until(
        "the phone is with the blocked", lambda: BLOCKED_VLAN in {p.vlan_of(phone) for p in (here, there)}, timeout=10
    )
    kicks = [event for event in phone.control.events(mark) if "CTRL-EVENT-DISCONNECTED" in event]
    assert len(kicks) <= 3, "it is not sent back and forth for half a minute"
