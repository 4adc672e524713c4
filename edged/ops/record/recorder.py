# SPDX-License-Identifier: Apache-2.0
"""Follows the policy in force and the rooms' counters, and keeps the last day of both. I/O: the clock, the database.

What it keeps is bounded: 144 bins, 500 changes. It writes one row each ten minutes, and one when edged stops.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

from edged.errors import UpstreamError
from edged.model import Access
from edged.ops.life.deeds import of_moves
from edged.ops.record.changes import Change, News, Standing, lifted_since, news
from edged.ops.record.history import BIN_S, BINS, Bin, bin_start, decoded, encoded, step_of
from edged.policy.access import Line, View
from edged.state.database import Database
from edged.state.history import CHANGES, HistoryStore

if TYPE_CHECKING:
    from edged.ops.rooms import House

log = structlog.get_logger(__name__)

SAMPLE_S = 5.0
"""Seconds between two looks at the counters."""
_FEW = 250
"""Up to so many subscribers are looked at on the loop itself: a millisecond or two."""
_REST_S = 1.0
"""Between two looks at everybody: readings in a storm are one look a second."""
_WAITING, _PATIENCE_S = 500, 900.0
"""Lines whose opening is timed at once, and for how long."""
BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Of ``edged_restore_seconds``."""


class _Totals(NamedTuple):
    """Counts of rooms, since the start."""

    answers: int = 0
    pages: int = 0
    took: tuple[int, ...] = ()


class Recorder:
    """One task of the daemon; ``bins`` and ``changes`` are read by the dashboard."""

    def __init__(self, house: House, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._house = house
        self._store = HistoryStore(database)
        self._clock = clock
        self.bins: deque[Bin] = deque([Bin(bin_start(clock()))], maxlen=BINS + 1)
        """The newest last."""
        self.changes: deque[Change] = deque(maxlen=CHANGES)
        self.counts: Counter[Access] = Counter()
        """How many subscribers are not plainly open, by access."""
        self.restores = [0] * (len(BUCKETS) + 1)
        """Lines opened by billing, by how long that took; the last is all that took longer."""
        self.restore_seconds = 0.0
        self.stopped = False
        """True after a bug of ours: what is here is old."""
        self._known: dict[str, Standing] = {}
        self._unsaved: deque[Change] = deque(maxlen=CHANGES)
        self._ended: deque[Bin] = deque(maxlen=BINS)
        """Bins that are not written yet."""
        self._failed = False
        """Whether the disk has refused the oldest of them, and that was said."""
        self._opening: dict[str, tuple[float, Line]] = {}
        """Lines that billing has opened and a target still holds: since when."""
        self._opens = asyncio.Event()
        self.answers_a_second = 0.0
        """DNS answers, at the last look."""
        self._totals = _Totals()

    def snapshot(self) -> tuple[Bin, ...]:
        """The bins, oldest first, for another thread to read."""
        newest = self.bins[-1]
        mine = replace(newest, spans=Counter(newest.spans), took=Counter(newest.took), lost=list(newest.lost))
        return (*list(self.bins)[:-1], mine)

    def held_back(self, target: str) -> dict[str, float]:
        """Who was lifted since ``target``, which fails, was last as it should be, to when; they may be blocked there.

        Of the newest changes alone.
        """
        health = self._house.enforce.status()[target]
        if health.ok or not health.error or self._house.loaded.config.mode == "watch":
            return {}
        return lifted_since(self.changes, health.compared or self._house.started_at)

    async def run(self) -> None:
        """Follow until cancelled, then write what is not written yet. A bug in here ends the record alone."""
        try:
            await self._load()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="record-follow")
                tasks.create_task(self._sample(), name="record-sample")
                tasks.create_task(self._time(), name="record-time")
        except Exception:
            # a fault of a picture must not end what serves people
            self.stopped = True
            log.exception("recorder-fault")
            await asyncio.Event().wait()
        finally:
            self._ended.append(self.bins[-1])
            await self._save()

    async def _load(self) -> None:
        now = self._clock()
        try:
            bins, changes = await self._store.load(now - BINS * BIN_S)
        except UpstreamError as error:
            log.warning("history-unreadable", error=str(error))
            return
        for text in bins:
            try:
                self._resume(decoded(text))
            except (ValueError, TypeError, KeyError):
                continue  # of another edged: one bar is not worth a word
        self.changes.extendleft(Change(*row) for row in reversed(changes))

    def _resume(self, old: Bin) -> None:
        if old.start < self.bins[-1].start:
            self.bins.insert(len(self.bins) - 1, old)
        elif old.start == self.bins[-1].start:
            self.bins[-1] = old

    async def _save(self) -> None:
        """Write the bins that have ended, and the changes; what the disk does not take is tried again."""
        while self._ended:
            one, changes = self._ended[0], self._unsaved
            self._unsaved = deque(maxlen=CHANGES)
            try:
                await self._store.save(one.start, encoded(one), changes, before=one.start - BINS * BIN_S)
            except UpstreamError as error:
                if not self._failed:
                    log.warning("history-not-kept", error=str(error))
                self._failed = True
                self._unsaved = deque((*changes, *self._unsaved), maxlen=CHANGES)
                return
            self._ended.popleft()
            self._failed = False

    # --- who sees what ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Compare at each new version; the first look at the list of before the start is no news."""
        current = self._house.current
        version, view = current.version, current.view
        self._count(await self._news(view, None, self._clock()))
        while True:
            await current.wait(version)
            before, ids, at = view, current.changed_since(version), self._clock()
            version, view = current.version, current.view
            found = await self._news(view, ids, at)
            self._count(found)
            if before.table.snapshot_id:
                self._note(found, before, view)
                await self._note_moves(before, view, ids, at)
            if ids is None:
                await asyncio.sleep(_REST_S)

    async def _news(self, view: View, ids: frozenset[str] | None, at: float) -> News:
        if ids is not None and len(ids) <= _FEW:
            return news(self._known, view, ids, at, CHANGES)
        return await asyncio.to_thread(news, self._known, view, ids, at, CHANGES)

    def _count(self, found: News) -> None:
        for access, more in found.counts.items():
            self.counts[Access(access)] += more
        self._roll()
        self.bins[-1].blocked = self.counts[Access.BLOCKED]

    def _note(self, found: News, before: View, after: View) -> None:
        newest = self.bins[-1]
        newest.added += found.added
        newest.lifted += found.lifted
        newest.restored += found.restored
        self.changes.extend(found.newest)
        self._unsaved.extend(found.newest)
        self._house.lives.changed(found.changes)
        self._begin_timing(found.opened, before, after)

    async def _note_moves(self, before: View, after: View, ids: frozenset[str] | None, at: float) -> None:
        """Who is on other addresses, of those who are not plainly open."""
        names = list(self._known) if ids is None else [name for name in ids if name in self._known]
        if len(names) <= _FEW:
            moves = list(of_moves(before, after, names, at))
        else:
            moves = await asyncio.to_thread(lambda: list(of_moves(before, after, names, at)))
        self._house.lives.note(moves)

    # --- from billing's word to an open line -------------------------------------------------------

    def _begin_timing(self, restored: Iterable[Change], before: View, after: View) -> None:
        if self._house.loaded.config.mode == "watch" or not self._house.enforce.status():
            return
        for change in restored:
            subscriber = after.table.subscribers.get(change.subscriber) or before.table.subscribers.get(
                change.subscriber
            )
            if subscriber is None or len(self._opening) >= _WAITING:
                continue
            line = Line(before.lines_of(subscriber), before.devices_of(subscriber))
            if line.prefixes or line.devices:
                self._opening[change.subscriber] = (change.at, line)
        if self._opening:
            self._opens.set()

    async def _time(self) -> None:
        """Note when every target has let a line go, as the page's "you are back online" finds it out."""
        while True:
            await self._opens.wait()
            self._opens.clear()
            while self._opening:
                self._close_opened()
                try:
                    async with asyncio.timeout(SAMPLE_S):
                        await self._house.enforce.news()
                except TimeoutError:
                    pass

    def _close_opened(self) -> None:
        now = self._clock()
        for name, (at, line) in tuple(self._opening.items()):
            if self._house.enforce.lifted(line):
                self._restored(name, max(0.0, now - at))
            elif now - at < _PATIENCE_S:
                continue
            del self._opening[name]

    def _restored(self, name: str, seconds: float) -> None:
        self._house.lives.restored(name, seconds)
        self.bins[-1].spans[step_of(seconds)] += 1
        self.restores[sum(seconds > bound for bound in BUCKETS)] += 1
        self.restore_seconds += seconds

    # --- counters ----------------------------------------------------------------------------------

    async def _sample(self) -> None:
        self._totals = self._read_totals()
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._roll()
            self._look()
            await self._save()

    def _look(self) -> None:
        newest, totals = self.bins[-1], self._read_totals()
        answers = max(0, totals.answers - self._totals.answers)
        self.answers_a_second = answers / SAMPLE_S
        newest.answers += answers
        newest.pages += max(0, totals.pages - self._totals.pages)
        for place, (count, before) in enumerate(zip(totals.took, self._totals.took, strict=False)):
            if count > before:
                newest.took[place] += count - before
        newest.seconds = min(BIN_S, newest.seconds + SAMPLE_S)
        self._totals = totals
        billing = self._house.billing
        newest.held = newest.held or (billing is not None and billing.status().held is not None)
        if self._house.loaded.config.mode != "watch":
            newest.note_lost(n for n, health in self._house.enforce.status().items() if health.error)

    def _read_totals(self) -> _Totals:
        dns, web = self._house.dns.counters, self._house.captive.counters
        return _Totals(sum(dns.answers.values()), sum(web.pages.values()), tuple(dns.took))

    def _roll(self) -> None:
        """Begin the bin of now, if it is another; a clock that steps back a little adds to the newest.

        One that was ahead (a clock of the host in local time) has begun bins that are still to come: they go.
        """
        start = bin_start(self._clock())
        while self.bins and self.bins[-1].start > start + BIN_S:
            self.bins.pop()
        if not self.bins:
            self.bins.append(Bin(start, blocked=self.counts[Access.BLOCKED]))
        if start > self.bins[-1].start:
            self._ended.append(self.bins[-1])
            self.bins.append(Bin(start, blocked=self.counts[Access.BLOCKED]))
