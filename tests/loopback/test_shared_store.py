# SPDX-License-Identifier: Apache-2.0
"""Edges that share a store, over a PostgreSQL of the test's own that is cut, killed and lied to."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from edged.model import Key
from edged.ops.alarms import alarms
from edged.ops.figures import figures
from edged.ops.parts import parts
from edged.policy.access import Override
from edged.state.database import Database
from edged.state.files import secret_file
from edged.state.keys import KeyId, KeyStore, Sighting, StoredKey
from edged.state.overrides import AuditRow, Kind, OverrideStore
from edged.state.sealing import Seal
from edged.state.sessions import SessionStore, Status
from edged.state.shared import service
from edged.state.shared.capture import Capture
from edged.state.shared.client import SharedClient, TooOldError
from edged.state.shared.inspection import inspect
from edged.state.shared.rows import Row
from edged.state.shared.service import LOOK_S, POLL_S, Replicator
from edged.state.shared.target import Target, key_mark, parse_target, shared_seal
from edged.state.signers import SignerStore
from edged.values import MacAddress, Secret, parse_address
from tests.loopback.house import EVERY_ROOM, at_work, written
from tests.loopback.postgres import PASSWORD, Postgres, postgres_at_work

SHARED_KEY = Secret("a shared key of a test, long enough for it")
DEVICE = MacAddress("02:00:00:00:00:01")
SOON_S = 10.0
_INSERT = "INSERT INTO edged_rows (scope, kind, name, body, changed, gone, edge) VALUES"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with postgres_at_work() as server:
        yield server


_number = iter(range(1000))


@pytest.fixture
def store(cluster: Postgres) -> str:
    name = f"edged{next(_number)}"
    cluster.sql(f"CREATE DATABASE {name}")
    return name


class Edge:
    """The stores of one edge and its replicator, as the daemon has them."""

    def __init__(
        self, path: Path, target: Target, name: str, key: Secret | None, group: str,
        *, poll: float = POLL_S, look: float = LOOK_S, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        path.mkdir(exist_ok=True)
        self.database = Database(path / "edged.sqlite")
        self.words = OverrideStore(self.database)
        self.sessions, self.signers = SessionStore(self.database), SignerStore(self.database)
        self.keys = KeyStore(self.database, Seal(secret_file(path / "sealing.key")))
        self.told: list[Row] = []
        self.near = Capture(self.database, self.keys, shared_seal(key) if key else None, clock)
        self.client = SharedClient(target, edge=name, group=group, mark=key_mark(key))
        self.replicator = Replicator(self.near, self.client, "", self._learned, poll=poll, look=look)
        self.standing = self.replicator.standing
        self._task: asyncio.Task[None] | None = None

    async def _learned(self, rows: Sequence[Row]) -> None:
        self.told += rows

    def start(self) -> None:
        self._task = asyncio.create_task(self.replicator.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def once(self) -> None:
        """One exchange and no more."""
        cursor = await self.near.cursor(await self.client.connect(lambda: None) + " ")
        await self.replicator._exchange(cursor)
        await self.client.close()


Make = Callable[..., Any]


@pytest.fixture
async def make(cluster: Postgres, store: str, tmp_path: Path) -> AsyncIterator[Make]:
    edges: list[Edge] = []

    async def one(
        name: str, *, key: Secret | None = SHARED_KEY, group: str = "", running: bool = True, poll: float = POLL_S,
        look: float = LOOK_S, password: str = PASSWORD, folder: str = "",
    ) -> Edge:  # fmt: skip
        target = parse_target(cluster.url(store), Secret(password))
        edge = Edge(tmp_path / (folder or name), target, name, key, group, poll=poll, look=look)
        await edge.database.open()
        await edge.replicator.open()
        if running:
            edge.start()
        edges.append(edge)
        return edge

    yield one
    for edge in edges:
        await edge.stop()
        await edge.client.close()
        await edge.database.close()


async def until(true: Callable[[], Any], seconds: float = SOON_S) -> float:
    """Wait until ``true`` says so; how long that was."""
    begun = time.monotonic()
    while True:
        found = true()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return time.monotonic() - begun
        assert time.monotonic() - begun < seconds, "it did not come true"
        await asyncio.sleep(0.01)


def promise(name: str, at: float, *, blocked: bool = False) -> Override:
    return Override(name, blocked, at + 86400.0, "they promised", "ada", at, "")


def key(name: str, passphrase: str) -> Key:
    return Key(id=name, ssid="Residence", passphrase=Secret(passphrase), subscriber="8812")


@asynccontextmanager
async def cut(cluster: Postgres) -> AsyncIterator[None]:
    cluster.kill()
    try:
        yield
    finally:
        cluster.start()


async def test_each_store_is_read_at_the_other_edge_in_under_a_second(make: Make) -> None:
    a, b = await make("a"), await make("b")
    await until(lambda: a.standing.connected and b.standing.connected)
    now = time.time()

    await a.words.put(promise("8812", now), Kind.EXEMPTION)
    took = await until(lambda: b.words.alive(now))
    await a.words.start_pass("8813", now, now + 600.0)
    await a.words.snooze("8814", now + 600.0)
    await a.signers.save([parse_address("192.0.2.7")])
    await a.keys.learn([Sighting("Residence", DEVICE, KeyId("billing", "k1"), now)])
    await a.sessions.record(Status.START, nas="n", session="s", at=now, login="8812", ipv4="100.64.0.1")
    await a.keys.add_local([key("local-1", "correct horse battery")], now)

    assert took < 1.0
    await until(b.keys.all)
    assert await b.words.alive(now) == await a.words.alive(now)
    assert b.words.kinds == {"8812": Kind.EXEMPTION}
    assert await b.words.passes(now) == {"8813": now + 600.0}
    assert await b.words.pass_starts(now - 1.0) == {"8813": [now]}
    assert await b.words.snoozes(now) == {"8814": now + 600.0}
    assert await b.signers.load() == [parse_address("192.0.2.7")]
    assert await b.keys.devices(now) == await a.keys.devices(now)
    assert await b.sessions.open() == await a.sessions.open()
    assert [s.key for s in await b.keys.all()] == [s.key for s in await a.keys.all()]
    assert await b.words.recent("8812") == await a.words.recent("8812")
    assert {row.kind for row in b.told} >= {
        "override", "pass", "snooze", "signer", "device", "session", "key", "audit",
    }  # fmt: skip


async def test_a_removal_is_a_word_that_an_edge_which_was_away_hears_too(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.put(promise("8812", now - 60.0))
    await a.once()
    await b.once()
    assert await b.words.alive(now)

    await a.words.end("8812", who="ada", why="paid", at=now)
    await a.once()
    await b.once()
    await a.once()

    assert not await b.words.alive(now)
    assert not await a.words.alive(now)


async def test_without_notifications_an_edge_hears_by_looking(make: Make) -> None:
    a, b = await make("a"), await make("b", poll=0.2)
    await until(lambda: a.standing.connected and b.standing.connected)
    await b.client._connection.execute("UNLISTEN *")
    now = time.time()

    await a.words.put(promise("8812", now))

    await until(lambda: b.words.alive(now))


async def test_two_edges_of_one_name_hear_each_other(make: Make) -> None:
    a = await make("a")
    b = await make("b")
    b.client._edge = "a"
    await until(lambda: a.standing.connected and b.standing.connected)
    now = time.time()

    await a.words.put(promise("8812", now))

    await until(lambda: b.words.alive(now), POLL_S / 3)


async def test_two_edges_of_one_name_are_told_of_each_other_and_an_edge_is_no_namesake_of_what_it_was(
    make: Make,
) -> None:
    a = await make("a", look=0.1, poll=0.1)
    lost = SharedClient(a.client._target, edge="a", group="")
    await lost.connect(lambda: None)
    await until(lambda: a.standing.namesakes == 1)
    await lost.close()
    await until(lambda: a.standing.namesakes == 0)
    assert abs(a.standing.ahead) < 1.0

    twin = await make("a", folder="twin", look=0.1, poll=0.1)
    await make("a" * 62 + "b", look=0.1, poll=0.1)
    long = await make("a" * 62 + "c", look=0.1, poll=0.1)

    await until(lambda: a.standing.namesakes == twin.standing.namesakes == 1)
    await asyncio.sleep(0.3)
    assert long.standing.namesakes == 0


async def test_the_doctor_sees_what_is_amiss_with_the_store_and_makes_nothing_in_it(
    make: Make, cluster: Postgres, store: str
) -> None:
    target, seal = parse_target(cluster.url(store), Secret(PASSWORD)), shared_seal(SHARED_KEY)
    empty = await inspect(target, seal)
    assert (empty.error, empty.schema, empty.present) == ("", 0, ())
    assert cluster.sql("SELECT to_regclass('edged_rows') IS NULL", store) == "t"

    a = await make("a")
    other = await make("other", key=Secret("another shared key, of somebody else's"))
    await until(lambda: a.standing.connected and other.standing.connected)
    await a.keys.add_local([key("local-1", "one passphrase")], time.time())
    await other.keys.add_local([key("local-2", "two passphrase")], time.time())
    await until(lambda: a.standing.unsealed and other.standing.unsealed)

    seen = await inspect(target, seal)
    assert (seen.error, seen.schema, seen.is_newer, seen.refused) == ("", 1, False, "")
    assert (seen.keys, seen.unopened) == (2, 1)
    assert {(each.site, each.mark) for each in seen.present} == {
        ("a", key_mark(SHARED_KEY)[:8]), ("other", key_mark(Secret("another shared key, of somebody else's"))[:8]),
    }  # fmt: skip
    assert abs(seen.ahead) - seen.within < 1.0

    cluster.sql("CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT SELECT ON edged_meta, edged_rows TO reader", store)
    reader = await inspect(parse_target(cluster.url(store).replace("//edged@", "//reader@"), Secret("x")), seal)
    assert reader.refused == "does not let this user read and write edged_rows"
    cluster.sql(f"ALTER DATABASE {store} SET default_transaction_read_only = on")
    assert (await inspect(target, seal)).refused == "takes no writes (is it a standby?)"
    cluster.sql(f"ALTER DATABASE {store} RESET default_transaction_read_only")
    cluster.sql("UPDATE edged_meta SET writable = 2", store)
    assert (await inspect(target, seal)).is_newer
    wrong = await inspect(parse_target(cluster.url(store), Secret("wrong")), seal)
    assert "password" in wrong.error
    nobody = await inspect(parse_target("postgresql://edged@127.0.0.1:9/edged", None), seal)
    assert nobody.error.startswith("the shared store: ")


async def test_an_edge_is_woken_by_its_own_group_and_by_what_is_for_all(make: Make) -> None:
    a, b = await make("a", group="north"), await make("b", group="south", running=False)
    await until(lambda: a.standing.connected)
    heard: list[str] = []
    await b.client.connect(lambda: heard.append("woken"))
    now = time.time()

    await a.words.start_pass("8813", now, now + 600.0)  # and its line in the audit, which is for all
    await until(lambda: heard)
    heard.clear()
    await a.keys.learn([Sighting("Residence", DEVICE, KeyId("billing", "k1"), now)])
    sent = a.standing.sent
    await until(lambda: a.standing.sent > sent)
    await b.client._connection.execute("SELECT 1")  # what was said before is read by then

    assert heard == []


async def test_a_database_that_is_killed_is_waited_for_and_nothing_is_lost(make: Make, cluster: Postgres) -> None:
    a, b = await make("a"), await make("b")
    await until(lambda: a.standing.connected and b.standing.connected)
    now = time.time()
    async with cut(cluster):
        await a.words.put(promise("8812", now))
        await b.words.start_pass("8813", now, now + 600.0)
        assert await a.words.alive(now)
        await until(lambda: a.standing.error and b.standing.error)
        assert PASSWORD not in a.standing.error
        await until(a.near.count_waiting)

    await until(lambda: b.words.alive(now), 60.0)
    await until(lambda: a.words.passes(now), 60.0)
    await until(lambda: a.standing.waiting == 0)


async def test_with_a_wrong_password_an_edge_serves_on_and_says_why_without_it(make: Make) -> None:
    wrong = "not the password of this database"
    a = await make("a", password=wrong)
    now = time.time()
    await a.words.put(promise("8812", now))

    await until(lambda: a.standing.error)

    assert "password" in a.standing.error
    assert wrong not in a.standing.error
    assert set(await a.words.alive(now)) == {"8812"}
    assert a._task is not None
    assert not a._task.done()


@pytest.mark.parametrize(
    "shape",
    [
        "ALTER TABLE edged_meta ALTER writable TYPE text USING 'x'",
        "ALTER TABLE edged_meta ALTER writable DROP NOT NULL; UPDATE edged_meta SET writable = NULL, id = 'x'",
        "DELETE FROM edged_meta",
        "ALTER TABLE edged_rows ALTER changed TYPE text USING 'soon'",
        "ALTER TABLE edged_rows ALTER changed DROP NOT NULL; UPDATE edged_rows SET changed = NULL",
        (
            "ALTER TABLE edged_rows DROP CONSTRAINT edged_rows_pkey; ALTER TABLE edged_rows ALTER kind DROP NOT NULL;"
            "UPDATE edged_rows SET kind = NULL"
        ),
        "DROP TABLE edged_rows; CREATE TABLE edged_rows (a integer)",
    ],
)
async def test_a_store_of_another_shape_stops_the_exchange_and_nothing_else(
    make: Make, cluster: Postgres, store: str, shape: str
) -> None:
    a = await make("a", running=False)
    now = time.time()
    await a.words.put(promise("8812", now))
    await a.once()
    cluster.sql(shape, store)
    b = await make("b")

    await until(lambda: b.standing.error or b.standing.refused or b.standing.connected)

    await b.words.put(promise("8813", now))
    assert set(await b.words.alive(now)) >= {"8813"}
    assert b._task is not None
    assert not b._task.done()


async def test_an_edge_that_dies_between_sending_and_noting_it_sends_again_and_nothing_doubles(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.put(promise("8812", now))
    await a.words.start_pass("8812", now, now + 60.0)
    await a.near.cursor(await a.client.connect(lambda: None) + " ")
    await a.client.push([w.row for w in (await a.near.waiting(500)).rows])  # and then it dies

    await a.once()
    await b.once()

    assert await a.near.count_waiting() == 0
    assert await b.words.pass_starts(now - 1.0) == {"8812": [now]}
    assert len(await b.words.recent("8812")) == 2


async def test_a_pass_that_was_ended_before_its_time_ends_at_every_edge(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.start_pass("8812", now, now + 600.0)
    for edge in (a, b):
        await edge.once()
    await b.words.end_pass("8812", who="ada", why="enough", at=now + 5.0)
    for edge in (b, a):
        await edge.once()

    assert await a.words.passes(now + 6.0) == {}
    assert await a.words.pass_starts(now - 1.0) == {"8812": [now]}


async def test_a_word_that_is_said_while_the_one_before_is_sent_is_not_lost(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.put(promise("8812", now - 60.0, blocked=True))
    await a.near.cursor(await a.client.connect(lambda: None) + " ")
    sent = (await a.near.waiting(500)).rows
    merged = await a.client.push([each.row for each in sent])
    await a.words.put(promise("8812", now))

    await a.near.settle(sent, merged)

    assert [o.blocked for o in (await a.words.alive(now)).values()] == [False]
    for edge in (a, b):
        await edge.once()
    assert [o.blocked for o in (await b.words.alive(now)).values()] == [False]


async def test_an_elder_word_that_is_read_does_not_undo_one_that_nobody_was_told_yet(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await b.words.put(promise("8812", now - 60.0, blocked=True))
    await b.once()
    cursor = await a.near.cursor(await a.client.connect(lambda: None) + " ")
    await a.words.put(promise("8812", now))

    pulled = await a.client.pull(cursor, a.near.kinds)
    await a.near.take(pulled.rows, pulled.cursor)

    assert "override" in {row.kind for row in pulled.rows}
    assert [o.blocked for o in (await a.words.alive(now)).values()] == [False]


async def test_of_a_device_that_is_read_what_was_known_here_alone_stays(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await b.keys.learn([Sighting("Residence", DEVICE, KeyId("billing", "k2"), now)])
    await b.once()
    cursor = await a.near.cursor(await a.client.connect(lambda: None) + " ")
    await a.keys.learn([Sighting("Residence", DEVICE, KeyId("billing", "k1"), now - 60.0)])

    pulled = await a.client.pull(cursor, a.near.kinds)
    await a.near.take(pulled.rows, pulled.cursor)

    found = await a.database.read("SELECT key, first_seen, last_seen FROM devices")
    assert found == [("k2", now - 60.0, now)]


async def test_what_is_committed_late_is_not_passed_over(make: Make, cluster: Postgres, store: str) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.once()
    slow = await asyncpg.connect(cluster.url(store), password=PASSWORD)
    under_way = slow.transaction()
    await under_way.start()
    body = json.dumps({"until": now + 600.0})
    await slow.execute(f"{_INSERT} ('group:', 'snooze', '[\"8899\"]', $1, $2, false, 'c')", body, now + 600.0)
    await a.words.snooze("8812", now + 600.0)
    await a.once()
    await b.once()
    before = set(await b.words.snoozes(now))

    await under_way.commit()
    await slow.close()
    await b.replicator._exchange(await b.near.cursor(await b.client.connect(lambda: None) + " "))

    assert "8899" not in before
    assert set(await b.words.snoozes(now)) == {"8812", "8899"}


async def test_a_fleet_that_comes_to_an_empty_database_makes_its_tables_once(make: Make) -> None:
    edges = [await make(f"e{number}", running=False) for number in range(8)]

    found = await asyncio.gather(*(edge.client.connect(lambda: None) for edge in edges))

    assert len(set(found)) == 1


async def test_a_store_is_known_by_the_timeline_of_its_cluster_too_to_a_role_without_rights(cluster: Postgres) -> None:
    cluster.sql(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")
    cluster.sql("CREATE DATABASE plain OWNER plain")
    url = cluster.url("plain").replace("//edged@", "//plain@")
    client = SharedClient(parse_target(url, Secret(PASSWORD)), edge="a", group="")

    identity = await client.connect(lambda: None)

    assert identity.split()[1] == cluster.place()
    await client.close()


async def test_of_two_keys_with_one_passphrase_made_apart_the_elder_keeps_it(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.keys.add_local([key("local-elder", "one passphrase")], now - 20.0)
    await b.keys.add_local([key("local-younger", "one passphrase")], now - 10.0)

    for edge in (a, b, a, b):
        await edge.once()

    for edge in (a, b):
        living = [s.key.id for s in await edge.keys.all() if s.is_live(time.time())]
        assert living == ["local-elder"]
        assert "revoke key" in [row.action for row in await edge.words.recent("local-younger")]
    assert a.standing.doubled + b.standing.doubled >= 1


async def test_a_revocation_is_not_undone_by_a_later_change_of_something_else(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.keys.add_local([key("local-1", "one passphrase")], now - 100.0)
    await a.once()
    await b.once()
    (known,) = await b.keys.all()

    def revoked(_: object) -> tuple[list[StoredKey], None]:
        return [StoredKey("local", known.key, None, known.created, now)], None

    def labelled(_: object) -> tuple[list[StoredKey], None]:
        return [StoredKey("local", Key(id="local-1", ssid="Residence", passphrase=known.key.passphrase,
                                       subscriber="8812", label="phone"), None, known.created)], None  # fmt: skip

    await a.keys.revise(revoked)
    await b.keys.revise(labelled)
    for edge in (a, b, a):
        await edge.once()

    for edge in (a, b):
        (found,) = await edge.keys.all()
        assert (found.revoked, found.key.label) == (now, "phone")


async def test_keys_are_sealed_in_the_store_and_stay_at_home_without_a_shared_key(
    make: Make, cluster: Postgres, store: str
) -> None:
    a, b = await make("a", running=False), await make("b", running=False, key=None)
    other = await make("c", running=False, key=Secret("another shared key, of somebody else's"))
    await a.keys.add_local([key("local-1", "correct horse battery")], time.time())
    await b.keys.add_local([key("local-2", "staple correct horse")], time.time())
    for edge in (a, b, other):
        await edge.once()

    assert "horse" not in cluster.sql("SELECT body::text FROM edged_rows", store)
    assert cluster.sql("SELECT name FROM edged_rows WHERE kind = 'key'", store) == '["local-1"]'
    assert [s.key.id for s in await b.keys.all()] == ["local-2"]
    assert await other.keys.all() == []
    assert other.standing.unsealed == 1


async def test_sessions_and_devices_stay_in_their_group_and_words_reach_all(make: Make) -> None:
    a, b = await make("a", running=False, group="north"), await make("b", running=False, group="south")
    now = time.time()
    await a.words.put(promise("8812", now))
    await a.keys.learn([Sighting("Residence", DEVICE, KeyId("billing", "k1"), now)])
    await a.once()
    await b.once()

    assert await b.words.alive(now)
    assert await b.keys.devices(now) == []


async def test_hostile_rows_are_refused_and_the_good_ones_behind_them_come(
    make: Make, cluster: Postgres, store: str
) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.put(promise("8812", now))
    await a.once()
    bodies = [
        "{}", "[]", "null", '"x"', "1", json.dumps({"pad": "x" * 100_000}), "[" * 50 + "]" * 50,
        json.dumps({"blocked": True, "until": 1, "reason": "", "why": "", "who": "", "at": 1, "kind": "block"}),
        json.dumps({"blocked": 1, "until": "soon", "reason": "", "why": "", "who": "", "at": 1, "kind": "block"}),
        '{"blocked": 1, "until": 1e999, "reason": "", "why": "", "who": "", "at": 1, "kind": "block"}',
        json.dumps({"blocked": 1, "until": 1, "reason": "\0", "why": "", "who": "", "at": 1, "kind": "block"}),
    ]  # fmt: skip
    for number, body in enumerate(bodies):
        cluster.sql(f"{_INSERT} ('*', 'override', '[\"x{number}\"]', '{body}', 1, false, 'evil')", store)
    for name in ("not json", "[]", "[1]", '["a", "b"]', "[[[]]]"):
        cluster.sql(f"{_INSERT} ('group:', 'session', '{name}', '{{}}', 'NaN', true, 'evil')", store)
    await a.words.put(promise("8899", now))
    await a.once()

    await b.once()

    assert set(await b.words.alive(now)) == {"8812", "8899"}
    assert b.standing.refused == len(bodies) + 5


async def test_what_no_other_edge_could_take_is_counted_and_holds_up_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    monkeypatch.setattr(service, "BATCH", 2)
    now = time.time()
    for number in range(3):
        await a.words.note(AuditRow(now, "ada", "look", f"{number}", "x" * 20_000))
    await a.keys.add_local([key("local-1", "one passphrase"), key("local-2", "another passphrase")], now)
    await a.database.write(("UPDATE keys SET passphrase = x'00' WHERE id = 'local-1'", ()))
    await a.words.snooze("8812", now + 600.0)

    for edge in (a, b):
        await edge.once()

    assert a.standing.unsendable == 4
    assert [s.key.id for s in await b.keys.all()] == ["local-2"]
    assert set(await b.words.snoozes(now)) == {"8812"}


async def test_an_older_edge_keeps_what_a_newer_one_added_and_one_that_is_too_old_stops_sharing(
    make: Make, cluster: Postgres, store: str
) -> None:
    a = await make("a", running=False)
    now = time.time()
    await a.words.put(promise("8812", now - 60.0))
    await a.once()
    cluster.sql(
        "UPDATE edged_meta SET schema = 2; ALTER TABLE edged_rows ADD COLUMN weight integer NOT NULL DEFAULT 0;"
        "UPDATE edged_rows SET body = (body::jsonb || '{\"ticket\": \"T-7\"}')::json WHERE kind = 'override'", store,
    )  # fmt: skip

    await a.words.put(promise("8812", now))
    await a.once()

    assert json.loads(cluster.sql("SELECT body FROM edged_rows WHERE kind = 'override'", store))["ticket"] == "T-7"
    cluster.sql("UPDATE edged_meta SET schema = 3, writable = 2", store)
    await a.words.put(promise("8813", now))
    with pytest.raises(TooOldError):
        await a.once()
    assert set(await a.words.alive(now)) == {"8812", "8813"}


async def test_a_clock_that_is_far_ahead_does_not_have_the_last_word_for_ever(make: Make) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.put(promise("8812", now + 86400.0, blocked=True))
    await a.once()
    await b.once()
    await b.words.put(promise("8812", time.time() + 1.0))
    await b.once()
    await a.once()

    assert [o.blocked for o in (await a.words.alive(now)).values()] == [False]


async def test_a_store_that_was_put_back_is_given_everything_again(make: Make, cluster: Postgres, store: str) -> None:
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    await a.words.put(promise("8812", now))
    await a.words.note(AuditRow(now, "ada", "look", "8812", "ж" * 500))
    await a.once()
    cluster.sql("DELETE FROM edged_rows; UPDATE edged_meta SET id = 'another'", store)

    await a.once()
    await b.once()

    assert await b.words.alive(now)
    assert {row.why for row in await b.words.recent("8812")} == {"they promised", "ж" * 500}


SHARED_HOUSE = EVERY_ROOM + "enforce: []\nops: {{socket: {directory}/control.sock}}\n"


async def test_a_whole_house_takes_the_words_of_another_edge_into_force(
    make: Make, cluster: Postgres, store: str, tmp_path: Path
) -> None:
    other = await make("other")
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    state = (
        f"state: {{{{directory: {{directory}}/state, database: '{cluster.url(store)}',"
        " database_password: !file {directory}/password}}"
    )
    text = SHARED_HOUSE.replace("state: {{directory: {directory}/state}}", state)
    async with at_work(written(tmp_path, text)) as house:
        standing = house.sharing.standing
        assert standing is not None
        await until(lambda: standing.connected)
        now = time.time()

        await other.words.put(promise("8812", now))
        await other.words.start_pass("8813", now, now + 600.0)

        await until(lambda: set(house.current.view.learned.overrides) == {"8812"})
        await until(lambda: "8813" in house.current.view.learned.passes)
        assert house.clerk._used == {"8813": [now]}

        keys = house.mpsk.ring.keys
        await other.keys.learn([Sighting("Residence", DEVICE, KeyId("billing", "k1"), now)])
        await other.sessions.record(
            Status.START, nas="n", session="s", at=now, login="ana@fibre", ipv4="100.64.0.1", client="bng"
        )
        await other.signers.save([parse_address("192.0.2.7")])
        await until(lambda: ("Residence", DEVICE) in house.mpsk.ring.learned)
        await until(lambda: house.roster.lines_of("", ["ana@fibre"]))
        await until(lambda: house.radius is not None and "192.0.2.7" in house.radius.signed)
        assert house.mpsk.ring.keys is keys, "a device is no reason to read every key and to forgive wrong guesses"
        await other.keys.learn([], [("Residence", DEVICE)])
        await other.sessions.record(Status.STOP, nas="n", session="s", at=now + 1.0, login="ana@fibre", client="bng")
        await until(lambda: ("Residence", DEVICE) not in house.mpsk.ring.learned)
        await until(lambda: not house.roster.lines_of("", ["ana@fibre"]))

        async with cut(cluster):
            await until(lambda: not standing.connected)
            assert set(house.current.view.learned.overrides) == {"8812"}
            # what is learned meanwhile is in force at once, and at the others afterwards
            await house.sessions.record(
                Status.START, nas="m", session="t", at=now, login="ben@fibre", ipv4="100.64.0.2"
            )
            await house.overrides.start_pass("8814", now, now + 600.0)
            await house.relearn()
            assert "8814" in house.current.view.learned.passes
        await until(lambda: standing.connected, 60.0)
        await until(lambda: other.words.passes(now), 60.0)

        async def both() -> bool:
            ran = {session.session for session in await other.sessions.open()}
            return ran == {"t"} and set(await other.words.passes(now)) == {"8813", "8814"}

        await until(both, 60.0)
        figures_ = {(f.name, *f.labels): f.value for f in figures(house)}
        assert figures_["edged_store_connected",] == 1
        assert figures_["edged_store_joins",] == 2
        assert figures_["edged_store_waiting",] == 0
        assert 0.0 <= figures_["edged_store_exchange_age_seconds",] < POLL_S * 3
        standing.unsendable, standing.namesakes, standing.ahead = 1, 1, -61.0
        said = {alarm.code: alarm.sentence for alarm in alarms(house, time.time())}
        assert said["store-site-doubled"] == "1 other edge shares the store under this one's site."
        assert said["store-clock"] == "This host's clock is 1 min 1 s behind the shared store's."
        store_part = next(part for part in parts(house, time.time()) if part.name == "store")
        assert (store_part.state, store_part.fact.split(", ")[-1]) == ("WARN", "1 cannot be shared")
        rows = {labels[0][1]: value for (name, *labels), value in figures_.items() if name == "edged_store_rows"}
        assert rows["sent"] >= 2
        assert rows["received"] >= 7
        assert rows["refused"] == rows["unsealed"] == 0
