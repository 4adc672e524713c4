# SPDX-License-Identifier: Apache-2.0
"""Whatever happens between two requests: an answer at hand is the answer that would have been worked out anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edged.model import Snapshot, State, Subscriber
from edged.mpsk.desk import Desk, Search
from edged.policy.access import Learned, Override, View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.packet import Answer, Code, Packet
from edged.state.keys import Sighting, StoredKey
from edged.values import MacAddress
from tests.mpsk_world import HOME, NOW, SSID, client, mpsk_settings, request, ring_of, stored

MACS = [MacAddress(f"02:00:5e:10:00:0{number}") for number in range(4)]
CLIENTS = [client(), client("building-8"), client("building-7", "cisco-ipsk")]
ends = st.sampled_from([0.0, NOW + 1.0, NOW + 2.5, NOW + 60.0])
keys = st.builds(
    lambda number, expires, not_before, revoked, devices, limit, subscriber: stored(
        f"k-{number}", derived=False, expires=expires, not_before=not_before, revoked=revoked, devices=tuple(devices),
        device_limit=limit, subscriber=subscriber, vlan=100 + number,
    ),
    st.integers(0, 5), ends, ends, ends, st.lists(st.sampled_from(MACS), max_size=2, unique=True),
    st.sampled_from([None, 1, 2]), st.sampled_from(["", "1001", "1002"]),
)  # fmt: skip
rings = st.tuples(
    st.lists(keys, max_size=4, unique_by=lambda key: key.key.id),
    st.lists(st.tuples(st.sampled_from(MACS), st.integers(0, 3), st.sampled_from([0.0, 1209599.0])), max_size=4),
)
choices = st.sampled_from([None, {"vlan": 50}])
settings = st.fixed_dictionaries({"blocked": choices, "unknown": choices})
states = st.dictionaries(st.sampled_from(["1001", "1002"]), st.sampled_from(list(State)))
words = st.dictionaries(st.sampled_from(["1001", "1002"]), st.tuples(st.booleans(), ends))
passes = st.dictionaries(st.sampled_from(["1001", "1002"]), ends)
events = st.one_of(
    st.tuples(st.just("ring"), rings),
    st.tuples(st.just("settings"), settings),
    st.tuples(st.just("table"), states),
    st.tuples(st.just("learned"), st.tuples(words, passes)),
    st.tuples(st.just("time"), st.sampled_from([0.4, 1.0, 2.0, 3600.0, -1.0])),
    st.tuples(st.just("ask"), st.tuples(st.sampled_from(MACS), st.sampled_from(CLIENTS))),
    st.tuples(st.just("ask"), st.tuples(st.sampled_from(MACS), st.sampled_from(CLIENTS))),
)


def said(desk: Desk, mac: MacAddress, at: Any, view: View, now: float, *, known: bool) -> Answer | None:
    asked = request(mac)
    packet = Packet(Code.ACCESS_REQUEST, 1, bytes(16), asked.attributes)
    packet.constant = repr([tuple(a) for a in asked.attributes]).encode() if known else b""
    answer = desk.ask(packet, at, HOME, view, now)
    assert not isinstance(answer, Search)
    return answer


def changed(desk: Desk, kind: str, value: Any, now: float) -> None:
    if kind == "settings":
        desk.settings = mpsk_settings(**value)
    elif kind == "ring":
        held, seen = value
        names: list[StoredKey] = held
        sightings = tuple(
            Sighting(SSID, mac, names[number].name, now - age) for mac, number, age in seen if number < len(names)
        )
        desk.ring = ring_of(*names, sightings=sightings, now=now)


def seen_from(view: View, kind: str, value: Any, now: float) -> View:
    if kind == "table":
        people = tuple(Subscriber(name, state) for name, state in value.items())
        return replace(view, table=compile_table(Snapshot("s", "1", now, people), SubscribersSettings()))
    if kind == "learned":
        said_, let = value
        overrides = {
            name: Override(name, blocked=blocked, until=until, why="", who="", at=now)
            for name, (blocked, until) in said_.items()
        }
        return replace(view, learned=Learned(overrides=overrides, passes=let))
    return view


@given(st.lists(events, min_size=5, max_size=40))
def test_an_answer_at_hand_is_the_one_that_would_be_worked_out_anew(happened: list[tuple[str, Any]]) -> None:
    remembering, forgetful = (Desk(mpsk_settings(unknown={"vlan": 50})) for _ in range(2))
    forgetful.settings = remembering.settings
    view, now = View(), NOW
    for kind, value in happened:
        if kind == "time":
            now += value
        changed(remembering, kind, value, now)
        forgetful.ring, forgetful.settings = remembering.ring, remembering.settings
        view = seen_from(view, kind, value, now)
        if kind == "ask":
            mac, at = value
            one, other = (
                said(desk, mac, at, view, now, known=known) for desk, known in ((remembering, True), (forgetful, False))
            )
            assert one == other
            assert remembering.explain_device(mac) == forgetful.explain_device(mac)
            assert remembering.counters == forgetful.counters
            assert list(remembering.grants.items()) == list(forgetful.grants.items())
            assert remembering.grants._asked == forgetful.grants._asked
