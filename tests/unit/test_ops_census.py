# SPDX-License-Identifier: Apache-2.0
"""How many subscribers get what, and on whom nothing can be enforced."""

from __future__ import annotations

from dataclasses import replace

from edged.model import Access, Snapshot, State, Subscriber
from edged.ops.census import CensusTaker, census
from edged.policy.access import Learned, Override, View
from edged.policy.prefixes import PrefixMap
from edged.policy.sessions import OnlineLines
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import parse_mac, parse_prefix

NOW = 1_800_000_000.0
SETTINGS = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10"]})
HERE, AWAY = "100.64.1.7", "192.0.2.7"


def one(
    name: str, *addresses: str, state: State = State.BLOCKED, reason: str = "unpaid", **names: tuple[str, ...]
) -> Subscriber:
    devices = tuple(map(parse_mac, names.get("devices", ())))
    lines = tuple(map(parse_prefix, addresses))
    return Subscriber(name, state, reason, addresses=lines, devices=devices, logins=names.get("logins", ()))


def view(*subscribers: Subscriber, learned: Learned | None = None) -> View:
    return View(compile_table(Snapshot("s", "1", 0.0, subscribers), SETTINGS), learned or Learned())


def test_subscribers_are_counted_by_what_billing_says_and_by_what_they_get() -> None:
    word = Override("3", blocked=False, until=NOW + 60, why="promised", who="desk", at=NOW)
    counted = census(
        view(
            one("1", HERE), one("2", "100.64.1.8", reason="abuse"), one("3", "100.64.1.9"), one("4", "100.64.1.10"),
            one("5", state=State.NOTICE), one("6", state=State.ACTIVE), one("7", "100.64.1.11"),
            learned=Learned({"3": word}, {"4": NOW + 60}),
        ),
        NOW,
    )  # fmt: skip

    assert counted.by == {
        (State.BLOCKED, Access.BLOCKED): 3, (State.BLOCKED, Access.OPEN): 1, (State.BLOCKED, Access.PASS): 1,
        (State.NOTICE, Access.NOTICE): 1, (State.ACTIVE, Access.OPEN): 1,
    }  # fmt: skip
    assert (counted.having(Access.OPEN), counted.having(Access.BLOCKED), counted.having(Access.DRAIN)) == (2, 3, 0)
    assert counted.reasons == {"unpaid": 2, "abuse": 1}


def test_reasons_are_counted_the_most_frequent_first_and_none_is_said_so() -> None:
    counted = census(view(one("1", reason="abuse"), one("2"), one("3"), one("4", reason="")), NOW)

    assert list(counted.reasons.items()) == [("unpaid", 2), ("abuse", 1), ("no reason given", 1)]


def test_blocked_subscribers_on_whom_nothing_can_be_enforced_are_named_and_those_who_are_offline_apart() -> None:
    people = (
        one("c-nothing"), one("b-elsewhere", AWAY), one("served", HERE), one("device", devices=("02:00:5e:10:00:01",)),
        one("b-offline", logins=("ben",)), one("a-offline", AWAY, logins=("ana",)), one("online", logins=("mia",)),
        one("open", state=State.ACTIVE),
    )  # fmt: skip
    online = OnlineLines().changed([("online", (parse_prefix("100.64.1.9"),)), ("b-offline", (parse_prefix(AWAY),))])

    counted = census(view(*people, learned=Learned(online=online)), NOW)

    assert counted.lineless == ("b-elsewhere", "c-nothing")
    assert counted.offline == ("a-offline", "b-offline")


def test_drains_are_counted_while_they_run() -> None:
    ends = PrefixMap([(parse_prefix(HERE), NOW + 10), (parse_prefix("100.64.1.8"), NOW)])

    assert census(view(learned=Learned(drains=ends)), NOW).draining == 1


def test_a_census_is_taken_again_when_the_view_changes_or_one_of_its_ends_comes_and_not_before() -> None:
    drains = PrefixMap([(parse_prefix("100.64.1.8"), NOW + 30), (parse_prefix("100.64.1.9"), NOW - 30)])
    of, taker = view(one("1", HERE), learned=Learned(passes={"1": NOW + 60}, drains=drains)), CensusTaker()

    first = taker.take(of, NOW)
    assert (first.having(Access.PASS), first.draining) == (1, 1)
    assert taker.take(of, NOW + 29) is first

    drained = taker.take(of, NOW + 30)
    assert (drained.having(Access.PASS), drained.draining) == (1, 0)
    assert taker.take(of, NOW + 59) is drained
    ended = taker.take(of, NOW + 60)
    assert (ended.having(Access.PASS), ended.having(Access.BLOCKED)) == (0, 1)
    assert taker.take(of, NOW + 1e9) is ended

    other = replace(of)
    assert taker.take(other, NOW + 1e9) is not ended
