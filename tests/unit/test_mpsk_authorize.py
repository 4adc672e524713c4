# SPDX-License-Identifier: Apache-2.0
"""What the holder of a key gets: the decisions, one sentence each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.model import Rate, Snapshot, State, Subscriber
from edged.mpsk.authorize import authorize_device, authorize_key
from edged.mpsk.outcome import Accept, Reason, Reject
from edged.mpsk.question import Question, read_question
from edged.policy.access import Learned, View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.state.keys import LOCAL, KeyId, Sighting, StoredKey
from edged.values import MacAddress
from tests.mpsk_world import DAY, MAC, NOW, OPEN, SSID, client, handshake_request, network, request, ring_of, stored

NAME = KeyId(LOCAL, "k-1")


def question(*, handshake: bool = True) -> Question:
    packet = handshake_request(bytes(32)) if handshake else request()
    found = read_question(packet, client(), (SSID,))
    assert isinstance(found, Question)
    return found


def view(state: State, *, pass_until: float = 0.0, device: bool = False) -> View:
    subscriber = Subscriber("1001", state, "unpaid", devices=(MAC,) if device else ())
    table = compile_table(Snapshot("s", "1", NOW, (subscriber,)), SubscribersSettings())
    return View(table, Learned(passes={"1001": pass_until} if pass_until else {}))


def holder(key: StoredKey, at: View = OPEN, sightings: tuple[Sighting, ...] = (), **settings: Any) -> Accept | Reject:
    return authorize_key(question(), key, ring_of(key, sightings=sightings), network(**settings), view=at, now=NOW)


def device(*keys: StoredKey, at: View = OPEN, **settings: Any) -> Accept | Reject:
    return authorize_device(question(handshake=False), ring_of(*keys), network(**settings), view=at, now=NOW)


def test_a_good_key_brings_its_vlan_and_rate() -> None:
    key = stored(vlan=112, rate=Rate(10, 5))

    assert holder(key) == Accept((key,), 112, None, Rate(10, 5))


def test_a_device_that_counts_no_more_has_no_place_to_give_so_that_a_full_key_stays_full() -> None:
    key = stored(device_limit=2)
    macs = [MacAddress(f"02:00:5e:20:00:0{n}") for n in range(4)]
    # two that changed their address a month ago, and two that are there
    seen = tuple(Sighting(SSID, mac, NAME, NOW - (30 * DAY if n < 2 else DAY)) for n, mac in enumerate(macs))

    outcome = holder(key, sightings=seen, devices_full="replace-oldest")

    assert isinstance(outcome, Accept)
    assert outcome.displaced == macs[2]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"expires": NOW - 1}, Reason.EXPIRED),
        ({"not_before": NOW + 1}, Reason.NOT_YET),
        ({"revoked": NOW}, Reason.REVOKED),
    ],
)
def test_a_key_that_is_not_good_is_rejected_with_its_reason(fields: dict[str, Any], reason: Reason) -> None:
    assert holder(stored(**fields)) == Reject(reason, NAME)


@pytest.mark.parametrize("seconds", [1, 3600, 90 * 86400])
def test_an_expiring_key_ends_its_session_with_it_and_never_before(seconds: int) -> None:
    outcome = holder(stored(expires=NOW + seconds - 0.5))

    assert isinstance(outcome, Accept)
    assert outcome.session_timeout == seconds


def test_a_retired_passphrase_ends_with_the_overlap() -> None:
    outcome = holder(stored(expires=NOW + 9 * DAY, revoked=NOW + DAY))

    assert isinstance(outcome, Accept)
    assert outcome.session_timeout == 86400


def test_a_suspended_resident_lands_in_the_blocked_vlan_with_their_own_key() -> None:
    key = stored(vlan=112, subscriber="1001", rate=Rate(10, 5))

    assert holder(key, view(State.BLOCKED), blocked={"vlan": 666}) == Accept((key,), 666, blocked=True)


def test_without_a_blocked_vlan_a_suspended_resident_is_rejected() -> None:
    assert holder(stored(subscriber="1001"), view(State.BLOCKED)) == Reject(Reason.BLOCKED, NAME)


@pytest.mark.parametrize("state", [State.ACTIVE, State.NOTICE])
def test_a_resident_who_is_not_suspended_has_their_own_vlan(state: State) -> None:
    outcome = holder(stored(vlan=112, subscriber="1001"), view(state), blocked={"vlan": 666})

    assert isinstance(outcome, Accept)
    assert outcome.vlan == 112


def test_a_pass_opens_the_network_until_it_ends() -> None:
    outcome = holder(
        stored(vlan=112, subscriber="1001"), view(State.BLOCKED, pass_until=NOW + 900), blocked={"vlan": 666}
    )

    assert isinstance(outcome, Accept)
    assert (outcome.vlan, outcome.session_timeout) == (112, 900)


def test_a_reminder_that_was_put_away_ends_no_session() -> None:
    reminded = view(State.NOTICE)
    put_away = View(reminded.table, Learned(snoozes={"1001": NOW + 900}))

    outcomes = [holder(stored(vlan=112, subscriber="1001"), at, blocked={"vlan": 666}) for at in (reminded, put_away)]

    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[1], Accept)
    assert outcomes[1].session_timeout is None


def test_a_device_that_billing_knows_by_its_mac_is_blocked_where_the_key_names_nobody() -> None:
    outcome = holder(stored(), view(State.BLOCKED, device=True), blocked={"vlan": 666})

    assert isinstance(outcome, Accept)
    assert outcome.vlan == 666


def others(count: int) -> tuple[Sighting, ...]:
    return tuple(Sighting(SSID, MacAddress(f"02:00:5e:20:00:{i:02x}"), NAME, NOW - DAY) for i in range(count))


@pytest.mark.parametrize(
    ("known", "limit", "own", "accepted"),
    [(9, 10, None, True), (10, 10, None, False), (2, 10, 2, False), (1, 10, 2, True), (11, 10, 20, True)],
)
def test_one_device_more_than_the_limit_is_rejected(known: int, limit: int, own: int | None, *, accepted: bool) -> None:
    outcome = holder(stored(device_limit=own), sightings=others(known), devices_per_key=limit)

    assert outcome == Reject(Reason.DEVICE_LIMIT, NAME) if not accepted else isinstance(outcome, Accept)


def test_a_device_that_is_known_already_is_within_the_limit() -> None:
    mine = Sighting(SSID, MAC, NAME, NOW - DAY)

    assert isinstance(holder(stored(), sightings=(mine, *others(9)), devices_per_key=10), Accept)


def test_a_registered_device_does_not_count_against_the_limit() -> None:
    key = stored(devices=(MAC,))

    assert isinstance(holder(key, sightings=others(10), devices_per_key=10), Accept)


def test_before_the_handshake_a_registered_device_gets_its_key() -> None:
    key = stored(devices=(MAC,), vlan=112)

    assert device(key) == Accept((key,), 112)


def test_before_the_handshake_a_device_without_a_key_is_rejected() -> None:
    assert device(stored()) == Reject(Reason.UNKNOWN_DEVICE)


def test_before_the_handshake_a_device_without_a_key_may_get_a_vlan_and_no_key() -> None:
    assert device(stored(), unknown={"vlan": 999}) == Accept(vlan=999)


def test_a_suspended_device_without_a_key_is_not_let_on_as_unknown() -> None:
    blocked = view(State.BLOCKED, device=True)

    assert device(at=blocked, unknown={"vlan": 999}) == Reject(Reason.BLOCKED)
    assert device(at=blocked, unknown={"vlan": 999}, blocked={"vlan": 666}) == Accept(vlan=666, blocked=True)


def test_a_lapsed_key_is_not_unknown() -> None:
    assert device(stored(devices=(MAC,), expires=NOW - 1), unknown={"vlan": 999}) == Reject(Reason.EXPIRED, NAME)


def test_of_two_registered_keys_the_good_one_is_given() -> None:
    good = stored("k-2", devices=(MAC,))

    assert device(stored(devices=(MAC,), expires=NOW - 1), good) == Accept((good,))


def test_before_the_handshake_a_rotated_key_comes_with_its_old_passphrase() -> None:
    new = stored(devices=(MAC,))
    old = replace(new, key=replace(new.key, id="k-1~old"), revoked=NOW + DAY)

    outcome = device(new, old)

    assert isinstance(outcome, Accept)
    assert outcome.keys == (new, old)
