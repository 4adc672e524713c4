# SPDX-License-Identifier: Apache-2.0
"""A router's connection in a thread of its own, off the loop, at a pace that the operator set. I/O.

What is asked goes in order, a piece at a time, so that a word that cannot wait goes between two pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edged.enforce.routeros.commands import Command
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.routeros.api import Alternatives, Answer, Keep, Router
from edged.errors import UpstreamError

PIECE = 100
"""Commands of one piece at most; fewer where the rate is low."""
PIECES_A_SECOND = 10
READ_PATIENCE = 6.0
"""A router is silent while it walks through a long list: so many times the usual silence is waited for."""

T = TypeVar("T")


class RouterThread:
    """``lost`` is called when a connection has ended: nothing is known of the router then."""

    def __init__(self, settings: RouterosSettings, *, lost: Callable[[], None]) -> None:
        self.router = Router(settings)
        self._settings = settings
        self._rate = settings.rate
        self._lost = lost
        self.connection = 0
        """Its number; what is known of the router is true of one alone."""
        self._thread: ThreadPoolExecutor | None = None
        self._free_at = 0.0
        """When the next command may go, in the loop's seconds."""

    @property
    def piece(self) -> int:
        """How many commands go at once."""
        return max(1, min(PIECE, self._rate // PIECES_A_SECOND))

    async def connect(self) -> bool:
        """True for a new connection. UpstreamError when there can be none."""
        before = self.connection
        self.connection = await self.run(self.router.connect)
        return self.connection != before

    async def ask(self, command: Command, alternatives: Alternatives = ()) -> Answer:
        """One command that changes nothing. UpstreamError when it is not answered."""
        router, connection = self.router, self.connection
        return await self.run(lambda: router.ask(connection, command, alternatives))

    async def walk(self, command: Command, alternatives: Alternatives = (), keep: Keep = lambda _row: True) -> Answer:
        """A print that may take its time. UpstreamError when it is not answered."""
        router, connection = self.router, self.connection
        return await self.run(lambda: router.ask(connection, command, alternatives, patience=READ_PATIENCE, keep=keep))

    async def rows(
        self, command: Command, alternatives: Alternatives = (), keep: Keep = lambda _row: True
    ) -> list[dict[str, str]]:
        """The rows of a print that may take its time. UpstreamError also when the router will not."""
        answer = await self.walk(command, alternatives, keep)
        if answer.trap:
            raise UpstreamError(f"{command.menu} cannot be read: {answer.trap}")
        return answer.rows

    async def begin(self, command: Command, *, cost: int) -> Callable[[], Awaitable[Answer]]:
        """Send one large change, when the rate allows; what is given waits for its answer."""
        router, connection = self.router, self.connection
        await self._paced(cost)
        begun = await self.run(lambda: router.begin(connection, command))
        return lambda: self.run(lambda: router.finish(connection, begun))

    async def many(self, commands: Sequence[Command], *, on: int | None = None) -> list[Answer]:
        """One piece of changes, when the rate allows, on one connection: that of now, whatever there is then."""
        router, connection = self.router, self.connection if on is None else on
        await self._paced(len(commands))
        return await self.run(lambda: router.many(connection, commands))

    async def _paced(self, count: int) -> None:
        """Wait until so many changes may go."""
        loop = asyncio.get_running_loop()
        wait = self._free_at - loop.time()
        # the next one's time begins now, so that who comes meanwhile waits behind it
        self._free_at = max(self._free_at, loop.time()) + count / self._rate
        if wait > 0:
            await asyncio.sleep(wait)

    def pieces(self, whole: Sequence[T], size: int = 0) -> Iterator[Sequence[T]]:
        """``whole`` in pieces that go at once."""
        size = size or self.piece
        return (whole[at : at + size] for at in range(0, len(whole), size))

    async def run(self, work: Callable[[], T]) -> T:
        """``work`` in the thread. UpstreamError: the connection is over."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="routeros")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except UpstreamError:
            self._lost()
            raise

    def close(self) -> None:
        """Hang up. A call that waits fails at once; nothing is waited for."""
        router, thread, self._thread = self.router, self._thread, None
        self.router, self.connection = Router(self._settings), 0
        router.interrupt()
        if thread is not None:
            thread.submit(router.close)
            thread.shutdown(wait=False)
