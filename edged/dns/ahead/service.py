# SPDX-License-Identifier: Apache-2.0
"""Keeps the sets filled with the garden's names, also for devices that never ask us. I/O.

Encrypted resolvers and the caches of operating systems go past this daemon: their first connection to a garden name
would be refused. Paced, so that no client's question waits behind these.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edged.dns.ahead.pace import NAMES_A_SECOND, life_seconds, round_seconds

_AT_ONCE = 8
"""Names under way: silent upstreams slow the round down, and take a few sockets only."""
_LOOK_AGAIN = 0.25
"""Seconds between two looks whether the sets can be written."""

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

    def __init__(self, names: tuple[str, ...], resolve: Resolve, ready: Callable[[], bool]) -> None:
        self.counters = AheadCounters()
        self._names, self._resolve, self._ready = names, resolve, ready
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
            begun, names = loop.time(), self._names
            await self._go_round(names)
            if self._changed.is_set():
                continue
            self._took = loop.time() - begun
            self.counters.rounds += bool(names)
            wait = max(0.0, round_seconds(len(names)) - self._took) if names else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    async def _go_round(self, names: tuple[str, ...]) -> None:
        life = life_seconds(len(names), self._took)
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for name in names:
                while not self._ready():  # noqa: ASYNC110  # a state of another room, and no event of it
                    await asyncio.sleep(_LOOK_AGAIN)
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
