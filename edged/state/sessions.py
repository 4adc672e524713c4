# SPDX-License-Identifier: Apache-2.0
"""Accounting sessions in the database, one row a session of a NAS, durable before the answer goes out. I/O.

RFC 2866 section 4.1 (answer only what is recorded), section 5.1 (Acct-Status-Type); RFC 5080 section 2.3.3.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from enum import IntEnum

from edged.model import OnlineSession
from edged.state.database import Database
from edged.values import parse_prefix


class Status(IntEnum):
    """Acct-Status-Type."""

    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7
    """The NAS has started: all its sessions are over."""
    OFF = 8
    """The NAS is going down: all its sessions are over."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session as it stands."""

    nas: str
    session: str
    login: str = ""
    mac: str = ""
    ipv4: str = ""
    ipv6: str = ""
    delegated: str = ""
    started: float = 0.0
    updated: float = 0.0
    stopped: float | None = None
    octets_in: int = 0
    octets_out: int = 0
    bound: float = 0.0
    """When it was given the addresses it has, epoch seconds."""

    def online(self) -> OnlineSession | None:
        """The session as the policy wants it; None: it is over."""
        if self.stopped is not None:
            return None
        spelt = f"{self.ipv4} {self.ipv6} {self.delegated}".split()
        return OnlineSession(self.login, tuple(map(parse_prefix, spelt[:_MOST_PREFIXES])), self.bound)


_MOST_PREFIXES = 16
"""Of one session; a packet has room for two hundred, a household has three."""
_SILENT_S = 86400.0
"""A session that was reported on from time to time and is not for so long has ended without a Stop."""
_SILENT_FROM_THE_START_S = 31 * 86400.0
"""The same for one whose NAS sends no Interim-Updates at all."""

_COLUMNS = "nas, session, login, mac, ipv4, ipv6, delegated, started, updated, stopped, octets_in, octets_out, bound"
_SELECT = f"SELECT {_COLUMNS} FROM sessions"  # noqa: S608  # our own text
_PUT = f"INSERT OR REPLACE INTO sessions ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608  # our own text


_OF_NAS = "nas = ? AND started <= ?"
_SILENT = "((updated > started + 1 AND updated < ?) OR updated < ?)"


class SessionStore:
    """The table ``sessions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, status: int, *, nas: str, at: float, session: str = "", login: str = "", mac: str = "",
        ipv4: str = "", ipv6: str = "", delegated: str = "", octets_in: int = 0, octets_out: int = 0,
        seconds: int = 0,
    ) -> list[Session]:  # fmt: skip
        """Make one accounting request durable. ``at``: epoch seconds of the event, its delay taken off.

        A repeated or overtaken request turns nothing back: counters only grow, a stopped session stays so.
        The sessions that it concerns, as they stand now.
        """
        if status in {Status.ON, Status.OFF}:
            return await self._end(_OF_NAS, (nas, at), at)
        event = Session(
            nas, session, login, mac, ipv4, ipv6, delegated, at - seconds, at,
            at if status == Status.STOP else None, octets_in, octets_out, at,
        )  # fmt: skip
        return [await self._database.run(lambda connection: _put(connection, event, status), write=True)]

    async def end_silent(self, now: float) -> list[Session]:
        """End what nobody has reported on for long; these sessions."""
        return await self._end(_SILENT, (now - _SILENT_S, now - _SILENT_FROM_THE_START_S), now)

    async def _end(self, which: str, parameters: tuple[object, ...], at: float) -> list[Session]:
        def end(connection: sqlite3.Connection) -> list[Session]:
            rows = connection.execute(f"{_SELECT} WHERE stopped IS NULL AND {which}", parameters).fetchall()
            connection.execute(f"UPDATE sessions SET stopped = ? WHERE stopped IS NULL AND {which}", (at, *parameters))  # noqa: S608  # our own text
            return [replace(Session(*row), stopped=at) for row in rows]

        return await self._database.run(end, write=True)

    async def open(self) -> list[Session]:
        """Every session that has not stopped."""
        rows = await self._database.read(_SELECT + " WHERE stopped IS NULL")
        return [Session(*row) for row in rows]

    async def purge(self, before: float) -> None:
        """Forget sessions that stopped before that time."""
        await self._database.write(("DELETE FROM sessions WHERE stopped < ?", (before,)))


def _put(connection: sqlite3.Connection, event: Session, status: int) -> Session:
    row = connection.execute(_SELECT + " WHERE nas = ? AND session = ?", (event.nas, event.session)).fetchone()
    merged = event if row is None else _merged(Session(*row), event, status)
    values = tuple(getattr(merged, name) for name in _COLUMNS.split(", "))
    connection.execute(_PUT, values)
    return merged


def _merged(known: Session, event: Session, status: int) -> Session:
    """``known`` after ``event``. A Start after its Stop is a new session: some NASes count from 1 again."""
    if status == Status.START and known.stopped is not None and event.updated > known.stopped:
        return event
    newer, older = (event, known) if event.updated >= known.updated else (known, event)
    addresses = (newer.ipv4 or older.ipv4, newer.ipv6 or older.ipv6, newer.delegated or older.delegated)
    same = addresses == (known.ipv4, known.ipv6, known.delegated)
    return Session(
        known.nas,
        known.session,
        newer.login or older.login,
        newer.mac or older.mac,
        *addresses,
        min(known.started, event.started),
        newer.updated,
        known.stopped if known.stopped is not None else event.stopped,
        max(known.octets_in, event.octets_in),
        max(known.octets_out, event.octets_out),
        known.bound if same else event.updated,
    )
