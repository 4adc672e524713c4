# SPDX-License-Identifier: Apache-2.0
"""The one current ``View`` and its one writer; rooms read ``view`` and wait for a change of ``version``. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque

from edged.policy.access import View

_REMEMBERED = 256
"""How many swaps back it is known who changed."""


class Current:
    """A reference that is swapped, never edited. Only ``daemon`` calls ``publish``."""

    __slots__ = ("_changed", "_news", "version", "view")

    def __init__(self, view: View | None = None) -> None:
        self.view = view or View()
        self.version = 0
        """Counts every swap."""
        self._changed = asyncio.Event()
        self._news: deque[tuple[int, frozenset[str] | None]] = deque(maxlen=_REMEMBERED)

    def publish(self, view: View, changed: frozenset[str] | None = None) -> None:
        """Make ``view`` what every room reads from now on; ``changed``: the subscribers who alone may differ."""
        self.view = view
        self.version += 1
        self._news.append((self.version, changed))
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    def changed_since(self, version: int) -> frozenset[str] | None:
        """Ids of the subscribers whose lines or states may be others than in ``version``; None: anybody's."""
        since = [changed for number, changed in self._news if number > version]
        if version > self.version or len(since) != self.version - version:
            return None  # too long ago to be remembered
        known = [changed for changed in since if changed is not None]
        return frozenset().union(*known) if len(known) == len(since) else None

    async def wait(self, version: int) -> int:
        """The newest version, as soon as it is another than ``version``."""
        while self.version == version:
            await self._changed.wait()
        return self.version
