# SPDX-License-Identifier: Apache-2.0
"""Devices that go from one access point to another: from where they are sent away."""

from __future__ import annotations

from dataclasses import replace

from edged.mpsk.desk import Desk
from edged.mpsk.grants import MOST_BEEN
from edged.radius.attributes import attribute
from edged.radius.packet import Answer, Code
from edged.values import parse_address
from tests.mpsk_world import (
    BLOCKED,
    HOME,
    MAC,
    NOW,
    OPEN,
    OTHER_MAC,
    SSID,
    answered,
    client,
    handshake_request,
    mpsk_settings,
    rechecked,
    request,
    ring_of,
    stored,
)

HERE, THERE = HOME, parse_address("127.0.0.2")
PLACE, SITE = (SSID, MAC), "building-7"
REPORT = (attribute("NAS-Identifier", "ap-2"), attribute("Calling-Station-Id", "02-00-5E-10-00-01"))
REGISTERED = stored(devices=(MAC, OTHER_MAC), vlan=112, subscriber="1001")


def building() -> Desk:
    """A device that asked by its MAC address is on at HERE."""
    desk = Desk(mpsk_settings(blocked={"vlan": 666}))
    desk.ring = ring_of(REGISTERED)
    assert isinstance(desk.ask(request(), client(), HERE, OPEN, NOW), Answer)
    return desk


def test_a_device_that_an_access_point_let_on_from_memory_is_sent_away_from_there() -> None:
    desk = building()
    desk.grants.began(PLACE, SITE, THERE, REPORT, NOW + 5)

    (stale,) = rechecked(desk.recheck(BLOCKED, NOW + 6))

    assert (stale.nas, stale.been) == (THERE, (HERE,)), "a Start that was late, or a lie, hides nobody"
    assert [tuple(a) for a in stale.session] == [(31, b"02-00-5E-10-00-01"), (32, b"ap-2")]
    assert stale.cached_until == NOW + 30
    rows, _ = desk.grants.unwritten()
    assert [row.nas for row in rows] == [str(THERE)]


def test_a_report_of_before_the_last_answer_or_of_another_site_moves_nobody() -> None:
    desk = building()
    desk.grants.began(PLACE, SITE, THERE, REPORT, NOW - 1)
    desk.grants.began(PLACE, "building-8", THERE, REPORT, NOW + 5)
    desk.grants.began((SSID, MAC.replace("01", "77")), SITE, THERE, REPORT, NOW + 5)  # type: ignore[arg-type]  # a MAC

    assert [stale.nas for stale in rechecked(desk.recheck(BLOCKED, NOW + 6))] == [HERE]


def test_a_device_that_was_sent_away_and_came_on_elsewhere_from_memory_is_sent_away_again() -> None:
    desk = building()
    (first,) = rechecked(desk.recheck(BLOCKED, NOW + 1))

    desk.grants.began(PLACE, SITE, HERE, REPORT, NOW + 2)
    assert rechecked(desk.recheck(BLOCKED, NOW + 2)) == [], "there it is being seen off already"
    desk.grants.began(PLACE, SITE, THERE, REPORT, NOW + 3)
    assert rechecked(desk.recheck(BLOCKED, NOW + 3)) == [], "it would come back from the other one's memory"
    (again,) = rechecked(desk.recheck(BLOCKED, NOW + 32))

    assert desk.grants.is_gone(first)
    assert again == replace(first, nas=THERE, session=())
    assert isinstance(desk.ask(request(), client(), THERE, BLOCKED, NOW + 33), Answer)
    assert desk.grants.is_gone(again)


def test_only_who_may_have_gone_on_by_fast_transition_is_looked_for_elsewhere() -> None:
    key = stored(vlan=112, subscriber="1001")
    assert key.pmk is not None
    for suite, roams in (("psk-sha1", False), ("psk-sha256", False), ("ft-psk", True)):
        desk = Desk(mpsk_settings(blocked={"vlan": 666}))
        desk.ring = ring_of(key)
        answer = answered(desk, handshake_request(key.pmk.reveal(), suite=suite), client())
        assert answer is not None
        assert answer.code is Code.ACCESS_ACCEPT

        (stale,) = rechecked(desk.recheck(BLOCKED, NOW))
        assert stale.roams is roams

        rows, _ = desk.grants.unwritten()
        later = Desk(mpsk_settings(blocked={"vlan": 666}))
        later.ring = ring_of(key)
        later.grants.restore(rows, later.ring, NOW, later.settings)
        (restored,) = rechecked(later.recheck(BLOCKED, NOW))
        assert restored.roams, "which handshake it was is not kept"

    (stale,) = rechecked(building().recheck(BLOCKED, NOW))
    assert not stale.roams


def test_where_it_was_let_on_before_at_its_site_is_told_as_well_and_forgotten_with_that() -> None:
    desk = building()
    places = [parse_address(f"127.0.1.{n}") for n in range(MOST_BEEN + 3)]
    for n, nas in enumerate((*places, THERE)):
        assert isinstance(desk.ask(request(), client(), nas, OPEN, NOW + n), Answer)
    other = client(name="building-8")
    assert isinstance(desk.ask(request(OTHER_MAC), other, HERE, OPEN, NOW), Answer)
    assert isinstance(desk.ask(request(OTHER_MAC), client(), THERE, OPEN, NOW), Answer)

    there = {stale.mac: stale for stale in rechecked(desk.recheck(BLOCKED, NOW + 30))}

    assert (there[MAC].nas, there[MAC].been) == (THERE, tuple(reversed(places[3:])))
    assert there[OTHER_MAC].been == (), "another site has another secret"
    assert isinstance(desk.ask(request(), client(), THERE, BLOCKED, NOW + 31), Answer)
    assert [stale.been for stale in rechecked(desk.recheck(OPEN, NOW + 32)) if stale.mac == MAC] == [()]
