# SPDX-License-Identifier: Apache-2.0
"""Operators' words, passes and the audit of both, on a real SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edged.errors import UpstreamError
from edged.policy.access import Override
from edged.state.database import Database
from edged.state.overrides import AuditRow, Kind, OverrideStore

NOW = 1_800_000_000.0
BLOCK = Override("1001", blocked=True, until=NOW + 60, why="ticket 4471", who="noc", at=NOW)
UNBLOCK = Override("1002", blocked=False, until=NOW + 3600, why="promise to pay", who="desk", at=NOW + 1)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "edged.sqlite")
    await opened.open()
    # another process at the lock is met at once
    await opened.run(lambda connection: connection.execute("PRAGMA busy_timeout = 20"))
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> OverrideStore:
    return OverrideStore(database)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Somebody else holds the write lock: nothing can be saved."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def trail(store: OverrideStore, subject: str) -> list[tuple[str, str, str]]:
    return [(row.action, row.who, row.why) for row in await store.recent(subject)]


# --- overrides -------------------------------------------------------------------------------------


async def test_a_word_is_in_force_until_its_end_and_not_a_moment_longer(store: OverrideStore) -> None:
    await store.put(BLOCK)
    await store.put(UNBLOCK)

    assert await store.alive(NOW) == {"1001": BLOCK, "1002": UNBLOCK}
    assert await store.alive(NOW + 59.9) == {"1001": BLOCK, "1002": UNBLOCK}
    assert await store.alive(NOW + 60) == {"1002": UNBLOCK}
    assert await store.alive(NOW + 3600) == {}


async def test_the_last_word_on_a_subscriber_is_the_one_in_force(store: OverrideStore) -> None:
    later = replace(BLOCK, blocked=False, until=NOW + 30, why="it was a mistake", at=NOW + 5)
    await store.put(BLOCK)
    await store.put(later)

    assert await store.alive(NOW + 5) == {"1001": later}
    assert await store.alive(NOW + 45) == {}, "the first word does not come back"


async def test_a_word_that_is_taken_back_leaves_billings_and_a_line_in_the_audit(store: OverrideStore) -> None:
    await store.put(BLOCK)
    await store.put(UNBLOCK)

    await store.end("1001", who="noc", why="solved", at=NOW + 10)

    assert await store.alive(NOW + 10) == {"1002": UNBLOCK}
    assert await trail(store, "1001") == [("end override", "noc", "solved"), ("block", "noc", "ticket 4471")]


async def test_taking_back_a_word_that_nobody_said_changes_nothing(store: OverrideStore) -> None:
    await store.put(BLOCK)

    await store.end("nobody", who="noc", why="", at=NOW)

    assert await store.alive(NOW) == {"1001": BLOCK}


async def test_any_text_of_an_operator_is_kept_as_it_was_said(store: OverrideStore) -> None:
    odd = Override("'; DROP TABLE audit; --", blocked=True, until=NOW + 1, why="Zoë: «no» \n\u202e", who="Ω", at=NOW)

    await store.put(odd)

    assert await store.alive(NOW) == {odd.subscriber: odd}
    assert await trail(store, odd.subscriber) == [("block", "Ω", odd.why)]


async def test_a_word_keeps_its_kind_and_an_opening_is_a_promise_unless_said(store: OverrideStore) -> None:
    await store.put(BLOCK)
    await store.put(UNBLOCK)
    await store.put(replace(UNBLOCK, subscriber="1003"), Kind.EXEMPTION)

    await store.alive(NOW)

    assert store.kinds == {"1001": Kind.BLOCK, "1002": Kind.PROMISE, "1003": Kind.EXEMPTION}


async def test_a_word_that_ended_is_noted_once_with_its_kind_and_its_end(store: OverrideStore) -> None:
    await store.put(UNBLOCK, Kind.EXEMPTION)

    with capture_logs() as logged:
        for later in (3599.0, 3600.0, 3601.0, 7200.0):
            await store.alive(NOW + later)

    assert [(e["event"], e["subject"], e["kind"]) for e in logged] == [("override-ended", "1002", "exemption")]
    assert await store.recent("1002") == [
        AuditRow(NOW + 3600, "edged", "ended", "1002", "exemption: promise to pay"),
        AuditRow(NOW + 1, "desk", "unblock (exemption)", "1002", "promise to pay"),
    ]


async def test_the_end_of_one_word_is_not_noted_again_with_the_end_of_another(store: OverrideStore) -> None:
    await store.put(BLOCK)
    await store.put(UNBLOCK)

    await store.alive(NOW + 60)
    await store.alive(NOW + 3600)

    assert [action for action, _, _ in await trail(store, "1001")] == ["ended", "block"]
    assert [action for action, _, _ in await trail(store, "1002")] == ["ended", "unblock (promise)"]


async def test_a_clock_that_was_ahead_for_a_while_takes_no_word_away(store: OverrideStore) -> None:
    await store.put(UNBLOCK)

    assert await store.alive(NOW + 10 * 366 * 86400) == {}

    assert await store.alive(NOW) == {"1002": UNBLOCK}


async def test_a_word_that_is_said_again_ends_again(store: OverrideStore) -> None:
    await store.put(BLOCK)
    await store.alive(NOW + 60)
    await store.put(replace(BLOCK, until=NOW + 120, at=NOW + 61))
    await store.alive(NOW + 120)

    assert [action for action, _, _ in await trail(store, "1001")] == ["ended", "block", "ended", "block"]


async def test_an_end_that_cannot_be_noted_is_noted_later(store: OverrideStore, database: Database) -> None:
    await store.put(BLOCK)
    with locked(database), capture_logs() as logged:
        assert await store.alive(NOW + 60) == {}
    assert [entry for entry in logged if entry["event"] != "store-apart"] == []

    with capture_logs() as logged:
        assert await store.alive(NOW + 61) == {}
    assert [entry["event"] for entry in logged] == ["override-ended"]


async def test_words_and_passes_of_an_older_edged_get_their_kind(tmp_path: Path) -> None:
    first = files("edged.state").joinpath("migrations", "001.sql").read_text("utf-8")
    with closing(sqlite3.connect(tmp_path / "edged.sqlite")) as old:
        old.executescript(f"{first}\nPRAGMA user_version = 1;")
        for name, blocked in (("1001", 1), ("1002", 0)):
            old.execute(
                "INSERT INTO overrides VALUES (?, ?, ?, 'abuse', 'why', 'noc', ?)", (name, blocked, NOW + 9, NOW)
            )
        old.execute("INSERT INTO passes VALUES ('1003', ?, ?)", (NOW, NOW + 900))
        old.commit()
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    store = OverrideStore(database)

    assert set(await store.alive(NOW)) == {"1001", "1002"}
    assert store.kinds == {"1001": Kind.BLOCK, "1002": Kind.PROMISE}
    assert await store.pass_starts(NOW - 1) == {"1003": [NOW]}
    await database.close()


# --- without a disk ---------------------------------------------------------------------------------


async def test_a_word_that_opens_a_line_holds_though_it_cannot_be_saved_and_is_saved_later(
    store: OverrideStore, database: Database
) -> None:
    with locked(database):
        assert await store.put(UNBLOCK, Kind.EXEMPTION) is False
        assert await store.alive(NOW) == {"1002": UNBLOCK}
        assert store.kinds == {"1002": Kind.EXEMPTION}
        assert await store.alive(NOW + 3600) == {}, "it ends all the same"

    assert await store.alive(NOW) == {"1002": UNBLOCK}
    assert await OverrideStore(database).alive(NOW) == {"1002": UNBLOCK}
    assert await trail(store, "1002") == [("unblock (exemption)", "desk", "promise to pay")]


async def test_a_word_that_closes_a_line_is_refused_when_it_cannot_be_saved(
    store: OverrideStore, database: Database
) -> None:
    with locked(database):
        await store.put(replace(UNBLOCK, subscriber="1001"))
        with pytest.raises(UpstreamError, match="locked"):
            await store.put(BLOCK)

        assert not (await store.alive(NOW))["1001"].blocked


async def test_a_later_word_is_never_undone_by_an_earlier_one_that_waited_for_the_disk(
    store: OverrideStore, database: Database
) -> None:
    waiting = [replace(UNBLOCK, subscriber=str(number)) for number in range(1001, 1021)]
    with locked(database):
        for word in waiting:
            await store.put(word)
    later = [replace(BLOCK, subscriber=word.subscriber, until=NOW + 3600) for word in waiting]

    await asyncio.gather(store.alive(NOW), *(store.put(word) for word in later))

    assert await store.alive(NOW) == {word.subscriber: word for word in later}


async def test_a_word_that_waits_for_the_disk_can_be_taken_back_once_the_disk_takes_that(
    store: OverrideStore, database: Database
) -> None:
    with locked(database):
        await store.put(UNBLOCK)
        with pytest.raises(UpstreamError, match="locked"):
            await store.end("1002", who="noc", why="", at=NOW)
        assert await store.alive(NOW) == {"1002": UNBLOCK}

    await store.end("1002", who="noc", why="", at=NOW)

    assert await store.alive(NOW) == {}


# --- passes ----------------------------------------------------------------------------------------


async def test_a_pass_runs_until_its_end_and_its_start_is_counted_after_it(store: OverrideStore) -> None:
    await store.start_pass("1001", NOW, NOW + 900)

    assert await store.passes(NOW) == {"1001": NOW + 900}
    assert await store.passes(NOW + 900) == {}
    assert await store.pass_starts(NOW - 86400) == {"1001": [NOW]}
    assert await store.pass_starts(NOW) == {}, "a start exactly a day ago no longer counts"


async def test_of_several_running_passes_the_one_that_ends_last_holds(store: OverrideStore) -> None:
    await store.start_pass("1001", NOW, NOW + 900)
    await store.start_pass("1001", NOW + 60, NOW + 300)
    await store.start_pass("1002", NOW + 90, NOW + 990)

    assert await store.passes(NOW + 100) == {"1001": NOW + 900, "1002": NOW + 990}
    starts = await store.pass_starts(NOW - 1)
    assert {who: sorted(at) for who, at in starts.items()} == {"1001": [NOW, NOW + 60], "1002": [NOW + 90]}


async def test_a_pass_of_an_operator_runs_like_any_and_is_none_of_the_subscribers_own(store: OverrideStore) -> None:
    await store.start_pass("1001", NOW, NOW + 900, who="desk", why="by phone")

    assert await store.passes(NOW) == {"1001": NOW + 900}
    assert await store.pass_starts(NOW - 1) == {}
    assert await store.recent("1001") == [AuditRow(NOW, "desk", "pass", "1001", "by phone")]


async def test_a_pass_leaves_its_line_in_the_audit(store: OverrideStore) -> None:
    await store.start_pass("1001", NOW, NOW + 900)

    assert await store.recent("1001") == [AuditRow(NOW, "subscriber", "pass", "1001", "pressed on the page")]


# --- audit -----------------------------------------------------------------------------------------


async def test_the_audit_is_read_newest_first_whatever_the_order_of_writing(store: OverrideStore) -> None:
    for at in (30.0, 10.0, 20.0):
        await store.note(AuditRow(NOW + at, "noc", f"act {at:g}", "8813.3fa9c1d2", ""))

    assert [row.action for row in await store.recent("8813.3fa9c1d2")] == ["act 30", "act 20", "act 10"]


async def test_of_two_acts_in_one_moment_the_later_one_is_read_first(store: OverrideStore) -> None:
    for action in ("add key", "show key", "revoke key"):
        await store.note(AuditRow(NOW, "noc", action, "local-1", ""))

    assert [row.action for row in await store.recent("local-1")] == ["revoke key", "show key", "add key"]


async def test_the_audit_of_one_subject_is_bounded_and_holds_nobody_elses(store: OverrideStore) -> None:
    for number in range(20):
        await store.note(AuditRow(NOW + number, "noc", f"act {number}", "1001", ""))
        await store.note(AuditRow(NOW + number, "noc", "other", "1002", ""))

    assert [row.action for row in await store.recent("1001")] == [f"act {n}" for n in range(19, 14, -1)]
    assert len(await store.recent("1001", limit=50)) == 20
    assert await store.recent("nobody") == []


async def test_words_passes_and_the_audit_survive_a_restart(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    before = OverrideStore(database)
    await before.put(BLOCK)
    await before.start_pass("1002", NOW, NOW + 900)
    await database.close()
    reopened = Database(tmp_path / "edged.sqlite")
    await reopened.open()
    after = OverrideStore(reopened)

    assert await after.alive(NOW) == {"1001": BLOCK}
    assert await after.passes(NOW) == {"1002": NOW + 900}
    assert await after.pass_starts(NOW - 1) == {"1002": [NOW]}
    assert await trail(after, "1001") == [("block", "noc", "ticket 4471")]
    await reopened.close()


# --- snoozes ---------------------------------------------------------------------------------------


async def test_a_snooze_is_remembered_until_its_end_and_forgotten_a_day_later(
    store: OverrideStore, database: Database
) -> None:
    await store.snooze("1001", NOW + 60)
    await store.snooze("1002", NOW + 600)

    assert await OverrideStore(database).snoozes(NOW) == {"1001": NOW + 60, "1002": NOW + 600}
    assert await store.snoozes(NOW + 60) == {"1002": NOW + 600}

    await store.prune(NOW + 86461)
    assert await store.snoozes(NOW) == {"1002": NOW + 600}, "while a clock may be mended, the word is kept"
    await store.prune(NOW + 86400 * 2)
    assert await store.snoozes(NOW) == {}


async def test_a_snooze_never_waits_for_the_disk(store: OverrideStore, database: Database) -> None:
    with locked(database):
        await store.snooze("1001", NOW + 60)
        assert await store.snoozes(NOW) == {"1001": NOW + 60}
        assert await store.snoozes(NOW + 60) == {}, "it ends all the same"
        await store.snooze("1002", NOW + 60)

    assert await store.snoozes(NOW) == {"1002": NOW + 60}
    assert await OverrideStore(database).snoozes(NOW) == {"1002": NOW + 60}


async def test_the_longer_of_two_snoozes_holds(store: OverrideStore) -> None:
    for until in (NOW + 60, NOW + 600, NOW + 30):
        await store.snooze("1001", until)

    assert await store.snoozes(NOW) == {"1001": NOW + 600}
