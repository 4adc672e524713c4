# SPDX-License-Identifier: Apache-2.0
"""The shared store on bad days: another certificate, a way that stalls, a backup put back, an edge that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from edged.model import Snapshot, State, Subscriber
from edged.ops.control import Refused, call
from edged.state.keys import KeyId, Sighting
from edged.state.sessions import Status
from edged.state.shared import client
from edged.state.shared.target import parse_target
from edged.state.snapshots import SnapshotFiles
from edged.values import Secret
from tests.loopback.house import at_work, written
from tests.loopback.postgres import PASSWORD, Postgres, postgres_at_work
from tests.loopback.test_shared_store import (
    DEVICE,
    SHARED_HOUSE,
    SHARED_KEY,
    Edge,
    Make,
    cluster,
    key,
    make,
    promise,
    store,
    until,
)  # fmt: skip

__all__ = ["cluster", "make", "store"]

ROOT = Path(__file__).resolve().parents[2]


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def sealed(authority: trustme.CA) -> Iterator[Postgres]:
    """A server that lets nobody in without TLS; its name is localhost."""
    made = authority.issue_cert("localhost")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    with postgres_at_work((chain, made.private_key_pem.bytes())) as server:
        yield server


async def test_an_edge_shares_over_tls_with_the_server_that_has_a_certificate_of_its_name_alone(
    sealed: Postgres, authority: trustme.CA, tmp_path: Path
) -> None:
    right, wrong = tmp_path / "right.pem", tmp_path / "wrong.pem"
    authority.cert_pem.write_to_path(right)
    trustme.CA().cert_pem.write_to_path(wrong)
    sealed.sql("CREATE DATABASE shared")
    by_name = sealed.url("shared").replace("127.0.0.1", "localhost")
    edges = []

    async def standing(name: str, url: str) -> str:
        edge = Edge(tmp_path / name, parse_target(url, Secret(PASSWORD)), name, SHARED_KEY, "")
        edges.append(edge)
        await edge.database.open()
        await edge.replicator.open()
        edge.start()
        await until(lambda: edge.standing.connected or edge.standing.error)
        return edge.standing.error

    try:
        for name in ("a", "b"):
            assert await standing(name, f"{by_name}?sslmode=verify-full&sslrootcert={right}") == ""
        tls = sealed.sql("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl"
                         " AND application_name LIKE 'edged %'")  # fmt: skip
        assert tls == "2"
        now = time.time()
        await edges[0].words.put(promise("8812", now))
        await until(lambda: edges[1].words.alive(now))

        said = await standing("c", f"{by_name}?sslmode=verify-full&sslrootcert={wrong}")
        assert said.startswith("the shared store: its certificate is not believed: ")
        # one that is not of the system's authorities is not believed without a file of its own either
        said = await standing("d", f"{by_name}?sslmode=verify-full")
        assert said.startswith("the shared store: its certificate is not believed: ")
        said = await standing(
            "e", f"{by_name}?sslmode=verify-full&sslrootcert={right}".replace("localhost", "127.0.0.1")
        )
        assert said == (
            "the shared store: its certificate is not believed: IP address mismatch, certificate is not valid for"
            " '127.0.0.1'."
        )
        said = await standing("f", f"{by_name}?sslmode=disable")
        assert "no encryption" in said
        said = await standing("g", f"{by_name}?sslmode=verify-full&sslrootcert={tmp_path}/none.pem")
        assert said == f"the shared store: sslrootcert={tmp_path}/none.pem: No such file or directory"
    finally:
        for edge in edges:
            await edge.stop()
            await edge.database.close()


# --- a way that stalls ---------------------------------------------------------------------------


class Way:
    """A way to the server that can be stalled: connections stay, and nothing comes through any more."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.port = 0
        self.connections = 0
        self._carrying: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.trap = b""
        """What the server may not say: when it does, everything stalls from there."""

    def stall(self) -> None:
        self._flows.clear()

    @property
    def is_stalled(self) -> bool:
        return not self._flows.is_set()

    def clear(self) -> None:
        self.trap = b""
        self._flows.set()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while octets := await source.read(65536):
                if answers and self.trap and self.trap in octets:
                    self.stall()
                await self._flows.wait()
                sink.write(octets)
        sink.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._carrying.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        await asyncio.gather(self._carry(reader, back, answers=False), self._carry(there, writer, answers=True))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Way]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.clear()
            server.close()
            if self._carrying:
                await asyncio.wait(self._carrying, timeout=10.0)

    def url(self, store: str) -> str:
        return f"postgresql://edged@127.0.0.1:{self.port}/{store}"


@pytest.fixture
async def way(cluster: Postgres) -> AsyncIterator[Way]:
    async with Way(cluster.port).open() as one:
        yield one


def house_at(directory: Path, url: str) -> str:
    """A configuration whose store is at ``url``."""
    (directory / "password").write_text(PASSWORD)
    (directory / "password").chmod(0o600)
    state = (
        f"state: {{{{directory: {{directory}}/state, database: '{url}',"
        " database_password: !file {directory}/password}}"
    )
    return SHARED_HOUSE.replace("state: {{directory: {directory}/state}}", state)


async def test_while_the_store_stalls_no_room_waits_for_it_and_it_is_dialled_anew(
    make: Make, store: str, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_S", 1.0)
    monkeypatch.setattr(client, "COMMAND_S", 1.0)
    other = await make("other")
    async with at_work(written(tmp_path, house_at(tmp_path, way.url(store)))) as house:
        standing = house.sharing.standing
        assert standing is not None
        await until(lambda: standing.connected)
        dialled = way.connections
        way.stall()

        now, slowest = time.time(), 0.0
        for number in range(40):  # four seconds, in which a command ends late and others are begun
            begun = time.monotonic()
            await house.overrides.start_pass(f"p{number}", now, now + 600.0)
            await house.relearn()
            await house.sessions.record(Status.START, nas="n", session=f"s{number}", at=now, login="ana")
            slowest = max(slowest, time.monotonic() - begun)
            assert f"p{number}" in house.current.view.learned.passes
            await asyncio.sleep(0.1)
        assert slowest < 1.0
        await until(lambda: not standing.connected and "store" in standing.error)
        await until(lambda: way.connections > dialled + 1)

        way.clear()
        await until(lambda: standing.connected, 40.0)
        await until(lambda: standing.waiting == 0)

        async def arrived() -> bool:
            return len(await other.words.passes(now)) == len(await other.sessions.open()) == 40

        await until(arrived, 20.0)


async def test_an_edge_whose_way_breaks_in_the_middle_of_a_batch_holds_no_other_edge_up(
    make: Make, store: str, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HELD_S", 1.0)
    lost = Edge(Path(tempfile.mkdtemp()), parse_target(way.url(store), Secret(PASSWORD)), "lost", SHARED_KEY, "")
    await lost.database.open()
    await lost.replicator.open()
    a, b = await make("a", running=False), await make("b", running=False)
    now = time.time()
    try:
        cursor = await lost.near.cursor(await lost.client.connect(lambda: None) + " ")
        await lost.words.put(promise("8812", now))
        way.trap = b"INSERT"  # it has written, and hears no more of it
        under_way = asyncio.create_task(lost.replicator._exchange(cursor))
        await until(lambda: way.is_stalled)
        await a.words.put(promise("8813", now))
        await a.once()

        async def heard() -> bool:
            await b.once()
            return set(await b.words.alive(now)) == {"8813"}

        assert not await heard(), "what is not committed yet holds up what comes behind it"
        await until(heard, 5.0)
        under_way.cancel()
    finally:
        await lost.client.close()
        await lost.database.close()


# --- a backup that is put back -------------------------------------------------------------------


def back_in_an_empty_database(cluster: Postgres, store: str, dump: str) -> None:
    cluster.sql(f"DROP DATABASE {store} WITH (FORCE)")
    cluster.sql(f"CREATE DATABASE {store}")
    cluster.restore(store, dump)


def back_under_edges_that_are_there(cluster: Postgres, store: str, dump: str) -> None:
    cluster.restore(store, dump)


def its_rows_alone(cluster: Postgres, store: str, dump: str) -> None:
    begin = dump.index("COPY public.edged_rows")
    rows = dump[begin : dump.index("\n\\.\n", begin) + 4]
    cluster.restore(store, f"BEGIN; TRUNCATE public.edged_rows;\n{rows}COMMIT;")


@pytest.mark.parametrize("put_back", [back_in_an_empty_database, back_under_edges_that_are_there, its_rows_alone])
async def test_after_an_older_backup_was_put_back_every_edge_knows_what_any_of_them_knew(
    make: Make, cluster: Postgres, store: str, put_back: Callable[[Postgres, str, str], None]
) -> None:
    a, b = await make("a", look=0.2, poll=0.2), await make("b", look=0.2, poll=0.2)
    now = time.time()
    await a.words.put(promise("8812", now - 60.0))
    await a.keys.add_local([key("local-1", "one passphrase")], now - 60.0)
    await a.keys.learn([Sighting("Residence", DEVICE, KeyId("local", "local-1"), now - 60.0)])
    await until(lambda: b.words.alive(now))
    await until(b.keys.all)
    await until(lambda: b.keys.devices(now))
    dump = cluster.dump(store)
    await b.words.end("8812", who="ada", why="paid", at=now)
    await b.words.put(promise("8813", now))
    await b.words.start_pass("8814", now, now + 600.0)
    await b.keys.learn([], [("Residence", DEVICE)])
    await b.keys.revise(lambda known: ([replace(each, revoked=now) for each in known], None))
    await until(lambda: a.words.passes(now))
    await until(lambda: a.standing.waiting == b.standing.waiting == 0)

    # psql waits for what edges are doing, and they go on only while this loop does
    await asyncio.to_thread(put_back, cluster, store, dump)

    async def given_back() -> bool:
        held = cluster.sql("SELECT count(*) FROM edged_rows WHERE name IN ('[\"8813\"]', '[\"8812\"]') AND gone", store)
        passes = cluster.sql("SELECT count(*) FROM edged_rows WHERE kind = 'pass'", store)
        return (held, passes) == ("1", "1")

    await until(given_back, 60.0)
    newcomer = await make("newcomer")
    await until(lambda: newcomer.words.passes(now))
    for edge in (a, b, newcomer):
        assert set(await edge.words.alive(now)) == {"8813"}
        assert await edge.keys.devices(now) == []
        assert [(s.key.id, s.revoked) for s in await edge.keys.all()] == [("local-1", now)]
        assert set(await edge.words.passes(now)) == {"8814"}
        assert len(await edge.words.recent("8812")) == 2, "the audit has each line once"


# --- an edge that is killed ----------------------------------------------------------------------


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """edged as a process of its own, killed at the end."""
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edged.cli", "run", "-c", directory / "edged.yaml"], cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, 10)


async def told(directory: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """The answer of edged at ``directory``; while it starts, it is waited for."""
    for _ in range(300):
        try:
            return await asyncio.to_thread(call, directory / "control.sock", command, **arguments)
        except Refused as refusal:
            if refusal.status != os.EX_UNAVAILABLE:
                raise
            await asyncio.sleep(0.05)
    raise AssertionError((directory / "log").read_text())


async def test_what_an_edge_had_learned_when_it_was_killed_arrives_after_its_restart_and_once(
    make: Make, store: str, way: Way, tmp_path: Path
) -> None:
    (tmp_path / "edged.yaml").write_text(house_at(tmp_path, way.url(store)).format(directory=tmp_path))
    (tmp_path / "state").mkdir()
    listed = tuple(Subscriber(str(number), State.BLOCKED) for number in range(3))
    SnapshotFiles(tmp_path / "state").save(Snapshot("8812.aa", "8812", 1_800_000_000.0, listed, known=9))
    other = await make("other")

    async def part() -> str:
        status = await told(tmp_path, "status")
        return str(next(each["fact"] for each in status["parts"] if each["name"] == "store"))

    async def settled() -> bool:
        said = await part()
        return "not met others" not in said and ", 0 rows wait" in said

    for number, killed_after in enumerate((b"INSERT", b"COMMIT", b"")):
        async with running(tmp_path) as process:
            await until(settled, 60.0)
            way.trap = killed_after  # of its next batch the server says no more than that
            await told(tmp_path, "unblock", subscriber=str(number), why="they promised", who="ada")
            if killed_after:
                await until(lambda: way.is_stalled)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait, 10)
            way.clear()
    async with running(tmp_path):
        await until(settled, 60.0)

    async def arrived() -> bool:
        return set(await other.words.alive(time.time())) == {"0", "1", "2"}

    await until(arrived, 20.0)
    for number in range(3):
        assert [row.action for row in await other.words.recent(str(number))] == ["unblock (promise)"]


async def test_what_waited_before_the_start_is_counted_before_anybody_is_reached(make: Make) -> None:
    before = await make("a", running=False)
    await before.words.put(promise("8812", time.time()))

    after = await make("a", running=False)

    assert after.standing.waiting == 2  # the word, and its line in the audit
