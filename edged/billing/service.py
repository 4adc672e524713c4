# SPDX-License-Identifier: Apache-2.0
"""The billing room's shell: poll the source, ask about single subscribers, have all judged. Dials out."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from edged.billing.ground import Ground
from edged.billing.guard import Held
from edged.billing.ledger.service import Ledger, Publish
from edged.billing.pacing import following, pause
from edged.billing.reading import Progress, Reading, evidence, silent
from edged.billing.settings import BillingSettings, GuardSettings
from edged.billing.sources import Source
from edged.billing.sources.asking import second_look
from edged.billing.status import (
    BillingStatus,
    Counters,
    Health,
    HeldReading,
    Outcome,
    SyncResult,
    blocked_in,
    change_between,
    told,
)
from edged.billing.words.service import Words
from edged.errors import UpstreamError
from edged.model import Snapshot, State
from edged.state.guard_memory import GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from edged.values import Prefix

log = structlog.get_logger(__name__)

_FULL_AGAIN = 60.0
"""Seconds from a full reading that failed to the next, where the changes can be had meanwhile."""
_CONTACT_EVERY = 60.0
"""Seconds between two notes on disk that billing was reached."""
_SAVE_AFTER = 1.0
"""Seconds after a word until the list with it is written: a payday's words are one writing."""


class BillingService:
    """One source, one guard, one list in force."""

    def __init__(
        self,
        settings: BillingSettings,
        *,
        source: Source,
        guard_memory: GuardMemoryStore,
        snapshots: SnapshotFiles,
        own: tuple[Prefix, ...],
        publish: Publish,
        clock: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        self._settings, self._ground = settings, Ground(settings.guard.widest, own)
        self._ledger = Ledger(guard_memory=guard_memory, snapshots=snapshots, publish=publish, ground=self._ground)
        self._source, self._store, self._clock = source, guard_memory, clock
        self._chance = chance or secrets.SystemRandom()
        self._polling = asyncio.Lock()
        self._lock = asyncio.Lock()
        """Guards the ledger; never held while a whole list is read, which may take minutes. Second looks hold it."""
        self._previous: Reading | None = None
        self._error = ""
        self._time = time.monotonic
        """Seconds of the loop's own clock, which never jumps; asked from threads too."""
        self._contact = 0.0
        self._running_from = 0.0
        """Running time at second 0 of the loop: what edged has run in all, by a clock that nobody can set."""
        self._heard = 0.0
        """Running time at which billing was last reached."""
        self._noted = 0.0
        """Running time of the last note on disk."""
        self._answered = False
        """True when billing answered the last look, whatever came of the answer here."""
        self._words = Words(source, self._ledger, self._lock, guard=self._guard, running=self._running)
        self._hurry = asyncio.Event()
        """The next poll is due now."""

    @property
    def counters(self) -> Counters:
        """Plain counts since start."""
        return self._ledger.counters

    async def load(self) -> None:
        """Publish the last good list, before any socket opens; nothing is published when there is none."""
        ledger = self._ledger
        self._time = asyncio.get_running_loop().time
        self._error = await ledger.load()
        self._contact = await self._store.contact()
        running, self._heard = await self._store.running()
        # time in which edged did not run is not counted: only the wall clock could say how long it was
        start = max(running, ledger.latest) or self._clock()
        self._running_from, self._heard = start - self._time(), self._heard or start
        if ledger.good is not None:
            self._contact = max(self._contact, ledger.good.read_at)
            ledger.confirm(self._contact)
            self._source.remember(self._contact)
            ledger.opened = self._stale() and self._settings.stale.then == "open"
            await ledger.publish(ledger.good)
            log.info("billing-loaded", snapshot=ledger.good.id, subscribers=len(ledger.good.subscribers))

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll(), name="billing-poll")
            group.create_task(self._keep_saved(), name="billing-save")
            group.create_task(self._confirm(), name="billing-confirm")

    async def _poll(self) -> None:
        failures = 0
        full_at = 0.0
        while True:
            self._hurry.clear()
            full = self._time() >= full_at
            result = await self._look(full=full)
            if full and result.outcome is Outcome.FAILED and self._previous is not None:
                # a large list may fail for an hour while billing answers what has changed: no payment waits for it
                full_at = self._time() + min(self._settings.poll.full, _FULL_AGAIN)
                result = await self._look(full=False)
            elif full and result.outcome is not Outcome.FAILED:
                full_at = self._time() + self._settings.poll.full
            # a disk of ours that is full is no reason to ask billing less often
            failures = 0 if self._answered else failures + 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay(failures)):
                    await self._hurry.wait()

    async def stop(self) -> None:
        """Let go of the source, and leave on disk what is in force."""
        async with self._lock:
            await self._ledger.save()
        await self._source.close()

    def reconfigure(self, settings: BillingSettings, own: tuple[Prefix, ...]) -> None:
        """Take new limits, times and own addresses; another source needs a restart."""
        self._settings, self._ground = settings, Ground(settings.guard.widest, own)
        self._ledger.guard(self._ground)

    def lines_to_block(self, prefixes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
        """Of one subscriber's online lines those that may ever be blocked, whoever says it; none when they are vast."""
        return () if self._ground.is_vast(prefixes) else tuple(p for p in prefixes if self._ground.forbids(p) is None)

    async def sync(self, watch: Progress = silent) -> SyncResult:
        """Read everything now."""
        self._source.hurry()
        return await self._look(full=True, watch=watch)

    async def accept(self, snapshot_id: str, *, who: str = "") -> SyncResult:
        """Make the held reading of exactly this id the list in force: a person has looked at it."""
        async with self._lock:
            ledger = self._ledger
            held = ledger.held
            if held is None:
                return SyncResult(Outcome.REFUSED, ledger.good.id if ledger.good else "", "no reading is held")
            if held.id != snapshot_id:
                text = f"another reading is held; look at it, then: edged sync --accept {held.id}"
                return SyncResult(Outcome.REFUSED, held.id, text, ledger.reasons)
            before = ledger.good
            try:
                await ledger.accept_held(held)
            except UpstreamError as error:
                self._error = str(error)
                return SyncResult(Outcome.FAILED, held.id, str(error), ledger.reasons)
            log.warning("billing-held-accepted", snapshot=held.id, who=who)
            change = await asyncio.to_thread(change_between, before, held)
            return SyncResult(Outcome.ACCEPTED, held.id, f"{held.id} is in force", change=change)

    # --- one subscriber at a time ----------------------------------------------------------------

    async def hear(self, subscribers: Iterable[str], *, lists: bool = False) -> None:
        """Billing has news of these: ask about each now. ``lists``: of more than these, so poll now.

        UpstreamError when one could not be asked about; the others were.
        """
        if lists:
            self._hurry.set()
        # a list that has waited must not be taken for older than what is heard meanwhile
        self._source.hurry()
        await self._words.hear(subscribers)

    async def recheck(self, subscriber: str) -> State | None:
        """What billing says of one subscriber now, put into force as far as the guard lets it; opening always is.

        None: billing says nothing (or cannot be asked: UpstreamError).
        """
        self._source.hurry()
        return await self._words.ask(subscriber)

    async def _confirm(self) -> None:
        while True:
            await asyncio.sleep(pause(self.every, 0, self._chance))
            await self._words.confirm()

    async def _keep_saved(self) -> None:
        """Write the list with the words in it, a moment after they came."""
        while True:
            await asyncio.sleep(_SAVE_AFTER)
            if self._ledger.unsaved:
                async with self._lock:
                    await self._ledger.save()

    # --- whole lists -----------------------------------------------------------------------------

    def status(self) -> BillingStatus:
        """How things stand."""
        ledger = self._ledger
        good, held = ledger.good, ledger.held
        return BillingStatus(
            source=self._source.name,
            health=self._health(),
            snapshot=good.id if good else "",
            read_at=good.read_at if good else 0.0,
            contact=self._contact,
            age=self._running() - self._heard if self._contact else 0.0,
            subscribers=len(good.subscribers) if good else 0,
            blocked=blocked_in(good) if good else 0,
            known=good.known if good else None,
            opened=ledger.opened,
            error=self._error or ledger.error,
            trouble=self._source.trouble,
            held=HeldReading.of(held, ledger.reasons) if held else None,
            stands_in=self._source.stands_in,
            marks=self._previous.marks if self._previous else {},
        )

    def _stale(self) -> bool:
        return bool(self._contact) and self._running() - self._heard > self._settings.stale.after

    def _running(self) -> float:
        return self._running_from + self._time()

    def _health(self) -> Health:
        if self._stale():
            return Health.STALE
        if self._error or self._ledger.error:
            return Health.FAILING
        if self._ledger.held is not None:
            return Health.HELD
        return Health.OK if self._ledger.good is not None else Health.STARTING

    @property
    def current_at(self) -> float:
        """When the list in force was last what billing says, epoch seconds; 0: never."""
        return self._ledger.current_at

    @property
    def in_force(self) -> Snapshot | None:
        """The last list that the guard let through, with the words on single subscribers since."""
        return self._ledger.good

    @property
    def has_read(self) -> bool:
        """True once a list that was read since the start was let through."""
        return self._ledger.followed

    @property
    def held(self) -> Snapshot | None:
        """The reading that waits for a person, if any."""
        return self._ledger.held

    @property
    def every(self) -> float:
        """Seconds between two looks while all is well."""
        return self._source.every if self._source.every is not None else self._settings.poll.changes

    def _delay(self, failures: int) -> float:
        if self._source.waits:
            return following(self.every, failures, self._chance)
        return pause(self.every, failures, self._chance, cheap=self._source.every is not None)

    def _guard(self) -> GuardSettings:
        """What may change without a person; a hub has judged the amounts, and who stands in for it has not."""
        guard = self._settings.guard
        return guard.model_copy(update={"leave_to_hub": False}) if self._source.stands_in else guard

    async def _look(self, *, full: bool, watch: Progress = silent) -> SyncResult:
        async with self._polling:
            self.counters.polls += 1
            began, self._answered = self._time(), False
            try:
                if not full:
                    self._previous = await self._words.base(self._previous)
                reading = await self._source.read(None if full else self._previous, watch)
                self._answered = True
                return await self._answer(reading, began)
            except UpstreamError as error:
                async with self._lock:
                    return await self._failed(error)

    async def _answer(self, reading: Reading | None, began: float) -> SyncResult:
        """Act on what billing answered. Who is left out of a reading that is held is asked about without the lock."""
        async with self._lock:
            await self._reached()
            before, held = self._ledger.good, self._ledger.held
            if reading is None and (held is None or self._previous is None):
                return self._unchanged()
            result = self._unchanged() if reading is None else await self._take(reading, began, before)
            silent_ones = self._ledger.some_left_out(self._chance) if result.outcome is Outcome.HELD else []
        answers = await second_look(self._source, silent_ones)
        async with self._lock:
            if not await self._ledger.lift(evidence(answers)) or self._previous is None:
                return result
            return await self._take(self._previous, began, before)

    async def _failed(self, error: UpstreamError) -> SyncResult:
        ledger = self._ledger
        self.counters.refused += 1
        if str(error) != self._error:
            log.error("billing-failed", error=str(error))
        self._error = str(error)
        await self._note()
        self._open_when_stale()
        if ledger.pending and ledger.good is not None:
            # this host's addresses are protected whether billing answers or not
            with contextlib.suppress(UpstreamError):  # still pending: the next look tries again
                await ledger.publish(ledger.good)
        return SyncResult(Outcome.FAILED, ledger.good.id if ledger.good else "", self._error)

    def _open_when_stale(self) -> bool:
        """True when the silence lasts, and lines stay open for it."""
        stale = self._stale() and self._settings.stale.then == "open" and self._ledger.good is not None
        if stale and not self._ledger.opened:
            self._ledger.opened = self._ledger.pending = True
            log.error("billing-stale-opened")
        return stale

    async def _reached(self) -> None:
        """Billing has answered, us or a hub: silence is counted from then, and lines opened for it follow the list."""
        ledger, now, confirmed = self._ledger, self._clock(), self._source.confirmed_at
        age = 0.0 if confirmed is None else max(0.0, now - confirmed)
        self._contact, self._heard = now - age, self._running() - age
        if self._error:
            log.info("billing-recovered")
        self._error = ""
        opened = self._open_when_stale()
        if (ledger.opened or ledger.pending) and ledger.good is not None:
            ledger.opened = opened
            await ledger.publish(ledger.good)
        await self._note()
        await ledger.save()

    async def _note(self) -> None:
        """On disk, now and then: how long edged has run, and when billing was last reached."""
        running = self._running()
        if running - self._noted < _CONTACT_EVERY:
            return
        self._noted = running
        try:
            await self._store.note_contact(self._contact, running, self._heard)
        except UpstreamError:
            # what billing says, a payment perhaps, does not wait for the disk
            self.counters.saving_failed += 1

    def _unchanged(self) -> SyncResult:
        ledger = self._ledger
        ledger.confirm(self._contact)
        self.counters.unchanged += 1
        if ledger.held is not None:
            return SyncResult(Outcome.HELD, ledger.held.id, told(ledger.held, ledger.reasons), ledger.reasons)
        return SyncResult(Outcome.UNCHANGED, ledger.good.id if ledger.good else "", "nothing changed")

    async def _take(self, reading: Reading, began: float, before: Snapshot | None) -> SyncResult:
        """Judge ``reading``, which was begun at ``began`` (loop time), and act on the verdict.

        What it changed is counted from ``before``.
        """
        ledger, guard = self._ledger, self._guard()
        snapshot = await self._words.over(reading.snapshot, began)
        verdict = await ledger.judge(snapshot, guard, self._running())
        if isinstance(verdict, Held) and await ledger.lift(snapshot):
            verdict = await ledger.judge(snapshot, guard, self._running())
        if isinstance(verdict, Held):
            await ledger.hold(snapshot, verdict.reasons)
            self._previous = replace(reading, snapshot=snapshot)
            return SyncResult(Outcome.HELD, snapshot.id, told(snapshot, ledger.reasons), ledger.reasons)
        accepted = await ledger.follow(snapshot, verdict)
        self._previous = replace(reading, snapshot=snapshot)
        self._words.taken(began)
        if not accepted:
            return self._unchanged()
        change = await asyncio.to_thread(change_between, before, snapshot)
        return SyncResult(Outcome.ACCEPTED, snapshot.id, f"{snapshot.id} is in force", change=change)
