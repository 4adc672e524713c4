# SPDX-License-Identifier: Apache-2.0
"""The life of a key, while devices are on with it: full, begun, ended, revoked, rotated, moved.

hostapd 2.11 in mode 3, which asks at every handshake; and 2.10 in mode 2, which remembers an answer for 30 seconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import count

from tests.e2e.edge import KEYS
from tests.e2e.lab import until
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import ANA_VLAN, BOB_KEY, BOB_VLAN, SSID, Object, Residence

NETWORK = "{blocked: {vlan: 666}, rotate_overlap: 20s}"
LEFT = "CTRL-EVENT-DISCONNECTED"
SOON = 3.0
"""Seconds from a change to the Disconnect: billing is asked every 0.3, edged looks every second."""

_numbers = count(201)
_others: list[Object] = [*KEYS]


def a_key(vlan: int, **more: object) -> Object:
    """One of billing's that no test before has used."""
    number = next(_numbers)
    return {**BOB_KEY, "id": f"k-{number}", "passphrase": f"copper-otter-{number}", "vlan": vlan, **more}


def bill(residence: Residence, *keys: Object, withdrawn: Object | None = None) -> None:
    """Billing adds ``keys``, and takes one back: a list that shrinks with every test is one that edged holds."""
    changed = {key["id"] for key in (*keys, withdrawn or {"id": ""})}
    _others[:] = [*(key for key in _others if key["id"] not in changed), *keys]
    residence.give(*_others)


def moment(at: float) -> str:
    """As billing writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def own_key(residence: Residence, name: str, vlan: int) -> str:
    """A key made by hand; its passphrase."""
    passphrase = f"walnut-stork-{name}"
    more = ("--site", "building-7", "--vlan", str(vlan))
    typed(residence, "add", "--ssid", SSID, "--id", name, *more, passphrase=passphrase)
    return passphrase


def typed(residence: Residence, *command: str, passphrase: str) -> None:
    file = residence.directory / "typed"
    file.write_text(passphrase)
    said = residence.command("keys", *command, "--passphrase-file", str(file))
    assert said.returncode == 0, said.stderr
    until("its PMK is derived", lambda: residence.counters()["edged_key_pmks_pending"] == 0)


def told(residence: Residence, *command: str) -> None:
    said = residence.command("keys", *command)
    assert said.returncode == 0, said.stderr


def sent_away(station: Station, mark: int, *, since: float) -> None:
    """The access point told it to go, in time."""
    station.control.wait(mark, LEFT)
    assert time.time() - since < SOON


def test_a_full_key_takes_another_device_only_once_one_is_forgotten(residence: Residence, point: AccessPoint) -> None:
    one, two, three = (residence.device(f"phone{n}") for n in (1, 2, 3))
    key = a_key(BOB_VLAN, device_limit=2)
    bill(residence, key)
    one.join(SSID, key["passphrase"])
    two.join(SSID, key["passphrase"])

    three.refused(three.choose(SSID, key["passphrase"]))

    assert f"key {key['id']}" in residence.explained(three)
    assert "reason device-limit" in residence.explained(three)
    assert point.members() == {one.mac, two.mac}

    one.leave()
    told(residence, "forget", key["id"], one.mac)
    three.join(SSID, key["passphrase"])
    residence.dhcp(three)

    assert "the internet" in residence.sees(three)
    assert point.vlan_of(three) == BOB_VLAN
    one.refused(one.choose(SSID, key["passphrase"]))
    assert "reason device-limit" in residence.explained(one)
    assert point.members() == {two.mac, three.mac}


def test_a_full_key_that_replaces_its_oldest_device_sends_that_one_away(
    residence: Residence, point: AccessPoint
) -> None:
    one, two = residence.device("phone1"), residence.device("phone2")
    key = a_key(BOB_VLAN, device_limit=1)
    bill(residence, key)
    residence.change("{devices_full: replace-oldest}")
    one.join(SSID, key["passphrase"])
    mark, began = one.control.mark(), time.time()

    two.join(SSID, key["passphrase"])

    sent_away(one, mark, since=began)
    one.refused(mark)
    assert "reason device-limit" in residence.explained(one)
    assert point.vlan_of(two) == BOB_VLAN
    assert point.members() == {two.mac}
    residence.change(NETWORK)


def test_a_key_opens_from_its_beginning_to_its_end(residence: Residence, point: AccessPoint) -> None:
    phone = residence.device()
    begins, ends = int(time.time()) + 6, int(time.time()) + 16
    key = a_key(BOB_VLAN, not_before=moment(begins), expires=moment(ends))
    bill(residence, key)

    phone.refused(phone.choose(SSID, key["passphrase"]))

    assert time.time() < begins
    assert "reason not-yet-valid" in residence.explained(phone)

    time.sleep(begins - time.time() + 1)  # edged looks every second
    phone.join(SSID, key["passphrase"])
    mark = phone.control.mark()
    assert time.time() < ends - 2
    assert point.vlan_of(phone) == BOB_VLAN

    phone.control.wait(mark, LEFT)
    assert ends - 1 <= time.time() < ends + SOON
    until("its end is said", lambda: "reason expired" in residence.explained(phone))
    assert not point.members()
    phone.refused(phone.choose(SSID, key["passphrase"]))
    _others.remove(key)  # edged drops it too


def test_a_key_revoked_by_hand_sends_its_device_away_at_once(residence: Residence, point: AccessPoint) -> None:
    phone, other = residence.device("phone1"), residence.device("phone2")
    key = a_key(BOB_VLAN)
    bill(residence, key)
    passphrase = own_key(residence, "flat-9", ANA_VLAN)
    phone.join(SSID, passphrase)
    other.join(SSID, key["passphrase"])
    assert point.vlan_of(phone) == ANA_VLAN
    marks, ends, began = (phone.control.mark(), other.control.mark()), residence.counters(), time.time()

    told(residence, "revoke", "flat-9")

    sent_away(phone, marks[0], since=began)
    phone.refused(marks[0])
    assert "key flat-9" in residence.explained(phone)
    assert "reason revoked" in residence.explained(phone)
    assert point.members() == {other.mac}
    assert not other.left(marks[1])
    now = residence.counters()
    assert now['edged_disconnects_total{end="left"}'] == ends['edged_disconnects_total{end="left"}'] + 1

    told(residence, "revoke", "--undo", "flat-9")
    phone.join(SSID, passphrase)
    assert point.vlan_of(phone) == ANA_VLAN


def test_a_key_that_billing_withdraws_sends_its_device_away_at_once(residence: Residence, point: AccessPoint) -> None:
    phone = residence.device()
    key = a_key(BOB_VLAN)
    bill(residence, key)
    phone.join(SSID, key["passphrase"])
    mark, began = phone.control.mark(), time.time()

    bill(residence, withdrawn=key)

    sent_away(phone, mark, since=began)
    phone.refused(mark)
    assert "reason revoked" in residence.explained(phone)
    assert not point.members()


def test_a_withdrawn_key_ends_although_the_access_point_remembers_it(residence: Residence) -> None:
    point, phone = residence.point(version="2.10", mode=2), residence.device()
    key = a_key(BOB_VLAN, devices=[phone.mac])
    bill(residence, key)
    phone.join(SSID, key["passphrase"])
    began, mark = time.time(), phone.control.mark()
    accepts = residence.counters()["edged_key_accepts_total"]

    bill(residence, withdrawn=key)
    sent_away(phone, mark, since=began)
    mark = phone.control.mark()
    phone.joined(mark)  # from the memory of hostapd: edged was not asked
    assert residence.counters()["edged_key_accepts_total"] == accepts
    assert point.vlan_of(phone) == BOB_VLAN
    mark = phone.control.mark()

    phone.control.wait(mark, LEFT, timeout=40.0)

    assert 28 < time.time() - began < 34
    phone.refused(mark)
    assert "reason revoked" in residence.explained(phone)
    assert not point.members()


def test_both_passphrases_open_for_a_while_after_a_rotation(residence: Residence, point: AccessPoint) -> None:
    old, new, late = (residence.device(f"phone{n}") for n in (1, 2, 3))
    before, after = own_key(residence, "flat-7", BOB_VLAN), "cedar-plover-tuba-64"
    old.join(SSID, before)
    until("it is reported", lambda: old.mac in uses(residence, "flat-7", "--online"))
    mark = old.control.mark()

    rotated = time.time()
    typed(residence, "rotate", "flat-7", passphrase=after)
    new.join(SSID, after)
    late.join(SSID, before)

    assert {point.vlan_of(phone) for phone in (old, new, late)} == {BOB_VLAN}
    assert uses(residence, "flat-7") == {old.mac: True, new.mac: False, late.mac: True}
    time.sleep(rotated + 17 - time.time())
    assert not old.left(mark)
    marks = new.control.mark(), late.control.mark()

    old.control.wait(mark, LEFT)
    late.control.wait(marks[1], LEFT)
    assert rotated + 19 < time.time() < rotated + 20 + SOON
    old.refused(mark)
    late.refused(marks[1])
    assert "reason revoked" in residence.explained(old)
    assert point.members() == {new.mac}
    assert not new.left(marks[0])

    old.join(SSID, after)
    assert point.vlan_of(old) == BOB_VLAN


def test_a_rotation_now_sends_away_who_has_the_passphrase_that_leaked(residence: Residence, point: AccessPoint) -> None:
    phone = residence.device()
    after = "cedar-plover-harp-88"
    phone.join(SSID, own_key(residence, "flat-8", ANA_VLAN))
    mark = phone.control.mark()

    began = time.time()
    typed(residence, "rotate", "flat-8", "--now", passphrase=after)

    sent_away(phone, mark, since=began)
    phone.refused(mark)
    assert "reason revoked" in residence.explained(phone)
    phone.join(SSID, after)
    assert point.vlan_of(phone) == ANA_VLAN


def test_a_rotation_that_was_prepared_begins_at_its_time(residence: Residence, point: AccessPoint) -> None:
    phone, new = residence.device("phone1"), residence.device("phone2")
    after = "cedar-plover-lute-55"
    before = own_key(residence, "flat-5", ANA_VLAN)
    phone.join(SSID, before)
    mark, begins = phone.control.mark(), int(time.time()) + 6
    typed(residence, "rotate", "flat-5", "--at", moment(begins), passphrase=after)

    new.refused(new.choose(SSID, after))

    assert time.time() < begins
    assert "reason not-yet-valid" in residence.explained(new)
    time.sleep(begins - time.time() + 1)
    new.join(SSID, after)
    assert point.vlan_of(new) == ANA_VLAN
    assert point.vlan_of(phone) == ANA_VLAN
    assert not phone.left(mark)


def test_a_key_moved_to_another_vlan_takes_its_device_along(residence: Residence, point: AccessPoint) -> None:
    phone = residence.device()
    key = a_key(ANA_VLAN)
    bill(residence, key)
    phone.join(SSID, key["passphrase"])
    address = residence.dhcp(phone)
    assert residence.on_bridge(point, phone) == ANA_VLAN
    mark, began = phone.control.mark(), time.time()

    bill(residence, {**key, "vlan": BOB_VLAN})

    sent_away(phone, mark, since=began)
    phone.joined(mark)
    assert point.vlan_of(phone) == BOB_VLAN
    assert residence.dhcp(phone) != address
    assert "the internet" in residence.sees(phone)
    assert residence.on_bridge(point, phone) == BOB_VLAN


def uses(residence: Residence, key: str, *more: str) -> dict[str, bool]:
    """The devices of a key, and whether each has the passphrase of before."""
    return {row["mac"]: row["old_passphrase"] for row in residence.devices(key, *more)}
