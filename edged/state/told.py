# SPDX-License-Identifier: Apache-2.0
"""Sessions that a BNG may have been told to block, durable before it is told: a restart can still open them. I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from edged.errors import UpstreamError
from edged.state.database import Database

KEEP_TOLD = 31 * 86400.0
"""A session of which nobody has reported for so long has ended, as ``sessions`` has it."""


class Told(NamedTuple):
    """One session that may be blocked; nothing in it is secret."""

    target: str
    """The BNG's address, as ``enforce`` has it."""
    nas: str
    """As in ``sessions``."""
    session: str
    started: float
    """Which of several sessions of one name it is, epoch seconds."""
    acknowledged: bool
    value: str
    """What it was told."""
    at: float
    """Epoch seconds."""


_COLUMNS = ", ".join(Told._fields)
_PUT = f"INSERT OR REPLACE INTO told ({_COLUMNS}) VALUES ({', '.join('?' * 7)})"  # noqa: S608  # our own text
_GONE = "DELETE FROM told WHERE target = ? AND nas = ? AND session = ?"
_OLD = (
    "DELETE FROM told WHERE at < ? AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.nas = told.nas"
    " AND sessions.session = told.session AND sessions.stopped IS NULL)"
)


class ToldStore:
    """The table ``told``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, target: str, now: float) -> list[Told]:
        """What ``target`` may have been told and not untold."""
        with suppress(UpstreamError):  # full, or locked: who has paid is opened all the same
            await self._database.write((_OLD, (now - KEEP_TOLD,)))
        rows = await self._database.read(f"SELECT {_COLUMNS} FROM told WHERE target = ?", (target,))  # noqa: S608  # our own text
        return [Told(*row)._replace(acknowledged=bool(row[4])) for row in rows]

    async def save(self, target: str, rows: Sequence[Told], gone: Iterable[tuple[str, str]]) -> None:
        """Keep ``rows`` and forget these sessions of ``target``, in one transaction, durable on return."""
        puts: list[tuple[str, Sequence[object]]] = [(_PUT, row) for row in rows]
        await self._database.write(*puts, *((_GONE, (target, *key)) for key in gone))
