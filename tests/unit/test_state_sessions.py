# SPDX-License-Identifier: Apache-2.0
"""Accounting sessions on a real SQLite file: reports may be late, doubled or lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.model import OnlineSession
from edged.state.database import Database
from edged.state.sessions import Session, SessionStore, Status
from edged.values import parse_prefix
from tests.mpsk_world import MAC, NOW


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SessionStore]:
    database = Database(tmp_path / "edged.db")
    await database.open()
    yield SessionStore(database)
    await database.close()


async def test_a_session_is_open_from_start_to_stop(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="a", login="ana@fibre", mac=MAC, ipv4="100.64.1.7", at=NOW)
    await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW + 60, octets_in=5_000_000_000, octets_out=7)

    assert await store.open() == [
        Session(
            "ap-1", "a", "ana@fibre", MAC, "100.64.1.7", started=NOW, updated=NOW + 60,
            octets_in=5_000_000_000, octets_out=7, bound_ipv4=NOW, bound_ipv6=NOW, bound_delegated=NOW,
        )
    ]  # fmt: skip
    await store.record(Status.STOP, nas="ap-1", session="a", at=NOW + 90)
    assert await store.open() == []


async def test_counters_only_grow_and_a_doubled_report_changes_nothing(store: SessionStore) -> None:
    for octets, at in ((100, 60), (200, 120), (100, 60), (200, 120)):
        await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW + at, octets_in=octets)

    (session,) = await store.open()
    assert (session.octets_in, session.updated) == (200, NOW + 120)


async def test_a_late_report_does_not_open_a_stopped_session(store: SessionStore) -> None:
    await store.record(Status.STOP, nas="ap-1", session="a", at=NOW + 90)
    await store.record(Status.START, nas="ap-1", session="a", at=NOW)
    await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW + 120)

    assert await store.open() == []


async def test_a_session_id_may_be_used_again_after_its_stop(store: SessionStore) -> None:
    await store.record(Status.STOP, nas="ap-1", session="1", at=NOW, octets_in=500)
    await store.record(Status.START, nas="ap-1", session="1", at=NOW + 10)

    (session,) = await store.open()
    assert (session.started, session.octets_in) == (NOW + 10, 0)


@pytest.mark.parametrize("status", [Status.ON, Status.OFF])
async def test_on_and_off_end_every_session_of_that_nas_alone(store: SessionStore, status: Status) -> None:
    for nas, session in (("ap-1", "a"), ("ap-1", "b"), ("ap-2", "a")):
        await store.record(Status.START, nas=nas, session=session, at=NOW)

    await store.record(status, nas="ap-1", at=NOW + 1)

    assert [(s.nas, s.session) for s in await store.open()] == [("ap-2", "a")]


async def test_a_session_first_heard_of_in_the_middle_began_when_the_nas_says(store: SessionStore) -> None:
    await store.record(Status.INTERIM, nas="ap-1", session="a", mac=MAC, at=NOW, seconds=300)

    (session,) = await store.open()
    assert session.started == NOW - 300


async def test_old_sessions_are_forgotten(store: SessionStore) -> None:
    await store.record(Status.STOP, nas="ap-1", session="a", at=NOW)
    await store.purge(NOW + 1)
    await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW)

    assert len(await store.open()) == 1


async def test_a_session_is_bound_to_its_addresses_when_they_are_first_told(store: SessionStore) -> None:
    # some NASes send the Start before the address is negotiated
    await store.record(Status.START, nas="ap-1", session="a", login="ana", at=NOW)
    await store.record(Status.INTERIM, nas="ap-1", session="a", ipv4="100.64.1.7", at=NOW + 5)
    (session,) = await store.record(Status.INTERIM, nas="ap-1", session="a", ipv4="100.64.1.7", at=NOW + 300)

    assert (session.bound_ipv4, session.updated) == (NOW + 5, NOW + 300)


async def test_a_session_that_moves_is_bound_anew(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="a", login="ana", ipv4="100.64.1.7", at=NOW)
    (session,) = await store.record(Status.INTERIM, nas="ap-1", session="a", ipv4="100.64.1.8", at=NOW + 60)

    assert (session.ipv4, session.bound_ipv4) == ("100.64.1.8", NOW + 60)


async def test_a_session_is_online_with_both_families_until_it_stops(store: SessionStore) -> None:
    (started,) = await store.record(
        Status.START, nas="ap-1", session="a", login="ana", ipv4="100.64.1.7",
        ipv6="2001:db8:1::/64", delegated="2001:db8:100:700::/56", at=NOW,
    )  # fmt: skip
    (stopped,) = await store.record(Status.STOP, nas="ap-1", session="a", at=NOW + 1)

    lines = {"ipv4": "100.64.1.7", "ipv6": "2001:db8:1::/64", "delegated": "2001:db8:100:700::/56"}
    assert started.online() == {kind: OnlineSession("ana", (parse_prefix(line),), NOW) for kind, line in lines.items()}
    assert stopped.online() == dict.fromkeys(lines)


async def test_what_a_nas_that_restarts_ends_is_named(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="a", login="ana", at=NOW)
    await store.record(Status.START, nas="ap-2", session="b", login="ben", at=NOW)

    assert [s.login for s in await store.record(Status.ON, nas="ap-1", at=NOW + 1)] == ["ana"]


async def test_a_session_without_a_stop_ends_after_a_day_of_silence_where_there_were_updates(
    store: SessionStore,
) -> None:
    await store.record(Status.START, nas="ap-1", session="talks", at=NOW)
    await store.record(Status.INTERIM, nas="ap-1", session="talks", at=NOW + 300)
    await store.record(Status.START, nas="ap-1", session="never talked", at=NOW)

    assert await store.end_silent(NOW + 86_000) == []
    assert [s.session for s in await store.end_silent(NOW + 87_000)] == ["talks"]
    assert [s.session for s in await store.open()] == ["never talked"]
    assert [s.session for s in await store.end_silent(NOW + 32 * 86400)] == ["never talked"]


async def test_an_address_that_is_not_named_is_neither_given_up_nor_given_anew(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="a", login="ana", delegated="2001:db8:100:700::/56", at=NOW)
    (session,) = await store.record(Status.INTERIM, nas="ap-1", session="a", ipv4="100.64.1.7", at=NOW + 300)

    assert (session.delegated, session.bound_delegated) == ("2001:db8:100:700::/56", NOW)
    assert (session.ipv4, session.bound_ipv4) == ("100.64.1.7", NOW + 300)


async def test_a_nas_that_counts_from_one_again_has_another_session_although_its_on_was_lost(
    store: SessionStore,
) -> None:
    await store.record(Status.START, nas="ap-1", session="1", login="ana", delegated="2001:db8:100:700::/56", at=NOW)
    (again,) = await store.record(Status.START, nas="ap-1", session="1", login="ana", ipv4="100.64.1.8", at=NOW + 900)

    assert (again.delegated, again.ipv4, again.started) == ("", "100.64.1.8", NOW + 900)


async def test_a_start_that_is_sent_twice_is_one_session(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="1", login="ana", ipv4="100.64.1.7", at=NOW)
    await store.record(Status.INTERIM, nas="ap-1", session="1", delegated="2001:db8:100:700::/56", at=NOW + 1)
    (again,) = await store.record(Status.START, nas="ap-1", session="1", login="ana", ipv4="100.64.1.7", at=NOW + 5)

    assert (again.delegated, again.bound_ipv4) == ("2001:db8:100:700::/56", NOW)


async def test_a_session_name_with_another_login_is_another_session(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="1", login="ana", ipv4="100.64.1.7", at=NOW)
    (other,) = await store.record(Status.INTERIM, nas="ap-1", session="1", login="ben", at=NOW + 9)

    assert (other.login, other.ipv4) == ("ben", "")


async def test_a_session_that_was_only_silent_is_woken_by_a_report(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="a", login="ana", ipv4="100.64.1.7", at=NOW)
    await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW + 300)
    await store.end_silent(NOW + 400 * 86400)  # a clock that ran ahead

    (woken,) = await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW + 600)

    assert woken.online()["ipv4"] is not None
    assert await store.open() == [woken]


async def test_a_prefix_that_is_named_twice_is_held_once(store: SessionStore) -> None:
    twice = "2001:db8:100:700::/56 2001:db8:100:700::/56"
    (session,) = await store.record(Status.START, nas="ap-1", session="a", login="ana", delegated=twice, at=NOW)

    line = session.online()["delegated"]
    assert line is not None
    assert line.prefixes == (parse_prefix("2001:db8:100:700::/56"),)


async def test_a_report_that_was_overtaken_fills_in_what_was_not_told_and_turns_nothing_back(
    store: SessionStore,
) -> None:
    await store.record(
        Status.INTERIM, nas="ap-1", session="a", ipv4="100.64.1.8", at=NOW + 60, octets_in=500, octets_out=50
    )
    (session,) = await store.record(
        Status.START, nas="ap-1", session="a", login="ana", ipv4="100.64.1.7", delegated="2001:db8:100:700::/56", at=NOW
    )

    assert (session.ipv4, session.login, session.delegated) == ("100.64.1.8", "ana", "2001:db8:100:700::/56")
    assert (session.started, session.updated) == (NOW, NOW + 60)
    assert (session.octets_in, session.octets_out) == (500, 50)


async def test_a_nas_that_says_late_that_it_started_ends_no_session_that_began_since(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="before", at=NOW)
    await store.record(Status.START, nas="ap-1", session="since", at=NOW + 60)

    ended = await store.record(Status.ON, nas="ap-1", at=NOW + 30)

    assert [s.session for s in ended] == ["before"]
    assert [s.session for s in await store.open()] == ["since"]


async def test_a_session_that_had_stopped_is_not_stopped_again_by_its_nas_restarting(store: SessionStore) -> None:
    await store.record(Status.START, nas="ap-1", session="a", at=NOW)
    await store.record(Status.STOP, nas="ap-1", session="a", at=NOW + 1)

    assert await store.record(Status.ON, nas="ap-1", at=NOW + 100) == []

    (session,) = await store.record(Status.INTERIM, nas="ap-1", session="a", at=NOW + 101)
    assert session.stopped == NOW + 1


def test_of_one_session_no_more_prefixes_are_taken_than_a_household_can_have() -> None:
    many = " ".join(f"2001:db8:{n:x}::/64" for n in range(100))

    online = Session("ap-1", "a", ipv4="100.64.1.7", ipv6=many, delegated=many).online()

    assert [len(line.prefixes) for line in online.values() if line] == [1, 8, 8]


async def wifi(store: SessionStore, status: Status, nas: str, at: float, **more: Any) -> None:
    given = {"session": "a", "mac": MAC, "ssid": "Residence", "client": "building-7", **more}
    await store.record(status, nas=nas, at=NOW + at, **given)


async def test_a_wifi_session_keeps_its_network_its_client_and_its_key(store: SessionStore) -> None:
    await wifi(store, Status.START, "ap-1", 0, key=("billing", "k-1"))
    await wifi(store, Status.INTERIM, "ap-1", 60, client="", ssid="", octets_out=2**40)

    (session,) = await store.of_device(MAC, ["Residence"])

    assert (session.ssid, session.client, session.origin, session.key) == ("Residence", "building-7", "billing", "k-1")
    assert (session.octets_out, session.updated) == (2**40, NOW + 60)


async def test_who_roams_is_online_where_the_session_runs_whatever_report_came_last(store: SessionStore) -> None:
    await wifi(store, Status.START, "ap-1", 0)
    await wifi(store, Status.START, "ap-2", 10)
    await wifi(store, Status.STOP, "ap-1", 11)

    (session,) = await store.wireless()

    assert (session.nas, session.stopped) == ("ap-2", None)


async def test_the_access_point_that_was_left_and_does_not_know_it_reports_on_in_vain(store: SessionStore) -> None:
    await wifi(store, Status.START, "ap-1", 0)
    await wifi(store, Status.START, "ap-2", 10)
    await wifi(store, Status.INTERIM, "ap-1", 300)

    assert [session.nas for session in await store.wireless()] == ["ap-2"]


async def test_of_ended_sessions_the_latest_counts(store: SessionStore) -> None:
    for nas, begun in (("ap-1", 0), ("ap-2", 100), ("ap-3", 50)):
        await wifi(store, Status.START, nas, begun)
        await wifi(store, Status.STOP, nas, begun + 10)

    assert [session.nas for session in await store.wireless()] == ["ap-2"]


async def test_a_device_on_two_networks_is_there_twice_and_a_line_without_wifi_never(store: SessionStore) -> None:
    await wifi(store, Status.START, "ap-1", 0)
    await wifi(store, Status.START, "ap-1", 0, session="b", ssid="Garden")
    await wifi(store, Status.START, "ap-1", 0, session="c", ssid="", mac="02:00:5e:00:00:77")

    assert [session.ssid for session in await store.wireless()] == ["Garden", "Residence"]
    assert await store.of_device("02:00:5e:00:00:77", ["Residence", "Garden"]) == []
    assert [session.ssid for session in await store.of_device(MAC, ["Residence"])] == ["Residence"]


async def test_devices_come_in_parts_and_those_that_are_online_alone(store: SessionStore) -> None:
    for number in range(5):
        mac = f"02:00:5e:00:00:0{number}"
        await wifi(store, Status.START, f"ap-{number}", 0, mac=mac)
        if number % 2:
            await wifi(store, Status.STOP, f"ap-{number}", 1, mac=mac)

    found, after = [], ("", "")
    while part := await store.wireless(after, 2):
        assert len(part) <= 2
        found += part
        after = (part[-1].ssid, part[-1].mac)

    assert [session.nas for session in found] == [f"ap-{number}" for number in range(5)]
    assert [session.nas for session in await store.wireless(running=True)] == ["ap-0", "ap-2", "ap-4"]


async def test_the_latest_sessions_are_found_by_an_index_and_not_by_reading_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.db")
    await database.open()
    query = "EXPLAIN QUERY PLAN SELECT nas, max(updated) FROM sessions WHERE ssid != '' AND "
    parts = await database.read(query + "(ssid, mac) > ('a', 'b') GROUP BY ssid, mac ORDER BY ssid, mac LIMIT 2")
    one = await database.read(query + "ssid IN ('a', 'b') AND mac = ? GROUP BY ssid, mac", (MAC,))
    await database.close()

    for plan in (str(parts), str(one)):
        assert "sessions_device" in plan
        assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("status", [Status.ON, Status.OFF])
async def test_a_radio_that_starts_late_ends_nothing_on_the_other_radio(store: SessionStore, status: Status) -> None:
    first, second = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
    await wifi(store, Status.START, "ap-1", 0, session="a", bssid=first)
    await wifi(store, Status.START, "ap-1", 0, session="b", bssid=second)
    await wifi(store, Status.START, "ap-1", 0, session="c")

    await store.record(status, nas="ap-1", at=NOW + 60, bssid=second)
    assert [session.session for session in await store.open()] == ["a"]

    await store.record(status, nas="ap-1", at=NOW + 61)
    assert await store.open() == []
