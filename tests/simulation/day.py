"""One simulated day: the real ``BillingService`` with its real files and database, billing in memory, everything fails.

``live(seed)`` is deterministic: world, faults, threads and the service draw from streams of the one seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from sqlite3 import Connection
from typing import Any, TypeVar
from unittest import mock

import structlog

from edged.billing import guard
from edged.billing.guard import Accepted, Verdict
from edged.billing.ledger import service as ledger
from edged.billing.reading import with_words
from edged.billing.service import BillingService
from edged.billing.settings import BillingSettings
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber
from edged.state.database import Database
from edged.state.guard_memory import GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from tests.simulation.billing import (
    LIES,
    PEOPLE,
    STRUCTURAL,
    Billing,
    Desk,
    Fault,
    faults_of_a_day,
    line_of,
)
from tests.simulation.checks import DAY, BrokenPromiseError, Checks, blocked_in
from tests.simulation.clockwork import Clockwork, run

T = TypeVar("T")

START = 1_795_000_000.0
LIMIT = 20
"""Newly blocked in 24 h: five per cent of the 400."""
SETTINGS: dict[str, Any] = {
    "source": "rest",
    "url": "https://billing.example.net",
    "poll": {"changes": "30s", "full": "10m"},
    "guard": {
        "blocked": {"share": "5%", "count": LIMIT, "window": "24h"},
        "vanished": {"share": "30%", "count": 2000, "window": "1h"},
    },
}
CHANGES, FULL, BACKOFF, SECOND_LOOK = 30.0, 600.0, 300.0, 15.0
JITTER = 1.2
LOOK_EVERY = 60.0
"""Seconds between two looks of the checkers at what has not happened."""


KNOWN_GAPS: frozenset[str] = frozenset()
"""What the service does not keep yet, each with its failing test in test_gaps.py; mend it, then take it out here."""


class Killed(BaseException):
    """The process ends inside a system call."""


@dataclass(frozen=True)
class Plan:
    """What kind of day it is."""

    seed: int
    days: float = 1.0
    lies: bool = False
    """Billing also names active subscribers as blocked."""
    jumps: bool = "clock" not in KNOWN_GAPS
    """The wall clock is set."""
    faults: int = 40
    kills: int = 12
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass
class Disk:
    """What is wrong with the state directory now."""

    full: bool = False
    kill: str = ""
    """``before`` or ``after`` the next file is written."""

    def check(self) -> None:
        if self.full:
            raise UpstreamError("database or disk is full")


class FragileDatabase(Database):
    """The real one, on a disk that may be full."""

    disk: Disk

    async def run(self, function: Callable[[Connection], T], *, write: bool = False) -> T:
        if write:
            self.disk.check()
        return await super().run(function, write=write)

    def die(self) -> None:
        """What the kernel does with a process that is gone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class FragileFiles(SnapshotFiles):
    """The real ones, on a disk that may be full, in a process that may be killed before or after a write."""

    def __init__(self, directory: Path, disk: Disk, checks: Checks) -> None:
        super().__init__(directory)
        self._disk, self._saved, self._spoken = disk, checks.saved, checks.spoken

    def save(self, snapshot: Snapshot) -> None:
        kill, self._disk.kill = self._disk.kill, ""
        if kill == "before":
            raise Killed
        self._disk.check()
        super().save(snapshot)
        self._saved(snapshot)
        if kill == "after":
            raise Killed

    def append(self, words: Iterable[Subscriber]) -> bool:
        kill, self._disk.kill = self._disk.kill, ""
        if kill == "before":
            raise Killed
        self._disk.check()
        words = tuple(words)
        appended = super().append(words)
        if appended:
            self._spoken(words)
        if kill == "after":
            raise Killed
        return appended

    def hold(self, snapshot: Snapshot) -> None:
        self._disk.check()
        super().hold(snapshot)


def faults_of(plan: Plan) -> list[Fault]:
    """What is wrong with billing, and when, on the days of ``plan``."""
    kinds = STRUCTURAL + LIES if plan.lies else STRUCTURAL
    return faults_of_a_day(Random(f"{plan.seed}:faults"), kinds, plan.days * DAY, int(plan.faults * plan.days))


class Day:
    """The edge, its operator, and the one who breaks things."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        def stream(name: str) -> Random:
            return Random(f"{plan.seed}:{name}")

        self.plan, self.directory = plan, directory
        self.loop = Clockwork(stream("threads"), START)
        self.random = stream("world")
        self.service_random = stream("service")
        self.billing = Billing(stream("truth"), self.loop.time)
        self.length = plan.days * DAY
        self.faults = faults_of(plan)
        self.desk_random = stream("desk")
        self.checks = Checks(self.billing, self.loop.time, LIMIT, honest=not plan.lies)
        self.disk = Disk()
        self.service: BillingService | None = None
        self.database: FragileDatabase | None = None
        self.desk: Desk | None = None
        self.life: asyncio.Task[None] | None = None
        self.loading = False
        self.publish_fails_until = self.disk_full_until = 0.0
        self.settings = BillingSettings.model_validate(SETTINGS | dict(plan.settings))
        self.published: Snapshot | None = None
        self.lives = 0
        self.born = 0.0
        """When the running process began."""

    # --- the edge ------------------------------------------------------------------------------

    async def start(self) -> None:
        self.loop.life += 1
        self.lives += 1
        self.born = self.loop.time()
        self.database = FragileDatabase(self.directory / "edged.sqlite")
        self.database.disk = self.disk
        await self.database.open()
        self.desk = Desk(self.billing, self.faults, self.desk_random, self.loop.clock)
        self.service = BillingService(
            self.settings,
            source=self.desk,
            guard_memory=GuardMemoryStore(self.database),
            snapshots=FragileFiles(self.directory, self.disk, self.checks),
            own=(),
            publish=self.publish,
            clock=self.loop.clock,
            chance=self.service_random,
        )
        self.checks.note("edged starts")
        self.loading = True
        self.checks.words = None
        before = len(self.checks.published)
        await self.service.load()
        self.loading = False
        if self.checks.on_disk is not None and len(self.checks.published) == before:
            self.checks.fail("d", "a restart serves no list, and there is a good one on disk")
        self.life = asyncio.create_task(self.live(self.service, self.desk))

    async def live(self, service: BillingService, desk: Desk) -> None:
        try:
            async with asyncio.TaskGroup() as rooms:
                rooms.create_task(service.run())
                rooms.create_task(self.watch(desk))
        except* Killed:
            self.checks.note("dead, in the middle of a write")

    async def watch(self, desk: Desk) -> None:
        """Look at every answer once it has had its effect; (c)."""
        seen = asked = 0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = self.loop.time()
            if self.publish_fails_until < now - 60 and not self.own_trouble(now):
                self.checks.words_heard(now - SECOND_LOOK - 5)
            newest = None
            while seen < len(desk.answers) and desk.answers[seen].ended <= now - SECOND_LOOK - 5:
                newest, seen = desk.answers[seen], seen + 1
            waits = "silence" in KNOWN_GAPS and self.service is not None and self.service._ledger.held is not None
            if newest is not None and newest.true and not waits and not self.troubled(newest.began, now):
                self.checks.payers_open(newest.began)
            while asked + 1 < len(desk.began):
                last, asked = desk.answers[asked], asked + 1
                failed = last.failed or self.own_trouble(last.began)
                longest = BACKOFF * JITTER if failed else CHANGES * JITTER + SECOND_LOOK
                self.checks.pause(desk.began[asked], last.ended, longest=longest + 5)

    def own_trouble(self, since: float) -> bool:
        """Whether this host was at fault within what a pause after failures may be."""
        return (
            "backoff" in KNOWN_GAPS and max(self.publish_fails_until, self.disk_full_until) > since - BACKOFF * JITTER
        )

    def troubled(self, since: float, until: float) -> bool:
        """Whether anything was wrong with billing, or with the publisher, in that time."""
        return self.publish_fails_until > since or any(f.begins <= until and f.ends > since for f in self.faults)

    async def publish(self, snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        await asyncio.sleep(self.random.uniform(0, 0.05))
        if self.loop.time() < self.publish_fails_until and not self.loading:
            raise UpstreamError("the rooms are busy")
        if words is not None:
            assert self.published is not None, "words on nothing"
            snapshot = replace(with_words(self.published, words), id=snapshot.id)
        self.published = snapshot
        self.checks.publish(snapshot, loading=self.loading)

    def answered_since_trouble(self) -> bool:
        """Whether this process has heard of billing since its disk and its publisher were well, and had time to act."""
        assert self.desk is not None
        well = max(self.publish_fails_until, self.disk_full_until)
        settled = self.loop.time() - 2 * SECOND_LOOK
        return any(not a.failed and a.began > well and a.ended < settled for a in self.desk.answers)

    async def kill(self) -> None:
        """SIGKILL, wherever it is."""
        assert self.service is not None
        assert self.life is not None
        assert self.database is not None
        idle = not self.service._lock.locked() and not self.service._polling.locked()
        quiet = idle and self.answered_since_trouble()
        quiet = quiet and not ("unsaved" in KNOWN_GAPS and self.publish_fails_until > self.born)
        self.loop.switched_off.add(self.loop.life)
        ended = self.life.done()
        self.life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.life
        self.database.die()
        self.disk.kill = ""
        self.checks.note("killed")
        if not ended:
            self.checks.killed(quiet=quiet)

    # --- the world -----------------------------------------------------------------------------

    async def truth(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 1500.0))
            moved = self.billing.step()
            if moved is None:
                continue
            who, state = moved
            self.checks.note(f"billing: {who} is {state.value}")
            # the webhook: lost, late, twice, overtaken; and the subscriber who presses "I have paid"
            for _ in range(self.random.choice([0, 1, 1, 2])):
                self.loop.call_later(self.random.choice([0.2, 2, 20, 120]), self.hint, who)
            if state is not State.BLOCKED and self.random.random() < 0.3:
                self.loop.call_later(self.random.uniform(1, 90), self.press, who)

    def hint(self, who: str) -> None:
        if self.alive() and self.service is not None and self.life is not None:
            hearing = self.service.hear([who], lists=self.random.random() < 0.2)
            self.hints.create_task(self.look(hearing, self.life))

    def press(self, who: str) -> None:
        if self.alive() and self.service is not None and self.life is not None:
            self.hints.create_task(self.look(self.service.recheck(who), self.life))

    def alive(self) -> bool:
        return self.life is not None and not self.life.done() and not self.loading

    async def look(self, asking: Coroutine[Any, Any, object], life: asyncio.Task[None]) -> None:
        looking = asyncio.ensure_future(asking)
        with contextlib.suppress(UpstreamError, asyncio.CancelledError):
            await self.in_its_life(looking, life)

    async def in_its_life(self, work: asyncio.Future[Any], life: asyncio.Task[None]) -> None:
        """A request from outside dies with the process, and the process with it."""
        life.add_done_callback(lambda _: work.cancel())
        try:
            await work
        except Killed:
            self.checks.note("dead, in the middle of a write")
            life.cancel()

    async def misfortune(self) -> None:
        """Kills, a full disk, a deaf publisher, a clock that is set: one after the other, at any time."""
        kinds = (
            ["kill"] * self.plan.kills + ["disk"] * 4 + ["publisher"] * 3 + (["clock"] * 5 if self.plan.jumps else [])
        )
        while True:
            await asyncio.sleep(self.random.expovariate(len(kinds) / DAY))
            match self.random.choice(kinds):
                case "kill":
                    await self.kill_and_start()
                case "disk":
                    self.disk.full = True
                    self.checks.note("the disk is full")
                    self.disk_full_until = self.loop.time() + (full := self.random.choice([5.0, 60.0, 900.0]))
                    await asyncio.sleep(full)
                    self.disk.full = False
                    self.checks.note("the disk has room")
                case "publisher":
                    self.publish_fails_until = self.loop.time() + self.random.choice([5.0, 60.0, 300.0])
                    self.checks.note(f"publishing fails until {self.publish_fails_until:.1f}")
                case _:
                    by = self.random.choice([-1, 1]) * self.random.choice([120.0, 7200.0, DAY, 2 * DAY, 365 * DAY])
                    await self.set_clock(by)
                    if self.random.random() < 0.5:
                        await asyncio.sleep(self.random.choice([10.0, 600.0, 7200.0]))
                        await self.set_clock(-by)

    async def set_clock(self, by: float) -> None:
        self.loop.set_clock(by)
        self.checks.note(f"the wall clock is set by {by:.0f} s")

    async def kill_and_start(self) -> None:
        if self.random.random() < 0.5:
            # inside the next write, should there be one soon
            self.disk.kill = self.random.choice(["before", "after"])
            for _ in range(60):
                await asyncio.sleep(10)
                if not self.disk.kill:
                    await asyncio.sleep(0.1)
                    break
        await self.kill()
        await asyncio.sleep(self.random.choice([0.0, 1.0, 30.0, 1800.0]))
        await self.start()

    async def operator(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(900, 7200))
            await self.accept_what_is_right()

    async def accept_what_is_right(self) -> None:
        service = self.service
        if service is None or self.life is None or not self.alive():
            return
        held = service._ledger.held
        if held is None or not self.is_right(held):
            return
        self.checks.by_person(held)
        accepting = asyncio.ensure_future(service.accept(held.id, who="operator"))
        with contextlib.suppress(UpstreamError, asyncio.CancelledError):
            await self.in_its_life(accepting, self.life)

    def is_right(self, held: Snapshot) -> bool:
        truth = self.billing.blocked()
        return blocked_in(held) == truth and all(
            s.addresses == line_of(int(s.id)) for s in held.subscribers if s.state is not State.ACTIVE
        )

    # --- the day -------------------------------------------------------------------------------

    async def pass_(self) -> None:
        async with asyncio.TaskGroup() as self.hints:
            await self.first_list()
            world = [self.hints.create_task(run()) for run in (self.truth, self.misfortune, self.operator)]
            while self.loop.time() < self.length:
                await asyncio.sleep(60)
                self.raise_what_broke(world)
            for task in world:
                task.cancel()
            await asyncio.sleep(0)
            await self.calm()
            await self.kill()

    def raise_what_broke(self, world: list[asyncio.Task[None]]) -> None:
        for task in (*world, self.life):
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def first_list(self) -> None:
        await self.start()
        for _ in range(40):
            await asyncio.sleep(15)
            await self.accept_what_is_right()
            if self.checks.enforced is not None:
                return
        self.checks.fail("liveness", "the first list was never offered")

    async def calm(self) -> None:
        """The faults are over: within two full intervals all is as billing has it, or held with an alarm."""
        self.checks.note("the faults are over")
        self.faults.clear()
        self.disk.full, self.disk.kill, self.publish_fails_until = False, "", self.loop.time()
        if not self.alive():
            if self.service is not None and self.life is not None:
                await self.kill()
            await self.start()
        await asyncio.sleep(BACKOFF * JITTER + 2 * FULL * JITTER)
        self.raise_what_broke([])
        await self.accept_what_is_right()
        await asyncio.sleep(CHANGES * JITTER + SECOND_LOOK)
        self.checks.converged()


@contextlib.contextmanager
def watched(day: Day) -> Iterator[None]:
    """The checkers hear every verdict; nothing is logged; no disk is waited for, for the host itself never dies."""
    judge, judge_word = guard.judge, guard.judge_word

    def judged(reading: Snapshot, *args: Any, **keywords: Any) -> Verdict:
        verdict = judge(reading, *args, **keywords)
        assert day.desk is not None
        day.checks.judged(reading, day.desk.answers[-1], accepted=isinstance(verdict, Accepted))
        return verdict

    def judged_word(word: Subscriber, *args: Any, **keywords: Any) -> Verdict:
        verdict = judge_word(word, *args, **keywords)
        if isinstance(verdict, Accepted):
            day.checks.judged_word(word)
        return verdict

    quiet = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        with (
            mock.patch.object(ledger, "judge", judged),
            mock.patch.object(ledger, "judge_word", judged_word),
            mock.patch.object(os, "fsync"),
        ):
            yield
    finally:
        structlog.configure(**quiet)


def live(plan: Plan) -> Day:
    """One day of ``plan``. BrokenPromiseError with the seed and the last events."""
    memory = Path("/dev/shm")  # noqa: S108  # nothing here outlives the run
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        day = Day(plan, Path(directory))
        with watched(day):
            try:
                run(day.loop, day.pass_)
            except BaseExceptionGroup as group:
                raise _first(group, plan) from None
            except BrokenPromiseError as error:
                raise BrokenPromiseError(f"{plan}\n{error}") from None
            finally:
                if day.database is not None:
                    day.database.die()
    return day


def _first(error: BaseException, plan: Plan) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return BrokenPromiseError(f"{plan}\n{error}") if isinstance(error, BrokenPromiseError) else error


__all__ = ["PEOPLE", "BrokenPromiseError", "Day", "Plan", "live"]
