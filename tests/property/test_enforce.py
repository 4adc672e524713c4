# SPDX-License-Identifier: Apache-2.0
"""What enforcement stands on: an address is in the sets exactly when the policy says blocked."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edged.enforce.conntrack import connection, messages
from edged.enforce.desired import Instant, desired, desired_after
from edged.enforce.diff import Actual, diff
from edged.enforce.ranges import prefixes_of
from edged.enforce.rules import Rules
from edged.enforce.sets import SETS, Kind, SetName
from edged.model import Access, Snapshot, State, Subscriber
from edged.policy.access import Learned, Override, View
from edged.policy.moved import Holder, Moved
from edged.policy.prefixes import PrefixMap
from edged.policy.sessions import OnlineLines
from edged.policy.settings import SubscribersSettings
from edged.policy.table import changed, compile_table
from edged.values import BITS, IpAddress, MacAddress, Prefix, parse_mac

NOW = 1000.0
# a small corner of each family, so that prefixes nest, touch and collide all the time
CORNER = {4: (int(ip_address("100.64.0.0")), 24), 6: (int(ip_address("2001:db8:100::")), 120)}


@st.composite
def prefixes(draw: st.DrawFn, version: int | None = None) -> Prefix:
    family = version or draw(st.sampled_from((4, 6)))
    base, shortest = CORNER[family]
    length = draw(st.integers(shortest - 1, BITS[family]))
    host = draw(st.integers(0, (1 << (BITS[family] - shortest)) - 1))
    shift = BITS[family] - length
    return Prefix(family, (base + host) >> shift << shift, length)


IDS = st.sampled_from("abcdefgh")
PREFIXES = st.lists(prefixes(), max_size=4).map(tuple)
TIMES = st.sampled_from([NOW - 1, NOW, NOW + 1])
MACS = st.sampled_from([parse_mac(f"02:00:5e:10:00:{n:02x}") for n in range(6)])
DEVICES = st.lists(MACS, max_size=2, unique=True).map(tuple)
HOLDERS = st.builds(Holder, IDS, st.just("k-1"))


def one_holder_each(online: dict[str, tuple[Prefix, ...]]) -> list[tuple[str, tuple[Prefix, ...]]]:
    """As a roster has it: an address belongs to one session."""
    taken: set[Prefix] = set()
    lines = []
    for name, given_prefixes in online.items():
        lines.append((name, tuple(p for p in given_prefixes if p not in taken)))
        taken |= {*given_prefixes}
    return lines


@st.composite
def views(draw: st.DrawFn) -> View:
    subscribers = draw(
        st.lists(
            st.builds(Subscriber, IDS, st.sampled_from(State), addresses=PREFIXES, devices=DEVICES),
            max_size=8,
            unique_by=lambda s: s.id,
        )
    )
    overrides = draw(st.dictionaries(IDS, st.tuples(st.booleans(), TIMES), max_size=4))
    served = draw(st.sampled_from([("100.64.0.0/10", "2001:db8:100::/40"), ("100.64.0.0/25", "100.64.0.0/26")]))
    exempt = draw(st.lists(prefixes().map(str), max_size=3))
    settings = SubscribersSettings.model_validate({"networks": served, "exempt": exempt})
    # the writer keeps the sessions of those whom billing lists, and no others
    online = draw(
        st.dictionaries(
            st.sampled_from([s.id for s in subscribers]),
            st.lists(prefixes(), max_size=2, unique=True).map(tuple),
            max_size=3,
        )
        if subscribers
        else st.just({})
    )
    learned = Learned(
        {i: Override(i, blocked, until, "why", "who", 0.0) for i, (blocked, until) in overrides.items()},
        draw(st.dictionaries(IDS, TIMES, max_size=4)),
        PrefixMap(draw(st.lists(st.tuples(prefixes(), TIMES), max_size=3))),
        online=OnlineLines().changed(one_holder_each(online)),
        snoozes=draw(st.dictionaries(IDS, TIMES, max_size=4)),
        moved=Moved().changed(draw(st.dictionaries(MACS, HOLDERS, max_size=4))),
    )
    return View(compile_table(Snapshot("s", "1", NOW, tuple(subscribers)), settings), learned)


def corner() -> list[IpAddress]:
    """Every address of both corners, and one beside each."""
    return [
        ip_address(base + n) if version == 4 else ip_address((base + n).to_bytes(16))
        for version, (base, _) in CORNER.items()
        for n in range(-1, 257)
    ]


ADDRESSES = corner()


@given(views())
def test_an_address_is_in_the_sets_exactly_when_the_policy_says_blocked(view: View) -> None:
    value = desired(view, Rules(), NOW)
    for address in ADDRESSES:
        assert value.blocks(address) is (view.decide(address, NOW).access is Access.BLOCKED), address


@given(views())
def test_an_address_is_in_the_notice_sets_exactly_when_the_policy_says_that_a_reminder_is_due(view: View) -> None:
    value = desired(view, Rules(), NOW)
    for address in ADDRESSES:
        decision = view.decide(address, NOW)
        assert value.reminds(address) is (decision.access is Access.NOTICE and decision.until == 0.0), address
        assert not (value.reminds(address) and value.blocks(address)), address


@given(views())
def test_the_prefixes_of_every_set_are_disjoint_and_have_no_host_among_the_blocked(view: View) -> None:
    for name, elements in desired(view, Rules(), NOW).sets.items():
        spec = SETS[name]
        if spec.kind is Kind.PREFIX:
            ordered = sorted(e for e in elements if isinstance(e, Prefix))
            assert len(ordered) == len(elements)
            assert not any(a.overlaps(b) for a, b in pairwise(ordered))
            assert not (name.startswith(("blocked", "notice")) and any(p.is_host for p in ordered))


@given(views())
def test_a_device_is_in_a_blocked_set_exactly_when_the_policy_says_blocked_and_in_the_wide_one_by_billing_alone(
    view: View,
) -> None:
    sets = desired(view, Rules(), NOW).sets
    for mac in {*view.table.devices, *view.learned.moved.holders}:
        blocked, listed = view.decide_device(mac, NOW).access is Access.BLOCKED, mac in view.table.devices
        assert (mac in sets[SetName.BLOCKED_MACS]) is (blocked and listed)
        assert (mac in sets[SetName.MOVED_MACS]) is (blocked and not listed)
        if blocked and not listed:
            assert view.decide_id(view.learned.moved.holders[mac].subscriber, NOW).access is Access.BLOCKED


WORDS = st.lists(
    st.builds(Subscriber, IDS, st.sampled_from(State), addresses=PREFIXES, devices=DEVICES), max_size=3
)  # fmt: skip


@given(views(), WORDS, st.dictionaries(MACS, st.none() | HOLDERS, max_size=3), TIMES)
def test_a_few_words_change_the_sets_to_what_they_would_be_made_anew(
    view: View, words: list[Subscriber], moves: dict[MacAddress, Holder | None], later: float
) -> None:
    table = changed(view.table, words, snapshot_id="t")
    lines = [(word.id, word.addresses[:1]) for word in {w.id: w for w in words}.values()]
    others = [(i, ()) for i, held in view.learned.online.lines.items() if {*held} & {p for _, ps in lines for p in ps}]
    learned = replace(
        view.learned,
        online=view.learned.online.changed([*others, *one_holder_each(dict(lines))]),
        moved=view.learned.moved.changed(moves),
    )
    after = View(table, learned)
    ids = {word.id for word in words} | {name for name, _ in others} | view.learned.moved.concerned(moves)
    if later < NOW:  # a clock that stepped back: what had ended runs again
        ids |= {i for i in "abcdefgh" if view.decide_id(i, NOW) != after.decide_id(i, later)}
    ids |= after.ended(NOW, later)

    known = desired(view, Rules(), NOW)

    assert desired_after(known, Instant(view, NOW), Instant(after, later), ids) == desired(after, Rules(), later)


@given(views(), WORDS)
def test_a_table_with_words_is_that_of_the_list_with_them(view: View, words: list[Subscriber]) -> None:
    listed = {s.id: s for s in view.table.subscribers.values()} | {w.id: w for w in words}

    table = changed(view.table, words, snapshot_id="t")

    anew = compile_table(Snapshot("t", "1", NOW, tuple(listed.values())), SubscribersSettings())
    assert dict(table.addresses.items()) == dict(anew.addresses.items())
    assert (table.subscribers, table.contested, table.claims) == (anew.subscribers, anew.contested, anew.claims)
    assert dict(table.served.items()) == dict(view.table.served.items())


@given(st.dictionaries(prefixes(), st.integers()), st.lists(prefixes()), st.dictionaries(prefixes(), st.integers()))
def test_a_changed_map_is_the_map_made_anew_and_leaves_the_old_one(
    entries: dict[Prefix, int], removed: list[Prefix], added: dict[Prefix, int]
) -> None:
    before = PrefixMap(entries.items())
    region = Prefix(4, CORNER[4][0], 25)
    inside = dict(before.within(region))

    after = before.changed(removed, added.items())

    expected = {p: v for p, v in entries.items() if p not in removed} | added
    assert (dict(after.items()), len(after)) == (expected, len(expected))
    assert dict(after.within(region)) == {p: v for p, v in expected.items() if region.contains(p)}
    assert dict(before.items()) == entries
    assert dict(before.within(region)) == inside


@given(views(), views())
def test_a_plan_carried_out_makes_the_actual_the_desired(before: View, after: View) -> None:
    actual = desired(before, Rules(), NOW)
    wanted = desired(after, Rules(), NOW)
    plan = diff(wanted, Actual(Rules(), actual.sets))
    sets = {
        name: elements - plan.remove.get(name, frozenset()) | plan.add.get(name, frozenset())
        for name, elements in actual.sets.items()
    }
    assert sets == wanted.sets
    assert all(plan.remove[name] <= actual.sets[name] for name in plan.remove)
    assert diff(wanted, Actual(Rules(), sets)).empty


@given(views())
def test_until_the_next_end_the_sets_stay_what_they_are(view: View) -> None:
    end = view.next_end(NOW)
    assert end > NOW
    later = min(end - 0.001, NOW + 100)
    assert desired(view, Rules(), later) == desired(view, Rules(), NOW)


@given(st.sampled_from((4, 6)), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_range_becomes_disjoint_prefixes_that_hold_exactly_it(version: int, a: int, b: int) -> None:
    first, last = min(a, b), max(a, b)
    cursor = first
    for prefix in prefixes_of(version, (first, last)):
        assert prefix.network == cursor
        cursor = prefix.last + 1
    assert cursor == last + 1


@given(st.binary(max_size=300))
def test_any_octets_from_the_kernel_are_read_without_an_exception(octets: bytes) -> None:
    for _, _, payload in messages(octets):
        if payload:
            connection(payload)
