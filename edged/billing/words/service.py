# SPDX-License-Identifier: Apache-2.0
"""Asks billing about single subscribers, and keeps what it answered for the lists that are older. Dials out.

An answer opens at once and blocks as far as the guard lets it. One that blocks is asked for once more at the next look:
a billing system that is asked a moment after a payment may not know of it yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from edged.billing.ledger.service import Ledger
from edged.billing.reading import Reading, with_words
from edged.billing.settings import GuardSettings
from edged.billing.sources import Source
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber

_AT_ONCE = 8
"""Subscribers who are asked about at the same time."""
_ATTEMPTS = 3
"""Questions about one subscriber while whole lists keep coming in between."""
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
        self._list_begun = 0.0
        """The loop's second at which the list in force was begun to be read."""
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
        one = None
        for _ in range(_ATTEMPTS):
            asked = asyncio.get_running_loop().time()
            one = await self._source.read_one(name)
            if one is None:
                return None
            async with self._lock:
                # a whole list that was begun later, and is in force already, knows better: ask again
                if asked >= self._list_begun or one.state is State.ACTIVE:
                    await self._heed(one, asked)
                    break
        return one.state if one is not None else None

    async def _heed(self, one: Subscriber, asked: float) -> None:
        earlier = self._said.get(one.id)
        if earlier is not None and earlier[0] > asked:
            return  # asked later, answered sooner: that one is the newer
        news = not self._ledger.says(one)
        in_force = await self._ledger.heed(one, self._guard(), self._running())
        if in_force or one.state is State.ACTIVE:
            self._said[one.id] = (asked, one)
        if in_force and news and one.state is State.BLOCKED:
            self._unconfirmed.setdefault(one.id)

    async def confirm(self) -> None:
        """Ask once more about those whom a single answer has blocked."""
        names = list(self._unconfirmed)[:_CONFIRMED]
        if names:
            # a list that has waited must not be taken for older than what is heard meanwhile
            self._source.hurry()
        for name in names:
            del self._unconfirmed[name]
            try:
                await self.ask(name)
            except UpstreamError:
                self._unconfirmed.setdefault(name)
                return

    async def over(self, snapshot: Snapshot, begun: float) -> Snapshot:
        """``snapshot``, whose reading began at ``begun`` (loop time), with the answers that are newer than it."""
        self._said = {name: word for name, word in self._said.items() if word[0] >= begun}
        words = [one for _, one in self._said.values()]
        return await asyncio.to_thread(with_words, snapshot, words) if words else snapshot

    def taken(self, begun: float) -> None:
        """A reading that began at ``begun`` is in force."""
        self._list_begun = begun

    async def base(self, reading: Reading | None) -> Reading | None:
        """The latest reading, as changes are built upon it: with the answers that were heard since.

        Changes speak of those who have changed, not of those of whom an answer was heard already.
        """
        words, self._said = [one for _, one in self._said.values()], {}
        if reading is None or not words:
            return reading
        return replace(reading, snapshot=await asyncio.to_thread(with_words, reading.snapshot, words))
