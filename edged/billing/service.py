# SPDX-License-Identifier: Apache-2.0
"""The billing room's shell: poll the source, judge, remember, publish. Dials out, writes files.

Order of an accepted list: memory, file, publish. Order of a word that opens a line: publish, then file.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

import structlog

from edged.billing.ground import Ground
from edged.billing.guard import (
    Accepted,
    Held,
    Reason,
    Rule,
    Verdict,
    enforceable,
    judge,
    lifts,
    remember,
    vanished,
)
from edged.billing.reading import Reading, evidence
from edged.billing.settings import BillingSettings
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
    told,
)
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber
from edged.state.guard_memory import GuardMemory, GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from edged.values import Prefix

log = structlog.get_logger(__name__)

_LONGEST_BACKOFF = 300.0
"""Seconds: a billing system that is down for long is found again within five minutes."""
_LONGEST_PAUSE = 5.0
"""Seconds, where a look is cheap: whoever mends the file is waiting for it."""
_SECOND_LOOKS = 32
"""How many vanished subscribers are asked about, one by one, when a reading is held; others the next time."""
_CONTACT_EVERY = 60.0
"""Seconds between two notes on disk that billing was reached."""


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
        publish: Callable[[Snapshot], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self.counters = Counters()
        self._settings = settings
        self._ground = Ground(settings.guard.widest, own)
        self._source = source
        self._store = guard_memory
        self._files = snapshots
        self._publish_snapshot = publish
        self._clock = clock
        self._random = random or secrets.SystemRandom()
        self._polling = asyncio.Lock()
        self._lock = asyncio.Lock()
        """Guards what follows; never held while a whole list is read, which may take minutes. Second looks hold it."""
        self._memory = GuardMemory()
        self._good: Snapshot | None = None
        self._previous: Reading | None = None
        self._held: Snapshot | None = None
        self._held_with_keys = False
        self._reasons: tuple[Reason, ...] = ()
        self._error = ""
        self._contact = 0.0
        self._contact_noted = 0.0
        self._opened = False
        self._pending = False
        """True while the list in force and what was published may differ."""
        self._unsaved = False
        """True while the list in force is newer than the one on disk."""
        self._words: dict[str, tuple[float, Subscriber]] = {}
        """Single answers that came while a list was being read: newer than it."""

    async def load(self) -> None:
        """Publish the last good list, before any socket opens; nothing is published when there is none."""
        self._memory = await self._store.load()
        found = await asyncio.to_thread(self._files.load)
        held = await asyncio.to_thread(self._files.held)
        if found.fault:
            log.error("billing-snapshot-damaged", fault=found.fault, older_taken=found.snapshot is not None)
        self._good, self._held = found.snapshot, held.snapshot
        self._error = found.fault
        self._contact = await self._store.contact()
        if self._good is not None:
            self._contact = max(self._contact, self._good.read_at)
            self._opened = self._stale() and self._settings.stale.then == "open"
            await self._publish(self._good)
            log.info("billing-loaded", snapshot=self._good.id, subscribers=len(self._good.subscribers))

    async def run(self) -> None:
        """Poll until cancelled."""
        failures = 0
        full_at = 0.0
        while True:
            full = asyncio.get_running_loop().time() >= full_at
            result = await self._look(full=full)
            if result.outcome is Outcome.FAILED:
                failures += 1
            else:
                failures = 0
                if full:
                    full_at = asyncio.get_running_loop().time() + self._settings.poll.full
            await asyncio.sleep(self._delay(failures))

    async def stop(self) -> None:
        """Let go of the source."""
        await self._source.close()

    def reconfigure(self, settings: BillingSettings, own: tuple[Prefix, ...]) -> None:
        """Take new limits, times and own addresses; another source needs a restart."""
        self._settings = settings
        self._ground = Ground(settings.guard.widest, own)
        self._pending = True

    async def sync(self) -> SyncResult:
        """Read everything now."""
        return await self._look(full=True)

    async def accept(self, snapshot_id: str, *, who: str = "") -> SyncResult:
        """Make the held reading of exactly this id the list in force: a person has looked at it."""
        async with self._lock:
            held = self._held
            if held is None:
                return SyncResult(Outcome.REFUSED, self._good.id if self._good else "", "no reading is held")
            if held.id != snapshot_id:
                text = f"another reading is held; look at it, then: edged sync --accept {held.id}"
                return SyncResult(Outcome.REFUSED, held.id, text, self._reasons)
            memory = remember(held, self._memory)
            if not self._held_with_keys:
                # from disk: its keys were not kept, they come with the next poll and are judged then
                memory = replace(memory, keys=self._memory.keys)
            elif held.keys is None and self._memory.keys:
                held = replace(held, keys=())  # a person has seen that the source has no keys any more
            try:
                await self._put_in_force(held, memory)
            except UpstreamError as error:
                self._error = str(error)
                return SyncResult(Outcome.FAILED, held.id, str(error), self._reasons)
            log.warning("billing-held-accepted", snapshot=held.id, who=who)
            return SyncResult(Outcome.ACCEPTED, held.id, f"{held.id} is in force")

    async def recheck(self, subscriber: str) -> State | None:
        """What billing says of one subscriber now; a word that they are active opens the line at once.

        None: billing says nothing (or cannot be asked: UpstreamError).
        """
        one = await self._source.read_one(subscriber)
        if one is None:
            return None
        async with self._lock:
            self._words[one.id] = (asyncio.get_running_loop().time(), one)
            await self._lift(evidence([one]))
        return one.state

    def status(self) -> BillingStatus:
        """How things stand."""
        good, held, now = self._good, self._held, self._clock()
        return BillingStatus(
            source=self._source.name,
            health=self._health(),
            snapshot=good.id if good else "",
            read_at=good.read_at if good else 0.0,
            contact=self._contact,
            age=max(0.0, now - self._contact) if self._contact else 0.0,
            subscribers=len(good.subscribers) if good else 0,
            blocked=blocked_in(good) if good else 0,
            known=good.known if good else None,
            opened=self._opened,
            error=self._error,
            held=HeldReading.of(held, self._reasons) if held else None,
        )

    def _stale(self) -> bool:
        return bool(self._contact) and self._clock() - self._contact > self._settings.stale.after

    def _health(self) -> Health:
        if self._stale():
            return Health.STALE
        if self._error:
            return Health.FAILING
        if self._held is not None:
            return Health.HELD
        return Health.OK if self._good is not None else Health.STARTING

    @property
    def every(self) -> float:
        """Seconds between two looks while all is well."""
        return self._source.every if self._source.every is not None else self._settings.poll.changes

    def _delay(self, failures: int) -> float:
        pause = self.every
        if failures:
            longest = _LONGEST_BACKOFF if self._source.every is None else _LONGEST_PAUSE
            pause = min(max(pause, 1.0) * 2.0 ** min(failures, 16), max(longest, pause))
        # a fleet of edges must not ask in step
        return pause * self._random.uniform(0.8, 1.2)

    async def _look(self, *, full: bool) -> SyncResult:
        async with self._polling:
            self.counters.polls += 1
            began = asyncio.get_running_loop().time()
            try:
                reading = await self._source.read(None if full else self._previous)
                async with self._lock:
                    await self._reached()
                    return self._unchanged() if reading is None else await self._take(reading, began)
            except UpstreamError as error:
                async with self._lock:
                    return await self._failed(error)

    async def _failed(self, error: UpstreamError) -> SyncResult:
        self.counters.refused += 1
        if str(error) != self._error:
            log.error("billing-failed", error=str(error))
        self._error = str(error)
        if self._stale() and self._settings.stale.then == "open" and not self._opened and self._good is not None:
            self._opened = True
            log.error("billing-stale-opened")
            self._pending = True
        if self._pending and self._good is not None:
            # this host's addresses are protected whether billing answers or not
            with contextlib.suppress(UpstreamError):  # still pending: the next look tries again
                await self._publish(self._good)
        return SyncResult(Outcome.FAILED, self._good.id if self._good else "", self._error)

    async def _reached(self) -> None:
        """Billing has answered: silence is counted anew, and lines opened for it follow the list again."""
        now = self._contact = self._clock()
        if self._error:
            log.info("billing-recovered")
        self._error = ""
        if (self._opened or self._pending) and self._good is not None:
            self._opened = False
            await self._publish(self._good)
        if abs(now - self._contact_noted) >= _CONTACT_EVERY:
            try:
                await self._store.note_contact(now)
            except UpstreamError:
                # what billing says, a payment perhaps, does not wait for the disk
                self.counters.saving_failed += 1
            self._contact_noted = now
        await self._save()

    def _unchanged(self) -> SyncResult:
        self.counters.unchanged += 1
        if self._held is not None:
            return SyncResult(Outcome.HELD, self._held.id, told(self._held, self._reasons), self._reasons)
        return SyncResult(Outcome.UNCHANGED, self._good.id if self._good else "", "nothing changed")

    async def _take(self, reading: Reading, began: float) -> SyncResult:
        """Judge ``reading``, which was begun at ``began`` (monotonic), and act on the verdict."""
        self._words = {name: word for name, word in self._words.items() if word[0] >= began}
        newer = evidence([one for _, one in self._words.values()])
        snapshot = await asyncio.to_thread(lifts, reading.snapshot, newer) or reading.snapshot
        verdict = await self._judge(snapshot)
        if isinstance(verdict, Held) and await self._heed(snapshot, verdict):
            verdict = await self._judge(snapshot)
        if isinstance(verdict, Held):
            await self._hold(snapshot, verdict.reasons)
            self._previous = reading
            return SyncResult(Outcome.HELD, snapshot.id, told(snapshot, self._reasons), self._reasons)
        result = await self._follow(snapshot, verdict)
        self._previous = reading
        return result

    async def _judge(self, snapshot: Snapshot) -> Verdict:
        guard, ground, now = self._settings.guard, self._ground, self._clock()
        return await asyncio.to_thread(judge, snapshot, self._good, self._memory, guard, ground=ground, now=now)

    async def _follow(self, snapshot: Snapshot, verdict: Accepted) -> SyncResult:
        good = self._good
        news = good is None or good.id != snapshot.id or (good.keys is None and snapshot.keys is not None)
        if good is None or news or self._unsaved:
            await self._put_in_force(snapshot, verdict.memory)
            log.info("billing-accepted", snapshot=snapshot.id, subscribers=len(snapshot.subscribers))
            return SyncResult(Outcome.ACCEPTED, snapshot.id, f"{snapshot.id} is in force")
        if verdict.memory != self._memory:
            await self._store.save(verdict.memory)
            self._memory = verdict.memory
        self._good = replace(good, read_at=snapshot.read_at, known=snapshot.known)
        await self._forget_held()
        return self._unchanged()

    async def _put_in_force(self, snapshot: Snapshot, memory: GuardMemory) -> None:
        """What opens lines first, then remember, keep and publish the rest: no payment waits for a disk."""
        opened = await asyncio.to_thread(lifts, self._good, snapshot, absent_too=True) if self._good else None
        if opened is not None:
            self._good = opened
            await self._publish(opened)
        try:
            await self._store.save(memory)
            self._memory = memory
            await asyncio.to_thread(self._files.save, snapshot)
        except UpstreamError:
            self.counters.saving_failed += 1
            self._unsaved = True
            raise
        self._good, self._unsaved = snapshot, False
        self.counters.accepted += 1
        await self._publish(snapshot)
        await self._forget_held()

    async def _forget_held(self) -> None:
        if self._held is not None:
            self._held, self._reasons, self._held_with_keys = None, (), False
            await asyncio.to_thread(self._files.drop_held)

    async def _heed(self, snapshot: Snapshot, verdict: Held) -> bool:
        """Open at once what a held reading says is active; ask about those it leaves out. True: any."""
        heard = await self._lift(snapshot)
        silent = vanished(snapshot, self._good) if self._good is not None else frozenset()
        if silent and {Rule.VANISHED, Rule.EMPTY} & {reason.rule for reason in verdict.reasons}:
            chosen = self._random.sample(sorted(silent), min(len(silent), _SECOND_LOOKS))
            heard |= await self._lift(evidence(await second_look(self._source, chosen)))
        return heard

    async def _hold(self, snapshot: Snapshot, reasons: tuple[Reason, ...]) -> None:
        """Keep the reading until a person has decided, or a better one has come."""
        news = self._held is None or self._held.id != snapshot.id
        self._held, self._reasons, self._held_with_keys = snapshot, reasons, True
        if news:
            self.counters.held += 1
            log.error("billing-held", snapshot=snapshot.id, reasons=[str(reason) for reason in reasons])
            await self._keep_held()

    async def _keep_held(self) -> None:
        with contextlib.suppress(UpstreamError):  # a full disk; what is held is held all the same
            if self._held is not None:
                await asyncio.to_thread(self._files.hold, self._held)

    async def _lift(self, evidence: Snapshot) -> bool:
        """Open what ``evidence`` says is active: the line first, the disk second. True when there was any."""
        if self._held and (corrected := await asyncio.to_thread(lifts, self._held, evidence)):
            # accepting it later must not block again who has paid meanwhile; the id that a person saw stays good
            self._held = replace(corrected, id=self._held.id)
            await self._keep_held()
        opened = await asyncio.to_thread(lifts, self._good, evidence) if self._good else None
        if opened is None:
            return False
        self._good = opened
        self.counters.lifts += 1
        await self._publish(opened)
        self._unsaved = True
        await self._save()
        return True

    async def _save(self) -> None:
        """Bring the disk up to the list in force; a word that opened a line must outlive a restart."""
        if not self._unsaved or self._good is None:
            return
        try:
            await asyncio.to_thread(self._files.save, self._good)
        except UpstreamError as error:
            self.counters.saving_failed += 1
            if str(error) != self._error:
                log.warning("billing-snapshot-not-saved", error=str(error))
            self._error = str(error)
        else:
            self._unsaved = False

    async def _publish(self, snapshot: Snapshot) -> None:
        ground = self._ground
        shown = await asyncio.to_thread(enforceable, snapshot, ground)
        if self._opened:
            shown = replace(shown, id=f"{snapshot.id}.open", subscribers=())
        self._pending = True
        await self._publish_snapshot(shown)
        self._pending = self._ground is not ground  # new own addresses may have come meanwhile
