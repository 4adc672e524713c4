# SPDX-License-Identifier: Apache-2.0
"""What somebody who may write to the shared store cannot do to the edges, and what they cannot do to one another."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from edged.errors import UpstreamError
from edged.model import State, Subscriber
from edged.ops.figures import figures
from edged.state.sessions import Status
from edged.state.shared import client, rows
from edged.state.shared.rows import KINDS, Row, named, spelt
from edged.state.shared.target import parse_target
from edged.values import Secret
from tests.loopback.house import ask, at_work, written
from tests.loopback.postgres import PASSWORD, Postgres
from tests.loopback.test_shared_faults import house_at
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


ODD = ("8812", "", " ", "\x1b[2J", "<b>", "../../x", "ж" * 600, "{0}", "%s", "\u202e")
FAR = (-1e10, -1.0, 0.0, 1.0, 1e11)


def odd_rows(now: float) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Kind, name, body and whether it is a removal: rows that are taken, though no edged has cause to write one."""
    for number, text in enumerate(ODD):
        until, kind = FAR[number % 5], ("block", "promise", "exemption")[number % 3]
        yield (
            "override", named(text),
            {"blocked": int(kind == "block"), "until": now + 1e6, "reason": text, "why": text, "who": text,
             "at": now - number, "kind": kind}, False,
        )  # fmt: skip
        yield "audit", named(FAR[number % 5], text, text, text, text), {}, False
        yield "pass", named(text, FAR[number % 5]), {"ends": 1e11, "who": text}, False
        yield "snooze", named(text), {"until": 1e11}, False
        yield "device", named(text, f"02:00:00:00:00:{number:02x}"), {
            "origin": "local", "key": text, "first_seen": until, "last_seen": FAR[number % 5]}, False  # fmt: skip
        yield "device", named(text, f"02:00:00:00:01:{number:02x}"), {}, True
        yield "session", named(text, text), {
            "login": text, "mac": text[:64], "ipv4": ("", "0.0.0.0", "255.255.255.255", "127.0.0.9")[number % 4],
            "ipv6": ("", "::/0", "::/0 ::/0", " ".join(["2001:db8::/64"] * 200))[number % 4], "delegated": "::/0",
            "started": FAR[number % 5], "updated": FAR[number % 4], "stopped": (None, 1e11, -1e10)[number % 3],
            "octets_in": 2**63 - 1, "octets_out": 0, "bound_ipv4": until, "bound_ipv6": until, "bound_delegated": until,
            "silent": 2**62 if number % 2 else 0, "client": text, "ssid": text, "origin": "local", "key": text,
            "bssid": text}, False  # fmt: skip
    for address in ("::ffff:192.0.2.1", "::", "0.0.0.0", "fe80::1%lo"):  # nothing is bound
        yield "signer", named(address), {}, False


async def test_whatever_stands_in_a_row_that_is_taken_no_room_ends_by_it(
    make: Make, cluster: Postgres, store: str, tmp_path: Path
) -> None:
    other = await make("other", running=False)
    await other.once()
    now = time.time()
    rows_ = list(odd_rows(now))
    writer = await asyncpg.connect(cluster.url(store), password=PASSWORD)
    await writer.executemany(
        f"{_INSERT} ($1, $2, $3, $4, 1, $5, 'eve')",
        [("*" if KINDS[kind].everywhere else "group:", kind, *spelt(Row(kind, name, 1.0, body)), gone)
         for kind, name, body, gone in rows_],
    )  # fmt: skip
    await writer.close()
    house = written(
        tmp_path, house_at(tmp_path, cluster.url(store)), Subscriber("8812", State.BLOCKED, logins=("8812",))
    )
    async with at_work(house):
        standing = house.sharing.standing
        assert standing is not None
        await until(lambda: standing.connected)
        assert standing.merged >= len(rows_) - 20
        assert standing.refused <= 5
        for command, request in (
            ("status", {}), ("plan", {}), ("explain", {"subject": "8812"}),
            ("explain", {"subject": "127.0.0.9"}), ("unblock", {"subscriber": "8812", "why": "x"}),
        ):  # fmt: skip
            json.dumps(await ask(house, command, **request))
        assert list(figures(house))
        assert not house.database.error


def said(kind: bytes, body: bytes = b"") -> bytes:
    """A message of PostgreSQL's protocol, version 3."""
    return kind + struct.pack("!I", len(body) + 4) + body


IN, READY = said(b"R", bytes(4)), said(b"K", bytes(8)) + said(b"Z", b"I")


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"", IN + READY,
        IN + said(b"S", b"server_version\0not a number\0") + READY, IN + said(b"S", b"server_version\0") + READY,
        IN + said(b"S", b"server_version\0\xff\xfe\0") + READY, said(b"R"), said(b"R", b"\0\0\0\x0axx"), said(b"E"),
        said(b"E", b"M\xff\xfe\0\0"), IN + b"D\x7f\xff\xff\xff",
    ],
)  # fmt: skip
# a connection of asyncpg that was never one stumbles over its own end
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_where_something_else_answers_an_edge_serves_on_and_says_so(
    make: Make, monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    monkeypatch.setattr(client, "CONNECT_S", 0.5)
    monkeypatch.setattr(client, "COMMAND_S", 0.5)

    visits: set[asyncio.Task[None]] = set()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, TimeoutError):
                await reader.read(4096)
                writer.write(greeting)
                await asyncio.wait_for(reader.read(4096), 5.0)
        finally:
            writer.close()

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(asyncio.create_task(visited(reader, writer)))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    edge = await make("a", running=False)
    edge.client._target = parse_target(f"postgresql://edged@127.0.0.1:{port}/edged?sslmode=disable", Secret("x"))
    edge.start()

    await until(lambda: edge.standing.error)

    assert edge.standing.error.startswith("the shared store: ")
    assert edge._task is not None
    assert not edge._task.done()
    await edge.stop()
    server.close()
    await asyncio.wait(visits)


async def test_a_database_that_takes_any_octets_for_text_is_not_shared(make: Make, cluster: Postgres) -> None:
    cluster.sql("CREATE DATABASE octets ENCODING 'SQL_ASCII' TEMPLATE template0")
    edge = await make("a", running=False)
    edge.client._target = parse_target(cluster.url("octets"), Secret(PASSWORD))

    with pytest.raises(UpstreamError, match="SQL_ASCII"):
        await edge.client.connect(lambda: None)
