# SPDX-License-Identifier: Apache-2.0
"""Asks billing about single subscribers, and keeps what it answered for the lists that are older. Dials out.

An answer opens at once and blocks as far as the guard lets it. One that blocks is asked for once more at the next look:
a billing system that is asked a moment after a payment may not know of it yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from edged.billing.guard import lifts
from edged.billing.ledger.service import Ledger
from edged.billing.reading import Reading, evidence, with_words
from edged.billing.settings import GuardSettings
from edged.billing.sources import Source
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber

_AT_ONCE = 8
"""Subscribers who are asked about at the same time."""
_CONFIRMED = 32
"""How many who were blocked by a word are asked about again at one look; others at the next."""


class Words:
    """Single answers, on their way into force. ``lock`` guards the ledger."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        lock: asyncio.Lock,
        *,
        guard: Callable[[], GuardSettings],
        running: Callable[[], float],
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._lock = lock
        self._guard = guard
        self._running = running
        self._said: dict[str, tuple[float, Subscriber]] = {}
        """The latest answers in force, with the loop's second at which they were asked for: newer than any list
        that was begun before."""
        self._opened: dict[str, Subscriber] = {}
        """Answers that opened since the latest reading: changes that forget them must not block again."""
        self._unconfirmed: dict[str, None] = {}
        """Blocked by a single answer, not asked about again yet."""

    async def hear(self, names: Iterable[str]) -> None:
        """Ask about each now. UpstreamError when one could not be asked about; the others were."""
        free = asyncio.Semaphore(_AT_ONCE)

        async def ask(name: str) -> None:
            async with free:
                await self.ask(name)

        for error in await asyncio.gather(*map(ask, names), return_exceptions=True):
            if isinstance(error, BaseException):
                raise error

    async def ask(self, name: str) -> State | None:
        """What billing says of one subscriber now, in force as far as the guard lets it. None: nothing.

        UpstreamError when it cannot be asked.
        """
        asked = asyncio.get_running_loop().time()
        one = await self._source.read_one(name)
        if one is None:
            return None
        async with self._lock:
            earlier = self._said.get(one.id)
            if earlier is not None and earlier[0] > asked:
                return one.state  # asked later, answered sooner: that one is the newer
            news = not self._ledger.says(one)
            in_force = await self._ledger.heed(one, self._guard(), self._running())
            if in_force or one.state is State.ACTIVE:
                self._said[one.id] = (asked, one)
            if one.state is not State.BLOCKED:
                self._opened[one.id] = one
            elif in_force and news:
                self._unconfirmed.setdefault(one.id)
        return one.state

    async def confirm(self) -> None:
        """Ask once more about those whom a single answer has blocked."""
        names = list(self._unconfirmed)[:_CONFIRMED]
        for name in names:
            del self._unconfirmed[name]
            try:
                await self.ask(name)
            except UpstreamError:
                self._unconfirmed.setdefault(name)
                return

    def forget(self, before: float) -> None:
        """Let go of answers that were asked for before a reading begun at ``before`` (loop time): it has them."""
        self._said = {name: word for name, word in self._said.items() if word[0] >= before}

    async def over(self, snapshot: Snapshot) -> Snapshot:
        """``snapshot`` with the answers that are newer than it."""
        words = [one for _, one in self._said.values()]
        return await asyncio.to_thread(with_words, snapshot, words) if words else snapshot

    async def base(self, reading: Reading | None) -> Reading | None:
        """The latest reading, as changes are built upon it: with the payments that were heard since."""
        words, self._opened = tuple(self._opened.values()), {}
        if reading is None or not words:
            return reading
        corrected = await asyncio.to_thread(lifts, reading.snapshot, evidence(words))
        return reading if corrected is None else replace(reading, snapshot=corrected)
