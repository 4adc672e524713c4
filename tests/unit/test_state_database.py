# SPDX-License-Identifier: Apache-2.0
"""The SQLite file itself: migrations, transactions, other processes at the lock, and files that are no database."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edged.errors import ConfigError, UpstreamError
from edged.state.database import Database

INSERT = "INSERT INTO facts (name, value) VALUES (?, ?)"
NOBODY = 65534


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "edged.sqlite")
    await opened.open()
    yield opened
    await opened.close()


async def names(database: Database) -> list[str]:
    return [row[0] for row in await database.read("SELECT name FROM facts ORDER BY name")]


async def refusal(path: Path) -> str:
    """What ``open`` says; it must be exactly one problem of the operator's."""
    database = Database(path)
    try:
        with pytest.raises(ConfigError) as raised:
            await database.open()
    finally:
        await database.close()
    (problem,) = raised.value.problems
    assert problem.key == "state.directory"
    return f"{problem.found}; expected {problem.expected}"


@contextmanager
def another_process_writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the write lock until a line is sent to it, as a backup or a second edged would."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
        "print('held', flush=True); sys.stdin.readline(); c.execute('ROLLBACK')"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write anywhere; these lines run as somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# --- migrations ------------------------------------------------------------------------------------


async def test_migrations_run_once_and_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    versions, kept = [], []
    for name in ("first", "second"):
        database = Database(tmp_path / "edged.sqlite")
        await database.open()
        await database.write((INSERT, (name, "")))
        versions.append(await database.read("PRAGMA user_version"))
        kept = await names(database)
        await database.close()

    assert kept == ["first", "second"]
    assert versions[0] == versions[1] != [(0,)]


async def test_a_database_of_a_newer_edged_is_refused_with_one_sentence_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "edged.sqlite"
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 999")
        newer.execute("CREATE TABLE of_the_future (x)")

    said = await refusal(path)

    assert "was written by a newer edged (schema 999)" in said
    with closing(sqlite3.connect(path)) as untouched:
        assert untouched.execute("SELECT name FROM sqlite_master").fetchall() == [("of_the_future",)]


async def test_the_file_is_its_owners_alone(database: Database) -> None:
    await database.write((INSERT, ("a", "b")))

    files = {file.name: file.stat().st_mode & 0o777 for file in database.path.parent.iterdir()}

    assert files["edged.sqlite"] == 0o600
    assert set(files.values()) == {0o600}, "the write-ahead log holds the same rows"


# --- transactions ----------------------------------------------------------------------------------


async def test_a_failed_transaction_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(UpstreamError, match="UNIQUE"):
        await database.write((INSERT, ("a", "1")), (INSERT, ("b", "2")), (INSERT, ("a", "3")))

    assert await names(database) == []
    await database.write((INSERT, ("c", "4")))
    assert await names(database) == ["c"]


async def test_a_bug_in_a_transaction_comes_out_as_it_is_and_leaves_nothing(database: Database) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute(INSERT, ("a", "1"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(broken, write=True)

    assert await names(database) == []


async def test_a_transaction_that_fails_only_at_its_end_leaves_nothing_and_the_next_one_works(
    database: Database,
) -> None:
    await database.write(
        ("CREATE TEMP TABLE parent (id INTEGER PRIMARY KEY)", ()),
        ("CREATE TEMP TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)", ()),
    )

    with pytest.raises(UpstreamError, match="FOREIGN KEY"):
        await database.write((INSERT, ("a", "1")), ("INSERT INTO child VALUES (7)", ()))

    assert await names(database) == []
    await database.write((INSERT, ("b", "2")))
    assert await names(database) == ["b"]


async def test_a_full_disk_is_said_to_be_full_and_leaves_nothing(database: Database) -> None:
    def no_more_pages(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await database.run(no_more_pages)

    with pytest.raises(UpstreamError, match="full"):
        await database.write_many(INSERT, [(f"{i}", "x" * 4000) for i in range(50)])

    assert await names(database) == []


async def test_transactions_asked_for_at_once_follow_one_another(database: Database) -> None:
    def one_more(connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT value FROM facts WHERE name = 'count'").fetchone()
        count = 1 + (int(row[0]) if row else 0)
        connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('count', ?)", (str(count),))

    await asyncio.gather(*(database.run(one_more, write=True) for _ in range(50)))

    assert await database.read("SELECT value FROM facts") == [("50",)]


# --- another process at the same file --------------------------------------------------------------


async def test_a_write_waits_for_another_process_that_holds_the_lock(database: Database) -> None:
    with another_process_writing(database.path) as holder:
        writing = asyncio.create_task(database.write((INSERT, ("a", "1"))))
        await asyncio.sleep(0.1)
        assert not writing.done()
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        await writing

    assert await names(database) == ["a"]


async def test_a_write_that_waited_long_enough_for_another_process_fails_and_can_be_tried_again(
    database: Database,
) -> None:
    await database.run(lambda connection: connection.execute("PRAGMA busy_timeout = 50"))
    with another_process_writing(database.path):
        with pytest.raises(UpstreamError, match="locked"):
            await database.write((INSERT, ("a", "1")))
        assert await names(database) == [], "reading needs no lock"

    await database.write((INSERT, ("a", "2")))
    assert await names(database) == ["a"]


# --- what is no database ---------------------------------------------------------------------------


async def test_a_directory_that_may_not_be_written_is_the_operators_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)

    with without_privileges():
        said = await refusal(Path("state/edged.sqlite"))

    assert "Permission denied" in said
    assert said.endswith("expected a directory that edged may write")
    assert not list((tmp_path / "state").iterdir())


async def test_a_directory_that_is_a_file_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")

    assert "expected a directory that edged may write" in await refusal(tmp_path / "state" / "edged.sqlite")


@pytest.mark.parametrize("octets", [100, 4096, 65536])
async def test_a_file_of_random_octets_is_put_aside_unaltered_and_an_empty_database_takes_its_place(
    octets: int, tmp_path: Path
) -> None:
    path = tmp_path / "edged.sqlite"
    rubbish = random.Random(octets).randbytes(octets)
    path.write_bytes(rubbish)
    database = Database(path)

    aside = await database.open()

    assert aside is not None
    assert aside.read_bytes() == rubbish
    assert await names(database) == []
    await database.write((INSERT, ("a", "1")))
    await database.close()
    assert await Database(path).open() is None, "the next start finds a good one"


async def test_a_database_with_a_damaged_page_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "edged.sqlite"
    database = Database(path)
    await database.open()
    await database.write((INSERT, ("a", "1")))
    await database.close()
    # the header stays, the page of the schema does not
    path.write_bytes(path.read_bytes()[:100] + random.Random(1).randbytes(path.stat().st_size - 100))
    again = Database(path)

    aside = await again.open()

    assert aside is not None
    assert aside.parent == tmp_path
    assert await names(again) == []
    await again.close()


async def test_a_good_database_is_never_put_aside_because_another_process_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "edged.sqlite"
    database = Database(path)
    await database.open()
    await database.write((INSERT, ("a", "1")))
    await database.close()

    with another_process_writing(path):
        second = Database(path)
        assert await second.open() is None
        assert await names(second) == ["a"]
        await second.close()


# --- the end ---------------------------------------------------------------------------------------


async def test_closing_twice_is_closing_once_and_a_question_after_it_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    await database.close()
    await database.close()

    with pytest.raises(UpstreamError, match="closed"):
        await database.read("SELECT 1")
    with pytest.raises(UpstreamError, match="closed"):
        await database.write((INSERT, ("a", "1")))


async def test_closing_what_never_opened_is_nothing(tmp_path: Path) -> None:
    await Database(tmp_path / "edged.sqlite").close()

    assert not list(tmp_path.iterdir())


async def test_what_was_asked_before_the_end_is_done_before_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    writing = asyncio.create_task(database.write((INSERT, ("a", "1"))))
    await asyncio.sleep(0)
    await database.close()
    await writing

    with closing(sqlite3.connect(tmp_path / "edged.sqlite")) as reopened:
        assert reopened.execute("SELECT name FROM facts").fetchall() == [("a",)]


# ------------------------------------------------------------------------------------------- many at a time


async def test_what_waits_together_is_one_transaction_and_each_gets_its_own_result(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    connection = database._connection
    assert connection is not None
    statements: list[str] = []
    connection.set_trace_callback(statements.append)

    def kept(number: int) -> Callable[[sqlite3.Connection], int]:
        def put(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO things VALUES (?)", (number,))
            return number

        return put

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(database.run_together(kept(number))) for number in range(50)]

    assert [task.result() for task in tasks] == list(range(50))
    assert sum(statement == "COMMIT" for statement in statements) < 10
    assert len(await database.read("SELECT * FROM things")) == 50
    await database.close()


async def test_one_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    database = await opened(tmp_path)

    def kept(number: int) -> Callable[[sqlite3.Connection], None]:
        def put(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO things VALUES (?)", (number,))
            if number == 3:
                connection.execute("INSERT INTO nowhere VALUES (1)")
            if number == 4:
                raise ValueError("a bug")

        return put

    found = await asyncio.gather(*(database.run_together(kept(number)) for number in range(8)), return_exceptions=True)

    assert [type(one).__name__ for one in found] == [
        "NoneType", "NoneType", "NoneType", "UpstreamError", "ValueError", "NoneType", "NoneType", "NoneType",
    ]  # fmt: skip
    rows = await database.read("SELECT number FROM things ORDER BY number")
    assert [number for (number,) in rows] == [0, 1, 2, 5, 6, 7]
    await database.close()
    with pytest.raises(UpstreamError, match="closed"):
        await database.run_together(kept(9))


async def test_nobody_is_told_before_the_transaction_is_durable(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    told: list[int] = []

    async def keep(number: int) -> None:
        await database.run_together(
            lambda connection: connection.execute("INSERT INTO things VALUES (?)", (number,)).rowcount
        )
        told.append(number)
        with sqlite3.connect(database.path) as another:  # another connection sees what is committed alone
            (count,) = another.execute("SELECT count(*) FROM things WHERE number = ?", (number,)).fetchone()
        another.close()
        assert count == 1

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(keep(number))
    assert len(told) == 20
    await database.close()


async def opened(folder: Path) -> Database:
    database = Database(folder / "edged.sqlite")
    await database.open()
    await database.write(("CREATE TABLE things (number INTEGER)", ()))
    return database
