# SPDX-License-Identifier: Apache-2.0
"""What billing is to be told and has not accepted yet, in the database: oldest first, bounded, at least once. I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from edged.model import Event, EventType
from edged.state.database import Database

LIMIT = 100_000
"""Events kept: some 20 MB; beyond, the oldest go."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event and the id that tells its repetitions apart."""

    id: str
    event: Event
    edge: str = ""
    """The site of the edge that it is of; empty: this one."""


class OutboxStore:
    """The table ``outbox``."""

    def __init__(self, database: Database, limit: int = LIMIT) -> None:
        self._database = database
        self._limit = limit

    async def add(self, events: Sequence[Stored]) -> int:
        """Keep these, durable on return; one that is kept already stays once. How many old ones had to go."""

        def put(connection: Connection) -> int:
            connection.executemany(
                "INSERT OR IGNORE INTO outbox (id, edge, type, subscriber, key, device, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(s.id, s.edge, e.type, e.subscriber, e.key, e.device, e.at) for s in events for e in (s.event,)],
            )
            (count,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
            if count <= self._limit:
                return 0
            oldest = "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT ?)"
            return connection.execute(oldest, (count - self._limit,)).rowcount

        return await self._database.run(put, write=True)

    async def oldest(self, limit: int) -> list[Stored]:
        """The oldest ``limit``, in the order in which they happened."""
        rows = await self._database.read(
            "SELECT id, edge, type, at, subscriber, key, device FROM outbox ORDER BY seq LIMIT ?", (limit,)
        )
        return [Stored(name, Event(EventType(kind), *said), edge) for name, edge, kind, *said in rows]

    async def drop(self, events: Sequence[Stored]) -> None:
        """Forget these."""
        await self._database.write_many("DELETE FROM outbox WHERE id = ?", [(stored.id,) for stored in events])

    async def purge(self, before: float) -> int:
        """Forget what happened before that time; how many."""

        def purge(connection: Connection) -> int:
            return connection.execute("DELETE FROM outbox WHERE at < ?", (before,)).rowcount

        return await self._database.run(purge, write=True)

    async def count(self) -> int:
        """How many wait."""
        ((count,),) = await self._database.read("SELECT count(*) FROM outbox")
        return int(count)
