# SPDX-License-Identifier: Apache-2.0
"""Opens and asks on every target at once, waits for none that is down, and tells it later what it missed.

I/O through the targets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from edged.enforce.desired import REMINDED
from edged.enforce.standing import Counters, Learned
from edged.enforce.targets import Target
from edged.errors import ConfigError, UpstreamError
from edged.values import IpAddress

ADMIT_TIMEOUT = 2.0
"""Seconds a DNS answer may wait for the garden to open: resolvers' clients ask again after about two."""
TOLD_AT_ONCE = 256
"""Addresses that a target which was away is told in one go: what else it is asked for goes between."""
ASK_TIMEOUT = 10.0
"""Seconds that a question of a person may wait for one target; the others have answered by then."""
ASIDE_S = 600.0
"""Seconds a reminded line's way to one destination is left alone: most devices call home more often."""


T = TypeVar("T")


class Admission:
    """``failed`` hears of a target that could not open, so that it is compared soon."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        counters: Counters,
        *,
        clock: Callable[[], float],
        failed: Callable[[str], None],
    ) -> None:
        self.down: set[str] = set()
        """Targets whose last comparison failed: nobody waits for them."""
        self._targets = targets
        self._counters = counters
        self._clock = clock
        self._failed = failed
        self._learned = Learned()
        self._behind: set[str] = set()
        """Targets that did not open what they were asked to: nobody waits for them until they have caught up."""
        self._telling: dict[str, asyncio.Task[None]] = {}

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """Open the garden for addresses (each with seconds) on every target; never raises, is bounded."""
        self._learned.remember(entries, asyncio.get_running_loop().time())
        results = await asyncio.gather(*(self._admit(name, entries) for name in self._targets))
        self._counters.admitted += len(entries) * all(results)

    def opened(self, addresses: Iterable[IpAddress]) -> int:
        """How many of ``addresses`` the targets were told to let through, and still do."""
        now = asyncio.get_running_loop().time()
        return sum(self._learned.holds(address, now) for address in addresses)

    async def set_aside(self, source: IpAddress, destination: IpAddress) -> bool:
        """Leave the way from ``source`` to ``destination`` alone; True once it is so on every target that reminds."""
        names = [name for name, target in self._targets.items() if reminds(target)]
        if not names or not self.down.isdisjoint(names):
            return False  # whoever led it here is not ours to tell
        asked = (self._set_aside(self._targets[name], source, destination) for name in names)
        return all(await asyncio.gather(*asked))

    async def ask_each(self, ask: Callable[[Target], Awaitable[T]]) -> dict[str, T | UpstreamError]:
        """What each target answers to a person's question, all at once; an error where one cannot, or is down."""

        async def answer(name: str, target: Target) -> T | UpstreamError:
            if name in self.down and len(self._targets) > 1:
                return UpstreamError(f"{name} is down")
            try:
                async with asyncio.timeout(ASK_TIMEOUT):
                    return await ask(target)
            except UpstreamError as error:
                return error
            except TimeoutError:
                return UpstreamError(f"{name} did not answer")

        answers = await asyncio.gather(*(answer(name, target) for name, target in self._targets.items()))
        return dict(zip(self._targets, answers, strict=True))

    async def recovered(self, name: str) -> None:
        """The target is well again: open what it was not asked for, or did not open. It stays behind if it fails.

        A long garden goes on being told beside the rest: a word that somebody paid waits for none of it.
        """
        if name not in self._behind | self.down:
            return
        task = self._telling.get(name)
        if name in self.down and task is not None:
            task.cancel()  # it may have forgotten what it was told
        if name in self.down or task is None or task.done():
            task = self._telling[name] = asyncio.create_task(self._catch_up(name), name=f"garden-{name}")
        self.down.discard(name)
        self._behind.add(name)
        await asyncio.wait({task}, timeout=ADMIT_TIMEOUT)

    def close(self) -> None:
        """Tell nobody anything more."""
        for task in self._telling.values():
            task.cancel()

    async def _catch_up(self, name: str) -> None:
        told = 0
        try:
            # what is learned while it is told comes in the next turn
            while left := self._learned.left(asyncio.get_running_loop().time(), told):
                told = self._learned.turn
                if len(left) <= TOLD_AT_ONCE:
                    self._behind.discard(name)  # or it would never end where something is learned all the time
                for at in range(0, len(left), TOLD_AT_ONCE):
                    await self._targets[name].admit(left[at : at + TOLD_AT_ONCE])
            self._behind.discard(name)
        except (UpstreamError, ConfigError):
            # who is blocked there is right all the same, so it is not down
            self._behind.add(name)
            self._counters.admit_failed += 1
            self._counters.admit_failed_at = self._clock()

    async def _admit(self, name: str, entries: Sequence[tuple[IpAddress, float]]) -> bool:
        if name not in self._behind | self.down:
            try:
                async with asyncio.timeout(ADMIT_TIMEOUT):
                    await self._targets[name].admit(entries)
                return True
            except (UpstreamError, ConfigError, TimeoutError):
                self._behind.add(name)
                self._failed(name)
        self._counters.admit_failed += 1
        self._counters.admit_failed_at = self._clock()
        return False

    @staticmethod
    async def _set_aside(target: Target, source: IpAddress, destination: IpAddress) -> bool:
        try:
            async with asyncio.timeout(ADMIT_TIMEOUT):
                await target.set_aside(source, destination, ASIDE_S)
        except (UpstreamError, TimeoutError):
            return False
        return True


def reminds(target: Target) -> bool:
    """True when reminders can lead to the page there."""
    return any(name in target.carries for name in REMINDED.names)
