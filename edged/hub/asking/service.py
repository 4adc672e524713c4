# SPDX-License-Identifier: Apache-2.0
"""What billing says of one subscriber now, asked once for all edges that want to know it in the same moment. Waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from edged.errors import UpstreamError
from edged.model import State

_AT_ONCE = 8
"""Questions that billing is asked at the same time."""
_WAITING = 512
"""Subscribers who are asked about or wait for it; beyond, the answer is "later"."""
_FRESH_S = 1.0
"""So old an answer may be for whoever asks next."""
_LONGEST_S = 20.0

Ask = Callable[[str], Awaitable[State | None]]


class Asking:
    """One question a subscriber at a time."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._asked: dict[str, asyncio.Task[State | None]] = {}

    async def state(self, subscriber: str) -> State | None:
        """The state; None: billing knows nobody of that id. UpstreamError: it cannot be asked now."""
        task = self._asked.get(subscriber)
        if task is None:
            if len(self._asked) >= _WAITING:
                raise UpstreamError("too many subscribers are asked about at once")
            task = self._asked[subscriber] = asyncio.create_task(self._answered(subscriber))
            task.add_done_callback(lambda _: self._forget_soon(subscriber))
        return await asyncio.shield(task)  # others may be waiting for it too

    async def _answered(self, subscriber: str) -> State | None:
        try:
            async with asyncio.timeout(_LONGEST_S), self._turn:
                return await self._ask(subscriber)
        except TimeoutError:
            raise UpstreamError(f"billing did not answer within {_LONGEST_S:.0f} s") from None

    def _forget_soon(self, subscriber: str) -> None:
        task = self._asked[subscriber]
        if task.cancelled() or task.exception() is not None:
            del self._asked[subscriber]
        else:
            asyncio.get_running_loop().call_later(_FRESH_S, self._asked.pop, subscriber, None)

    def stop(self) -> None:
        """Ask no more."""
        for task in tuple(self._asked.values()):
            task.cancel()
