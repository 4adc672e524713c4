# SPDX-License-Identifier: Apache-2.0
"""Keys and the devices that used them, in the database: secrets sealed, each bound to its row. I/O.

The functions on a connection run on the database's own thread, every change in one transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from edged.errors import UpstreamError
from edged.model import Key, Rate
from edged.state.database import Database
from edged.state.keyrows import (
    BILLING,
    LOCAL,
    RETIRED,
    BillingChange,
    KeyId,
    Sighting,
    StoredKey,
    Taken,
    merge,
)
from edged.state.sealing import Seal
from edged.state.sealing_key import SealingKey
from edged.values import MacAddress, Secret

__all__ = [
    "BILLING", "KEEP_DEVICES", "KEEP_REVOKED", "LOCAL", "RETIRED", "BillingChange", "KeyId", "KeyStore", "Resealed",
    "Sighting", "StoredKey",
]  # fmt: skip

T = TypeVar("T")
Revision = Callable[[Sequence[StoredKey]], tuple[Iterable[StoredKey], T]]
"""Every key as it stands -> the rows to write, and an answer. Pure: it runs inside the transaction."""

KEEP_REVOKED = 30 * 86400.0
"""So long the help desk is told "revoked" instead of "unknown"; then the row and its passphrase go."""
KEEP_DEVICES = 90 * 86400.0
"""A device not seen for a season is forgotten; it is found again at the cost of one search."""
RESEAL_BATCH = 200
"""Rows sealed afresh in one transaction, some 10 ms: an accounting record waits no longer than that."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a change of the sealing key came to."""

    count: int
    """Keys sealed afresh."""
    damaged: int = 0
    """Keys that opened with no known sealing key, left as they are."""


class KeyStore:
    """The tables ``keys`` and ``devices``."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal
        self.damaged: tuple[KeyId, ...] = ()
        """Keys that did not open at the last reading; billing's are sealed afresh at its next list."""

    def read(self, connection: sqlite3.Connection) -> list[StoredKey]:
        """Every key that opens, on the database's thread."""
        return self._read(connection, strict=False)

    def put(self, connection: sqlite3.Connection, stored: StoredKey) -> None:
        """Write one key, on the database's thread."""
        connection.execute(_PUT, self._row(stored))

    def opened(self, sealed: bytes, name: KeyId) -> Secret:
        """The passphrase of ``name`` as the file has it. UpstreamError when it does not open."""
        return self._seal.open(sealed, _place("passphrase", name))

    def sealed(self, passphrase: Secret, name: KeyId) -> bytes:
        """As the file has it."""
        return self._seal.close(passphrase, _place("passphrase", name))

    async def all(self) -> list[StoredKey]:
        """Every key, the revoked of the last days included. UpstreamError when none of them opens."""
        return await self._database.run(self._read)

    async def replace_billing(
        self, keys: Sequence[Key], now: float, overlap: Mapping[str, float] | None = None
    ) -> BillingChange:
        """Make ``keys`` billing's whole list; PMKs of unchanged passphrases stay.

        ``overlap``: SSID to seconds for which a replaced passphrase of the same subscriber stays good.
        """

        def apply(connection: sqlite3.Connection) -> BillingChange:
            # rows that do not open are billing's to give again: they are sealed afresh
            before = {s.key.id: s for s in self._read(connection, strict=False) if s.origin == BILLING}
            after, conflicts = merge(before, keys, now, overlap or {})
            changed = [s for s in after.values() if before.get(s.key.id) != s]
            connection.executemany(_PUT, [self._row(s) for s in changed])
            connection.execute("DELETE FROM keys WHERE revoked < ?", (now - KEEP_REVOKED,))
            return BillingChange(
                added=sum(s.key.id not in before for s in changed),
                changed=sum(s.key.id in before and not s.revoked for s in changed),
                revoked=sum(s.key.id in before and bool(s.revoked) for s in changed),
                conflicts=conflicts,
            )

        return await self._database.run(apply, write=True)

    async def add_local(self, keys: Sequence[Key], now: float) -> dict[str, str]:
        """Add all of ``keys``, or none: then each offender's id with that of the live key in its way."""
        fresh = [StoredKey(LOCAL, key, created=now) for key in keys]

        def apply(standing: Sequence[StoredKey]) -> tuple[Iterable[StoredKey], dict[str, str]]:
            taken, ids, conflicts = Taken(standing, now), {s.key.id for s in standing if s.origin == LOCAL}, {}
            for stored in fresh:
                other = stored if stored.key.id in ids else taken.holder(stored)
                if other is not None:
                    conflicts[stored.key.id] = other.key.id
                ids.add(stored.key.id)
                taken.take(stored)
            return () if conflicts else fresh, conflicts

        return await self.revise(apply)

    async def revise(self, revision: Revision[T]) -> T:
        """Write the rows that ``revision`` makes of every key as it stands, in one transaction; its answer."""

        def apply(connection: sqlite3.Connection) -> T:
            put, answer = revision(self._read(connection))
            connection.executemany(_PUT, map(self._row, put))
            return answer

        return await self._database.run(apply, write=True)

    async def save_pmks(self, pmks: Iterable[tuple[StoredKey, Secret]]) -> None:
        """Keep derived PMKs, each only if its key still has the passphrase and SSID it was derived from."""
        derived = list(pmks)

        def apply(connection: sqlite3.Connection) -> None:
            for stored, pmk in derived:
                if self._unchanged(connection, stored):
                    sealed = self._seal.close(pmk, _place("pmk", stored.name))
                    connection.execute("UPDATE keys SET pmk = ? WHERE origin = ? AND id = ?", (sealed, *stored.name))

        await self._database.run(apply, write=True)

    async def learn(self, sightings: Iterable[Sighting], gone: Collection[tuple[str, MacAddress]] = ()) -> None:
        """Remember which device used which key last and forget those ``gone``, by SSID; all in one transaction."""
        rows = [(s.ssid, s.mac, *s.key, s.at, s.at) for s in sightings]

        def apply(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM devices WHERE ssid = ? AND mac = ?", gone)
            connection.executemany(_SEEN, rows)

        await self._database.run(apply, write=True)

    async def devices(self, now: float) -> list[Sighting]:
        """Every device seen within a season, with its last key."""
        rows = await self._database.read(
            "SELECT ssid, mac, origin, key, last_seen FROM devices WHERE last_seen >= ? ORDER BY last_seen",
            (now - KEEP_DEVICES,),
        )
        return [Sighting(ssid, mac, KeyId(origin, key), at) for ssid, mac, origin, key, at in rows]

    async def forget(self, now: float) -> None:
        """Drop the devices that were not seen for a season, and the keys that ended long ago."""
        await self._database.write(
            ("DELETE FROM devices WHERE last_seen < ?", (now - KEEP_DEVICES,)),
            ("DELETE FROM keys WHERE revoked < ?", (now - KEEP_REVOKED,)),
        )

    async def reseal(self, place: SealingKey) -> Resealed | None:
        """Seal every secret with a new key; None: there is none to change to. UpstreamError: do it again.

        Both keys are accepted from the first octet to the last, in memory and after a crash: the new one is on disk
        before it seals anything, the old one goes when nothing is sealed with it any more.
        """
        await self.all()  # with a wrong key nothing is begun
        seal = await asyncio.to_thread(place.begin)
        if seal is None:
            return None
        self._seal = seal
        # what is written from now on is sealed with the new key, and has a higher number
        ((end,),) = await self._database.read("SELECT ifnull(max(rowid), 0) FROM keys")
        count, damaged, after = 0, 0, 0
        while after < end:
            done, left, after = await self._database.run(partial(self._reseal, after=after, end=end), write=True)
            count, damaged = count + done, damaged + left
        await self._database.run(_scrub)
        await asyncio.to_thread(place.finish)
        self._seal = seal.newest
        return Resealed(count, damaged)

    def _reseal(self, connection: sqlite3.Connection, after: int, end: int) -> tuple[int, int, int]:
        """One batch: rows sealed afresh, rows that open with neither key, the last row looked at."""
        rows = connection.execute(
            "SELECT rowid, origin, id, passphrase, pmk FROM keys WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?",
            (after, end, RESEAL_BATCH),
        ).fetchall()
        fresh = []
        for rowid, origin, key_id, passphrase, pmk in rows:
            try:
                sealed = [
                    None if octets is None else self._seal.close(self._seal.open(octets, place), place)
                    for octets, place in (
                        (passphrase, _place("passphrase", KeyId(origin, key_id))),
                        (pmk, _place("pmk", KeyId(origin, key_id))),
                    )
                ]
            except UpstreamError:
                continue
            fresh.append((*sealed, rowid))
        connection.executemany("UPDATE keys SET passphrase = ?, pmk = ? WHERE rowid = ?", fresh)
        return len(fresh), len(rows) - len(fresh), rows[-1][0] if rows else end

    def _read(self, connection: sqlite3.Connection, *, strict: bool = True) -> list[StoredKey]:
        found: list[StoredKey] = []
        damaged: list[KeyId] = []
        for row in connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY origin, id"):  # noqa: S608  # our own text
            try:
                found.append(self._stored(row))
            except (UpstreamError, UnicodeDecodeError):
                damaged.append(KeyId(row[0], row[1]))
        if strict and damaged and not found:
            raise UpstreamError("no stored key opens: the sealing key is not the one they were sealed with")
        self.damaged = tuple(damaged)
        return found

    def _unchanged(self, connection: sqlite3.Connection, stored: StoredKey) -> bool:
        row = connection.execute(
            "SELECT ssid, passphrase FROM keys WHERE origin = ? AND id = ?", stored.name
        ).fetchone()
        if row is None or row[0] != stored.key.ssid:
            return False
        passphrase: Secret = self._seal.open(row[1], _place("passphrase", stored.name))
        return passphrase == stored.key.passphrase

    def _stored(self, row: tuple[Any, ...]) -> StoredKey:
        (
            origin, key_id, ssid, site, subscriber, label, passphrase, pmk, vlan, limit, devices,
            not_before, expires, rate_down, rate_up, created, revoked,
        ) = row  # fmt: skip
        name = KeyId(origin, key_id)
        key = Key(
            id=key_id, ssid=ssid, passphrase=self._seal.open(passphrase, _place("passphrase", name)),
            subscriber=subscriber, site=site, label=label, vlan=vlan, device_limit=limit,
            devices=tuple(MacAddress(mac) for mac in devices.split()), not_before=not_before, expires=expires,
            rate=None if rate_down is None else Rate(rate_down, rate_up),
        )  # fmt: skip
        opened = None if pmk is None else self._seal.open(pmk, _place("pmk", name))
        return StoredKey(origin, key, opened, created, revoked or 0.0)

    def _row(self, stored: StoredKey) -> tuple[Any, ...]:
        key, name = stored.key, stored.name
        return (
            *name, key.ssid, key.site, key.subscriber, key.label,
            self._seal.close(key.passphrase, _place("passphrase", name)),
            None if stored.pmk is None else self._seal.close(stored.pmk, _place("pmk", name)),
            key.vlan, key.device_limit, " ".join(key.devices), key.not_before, key.expires,
            key.rate.down if key.rate else None, key.rate.up if key.rate else None,
            stored.created, stored.revoked or None,
        )  # fmt: skip


def _scrub(connection: sqlite3.Connection) -> None:
    """Leave nothing that was sealed with the old key in free pages or in the log."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


_COLUMNS = (
    "origin, id, ssid, site, subscriber, label, passphrase, pmk, vlan, device_limit, devices,"
    " not_before, expires, rate_down, rate_up, created, revoked"
)
_SEEN = (
    "INSERT INTO devices (ssid, mac, origin, key, first_seen, last_seen) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (ssid, mac) DO UPDATE SET origin = excluded.origin, key = excluded.key,"
    " last_seen = max(last_seen, excluded.last_seen)"
)
_PUT = f"INSERT OR REPLACE INTO keys ({_COLUMNS}) VALUES ({', '.join('?' * 17)})"  # noqa: S608  # our own text


def _place(column: str, name: KeyId) -> str:
    # an id may hold any character: its length keeps two places from being spelled alike
    return f"keys.{column}:{name.origin}:{len(name.id)}:{name.id}"
