"""The checkers work: each deliberate bug breaks the promise that it should within a few seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from edged.billing import guard
from edged.billing.guard import Accepted
from edged.billing.ledger import service
from edged.billing.ledger.service import Ledger
from edged.billing.service import BillingService
from edged.model import Snapshot, State
from edged.state.guard_memory import GuardMemory, GuardMemoryStore
from edged.state.snapshots import Found, SnapshotFiles
from tests.simulation.day import BrokenPromiseError, Plan, live

SEEDS = 12
Patches = list[tuple[Any, str, Any]]


def accept_everything() -> Patches:
    def judge(reading: Snapshot, _good: Any, memory: GuardMemory, *_a: Any, **_k: Any) -> Accepted:
        return Accepted(guard.remember(reading, memory))

    return [(guard, "judge", judge)]


def forget_the_window() -> Patches:
    return [(guard, "_within", lambda *_a: {})]


def forget_at_a_restart() -> Patches:
    async def load(_self: GuardMemoryStore) -> GuardMemory:
        return GuardMemory(known=400, started=True)

    return [(GuardMemoryStore, "load", load)]


def count_by_share_alone() -> Patches:
    return [(guard, "_limit", lambda window, whole, _floor: int(window.share * whole * 10))]


def count_reminders_as_blocked_before() -> Patches:
    return [(guard, "newly_blocked", lambda reading, good: guard._blocked(reading) - {s.id for s in good.subscribers})]


def let_the_empty_list_pass() -> Patches:
    return [(guard, "vanished", lambda *_a: frozenset()), (guard, "bared", lambda *_a: frozenset())]


def let_lines_move() -> Patches:
    return [(guard, "moved", lambda *_a: frozenset())]


def hear_no_word_in_a_held_reading() -> Patches:
    async def lift(_self: Ledger, _words: Snapshot) -> bool:
        return False

    return [(Ledger, "lift", lift)]


def take_silence_for_a_word() -> Patches:
    lifts = guard.lifts
    return [(service, "lifts", lambda good, reading, **_k: lifts(good, reading, absent_too=True))]


def accept_by_itself_what_is_held_long() -> Patches:
    hold = Ledger.hold
    seen: dict[str, int] = {}

    async def tired(self: Ledger, snapshot: Snapshot, reasons: Any) -> None:
        await hold(self, snapshot, reasons)
        seen[snapshot.id] = seen.get(snapshot.id, 0) + 1
        if seen[snapshot.id] >= 3:
            await self._put_in_force(snapshot, guard.remember(snapshot, self._memory))

    return [(Ledger, "hold", tired)]


def serve_nothing_after_a_restart() -> Patches:
    return [(SnapshotFiles, "load", lambda _self: Found(None))]


def serve_the_older_list_after_a_restart() -> Patches:
    load = SnapshotFiles.load

    def older(self: SnapshotFiles) -> Found:
        self._newest, self._older = self._older, self._newest
        try:
            return load(self)
        finally:
            self._newest, self._older = self._older, self._newest

    return [(SnapshotFiles, "load", older)]


def serve_everybody_open_after_a_restart() -> Patches:
    load = SnapshotFiles.load

    def opened(self: SnapshotFiles) -> Found:
        found = load(self)
        if found.snapshot is None:
            return found
        people = tuple(replace(s, state=State.ACTIVE) for s in found.snapshot.subscribers)
        return Found(replace(found.snapshot, subscribers=people))

    return [(SnapshotFiles, "load", opened)]


def keep_words_in_memory_alone() -> Patches:
    async def save(_self: Ledger) -> None:
        return None

    return [(Ledger, "save", save)]


def sleep_for_an_hour() -> Patches:
    return [(BillingService, "_delay", lambda _self, _failures: 3600.0)]


def stop_at_the_first_failure() -> Patches:
    look = BillingService._look

    async def fatal(self: BillingService, *, full: bool) -> Any:
        result = await look(self, full=full)
        if result.outcome == "failed":
            await asyncio.sleep(1e7)
        return result

    return [(BillingService, "_look", fatal)]


MUTATIONS: dict[Callable[[], Patches], str] = {
    accept_everything: "abef",
    forget_the_window: "b",
    forget_at_a_restart: "b",
    count_by_share_alone: "abf",
    count_reminders_as_blocked_before: "b",
    let_the_empty_list_pass: "f",
    let_lines_move: "a",
    hear_no_word_in_a_held_reading: "c",
    take_silence_for_a_word: "f",
    accept_by_itself_what_is_held_long: "aef",
    serve_nothing_after_a_restart: "d",
    serve_the_older_list_after_a_restart: "d",
    serve_everybody_open_after_a_restart: "df",
    keep_words_in_memory_alone: "d",
    sleep_for_an_hour: "c",
    stop_at_the_first_failure: "c",
}
"""The bug, and the promises of which it breaks one."""


@contextmanager
def mutated(bug: Callable[[], Patches]) -> Iterator[None]:
    with ExitStack() as stack:
        for place, name, wrong in bug():
            stack.enter_context(mock.patch.object(place, name, wrong))
        yield


def promise_broken_by(bug: Callable[[], Patches], plan: Plan) -> str:
    """The letter of the promise that the checkers saw broken; empty: none."""
    try:
        with mutated(bug):
            live(plan)
    except BrokenPromiseError as error:
        return str(error).split("\n")[1].partition(")")[0].strip("(")
    return ""


@pytest.mark.parametrize("bug", MUTATIONS, ids=lambda bug: bug.__name__)
def test_a_deliberate_bug_is_caught(bug: Callable[[], Patches]) -> None:
    for seed in range(SEEDS):
        for plan in (Plan(seed), Plan(seed, lies=True)):
            broken = promise_broken_by(bug, plan)
            if broken:
                assert broken in MUTATIONS[bug] or broken == "liveness"
                return
    pytest.fail(f"{bug.__name__} lived through {SEEDS} seeds")
