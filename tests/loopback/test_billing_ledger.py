# SPDX-License-Identifier: Apache-2.0
"""The list in force, the reading that is held and the guard's memory, on a real disk that may be full."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edged.billing.ground import Ground
from edged.billing.guard import Accepted
from edged.billing.ledger.service import Ledger
from edged.billing.reading import evidence, make_snapshot, with_words
from edged.billing.settings import GuardSettings, WidestSettings
from edged.errors import UpstreamError
from edged.model import Key, Snapshot, State, Subscriber
from edged.state.database import Database
from edged.state.guard_memory import GuardMemory, GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from edged.values import Secret, parse_prefix
from tests.loopback.billing_edge import OWN, FragileFiles, names

SETTINGS = GuardSettings(first="accept")
GROUND = Ground(WidestSettings(), OWN)


def one(name: object, state: State = State.BLOCKED, *addresses: str) -> Subscriber:
    return Subscriber(str(name), state, addresses=tuple(map(parse_prefix, addresses)))


def listed(*blocked: object, known: int = 1000, keys: int | None = None, read_at: float = 0.0) -> Snapshot:
    there = None if keys is None else tuple(Key(str(n), "Residence", Secret(f"passphrase-{n}")) for n in range(keys))
    return make_snapshot(tuple(map(one, blocked)), there, revision="r", known=known, read_at=read_at)


def blocked_in(snapshot: Snapshot | None) -> set[str]:
    return {s.id for s in snapshot.subscribers if s.state is State.BLOCKED} if snapshot else set()


@dataclass
class Desk:
    """A ledger, its disk, and what it published: each list with its words, and whom the disk blocked just then."""

    ledger: Ledger
    store: GuardMemoryStore
    files: FragileFiles
    published: list[tuple[Snapshot, tuple[Subscriber, ...] | None]] = field(default_factory=list)
    on_disk: list[set[str]] = field(default_factory=list)
    refuses: bool = False

    async def publish(self, snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        if self.refuses:
            raise UpstreamError("refused on request")
        if words is not None:
            snapshot = replace(with_words(self.published[-1][0], words), id=snapshot.id)
        self.published.append((snapshot, words))
        self.on_disk.append(self.saved)

    @property
    def saved(self) -> set[str]:
        """Whom the list on disk blocks."""
        found = SnapshotFiles(self.files._newest.parent).load()
        return blocked_in(with_words(found.snapshot, found.words) if found.snapshot else None)

    @property
    def blocked(self) -> set[str]:
        return blocked_in(self.published[-1][0])

    async def follow(self, snapshot: Snapshot) -> bool:
        verdict = await self.ledger.judge(snapshot, SETTINGS, 1.0)
        assert isinstance(verdict, Accepted), verdict
        return await self.ledger.follow(snapshot, verdict)


@asynccontextmanager
async def desk(directory: Path) -> AsyncIterator[Desk]:
    database = Database(directory / "edged.sqlite")
    await database.open()
    # another process at the lock is met at once
    await database.run(lambda connection: connection.execute("PRAGMA busy_timeout = 50"))
    store, files = GuardMemoryStore(database), FragileFiles(directory)
    made: Desk

    async def publish(snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        await made.publish(snapshot, words)

    made = Desk(Ledger(guard_memory=store, snapshots=files, publish=publish, ground=GROUND), store, files)
    try:
        await made.ledger.load()
        yield made
    finally:
        await database.close()


def mend(files: FragileFiles) -> None:
    files.full = False
    blocker = files._newest.with_name(f".{files._newest.name}.new")
    if blocker.is_dir():
        blocker.rmdir()


# --- whole lists -----------------------------------------------------------------------------------


async def test_the_same_list_that_states_another_number_of_subscribers_is_remembered_and_not_published_again(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        count = len(d.published)

        assert await d.follow(listed(1, known=2000, read_at=60.0)) is False

        assert len(d.published) == count
        assert (await d.store.load()).known == 2000
        assert d.ledger.good is not None
        assert (d.ledger.good.known, d.ledger.good.read_at) == (2000, 60.0)


async def test_a_reading_that_says_what_words_have_said_is_neither_written_nor_published_whatever_its_revision(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        assert await d.ledger.heed(one(2, State.ACTIVE), SETTINGS, 1.0)
        await d.ledger.save()
        count, d.files.full = len(d.published), True
        paid = (one(2, State.ACTIVE), one(1))

        reading = make_snapshot(paid, None, revision="the next one", known=1000, read_at=60.0)
        assert await d.follow(reading) is False

        assert len(d.published) == count
        assert d.ledger.good is not None
        assert d.ledger.good.read_at == 60.0
        assert d.saved == d.blocked == {"1"}

        other = make_snapshot((one(1), one(2)), None, revision="the next one", known=1000, read_at=90.0)
        with pytest.raises(UpstreamError):
            await d.follow(other)
        mend(d.files)


async def test_a_held_reading_is_forgotten_once_billing_says_again_what_is_in_force(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        await d.ledger.hold(listed(1, *range(2, 500)), ())
        assert SnapshotFiles(tmp_path).held().snapshot is not None

        await d.follow(listed(1))

        assert (d.ledger.held, d.ledger.reasons) == (None, ())
        assert SnapshotFiles(tmp_path).held().snapshot is None


async def test_a_reading_that_is_held_poll_after_poll_is_counted_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        for _ in range(3):
            await d.ledger.hold(listed(*range(500)), ())
        await d.ledger.hold(listed(*range(501)), ())

        assert d.ledger.counters.held == 2


async def test_accepting_a_reading_that_was_held_before_a_restart_leaves_the_keys_guarded(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, keys=100))
        await d.ledger.hold(listed(*range(500), keys=100), ())

    async with desk(tmp_path) as again:
        held = again.ledger.held
        assert held is not None
        assert held.keys is None
        await again.ledger.accept_held(held)

        assert again.blocked == names(*range(500))
        assert (await again.store.load()).keys == 100


async def test_a_person_who_accepts_a_reading_without_keys_takes_the_keys_away(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, keys=100))
        held = listed(1, 2)
        await d.ledger.hold(held, ())

        await d.ledger.accept_held(held)

        assert d.published[-1][0].keys == ()
        assert (await d.store.load()).keys == 0


async def test_where_there_were_no_keys_an_accepted_reading_takes_none_away(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        held = listed(1, 2)
        await d.ledger.hold(held, ())

        await d.ledger.accept_held(held)

        assert d.published[-1][0].keys is None


async def test_what_a_full_disk_could_not_take_is_written_once_it_can(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        d.files.full = True

        with pytest.raises(UpstreamError):
            await d.follow(listed(2, 3))

        assert d.blocked == {"2"}, "opened at once; nobody new is blocked before the disk knows it"
        assert d.ledger.unsaved
        mend(d.files)
        await d.ledger.save()
        assert (d.saved, d.ledger.unsaved) == ({"2"}, False)


async def test_a_list_that_is_in_force_and_not_on_disk_is_written_when_it_is_read_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        d.files.full = True
        await d.ledger.heed(one(2, State.ACTIVE), SETTINGS, 1.0)
        await d.ledger.save()
        assert d.ledger.error
        mend(d.files)

        good = d.ledger.good
        assert good is not None
        await d.follow(good)

        assert d.saved == {"1"}


async def test_a_damaged_disk_is_said_until_it_takes_the_list_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        d.files.full = True
        await d.ledger.lift(evidence([one(2, State.ACTIVE)]))
        assert d.ledger.error

        mend(d.files)
        await d.ledger.save()

        assert d.ledger.error == ""
        assert d.saved == {"1"}


# --- words -----------------------------------------------------------------------------------------


async def test_a_word_that_opens_is_in_force_before_it_is_on_disk_and_on_disk_when_it_is_heeded(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))

        assert await d.ledger.lift(evidence([one(1, State.ACTIVE)]))

        assert (d.blocked, d.on_disk[-1]) == ({"2"}, {"1", "2"})
        assert (d.saved, d.ledger.unsaved) == ({"2"}, False)


@pytest.mark.parametrize("alone", [True, False], ids=["asked about alone", "in a list"])
async def test_who_has_paid_leaves_the_held_reading_too_and_it_keeps_the_name_that_a_person_saw(
    alone: bool, tmp_path: Path
) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        held = listed(*range(500))
        await d.ledger.hold(held, ())

        if alone:
            await d.ledger.heed(one(7, State.ACTIVE), SETTINGS, 1.0)
        else:
            await d.ledger.lift(evidence([one(7, State.ACTIVE)]))

    async with desk(tmp_path) as again:
        for kept in (d.ledger.held, again.ledger.held):
            assert kept is not None
            assert kept.id == held.id
            assert blocked_in(kept) == names(*range(500)) - {"7"}


async def test_a_word_on_somebody_unknown_who_is_active_changes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        good, count = d.ledger.good, len(d.published)

        assert await d.ledger.heed(one(7, State.ACTIVE), SETTINGS, 1.0)

        assert d.ledger.good is good
        assert (len(d.published), d.ledger.unsaved, d.ledger.counters.words) == (count, False, 0)


async def test_a_word_that_is_in_force_already_changes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        good, count = d.ledger.good, len(d.published)

        assert await d.ledger.heed(one(1), SETTINGS, 1.0)

        assert d.ledger.good is good
        assert (len(d.published), d.ledger.unsaved, d.ledger.counters.words) == (count, False, 0)


async def test_a_reminder_is_never_judged(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        words = [one(n, State.NOTICE, "203.0.113.10" if n == 2 else f"100.64.1.{n}") for n in range(2, 202)]

        assert all([await d.ledger.heed(word, SETTINGS, 1.0) for word in words])

        assert await d.store.load() == replace(GuardMemory(), known=1000, started=True, accepted=listed(1).id)
        first, second = d.published[-len(words) :][:2]
        assert first[1] == (one(2, State.NOTICE),), "the network's own address is left out"
        assert second[1] == (words[1],)


async def test_a_word_after_one_that_could_not_be_published_publishes_the_whole_list(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        d.refuses = True
        with pytest.raises(UpstreamError):
            await d.ledger.heed(one(1, State.ACTIVE), SETTINGS, 1.0)
        d.refuses = False

        await d.ledger.heed(one(3), SETTINGS, 1.0)
        await d.ledger.heed(one(4), SETTINGS, 1.0)

        assert [words for _, words in d.published[-2:]] == [None, (one(4),)]
        assert blocked_in(d.published[-2][0]) == {"2", "3"}


async def test_while_all_lines_are_open_a_word_blocks_nobody(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        d.ledger.opened = True

        await d.ledger.heed(one(3), SETTINGS, 1.0)

        shown, words = d.published[-1]
        assert (shown.subscribers, words) == ((), None)
        assert shown.id.endswith(".open")


async def test_own_addresses_that_come_while_a_list_is_published_are_taken_out_at_the_next_look(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:

        async def publish(snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
            await d.publish(snapshot, words)
            d.ledger.guard(Ground(WidestSettings(), ()))

        ledger = d.ledger = Ledger(guard_memory=d.store, snapshots=d.files, publish=publish, ground=GROUND)

        await d.follow(listed(1))

        assert ledger.pending


async def test_a_word_that_blocks_is_counted_before_it_is_in_force_and_not_while_the_database_refuses(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1))
        with closing(sqlite3.connect(tmp_path / "edged.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UpstreamError):
                await d.ledger.heed(one(7), SETTINGS, 1.0)
            other.execute("ROLLBACK")
        assert d.blocked == {"1"}

        assert await d.ledger.heed(one(7), SETTINGS, 1.0)

        assert d.blocked == {"1", "7"}
        assert (await d.store.load()).blocked == {"7": 1.0}


async def test_a_list_that_could_not_be_published_is_still_to_be_published(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.refuses = True

        with pytest.raises(UpstreamError, match="on request"):
            await d.follow(listed(1))

        assert d.ledger.pending
        assert d.ledger.good == listed(1)


async def test_a_word_that_comes_while_the_list_is_written_is_written_next(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.follow(listed(1, 2))
        await d.ledger.heed(one(1, State.ACTIVE), SETTINGS, 1.0)
        saving = asyncio.create_task(d.ledger.save())
        await asyncio.sleep(0)
        d.ledger.good = listed(3)
        await saving
        assert (d.saved, d.ledger.unsaved) == ({"2"}, True)

        await d.ledger.save()

        assert (d.saved, d.ledger.unsaved) == ({"3"}, False)
