# SPDX-License-Identifier: Apache-2.0
"""What befell a line, in the database: read back as one life, never older or longer than the settings say."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from edged.errors import UpstreamError
from edged.state.database import FILE, Database
from edged.state.life import SHOWN, Deed, Entry, LifeStore, life_in, life_of
from edged.state.overrides import AuditRow, OverrideStore
from edged.state.settings import LifeSettings

NOW = 1_800_000_000.0
KEY = (
    "INSERT INTO keys (origin, id, ssid, site, subscriber, label, passphrase, devices, not_before, expires, created,"
    " revoked) VALUES (?, ?, 'Residence', '', ?, '', x'00', '', 0, 0, ?, ?)"
)
DEVICE = "INSERT INTO devices (ssid, mac, origin, key, first_seen, last_seen) VALUES ('Residence', ?, ?, ?, ?, ?)"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / FILE)
    await opened.open()
    yield opened
    await opened.close()


def deed(at: float, subscriber: str = "20417", what: str = "blocked") -> Deed:
    return Deed(at, subscriber, what, "billing", "unpaid")


async def said(database: Database, subject: str = "20417", since: float = 0.0) -> list[tuple[float, str, str]]:
    entries = await database.run(lambda connection: life_of(connection, subject, since))
    return [(entry.at - NOW, entry.what, entry.subject) for entry in entries]


async def test_a_life_is_told_in_order_wherever_its_lines_are_kept(database: Database) -> None:
    store = LifeStore(database, LifeSettings())
    await store.add([deed(NOW), Deed(NOW + 50, "20417", "restored", "edged", seconds=11.0)], NOW)
    await store.add([deed(NOW + 1, "20881")], NOW)
    await OverrideStore(database).note(
        AuditRow(NOW + 20, "desk", "unblock (promise)", "20417", "pays on Friday"),
        AuditRow(NOW + 30, "desk", "rotate key", "k-1", ""),
        AuditRow(NOW + 31, "desk", "rotate key", "k-9", ""),
    )
    await database.write(
        (KEY, ("billing", "k-1", "20417", NOW + 10, NOW + 40)),
        (KEY, ("local", "local-1", "20417", NOW + 11, None)),
        (KEY, ("billing", "k-9", "20881", NOW + 12, None)),
        (DEVICE, ("02:00:5e:10:00:09", "billing", "k-1", NOW + 15, NOW + 16)),
    )

    assert await said(database) == [
        (0, "blocked", "20417"),
        (10, "key made", "k-1"),
        (15, "first use of the key", "k-1"),
        (20, "unblock (promise)", "20417"),
        (30, "rotate key", "k-1"),
        (40, "key ended", "k-1"),
        (50, "restored", "20417"),
    ]
    assert await said(database, since=NOW + 30) == [
        (30, "rotate key", "k-1"), (40, "key ended", "k-1"), (50, "restored", "20417")
    ]  # fmt: skip
    assert await said(database, "k-9") == [(31, "rotate key", "k-9")]


async def test_keys_of_nobody_are_nobodys_life(database: Database) -> None:
    await database.write((KEY, ("billing", "k-1", "", NOW, None)))

    assert await said(database, "") == []


async def test_what_is_too_old_and_what_is_too_much_goes_as_another_comes(database: Database) -> None:
    store = LifeStore(database, LifeSettings.model_validate({"keep": "1d", "rows": 100}))
    await store.add([deed(NOW - 90_000), deed(NOW - 80_000)], NOW - 79_000)
    await store.add([deed(NOW)], NOW)
    assert await said(database) == [(-80_000, "blocked", "20417"), (0, "blocked", "20417")]

    await store.add([deed(NOW + index, "20881") for index in range(150)], NOW + 150)

    ((count,),) = await database.read("SELECT count(*) FROM life")
    assert count == 100
    assert await said(database) == []
    assert (await said(database, "20881"))[0] == (50, "blocked", "20881")


async def test_a_keep_of_nothing_keeps_nothing(database: Database) -> None:
    store = LifeStore(database, LifeSettings.model_validate({"keep": "0s"}))

    await store.add([deed(NOW)], NOW + 1)

    assert await said(database) == []


async def test_of_a_long_life_the_newest_lines_are_told_and_one_more_says_that_there_are_others(
    database: Database,
) -> None:
    store = LifeStore(database, LifeSettings())
    await store.add([deed(NOW + index) for index in range(SHOWN + 500)], NOW)
    await OverrideStore(database).note(AuditRow(NOW + SHOWN + 500, "desk", "block", "20417", "ticket 4471"))

    found = await store.of("20417", 0.0)

    assert len(found) == SHOWN + 1
    assert found[-1] == Entry(NOW + SHOWN + 500, "block", "desk", "ticket 4471", "20417")


async def test_the_file_of_a_daemon_that_does_not_run_is_read_and_not_written(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE)
    await database.open()
    await LifeStore(database, LifeSettings()).add([deed(NOW)], NOW)
    await database.close()
    before = (tmp_path / FILE).read_bytes()

    assert life_in(tmp_path / FILE, "20417", 0.0) == [Entry(NOW, "blocked", "billing", "unpaid", "20417")]

    assert (tmp_path / FILE).read_bytes() == before


async def test_a_file_that_is_not_there_or_no_database_is_another_systems_fault(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError):
        life_in(tmp_path / FILE, "20417", 0.0)
    assert not (tmp_path / FILE).exists()

    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(UpstreamError):
        life_in(tmp_path / FILE, "20417", 0.0)


async def test_a_database_of_before_gets_the_table_and_keeps_what_it_had(tmp_path: Path) -> None:
    first = Database(tmp_path / FILE)
    await first.open()
    await OverrideStore(first).note(AuditRow(NOW, "desk", "block", "20417", "ticket 4471"))
    await first.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as older:
        older.executescript(
            "DROP TABLE life; DROP TABLE exchanged; ALTER TABLE outbox DROP COLUMN edge; PRAGMA user_version = 9;"
        )

    again = Database(tmp_path / FILE)
    await again.open()
    assert await said(again) == [(0, "block", "20417")]
    await again.close()
