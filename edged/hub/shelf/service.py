# SPDX-License-Identifier: Apache-2.0
"""Bodies by name, each made once in a thread however many ask for it, and kept while there is room. Waits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from edged.hub.answer import Body

_OCTETS = 64 * 1024 * 1024
_BESIDE = 1024
"""Octets that a body takes beside its own: its name, its digest, its place."""


class Shelf:
    """Keeps the bodies that were asked for last."""

    def __init__(self, octets: int = _OCTETS) -> None:
        """``octets``: room, counted as the bodies are kept."""
        self._room = octets
        self._bodies: OrderedDict[tuple[str, ...], Body] = OrderedDict()
        self._octets = 0
        self._making: dict[tuple[str, ...], asyncio.Task[Body]] = {}

    async def body(self, name: tuple[str, ...], make: Callable[..., bytes], *arguments: Any) -> Body:
        """The body of that name, which ``make`` makes of ``arguments`` where it is not there."""
        there = await self.there(name)
        if there is not None:
            return there
        making = asyncio.to_thread(lambda: Body.of(make(*arguments)))
        task = self._making[name] = asyncio.create_task(making, name="hub-body")
        task.add_done_callback(lambda _: self._made(name))
        return await asyncio.shield(task)  # others may be waiting for it too

    async def there(self, name: tuple[str, ...]) -> Body | None:
        """The body of that name, where it is there or being made."""
        if name in self._bodies:
            self._bodies.move_to_end(name)
            return self._bodies[name]
        task = self._making.get(name)
        return await asyncio.shield(task) if task is not None else None

    def keep(self, name: tuple[str, ...], body: Body) -> Body:
        """Put a body there that was made elsewhere."""
        self._bodies[name] = body
        self._octets += len(body.octets) + _BESIDE
        while self._octets > self._room and len(self._bodies) > 1:
            _, gone = self._bodies.popitem(last=False)
            self._octets -= len(gone.octets) + _BESIDE
        return body

    def _made(self, name: tuple[str, ...]) -> None:
        task = self._making.pop(name)
        if not task.cancelled() and task.exception() is None:
            self.keep(name, task.result())
