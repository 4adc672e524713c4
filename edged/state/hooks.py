# SPDX-License-Identifier: Apache-2.0
"""Ids of webhook posts that were accepted, kept across restarts: a crash must not open the window of replay. I/O."""

from __future__ import annotations

from collections.abc import Iterable

from edged.state.database import Database

_FLOOR = "billing.hooks.floor"


class HookStore:
    """The table ``hooks`` and the time before which nothing is accepted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[list[tuple[str, float]], float]:
        """Every id with the time of its post, and the floor; epoch seconds."""
        rows = await self._database.read("SELECT id, at FROM hooks")
        floor = await self._database.read("SELECT value FROM facts WHERE name = ?", (_FLOOR,))
        return [(row[0], row[1]) for row in rows], float(floor[0][0]) if floor else 0.0

    async def save(self, ids: Iterable[tuple[str, float]]) -> None:
        """Remember these too, durable on return."""
        await self._database.write_many("INSERT OR REPLACE INTO hooks (id, at) VALUES (?, ?)", ids)

    async def prune(self, floor: float) -> None:
        """Forget what was sent at ``floor`` or before, and remember the floor instead."""
        await self._database.write(
            ("DELETE FROM hooks WHERE at <= ?", (floor,)),
            (
                "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (_FLOOR, repr(floor)),
            ),
        )
