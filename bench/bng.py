# SPDX-License-Identifier: Apache-2.0
"""A BNG's sessions: what knowing, judging and telling them costs, and how long one who has paid waits in the crowd.

python bench/bng.py [SESSIONS]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from edged.enforce.bng.places import is_blocked, prefixes_of
from edged.enforce.rules import Rules
from edged.enforce.service import EnforceService
from edged.enforce.targets.radius import RadiusTarget
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.state.current import Current
from edged.state.database import Database
from edged.state.sessions import Session
from edged.state.told import ToldStore
from edged.values import Prefix
from tests.bng_world import Bng, Line, session, settings

NETWORKS = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10"]})
FIRST = int(IPv4Address("100.64.0.0"))


def view(count: int, paid: int | None = None) -> View:
    """``count`` blocked subscribers, without the one who has ``paid``."""
    lines = tuple(
        Subscriber(str(n), State.BLOCKED, addresses=(Prefix(4, FIRST + n, 32),)) for n in range(count) if n != paid
    )
    return View(compile_table(Snapshot("s", str(paid), 0.0, lines), NETWORKS))


def sessions(count: int) -> list[Session]:
    now = time.time()
    return [
        session(f"s-{n:06}", login=f"user-{n:06}", ipv4=str(IPv4Address(FIRST + n)), started=now - 60, updated=now)
        for n in range(count)
    ]


async def until(done: object) -> None:
    while not done():  # type: ignore[operator]
        await asyncio.sleep(0.005)


async def measure(count: int, folder: Path) -> None:
    database = Database(folder / "edged.sqlite")
    await database.open()
    current = Current()
    async with Bng() as bng:
        target = RadiusTarget(settings(port=bng.port, rate=1000))
        target.follow(lambda s: is_blocked(current.view, s, prefixes_of(s), time.time()), ToldStore(database))
        service = EnforceService({target.name: target}, Rules(), current=current)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        known, start = sessions(count), time.perf_counter()
        target.heard(known)
        took = time.perf_counter() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"known        {count:8,} sessions  {took / count * 1e6:8.1f} us each, {grown / count:.2f} KB each")
        bng.sessions = {one.session: Line(one.login, one.ipv4) for one in known}
        current.publish(view(count))
        running, start = asyncio.create_task(service.run()), time.perf_counter()
        await until(lambda: len(bng.acted) >= count // 2)
        # somebody pays in the middle of it
        paid = time.perf_counter()
        current.publish(view(count, 3), frozenset({"3"}))
        await until(lambda: bng.sessions["s-000003"].list == "edged-open")
        print(f"one who pays {(time.perf_counter() - paid) * 1000:8.1f} ms while {count - len(bng.acted):,} wait")
        await until(lambda: len(bng.acted) >= count + 1)
        took = time.perf_counter() - start
        print(f"told         {count:8,} sessions  {took:8.1f} s, {count / took:,.0f} a second (rate: 1000)")
        await until(lambda: service.status()[target.name].ok)
        paid = time.perf_counter()
        current.publish(view(count, 4), frozenset({"3", "4"}))
        await until(lambda: bng.sessions["s-000004"].list == "edged-open")
        print(f"one who pays {(time.perf_counter() - paid) * 1000:8.1f} ms when nobody waits")
        start = time.perf_counter()
        for one in known[:1000]:
            target.heard([one])
        print(f"a report     {(time.perf_counter() - start) * 1e3:8.1f} us")
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await service.stop()
    await database.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, Path(place)))
