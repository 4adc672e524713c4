# SPDX-License-Identifier: Apache-2.0
"""The garden that a target is told when it is back, and what no target can do."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, ip_address

from edged.enforce.routeros.layout import CARRIED
from edged.enforce.sets import ALL_SETS, SETS
from edged.enforce.standing import Learned, left_out
from edged.model import State
from tests.e2e.enforce_contract import subscriber, wanted

ONE, TWO, THREE = (ip_address(f"203.0.113.{n}") for n in (1, 2, 3))


def test_an_address_is_remembered_until_its_last_end() -> None:
    learned = Learned()
    learned.remember([(ONE, 30.0), (TWO, 5.0)], now=100.0)
    learned.remember([(ONE, 10.0)], now=101.0)

    assert learned.left(now=102.0) == [(TWO, 3.0), (ONE, 28.0)]
    assert learned.left(now=106.0) == [(ONE, 24.0)]
    assert len(learned) == 1


def test_what_was_learned_after_a_turn_is_told_alone_and_the_latest_last() -> None:
    learned = Learned()
    learned.remember([(ONE, 30.0), (TWO, 30.0)], now=100.0)
    turn = learned.turn
    assert learned.left(100.0, turn) == []
    learned.remember([(THREE, 1.0)], now=100.0)
    learned.remember([(ONE, 20.0)], now=100.0)

    assert learned.left(102.0, turn) == [(ONE, 28.0)], "and not what has ended"
    assert learned.left(100.0) == [(TWO, 30.0), (THREE, 1.0), (ONE, 30.0)]


def test_when_there_are_too_many_the_ended_go_and_then_those_learned_first() -> None:
    learned = Learned(most=2)
    learned.remember([(ONE, 1.0), (TWO, 30.0)], now=100.0)
    learned.remember([(THREE, 30.0)], now=102.0)
    assert [address for address, _ in learned.left(102.0)] == [TWO, THREE]

    learned.remember([(ONE, 30.0)], now=102.0)
    assert [address for address, _ in learned.left(102.0)] == [THREE, ONE]


def test_a_hundred_thousand_addresses_are_remembered_in_no_time() -> None:
    learned, begun = Learned(), time.process_time()
    for number in range(100_000):
        learned.remember([(IPv4Address(number), 600.0)], now=100.0)

    assert time.process_time() - begun < 2.0, "all of them are looked at now and then, not at each"
    assert len(learned) < 100_000


def test_devices_and_reminders_that_nobody_can_carry_are_told_of() -> None:
    value = wanted(
        subscriber("1", "100.64.1.7", devices=("02:00:5e:10:00:01", "02:00:5e:10:00:02")),
        subscriber("2", "100.64.1.8", state=State.NOTICE),
    )

    assert left_out(value.sets, ALL_SETS) == ()
    assert left_out(value.sets, CARRIED) == (
        "2 devices cannot be blocked by their MAC here: only what has an address is",
        "1 reminders are due, and none leads to the page from here",
    )
    assert left_out(wanted(subscriber("1", "100.64.1.7")).sets, CARRIED) == ()
    value = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56", "2001:db8:100::7"))
    without = {name for name in CARRIED if SETS[name].version != 6}
    assert left_out(value.sets, without) == ("2 IPv6 lines cannot be blocked: there is no IPv6 here",)
