# SPDX-License-Identifier: Apache-2.0
"""Billing's live sessions, asked every ``poll.sessions``, handed on whole. Dials out through the source.

A list that has shrunk to less than half is not believed at once: those on it are, those missing from it stay.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable

import structlog

from edged.billing.sources import Source
from edged.errors import UpstreamError
from edged.model import OnlineSession

log = structlog.get_logger(__name__)

Hear = Callable[[tuple[OnlineSession, ...], bool], Awaitable[None]]
"""Takes everybody who is online; True: who is not among them may be so all the same."""

_FEW = 20
"""So few may all go offline at once."""
_OLD_LOOKS, _OLD_S = 10, 600.0
"""So many looks, and at least so many seconds, without an answer: then nobody is online by billing's word."""
_LOOKS = 3
"""A shrunken list that is the answer so often in a row is the truth."""


class Online:
    """Follows one source's sessions, where it has any."""

    def __init__(self, source: Source, hear: Hear, *, every: float, chance: random.Random | None = None) -> None:
        self.error = ""
        """Why the last look failed; empty: it did not."""
        self.count = 0
        """Sessions in the last list that was believed."""
        self.offered: bool | None = None
        """False: this source does not say who is online; None: not known yet."""
        self.confirmed_at = 0.0
        """When it last said, epoch seconds; 0: never."""
        self.every = every
        """Seconds between two looks, about."""
        self._source = source
        self._hear = hear
        self._chance = chance or secrets.SystemRandom()
        self._doubted = 0
        self._heard_at = 0.0
        """The loop's second of the last answer."""

    async def run(self) -> None:
        """Ask until cancelled; what was heard last stays while billing does not answer."""
        while True:
            await self.look()
            await asyncio.sleep(self.every * self._chance.uniform(0.8, 1.2))

    async def look(self) -> None:
        """Ask once."""
        try:
            sessions = await self._source.sessions()
        except UpstreamError as error:
            if str(error) != self.error:
                log.warning("billing-sessions-failed", error=str(error))
            self.error = str(error)
            await self._forget_old()
            return
        self.error, self.offered = "", sessions is not None
        if sessions is None:
            await self._forget_old()  # this source has none, or we may not read them any more
            return
        self._heard_at, self.confirmed_at = asyncio.get_running_loop().time(), time.time()
        shrunken = self.count > _FEW and len(sessions) < self.count / 2
        self._doubted = self._doubted + 1 if shrunken else 0
        doubtful = shrunken and self._doubted < _LOOKS
        if not doubtful:
            self.count, self._doubted = len(sessions), 0
        await self._hear(sessions, doubtful)

    async def _forget_old(self) -> None:
        """Addresses change hands: what nobody has confirmed for long may be a paying customer's by now."""
        old = max(_OLD_LOOKS * self.every, _OLD_S)
        if self.count and asyncio.get_running_loop().time() - self._heard_at > old:
            log.warning("billing-sessions-forgotten", count=self.count)
            self.count, doubtful = 0, False
            await self._hear((), doubtful)
