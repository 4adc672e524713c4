# SPDX-License-Identifier: Apache-2.0
"""Searches off the event loop, in a thread or in a worker process; equal questions share one. I/O.

The compiled search lets go of the interpreter lock: a thread is enough, and no process is made. Its twin never does,
and would hold everybody else up for milliseconds at a time, while the pipe to a process costs a fraction of one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from edged.mpsk.desk import FRAME, Same, Search
from edged.mpsk.search import search_all
from edged.native import keysearch
from edged.native.keysearch import CHECKS, NAME, PMK_OCTETS, Candidates, Challenge
from edged.state.keys import StoredKey

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

log = structlog.get_logger(__name__)

PATIENCE = 2.0
"""Seconds from the request to the end of its search: an access point has no use for an answer after 2.5."""
MAX_OF_SITE = 32
"""Searches of one site at once: at 50 ms each (10,000 keys, not compiled) the last waits 1.6 s."""
MAX_WAITING = 40
"""Of all: whatever floods at one site leaves the others a place."""
MAX_JOINED = 8
"""Requests that wait for one search beside the one that began it: a flood of them would fill the server's places."""
MAX_LOSSES = 3
"""Workers lost in a row, without one answer: a machine that lets none live gets its searches in threads."""
_SAMPLES = {True: 4096, False: 128}
"""Candidates of the calibration, by whether they are searched compiled: about a millisecond a suite."""
_TIMES = 3


NICE = 5
"""Of threads that compute, above that of the event loop."""


def _live_and_die_with_parent() -> None:
    # Ctrl-C reaches the whole foreground group: the parent decides when its worker ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # and a parent that was killed leaves nobody behind
    from edged import capabilities

    capabilities.end_with_parent(signal.SIGKILL)


def give_way() -> None:
    """Let the event loop go before this thread where cores are few; Linux keeps a niceness for each thread.

    Where a sandbox does not allow it (``SystemCallFilter=~@resources``) the kernel shares the cores alike.
    """
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)


def seconds_each() -> dict[str, float]:
    """Seconds that one candidate of each suite takes on this machine: the best of three short searches."""
    candidates = keysearch.prepared(bytes(PMK_OCTETS * _SAMPLES[bool(keysearch.KERNEL)]))
    seconds = {}
    for suite in CHECKS:
        # of the size that they have on the air; no key makes a MIC of zeros
        messages = 3 if suite == "ft-psk" else 1
        frame = bytes(12 if suite == NAME else FRAME)
        challenge = Challenge(suite, (bytes(100),) * messages, frame, bytes(16))
        taken = []
        for _ in range(_TIMES):
            begun = time.perf_counter()
            candidates.search(challenge)
            taken.append(time.perf_counter() - begun)
        seconds[suite] = min(taken) / len(candidates)
    return seconds


def search_until(challenge: Challenge, pools: Sequence[Candidates], until: float) -> tuple[int, int] | None:
    """As ``search_all``; TimeoutError at ``until``, which is monotonic time: the same in every process."""
    return search_all(challenge, pools, lambda: time.monotonic() > until)


class Searcher:
    """Threads or one worker process, the queue, and the searches that run."""

    def __init__(self) -> None:
        # one core stays with the event loop
        self._threads = ThreadPoolExecutor(
            max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="edged-search", initializer=give_way
        )
        self._pool: ProcessPoolExecutor | None = None
        self._losses = 0
        self._running: dict[Same, asyncio.Task[StoredKey | None]] = {}
        self._joined: dict[Same, int] = {}

    def start(self) -> None:
        """Make the worker, if one is needed and there is none; it imports in the background."""
        if keysearch.KERNEL or self._pool is not None or self._losses >= MAX_LOSSES:
            return
        from concurrent.futures import ProcessPoolExecutor  # with multiprocessing, for those who need a process
        from multiprocessing import get_context

        # spawned, not forked: other threads hold locks at any time
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_live_and_die_with_parent)
        # the executor starts its process at the first piece of work: let that not be a request's
        self._pool.submit(int)

    async def stop(self) -> None:
        """End threads and worker after the search they are at: two seconds at most, since searches are bounded."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_full(self, site: str) -> bool:
        """True when another search of ``site`` would wait too long, or make others wait."""
        return len(self._running) >= MAX_WAITING or sum(of == site for _, _, of, _ in self._running) >= MAX_OF_SITE

    def running(self, wanted: Search) -> asyncio.Task[StoredKey | None] | None:
        """The search that answers ``wanted`` too, if one runs."""
        return self._running.get(wanted.same)

    def join(self, wanted: Search) -> bool:
        """False when so many requests wait for the running search that one more would be no retransmission."""
        self._joined[wanted.same] = self._joined.get(wanted.same, 0) + 1
        return self._joined[wanted.same] <= MAX_JOINED

    def begin(self, wanted: Search) -> asyncio.Task[StoredKey | None]:
        """The key whose PMK made the MIC, or None; TimeoutError after PATIENCE. Await it shielded: others may too."""
        task = asyncio.create_task(self._search(wanted), name="mpsk-search")
        self._running[wanted.same] = task
        task.add_done_callback(lambda _: self._ended(wanted, task))
        return task

    def _ended(self, wanted: Search, task: asyncio.Task[StoredKey | None]) -> None:
        self._running.pop(wanted.same, None)
        self._joined.pop(wanted.same, None)
        if not task.cancelled():
            task.exception()  # whoever waited for it may be gone

    async def _search(self, wanted: Search) -> StoredKey | None:
        async with asyncio.timeout(PATIENCE):  # also where a worker hangs
            return wanted.at(await self._place(wanted.challenge, wanted.pmks, time.monotonic() + PATIENCE))

    async def _place(self, challenge: Challenge, pools: tuple[Candidates, ...], until: float) -> tuple[int, int] | None:
        loop, pool = asyncio.get_running_loop(), self._pool
        if pool is not None:
            try:
                found = await loop.run_in_executor(pool, search_until, challenge, pools, until)
            except BrokenExecutor:
                self._lost(pool)
            else:
                self._losses = 0
                return found
        return await loop.run_in_executor(self._threads, search_until, challenge, pools, until)

    def _lost(self, pool: ProcessPoolExecutor) -> None:
        """Make another worker, once for all the searches that one death ended."""
        if self._pool is pool:
            self._losses += 1
            log.warning("search-worker-lost", count=self._losses)
            pool.shutdown(wait=False)
            self._pool = None
            self.start()
