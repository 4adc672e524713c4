# SPDX-License-Identifier: Apache-2.0
"""The worker process that searches, asked over a pipe; equal questions share one search. I/O.

``hmac.digest`` never lets go of the interpreter lock: a search in a thread would hold everybody else up for
milliseconds at a time, while the pipe to a process costs a fraction of one.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import structlog

from edged.mpsk.desk import Search
from edged.mpsk.search import search_all
from edged.mpsk.wpa import Challenge
from edged.state.keys import StoredKey

log = structlog.get_logger(__name__)

MAX_WAITING = 32
"""Searches at once: at 50 ms each (10,000 keys) the last waits 1.6 s; access points wait 3 or 4."""

MAX_LOSSES = 3
"""Workers lost in a row, without one answer: a machine that lets none live gets its searches in threads."""


_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends us when our parent is gone."""


def _live_and_die_with_parent() -> None:
    # Ctrl-C reaches the whole foreground group: the parent decides when its worker ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # and a parent that was killed leaves nobody behind
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Searcher:
    """One worker process, its queue, and the searches that run."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._losses = 0
        self._running: dict[object, asyncio.Task[StoredKey | None]] = {}

    def start(self) -> None:
        """Make the worker, if there is none; it imports in the background."""
        if self._pool is not None or self._losses >= MAX_LOSSES:
            return
        # spawned, not forked: other threads hold locks at any time
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_live_and_die_with_parent)
        # the executor starts its process at the first piece of work: let that not be a request's
        self._pool.submit(int)

    async def stop(self) -> None:
        """End the worker after the search it is at: a second at most, since searches are bounded."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    @property
    def is_full(self) -> bool:
        """True when another search would wait too long."""
        return len(self._running) >= MAX_WAITING

    def running(self, wanted: Search) -> asyncio.Task[StoredKey | None] | None:
        """The search that answers ``wanted`` too, if one runs."""
        return self._running.get(wanted.same)

    def begin(self, wanted: Search) -> asyncio.Task[StoredKey | None]:
        """The key whose PMK made the MIC, or None. Await it shielded: others may wait for the same."""
        task = asyncio.create_task(self._search(wanted), name="mpsk-search")
        self._running[wanted.same] = task
        task.add_done_callback(lambda _: self._running.pop(wanted.same, None))
        return task

    async def _search(self, wanted: Search) -> StoredKey | None:
        return wanted.at(await self._place(wanted.challenge, wanted.pmks))

    async def _place(self, challenge: Challenge, pools: tuple[bytes, ...]) -> tuple[int, int] | None:
        pool = self._pool
        if pool is not None:
            try:
                found = await asyncio.get_running_loop().run_in_executor(pool, search_all, challenge, pools)
            except BrokenProcessPool:
                self._lost(pool)
            else:
                self._losses = 0
                return found
        return await asyncio.to_thread(search_all, challenge, pools)

    def _lost(self, pool: ProcessPoolExecutor) -> None:
        """Make another worker, once for all the searches that one death ended."""
        if self._pool is pool:
            self._losses += 1
            log.warning("search-worker-lost", count=self._losses)
            pool.shutdown(wait=False)
            self._pool = None
            self.start()
