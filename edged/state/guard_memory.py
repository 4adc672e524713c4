# SPDX-License-Identifier: Apache-2.0
"""What the billing guard must not forget: who was newly blocked or vanished and when, the counts. I/O.

Saved in one transaction before a reading is published, so that a crash can neither forget nor count twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from sqlite3 import Connection

from edged.state.database import Database


@dataclass(frozen=True, slots=True)
class GuardMemory:
    """The guard's memory as a value; ``billing.guard`` makes the next one."""

    blocked: Mapping[str, float] = field(default_factory=dict)
    """Subscriber id to the epoch second at which it was last newly blocked, within the window."""
    vanished: Mapping[str, float] = field(default_factory=dict)
    """Subscriber id to the epoch second at which it last vanished, within the window."""
    known: int = 0
    """How many subscribers there are, as accepted readings have it; 0: none was accepted yet."""
    keys: int = 0
    """How many keys the last accepted reading had."""
    keys_gone: tuple[tuple[float, int], ...] = ()
    """When how many keys vanished, within the window."""
    started: bool = False
    """True once a list that is not empty was accepted."""
    accepted: str = ""
    """Id of the last accepted snapshot."""
    moved: Mapping[str, float] = field(default_factory=dict)
    """Subscriber id to the epoch second at which its blocked lines last became others, within the window."""


_FACT = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_COUNTS = "billing.guard"
_CONTACT = "billing.contact"
_RUNNING = "billing.running"


class GuardMemoryStore:
    """The table ``guard_events`` and the guard's facts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> GuardMemory:
        """What was saved last; an empty memory at first."""
        return await self._database.run(_load)

    async def save(self, memory: GuardMemory) -> None:
        """Replace what was saved by ``memory``, all or nothing, durable on return."""
        events = [("blocked", *row) for row in memory.blocked.items()]
        events += [("vanished", *row) for row in memory.vanished.items()]
        events += [("moved", *row) for row in memory.moved.items()]
        counts = {
            "known": memory.known,
            "keys": memory.keys,
            "keys_gone": memory.keys_gone,
            "started": memory.started,
            "accepted": memory.accepted,
        }

        def replace(connection: Connection) -> None:
            connection.execute("DELETE FROM guard_events")
            connection.executemany("INSERT INTO guard_events (kind, subscriber, at) VALUES (?, ?, ?)", events)
            connection.execute(_FACT, (_COUNTS, json.dumps(counts)))

        await self._database.run(replace, write=True)

    async def contact(self) -> float:
        """When billing was last reached, epoch seconds; 0: never."""
        rows = await self._database.read("SELECT value FROM facts WHERE name = ?", (_CONTACT,))
        return float(rows[0][0]) if rows else 0.0

    async def running(self) -> tuple[float, float]:
        """The last noted running time, and that at which billing was last reached; 0: never noted."""
        rows = await self._database.read("SELECT value FROM facts WHERE name = ?", (_RUNNING,))
        running, heard = json.loads(rows[0][0]) if rows else (0.0, 0.0)
        return float(running), float(heard)

    async def note_contact(self, at: float, running: float = 0.0, heard: float = 0.0) -> None:
        """Remember when billing was last reached, by the wall clock and in running time, and how long edged has run."""
        await self._database.write(
            (_FACT, (_CONTACT, repr(at))),
            (_FACT, (_RUNNING, json.dumps([running, heard]))),
        )


def _load(connection: Connection) -> GuardMemory:
    events: dict[str, dict[str, float]] = {"blocked": {}, "vanished": {}, "moved": {}}
    for kind, subscriber, at in connection.execute("SELECT kind, subscriber, at FROM guard_events"):
        events[kind][subscriber] = at
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (_COUNTS,)).fetchone()
    counts = json.loads(row[0]) if row else {}
    return GuardMemory(
        blocked=events["blocked"],
        vanished=events["vanished"],
        moved=events["moved"],
        known=counts.get("known", 0),
        keys=counts.get("keys", 0),
        keys_gone=tuple((at, gone) for at, gone in counts.get("keys_gone", ())),
        started=counts.get("started", False),
        accepted=counts.get("accepted", ""),
    )
