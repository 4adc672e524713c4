# SPDX-License-Identifier: Apache-2.0
"""Billing's live sessions, asked every ``poll.sessions``, handed on whole. Dials out through the source.

A list that has shrunk to less than half is not believed at once: those on it are, those missing from it stay.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable

import structlog

from edged.billing.sources import Source
from edged.errors import UpstreamError
from edged.model import OnlineSession

log = structlog.get_logger(__name__)

Hear = Callable[[tuple[OnlineSession, ...], bool], None]
"""Takes everybody who is online; True: who is not among them may be so all the same."""

_FEW = 20
"""So few may all go offline at once."""
_LOOKS = 3
"""A shrunken list that is the answer so often in a row is the truth."""


class Online:
    """Follows one source's sessions, where it has any."""

    def __init__(
        self, source: Source, hear: Hear, *, every: Callable[[], float], chance: random.Random | None = None
    ) -> None:
        self.error = ""
        """Why the last look failed; empty: it did not."""
        self.count = 0
        """Sessions in the last list that was believed."""
        self._source = source
        self._hear = hear
        self._every = every
        self._chance = chance or secrets.SystemRandom()
        self._doubted = 0

    async def run(self) -> None:
        """Ask until cancelled; what was heard last stays while billing does not answer."""
        has_any = True
        while has_any:
            has_any = await self.look()
            await asyncio.sleep(self._every() * self._chance.uniform(0.8, 1.2))
        await asyncio.Event().wait()

    async def look(self) -> bool:
        """Ask once; False: this source has no sessions and need not be asked again."""
        try:
            sessions = await self._source.sessions()
        except UpstreamError as error:
            if str(error) != self.error:
                log.warning("billing-sessions-failed", error=str(error))
            self.error = str(error)
            return True
        self.error = ""
        if sessions is None:
            return False
        shrunken = self.count > _FEW and len(sessions) < self.count / 2
        self._doubted = self._doubted + 1 if shrunken else 0
        doubtful = shrunken and self._doubted < _LOOKS
        if not doubtful:
            self.count, self._doubted = len(sessions), 0
        self._hear(sessions, doubtful)
        return True
