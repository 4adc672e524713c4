# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: the one table that edges exchange rows in, by asyncpg. Every failure is an UpstreamError. I/O.

A row is locked, merged here and written back, so that an older edge keeps what a newer one added. Readers go by the
number of the transaction and stop before the oldest that is still open (``pg_snapshot_xmin``): no commit is missed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import asyncpg
from asyncpg.pgproto import pgproto

from edged.errors import UpstreamError
from edged.state.shared.merging import bounded, merge_stored
from edged.state.shared.presence import FRESH_S, connection_name, namesakes, present
from edged.state.shared.rows import KINDS, MOST_OCTETS, Row, received, spelt
from edged.state.shared.target import Target

SCHEMA = 1
"""Of the shared table, as this edged writes it."""
CONNECT_S, COMMAND_S = 5.0, 10.0
LOCK_S, HELD_S = 5.0, 15.0
"""How long the server waits for a lock of another edge, and for the next word of one that has begun to write: what is
begun and not ended holds every reader up, and a way that is cut says nothing."""
BATCH = 200
_PIECE = 25
"""Rows that are looked at before others have their turn: some three milliseconds."""
EVERYWHERE = "*"
_LOCK = 0x65646765
_TABLES = """
CREATE TABLE edged_meta (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema   integer NOT NULL,
    writable integer NOT NULL,
    id       text NOT NULL DEFAULT gen_random_uuid()::text
);
INSERT INTO edged_meta (schema, writable) VALUES (1, 1);
CREATE TABLE edged_rows (
    scope   text COLLATE "C" NOT NULL CHECK (octet_length(scope) <= 100),
    kind    text COLLATE "C" NOT NULL CHECK (octet_length(kind) <= 50),
    name    text COLLATE "C" NOT NULL CHECK (octet_length(name) <= 1000),
    body    json NOT NULL,
    changed double precision NOT NULL,
    gone    boolean NOT NULL,
    edge    text NOT NULL,
    tx      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (scope, kind, name)
);
CREATE INDEX edged_rows_tx ON edged_rows (tx, scope, kind, name);
CREATE INDEX edged_rows_changed ON edged_rows (kind, changed);
"""
_META = "SELECT schema, coalesce(writable::integer, 0) AS writable FROM edged_meta"
# a cluster that was put back to an earlier moment, or whose standby took over, goes on in another timeline; a table
# that was made anew from a dump, or emptied for one, has another file
_IDENTITY = """
SELECT format('%s %s/%s %s', (SELECT id FROM edged_meta), (SELECT system_identifier FROM pg_control_system()),
    (SELECT timeline_id FROM pg_control_checkpoint()), pg_relation_filenode('edged_rows'))"""
# a dump that was put into another cluster brings numbers of transactions that are still to come there
_FROM_ELSEWHERE = "SELECT EXISTS (SELECT 1 FROM edged_rows WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()))"
_PUSH = f"""
INSERT INTO edged_rows AS old (scope, kind, name, body, changed, gone, edge)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::float8[], $6::bool[], $7::text[])
    AS new (scope, kind, name, body, changed, gone, edge) ORDER BY scope, kind, name
ON CONFLICT (scope, kind, name) DO UPDATE SET edge = old.edge
RETURNING scope, kind, name, changed, gone, xmax = 0 AS fresh,
    CASE WHEN octet_length(body::text) <= {MOST_OCTETS} THEN body::text END AS body
"""  # noqa: S608  # our own number
_REPLACE = """
UPDATE edged_rows SET body = new.body, changed = new.changed, gone = new.gone, edge = new.edge,
    tx = pg_current_xact_id()
FROM unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::float8[], $6::bool[], $7::text[])
    AS new (scope, kind, name, body, changed, gone, edge)
WHERE edged_rows.scope = new.scope AND edged_rows.kind = new.kind AND edged_rows.name = new.name
"""
_PULL = f"""
SELECT scope::text, kind::text, name::text, changed::float8, gone::boolean, tx::text AS tx,
    CASE WHEN octet_length(body::text) <= {MOST_OCTETS} THEN body::text END AS body,
    extract(epoch FROM clock_timestamp())::float8 AS clock
FROM edged_rows
WHERE scope = ANY($1::text[]) AND kind = ANY($2::text[])
    AND (tx, scope, kind, name) > ($3::text::xid8, $4::text COLLATE "C", $5::text COLLATE "C", $6::text COLLATE "C")
    AND tx < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY tx, scope, kind, name LIMIT {BATCH}
"""  # noqa: S608  # our own numbers
_PRUNE = """
DELETE FROM edged_rows WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM edged_rows WHERE kind = $1 AND changed < $2 AND (gone OR NOT $3) LIMIT 5000))
"""


CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
_BEGIN = """
SELECT extract(epoch FROM clock_timestamp())::float8
FROM (SELECT count(set_config(name, value, true)) FROM unnest($1::text[], $2::text[]) AS each (name, value)) AS bounds
"""
PRESENT = f"""
SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND application_name LIKE 'edged %' AND state_change > clock_timestamp() - interval '{FRESH_S} s' LIMIT 1000
"""  # noqa: S608  # our own number


class TooOldError(UpstreamError):
    """The shared store was brought up to date by a newer edged that this one must not write beside."""


class _Placed(NamedTuple):
    """A row and where it stands in the table."""

    place: tuple[str, str, str]
    """Scope, kind, name."""
    body: str
    row: Row


@dataclass(frozen=True, slots=True)
class Pulled:
    """What others wrote since the last time."""

    rows: tuple[Row, ...]
    refused: int
    """Rows that no edged would write."""
    cursor: str
    more: bool


class SharedClient:
    """One connection. What it raises says nothing of the password."""

    def __init__(self, target: Target, *, edge: str, group: str, mark: str = "") -> None:
        """``mark``: of ``state.shared_key``; others see it in the name of the connection."""
        self._target = target
        self._edge = edge
        self._scopes = (EVERYWHERE, f"group:{group}")
        self._instance = secrets.token_hex(8)
        """Tells our own notifications from those of others, who may have our name."""
        self._name = connection_name(edge, self._instance, mark)
        self._identity = ""
        self._open: Any = None

    async def connect(self, heard: Callable[[], None]) -> str:
        """Connect, bring the schema up to date, listen; which store this is. ``heard``: another edge has written."""
        await self.close()
        async with failures():
            self._open = await dial(self._target, self._name)
            identity = await self._prepare()
            for scope in self._scopes:
                await self._connection.add_listener(_channel(scope), lambda *said: self._hear(said[-1], heard))
        self._connection.add_termination_listener(lambda _: heard())
        return identity

    @property
    def _connection(self) -> Any:
        if self._open is None:
            raise UpstreamError("the shared store: not connected")
        return self._open

    def _hear(self, instance: object, heard: Callable[[], None]) -> None:
        if instance != self._instance:
            heard()

    async def _prepare(self) -> str:
        async with self._connection.transaction():
            await self._begin()
            if await self._connection.fetchval("SHOW server_encoding") == "SQL_ASCII":
                raise UpstreamError("the shared store: its database has the encoding SQL_ASCII; make it with UTF8")
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await self._connection.fetchval("SELECT to_regclass('edged_meta') IS NULL"):
                await self._connection.execute(_TABLES)
            meta = await self._connection.fetchrow(_META)
            if meta is None:
                raise UpstreamError("the shared store has no line in edged_meta")
            if meta["writable"] > SCHEMA:
                raise TooOldError(f"the shared store has schema {meta['schema']}; this edged writes {SCHEMA}")
            if await self._connection.fetchval(_FROM_ELSEWHERE):
                await self._connection.execute("UPDATE edged_rows SET tx = pg_current_xact_id()")
                await self._connection.execute("UPDATE edged_meta SET id = gen_random_uuid()::text")
            self._identity = str(await self._connection.fetchval(_IDENTITY))
        return self._identity

    async def look(self) -> tuple[float, int]:
        """Seconds by which our clock is ahead of the server's, and how many other edges there have our name.

        UpstreamError: it is not the store any more that it was when we connected.
        """
        async with failures():
            if await self._connection.fetchval(_IDENTITY) != self._identity:
                raise UpstreamError("the shared store: it was put back to an earlier state, or made anew")
            begun = time.time()
            clock = await self._connection.fetchval(CLOCK)
            ahead = (begun + time.time()) / 2 - clock
            names = await self._connection.fetch(PRESENT)
        others = [each for each in present(row[0] for row in names) if each.instance != self._instance[:8]]
        return ahead, namesakes(others, self._edge)

    async def _begin(self) -> float:
        """Bound what this transaction may hold up; the server's clock. Not at the start: a pooler refuses it there."""
        settings = [("lock_timeout", LOCK_S), ("idle_in_transaction_session_timeout", HELD_S)]
        names, values = zip(*((name, f"{seconds * 1000:.0f}") for name, seconds in settings), strict=True)
        clock: float = await self._connection.fetchval(_BEGIN, names, values)
        return clock

    async def is_behind(self, cursor: str) -> bool:
        """True when the store has never been as far as ``cursor``: it was put back to an earlier state."""
        async with failures():
            place = _place(cursor)[0]
            return bool(
                await self._connection.fetchval(
                    "SELECT $1::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot())", place
                )
            )

    async def push(self, rows: Sequence[Row]) -> list[Row]:
        """Merge ``rows`` into the store, all or none; what holds now, in their order."""
        async with failures(), self._connection.transaction():
            now = await self._begin()
            ours = [self._placed(bounded(row, now)) for row in rows]
            merged = {each.place: each for each in ours}
            changed = []
            for number, old in enumerate(await self._connection.fetch(_PUSH, *self._columns(ours))):
                await _breathe(number)
                place = (old["scope"], old["kind"], old["name"])
                if old["fresh"]:
                    continue
                merged[place] = each = self._placed(_merged(merged[place].row, old, now))
                if (each.body, each.row.changed, each.row.gone) != (old["body"], old["changed"], old["gone"]):
                    changed.append(each)
            await self._connection.execute(_REPLACE, *self._columns(changed))
            # nobody is woken for what is not for them
            for scope in sorted({each.place[0] for each in ours}):
                await self._connection.execute("SELECT pg_notify($1, $2)", _channel(scope), self._instance)
        return [merged[each.place].row for each in ours]

    async def pull(self, cursor: str, kinds: Sequence[str]) -> Pulled:
        """The next rows behind ``cursor``; empty: from the beginning."""
        async with failures():
            found = await self._connection.fetch(_PULL, list(self._scopes), list(kinds), *_place(cursor))
        rows, refused = [], 0
        for number, each in enumerate(found):
            await _breathe(number)
            try:
                rows.append(_received(each, each["clock"]))
            except UpstreamError:
                refused += 1
        if found:
            last = found[-1]
            cursor = json.dumps((last["tx"], last["scope"], last["kind"], last["name"]))
        return Pulled(tuple(rows), refused, cursor, more=len(found) == BATCH)

    async def prune(self, keep: dict[str, float], gone: float) -> None:
        """Forget what is older than ``keep`` says of its kind, and removals older than ``gone``; both in seconds."""
        async with failures():
            now = await self._connection.fetchval(CLOCK)
            for kind, seconds in keep.items():
                await self._connection.execute(_PRUNE, kind, now - seconds, False)  # noqa: FBT003  # the third of SQL
            for kind in (name for name, each in KINDS.items() if each.forgettable):
                await self._connection.execute(_PRUNE, kind, now - gone, True)  # noqa: FBT003  # the same

    async def close(self) -> None:
        """Leave; never waits long."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.terminate()

    def _placed(self, row: Row) -> _Placed:
        name, body = spelt(row)
        return _Placed((self._scopes[0 if KINDS[row.kind].everywhere else 1], row.kind, name), body, row)

    def _columns(self, rows: Sequence[_Placed]) -> list[list[Any]]:
        ordered = sorted(rows, key=lambda each: each.place)
        return [
            *([each.place[part] for each in ordered] for part in range(3)), [each.body for each in ordered],
            [each.row.changed for each in ordered], [each.row.gone for each in ordered], [self._edge] * len(ordered),
        ]  # fmt: skip


async def _breathe(number: int) -> None:
    """Between rows: whoever asks a room meanwhile is answered."""
    if number % _PIECE == _PIECE - 1:
        await asyncio.sleep(0)


def _merged(ours: Row, old: Any, now: float) -> Row:
    try:
        return merge_stored(ours, _received(old, now))
    except UpstreamError:
        return ours  # what no edged wrote gives way


def _received(row: Any, now: float) -> Row:
    """The row that stands there. UpstreamError: no edged wrote it, or it is from ahead of the clock that all share."""
    found = received(row["kind"], row["name"], row["body"], row["changed"], gone=bool(row["gone"]))
    if bounded(found, now) is not found:
        raise UpstreamError(f"a row of kind {found.kind} is from {found.changed - now:.0f} s ahead")
    return found


def _channel(scope: str) -> str:
    """Of NOTIFY, for all who read ``scope``; an identifier has 63 octets at most."""
    return f"edged_{sha256(scope.encode()).hexdigest()[:32]}"


def _place(cursor: str) -> tuple[str, ...]:
    return tuple(json.loads(cursor)) if cursor else ("0", "", "", "")


async def dial(target: Target, name: str) -> Any:
    """A connection that says ``name``; to be called within ``failures``."""
    tls: dict[str, Any] = {}
    if target.verifies:
        try:
            tls["ssl"] = ssl.create_default_context(cafile=target.authorities or None)
        except OSError as error:
            raise UpstreamError(f"the shared store: sslrootcert={target.authorities}: {error.strerror}") from error
    try:
        return await asyncpg.connect(
            target.url, password=target.password.reveal_text() if target.password else None,
            timeout=CONNECT_S, command_timeout=COMMAND_S, statement_cache_size=0,
            server_settings={"application_name": name}, **tls,
        )  # fmt: skip
    except _FAILURES:
        raise  # some of them are ValueErrors, too
    except (AttributeError, LookupError, ValueError) as error:  # of asyncpg, in a greeting that is none
        raise UpstreamError("the shared store: what answers there is no PostgreSQL") from error


# the last two: octets that are not what they are said to be
_FAILURES = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError,
    pgproto.BufferError, UnicodeError,
)  # fmt: skip


@asynccontextmanager
async def failures() -> AsyncIterator[None]:
    """Everything that PostgreSQL and the way to it may raise, as an UpstreamError."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise UpstreamError(f"the shared store: its certificate is not believed: {error.verify_message}") from error
    except _FAILURES as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UpstreamError(f"the shared store: {said}") from error
