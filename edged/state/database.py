# SPDX-License-Identifier: Apache-2.0
"""The SQLite file: one connection on one thread of its own, every change a transaction. I/O.

Numbered migrations run once each; a database of a newer edged is refused, never altered.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from edged.errors import ConfigError, UpstreamError

T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Sequence[Any]

FILE = "edged.sqlite"
"""Its name in ``state.directory``."""
_BUSY_MS = 5000
"""How long a write waits for another process (a backup) before it fails."""


class _Turn(Generic[T]):
    """A function that waits for the next transaction, and then what came of it."""

    __slots__ = ("error", "function", "result")

    def __init__(self, function: Callable[[sqlite3.Connection], T]) -> None:
        self.function = function
        self.result: T | None = None
        self.error: Exception | None = None


class Database:
    """The store of what edged learned. ``open`` raises ConfigError, every later failure is an UpstreamError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edged-database")
        self._connection: sqlite3.Connection | None = None
        self._turns: deque[_Turn[Any]] = deque()
        self.error = ""
        """What the latest statement failed with; empty: it did not."""

    async def open(self) -> Path | None:
        """Open or create the file and bring its schema up to date. ConfigError when it cannot be had.

        A file that is damaged is put aside and an empty one takes its place: what edged learned is worth less than
        that it serves. Then the path where the damaged one lies is returned.
        """
        try:
            try:
                await self._submit(self._open)
            except sqlite3.OperationalError:
                raise  # locked, full, not ours to write: the file itself is good
            except sqlite3.DatabaseError:
                return await self._submit(self._start_anew)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError.of(
                "state.directory", f"{self.path}: {error}", "a directory that edged may write"
            ) from error
        return None

    def _start_anew(self) -> Path:
        aside = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.path.rename(aside)
        self._open()
        return aside

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        if self._connection is not None:
            await self._submit(self._close)
        self._thread.shutdown(wait=True)

    async def read(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of one query."""
        return await self.run(lambda connection: connection.execute(sql, parameters).fetchall())

    async def write(self, *statements: tuple[str, Parameters]) -> None:
        """All statements in one transaction, durable on return, or none."""

        def apply(connection: sqlite3.Connection) -> None:
            for sql, parameters in statements:
                connection.execute(sql, parameters)

        await self.run(apply, write=True)

    async def write_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        """One statement for many rows, in one transaction."""
        materialised = list(rows)
        await self.run(lambda connection: connection.executemany(sql, materialised), write=True)

    async def run(self, function: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        """``function`` on the database thread; with ``write``, inside one immediate transaction."""
        if self._connection is None:
            raise UpstreamError("database: it is closed")
        try:
            result = await self._submit(lambda: self._run(function, write=write))
        except sqlite3.Error as error:
            self.error = str(error)
            raise UpstreamError(f"database: {error}") from error
        self.error = ""
        return result

    async def run_together(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """As ``run`` with ``write``, in one transaction with all that waits for the thread: they are durable at once.

        When one of them fails, each is tried again by itself: ``function`` does nothing but SQL.
        """
        if self._connection is None:
            raise UpstreamError("database: it is closed")
        turn = _Turn(function)
        self._turns.append(turn)
        await self._submit(self._take_turns)  # one before may have taken ours along: then nothing is left to do
        if isinstance(turn.error, sqlite3.Error):
            self.error = str(turn.error)
            raise UpstreamError(f"database: {turn.error}") from turn.error
        if turn.error is not None:
            raise turn.error
        self.error = ""
        return cast("T", turn.result)

    def _take_turns(self) -> None:
        turns = [self._turns.popleft() for _ in range(len(self._turns))]
        if len(turns) > 1:
            with suppress(Exception):  # whose fault it is shows when each runs by itself
                results = self._run(lambda connection: [turn.function(connection) for turn in turns], write=True)
                for turn, result in zip(turns, results, strict=True):
                    turn.result = result
                return
        for turn in turns:
            try:
                turn.result = self._run(turn.function, write=True)
            except Exception as error:  # noqa: BLE001  # raised where it is awaited
                turn.error = error

    async def _submit(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _run(self, function: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        connection = self._connection
        if connection is None:
            raise sqlite3.OperationalError("the database is closed")
        if not write:
            return function(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = function(connection)
            connection.execute("COMMIT")
        except BaseException:
            # on a full disk SQLite has rolled back by itself
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.path.touch(mode=0o600, exist_ok=True)
        # explicit transactions: Python's implicit ones commit around DDL
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.execute("PRAGMA journal_mode = WAL")
            # an accounting answer promises durability (RFC 2866, section 4.1): NORMAL would lose the last commits
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._migrate(connection)
            # a few milliseconds; a page that was overwritten shows here and not in the middle of the night
            _refuse_damage(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _migrate(self, connection: sqlite3.Connection) -> None:
        scripts = sorted(
            (p for p in files("edged.state").joinpath("migrations").iterdir() if p.name.endswith(".sql")),
            key=lambda p: p.name,
        )
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(scripts):
            raise ConfigError.of(
                "state.directory",
                f"{self.path} was written by a newer edged (schema {version})",
                f"schema {len(scripts)} or older; install that edged again, or restore an older copy",
            )
        for number, script in enumerate(scripts[version:], start=version + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script.read_text('utf-8')}\nPRAGMA user_version = {number};\nCOMMIT;"
            )


def _refuse_damage(connection: sqlite3.Connection) -> None:
    """sqlite3.DatabaseError unless every page is as it should be."""
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(str(said))
