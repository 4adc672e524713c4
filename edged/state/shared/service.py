# SPDX-License-Identifier: Apache-2.0
"""Keeps one edge's file and the shared store the same. No answer ever waits for it. I/O."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from edged.errors import UpstreamError
from edged.state.shared.capture import KEEP_GONE_S, Applied, Capture
from edged.state.shared.client import BATCH, SharedClient, TooOldError
from edged.state.shared.rows import Row, shape
from edged.state.shared.standing import Standing

log = structlog.get_logger(__name__)

POLL_S = 10.0
"""Seconds between two looks when nobody notifies, a fifth more or less: a fleet must not look in step."""
GATHER_S = 0.2
"""So long a first change waits for others: a busy edge exchanges five times a second, not with every packet."""
_FIRST_S, _LAST_S = 0.5, 30.0
"""Pauses before dialling again; each is drawn from half of it to the whole."""
_TOO_OLD_S = 300.0
LOOK_S = 60.0
"""Seconds between two looks at who else is there: longer than a lost connection of our own counts as somebody."""
_PRUNE_S = 3600.0
_DAY = 86400.0
_KEEP = {"session": 40 * _DAY, "pass": 40 * _DAY, "snooze": 3 * _DAY, "device": 100 * _DAY, "audit": 370 * _DAY}
"""A little longer than the edges themselves keep it."""


class Replicator:
    """The exchange of one edge. ``learned`` is told the rows that others have changed here."""

    def __init__(
        self, near: Capture, client: SharedClient, mark: str, learned: Callable[[Sequence[Row]], Awaitable[None]],
        *, poll: float = POLL_S, look: float = LOOK_S,
    ) -> None:  # fmt: skip
        """``mark``: tells apart what this edge may read; with another, everything is read again."""
        self._near = near
        self._client = client
        self._mark = mark
        self._learned = learned
        self._poll, self._look = poll, look
        self._wake = asyncio.Event()
        # a fleet that comes back after an outage must not prune in step
        self._prune_at = time.monotonic() + random.uniform(0.0, _PRUNE_S)  # noqa: S311  # spread, not secret
        self._untold: list[Row] = []
        now = time.time()
        self.standing = Standing(since=now, started=now)

    async def open(self) -> None:
        """Note every change of ours from now on."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it the exchange
                loop.call_soon_threadsafe(self._wake.set)

        await self._near.open(changed)
        self.standing.waiting = await self._near.count_waiting()

    async def run(self) -> None:
        """Exchange until cancelled; what fails is tried again."""
        pause = _FIRST_S
        try:
            while True:
                begun = time.monotonic()
                try:
                    await self._exchange_on()
                except UpstreamError as error:
                    await self._apart(error)
                if time.monotonic() - begun > _LAST_S:
                    pause = _FIRST_S
                longest = _TOO_OLD_S if self.standing.too_old else pause
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # spread, not secret
                pause = min(pause * 2, _LAST_S)
        finally:
            await self._client.close()

    async def _apart(self, error: UpstreamError) -> None:
        now, standing = time.time(), self.standing
        if standing.connected or not standing.error:
            log.warning("store-apart", error=str(error))
            standing.since = now
        standing.connected, standing.error = False, str(error)
        standing.too_old = isinstance(error, TooOldError)
        standing.namesakes, standing.ahead = 0, 0.0
        await self._client.close()
        with suppress(UpstreamError):
            standing.waiting = await self._near.count_waiting()

    async def _exchange_on(self) -> None:
        identity = f"{await self._client.connect(self._wake.set)} {self._mark} {shape(self._near.kinds)}"
        cursor = await self._near.cursor(identity)
        if cursor and await self._client.is_behind(cursor):
            await self._near.forget()
            cursor = await self._near.cursor(identity)
        look_at = time.monotonic() + self._look
        while True:
            self._wake.clear()
            cursor = await self._exchange(cursor)
            self._met()
            await self._prune()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + self._look
                self.standing.ahead, self.standing.namesakes = await self._client.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._poll * random.uniform(0.8, 1.2))  # noqa: S311  # spread
                await asyncio.sleep(GATHER_S)

    def _met(self) -> None:
        now, standing = time.time(), self.standing
        if not standing.connected:
            log.info("store-joined")
            standing.since = now
            standing.joins += 1
        standing.connected, standing.error, standing.too_old = True, "", False
        standing.exchanged_at = now

    async def _exchange(self, cursor: str) -> str:
        """Send what waits, take what is new; how far was read."""
        while True:
            outgoing = await self._near.waiting(BATCH)
            self._leave(outgoing.unsendable)
            if sent := outgoing.rows:
                merged = await self._client.push([each.row for each in sent])
                self._count(await self._near.settle(sent, merged))
                self.standing.sent += len(sent)
                await self._tell()
            if not outgoing.more:
                break
        while True:
            pulled = await self._client.pull(cursor, self._near.kinds)
            if pulled.cursor != cursor:
                self._count(await self._near.take(pulled.rows, pulled.cursor))
                self._refuse(pulled.refused)
            cursor = pulled.cursor
            await self._tell()
            if not pulled.more:
                break
        self.standing.waiting = await self._near.count_waiting()
        return cursor

    def _count(self, applied: Applied) -> None:
        standing = self.standing
        standing.merged += len(applied.changed)
        standing.unsealed += applied.unsealed
        standing.doubled += applied.doubled
        if applied.unsealed:
            log.error("store-unsealed", count=applied.unsealed)
        if applied.doubled:
            log.error("store-keys-doubled", count=applied.doubled)
        self._untold += applied.changed

    def _leave(self, count: int) -> None:
        if count:
            self.standing.unsendable += count
            log.error("store-unsendable", count=count)

    def _refuse(self, count: int) -> None:
        if count:
            self.standing.refused += count
            log.error("store-refused", count=count)

    async def _tell(self) -> None:
        """The rooms are told what changed in the file; what fails is told again with the next exchange."""
        if self._untold:
            rows, self._untold = self._untold, []
            try:
                await self._learned(rows)
            except BaseException:
                self._untold = rows + self._untold
                raise

    async def _prune(self) -> None:
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + _PRUNE_S
            await self._near.prune()
            await self._client.prune(_KEEP, KEEP_GONE_S)
