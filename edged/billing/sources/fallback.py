# SPDX-License-Identifier: Apache-2.0
"""A hub, and billing itself while the hub is silent or its own billing is. Dials out through both.

Each edge waits a while of its own before it turns to billing: a fleet that has lost its hub must not come at once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import structlog

from edged.billing.reading import Progress, Reading, silent
from edged.errors import UpstreamError
from edged.model import OnlineSession, Subscriber

if TYPE_CHECKING:
    from edged.billing.sources import Source

log = structlog.get_logger(__name__)

_AGAIN_S = 60.0
"""Seconds between two looks whether the hub is back: one that is not there may cost a time-out."""
_VIA = "via"
"""The mark that says which of the two a reading is of."""


class FallbackSource:
    """Two sources as one; the hub wherever it can be."""

    def __init__(
        self,
        hub: Source,
        billing: Source,
        *,
        after: float,
        chance: Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hub, self._billing = hub, billing
        self._after = after
        self._chance = chance or secrets.SystemRandom()
        self._clock = clock
        self._silent_from: float | None = None
        """The loop's second from which on the hub has had nothing fresh; None: it has."""
        self._extra = 0.0
        """Seconds that this edge waits beyond ``after``."""
        self._hub_again = 0.0
        """The loop's second at which the hub is asked again while billing answers."""
        self._sums: tuple[int, int] | None = None
        """What names the content of billing's latest list."""
        self._told_at = 0.0
        """When billing, standing in, last said anything new, epoch seconds: a hub that has not looked since would undo
        it."""
        self.stands_in = False

    @property
    def _active(self) -> Source:
        return self._billing if self.stands_in else self._hub

    @property
    def name(self) -> str:
        """Who answers now."""
        return f"{self._billing.name} (in place of {self._hub.name})" if self.stands_in else self._hub.name

    @property
    def every(self) -> float | None:
        """As the one that answers."""
        return self._active.every

    @property
    def confirmed_at(self) -> float | None:
        """As the one that answers."""
        return self._active.confirmed_at

    @property
    def waits(self) -> bool:
        """As the one that answers."""
        return self._active.waits

    @property
    def trouble(self) -> str:
        """As the one that answers."""
        return self._active.trouble

    async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
        """What the hub says; what billing says, once the hub has had nothing fresh for long. UpstreamError."""
        now = asyncio.get_running_loop().time()
        if self.stands_in and now < self._hub_again:
            return await self._read(previous, told)
        failure: UpstreamError | None = None
        reading: Reading | None = None
        try:
            # while billing answers the hub is asked for all, which is never kept waiting
            reading = await self._hub.read(None if self.stands_in else _of(previous, "hub"), told)
            confirmed = self._hub.confirmed_at or 0.0
            fresh = self._clock() - confirmed < self._after and not (self.stands_in and confirmed < int(self._told_at))
        except UpstreamError as error:
            failure, fresh = error, False
        if fresh:
            if self.stands_in:
                log.info("billing-hub-again", source=self._hub.name)
            self._silent_from, self.stands_in = None, False
            return _marked(reading, "hub")
        if self._silent_from is None:
            self._silent_from = now - (0.0 if failure else self._after)
            self._extra = self._chance.uniform(0.0, self._after)
        self._hub_again = now + _AGAIN_S
        if self.stands_in or now - self._silent_from >= self._after + self._extra:
            return await self._turn(previous, told, reading, failure)
        if failure is not None:
            raise failure
        return _marked(reading, "hub")

    async def _turn(
        self, previous: Reading | None, told: Progress, reading: Reading | None, failure: UpstreamError | None
    ) -> Reading | None:
        """Billing's own answer; where it has none, what the hub had, however old."""
        before, self.stands_in = self.stands_in, True
        try:
            read = await self._read(previous, told)
        except UpstreamError as error:
            if failure is None:
                self.stands_in = False
                # what the hub had may be the list before
                return _marked(reading, "hub")
            self.stands_in = before
            raise UpstreamError(f"{failure}; {error}") from None
        if not before:
            log.warning("billing-fallback", source=self._billing.name)
        return read

    async def _read(self, previous: Reading | None, told: Progress) -> Reading | None:
        asked = self._clock()
        reading = await self._billing.read(_of(previous, "billing"), told)
        if reading is not None and reading.snapshot.sums != self._sums:
            self._sums, self._told_at = reading.snapshot.sums, asked
        return _marked(reading, "billing")

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What the one that answers says of one subscriber. UpstreamError."""
        asked, stands_in = self._clock(), self.stands_in
        one = await self._active.read_one(subscriber)
        if stands_in:
            self._told_at = asked
        return one

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """Who is online by the one that answers. UpstreamError."""
        return await self._active.sessions()

    def remember(self, read_at: float) -> None:
        """The hub's to know: of billing itself there is no older word."""
        self._hub.remember(read_at)

    def hurry(self) -> None:
        """Let a look that waits for a change answer now."""
        self._hub.hurry()

    async def close(self) -> None:
        """Let go of both."""
        await self._hub.close()
        await self._billing.close()


def _of(previous: Reading | None, source: str) -> Reading | None:
    """``previous`` where it came from ``source``: changes are built on nobody else's list."""
    return previous if previous is not None and previous.marks.get(_VIA) == source else None


def _marked(reading: Reading | None, source: str) -> Reading | None:
    return reading and replace(reading, marks=reading.marks | {_VIA: source})
