# SPDX-License-Identifier: Apache-2.0
"""The edge's own file as one side of the exchange: what changed in it, and what others say put into it. I/O.

Changes are noted by temporary triggers: an edge that shares nothing has none. All functions on a connection run on the
database's own thread, inside one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, NamedTuple

from edged.errors import UpstreamError
from edged.state.database import Database
from edged.state.keyrows import LOCAL, Taken
from edged.state.keys import KeyId, KeyStore
from edged.state.sealing import Seal
from edged.state.shared.merging import merge
from edged.state.shared.rows import KEY, KINDS, Kind, Row, Value, fits, named, parts_of, stamp_of
from edged.values import Secret

KEEP_GONE_S = 30 * 86400.0
"""How long an edge may be apart and still not bring back what was removed meanwhile."""
_DEVICE_FORGOTTEN_S = 89 * 86400.0
"""A device unseen for so long goes by itself, at every edge: that is nobody's word."""
_IDENTITY, _CURSOR = "shared.identity", "shared.cursor"


class Waiting(NamedTuple):
    """A row that others have not been told yet."""

    row: Row
    number: int
    """How often it has changed: an answer about an older one is not the last word."""


class Outgoing(NamedTuple):
    """What is to be sent next."""

    rows: list[Waiting]
    unsendable: int
    """Rows that were crossed off: too large for any edge to take, or keys that do not open here."""
    more: bool


@dataclass(slots=True)
class Applied:
    """What came of rows of others."""

    changed: list[Row] = field(default_factory=list)
    """As they stand here now, those alone that were otherwise before."""
    unsealed: int = 0
    """Keys that did not open: another ``state.shared_key``."""
    doubled: int = 0
    """Local keys revoked because another one, made elsewhere, has their passphrase."""


class Capture:
    """The tables of ``KINDS`` and the table ``exchanged``."""

    def __init__(self, database: Database, keys: KeyStore, seal: Seal | None, clock: Callable[[], float]) -> None:
        """``seal``: of ``state.shared_key``; None: local keys stay where they are made."""
        self._database = database
        self._keys = keys
        self._seal = seal
        self._clock = clock
        self.kinds = tuple(sorted(set(KINDS) - (set() if seal else {KEY})))

    async def open(self, changed: Callable[[], None]) -> None:
        """Note every change from now on. ``changed`` is called on the database's thread, before the commit."""

        def said() -> float:
            changed()
            return self._clock()

        def install(connection: sqlite3.Connection) -> None:
            connection.create_function("edged_changed", 0, said)
            connection.create_function("edged_name", -1, named)
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS applying (one INTEGER)")
            for kind in self.kinds:
                for trigger in _triggers(kind):
                    connection.execute(trigger)

        await self._database.run(install)

    async def cursor(self, identity: str) -> str:
        """How far this store was read; empty, with everything queued, when it is another one than before."""

        def look(connection: sqlite3.Connection) -> str:
            facts = dict(
                connection.execute(
                    "SELECT name, value FROM facts WHERE name IN (?, ?)", (_IDENTITY, _CURSOR)
                ).fetchall()
            )
            if facts.get(_IDENTITY) == identity:
                return str(facts.get(_CURSOR, ""))
            for kind in self.kinds:
                connection.execute(_queue_all(kind))
            connection.execute("UPDATE exchanged SET waits = 1, number = number + 1 WHERE waits = 0")
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?), (?, '')", (_IDENTITY, identity, _CURSOR))
            return ""

        return await self._database.run(look, write=True)

    async def forget(self) -> None:
        """The store knows less than it did: the next joining begins with everything."""
        await forget_sharing(self._database)

    async def waiting(self, limit: int) -> Outgoing:
        """The next rows to send; those that are there no more are crossed off."""

        def read(connection: sqlite3.Connection) -> Outgoing:
            marks = ", ".join("?" * len(self.kinds))
            found = connection.execute(
                f"SELECT kind, name, number FROM exchanged WHERE waits = 1 AND kind IN ({marks})"  # noqa: S608  # marks
                " ORDER BY kind, name LIMIT ?",
                (*self.kinds, limit),
            ).fetchall()
            rows, unsendable = [], 0
            for kind, name, number in found:
                try:
                    row, is_fit = self._read(connection, kind, name), True
                except UpstreamError:  # a key that does not open, a name without end: nobody could take it
                    row, is_fit = None, False
                if row is not None and fits(row):
                    rows.append(Waiting(row, number))
                    continue
                unsendable += row is not None or not is_fit
                connection.execute("DELETE FROM exchanged WHERE kind = ? AND name = ?", (kind, name))
            return Outgoing(rows, unsendable, more=len(found) == limit)

        return await self._database.run(read, write=True)

    async def count_waiting(self) -> int:
        """How many rows wait to be sent."""
        return int((await self._database.read("SELECT count(*) FROM exchanged WHERE waits = 1"))[0][0])

    async def settle(self, sent: Sequence[Waiting], merged: Sequence[Row]) -> Applied:
        """Others know ``sent`` now, and ``merged`` is what holds; what changed meanwhile goes on waiting."""

        def apply(connection: sqlite3.Connection) -> Applied:
            done = Applied()
            connection.execute("INSERT INTO applying VALUES (1)")
            for was, row in zip(sent, merged, strict=True):
                self._take(connection, row, done, was)
            connection.execute("DELETE FROM applying")
            self._part_doubles(connection, done)
            return done

        return await self._database.run(apply, write=True)

    async def take(self, rows: Iterable[Row], cursor: str) -> Applied:
        """Merge ``rows`` of others into ours; that, and how far we have read, in one transaction."""
        given = list(rows)

        def apply(connection: sqlite3.Connection) -> Applied:
            done = Applied()
            connection.execute("INSERT INTO applying VALUES (1)")
            for row in given:
                self._take(connection, row, done, None)
            connection.execute("DELETE FROM applying")
            self._part_doubles(connection, done)
            connection.execute("UPDATE facts SET value = ? WHERE name = ?", (cursor, _CURSOR))
            return done

        return await self._database.run(apply, write=True)

    async def prune(self) -> None:
        """Forget removals that everybody has heard of."""
        before = self._clock() - KEEP_GONE_S
        await self._database.write(("DELETE FROM exchanged WHERE gone = 1 AND waits = 0 AND changed < ?", (before,)))

    # ------------------------------------------------------------------------------------------------- rows

    def _take(self, connection: sqlite3.Connection, row: Row, done: Applied, was: Waiting | None) -> None:
        ours = self._read(connection, row.kind, row.name)
        if was is not None:
            crossed = connection.execute(
                "UPDATE exchanged SET waits = 0 WHERE kind = ? AND name = ? AND number = ?",
                (row.kind, row.name, was.number),
            ).rowcount
            result = row if crossed or ours is None else merge(ours, row)
        else:
            result = row if ours is None else merge(ours, row)
        if ours is None and result.gone and was is None and result.changed < self._clock() - KEEP_GONE_S:
            return
        if ours is None or not _same(result, ours):
            try:
                self._put(connection, result)
            except UpstreamError:
                done.unsealed += 1
                return
            done.changed.append(result)
        connection.execute(
            "DELETE FROM exchanged WHERE kind = ? AND name = ? AND waits = 0 AND gone = 0 AND kind != 'key'",
            (row.kind, row.name),
        )

    def _read(self, connection: sqlite3.Connection, name: str, row_name: str) -> Row | None:
        noted = connection.execute(
            "SELECT changed, marked, gone FROM exchanged WHERE kind = ? AND name = ?", (name, row_name)
        ).fetchone()
        if noted is not None and noted[2]:
            return Row(name, row_name, noted[0], {}, gone=True)
        kind = KINDS[name]
        columns = [c for c in kind.body if c != "marked"]
        found = connection.execute(
            f"SELECT {', '.join(columns) or '1'} FROM {kind.table} WHERE {_where(kind)}",  # noqa: S608  # our own text
            parts_of(kind, row_name),
        ).fetchone()
        if found is None:
            return None
        body: dict[str, Any] = dict(zip(columns, found, strict=False))
        if name != KEY:
            return Row(name, row_name, stamp_of(name, row_name, body), body)
        changed, marked = noted[:2] if noted is not None else (body["created"], 0.0)
        body["marked"] = marked or body["revoked"] or body["created"]
        (key_id,) = parts_of(kind, row_name)
        opened = self._keys.opened(body["passphrase"], KeyId(LOCAL, str(key_id)))
        body["passphrase"] = b64encode(self._shared.close(opened, _place(str(key_id), body))).decode()
        return Row(name, row_name, changed, body)

    def _put(self, connection: sqlite3.Connection, row: Row) -> None:
        kind = KINDS[row.kind]
        key = parts_of(kind, row.name)
        if row.gone:
            connection.execute(f"DELETE FROM {kind.table} WHERE {_where(kind)}", key)  # noqa: S608  # our own text
        elif row.kind == KEY:
            self._put_key(connection, row, str(key[0]))
        else:
            columns = (*kind.key, *kind.body)
            connection.execute(
                f"INSERT OR REPLACE INTO {kind.table} ({', '.join(columns)})"  # noqa: S608  # our own text
                f" VALUES ({', '.join('?' * len(columns))})",
                (*key, *(row.body[c] for c in kind.body)),
            )
        if row.gone or row.kind == KEY:
            connection.execute(_NOTE, (row.kind, row.name, row.changed, row.body.get("marked") or 0.0, int(row.gone)))
        else:
            connection.execute("UPDATE exchanged SET gone = 0 WHERE kind = ? AND name = ?", (row.kind, row.name))

    def _put_key(self, connection: sqlite3.Connection, row: Row, key_id: str) -> None:
        body = dict(row.body)
        passphrase = unsealed(self._shared, key_id, body)
        name = KeyId(LOCAL, key_id)
        had = connection.execute("SELECT passphrase, pmk, ssid FROM keys WHERE origin = 'local' AND id = ?", (key_id,))
        before = had.fetchone()
        pmk = None
        if before is not None and before[2] == body["ssid"] and self._keys.opened(before[0], name) == passphrase:
            pmk = before[1]
        columns = [c for c in KINDS[KEY].body if c not in {"marked", "passphrase"}]
        connection.execute(
            f"INSERT OR REPLACE INTO keys (origin, id, passphrase, pmk, {', '.join(columns)})"  # noqa: S608  # our own
            f" VALUES ('local', ?, ?, ?, {', '.join('?' * len(columns))})",
            (key_id, self._keys.sealed(passphrase, name), pmk, *(body[c] for c in columns)),
        )

    @property
    def _shared(self) -> Seal:
        if self._seal is None:
            raise UpstreamError("there is no state.shared_key")
        return self._seal

    def _part_doubles(self, connection: sqlite3.Connection, done: Applied) -> None:
        """Of two keys with one passphrase on one network, made while edges were apart, the elder keeps it."""
        if not any(row.kind == KEY for row in done.changed):
            return
        now = self._clock()
        local = [s for s in self._keys.read(connection) if s.origin == LOCAL and s.is_live(now)]
        taken = Taken((), now)
        for stored in sorted(local, key=lambda s: (s.created, s.key.id)):
            elder = taken.holder(stored)
            if elder is None:
                taken.take(stored)
                continue
            self._keys.put(connection, replace(stored, revoked=now))
            connection.execute(
                "INSERT INTO audit (at, who, action, subject, why) VALUES (?, 'edged', 'revoke key', ?, ?)",
                (now, stored.key.id, f"{elder.key.id}, made before it on another edge, has its passphrase"),
            )
            done.doubled += 1


def unsealed(seal: Seal, key_id: str, body: Mapping[str, Value]) -> Secret:
    """The passphrase of a key as edges exchange it. UpstreamError: it was sealed with another ``state.shared_key``."""
    try:
        sealed = b64decode(str(body["passphrase"]), validate=True)
    except ValueError as error:
        raise UpstreamError("a key that is not base64") from error
    return seal.open(sealed, _place(key_id, body))


def _same(one: Row, other: Row) -> bool:
    """True when nothing that is kept here differs. A passphrase is sealed anew each time: its word's moment tells."""
    if (one.gone, one.changed) != (other.gone, other.changed):
        return False
    if one.gone:
        return True
    own = [c for c in KINDS[one.kind].body if c != "passphrase"]
    return all(one.body[c] == other.body[c] for c in own)


def _place(key_id: str, body: Mapping[str, Value]) -> str:
    """What a passphrase is sealed for: who may write to the store cannot make it that of another network or VLAN."""
    bound = {column: body[column] for column in KINDS[KEY].body if column not in {"passphrase", "marked", "revoked"}}
    return f"shared.keys.passphrase:{sha256(json.dumps([key_id, bound], sort_keys=True).encode()).hexdigest()}"


def _where(kind: Kind) -> str:
    return " AND ".join(f"{column} = ?" for column in kind.key) + (
        " AND origin = 'local'" if kind.table == "keys" else ""
    )


_NOTE = (
    "INSERT INTO exchanged (kind, name, changed, marked, gone) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, name)"
    " DO UPDATE SET changed = excluded.changed, marked = excluded.marked, gone = excluded.gone"
)


def _triggers(name: str) -> list[str]:
    """Statements that make every change of ``name`` a row of ``exchanged``, unless it is one of others'.

    No upsert: within a trigger the conflict clause of the statement that fired it would take its place.
    """
    kind = KINDS[name]

    def trigger(event: str, which: str, gone: int = 0, when: str = "", marked: str = "marked") -> str:
        row_name = f"edged_name({', '.join(f'{which}.{column}' for column in kind.key)})"
        label = f"exchange_{name}_{event.split()[1].lower()}"
        return (
            f"CREATE TEMP TRIGGER {label} {event} ON main.{kind.table} WHEN NOT EXISTS (SELECT 1 FROM applying){when}"  # noqa: S608  # our own text
            f" BEGIN INSERT INTO exchanged (kind, name, changed) SELECT '{name}', {row_name}, 0"
            f" WHERE NOT EXISTS (SELECT 1 FROM exchanged WHERE kind = '{name}' AND name = {row_name});"
            f" UPDATE exchanged SET changed = max(changed, edged_changed()), marked = {marked}, gone = {gone},"
            f" waits = 1, number = number + 1 WHERE kind = '{name}' AND name = {row_name}; END"
        )

    if name == KEY:
        # before: what is replaced can still be compared. A PMK or another seal is no change of the key
        had = "(SELECT revoked FROM keys WHERE origin = 'local' AND id = NEW.id)"
        marked = f"iif({had} IS NEW.revoked, marked, edged_changed())"
        return [trigger("BEFORE INSERT", "NEW", when=" AND NEW.origin = 'local'", marked=marked)]
    made = [trigger("AFTER INSERT", "NEW")]
    if kind.body:
        made.append(trigger(f"AFTER UPDATE OF {', '.join(kind.body)}", "NEW"))
    if kind.forgettable:
        young = f" AND OLD.last_seen > edged_changed() - {_DEVICE_FORGOTTEN_S}" if name == "device" else ""
        made.append(trigger("AFTER DELETE", "OLD", 1, young))
    return made


def _queue_all(name: str) -> str:
    kind = KINDS[name]
    row_name = f"edged_name({', '.join(kind.key)})"
    stamp = "created" if name == KEY else "0"
    where = " WHERE origin = 'local'" if name == KEY else " WHERE true"
    return (
        f"INSERT INTO exchanged (kind, name, changed, waits) SELECT '{name}', {row_name}, {stamp}, 1"  # noqa: S608  # our own text
        f" FROM {kind.table}{where} ON CONFLICT (kind, name) DO UPDATE SET waits = 1, number = number + 1"
    )


async def forget_sharing(database: Database) -> None:
    """What changes while nothing is shared is not noted: the next joining begins with everything."""
    await database.write(("DELETE FROM facts WHERE name = ?", (_IDENTITY,)))
