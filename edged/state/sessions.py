# SPDX-License-Identifier: Apache-2.0
"""Accounting sessions in the database, one row a session of a NAS, durable before the answer goes out. I/O.

RFC 2866 section 4.1 (answer only what is recorded), section 5.1 (Acct-Status-Type); RFC 5080 section 2.3.3.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
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
    bound_ipv4: float = 0.0
    """When it was given this address, epoch seconds; the same for the other two kinds."""
    bound_ipv6: float = 0.0
    bound_delegated: float = 0.0
    silent: int = 0
    """1: it was ended because nobody reported on it."""
    client: str = ""
    """The name of the RADIUS client that reported it."""
    ssid: str = ""
    """Of a Wi-Fi session; empty: another kind, or not said."""
    origin: str = ""
    key: str = ""
    """The key that the device used, as a ``KeyId`` has both; empty: not known."""
    bssid: str = ""
    """Of the radio; empty: not Wi-Fi, or not said."""

    def online(self) -> dict[str, OnlineSession | None]:
        """The session as the policy wants it, kind by kind of its addresses; None: it has none of that kind now."""
        lines: dict[str, OnlineSession | None] = {}
        for kind in KINDS:
            spelt = str(getattr(self, kind)).split()[:_MOST_PREFIXES] if self.stopped is None else []
            prefixes = tuple(dict.fromkeys(map(parse_prefix, spelt)))
            since = float(getattr(self, f"bound_{kind}"))
            lines[kind] = OnlineSession(self.login, prefixes, since) if prefixes else None
        return lines


KINDS = ("ipv4", "ipv6", "delegated")
"""Framed-IP-Address; Framed-IPv6-Prefix or -Address; Delegated-IPv6-Prefix. Each may come and go by itself."""
_MOST_PREFIXES = 8
"""Of one session and kind; a packet has room for two hundred, a household has one."""
_RETOLD_S = 60.0
"""A Start so much later than the one before is another session's: the NAS counts from 1 again and its On was lost."""
_SILENT_S = 86400.0
"""A session that was reported on from time to time and is not for so long has ended without a Stop."""
_SILENT_FROM_THE_START_S = 31 * 86400.0
"""The same for one whose NAS sends no Interim-Updates at all."""

_COLUMNS = (
    "nas, session, login, mac, ipv4, ipv6, delegated, started, updated, stopped, octets_in, octets_out,"
    " bound_ipv4, bound_ipv6, bound_delegated, silent, client, ssid, origin, key, bssid"
)
_SELECT = f"SELECT {_COLUMNS} FROM sessions"  # noqa: S608  # our own text
_PUT = f"INSERT OR REPLACE INTO sessions ({_COLUMNS}) VALUES ({', '.join('?' * 21)})"  # noqa: S608  # our own text

# SQLite takes the other columns from the row that has the maximum. Of two that run the later one is where the device
# is: the access point that it has walked away from goes on reporting for minutes
_LATEST = "max(iif(stopped IS NULL, started + 1e11, updated))"
_WIRELESS = f"SELECT {_COLUMNS}, {_LATEST} FROM sessions WHERE ssid != '' AND mac != '' AND "  # noqa: S608  # our own text

_OF_NAS = "nas = ? AND started <= ? AND (? = '' OR bssid IN ('', ?))"
_SILENT = "((updated > started + 1 AND updated < ?) OR updated < ?)"


class SessionStore:
    """The table ``sessions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, status: int, *, nas: str, at: float, session: str = "", login: str = "", mac: str = "",
        ipv4: str = "", ipv6: str = "", delegated: str = "", octets_in: int = 0, octets_out: int = 0,
        seconds: int = 0, client: str = "", ssid: str = "", key: tuple[str, str] = ("", ""),
        bssid: str = "",
    ) -> list[Session]:  # fmt: skip
        """Make one accounting request durable. ``at``: epoch seconds of the event, its delay taken off.

        On and Off with a ``bssid`` end the sessions of that radio alone: an access point has several, and one that has
        to listen for radar first starts a minute after the others.
        A repeated or overtaken request turns nothing back: counters only grow, a stopped session stays so.
        The sessions that it concerns, as they stand now.
        """
        if status in {Status.ON, Status.OFF}:
            return await self._end(_OF_NAS, (nas, at, bssid, bssid), "?", at, silent=0)
        event = Session(
            nas, session, login, mac, ipv4, ipv6, delegated, at - seconds, at,
            at if status == Status.STOP else None, octets_in, octets_out, at, at, at,
            client=client, ssid=ssid, origin=key[0], key=key[1], bssid=bssid,
        )  # fmt: skip
        return [await self._database.run_together(lambda connection: _put(connection, event, status))]

    async def end_silent(self, now: float) -> list[Session]:
        """End what nobody has reported on for long, as of the last report; these sessions. A report wakes them."""
        silent_since = (now - _SILENT_S, now - _SILENT_FROM_THE_START_S)
        return await self._end(_SILENT, silent_since, "max(updated, ?)", 0.0, silent=1)

    async def _end(
        self, which: str, parameters: tuple[object, ...], stopped: str, at: float, *, silent: int
    ) -> list[Session]:
        def end(connection: sqlite3.Connection) -> list[Session]:
            rows = connection.execute(f"{_SELECT} WHERE stopped IS NULL AND {which}", parameters).fetchall()
            change = f"UPDATE sessions SET stopped = {stopped}, silent = ? WHERE stopped IS NULL AND {which}"  # noqa: S608  # our own text
            connection.execute(change, (at, silent, *parameters))
            return [replace(Session(*row), stopped=at, silent=silent) for row in rows]

        return await self._database.run(end, write=True)

    async def open(self) -> list[Session]:
        """Every session that has not stopped."""
        rows = await self._database.read(_SELECT + " WHERE stopped IS NULL")
        return [Session(*row) for row in rows]

    async def silent_on_record(self) -> list[Session]:
        """Those that nobody reported on for long, and that a BNG may have been told to block."""
        which = "silent = 1 AND (nas, session) IN (SELECT nas, session FROM told)"
        rows = await self._database.read(f"{_SELECT} WHERE {which}")
        return [Session(*row) for row in rows]

    async def wireless(
        self, after: tuple[str, str] = ("", ""), limit: int = -1, *, running: bool = False
    ) -> list[Session]:  # fmt: skip
        """Of each device on each SSID the session that runs, else the latest, in order of SSID and MAC address.

        Those behind ``after``, ``limit`` at most; with ``running`` of those alone whose session runs.
        """
        which = "(ssid, mac) > (?, ?)" + (" AND stopped IS NULL" if running else "")
        return await self._latest(f"{which} GROUP BY ssid, mac ORDER BY ssid, mac LIMIT ?", (*after, limit))

    async def count_wireless(self) -> int:
        """How many devices are on the Wi-Fi, as far as access points report it."""
        rows = await self._database.read(
            "SELECT count(*) FROM (SELECT DISTINCT ssid, mac FROM sessions"
            " WHERE ssid != '' AND mac != '' AND stopped IS NULL)"
        )
        return int(rows[0][0])

    async def of_device(self, mac: str, ssids: Collection[str]) -> list[Session]:
        """As ``wireless``, of one device on these SSIDs."""
        marks = ", ".join("?" * len(ssids))
        return await self._latest(f"ssid IN ({marks}) AND mac = ? GROUP BY ssid, mac ORDER BY ssid", (*ssids, mac))

    async def _latest(self, which: str, parameters: tuple[object, ...]) -> list[Session]:
        def read(connection: sqlite3.Connection) -> list[Session]:
            return [Session(*row[:-1]) for row in connection.execute(_WIRELESS + which, parameters)]

        return await self._database.run(read)

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
    """``known`` after ``event``, unless that is about another session with the same name."""
    if event.updated > known.updated and _is_another(known, event, status):
        return event
    newer, older = (event, known) if event.updated >= known.updated else (known, event)
    lines: dict[str, str | float] = {}
    for kind in KINDS:
        # an address that is not named is not given up; one that is the same was not given anew
        value = getattr(newer, kind) or getattr(older, kind)
        lines[kind] = value
        lines[f"bound_{kind}"] = getattr(known, f"bound_{kind}") if value == getattr(known, kind) else event.updated
    woken = bool(known.silent) and event.updated > known.updated and status != Status.STOP
    stopped = event.stopped if woken or known.stopped is None else known.stopped
    return Session(
        nas=known.nas,
        session=known.session,
        login=newer.login or older.login,
        mac=newer.mac or older.mac,
        started=min(known.started, event.started),
        updated=newer.updated,
        stopped=stopped,
        octets_in=max(known.octets_in, event.octets_in),
        octets_out=max(known.octets_out, event.octets_out),
        silent=0 if woken or stopped is None else known.silent,
        client=newer.client or older.client,
        ssid=newer.ssid or older.ssid,
        origin=(newer if newer.key else older).origin,
        key=newer.key or older.key,
        bssid=newer.bssid or older.bssid,
        **lines,  # type: ignore[arg-type]  # by name
    )


def _is_another(known: Session, event: Session, status: int) -> bool:
    """Some NASes count from 1 again, and their Stop or their On may be lost."""
    if event.login and known.login and event.login != known.login:
        return True
    if status != Status.START:
        return False
    return known.stopped is not None or event.updated > known.started + _RETOLD_S
