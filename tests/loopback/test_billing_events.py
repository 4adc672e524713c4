# SPDX-License-Identifier: Apache-2.0
"""Telling billing, against a server that loses replies, refuses, dawdles and goes away: nothing lost, ids the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from edged.billing.events.service import EventService, Pace
from edged.billing.settings import BillingSettings
from edged.errors import UpstreamError
from edged.model import Event, EventType
from edged.state.database import Database
from edged.state.outbox import OutboxStore, Stored

TOKEN = "a-key-of-a-test"
QUICK = Pace(gather=0.02, request=1.0, retry=0.02, longest=0.1, rest=0.3)
Object = dict[str, Any]


@dataclass
class Server:
    """A billing system with ``/events``; ``faults`` are used up one a request, then all is well."""

    faults: list[str] = field(default_factory=list)
    always: int = 0
    """A status for every request; 0: none."""
    hates: str = ""
    """A subscriber for whom a batch is refused."""
    got: list[Object] = field(default_factory=list)
    """Every event in every body that was read, in order."""
    batches: list[int] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    at: list[float] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.at.append(time.monotonic())
        self.tokens.add(request.headers.get("Authorization", ""))
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "gone":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        events = json.loads(await request.read())["events"]
        self.batches.append(len(events))
        if self.always:
            return web.Response(status=self.always, text=TOKEN)
        if self.hates and any(event.get("subscriber") == self.hates for event in events):
            return web.Response(status=422)
        if fault.isdigit():
            return web.Response(status=int(fault), headers={"Retry-After": "0"})
        self.got += events
        if fault == "lost":
            # taken, and the answer never arrives
            assert request.transport is not None
            request.transport.abort()
        if fault == "slow":
            await asyncio.sleep(2)
        return web.Response(status=202)

    @property
    def subscribers(self) -> list[str]:
        return [event["subscriber"] for event in self.got]

    @property
    def once(self) -> list[str]:
        """Subscribers by the id of their event, repetitions left out."""
        return list({event["id"]: event["subscriber"] for event in self.got}.values())


@asynccontextmanager
async def serving(server: Server, port: int = 0) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_post("/api/events", server.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    try:
        yield
    finally:
        await runner.cleanup()


@dataclass
class House:
    service: EventService
    store: OutboxStore
    database: Database

    def tell(self, *subscribers: str, at: float | None = None) -> None:
        for name in subscribers:
            self.service.tell(Event(EventType.PASS_STARTED, time.time() if at is None else at, name))


@asynccontextmanager
async def running(
    folder: Path, url: str, *, pace: Pace = QUICK, limit: int = 100_000, clock: Callable[[], float] = time.time
) -> AsyncIterator[House]:
    database = Database(folder / "edged.sqlite")
    await database.open()
    store = OutboxStore(database, limit)
    settings = BillingSettings.model_validate({"source": "rest", "url": url, "key": TOKEN})
    service = EventService(settings, site="tower-12", store=store, clock=clock, pace=pace)
    task = asyncio.create_task(service.run())
    try:
        yield House(service, store, database)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await service.stop()
        await database.close()


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def emptied(store: OutboxStore, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while await store.count():
            await asyncio.sleep(0.005)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    opened = Server()
    async with serving(opened):
        yield opened


# --- the way it should go -------------------------------------------------------------------------


async def test_what_a_room_tells_arrives_as_the_feed_has_it_and_is_forgotten(server: Server, tmp_path: Path) -> None:
    async with running(tmp_path, server.url, clock=lambda: 1795341700.0) as house:
        house.service.tell(Event(EventType.DEVICE_LEARNED, 1795341600.9, "1001", "k-501", "02:00:5e:10:00:09"))
        await until(lambda: server.got)
        await emptied(house.store)

    (event,) = server.got
    assert len(event.pop("id")) == 36
    assert event == {
        "type": "device.learned", "subscriber": "1001", "key": "k-501", "device": "02:00:5e:10:00:09",
        "at": "2026-11-22T10:00:00Z", "edge": "tower-12",
    }  # fmt: skip
    assert server.tokens == {f"Bearer {TOKEN}"}


async def test_many_events_go_in_few_batches_of_at_most_500_in_their_order(server: Server, tmp_path: Path) -> None:
    names = [str(number) for number in range(1700)]
    async with running(tmp_path, server.url) as house:
        house.tell(*names)
        await until(lambda: len(server.got) == 1700)
        await emptied(house.store)
        assert house.service.counters.posted == 1700

    assert server.subscribers == names
    assert max(server.batches) == 500
    assert len(server.batches) < 10


async def test_a_page_is_told_of_once_an_hour_and_other_things_each_time(server: Server, tmp_path: Path) -> None:
    now = time.time()
    async with running(tmp_path, server.url) as house:
        for later in (0, 1, 3601):
            house.service.tell(Event(EventType.PAGE_OPENED, now + later, "1001"))
            house.service.tell(Event(EventType.PASS_STARTED, now + later, "1001"))
        await until(lambda: len(server.got) == 5)

    assert Counter(event["type"] for event in server.got) == {"page.opened": 2, "pass.started": 3}


async def test_to_tell_takes_no_time_and_never_raises_though_everything_is_broken(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:9", pace=Pace(queue=100, gather=0.01, retry=0.05)) as house:
        await house.database.close()
        began = time.monotonic()
        house.tell(*(str(number) for number in range(5000)))

        assert time.monotonic() - began < 0.5
        assert house.service.counters.dropped["queue"] == 4900
        await asyncio.sleep(0.2)


# --- replies that are lost, servers that fail -----------------------------------------------------


async def test_a_lost_reply_repeats_the_events_under_the_same_ids(server: Server, tmp_path: Path) -> None:
    server.faults = ["lost", "lost"]
    async with running(tmp_path, server.url) as house:
        house.tell("1", "2", "3")
        await until(lambda: len(server.got) == 9)
        await emptied(house.store)

    assert server.once == ["1", "2", "3"]
    assert set(Counter(event["id"] for event in server.got).values()) == {3}


@pytest.mark.parametrize("fault", ["gone", "500", "503", "429", "401", "403", "302", "slow"])
async def test_a_server_that_fails_for_a_while_gets_everything_in_the_end(
    server: Server, tmp_path: Path, fault: str
) -> None:
    server.faults = [fault] * 2
    async with running(tmp_path, server.url) as house:
        house.tell("1", "2")
        await until(lambda: server.once == ["1", "2"])
        await emptied(house.store)
        assert house.service.counters.failed >= 2
        assert sum(house.service.counters.dropped.values()) == 0


async def test_a_server_that_is_down_is_found_again_and_asked_ever_more_seldom_meanwhile(tmp_path: Path) -> None:
    server = Server()
    async with serving(server):
        port = int(server.url.rpartition(":")[2].partition("/")[0])
    with capture_logs() as logs:
        async with running(tmp_path, server.url, pace=Pace(gather=0.01, retry=0.02, longest=0.2)) as house:
            house.tell("1")
            await asyncio.sleep(1.0)
            assert 4 <= house.service.counters.failed <= 20
            async with serving(server, port):
                await until(lambda: server.once == ["1"])

    told = [entry for entry in logs if entry["event"] == "events-not-told"]
    assert [entry["attempt"] for entry in told] == [1, 2, 4, 8][: len(told)]
    assert TOKEN not in repr(logs)
    assert server.url not in repr(logs)


async def test_a_server_without_events_is_left_alone_for_a_while_and_then_asked_again(
    server: Server, tmp_path: Path
) -> None:
    server.always = 404
    async with running(tmp_path, server.url) as house:
        house.tell("old", at=time.time() - 2 * 86400)
        house.tell("1")
        await until(lambda: server.at)
        await asyncio.sleep(0.15)
        assert len(server.at) == 1
        assert await house.store.count() == 1, "what is older than a day is not kept for a server that has no events"
        assert house.service.counters.dropped["old"] == 1
        server.always = 0
        await until(lambda: server.once == ["1"])


async def test_one_event_that_billing_refuses_does_not_hold_up_the_others(server: Server, tmp_path: Path) -> None:
    server.hates = "57"
    names = [str(number) for number in range(100)]
    async with running(tmp_path, server.url) as house:
        house.tell(*names)
        await until(lambda: len(server.got) == 99)
        await emptied(house.store)
        assert house.service.counters.dropped["refused"] == 1

    assert server.subscribers == [name for name in names if name != "57"]
    assert len(server.at) < 30


async def test_a_server_that_refuses_everything_is_not_asked_without_end(server: Server, tmp_path: Path) -> None:
    server.always = 400
    pace = Pace(gather=0.01, retry=0.05, longest=10.0)
    async with running(tmp_path, server.url, pace=pace) as house:
        house.tell(*(str(number) for number in range(64)))
        await until(lambda: server.at)
        await asyncio.sleep(1.5)

        assert len(server.at) < 20
        assert house.service.counters.dropped["refused"] <= 7


# --- the disk -------------------------------------------------------------------------------------


async def test_what_was_told_before_a_stop_is_told_after_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:9", pace=Pace(gather=60.0)) as house:
        house.tell("1", "2")
    server = Server()
    async with serving(server), running(tmp_path, server.url) as house:
        await until(lambda: server.once == ["1", "2"])
        await emptied(house.store)


CHILD = """
import asyncio, itertools, sys, time
from pathlib import Path
from edged.billing.events.service import EventService, Pace
from edged.billing.settings import BillingSettings
from edged.model import Event, EventType
from edged.state.database import Database
from edged.state.outbox import OutboxStore

async def main():
    database = Database(Path(sys.argv[1]) / "edged.sqlite")
    await database.open()
    store = OutboxStore(database)
    settings = BillingSettings.model_validate({"source": "rest", "url": sys.argv[2], "key": "k"})
    service = EventService(settings, site="a", store=store, pace=Pace(gather=0.01, retry=0.02, longest=0.05))
    asyncio.create_task(service.run())
    for number in itertools.count(int(sys.argv[3])):
        service.tell(Event(EventType.PASS_STARTED, time.time(), str(number)))
        if not service._queue or number % 20 == 0:
            while service._queue:
                await asyncio.sleep(0)
            print(number, flush=True)  # on disk by now
        await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_what_is_on_disk_outlives_kills_and_arrives_in_order(server: Server, tmp_path: Path) -> None:
    wanted = set[int]()
    # numbers of its own for each child: what was on disk and not yet promised is told too
    for first in range(0, 4_000_000, 1_000_000):
        promised = first - 1
        server.faults = ["lost", "", "500", "lost", "gone"]
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), server.url, str(first)],
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, text=True,
        )  # fmt: skip
        try:
            assert child.stdout is not None
            lines = child.stdout
            while promised < first + 99:
                # in a thread: the server must go on answering
                line = await asyncio.wait_for(asyncio.to_thread(lines.readline), 30)
                assert line, "the child ended by itself"
                promised = int(line) if line.strip().isdigit() else promised  # the log goes there, too
        finally:
            child.send_signal(signal.SIGKILL)
            rest, _ = child.communicate()
            promised = max([promised, *(int(line) for line in rest.splitlines() if line.isdigit())])
        wanted.update(range(first, promised + 1))
    async with running(tmp_path, server.url) as house:
        await emptied(house.store)

    numbers = [int(name) for name in server.once]
    assert wanted <= set(numbers)
    assert numbers == sorted(numbers)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[OutboxStore]:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    yield OutboxStore(database, limit=10)
    await database.close()


def stored(*numbers: int) -> list[Stored]:
    return [Stored(f"u-{n}", Event(EventType.PAGE_OPENED, float(n), f"{n}")) for n in numbers]


async def test_beyond_its_bound_the_oldest_go_and_are_counted(store: OutboxStore) -> None:
    assert await store.add(stored(*range(10))) == 0
    assert await store.add(stored(*range(10, 13))) == 3

    assert await store.oldest(100) == stored(*range(3, 13))
    assert await store.count() == 10


async def test_an_event_that_is_added_twice_is_there_once(store: OutboxStore) -> None:
    await store.add(stored(1, 2))
    await store.add(stored(2, 3))

    assert await store.oldest(100) == stored(1, 2, 3)
    await store.drop(stored(1, 3, 9))
    assert await store.oldest(100) == stored(2)


async def test_old_events_are_purged(store: OutboxStore) -> None:
    await store.add(stored(1, 2, 3))

    assert await store.purge(2.5) == 2
    assert await store.oldest(100) == stored(3)


async def test_a_database_that_fails_for_a_while_loses_nothing(server: Server, tmp_path: Path) -> None:
    async with running(tmp_path, server.url) as house:
        real, failing = house.store.add, 3

        async def add(events: list[Stored]) -> int:
            nonlocal failing
            failing -= 1
            if failing >= 0:
                raise UpstreamError("database: disk I/O error")
            return await real(events)

        house.store.add = add  # type: ignore[method-assign,assignment]
        house.tell("1", "2")
        await until(lambda: server.once == ["1", "2"])
        assert sum(house.service.counters.dropped.values()) == 0
