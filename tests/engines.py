# SPDX-License-Identifier: Apache-2.0
"""``--engine postgresql``: every database that a test opens is shared over a PostgreSQL of the test's own meanwhile.

The tests of the stores say how a store behaves; so they say it of a store whose changes are sent to others while it
works: with the triggers in the file, and with rows that go out and come back on the database's own thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from edged.errors import UpstreamError
from edged.state.database import Database
from edged.state.keys import KeyStore
from edged.state.sealing import Seal
from edged.state.shared.capture import Capture
from edged.state.shared.client import SharedClient
from edged.state.shared.rows import Row
from edged.state.shared.service import Replicator
from edged.state.shared.target import parse_target
from edged.values import Secret
from tests.loopback.postgres import PASSWORD, Postgres, postgres_at_work

_number = count()


async def _ignored(_rows: Sequence[Row]) -> None:
    """Rooms are not there."""


@pytest.fixture(scope="session")
def engine() -> Iterator[Postgres]:
    with postgres_at_work() as server:
        yield server


@pytest.fixture(autouse=True)
def shared(engine: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each database joins a shared one of its own when it is opened, and leaves it when it is closed."""
    joined: dict[Database, tuple[Replicator, asyncio.Task[None], SharedClient]] = {}
    open_alone, close_alone = Database.open, Database.close

    async def opened(database: Database) -> Path | None:
        aside = await open_alone(database)
        name = f"edged{next(_number)}"
        engine.sql(f"CREATE DATABASE {name}")
        client = SharedClient(parse_target(engine.url(name), Secret(PASSWORD)), edge="tower-1", group="", mark="")
        near = Capture(database, KeyStore(database, Seal(Secret(bytes(32)))), None, time.time)
        replicator = Replicator(near, client, "", _ignored, poll=0.2, look=0.02)
        with suppress(UpstreamError):  # a database that cannot be read is what the test is about
            await replicator.open()
        joined[database] = replicator, asyncio.create_task(replicator.run()), client
        return aside

    async def closed(database: Database) -> None:
        replicator, task, client = joined.pop(database, (None, None, None))
        if replicator is not None and task is not None and client is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    while replicator.standing.waiting and not task.done():
                        await asyncio.sleep(0.02)
            ended = task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await client.close()
            assert not ended, "the exchange has ended by itself"
            assert replicator.standing.refused == 0
        await close_alone(database)

    monkeypatch.setattr(Database, "open", opened)
    monkeypatch.setattr(Database, "close", closed)
