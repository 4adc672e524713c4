"""An event loop on virtual time: when nothing is ready the clock moves to the next timer instead of anybody waiting.

Threads are no threads here. What is given to an executor runs on the spot or a moment later, and its result comes some
virtual milliseconds after, both drawn from the seed: the same seed is the same run, and a kill may fall between a
file that was written and the coroutine that is told so.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

WORK = 0.010
"""Seconds at most that a thread takes."""


class DeadlockError(Exception):
    """Nothing is ready and nothing is scheduled: whoever is awaited will never come."""


class _Still(selectors.SelectSelector):
    """Looks at its files without waiting; the time that it should have waited passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pass_time: Callable[[float], None] = lambda _seconds: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError
        if timeout > 0:
            self.pass_time(timeout)
        return []


class Clockwork(asyncio.SelectorEventLoop):
    """Virtual monotonic time from 0, seeded; ``clock`` is the wall, which may be set while time goes on."""

    def __init__(self, random: Random, wall: float) -> None:
        self._now = 0.0
        self._random = random
        self._wall = wall
        still = _Still()
        super().__init__(still)
        still.pass_time = self._pass
        self.switched_off: set[int] = set()
        """Lives (see ``life``) that were killed: their threads begin nothing any more."""
        self.life = 0
        """Whose work it is that is given to threads now."""

    def time(self) -> float:
        return self._now

    def clock(self) -> float:
        """Epoch seconds as this host has them."""
        return self._wall + self._now

    def set_clock(self, by: float) -> None:
        """The wall clock jumps; time does not."""
        self._wall += by

    def _pass(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        life = self.life

        def work() -> Callable[[], None]:
            if life in self.switched_off:
                return lambda: None
            try:
                result = func(*args)
            except BaseException as error:  # noqa: BLE001  # as a thread does: it belongs to whoever awaits it
                fault = error
                return lambda: None if future.done() else future.set_exception(fault)
            return lambda: None if future.done() else future.set_result(result)

        took = self._random.uniform(0, WORK)
        # an executor of one thread keeps its order; the common pool does not
        if executor is not None or self._random.random() < 0.5:
            self.call_later(took, work())
        else:
            self.call_later(took, lambda: work()())  # noqa: PLW0108  # the work itself is done then, not now
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""


def run(loop: Clockwork, main: Callable[[], Any]) -> Any:
    """``main()`` to its end on ``loop``, which is closed then."""
    asyncio.set_event_loop(loop)
    lost: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: lost.append(context))
    try:
        result = loop.run_until_complete(main())
        if lost:
            raise RuntimeError(f"an exception that nobody saw: {lost[0]}")
        return result
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
