# SPDX-License-Identifier: Apache-2.0
"""What somebody who may write to the shared store cannot do to the edges, and what they cannot do to one another."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from edged.state.sessions import Status
from edged.state.shared import client, rows
from tests.loopback.postgres import Postgres
from tests.loopback.test_shared_store import _INSERT, Make, cluster, key, make, promise, store, until

__all__ = ["cluster", "make", "store"]


async def test_a_key_cannot_be_moved_to_another_vlan_in_the_store(make: Make, cluster: Postgres, store: str) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    await a.keys.add_local([key("local-1", "one passphrase"), key("local-2", "two passphrase")], time.time())
    await a.once()
    for column, value in (("vlan", "1"), ("ssid", '"Office"'), ("subscriber", '"8899"'), ("expires", "0.5")):
        changed = f"body = jsonb_set(body::jsonb, '{{{column}}}', '{value}')::json, changed = changed + 1"
        cluster.sql(
            f"UPDATE edged_rows SET {changed}, tx = pg_current_xact_id() WHERE name = '[\"local-1\"]'",  # noqa: S608  # a test's own
            store,
        )
        await b.once()
        assert [s.key.id for s in await b.keys.all()] == ["local-2"], column
    assert b.standing.unsealed == 4


async def test_a_word_from_the_future_is_refused_and_gives_way_to_the_next_one(
    make: Make, cluster: Postgres, store: str
) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    ahead = now + 9e8
    await a.once()
    body = json.dumps({"blocked": 1, "until": ahead + 1.0, "reason": "", "why": "", "who": "eve", "at": ahead,
                       "kind": "block"})  # fmt: skip
    cluster.sql(f"{_INSERT} ('*', 'override', '[\"8812\"]', '{body}', {now}, false, 'eve')", store)
    cluster.sql(f"{_INSERT} ('*', 'override', '[\"8813\"]', '{{}}', {ahead}, true, 'eve')", store)
    await a.once()
    assert a.standing.refused == 2
    assert await a.words.alive(now) == {}

    for subscriber in ("8812", "8813"):
        await a.words.put(promise(subscriber, now))
    for edge in (a, b, a):
        await edge.once()

    for edge in (a, b):
        assert {name: word.blocked for name, word in (await edge.words.alive(now)).items()} == {
            "8812": False, "8813": False,
        }  # fmt: skip


async def test_what_a_nas_says_in_its_names_keeps_no_session_from_others(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.sessions.record(Status.START, nas="bng\0", session="s", at=now, login="ana", mac="eth 0/1/2:77")
    for edge in (a, b, a):
        await edge.once()

    assert await b.sessions.open() == await a.sessions.open() != []
    assert a.standing.refused == b.standing.refused == a.standing.unsendable == 0


async def test_an_edge_that_has_learned_to_read_more_reads_everything_again(make: Make) -> None:
    older, other = await make("a", running=False), await make("other", running=False)
    now = time.time()
    older.near.kinds = tuple(kind for kind in older.near.kinds if kind != "snooze")
    older.start()
    await until(lambda: older.standing.connected)
    await other.words.snooze("8812", now + 600.0)
    await other.once()
    await other.words.put(promise("8812", now))
    await other.once()
    await until(lambda: older.words.alive(now))
    await older.stop()
    assert await older.words.snoozes(now) == {}

    newer = await make("a")

    await until(lambda: newer.words.snoozes(now))


async def test_while_many_rows_are_read_and_written_everybody_else_has_their_turn(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    for number in range(400):
        await a.words.snooze(str(number), now + 600.0)
        await b.words.snooze(str(number), now + 500.0)
    await a.once()
    at_once = longest = 0

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal at_once, longest
        at_once += 1
        longest = max(longest, at_once)
        return rows.received(*arguments, **more)

    monkeypatch.setattr(client, "received", counted)

    async def others() -> None:
        nonlocal at_once
        while True:
            at_once = 0
            await asyncio.sleep(0)

    busy = asyncio.create_task(others())
    await b.once()
    busy.cancel()

    assert set((await b.words.snoozes(now)).values()) == {now + 600.0}
    assert 0 < longest <= 2 * client._PIECE


async def test_a_flood_of_notifications_is_a_few_looks(make: Make, cluster: Postgres, store: str) -> None:
    a = await make("a", running=False)
    looks = 0
    pull = a.client.pull

    async def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return await pull(*arguments)

    a.client.pull = counted
    a.start()
    await until(lambda: a.standing.connected)
    before, begun = looks, time.monotonic()
    channel = client._channel("*")
    flood = f"SELECT pg_notify('{channel}', n::text) FROM generate_series(1, 2000) AS n"  # noqa: S608  # a test's own
    for _ in range(5):
        cluster.sql(flood, store)
    await asyncio.sleep(1.0)

    assert looks - before <= (time.monotonic() - begun) / 0.2 + 2


async def test_a_connection_that_is_ended_in_the_middle_of_everything_costs_nothing_and_doubles_nothing(
    make: Make, cluster: Postgres
) -> None:
    a, b = await make("a"), await make("b")
    await until(lambda: a.standing.connected and b.standing.connected)
    now = time.time()
    for number in range(60):
        await a.words.start_pass(str(number), now, now + 600.0)
        if number % 20 == 10:
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'edged %'")

    async def arrived() -> bool:
        return len(await b.words.passes(now)) == 60 and a.standing.waiting == 0

    await until(arrived, 60.0)
    assert len(await b.database.read("SELECT 1 FROM audit")) == 60
    assert len(await b.database.read("SELECT 1 FROM passes")) == 60
