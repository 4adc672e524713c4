# SPDX-License-Identifier: Apache-2.0
"""Keeps the sets filled with the garden's names, also for devices that never ask us. I/O.

Encrypted resolvers and the caches of operating systems go past this daemon: their first connection to a garden name
would be refused. Paced, so that no client's question waits behind these.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edged.dns.ahead.pace import NAMES_A_SECOND, life_seconds, round_seconds

_AT_ONCE = 8
"""Names under way: silent upstreams slow the round down, and take a few sockets only."""
_LOOK_AGAIN = 0.25
"""Seconds between two looks at the sets: nobody else tells when they can be written."""

Resolve = Callable[[str, float], Awaitable[bool]]
"""Puts the addresses of a name into the sets, for so many seconds at the least. False: nobody answered."""


@dataclass(slots=True)
class AheadCounters:
    """Plain counts since the start."""

    names: int = 0
    """Looked up."""
    failed: int = 0
    rounds: int = 0
    """Ended."""


class Ahead:
    """Goes round the names, again and again."""

    def __init__(self, names: tuple[str, ...], resolve: Resolve, sets: Callable[[], int | None]) -> None:
        """``sets``: None while they cannot be written, else a number that is another one when they were made anew."""
        self.counters = AheadCounters()
        self._names, self._resolve, self._sets = names, resolve, sets
        self._changed = asyncio.Event()
        self._took = 0.0
        """Seconds of the last round."""

    def reconfigure(self, names: tuple[str, ...]) -> None:
        """These names from now on; a round under way ends, and theirs begins at once."""
        if names != self._names:
            self._names, self._took = names, 0.0
            self._changed.set()

    async def run(self) -> None:
        """Look up until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            begun, names, sets = loop.time(), self._names, await self._writable()
            await self._go_round(names)
            if not self._changed.is_set():
                self._took = loop.time() - begun
                self.counters.rounds += bool(names)
                await self._rest(begun + round_seconds(len(names)) if names else math.inf, sets)

    async def _rest(self, until: float, sets: int) -> None:
        """Wait until then (the loop's seconds), or until there is a reason not to."""
        while (left := until - asyncio.get_running_loop().time()) > 0 and self._sets() in {sets, None}:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_AGAIN)):
                    await self._changed.wait()
                    return

    async def _writable(self) -> int:
        while (sets := self._sets()) is None:  # noqa: ASYNC110  # a state of another room, and no event of it
            await asyncio.sleep(_LOOK_AGAIN)
        return sets

    async def _go_round(self, names: tuple[str, ...]) -> None:
        life = life_seconds(len(names), self._took)
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for name in names:
                await self._writable()
                await room.acquire()
                if self._changed.is_set():
                    return
                group.create_task(self._look_up(name, life, room), name="dns-ahead")
                await asyncio.sleep(1 / NAMES_A_SECOND)

    async def _look_up(self, name: str, life: float, room: asyncio.Semaphore) -> None:
        try:
            self.counters.names += 1
            self.counters.failed += not await self._resolve(name, life)
        finally:
            room.release()
