# SPDX-License-Identifier: Apache-2.0
"""Events from the rooms in, posts to billing's ``/events`` out, at least once. Dials out; keeps them on disk between.

A room is never made to wait: an event goes into a bounded queue, from there to the database, from there to billing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from edged.billing.client import BillingClient, StatusError
from edged.billing.events.batch import BATCH, Fate, Readers, fate, written
from edged.billing.settings import BillingSettings
from edged.errors import UpstreamError
from edged.model import Event, EventType
from edged.state.outbox import OutboxStore, Stored

log = structlog.get_logger(__name__)

DROPS = ("queue", "full", "old", "refused")
"""Why an event never reached billing: the queue before the disk was full, the outbox was, it was too old, billing
refused it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds, and bounds."""

    queue: int = 10_000
    """Events before the disk, while it is busy or failing."""
    gather: float = 1.0
    """How long the first event of a batch waits for others."""
    request: float = 30.0
    retry: float = 2.0
    """The first pause after a failure; each next is twice as long."""
    longest: float = 300.0
    rest: float = 3600.0
    """How long a server without events is left alone."""
    keep: float = 7 * 86400.0
    """How old an event may become."""
    keep_unwanted: float = 86400.0
    """The same where the server takes none."""


@dataclass(slots=True)
class Counters:
    """Read at scrape time."""

    told: dict[EventType, int] = field(default_factory=lambda: dict.fromkeys(EventType, 0))
    posted: int = 0
    """Events that billing accepted."""
    failed: int = 0
    """Posts without success."""
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROPS, 0))
    waiting: int = 0
    """Events on disk, as last counted."""


class EventService:
    """The outbox of one edge, for a billing system that speaks docs/feed.md."""

    def __init__(
        self,
        settings: BillingSettings,
        *,
        site: str,
        store: OutboxStore,
        clock: Callable[[], float] = time.time,
        pace: Pace | None = None,
    ) -> None:
        self.counters = Counters()
        self._pace = pace or Pace()
        url = (settings.url or "").rstrip("/")
        self._address, self._key = f"{url}/events", settings.secret or settings.key
        name = urlsplit(url).hostname or "billing"
        self._client = BillingClient(name, seconds=self._pace.request, octets=64 * 1024, authority=settings.ca)
        self._site, self._store, self._clock = site, store, clock
        self._readers = Readers()
        self._queue: deque[Stored] = deque()
        self._heard = asyncio.Event()
        self._kept = asyncio.Event()
        self._keeping = asyncio.Lock()
        self._limit = BATCH
        """Events in the next post; less while billing refuses something."""
        self._failures = 0
        """In a row."""

    def tell(self, event: Event) -> None:
        """Take an event: never waits, never raises; beyond the bound it is dropped and counted."""
        if not self._readers.is_news(event):
            return
        self.counters.told[event.type] += 1
        if len(self._queue) >= self._pace.queue:
            self.counters.dropped["queue"] += 1
            return
        self._queue.append(Stored(str(uuid.uuid4()), event))
        self._heard.set()

    async def pass_on(self, events: Sequence[Stored]) -> None:
        """Take what other edges tell, each once, on disk on return. UpstreamError."""
        self.counters.dropped["full"] += await self._store.add(events)
        self._kept.set()

    async def run(self) -> None:
        """Write down what is heard, and tell billing, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_always(), name="events-keep")
            group.create_task(self._post_always(), name="events-post")

    async def stop(self) -> None:
        """Write down what was heard; the next start tells it."""
        await self._keep()
        await self._client.close()

    # --- to disk ----------------------------------------------------------------------------------

    async def _keep_always(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            if not await self._keep():
                await asyncio.sleep(self._pace.retry)
                self._heard.set()

    async def _keep(self) -> bool:
        """The queue onto the disk; False: the disk failed, and the queue is as it was."""
        async with self._keeping:
            while batch := [self._queue[i] for i in range(min(BATCH, len(self._queue)))]:
                try:
                    gone = await self._store.add(batch)
                except UpstreamError as error:
                    log.warning("events-not-kept", error=str(error), pending=len(self._queue))
                    return False
                self.counters.dropped["full"] += gone
                for _ in batch:
                    self._queue.popleft()
                self._kept.set()
            return True

    # --- to billing -------------------------------------------------------------------------------

    async def _post_always(self) -> None:
        while True:
            self._kept.clear()
            try:
                pause = await self._post()
            except UpstreamError as error:
                pause = self._fail(str(error))
            if pause is None:
                await self._kept.wait()
                pause = self._pace.gather
            await asyncio.sleep(pause)

    async def _post(self) -> float | None:
        """One post; seconds until the next, None: when there is something new. UpstreamError: as ``_fail``."""
        await self._purge(self._pace.keep)
        batch = await self._store.oldest(self._limit)
        self.counters.waiting = await self._store.count()
        if not batch:
            return None
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.reveal_text()}"
        body = written(batch, self._site)
        reply = await self._client.request("POST", self._address, headers=headers, body=body)
        match fate(reply.status):
            case Fate.ACCEPTED:
                await self._store.drop(batch)
                self.counters.posted += len(batch)
                self.counters.waiting -= len(batch)
                self._failures, self._limit = 0, min(BATCH, self._limit * 2)
                return 0.0
            case Fate.HALVE if len(batch) > 1:
                self._limit = len(batch) // 2
                self.counters.failed += 1
                return 0.0
            case Fate.HALVE:
                await self._store.drop(batch)
                self.counters.dropped["refused"] += 1
                # a server that refuses everything is not to be asked without end
                return self._fail(f"{StatusError(self._client.name, reply.status)}: one event is given up")
            case Fate.UNWANTED:
                self.counters.failed += 1
                await self._purge(self._pace.keep_unwanted)
                log.info("events-unwanted", status=reply.status, seconds=self._pace.rest)
                return self._pace.rest
            case Fate.LATER:
                asked = reply.header("Retry-After")
                least = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 5 else 0.0
                return max(self._fail(str(StatusError(self._client.name, reply.status))), least)

    def _fail(self, error: str) -> float:
        """Seconds to wait after a failure, growing, and never the same for all edges."""
        self.counters.failed += 1
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, 8th ... in a row
            log.warning("events-not-told", error=error, attempt=self._failures)
        pause = min(self._pace.longest, self._pace.retry * 2.0 ** min(self._failures - 1, 20))
        return pause * secrets.SystemRandom().uniform(0.5, 1.0)

    async def _purge(self, age: float) -> None:
        self.counters.dropped["old"] += await self._store.purge(self._clock() - age)
