# SPDX-License-Identifier: Apache-2.0
"""Drains from one list to the next, and what no word of anybody can do to an exempt or foreign address."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.model import Access, Snapshot, State, Subscriber
from edged.policy.access import DRAIN_S, Learned, Override, Rule, View, drained
from edged.policy.prefixes import PrefixMap
from edged.policy.sessions import OnlineLines
from edged.policy.settings import SubscribersSettings
from edged.policy.table import PolicyTable, compile_table
from edged.values import IpAddress, Prefix, parse_mac, parse_prefix

NOW = 1_800_000_000.0
SETTINGS = SubscribersSettings.model_validate(
    {
        "networks": ["100.64.0.0/10", "2001:db8:100::/40"],
        "exempt": ["100.64.0.53", "100.64.255.0/24", "2001:db8:100::53", "2001:db8:1ff::/48"],
    }
)
ANA4, ANA6, LUIS4 = "100.64.1.7", "2001:db8:100:700::/56", "100.64.1.8"


def subscriber(id_: str, state: State, *addresses: str) -> Subscriber:
    return Subscriber(id_, state, "unpaid", 100.0, tuple(map(parse_prefix, addresses)))


def table(*subscribers: Subscriber) -> PolicyTable:
    return compile_table(Snapshot("1.aa", "1", 50.0, subscribers), SETTINGS)


def drains(before: View, after: PolicyTable, now: float = NOW) -> dict[str, float]:
    return {str(prefix): until for prefix, until in drained(before, View(after), now).items()}


def running(**ends: float) -> Learned:
    """Drains under way: ANA4 or ANA6 to their end."""
    names = {"ana4": ANA4, "ana6": ANA6}
    return Learned(drains=PrefixMap((parse_prefix(names[name]), until) for name, until in ends.items()))


# --- drains ----------------------------------------------------------------------------------------


def test_who_was_blocked_and_is_gone_from_the_list_drains_in_both_families() -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4, ANA6), subscriber("2", State.BLOCKED, LUIS4)))

    found = drains(before, table(subscriber("2", State.BLOCKED, LUIS4)))

    assert found == {ANA4: NOW + DRAIN_S, ANA6: NOW + DRAIN_S}


@pytest.mark.parametrize("state", [State.ACTIVE, State.NOTICE])
def test_who_was_blocked_and_is_listed_otherwise_drains(state: State) -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4)))

    assert drains(before, table(subscriber("1", state, ANA4))) == {ANA4: NOW + DRAIN_S}


def test_the_lines_that_were_blocked_drain_whatever_addresses_the_new_list_has() -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4)))

    assert drains(before, table(subscriber("1", State.ACTIVE, LUIS4))) == {ANA4: NOW + DRAIN_S}


def test_who_is_still_blocked_does_not_drain() -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4, ANA6)))

    assert drains(before, table(subscriber("1", State.BLOCKED, ANA4, ANA6))) == {}


@pytest.mark.parametrize("state", [State.ACTIVE, State.NOTICE])
def test_who_was_not_blocked_does_not_drain(state: State) -> None:
    assert drains(View(table(subscriber("1", state, ANA4))), table()) == {}


def test_a_drain_under_way_is_kept_with_its_end_and_an_ended_one_is_dropped() -> None:
    before = View(table(), running(ana4=NOW + 30, ana6=NOW - 0.1))

    assert drains(before, table()) == {ANA4: NOW + 30}
    assert drains(before, table(), NOW + 30) == {}


def test_who_is_unblocked_a_second_time_drains_anew() -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4)), running(ana4=NOW + 30))

    assert drains(before, table()) == {ANA4: NOW + DRAIN_S}


def test_who_is_blocked_again_while_draining_sees_the_page_and_not_the_way_out() -> None:
    before = View(table(), running(ana4=NOW + 30))
    after = table(subscriber("1", State.BLOCKED, ANA4))

    view = View(after, Learned(drains=drained(before, View(after), NOW)))

    assert view.decide(ip_address(ANA4), NOW).access is Access.BLOCKED


def test_an_address_that_went_from_a_blocked_subscriber_to_another_drains_only_once_that_one_is_open() -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4)))
    blocked, open_ = table(subscriber("2", State.BLOCKED, ANA4)), table(subscriber("2", State.ACTIVE, ANA4))

    for after, wanted in ((blocked, Access.BLOCKED), (open_, Access.DRAIN)):
        view = View(after, Learned(drains=drained(before, View(after), NOW)))
        assert view.decide(ip_address(ANA4), NOW).access is wanted


@pytest.mark.parametrize("changed", [None, ["1"], ["1", "gone"]])
def test_a_line_that_is_blocked_again_drains_no_more(changed: list[str] | None) -> None:
    before = View(table(), running(ana4=NOW + 30, ana6=NOW + 30))
    after = View(table(subscriber("1", State.BLOCKED, ANA4)))

    assert dict(drained(before, after, NOW, changed).items()) == {parse_prefix(ANA6): NOW + 30}


def test_only_the_lines_of_those_who_may_have_changed_are_looked_at() -> None:
    before = View(table(subscriber("1", State.BLOCKED, ANA4), subscriber("2", State.BLOCKED, LUIS4)))

    found = drained(before, View(table()), NOW, iter(["2"]))

    assert dict(found.items()) == {parse_prefix(LUIS4): NOW + DRAIN_S}


def online(**lines: str) -> Learned:
    """By subscriber: the address of their session."""
    spelt = [(name, (parse_prefix(text),)) for name, text in lines.items()]
    return Learned(online=OnlineLines().changed(spelt))


def test_the_address_of_a_session_drains_like_a_listed_one_until_it_is_a_blocked_ones_again() -> None:
    ana, ben = subscriber("ana", State.BLOCKED), subscriber("ben", State.ACTIVE)
    before = View(table(ana, ben), online(ana=ANA4))
    paid = View(table(subscriber("ana", State.ACTIVE), ben), online(ana=ANA4))

    drains = drained(before, paid, NOW)
    assert dict(drains.items()) == {parse_prefix(ANA4): NOW + DRAIN_S}

    moved = View(table(ana, ben), replace(online(ana=LUIS4), drains=drains))
    assert dict(drained(moved, moved, NOW).items()) == {parse_prefix(ANA4): NOW + DRAIN_S}
    back = View(table(ana, ben), replace(online(ana=ANA4), drains=drains))
    assert dict(drained(moved, back, NOW).items()) == {}


# --- whose line ------------------------------------------------------------------------------------

WIDE, INNER = "100.64.1.0/24", "100.64.1.0/28"


def test_the_line_that_holds_a_prefix_is_the_longest_of_the_listed_and_the_online_ones() -> None:
    view = View(table(subscriber("listed", State.BLOCKED, WIDE), subscriber("ana", State.ACTIVE)), online(ana=INNER))

    def holder(text: str) -> str:
        found = view.covering(parse_prefix(text))
        return found[1].id if found else ""

    names = {text: holder(text) for text in (ANA4, INNER, "100.64.1.16", WIDE, "100.64.1.0/25", "100.64.0.0/16")}
    assert names == {
        ANA4: "ana", INNER: "ana", "100.64.1.16": "listed", WIDE: "listed", "100.64.1.0/25": "listed",
        "100.64.0.0/16": "",
    }  # fmt: skip


@pytest.mark.parametrize(("listed", "session"), [(WIDE, INNER), (INNER, WIDE)])
def test_the_widest_line_around_an_address_may_be_a_sessions_or_a_listed_one(listed: str, session: str) -> None:
    view = View(table(subscriber("1", State.BLOCKED, listed), subscriber("ana", State.ACTIVE)), online(ana=session))

    assert view.outermost(parse_prefix(ANA4)) == parse_prefix(WIDE)
    assert view.outermost(parse_prefix("100.64.2.1")) == parse_prefix("100.64.2.1")


@pytest.mark.parametrize("with_sessions", [True, False])
def test_the_lines_of_a_region_are_those_within_it(with_sessions: bool) -> None:
    people = (subscriber("1", State.BLOCKED, ANA4, ANA6, "100.64.2.1"), subscriber("ana", State.ACTIVE))
    learned = Learned(
        online=OnlineLines().changed([("ana", tuple(map(parse_prefix, ("100.64.1.9", "100.64.2.2", ANA4))))])
    )
    view = View(table(*people), learned if with_sessions else Learned())

    lines = [(str(prefix), holder.id) for prefix, holder in view.lines(parse_prefix(WIDE))]

    assert sorted(lines) == ([(ANA4, "ana"), ("100.64.1.9", "ana")] if with_sessions else [(ANA4, "1")])
    assert len(list(view.lines())) == (5 if with_sessions else 3)


def test_a_line_that_is_listed_and_online_is_one_line() -> None:
    ana = subscriber("ana", State.BLOCKED, ANA4, ANA6)

    assert View(table(ana), online(ana=ANA4)).lines_of(ana) == (parse_prefix(ANA4), parse_prefix(ANA6))


# --- more than one word on an address --------------------------------------------------------------

MAC = parse_mac("02:00:5e:10:00:01")


@pytest.mark.parametrize(
    ("line", "device", "wanted"),
    [
        (State.ACTIVE, State.BLOCKED, Access.BLOCKED),
        (State.NOTICE, State.BLOCKED, Access.BLOCKED),
        (State.ACTIVE, State.NOTICE, Access.NOTICE),
        (State.NOTICE, State.ACTIVE, Access.NOTICE),
        (State.BLOCKED, State.ACTIVE, Access.BLOCKED),
        (State.BLOCKED, State.NOTICE, Access.BLOCKED),
    ],
)
def test_of_a_line_and_the_device_on_it_the_one_that_is_treated_worse_decides(
    line: State, device: State, wanted: Access
) -> None:
    by_device = Subscriber("2", device, devices=(MAC,))
    view = View(table(subscriber("1", line, ANA4), by_device), Learned(neighbours={ip_address(ANA4): MAC}))

    assert view.decide(ip_address(ANA4), NOW).access is wanted


def test_whom_an_operator_opens_is_open_and_does_not_drain() -> None:
    word = Override("1", blocked=False, until=NOW + 60, why="promised", who="desk", at=NOW)
    view = View(table(subscriber("1", State.ACTIVE, ANA4)), replace(running(ana4=NOW + 30), overrides={"1": word}))

    decided = view.decide(ip_address(ANA4), NOW)

    assert (decided.access, decided.rule) == (Access.OPEN, Rule.OVERRIDE)
    assert view.decide(ip_address(ANA4), NOW + 60).rule is Rule.BILLING


# --- reminders -------------------------------------------------------------------------------------


def test_a_reminder_is_due_until_it_is_put_away_and_again_when_the_snooze_ends() -> None:
    view = View(
        table(subscriber("1", State.NOTICE, ANA4), subscriber("2", State.NOTICE, LUIS4)),
        Learned(snoozes={"1": NOW + 60}),
    )

    found = view.decide(ip_address(ANA4), NOW)
    assert (found.access, found.rule, found.until, found.reminds) == (Access.NOTICE, Rule.BILLING, NOW + 60, False)
    again = view.decide(ip_address(ANA4), NOW + 60)
    assert (again.access, again.until, again.reminds) == (Access.NOTICE, 0.0, True)
    assert view.decide(ip_address(LUIS4), NOW).reminds
    assert (view.next_end(NOW), view.next_end(NOW + 60)) == (NOW + 60, math.inf)
    assert view.ended(NOW, NOW + 60) == {"1"}
    assert not view.ended(NOW + 60, NOW + 61)


@pytest.mark.parametrize("state", [State.ACTIVE, State.BLOCKED])
def test_a_snooze_is_about_a_reminder_and_nothing_else(state: State) -> None:
    plain, snoozed = View(table(subscriber("1", state, ANA4))), Learned(snoozes={"1": NOW + 60})

    assert View(plain.table, snoozed).decide(ip_address(ANA4), NOW) == plain.decide(ip_address(ANA4), NOW)
    assert not plain.decide(ip_address(ANA4), NOW).reminds


def test_an_operators_word_outlives_the_reminder() -> None:
    word = Override("1", blocked=False, until=NOW + 60, why="", who="noc", at=NOW)
    view = View(table(subscriber("1", State.NOTICE, ANA4)), Learned(overrides={"1": word}))

    assert not view.decide(ip_address(ANA4), NOW).reminds
    assert view.decide(ip_address(ANA4), NOW + 60).reminds


@pytest.mark.parametrize("device", list(State))
@pytest.mark.parametrize("snoozed", ["line", "device", "neither"])
def test_a_reminder_of_the_line_or_of_the_device_behind_it_is_due_and_a_block_of_either_wins(
    device: State, snoozed: str
) -> None:
    behind = Subscriber("2", device, "unpaid", devices=(MAC,))
    snoozes = {"line": {"1": NOW + 60}, "device": {"2": NOW + 60}, "neither": {}}[snoozed]
    learned = Learned(neighbours={ip_address(ANA4): MAC}, snoozes=snoozes)
    found = View(table(subscriber("1", State.NOTICE, ANA4), behind), learned).decide(ip_address(ANA4), NOW)

    if device is State.BLOCKED:
        assert found.access is Access.BLOCKED
    else:
        assert found.access is Access.NOTICE
        assert found.reminds is (snoozed != "line" or device is State.NOTICE)


# --- what no word can do ---------------------------------------------------------------------------

ids = st.sampled_from(["1", "2", "3"])
moments = st.floats(NOW - 1000, NOW + 1000)

hosts4 = st.integers(int(IPv4Address("100.63.255.0")), int(IPv4Address("100.128.1.0"))).map(IPv4Address)
hosts6 = st.integers(int(IPv6Address("2001:db8:fe::")), int(IPv6Address("2001:db8:201::"))).map(IPv6Address)
special = st.sampled_from(
    ["100.64.0.53", "100.64.255.9", "2001:db8:100::53", "2001:db8:1ff::1", "198.51.100.7", "100.64.1.7"]
).map(ip_address)
hosts = st.one_of(hosts4, hosts6, special, st.ip_addresses())


@st.composite
def prefixes_over(draw: st.DrawFn, address: IpAddress) -> Prefix:
    bits = address.max_prefixlen
    length = draw(st.integers(0, bits))
    return Prefix(address.version, int(address) >> (bits - length) << (bits - length), length)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[View, IpAddress]:
    """A list that blocks prefixes around one address, everything that may be learned, and that address."""
    address = draw(hosts)
    around = st.lists(prefixes_over(address), min_size=1, max_size=3)
    subscribers = tuple(
        Subscriber(id_, draw(st.sampled_from(list(State))), "unpaid", 0.0, tuple(draw(around)))
        for id_ in draw(st.lists(ids, unique=True))
    )
    words = st.builds(
        Override, ids, blocked=st.booleans(), until=moments, why=st.just(""), who=st.just("noc"), at=moments
    )
    learned = Learned(
        overrides={word.subscriber: word for word in draw(st.lists(words))},
        passes=draw(st.dictionaries(ids, moments)),
        snoozes=draw(st.dictionaries(ids, moments)),
        drains=PrefixMap((prefix, draw(moments)) for prefix in draw(around)),
    )
    return View(table(*subscribers), learned), address


def holds(networks: tuple[Prefix, ...], address: IpAddress) -> bool:
    return any(n.version == address.version and n.network <= int(address) <= n.last for n in networks)


@given(worlds(), moments)
def test_an_exempt_or_foreign_address_is_never_blocked_whatever_anybody_says(
    world: tuple[View, IpAddress], now: float
) -> None:
    view, address = world
    decision = view.decide(address, now)

    if not holds(SETTINGS.networks, address):
        assert (decision.access, decision.rule) == (Access.STRANGER, Rule.SERVED)
    elif holds(SETTINGS.exempt, address):
        assert (decision.access, decision.rule) == (Access.EXEMPT, Rule.EXEMPT)
    else:
        assert decision.access not in {Access.STRANGER, Access.EXEMPT}


@given(worlds(), moments)
def test_whoever_is_blocked_is_blocked_by_billing_or_by_an_operator_whose_word_has_not_ended(
    world: tuple[View, IpAddress], now: float
) -> None:
    view, address = world
    decision = view.decide(address, now)

    if decision.access is Access.BLOCKED:
        assert decision.subscriber is not None
        word = view.learned.overrides.get(decision.subscriber.id)
        by_word = word is not None and word.blocked and word.until > now
        assert by_word or decision.subscriber.state is State.BLOCKED
        assert decision.rule is (Rule.OVERRIDE if by_word else Rule.BILLING)


@given(worlds(), moments)
def test_a_reminder_is_due_to_nobody_but_whom_billing_reminds(world: tuple[View, IpAddress], now: float) -> None:
    view, address = world
    decision = view.decide(address, now)

    if decision.reminds:
        assert decision.subscriber is not None
        assert decision.subscriber.state is State.NOTICE
        assert view.learned.snoozes.get(decision.subscriber.id, 0.0) <= now
    if decision.access is Access.NOTICE and decision.until:
        assert decision.until > now


@given(worlds(), worlds(), moments)
def test_a_drain_holds_only_what_was_blocked_or_was_draining_and_ends_in_time(
    before: tuple[View, IpAddress], after: tuple[View, IpAddress], now: float
) -> None:
    view, table_after = before[0], after[0].table
    was_blocked = {
        prefix for s in view.table.subscribers.values() if s.state is State.BLOCKED for prefix in s.addresses
    }

    for prefix, until in drained(view, View(table_after), now).items():
        assert now < until <= max(now + DRAIN_S, view.learned.drains.get(prefix) or 0.0)
        assert prefix in was_blocked or view.learned.drains.get(prefix) == until
