# SPDX-License-Identifier: Apache-2.0
"""Which posts were accepted: ids and times in, "seen before" out. Bounded; pure, the clock is passed in.

What is forgotten leaves its time behind: nothing as old as that is accepted again, so a clock that jumps forward and
back, or a memory that is full, never opens the window of replay anew.
"""

from __future__ import annotations

from collections.abc import Iterable

KEEP = 600.0
"""Seconds: twice as long as a post is fresh."""
LIMIT = 65_536
"""Fifty a second for as long as an id is kept, those ahead of our clock included, are 45,000."""


class Seen:
    """The ids of accepted posts."""

    __slots__ = ("_ids", "_limit", "floor")

    def __init__(self, ids: Iterable[tuple[str, float]] = (), floor: float = 0.0, limit: int = LIMIT) -> None:
        self._ids = dict(ids)
        self._limit = limit
        self.floor = floor
        """Posts sent at this time or before are refused, epoch seconds."""

    def __len__(self) -> int:
        return len(self._ids)

    def has(self, post_id: str, at: float) -> bool:
        """True when that post was accepted before, or is so old that nobody knows."""
        return at <= self.floor or post_id in self._ids

    def add(self, post_id: str, at: float) -> None:
        """Remember a post."""
        self._ids[post_id] = at
        if len(self._ids) > self._limit:
            self._forget(sorted(self._ids.values())[len(self._ids) // 2])

    def prune(self, now: float) -> bool:
        """Forget what is too old to be accepted; True when there was any."""
        return self._forget(now - KEEP)

    def _forget(self, until: float) -> bool:
        gone = [(at, post_id) for post_id, at in self._ids.items() if at <= until]
        for at, post_id in gone:
            del self._ids[post_id]
            self.floor = max(self.floor, at)
        return bool(gone)
