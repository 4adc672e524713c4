# SPDX-License-Identifier: Apache-2.0
"""The list in force, the reading that is held, and the guard's memory. Publishes, writes files. I/O.

Order of an accepted list: memory, file, publish. Order of a word that opens a line: publish, then file. One caller at a
time: the billing service holds its lock around every call here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from edged.billing.ground import Ground
from edged.billing.guard import (
    Accepted,
    Held,
    Reason,
    Verdict,
    enforceable,
    judge,
    judge_word,
    lifts,
    remember,
    vanished,
)
from edged.billing.reading import evidence, with_word, with_words, words_between
from edged.billing.settings import GuardSettings
from edged.billing.status import Counters
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber
from edged.state.guard_memory import GuardMemory, GuardMemoryStore
from edged.state.snapshots import SnapshotFiles

log = structlog.get_logger(__name__)


_FEW = 64
"""So many subscribers whom an accepted reading changes are put into force one by one."""
_SECOND_LOOKS = 32
"""So many whom a held reading leaves out are asked about, one by one; others the next time."""


class Publish(Protocol):
    """Puts a list into force everywhere."""

    async def __call__(self, snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        """All of ``snapshot``; or, with ``words``, its name, and these subscribers in place of what was published."""


class Ledger:
    """What the guard let through, and what became of it."""

    def __init__(
        self, *, guard_memory: GuardMemoryStore, snapshots: SnapshotFiles, publish: Publish, ground: Ground
    ) -> None:
        self.counters = Counters()
        self.good: Snapshot | None = None
        self.held: Snapshot | None = None
        self.reasons: tuple[Reason, ...] = ()
        self.error = ""
        """Why the disk does not take what it should; empty: it does."""
        self.opened = False
        """True while every line is open because billing is silent."""
        self.followed = False
        """True once a reading was put into force since the start."""
        self.pending = False
        """True while the list in force and what was published may differ."""
        self.unsaved = False
        """True while the list in force is newer than the one on disk."""
        self._spoken: dict[str, Subscriber] = {}
        """Words in force that are not on disk yet, where they are all that is not."""
        self._places: dict[str, int] = {}
        self._placed: tuple[Subscriber, ...] = ()
        """The list that ``_places`` is about."""
        self._confirmed = 0.0
        """When billing last said that nothing had changed, epoch seconds."""
        self._memory = GuardMemory()
        self._held_with_keys = False
        self._store = guard_memory
        self._files = snapshots
        self._publish = publish
        self._ground = ground

    @property
    def latest(self) -> float:
        """Running time of the latest event that the guard remembers; 0: none."""
        memory = self._memory
        return max(0.0, *memory.blocked.values(), *memory.vanished.values(), *memory.moved.values(), 0.0)

    async def load(self) -> str:
        """Take what is on disk; a sentence where a file was damaged."""
        self._memory = await self._store.load()
        found = await asyncio.to_thread(self._files.load)
        held = await asyncio.to_thread(self._files.held)
        if found.fault:
            log.error("billing-snapshot-damaged", fault=found.fault, older_taken=found.snapshot is not None)
        self.good, self.held = found.snapshot, held.snapshot
        if self.good is not None and found.words:
            self.good = await asyncio.to_thread(with_words, self.good, found.words)
        return found.fault

    def guard(self, ground: Ground) -> None:
        """Take other own addresses and widths; the list is published anew at the next look."""
        self._ground = ground
        self.pending = True

    @property
    def current_at(self) -> float:
        """When the list in force was last what billing says, epoch seconds; 0: never. Never earlier than before."""
        return max(self._confirmed, self.good.read_at) if self.good is not None else 0.0

    def confirm(self, at: float) -> None:
        """Billing said at ``at``, epoch seconds, that nothing has changed: not since a reading that is held."""
        if self.held is None:
            self._confirmed = at

    # --- whole readings --------------------------------------------------------------------------

    async def judge(self, snapshot: Snapshot, settings: GuardSettings, now: float) -> Verdict:
        """What the guard says of ``snapshot`` at ``now`` (running time)."""
        return await asyncio.to_thread(judge, snapshot, self.good, self._memory, settings, ground=self._ground, now=now)

    async def follow(self, snapshot: Snapshot, verdict: Accepted) -> bool:
        """Put an accepted reading into force; False: it says what is in force already. UpstreamError."""
        good = self.good
        # a revision of billing's is another after each word of ours that billing lists now, too
        alike = good is not None and (good.id == snapshot.id or (good.sums is not None and good.sums == snapshot.sums))
        news = good is None or not alike or (good.keys is None and snapshot.keys is not None)
        if good is None or news or self.unsaved:
            await self._put_in_force(snapshot, verdict.memory)
            log.info("billing-accepted", snapshot=snapshot.id, subscribers=len(snapshot.subscribers))
            return True
        if verdict.memory != self._memory:
            await self._store.save(verdict.memory)
            self._memory = verdict.memory
        self.good, self.followed = replace(good, read_at=snapshot.read_at, known=snapshot.known), True
        await self._forget_held()
        return False

    async def accept_held(self, held: Snapshot) -> None:
        """Put the held reading into force on a person's word. UpstreamError."""
        held = with_words(held, ())  # under its own name: it may have been corrected since a person saw it
        memory = remember(held, self._memory)
        if not self._held_with_keys:
            # from disk: its keys were not kept, they come with the next poll and are judged then
            memory = replace(memory, keys=self._memory.keys)
        elif held.keys is None and self._memory.keys:
            held = replace(held, keys=())  # a person has seen that the source has no keys any more
        await self._put_in_force(held, memory)

    async def hold(self, snapshot: Snapshot, reasons: tuple[Reason, ...]) -> None:
        """Keep the reading until a person has decided, or a better one has come."""
        news = self.held is None or self.held.id != snapshot.id
        if self.held is None and self.good is not None:
            # for the time after a restart: an edge of this hub believes no list that is older than one before
            self.good, self.unsaved, self._spoken = replace(self.good, read_at=self.current_at), True, {}
        self.held, self.reasons, self._held_with_keys = snapshot, reasons, True
        if news:
            self.counters.held += 1
            log.error("billing-held", snapshot=snapshot.id, reasons=[str(reason) for reason in reasons])
            await self._keep_held()

    async def _put_in_force(self, snapshot: Snapshot, memory: GuardMemory) -> None:
        """What opens lines first, then remember, keep and publish the rest: no payment waits for a disk."""
        good = self.good
        words = await asyncio.to_thread(words_between, good, snapshot, _FEW) if good and not self.unsaved else None
        opened = await asyncio.to_thread(lifts, good, snapshot, absent_too=True) if good else None
        if good is not None and opened is not None:
            places = [self._place(good, word.id) for word in words or ()]
            lifted = tuple(
                opened.subscribers[place]
                for place in places
                if place is not None and opened.subscribers[place] is not good.subscribers[place]
            )
            self.good = opened
            await self.publish(opened, lifted if words else None)
        self._spoken = {}
        try:
            await self._store.save(memory)
            self._memory = memory
            # a few changes are a few lines in the journal: not the whole list at each look
            appended = await asyncio.to_thread(self._files.append, words) if words else False
            if not appended:
                await asyncio.to_thread(self._files.save, snapshot)
        except UpstreamError:
            self.counters.saving_failed += 1
            self.unsaved = True
            raise
        self.good, self.unsaved, self.followed = snapshot, False, True
        self.counters.accepted += 1
        await self.publish(snapshot, words)
        await self._forget_held()

    async def _forget_held(self) -> None:
        if self.held is not None:
            self.held, self.reasons, self._held_with_keys = None, (), False
            with contextlib.suppress(UpstreamError):  # it is found again after a restart, and asked about again
                await asyncio.to_thread(self._files.drop_held)

    async def _keep_held(self) -> None:
        with contextlib.suppress(UpstreamError):  # a full disk; what is held is held all the same
            if self.held is not None:
                await asyncio.to_thread(self._files.hold, self.held)

    def some_left_out(self, chance: random.Random) -> list[str]:
        """Some of those whom the held reading leaves out, whatever it is held for: any may have paid."""
        gone = sorted(vanished(self.held, self.good)) if self.held and self.good else []
        return chance.sample(gone, min(len(gone), _SECOND_LOOKS))

    # --- words on single subscribers -------------------------------------------------------------

    async def lift(self, words: Snapshot) -> bool:
        """Open what ``words`` say is active: the line first, the disk second. True when there was any."""
        # accepting it later must not block again who has paid meanwhile; the id that a person saw stays good
        corrected = await asyncio.to_thread(lifts, self.held, words) if self.held else None
        if self.held and corrected:
            self.held = replace(corrected, id=self.held.id)
        opened = await asyncio.to_thread(lifts, self.good, words) if self.good else None
        if opened is not None:
            # before it is published: that may fail, and the word must outlive it
            self.good, self.unsaved, self._spoken = opened, True, {}
            self.counters.lifts += 1
            await self.publish(opened)
            await self.save()
        if corrected:
            await self._keep_held()
        return opened is not None

    def says(self, word: Subscriber) -> bool:
        """True when the list in force has this subscriber in this state."""
        place = self._place(self.good, word.id) if self.good is not None else None
        return self.good is not None and place is not None and self.good.subscribers[place].state is word.state

    async def heed(self, word: Subscriber, settings: GuardSettings, now: float) -> bool:
        """Act on what billing answered about one subscriber, if the guard lets it; True: it is in force.

        A word that opens is never judged. The disk gets the list at the next look: whoever paid does not wait.
        """
        in_force = await self._heed(word, settings, now)
        if self.held is not None and (in_force or word.state is State.ACTIVE):
            # accepting it later must not undo what was heard since; the id that a person saw stays good
            corrected = await asyncio.to_thread(with_words, self.held, [word])
            self.held = replace(corrected, id=self.held.id)
            await self._keep_held()
        return in_force

    async def _heed(self, word: Subscriber, settings: GuardSettings, now: float) -> bool:
        good = self.good
        if good is None:
            return False  # there is nothing yet that a single word could be a change of
        place = self._place(good, word.id)
        before = None if place is None else good.subscribers[place]
        if before == word:
            return True
        if before is None and word.state is State.ACTIVE:
            return True  # nothing is known against them
        if word.state is State.BLOCKED and not await self._admitted(word, before, settings, now):
            return False
        if not self.unsaved or self._spoken:
            self._spoken[word.id] = word
        self.good, self.unsaved = with_word(good, word, place), True
        # a word goes where the one before stood, or after all: the others keep their places
        self._placed = self.good.subscribers
        self._places.setdefault(word.id, len(good.subscribers))
        self.counters.words += 1
        await self.publish(self.good, (word,))
        return True

    def _place(self, good: Snapshot, subscriber: str) -> int | None:
        """Where ``good`` lists a subscriber; found for all at once, and kept while single words change it."""
        if self._placed is not good.subscribers:
            self._places = {s.id: place for place, s in enumerate(good.subscribers)}
            self._placed = good.subscribers
        return self._places.get(subscriber)

    async def _admitted(self, word: Subscriber, before: Subscriber | None, settings: GuardSettings, now: float) -> bool:
        """Whether a word that blocks may be acted on; the guard has remembered it then."""
        verdict = judge_word(word, before, self._memory, settings, ground=self._ground, now=now)
        if isinstance(verdict, Held):
            self.counters.words_held += 1
            log.warning("billing-word-held", subject=word.id, reasons=[str(reason) for reason in verdict.reasons])
            return False
        if verdict.memory != self._memory:
            await self._store.save(verdict.memory)
            self._memory = verdict.memory
        return True

    # --- everybody, and the disk -----------------------------------------------------------------

    async def publish(self, snapshot: Snapshot, words: Sequence[Subscriber] | None = None) -> None:
        """Tell everybody; ``words``: nothing else has changed."""
        ground = self._ground
        if words is not None and not self.pending and not self.opened:
            self.pending = True
            shown = enforceable(evidence(words), ground).subscribers
            await self._publish(replace(snapshot, subscribers=(), keys=None, sums=None), shown)
        else:
            whole = await asyncio.to_thread(enforceable, snapshot, ground)
            if self.opened:
                whole = replace(whole, id=f"{snapshot.id}.open", subscribers=())
            self.pending = True
            await self._publish(whole)
        self.pending = self._ground is not ground  # new own addresses may have come meanwhile

    async def save(self) -> None:
        """Bring the disk up to the list in force; a word that opened a line must outlive a restart."""
        if not self.unsaved or self.good is None:
            return
        saving, words = self.good, tuple(self._spoken.values())
        try:
            appended = await asyncio.to_thread(self._files.append, words) if words else False
            if not appended:
                await asyncio.to_thread(self._files.save, saving)
        except UpstreamError as error:
            self.counters.saving_failed += 1
            if str(error) != self.error:
                log.warning("billing-snapshot-not-saved", error=str(error))
            self.error = str(error)
        else:
            self.error, self._spoken = "", {}
            self.unsaved = self.good is not saving
