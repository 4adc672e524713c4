# SPDX-License-Identifier: Apache-2.0
"""What befell each subscriber's line, in the database: kept for so long and so many, and read back as one life. I/O.

The audit, the keys and their devices are kept elsewhere in the same file; ``life_of`` reads them together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from edged.errors import UpstreamError
from edged.state.database import Database
from edged.state.settings import LifeSettings

SHOWN = 1000
"""Entries of one answer, the newest."""
_ADD = "INSERT INTO life (at, subscriber, what, who, detail, seconds) VALUES (?, ?, ?, ?, ?, ?)"
_THIN = "DELETE FROM life WHERE number <= (SELECT max(number) FROM life) - ?"
_OLD = "DELETE FROM life WHERE at < ?"
_BUSY_S = 5.0


class Deed(NamedTuple):
    """One thing that befell one subscriber. A row of the table ``life``."""

    at: float
    """Epoch seconds."""
    subscriber: str
    what: str
    """``blocked``, ``page opened``, ``restored`` …"""
    who: str = ""
    """``billing``, ``subscriber``, ``edged`` or an operator."""
    detail: str = ""
    seconds: float | None = None
    """How long it took, where that is the news."""


class Entry(NamedTuple):
    """One line of a life, wherever it is kept."""

    at: float
    what: str
    who: str
    detail: str
    subject: str
    """Whom or what it was done to: the subscriber, or a key of theirs."""
    seconds: float | None = None


class LifeStore:
    """The table ``life``, never older or longer than ``settings`` say."""

    def __init__(self, database: Database, settings: LifeSettings) -> None:
        self._database = database
        self._settings = settings

    async def add(self, deeds: Iterable[Deed], now: float) -> None:
        """Keep these, and forget what is too old or too much, in one transaction."""
        rows = [(_ADD, tuple(deed)) for deed in deeds]
        old = (_OLD, (now - self._settings.keep,))
        await self._database.write(*rows, (_THIN, (self._settings.rows,)), old)

    async def of(self, subject: str, since: float) -> list[Entry]:
        """The life of ``subject``, as ``life_of``."""
        return await self._database.run(lambda connection: life_of(connection, subject, since))


def life_of(connection: sqlite3.Connection, subject: str, since: float) -> list[Entry]:
    """What befell ``subject`` (a subscriber's id, or a key's) since then, oldest first.

    The newest ``SHOWN``, and one more where there are more.
    """
    entries = [*_deeds(connection, subject, since), *_audited(connection, [subject], since)]
    keys = connection.execute(
        "SELECT origin, id, ssid, created, revoked FROM keys WHERE subscriber = ? AND subscriber != ''", (subject,)
    ).fetchall()
    entries += _audited(connection, [row[1] for row in keys if row[1] != subject], since)
    for origin, key, ssid, created, revoked in keys:
        entries += _key(origin, key, ssid, created, revoked)
        devices = connection.execute(
            "SELECT first_seen, mac FROM devices WHERE origin = ? AND key = ? ORDER BY first_seen DESC LIMIT ?",
            (origin, key, SHOWN),
        )
        entries += [Entry(at, "first use of the key", mac, f"on {ssid}", key) for at, mac in devices]
    return sorted((entry for entry in entries if entry.at >= since), key=lambda entry: entry.at)[-SHOWN - 1 :]


def _deeds(connection: sqlite3.Connection, subject: str, since: float) -> list[Entry]:
    rows = connection.execute(
        "SELECT at, what, who, detail, seconds FROM life WHERE subscriber = ? AND at >= ?"
        " ORDER BY at DESC, number DESC LIMIT ?",
        (subject, since, SHOWN + 1),
    )
    return [Entry(at, what, who, detail, subject, seconds) for at, what, who, detail, seconds in rows][::-1]


def _audited(connection: sqlite3.Connection, subjects: Iterable[str], since: float) -> Iterator[Entry]:
    for subject in subjects:
        rows = connection.execute(
            "SELECT at, action, who, why FROM audit WHERE subject = ? AND at >= ? ORDER BY at DESC, rowid DESC LIMIT ?",
            (subject, since, SHOWN + 1),
        )
        yield from [Entry(at, action, who, why, subject) for at, action, who, why in rows][::-1]


def _key(origin: str, key: str, ssid: str, created: float, revoked: float | None) -> Iterator[Entry]:
    """A key of billing's; what is done with a local one is in the audit."""
    if origin != "billing":
        return
    yield Entry(created, "key made", origin, f"on {ssid}", key)
    if revoked is not None:
        yield Entry(revoked, "key ended", origin, f"on {ssid}", key)


def life_in(path: Path, subject: str, since: float) -> list[Entry]:
    """As ``life_of``, of the file of a daemon that does not run; nothing is written. UpstreamError."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            return life_of(connection, subject, since)
    except sqlite3.Error as error:
        raise UpstreamError(f"{path}: {error}") from error
