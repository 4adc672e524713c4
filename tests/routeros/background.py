"""A stand-in in a thread of its own, for clients that block: ``with running(router()) as server``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.routeros.server import RouterServer, serve

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds that anything here may take."""


class Background:
    """The thread's loop; ``server`` may be changed through ``do``, between commands of whoever else talks to it."""

    def __init__(self, server: RouterServer) -> None:
        self.server = server
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        async with serve(self.server):
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._over.wait()

    def start(self) -> None:
        """Until it listens."""
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise TimeoutError

    def do(self, change: Callable[[], T]) -> T:
        """Call it in the thread."""

        async def call() -> T:
            return change()

        if self._loop is None:
            raise RuntimeError("not started")
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` comes to in the thread."""
        if self._loop is None:
            raise RuntimeError("not started")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def stop(self) -> None:
        """Power off."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)


@contextmanager
def running(server: RouterServer) -> Iterator[Background]:
    """``server`` in a thread, until the block ends."""
    background = Background(server)
    background.start()
    try:
        yield background
    finally:
        background.stop()
