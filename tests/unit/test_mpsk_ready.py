# SPDX-License-Identifier: Apache-2.0
"""Answers at hand: given again only while they would come out the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from edged.model import Key, Snapshot, State, Subscriber
from edged.mpsk import ready
from edged.mpsk.desk import Desk, Search
from edged.mpsk.ready import Editions
from edged.mpsk.settings import MpskSettings
from edged.policy.access import Learned, Override, View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import Attribute, attribute
from edged.radius.authenticator import sign_request
from edged.radius.clients import Source
from edged.radius.hiding import hide_password
from edged.radius.packet import Answer, Code, Packet
from edged.state.keys import Sighting, StoredKey
from edged.values import MacAddress, Secret, parse_address
from tests.mpsk_world import (
    HOME,
    MAC,
    NOW,
    OPEN,
    OTHER_MAC,
    SECRET,
    SSID,
    client,
    handshake_request,
    mpsk_settings,
    rechecked,
    request,
    ring_of,
    stored,
)  # fmt: skip

SOURCE = Source(HOME, client(), str(HOME))
THIRD_MAC = MacAddress("02:00:5e:10:00:03")


def admitted(packet: Packet, source: Source = SOURCE, *more: Attribute, number: int = 1) -> Packet:
    """``packet`` as it comes in from a NAS: signed, its password hidden, under a random authenticator of its own."""
    random = number.to_bytes(16, "big")
    hidden = tuple(
        Attribute(2, hide_password(Secret(value), SECRET, random)) if kind == 2 else Attribute(kind, value)
        for kind, value in packet.attributes
    )
    octets = sign_request(Packet(Code.ACCESS_REQUEST, number & 0xFF, random, hidden + more), SECRET)
    given = admit(octets, source, AUTHENTICATION, SignedSources())
    assert isinstance(given, Packet)
    return given


class Building:
    """A desk, and what is in force."""

    def __init__(self, *keys: StoredKey, view: View = OPEN, **settings: Any) -> None:
        self.desk = Desk(mpsk_settings(**settings))
        self.desk.ring = ring_of(*keys)
        self.view = view
        self.now = NOW
        self.asked = 0

    def ask(self, packet: Packet | None = None, source: Source = SOURCE) -> Answer | None:
        self.asked += 1
        given = admitted(request() if packet is None else packet, source, number=self.asked)
        answer = self.desk.ask(given, source.client, source.address, self.view, self.now)
        assert not isinstance(answer, Search)
        return answer

    def reason(self) -> str:
        last = self.desk.explain_device(MAC)
        assert last is not None
        assert last.at == self.now
        return last.reason


def mine(**fields: Any) -> StoredKey:
    """The key registered for the device."""
    return stored(devices=(MAC,), derived=False, vlan=112, **fields)


def people(**states: State) -> View:
    subscribers = tuple(Subscriber(name, state) for name, state in states.items())
    return View(compile_table(Snapshot("s", "1", NOW, subscribers), SubscribersSettings()))


def vlan(answer: Answer | None) -> str:
    """What the answer comes to, in a word."""
    assert answer is not None
    if answer.code is not Code.ACCESS_ACCEPT:
        return "reject"
    return next(a.value.decode() for a in answer.attributes if isinstance(a, Attribute) and a.type == 81)


# ----------------------------------------------------------------------------------------- it is given again


def test_the_same_question_under_another_authenticator_gets_the_answer_of_before() -> None:
    building = Building(mine())
    first = building.ask()
    building.now += 60.0

    assert building.ask() is first
    assert vlan(first) == "112"
    assert building.desk.counters.accepts == 2
    assert building.reason() == ""


def test_a_reject_is_counted_and_told_every_time() -> None:
    building = Building()
    for _ in range(3):
        assert vlan(building.ask()) == "reject"
        assert building.reason() == "unknown-device"
        building.now += 1.0
    assert sum(building.desk.counters.rejects.values()) == 3


def test_a_device_let_on_is_watched_after_every_answer() -> None:
    key = mine()
    building = Building(key)
    for _ in range(2):  # the second answer is at hand
        building.ask()
        building.desk.ring = ring_of(key)
        assert not rechecked(building.desk.recheck(building.view, building.now))
    building.desk.ring = ring_of()
    (stale,) = rechecked(building.desk.recheck(building.view, building.now))
    assert (stale.mac, stale.nas, stale.reason) == (MAC, HOME, "revoked")


def test_a_session_of_somebody_else_changes_no_answer() -> None:
    building = Building(mine())
    first = building.ask()
    learned = building.view.learned
    building.view = replace(building.view, learned=replace(learned, neighbours={HOME: OTHER_MAC}))
    assert building.ask() is first


# ------------------------------------------------------------------------------------------- it is never stale


def test_a_revoked_key_is_refused_from_the_next_request_on() -> None:
    building = Building(mine())
    assert vlan(building.ask()) == "112"
    building.desk.ring = ring_of(mine(revoked=NOW))
    assert vlan(building.ask()) == "reject"
    assert building.reason() == "revoked"


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ({"expires": NOW + 10.0}, "112", "reject"),
        ({"not_before": NOW + 10.0}, "reject", "112"),
        ({"revoked": NOW + 10.0}, "112", "reject"),
    ],
)
def test_a_key_begins_and_ends_on_time_though_nobody_compiles_the_keyring_anew(
    key: dict[str, Any], before: str, after: str
) -> None:
    building = Building(mine(**key))
    for now, expected in ((NOW, before), (NOW + 9.9, before), (NOW + 10.0, after), (NOW + 11.0, after)):
        building.now = now
        assert vlan(building.ask()) == expected


def test_a_session_timeout_counts_down() -> None:
    building = Building(mine(expires=NOW + 100.0))
    for later in (0.0, 0.5, 1.0, 50.0):
        building.now = NOW + later
        answer = building.ask()
        assert answer is not None
        (timeout,) = (a.value for a in answer.attributes if isinstance(a, Attribute) and a.type == 27)
        assert int.from_bytes(timeout, "big") == math.ceil(100.0 - later)


def test_who_is_blocked_is_blocked_at_once_and_back_at_once() -> None:
    building = Building(mine(subscriber="1001"), blocked={"vlan": 666})
    for state, expected in ((State.ACTIVE, "112"), (State.BLOCKED, "666"), (State.ACTIVE, "112")):
        building.view = people(**{"1001": state})
        assert vlan(building.ask()) == expected
        assert vlan(building.ask()) == expected


def test_each_part_of_the_view_that_decides_is_looked_at_by_itself() -> None:
    building = Building(mine(subscriber="1001"), blocked={"vlan": 666})
    word = {"1001": Override("1001", blocked=False, until=NOW + 10.0, why="", who="", at=NOW)}
    assert vlan(building.ask()) == "112"
    building.view = replace(building.view, table=people(**{"1001": State.BLOCKED}).table)
    assert vlan(building.ask()) == "666"
    building.view = replace(building.view, learned=replace(building.view.learned, passes={"1001": NOW + 10.0}))
    assert vlan(building.ask()) == "112"
    building.view = replace(building.view, learned=replace(building.view.learned, passes={}))
    assert vlan(building.ask()) == "666"
    building.view = replace(building.view, learned=replace(building.view.learned, overrides=word))
    assert vlan(building.ask()) == "112"


def test_a_reject_by_an_operators_word_ends_with_the_word() -> None:
    word = Override("1001", blocked=True, until=NOW + 10.0, why="", who="", at=NOW)
    building = Building(mine(subscriber="1001"), view=people(**{"1001": State.ACTIVE}))
    building.view = replace(building.view, learned=Learned(overrides={"1001": word}))
    for now, expected in ((NOW, "reject"), (NOW + 9.9, "reject"), (NOW + 10.0, "112")):
        building.now = now
        assert vlan(building.ask()) == expected


def test_a_pass_and_an_operators_word_end_on_time() -> None:
    blocked = people(**{"1001": State.BLOCKED})
    word = Override("1001", blocked=True, until=NOW + 10.0, why="", who="", at=NOW)
    for view, before, after in (
        (replace(blocked, learned=Learned(passes={"1001": NOW + 10.0})), "112", "666"),
        (View(learned=Learned(overrides={"1001": word})), "112", "112"),
        (replace(people(**{"1001": State.ACTIVE}), learned=Learned(overrides={"1001": word})), "666", "112"),
    ):
        building = Building(mine(subscriber="1001"), blocked={"vlan": 666}, view=view)
        for now, expected in ((NOW, before), (NOW + 9.0, before), (NOW + 10.0, after), (NOW + 11.0, after)):
            building.now = now
            assert vlan(building.ask()) == expected


def test_other_settings_are_in_force_from_the_next_request_on() -> None:
    building = Building(unknown={"vlan": 50})
    assert vlan(building.ask()) == "50"
    building.desk.settings = mpsk_settings(unknown={"vlan": 51})
    assert vlan(building.ask()) == "51"
    building.desk.settings = mpsk_settings()
    assert vlan(building.ask()) == "reject"
    building.desk.settings = MpskSettings(networks={"Another": building.desk.settings.networks[SSID]})
    assert vlan(building.ask()) == "reject"
    assert building.desk.explain_device(MAC) is not None
    assert building.desk.counters.rejects["unknown-ssid"] == 1  # type: ignore[index]  # a StrEnum is its word


def test_the_device_limit_is_kept_and_the_place_of_a_device_that_ages_is_given_away() -> None:
    key = stored(derived=False, device_limit=1, vlan=112)
    others = tuple(Sighting(SSID, mac, key.name, NOW) for mac in (MAC, OTHER_MAC))
    building = Building()
    building.desk.ring = ring_of(key, sightings=others[:1])
    assert vlan(building.ask()) == "112"
    building.desk.ring = building.desk.ring.with_sightings(others[1:])
    assert vlan(building.ask()) == "reject"
    assert building.reason() == "device-limit"
    building.now += 14 * 86400.0 + 1.0
    assert vlan(building.ask()) == "112"


def test_a_device_that_only_ever_asks_by_its_address_is_neither_counted_out_nor_forgotten() -> None:
    key = stored(derived=False, device_limit=1, vlan=112)
    building = Building()
    building.desk.ring = ring_of(key, sightings=(Sighting(SSID, MAC, key.name, NOW),))
    for _ in range(100):
        building.now += 86401.0
        assert vlan(building.ask()) == "112"

    assert building.desk.ring.device_count(key.name, OTHER_MAC, building.now) == 1
    assert building.desk.sightings[SSID, MAC].at == building.now


def test_a_device_that_was_just_learned_is_known_to_the_next_look_up() -> None:
    key = stored(vlan=112)
    building = Building(key)
    assert vlan(building.ask()) == "reject"
    assert key.pmk is not None
    building.desk.ring = building.desk.ring.with_sightings((Sighting(SSID, MAC, key.name, NOW),))
    assert vlan(building.ask()) == "112"


def test_a_wrong_password_is_another_question() -> None:
    building = Building(mine())
    assert vlan(building.ask()) == "112"
    others = tuple(a for a in request(password=False).attributes)
    wrong = Packet(Code.ACCESS_REQUEST, 1, bytes(16), (*others, Attribute(2, b"not-my-name")))
    assert vlan(building.ask(wrong)) == "reject"
    assert vlan(building.ask(request(password=False))) == "112"
    assert vlan(building.ask()) == "112"


def test_another_client_or_another_source_is_another_question() -> None:
    building = Building(mine(key_id="k-2"), stored("k-3", site="building-8", derived=False, devices=(MAC,), vlan=113))
    other = Source(HOME, client("building-8"), str(HOME))
    for source, expected in ((SOURCE, "112"), (other, "112"), (SOURCE, "112")):
        assert vlan(building.ask(source=source)) == expected
        last = building.desk.explain_device(MAC)
        assert last is not None
        assert last.client == source.client.name
    spoken = Source(HOME, client(dialect="cisco-ipsk"), str(HOME))
    answer = building.ask(source=spoken)
    assert answer is not None
    assert any(isinstance(a, Attribute) and a.type == 26 for a in answer.attributes)


def test_a_device_is_disconnected_at_the_access_point_that_it_asked_through_last() -> None:
    building = Building(mine())
    roamed = Source(parse_address("127.0.0.2"), SOURCE.client, "127.0.0.2")
    for source in (SOURCE, roamed):
        building.ask(source=source)
    building.desk.ring = ring_of()
    (stale,) = rechecked(building.desk.recheck(building.view, building.now))
    assert stale.nas == roamed.address


def test_another_session_gets_the_answer_of_before_and_is_the_one_that_is_disconnected() -> None:
    building = Building(mine())
    cisco = Source(HOME, client(dialect="cisco-ipsk"), str(HOME))
    names = [attribute("Cisco-AVPair", b"audit-session-id=%d" % number) for number in range(3)]
    answers = [building.ask(request(MAC, name), source=cisco) for name in names]
    assert answers[0] is answers[1] is answers[2]
    building.desk.ring = ring_of()
    (stale,) = rechecked(building.desk.recheck(building.view, building.now))
    assert names[2] in stale.session
    assert not {names[0], names[1]} & set(stale.session)


def test_a_proxys_state_is_no_part_of_the_question_and_comes_back_all_the_same() -> None:
    first = admitted(request(), SOURCE, Attribute(33, b"one"), number=1)
    second = admitted(request(), SOURCE, Attribute(33, b"two"), Attribute(33, b"three"), number=2)
    assert first.constant == second.constant == admitted(request()).constant
    assert (first.states, second.states) == (b"\x21\x05one", b"\x21\x05two\x21\x07three")


def test_a_handshake_is_never_kept() -> None:
    key = stored(vlan=112)
    building = Building(key)
    assert key.pmk is not None
    building.desk.ring = building.desk.ring.with_sightings((Sighting(SSID, MAC, key.name, NOW),))
    for attempt in ("1", "2"):
        assert vlan(building.ask(handshake_request(key.pmk.reveal(), attempt=attempt))) == "112"
    assert len(building.desk._ready) == 0


def test_a_clock_that_is_set_back_makes_every_answer_anew() -> None:
    editions = Editions()
    ring, settings = ring_of(), mpsk_settings()
    first = editions.at(OPEN, ring, settings, NOW)
    assert editions.at(OPEN, ring, settings, NOW + 5.0) == first
    assert editions.at(OPEN, ring, settings, NOW - 5.0) != first


# ------------------------------------------------------------------------------------------------ it is bounded


def test_the_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "MOST", 2)
    building = Building(mine())
    first = building.ask()
    for mac in (OTHER_MAC, THIRD_MAC):
        building.ask(request(mac))
    assert len(building.desk._ready) == 2
    again = building.ask()
    assert again == first
    assert again is not first


def test_a_long_request_is_answered_and_not_kept() -> None:
    building = Building(mine())
    for _ in range(2):
        assert vlan(building.ask(request(MAC, Attribute(18, bytes(250)), Attribute(18, bytes(250))))) == "112"
    assert len(building.desk._ready) == 0


def test_keys_of_the_same_device_are_told_apart_by_their_ring_alone() -> None:
    building = Building(mine())
    first = building.ask()
    building.desk.ring = ring_of(
        StoredKey("local", Key("k-9", SSID, Secret("another-passphrase"), devices=(MAC,)), None, NOW)
    )
    assert building.ask() != first
