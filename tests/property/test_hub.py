# SPDX-License-Identifier: Apache-2.0
"""What a hub writes is what an edge reads: whatever the list, whatever changes it, whoever asks in between."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edged.billing.mapping import Lines, lines_listing, map_keys, map_subscribers
from edged.hub import feed, fleet, told
from edged.hub.answer import Body, Question
from edged.hub.served import History, Listed, revision, touched
from edged.model import NO_ACCOUNT, Account, Key, Rate, State, Subscriber
from edged.values import MacAddress, Prefix, Secret, parse_prefix

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)
DEVICES = st.sampled_from([(), (MacAddress("02:00:5e:10:00:01"),)])
MOMENTS = st.just(0.0) | st.integers(10**9, 4 * 10**9).map(float) | st.floats(1e9, 4e9).map(lambda s: round(s, 6))
ACCOUNTS = st.just(NO_ACCOUNT) | st.builds(
    Account,
    name=TEXT,
    amount_due=TEXT,
    currency=st.sampled_from(["", "EUR"]),
    due=st.sampled_from(["", "2026-11-01"]),
    pay_url=st.sampled_from(["", "https://pay.example.net/7f3a?x=1"]),
    language=st.sampled_from(["", "es"]),
    invoice=TEXT,
).filter(lambda account: account != NO_ACCOUNT)
SUBSCRIBERS = st.builds(
    Subscriber,
    id=IDS,
    state=st.sampled_from(State),
    reason=TEXT,
    since=MOMENTS,
    addresses=st.lists(
        st.sampled_from([parse_prefix(p) for p in ("100.64.0.1", "100.64.1.0/24", "2001:db8::/56", "2001:db8::1")]),
        unique=True,
    ).map(tuple),
    devices=DEVICES,
    logins=st.lists(TEXT.filter(bool), max_size=2, unique=True).map(tuple),
    brand=TEXT,
    account=ACCOUNTS,
)
RATES = st.builds(
    lambda n, u, m, v: Rate(n * u, m * v), *[st.integers(0, 999_999_999), st.sampled_from([1, 10**9])] * 2
)
KEYS = st.builds(
    Key,
    id=IDS,
    ssid=st.sampled_from(["Residence", "Wohnheim é"]),
    passphrase=st.from_regex(r"[ -~]{8,63}", fullmatch=True).map(Secret),
    subscriber=TEXT,
    site=TEXT,
    label=TEXT,
    vlan=st.none() | st.integers(1, 4094),
    device_limit=st.none() | st.integers(1, 65535),
    devices=DEVICES,
    not_before=MOMENTS,
    expires=MOMENTS,
    rate=st.none() | RATES,
)
PRIVATE = Secret(bytes(32))


@given(SUBSCRIBERS)
def test_a_subscriber_is_read_as_it_was(subscriber: Subscriber) -> None:
    assert map_subscribers([json.loads(feed.one(subscriber))]) == (subscriber,)


@given(KEYS)
def test_a_key_is_read_as_it_was(key: Key) -> None:
    assert map_keys([feed.feed_object(key)], 0.0) == (key,)


@given(
    IDS, st.lists(st.sampled_from([parse_prefix("100.64.0.1"), parse_prefix("2001:db8::/56")]), unique=True), MOMENTS
)
def test_where_somebody_is_online_is_read_as_it_was(subscriber: str, addresses: list[Prefix], since: float) -> None:
    lines = Lines(subscriber, tuple(addresses), since)
    listing = lines_listing()
    listing.add([json.loads(json.dumps(feed.feed_object(lines)))] if addresses else [])
    assert listing.done() == ((lines,) if addresses else ())


LISTS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(list(State)), max_size=6)


def _listed(states: dict[str, State]) -> Listed[Subscriber]:
    entries = tuple(Subscriber(name, state) for name, state in states.items())
    return Listed(repr(sorted(states.items())), entries, 100)


@given(st.lists(LISTS, min_size=1, max_size=12), st.data())
def test_whoever_applies_a_difference_to_an_earlier_list_has_the_list_of_now(
    lists: list[dict[str, State]], data: st.DataObject
) -> None:
    history: History[Subscriber] = History()
    for moment, states in enumerate(lists):
        listed = _listed(states)
        if listed.revision != history.now.revision:
            history.step(listed, touched(listed.entries, history.now.entries), float(moment + 1))
    start = data.draw(st.sampled_from(lists))
    ids = history.since(_listed(start).revision)
    assert ids is not None
    now = {s.id: s.state for s in history.now.entries}
    assert {n: s for n, s in start.items() if n not in ids} | {n: s for n, s in now.items() if n in ids} == now
    assert history.since("of nobody") is None


@given(st.lists(LISTS, min_size=1, max_size=12), st.data())
def test_an_edge_is_behind_since_the_moment_at_which_its_list_became_an_older_one(
    lists: list[dict[str, State]], data: st.DataObject
) -> None:
    history: History[Subscriber] = History()
    left: dict[str, float] = {}
    for moment, states in enumerate(lists):
        listed = _listed(states)
        if listed.revision != history.now.revision:
            left[history.now.revision] = float(moment + 1)
            history.step(listed, touched(listed.entries, history.now.entries), float(moment + 1))
    asked = _listed(data.draw(st.sampled_from(lists))).revision
    assert history.superseded_at(asked) == (0.0 if asked == history.now.revision else left[asked])


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1), st.none() | st.integers(0, 10**9))
def test_a_revision_names_its_content_and_no_other(one: int, other: int, known: int | None) -> None:
    assert (revision(PRIVATE, "keys", one, known) == revision(PRIVATE, "keys", other, known)) == (one == other)
    assert revision(PRIVATE, "keys", one, known) != revision(PRIVATE, "subscribers", one, known)
    assert revision(PRIVATE, "keys", one, known) != revision(Secret(b"1" * 32), "keys", one, known)
    assert revision(PRIVATE, "keys", one, 7) != revision(PRIVATE, "keys", one, 8)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["edge", "at", "version", "alarms", "subscribers", "blocked", "heard_at", "read_at", "held"])


@given(st.dictionaries(FIELDS, JSON, max_size=9) | JSON)
def test_any_report_is_taken_within_bounds_or_is_none(document: object) -> None:
    report = fleet.read(document, 1_800_000_000.0)
    if report is None:
        return
    assert report.heard_at == 1_800_000_000.0
    assert len(json.dumps(report.facts())) < 16_000
    assert fleet.read(json.loads(json.dumps(report.facts())), report.heard_at) == report


@given(st.binary(max_size=300) | st.builds(lambda d: json.dumps({"events": [d]}).encode(), JSON))
def test_any_octets_are_events_or_none(octets: bytes) -> None:
    told.read(octets)


@given(
    st.sampled_from(["GET", "POST", "x"]),
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=80)
    | st.lists(st.sampled_from(["?", "&", "=", "since", "page", "%ff", "%", "keys"]), max_size=80).map("".join),
    st.dictionaries(st.sampled_from(["prefer", "if-none-match", "accept-encoding"]), st.text(max_size=40)),
)
def test_any_question_is_read_within_bounds(method: str, target: str, fields: dict[str, str]) -> None:
    question = Question(method, f"/edged/{target}", fields)
    question.below("/edged")
    assert 0 <= question.wait <= 55
    assert isinstance(question.asked("since"), str)
    assert question.has("") is False
    assert question.takes_gzip in {True, False}


@given(st.binary(max_size=2000))
def test_a_body_is_kept_as_it_was(octets: bytes) -> None:
    assert Body.of(octets).plain() == octets
