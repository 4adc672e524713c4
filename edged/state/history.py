# SPDX-License-Identifier: Apache-2.0
"""What the dashboard draws, in the database: bins of the last day and the newest changes of access. I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edged.state.database import Database, Row

CHANGES = 500
"""So many are kept."""
_PUT = "INSERT OR REPLACE INTO history (start, facts) VALUES (?, ?)"
_FORGET = "DELETE FROM history WHERE start < ?"
_ADD = "INSERT INTO changes (at, subscriber, before, after, reason, by) VALUES (?, ?, ?, ?, ?, ?)"
_THIN = "DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - ?"


class HistoryStore:
    """The tables ``history`` and ``changes``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, since: float) -> tuple[list[str], list[Row]]:
        """The facts of every bin that began at ``since`` or later, and the kept changes, both oldest first."""
        bins = await self._database.read("SELECT facts FROM history WHERE start >= ? ORDER BY start", (since,))
        changes = await self._database.read(
            "SELECT at, subscriber, before, after, reason, by FROM changes ORDER BY number"
        )
        return [row[0] for row in bins], changes

    async def save(self, start: int, facts: str, changes: Iterable[Sequence[object]], *, before: float) -> None:
        """One bin and the changes since the last one, in one transaction; bins from ``before`` some time go."""
        rows = [(_ADD, tuple(change)) for change in changes]
        await self._database.write((_PUT, (start, facts)), (_FORGET, (before,)), *rows, (_THIN, (CHANGES,)))
