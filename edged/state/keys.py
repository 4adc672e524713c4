# SPDX-License-Identifier: Apache-2.0
"""Keys and the devices that used them, in the database: secrets sealed, each bound to its row. I/O.

The functions on a connection run on the database's own thread, every change in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from edged.errors import UpstreamError
from edged.model import Key, Rate
from edged.state.database import Database
from edged.state.sealing import Seal
from edged.values import MacAddress, Secret

BILLING, LOCAL = "billing", "local"
RETIRED = "~old"
"""Ends the id of a key's previous passphrase while both are good (``rotate_overlap``)."""
KEEP_REVOKED = 30 * 86400.0
"""So long the help desk is told "revoked" instead of "unknown"; then the row and its passphrase go."""
KEEP_DEVICES = 90 * 86400.0
"""A device not seen for a season is forgotten; it is found again at the cost of one search."""


class KeyId(NamedTuple):
    """Names one stored key."""

    origin: str
    """``billing`` or ``local``."""
    id: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with what edged adds to it."""

    origin: str
    key: Key
    pmk: Secret | None = None
    """None: not derived yet."""
    created: float = 0.0
    revoked: float = 0.0
    """Epoch seconds from which it is no longer good, the future included; 0: never."""

    @property
    def name(self) -> KeyId:
        """What the key is called in tables and logs."""
        return KeyId(self.origin, self.key.id)


class Sighting(NamedTuple):
    """A device that used a key."""

    ssid: str
    mac: MacAddress
    key: KeyId
    at: float


@dataclass(frozen=True, slots=True)
class BillingChange:
    """What one reading of billing did to the keys."""

    added: int = 0
    changed: int = 0
    revoked: int = 0
    conflicts: tuple[tuple[str, str], ...] = ()
    """Ids of a key left out and of the one with the same passphrase on the same SSID and site."""


class KeyStore:
    """The tables ``keys`` and ``devices``."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal
        self.damaged: tuple[KeyId, ...] = ()
        """Keys that did not open at the last reading; billing's are sealed afresh at its next list."""

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
            after, conflicts = _merge(before, keys, now, overlap or {})
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

        def apply(connection: sqlite3.Connection) -> dict[str, str]:
            standing = [s for s in self._read(connection) if not s.revoked or s.revoked > now]
            taken = _Taken(s.key for s in standing)
            known = connection.execute("SELECT id FROM keys WHERE origin = ?", (LOCAL,)).fetchall()
            ids = {row[0] for row in known}
            conflicts = {}
            for key in keys:
                other = key.id if key.id in ids else taken.holder(key)
                if other:
                    conflicts[key.id] = other
                ids.add(key.id)
                taken.take(key)
            if not conflicts:
                connection.executemany(_PUT, [self._row(StoredKey(LOCAL, key, created=now)) for key in keys])
            return conflicts

        return await self._database.run(apply, write=True)

    async def revoke(self, key_id: str, now: float) -> bool:
        """End a local key now; False when there is no live one of that id. Billing's keys end in billing."""

        def apply(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "UPDATE keys SET revoked = ? WHERE origin = ? AND id = ? AND ifnull(revoked, 1e99) > ?",
                (now, LOCAL, key_id, now),
            )
            return cursor.rowcount > 0

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

    async def learn(self, sightings: Iterable[Sighting]) -> None:
        """Remember which device used which key last, all in one transaction."""
        await self._database.write_many(
            "INSERT INTO devices (ssid, mac, origin, key, first_seen, last_seen) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (ssid, mac) DO UPDATE SET origin = excluded.origin, key = excluded.key,"
            " last_seen = max(last_seen, excluded.last_seen)",
            [(s.ssid, s.mac, *s.key, s.at, s.at) for s in sightings],
        )

    async def devices(self, now: float) -> list[Sighting]:
        """Every device seen within a season, with its last key."""
        rows = await self._database.read(
            "SELECT ssid, mac, origin, key, last_seen FROM devices WHERE last_seen >= ? ORDER BY last_seen",
            (now - KEEP_DEVICES,),
        )
        return [Sighting(ssid, mac, KeyId(origin, key), at) for ssid, mac, origin, key, at in rows]

    async def forget(self, now: float) -> None:
        """Drop the devices that were not seen for a season."""
        await self._database.write(("DELETE FROM devices WHERE last_seen < ?", (now - KEEP_DEVICES,)))

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


_COLUMNS = (
    "origin, id, ssid, site, subscriber, label, passphrase, pmk, vlan, device_limit, devices,"
    " not_before, expires, rate_down, rate_up, created, revoked"
)
_PUT = f"INSERT OR REPLACE INTO keys ({_COLUMNS}) VALUES ({', '.join('?' * 17)})"  # noqa: S608  # our own text


def _place(column: str, name: KeyId) -> str:
    # an id may hold any character: its length keeps two places from being spelled alike
    return f"keys.{column}:{name.origin}:{len(name.id)}:{name.id}"


class _Taken:
    """Which live key holds a passphrase, by SSID; sites overlap when equal or when one is empty."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._holders: dict[tuple[str, Secret], list[Key]] = {}
        for key in keys:
            self.take(key)

    def take(self, key: Key) -> None:
        self._holders.setdefault((key.ssid, key.passphrase), []).append(key)

    def holder(self, key: Key) -> str:
        """The id of a key that cannot be told from ``key``; empty when there is none."""
        for other in self._holders.get((key.ssid, key.passphrase), ()):
            if other.site == key.site or not other.site or not key.site:
                return other.id
        return ""


def _merge(
    before: Mapping[str, StoredKey], keys: Sequence[Key], now: float, overlap: Mapping[str, float]
) -> tuple[dict[str, StoredKey], tuple[tuple[str, str], ...]]:
    """Billing's rows as they are to be, and the conflicts in its list."""
    pmks = {(s.key.ssid, s.key.passphrase): s.pmk for s in before.values() if s.pmk is not None}
    holders: dict[tuple[str, str, Secret], str] = {}
    after: dict[str, StoredKey] = {}
    conflicts = []
    for key in sorted(keys, key=lambda k: k.id):
        holder = holders.setdefault((key.ssid, key.site, key.passphrase), key.id)
        if holder != key.id:
            conflicts.append((key.id, holder))
            continue
        old = before.get(key.id)
        after[key.id] = StoredKey(BILLING, key, pmks.get((key.ssid, key.passphrase)), old.created if old else now)
    for stored in list(after.values()):
        retired = _retired(stored, before, now, overlap.get(stored.key.ssid, 0.0))
        place = retired and (retired.key.ssid, retired.key.site, retired.key.passphrase)
        if retired and place not in holders:
            after.setdefault(retired.key.id, retired)
    for key_id, old in before.items():
        if key_id not in after:
            after[key_id] = old if 0.0 < old.revoked <= now else replace(old, revoked=now)
    return after, tuple(conflicts)


def _retired(new: StoredKey, before: Mapping[str, StoredKey], now: float, overlap: float) -> StoredKey | None:
    """The previous passphrase of ``new``, everything else as it is now; None when none is good any more."""
    old = before.get(new.key.id)
    name = new.key.id + RETIRED
    if old is None or old.key.subscriber != new.key.subscriber or old.key.ssid != new.key.ssid:
        return None
    if old.key.passphrase != new.key.passphrase:
        if overlap <= 0.0 or 0.0 < old.revoked <= now:
            return None
        key = replace(new.key, id=name, passphrase=old.key.passphrase)
        return StoredKey(BILLING, key, old.pmk, old.created, now + overlap)
    still = before.get(name)
    if still is None or still.revoked <= now:
        return None
    return replace(still, key=replace(new.key, id=name, passphrase=still.key.passphrase))
