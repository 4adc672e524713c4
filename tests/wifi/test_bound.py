# SPDX-License-Identifier: Apache-2.0
"""hostapd 2.10, which asks before the handshake: by MAC address, ``wpa_psk_radius`` 1 and 2."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.wifi.residence import (
    ANA_KEY,
    ANA_VLAN,
    BOB_KEY,
    BOB_VLAN,
    DEFAULT_PASSPHRASE,
    SSID,
    UNKNOWN_VLAN,
    Object,
    Residence,
)

ODD_SSID = "Haus 7: Größe"
"""A colon, as stands before the SSID in Called-Station-Id, and letters of two octets."""
NO_UNKNOWN = f"{Residence.network}\n    {json.dumps(ODD_SSID)}: {Residence.network}"
UNKNOWN = "{blocked: {vlan: 666}, unknown: {vlan: 999}}"
OFFER = "{blocked: {vlan: 666}, unknown: {vlan: 999, keys: 20}}"
NETWORK = NO_UNKNOWN
CACHED_S = 30.0
"""So long hostapd answers from memory, rejects too."""


@pytest.fixture(autouse=True)
def _settings(residence: Residence) -> None:
    """Every test begins without a VLAN of the unknown."""
    if residence.network != NO_UNKNOWN:
        residence.change(NO_UNKNOWN)


@pytest.mark.parametrize("mode", [1, 2])
def test_two_residents_with_two_keys_on_one_ssid_land_on_two_vlans(residence: Residence, mode: int) -> None:
    point, ana, bob = residence.point(mode=mode, dynamic_vlan=2), residence.device("phone1"), residence.device("phone2")
    residence.give({**ANA_KEY, "devices": [ana.mac]}, {**BOB_KEY, "devices": [bob.mac]})

    ana.join(SSID, ANA_KEY["passphrase"])
    bob.join(SSID, BOB_KEY["passphrase"])

    residence.lands(point, ana, ANA_VLAN)
    residence.lands(point, bob, BOB_VLAN)
    assert "was let on to Residence" in residence.explained(ana)
    assert "key k-101 VLAN 101" in residence.explained(ana)
    assert "key k-102 VLAN 102" in residence.explained(bob)
    assert {mac: row["key"] for mac, row in residence.online().items()} == {ana.mac: "k-101", bob.mac: "k-102"}


@pytest.mark.parametrize("mode", [1, 2])
def test_with_a_neighbours_key_the_device_gives_up_and_edged_has_answered_all_the_same(
    residence: Residence, mode: int
) -> None:
    point, ana = residence.point(mode=mode), residence.device()
    residence.give({**ANA_KEY, "devices": [ana.mac]}, BOB_KEY)

    event = ana.refused(ana.choose(SSID, BOB_KEY["passphrase"]))

    assert "reason=WRONG_KEY" in event
    assert point.members() == set()
    # all that edged saw is a question by MAC address, and that it has answered
    assert "was let on to Residence" in residence.explained(ana)
    assert residence.online() == {}

    ana.join(SSID, ANA_KEY["passphrase"])
    residence.wait_for("it is on", lambda: point.members() == {ana.mac})


@pytest.mark.parametrize("mode", [1, 2])
def test_a_device_that_no_key_has_is_refused_before_the_handshake_until_it_is_registered(
    residence: Residence, mode: int
) -> None:
    point, ana = residence.point(mode=mode), residence.device()
    residence.give(ANA_KEY)
    mark = ana.choose(SSID, ANA_KEY["passphrase"])

    assert "CTRL-EVENT-AUTH-REJECT" in ana.refused(mark)
    assert not any(event.startswith("Associated") for event in ana.control.events(mark))
    assert point.members() == set()
    assert "was REJECTED on Residence" in residence.explained(ana)
    assert "reason unknown-device" in residence.explained(ana)

    residence.give({**ANA_KEY, "devices": [ana.mac]})
    # it tries by itself, once hostapd has forgotten the reject
    ana.control.wait(mark, "CTRL-EVENT-CONNECTED", timeout=3 * CACHED_S)
    residence.lands(point, ana, ANA_VLAN)


def test_in_mode_1_an_unknown_device_gets_on_with_the_access_points_own_passphrase_in_the_vlan_of_the_unknown(
    residence: Residence,
) -> None:
    residence.change(UNKNOWN)
    point, ana, stranger = residence.point(mode=1), residence.device("phone1"), residence.device("phone2")
    residence.give({**ANA_KEY, "devices": [ana.mac]})

    stranger.join(SSID, DEFAULT_PASSPHRASE)
    ana.join(SSID, ANA_KEY["passphrase"])

    residence.lands(point, stranger, UNKNOWN_VLAN)
    residence.lands(point, ana, ANA_VLAN)
    assert "no key VLAN 999" in residence.explained(stranger)

    stranger.leave()
    assert "reason=WRONG_KEY" in stranger.refused(stranger.choose(SSID, ANA_KEY["passphrase"]))

    # and the access point takes it from everybody whom edged accepts
    ana.leave()
    ana.join(SSID, DEFAULT_PASSPHRASE)
    residence.lands(point, ana, ANA_VLAN)


def test_in_mode_2_an_unknown_device_is_refused_by_hostapd_though_edged_accepts_it(residence: Residence) -> None:
    residence.change(UNKNOWN)
    point, stranger = residence.point(mode=2, wpa_passphrase=DEFAULT_PASSPHRASE), residence.device()
    residence.give(ANA_KEY)

    event = stranger.refused(stranger.choose(SSID, DEFAULT_PASSPHRASE))

    assert "CTRL-EVENT-AUTH-REJECT" in event
    assert point.members() == set()
    assert "was let on to Residence" in residence.explained(stranger)
    assert "no key VLAN 999" in residence.explained(stranger)


@pytest.mark.parametrize("mode", [1, 2])
def test_unknown_devices_get_on_with_any_key_of_the_offer_in_the_vlan_of_the_unknown(
    residence: Residence, mode: int
) -> None:
    residence.change(OFFER)
    point = residence.point(mode=mode)
    one, two, three = (residence.device(name) for name in ("phone1", "phone2", "phone3"))
    others: Object = {**ANA_KEY, "id": "k-103", "passphrase": "somebody-elses-42", "devices": ["02:00:5e:10:00:03"]}
    residence.give(ANA_KEY, BOB_KEY, others)

    one.join(SSID, ANA_KEY["passphrase"])
    two.join(SSID, BOB_KEY["passphrase"])
    # a key with devices of its own is not offered
    assert "reason=WRONG_KEY" in three.refused(three.choose(SSID, others["passphrase"]))

    residence.lands(point, one, UNKNOWN_VLAN)
    residence.lands(point, two, UNKNOWN_VLAN)
    assert "no key VLAN 999" in residence.explained(one)
    # nobody knows which key it was
    assert {mac: row["key"] for mac, row in residence.online().items()} == {one.mac: "", two.mac: ""}


def test_when_a_key_of_the_offer_ends_its_devices_are_out_and_the_others_come_back(residence: Residence) -> None:
    residence.change(OFFER)
    point, stays, goes = residence.point(mode=2), residence.device("phone1"), residence.device("phone2")
    residence.give(ANA_KEY, BOB_KEY)
    stays.join(SSID, ANA_KEY["passphrase"])
    goes.join(SSID, BOB_KEY["passphrase"])
    mark = goes.control.mark()

    residence.give(ANA_KEY)

    # what hostapd remembers lets both on again at first
    event = goes.control.wait(mark, "CTRL-EVENT-SSID-TEMP-DISABLED", timeout=2 * CACHED_S)
    assert "reason=WRONG_KEY" in event
    residence.wait_for("the other one is back", lambda: point.members() == {stays.mac}, timeout=30.0)
    residence.lands(point, stays, UNKNOWN_VLAN)


def test_accounting_names_the_key_and_says_who_is_on_and_how_much(residence: Residence) -> None:
    # it does not ask for the Chargeable-User-Identity by itself
    point = residence.point(mode=2, radius_acct_interim_interval=2, radius_auth_req_attr="89:x:00")
    ana, begins = residence.device(), len(point.log)
    residence.give({**ANA_KEY, "devices": [ana.mac]})
    residence.wait_for("what was before has left", lambda: not residence.ends()["waiting"], timeout=60.0)
    ana.join(SSID, ANA_KEY["passphrase"])

    def row() -> Object:
        return dict(residence.online().get(ana.mac, {}))

    residence.wait_for("it is online", lambda: bool(row()))
    begun = row()
    named = ("k-101", "Apartment 101", "ap1@192.0.2.11")
    assert (begun["key"], begun["label"], begun["nas"]) == named
    residence.lands(point, ana, ANA_VLAN)
    residence.wait_for("traffic is reported", lambda: bool(row()["interim"] and row()["down"] and row()["up"]))
    first = row()
    residence.sees(ana)
    residence.wait_for("more is reported", lambda: bool(row()["down"] > first["down"] and row()["up"] > first["up"]))
    assert abs(row()["since"] - begun["since"]) < 2.0  # hostapd counts whole seconds

    ana.leave()
    residence.wait_for("it is offline", lambda: not row())
    (ended,) = (r for r in residence.devices() if (r["mac"], r["ssid"]) == (ana.mac, SSID))
    assert (ended["online"], ended["key"]) == (False, "k-101")
    assert ended["down"] > first["down"]

    reports = [r for r in _requests(point.log[begins:], "Accounting-Request") if "Calling-Station-Id" in r]
    assert re.fullmatch("13+2", "".join(r["Acct-Status-Type"] for r in reports))  # Start, Interim, Stop
    names = {(r["User-Name"], r["Chargeable-User-Identity"]) for r in reports}
    assert names == {("'key:billing:k-101'", "'key:billing:k-101'")}


def test_a_disconnect_of_a_device_that_is_not_there_any_more_ends_as_gone(residence: Residence) -> None:
    point, ana = residence.point(mode=2), residence.device()
    residence.give(BOB_KEY)
    time.sleep(CACHED_S)  # until devices of the tests before have been seen off
    residence.wait_for("nobody else is to leave", lambda: residence.ends()["waiting"] == 0)
    before = residence.ends()
    residence.give({**ANA_KEY, "devices": [ana.mac]}, BOB_KEY)
    ana.join(SSID, ANA_KEY["passphrase"])
    ana.leave()
    residence.wait_for("hostapd has forgotten it", lambda: point.member(ana.mac) is None)

    residence.give(BOB_KEY)

    # hostapd would let it on from memory as yet: it is asked a second time when that has ended
    residence.wait_for("it is to leave", lambda: residence.ends() == {**before, "waiting": 1})
    time.sleep(CACHED_S - 5.0)
    assert residence.ends() == {**before, "waiting": 1}
    residence.wait_for("edged is done", lambda: residence.ends()["waiting"] == 0, timeout=10.0)
    assert residence.ends() == {**before, "gone": before["gone"] + 1}
    assert "cause=503" in residence.log.read_text()


def test_keys_of_every_spelling_work_on_an_ssid_of_every_spelling(residence: Residence) -> None:
    point = residence.point(mode=2, ssid=ODD_SSID)
    spellings = (' #"quotes" & {braces}: = ', "x" * 62 + "!", "0123456789abcdef" * 4)
    phones = [residence.device(name) for name in ("phone1", "phone2", "phone3")]
    keys: list[Object] = [
        {**BOB_KEY, "id": f"k-{n}", "ssid": ODD_SSID, "passphrase": said, "devices": [phone.mac]}
        for n, (phone, said) in enumerate(zip(phones, spellings, strict=True))
    ]
    residence.give(*keys)

    for phone, said in zip(phones, spellings, strict=True):
        phone.join(ODD_SSID, said)

    residence.wait_for("all are on", lambda: point.members() == {phone.mac for phone in phones})
    assert {row["ssid"] for row in residence.online().values()} == {ODD_SSID}
    residence.lands(point, phones[-1], BOB_VLAN)


def _requests(log: str, kind: str) -> list[dict[str, str]]:
    """What hostapd's log has of requests of a kind: attributes by name, as it prints them."""
    found: list[dict[str, str]] = []
    for part in log.split("RADIUS message: code=")[1:]:
        head, *lines = part.splitlines()
        if kind in head:
            body = re.findall(r"   Attribute \d+ \(([^)]+)\) length=\d+\n[0-9.]+:       Value: (.*)", "\n".join(lines))
            found.append(dict(body))
    return found
