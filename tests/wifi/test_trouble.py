# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while residents are on: edged killed or hung, RADIUS lost, billing away, everybody at once.

hostapd 2.11 in mode 3. Where edged has to be late it is stopped by a signal, and goes on when it has been asked.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

from tests.e2e.lab import LAN, until
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import (
    ANA_VLAN,
    BOB_KEY,
    BOB_VLAN,
    DEVICES,
    POINTS,
    ROUTER,
    SECRET,
    SSID,
    Object,
    Residence,
)  # fmt: skip

ON, LEFT, GAVE_UP = "CTRL-EVENT-CONNECTED", "CTRL-EVENT-DISCONNECTED", "CTRL-EVENT-SSID-TEMP-DISABLED"
REQUESTS, ACCOUNTS = (f'edged_radius_requests_total{{code="{code}_request"}}' for code in ("access", "accounting"))
REPLAYED, ACCEPTS = "edged_radius_replayed_total", "edged_key_accepts_total"
SECOND, WRONG = "192.0.2.2", "never-was-a-key-here"
PATIENCE_S = 110.0
"""Of a station that tries by itself: hostapd asks again after 3 s, wpa_supplicant begins anew after 10, 20, 30."""

_numbers = count(301)
_bill: list[Object] = []


def a_key(residence: Residence, vlan: int, **more: object) -> Object:
    """One of billing's that no test before has used; edged has it."""
    number = next(_numbers)
    key = {**BOB_KEY, "id": f"k-{number}", "passphrase": f"copper-otter-{number}", "vlan": vlan, **more}
    _bill.append(key)
    residence.give(*_bill)
    return key


def withdraw(residence: Residence, key: Object) -> None:
    """Billing's list without ``key``; edged may be away."""
    _bill.remove(key)
    residence.tell(keys=_bill)


class Since:
    """What edged has counted since a moment."""

    def __init__(self, residence: Residence) -> None:
        self._residence, self._before = residence, residence.counters()

    def __call__(self, name: str) -> float:
        """Of one counter, or of all labels of a family."""
        now = self._residence.counters()
        names = [each for each in now if each == name or each.startswith(name + "{")]
        return sum(now[each] - self._before[each] for each in names)

    def adds_up(self) -> bool:
        """Each request for a key ended in one accept or one reject; all others were told what had been told before."""
        return self(REQUESTS) == self(ACCEPTS) + self("edged_key_rejects_total")


def kill(residence: Residence) -> None:
    """edged dies, but not within the second in which it writes what it has granted and taken back.

    The next one would send away once more who was sent away just before: a device of the last test, in mid-association.
    """
    time.sleep(1.5)
    residence.kill()


@contextmanager
def hung(residence: Residence) -> Iterator[None]:
    """edged does nothing meanwhile, and its sockets fill."""
    assert residence.daemon is not None
    os.kill(residence.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(residence.daemon.pid, signal.SIGCONT)


@contextmanager
def dropped(residence: Residence, rule: str) -> Iterator[None]:
    """The router drops what ``rule`` says, in a table of its own."""
    chain = f"table inet lost {{ chain lost {{ type filter hook {rule} }}; }}"
    residence.lab.run("router", "nft", "-f", "-", input=chain)
    try:
        yield
    finally:
        residence.lab.run("router", "nft", "delete", "table", "inet", "lost")


def lost(residence: Residence, port: int) -> AbstractContextManager[None]:
    """Of edged's answers from ``port`` the first is lost, the second arrives, the third is lost."""
    return dropped(residence, f"output priority 0; udp sport {port} numgen inc mod 2 0 drop;")


@contextmanager
def bad_cable(residence: Residence, name: str) -> Iterator[None]:
    """Between the router and an access point, both ways: each third packet lost, some doubled, late, out of order."""
    ends, address = (("router", f"p-{name}"), (name, "eth0")), POINTS[name][1]
    how = ("duplicate", "30%", "delay", "40ms", "30ms", "reorder", "70%")
    third = "numgen inc mod 3 0 counter drop"
    chains = (
        f"chain {hook} {{ type filter hook {hook} priority 0; ip {side} {address} {third}; }}"
        for hook, side in (("input", "saddr"), ("output", "daddr"))
    )
    residence.lab.run("router", "nft", "-f", "-", input="table inet bad {\n" + "\n".join(chains) + "\n}\n")
    for namespace, device in ends:
        residence.lab.run(namespace, "tc", "qdisc", "add", "dev", device, "root", "netem", *how)
    try:
        yield
        lost = residence.lab.run("router", "nft", "list", "table", "inet", "bad").stdout
        assert "packets 0 " not in lost, lost
    finally:
        residence.lab.run("router", "nft", "delete", "table", "inet", "bad")
        for namespace, device in ends:
            residence.lab.run(namespace, "tc", "qdisc", "del", "dev", device, "root")


@contextmanager
def under(residence: Residence, name: str, mac: str) -> Iterator[Station]:
    """The device ``name`` under another address."""
    radio = DEVICES[name]
    own = residence.lab.run(name, "cat", f"/sys/class/net/{radio}/address").stdout.strip()
    residence.lab.run(name, "ip", "link", "set", radio, "address", mac)
    try:
        with residence.device(name) as station:
            yield station
    finally:
        residence.lab.run(name, "ip", "link", "set", radio, "down")
        residence.lab.run(name, "ip", "link", "set", radio, "address", own)


def requests_of(point: AccessPoint) -> int:
    """Access-Requests that it has sent, those sent again left aside."""
    return sum(map(int, re.findall(r"radiusAuthClientAccessRequests=(\d+)", point.control.ask("MIB"))))


def users(residence: Residence, key: Object) -> dict[str, Object]:
    """The devices of a key as ``edged keys devices`` has them."""
    return {row["mac"]: row for row in residence.devices(key["id"])}


def test_a_killed_edged_cuts_nobody_off_and_the_next_one_still_sends_away(
    residence: Residence, point: AccessPoint
) -> None:
    one, two, three = (residence.device(f"phone{n}") for n in (1, 2, 3))
    ana, bob = a_key(residence, ANA_VLAN), a_key(residence, BOB_VLAN)
    one.join(SSID, ana["passphrase"])
    two.join(SSID, bob["passphrase"])
    residence.dhcp(one)
    marks = one.control.mark(), two.control.mark()
    kill(residence)

    assert "the internet" in residence.sees(one)
    three.choose(SSID, bob["passphrase"])
    time.sleep(5.0)
    assert three.mac not in point.members()
    three.leave()
    assert point.members() == {one.mac, two.mac}
    assert not one.left(marks[0])
    assert not two.left(marks[1])

    withdraw(residence, ana)
    residence.start()

    one.control.wait(marks[0], LEFT)
    one.refused(marks[0])
    assert "reason revoked" in residence.explained(one)
    residence.lands(point, two, BOB_VLAN)
    assert not two.left(marks[1])
    assert point.members() == {two.mac}
    assert set(users(residence, bob)) == {two.mac}


def test_who_asks_while_edged_is_down_is_on_once_it_is_back(residence: Residence, point: AccessPoint) -> None:
    phone = residence.device()
    key = a_key(residence, ANA_VLAN, device_limit=1)
    kill(residence)
    mark = phone.choose(SSID, key["passphrase"])
    until("the access point has asked", lambda: requests_of(point) == 1)

    residence.start()
    phone.control.wait(mark, ON, timeout=PATIENCE_S)

    assert point.vlan_of(phone) == ANA_VLAN
    residence.dhcp(phone)
    assert "the internet" in residence.sees(phone)
    assert residence.on_bridge(point, phone) == ANA_VLAN
    assert set(users(residence, key)) == {phone.mac}
    now = residence.counters()
    # where edged takes long to start, the device has given up meanwhile and begun anew
    assert now[REQUESTS] == now[ACCEPTS] > 0


def test_a_request_that_is_sent_again_is_answered_once_and_counted_once(
    residence: Residence, point: AccessPoint
) -> None:
    phone, key, since = residence.device(), a_key(residence, BOB_VLAN, device_limit=1), Since(residence)
    with hung(residence):
        mark = phone.choose(SSID, key["passphrase"])
        until("the access point has asked", lambda: requests_of(point) == 1)
        time.sleep(3.2)  # and again

    phone.control.wait(mark, ON, GAVE_UP)

    assert point.vlan_of(phone) == BOB_VLAN
    assert (since(REQUESTS), since(ACCEPTS), since(REPLAYED)) == (1, 1, 1)
    assert set(users(residence, key)) == {phone.mac}


def test_an_answer_that_was_lost_is_given_again(residence: Residence, point: AccessPoint) -> None:
    phone, key, since = residence.device(), a_key(residence, BOB_VLAN, device_limit=1), Since(residence)
    with lost(residence, 1812):
        phone.join(SSID, key["passphrase"])

    assert point.vlan_of(phone) == BOB_VLAN
    assert (since(REQUESTS), since(ACCEPTS), since(REPLAYED)) == (1, 1, 1)
    assert set(users(residence, key)) == {phone.mac}


def test_a_session_whose_every_word_is_lost_at_first_is_kept_once(residence: Residence) -> None:
    residence.point(version="2.11", mode=3)
    phone, key, since = residence.device(), a_key(residence, ANA_VLAN), Since(residence)
    with lost(residence, 1813):
        phone.join(SSID, key["passphrase"])
        residence.dhcp(phone)
        residence.wait_for("it is online", lambda: session(residence, key, phone)["online"], timeout=20.0)
        phone.leave()
        residence.wait_for("it is offline", lambda: not session(residence, key, phone)["online"], timeout=20.0)
        # less than a second, and its Start is told again after its Stop
        told = session(residence, key, phone)
        time.sleep(12.0)  # hostapd tells again what was not acknowledged

    assert session(residence, key, phone) == told
    assert told["down"] > 0
    assert told["up"] > 0
    assert since(ACCOUNTS) + since(REPLAYED) > 2  # more than its Start and its Stop


def session(residence: Residence, key: Object, phone: Station) -> Object:
    """What is known of it, but for the times and what follows of them: hostapd tells its delay in whole seconds."""
    row = users(residence, key)[phone.mac]
    return {name: value for name, value in row.items() if name not in {"last_seen", "reported", "interim"}}


def test_devices_get_on_over_a_bad_cable_each_in_its_own_vlan(residence: Residence, point: AccessPoint) -> None:
    phones = [residence.device(f"phone{n}") for n in (1, 2, 3)]
    ana, bob, since = a_key(residence, ANA_VLAN, device_limit=2), a_key(residence, BOB_VLAN), Since(residence)
    with bad_cable(residence, "ap1"):
        marks = [phone.choose(SSID, key["passphrase"]) for phone, key in zip(phones, (ana, bob, ana), strict=True)]
        for phone, mark in zip(phones, marks, strict=True):
            phone.control.wait(mark, ON, timeout=PATIENCE_S)

    assert [*map(point.vlan_of, phones)] == [ANA_VLAN, BOB_VLAN, ANA_VLAN]
    assert set(users(residence, ana)) == {phones[0].mac, phones[2].mac}
    assert set(users(residence, bob)) == {phones[1].mac}
    assert since.adds_up()
    assert since("edged_key_rejects_total") == 0


def test_hostapd_turns_to_the_second_address_of_edged_when_the_first_is_silent(residence: Residence) -> None:
    # in mode 3 it does not: a station gives up before the fifth sending, and its request goes with it
    residence.lab.run("router", "ip", "address", "replace", f"{SECOND}/24", "dev", LAN)
    # the lines of the second server are behind the first one's secret: a mapping has each name once
    both = f"{SECRET}\nauth_server_addr={SECOND}\nauth_server_port=1812\nauth_server_shared_secret={SECRET}"
    point = residence.point(version="2.10", mode=2, auth_server_shared_secret=both)
    with under(residence, "phone3", "02:00:5e:10:00:31") as phone:
        key, since = a_key(residence, ANA_VLAN, devices=[phone.mac]), Since(residence)
        with dropped(residence, f"input priority 0; ip daddr {ROUTER} udp dport 1812 drop;"):
            mark = phone.choose(SSID, key["passphrase"])
            phone.control.wait(mark, ON, timeout=PATIENCE_S)

        assert point.vlan_of(phone) == ANA_VLAN
        asked = residence.wire.requests(phone.mac)
        assert asked[0].destination == f"{ROUTER}:1812"
        assert asked[-1].destination == f"{SECOND}:1812"
        assert since.adds_up()


def test_of_two_devices_that_ask_at_once_for_the_last_place_exactly_one_gets_it(residence: Residence) -> None:
    points = [residence.point(name, version="2.11", mode=3) for name in ("ap1", "ap2")]
    phones = [residence.device(name) for name in ("phone1", "phone2")]
    key, since = a_key(residence, ANA_VLAN, device_limit=1), Since(residence)

    events = both_at_once(residence, points, phones, (key, key))

    assert sorted(ON in event for event in events) == [False, True]
    on = int(ON in events[1])
    assert points[on].vlan_of(phones[on]) == ANA_VLAN
    assert not points[1 - on].members()
    assert "reason device-limit" in residence.explained(phones[1 - on])
    assert set(users(residence, key)) == {phones[on].mac}
    assert (since(REQUESTS), since(ACCEPTS)) == (2, 1)
    assert since('edged_key_rejects_total{reason="device-limit"}') == 1


def test_two_residents_who_ask_two_access_points_at_once_both_get_their_own_vlan(residence: Residence) -> None:
    points = [residence.point(name, version="2.11", mode=3) for name in ("ap1", "ap2")]
    phones = [residence.device(name) for name in ("phone1", "phone2")]
    keys, since = (a_key(residence, ANA_VLAN), a_key(residence, BOB_VLAN)), Since(residence)

    events = both_at_once(residence, points, phones, keys)

    assert all(ON in event for event in events)
    assert points[0].vlan_of(phones[0]) == ANA_VLAN
    assert points[1].vlan_of(phones[1]) == BOB_VLAN
    for phone, at, vlan in zip(phones, points, (ANA_VLAN, BOB_VLAN), strict=True):
        residence.dhcp(phone)
        assert residence.on_bridge(at, phone) == vlan
    assert (since(REQUESTS), since(ACCEPTS)) == (2, 2)


def both_at_once(
    residence: Residence, points: list[AccessPoint], phones: list[Station], keys: tuple[Object, Object]
) -> list[str]:
    """How it ended for each: the requests of both access points lie before edged when it begins to read."""
    before = [requests_of(at) for at in points]
    with hung(residence):
        marks = [
            phone.choose(SSID, key["passphrase"], bssid=at.bssid)
            for phone, key, at in zip(phones, keys, points, strict=True)
        ]
        for at, so_far in zip(points, before, strict=True):
            until("it has asked", lambda at=at, so_far=so_far: requests_of(at) > so_far)
    return [phone.control.wait(mark, ON, GAVE_UP) for phone, mark in zip(phones, marks, strict=True)]


def test_whoever_takes_the_address_of_another_takes_no_network_from_them(residence: Residence) -> None:
    here, there = (residence.point(name, version="2.11", mode=3) for name in ("ap1", "ap2"))
    owner = residence.device("phone1")
    key, other = a_key(residence, ANA_VLAN), a_key(residence, BOB_VLAN)
    owner.join(SSID, key["passphrase"], bssid=here.bssid)
    mark = owner.control.mark()
    with under(residence, "phone2", owner.mac) as thief:
        assert thief.mac == owner.mac
        thief.join(SSID, other["passphrase"], bssid=there.bssid)

        assert there.vlan_of(thief) == BOB_VLAN  # whose key it is, not whose address
        assert here.vlan_of(owner) == ANA_VLAN
        assert not owner.left(mark)

        thief.leave()
        owner.join(SSID, key["passphrase"], bssid=here.bssid)
        mark = owner.control.mark()
        thief.refused(thief.choose(SSID, WRONG, bssid=there.bssid))
        assert "reason no-match" in residence.explained(owner)
        assert here.vlan_of(owner) == ANA_VLAN
        assert not owner.left(mark)
        thief.leave()

    withdraw(residence, key)  # and who is on under it is still known
    owner.control.wait(mark, LEFT)
    owner.refused(mark)
    assert not here.members()


def test_keys_open_the_network_while_billing_is_away_also_after_a_restart(
    residence: Residence, point: AccessPoint
) -> None:
    phone, key = residence.device(), a_key(residence, ANA_VLAN)
    feed = residence.directory / "feed.json"
    feed.rename(residence.directory / "feed.away")  # billing answers each question with 500
    try:
        kill(residence)
        residence.start()

        phone.join(SSID, key["passphrase"])
        residence.dhcp(phone)

        assert "the internet" in residence.sees(phone)
        assert point.vlan_of(phone) == ANA_VLAN
        mark = phone.control.mark()
    finally:
        (residence.directory / "feed.away").rename(feed)
    withdraw(residence, key)
    phone.control.wait(mark, LEFT, timeout=60.0)
    phone.refused(mark)
    assert "reason revoked" in residence.explained(phone)


def test_a_flood_of_wrong_keys_holds_up_no_neighbour(residence: Residence, point: AccessPoint) -> None:
    stubborn, phone = residence.device("phone1"), residence.device("phone2")
    key, since = a_key(residence, BOB_VLAN), Since(residence)
    for _ in range(10):
        stubborn.refused(stubborn.choose(SSID, WRONG))
    assert "reason no-match" in residence.explained(stubborn)
    stubborn.refused(stubborn.choose(SSID, WRONG))
    assert "reason cool-down" in residence.explained(stubborn)
    began = time.time()

    stubborn.choose(SSID, WRONG)
    phone.join(SSID, key["passphrase"])

    assert time.time() - began < 3.0
    assert point.vlan_of(phone) == BOB_VLAN
    assert since('edged_key_rejects_total{reason="no-match"}') == 10
    assert since('edged_key_rejects_total{reason="cool-down"}') >= 1
    assert since.adds_up()

    a_key(residence, ANA_VLAN)  # it passes by itself within a minute, and with another list at once
    stubborn.join(SSID, key["passphrase"])
    assert point.vlan_of(stubborn) == BOB_VLAN
