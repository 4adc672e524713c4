# SPDX-License-Identifier: Apache-2.0
"""Devices on the VLAN of the blocked: whose they are, what they get, and that billing's word on them goes first."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from edged.enforce.desired import desired
from edged.enforce.rules import Rules
from edged.enforce.sets import SetName
from edged.model import Access, Snapshot, State, Subscriber
from edged.ops.subjects import subscriber_of
from edged.policy.access import Learned, Override, Rule, View
from edged.policy.moved import Holder, Moved
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import MacAddress, host_prefix, parse_mac

NOW = 1_800_000_000.0
HERE = ip_address("100.64.6.7")
PHONE, TABLET = parse_mac("02:00:5e:10:00:01"), parse_mac("02:00:5e:10:00:02")
ANA, BOB = Holder("ana", "k-1"), Holder("bob", "k-2")
SETTINGS = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10"], "exempt": ["100.64.255.0/24"]})


def view(*subscribers: Subscriber, learned: Learned | None = None, by: Holder = ANA) -> View:
    """The phone is there with a key of Ana's, at ``HERE``."""
    moved = Moved().changed({PHONE: by}).located({HERE: PHONE})
    table = compile_table(Snapshot("s", "1", NOW, subscribers), SETTINGS)
    return View(table, replace(learned or Learned(), moved=moved))


def one(name: str, state: State = State.BLOCKED, *devices: str) -> Subscriber:
    return Subscriber(name, state, "unpaid", NOW - 9, devices=tuple(map(parse_mac, devices)))


def blocked_macs(v: View) -> set[str]:
    return {str(mac) for mac in desired(v, Rules(), NOW).sets[SetName.MOVED_MACS]}


def test_devices_come_change_hands_and_go_and_only_what_changes_is_another_value() -> None:
    none = Moved()
    both = none.changed({PHONE: ANA, TABLET: ANA})
    assert both.devices == {"ana": (PHONE, TABLET)}
    assert none.devices == {}
    assert both.changed({PHONE: ANA}) is both
    assert both.changed({}) is both

    handed = both.located({HERE: PHONE, ip_address("100.64.6.9"): parse_mac("02:00:5e:10:00:09")})
    assert handed.addresses == {HERE: PHONE}, "of others nothing is remembered"
    handed = handed.changed({PHONE: BOB})
    assert handed.devices == {"ana": (TABLET,), "bob": (PHONE,)}
    assert handed.concerned({PHONE: ANA, TABLET: None}) == {"ana", "bob"}

    gone = handed.changed({PHONE: None})
    assert (gone.holders, gone.devices, gone.addresses) == ({TABLET: ANA}, {"ana": (TABLET,)}, {})
    assert handed.located({HERE: PHONE}) is handed


def test_a_piece_of_a_whole_hotel_comes_and_goes_in_a_moment() -> None:
    guests = [MacAddress(f"02:00:5e:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}") for n in range(20_000)]
    there = Moved().changed(dict.fromkeys(guests, ANA))
    began = time.process_time()
    fewer = there.changed(dict.fromkeys(guests[:2_000], None)).changed({TABLET: ANA})
    assert time.process_time() - began < 0.5, "40 million comparisons took a second and more"
    assert fewer.devices == {"ana": (*guests[2_000:], TABLET)}


def test_it_is_blocked_as_that_subscriber_by_mac_and_by_the_address_it_has() -> None:
    v = view(one("ana"))

    for decision in (v.decide_device(PHONE, NOW), v.decide(HERE, NOW)):
        assert decision.subscriber is not None
        assert (decision.access, decision.rule, decision.subscriber.id) == (Access.BLOCKED, Rule.BILLING, "ana")
    assert blocked_macs(v) == {PHONE}
    assert v.decide_device(TABLET, NOW).access is Access.OPEN
    assert v.decide(ip_address("100.64.6.8"), NOW).access is Access.OPEN
    assert subscriber_of(v, PHONE) == "ana"
    assert v.line_at(HERE) == ((host_prefix(HERE),), (PHONE,))
    assert desired(v, Rules(), NOW).holds(v.line_at(HERE))


def test_no_set_that_holds_at_every_interface_has_it() -> None:
    sets = desired(view(one("ana")), Rules(), NOW).sets

    assert [name for name, elements in sets.items() if PHONE in elements] == [SetName.MOVED_MACS]


def word(*, blocked: bool) -> Learned:
    return Learned(overrides={"ana": Override("ana", blocked, NOW + 60, "", "desk", NOW)})


@pytest.mark.parametrize(
    ("state", "learned", "wanted"),
    [
        (State.ACTIVE, Learned(), Access.OPEN),
        (State.NOTICE, Learned(), Access.OPEN),
        (None, Learned(), Access.OPEN),
        (State.BLOCKED, Learned(passes={"ana": NOW + 60}), Access.PASS),
        (State.BLOCKED, Learned(passes={"ana": NOW}), Access.BLOCKED),
        (State.BLOCKED, word(blocked=False), Access.OPEN),
        (State.ACTIVE, word(blocked=True), Access.BLOCKED),
    ],
)
def test_it_gets_what_its_subscriber_gets_now(state: State | None, learned: Learned, wanted: Access) -> None:
    v = view(*((one("ana", state),) if state else ()), learned=learned)

    assert v.decide_device(PHONE, NOW).access is wanted
    assert v.decide(HERE, NOW).access is wanted
    assert blocked_macs(v) == ({PHONE} if wanted is Access.BLOCKED else set())


def test_an_exempt_address_and_a_foreign_one_stay_what_they_are() -> None:
    for text, wanted in (("100.64.255.9", Access.EXEMPT), ("192.0.2.7", Access.STRANGER)):
        v = view(one("ana"))
        v = replace(v, learned=replace(v.learned, moved=v.learned.moved.located({ip_address(text): PHONE})))
        assert v.decide(ip_address(text), NOW).access is wanted


@pytest.mark.parametrize("listed", [State.ACTIVE, State.NOTICE, State.BLOCKED])
def test_a_device_that_billing_lists_is_whose_billing_says(listed: State) -> None:
    v = view(one("ana"), one("bob", listed, PHONE))

    assert v.decide_device(PHONE, NOW) == v.decide_listed(PHONE, NOW)
    assert blocked_macs(v) == set()
    holder = v.holder_of(PHONE)
    assert holder is not None
    assert holder.id == "bob"


def test_the_key_server_is_not_told_where_it_put_a_device_itself() -> None:
    assert view(one("ana")).decide_listed(PHONE, NOW).access is Access.OPEN


def test_the_table_of_neighbours_elsewhere_does_not_make_its_address_blocked() -> None:
    there = ip_address("100.64.1.7")
    v = view(one("ana"))
    v = replace(v, learned=replace(v.learned, neighbours={there: PHONE}))

    assert v.decide(there, NOW).access is Access.OPEN
