# SPDX-License-Identifier: Apache-2.0
"""Devices that access points were told to let on, kept so that a restart can still send them away. I/O."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from edged.state.database import Database
from edged.values import MacAddress

KEEP_GRANTS = 90 * 86400.0
"""A device that no access point has asked about for a season is gone."""


class GrantRow(NamedTuple):
    """One device on one SSID; nothing in it is secret."""

    ssid: str
    mac: MacAddress
    client: str
    """The RADIUS client by its name."""
    dialect: str
    nas: str
    """The address its request came from."""
    session: bytes
    """What names the session to the access point: RADIUS attributes as on the wire."""
    origin: str
    """Of the key; empty: it has none."""
    key: str
    vlan: int | None
    rate_down: int | None
    rate_up: int | None
    at: float
    """When it was granted, to the hour."""
    wanted: str
    """Why it is to leave; empty: it may stay."""


_COLUMNS = ", ".join(GrantRow._fields)
_PUT = f"INSERT OR REPLACE INTO grants ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608  # our own text


class GrantStore:
    """The table ``grants``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, now: float, most: int) -> list[GrantRow]:
        """The newest ``most``, oldest first; the others are forgotten."""
        await self._database.write(
            ("DELETE FROM grants WHERE at < ?", (now - KEEP_GRANTS,)),
            (
                "DELETE FROM grants WHERE rowid IN (SELECT rowid FROM grants ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (most,),
            ),
        )
        rows = await self._database.read(f"SELECT {_COLUMNS} FROM grants ORDER BY at")  # noqa: S608  # our own text
        return [GrantRow(*row) for row in rows]

    async def save(self, rows: Iterable[GrantRow], dropped: Iterable[tuple[str, MacAddress]]) -> None:
        """Keep ``rows`` and drop the others, all in one transaction."""
        kept, gone = list(rows), list(dropped)

        def apply(connection: sqlite3.Connection) -> None:
            connection.executemany(_PUT, kept)
            connection.executemany("DELETE FROM grants WHERE ssid = ? AND mac = ?", gone)

        await self._database.run(apply, write=True)
