# SPDX-License-Identifier: Apache-2.0
"""Notes what befalls subscribers, and writes it down once a second. I/O: the clock, the database.

Whoever notes something never waits. While the disk fails the newest wait in a bounded queue.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

import structlog

from edged.billing.events.batch import Readers
from edged.errors import UpstreamError
from edged.model import Event, Tell
from edged.mpsk.memory import Stale
from edged.ops.life.deeds import of_changes, of_departure, of_event
from edged.ops.record.changes import Change
from edged.state.database import Database
from edged.state.life import Deed, LifeStore
from edged.state.settings import LifeSettings

log = structlog.get_logger(__name__)

QUEUE = 20_000
"""Deeds that wait for the disk: some 5 MB. A reading that changes more lines is noted in its first so many."""
WRITE_EVERY_S = 1.0


class Lives:
    """One task of the daemon; ``edged log`` asks its ``store``."""

    def __init__(self, database: Database, settings: LifeSettings, *, clock: Callable[[], float] = time.time) -> None:
        self.store = LifeStore(database, settings)
        self._clock = clock
        self._queue: deque[Deed] = deque(maxlen=QUEUE)
        self._readers = Readers()
        self._failed = False

    async def run(self) -> None:
        """Write until cancelled, then what is not written yet."""
        try:
            while True:
                await asyncio.sleep(WRITE_EVERY_S)
                await self.write()
        finally:
            await self.write()

    async def write(self) -> None:
        """What was noted, onto the disk; what that does not take is tried again."""
        if not self._queue:
            return
        batch, self._queue = self._queue, deque(maxlen=QUEUE)
        try:
            await self.store.add(batch, self._clock())
        except UpstreamError as error:
            if not self._failed:
                log.warning("life-not-kept", error=str(error))
            self._failed = True
            batch.extend(self._queue)
            self._queue = batch
        except Exception:
            # a fault of a diary must not end what serves people; what it cannot hold is not tried for ever
            log.exception("life-fault", count=len(batch))
        else:
            self._failed = False

    # --- what is noted -----------------------------------------------------------------------------

    def note(self, deeds: Iterable[Deed]) -> None:
        """Take these."""
        self._queue.extend(deeds)

    def changed(self, changes: Iterable[Change]) -> None:
        """Access that is another now."""
        self.note(islice(of_changes(changes), QUEUE))

    def restored(self, subscriber: str, seconds: float) -> None:
        """Every target has let a line go, ``seconds`` after billing's word."""
        self._queue.append(Deed(self._clock(), subscriber, "restored", "edged", seconds=seconds))

    def beside(self, tell: Tell) -> Tell:
        """As ``tell``, and what a subscriber did on the page is noted, the first of many in a row."""

        def both(event: Event) -> None:
            tell(event)
            deed = of_event(event)
            if deed is not None and self._readers.is_news(event):
                self._queue.append(deed)

        return both

    def sent_away(self, device: Stale, subscriber: str, end: str) -> None:
        """A device was sent off the Wi-Fi; of a key that is nobody's there is no life to tell."""
        if subscriber:
            self._queue.append(of_departure(device, subscriber, end, self._clock()))
