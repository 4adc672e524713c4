# SPDX-License-Identifier: Apache-2.0
"""Queries of this second, by subscriber and by prefix: a key in, its place in a table of counts out. Pure.

The counts lie in one array, so that the compiled path (edged/native) counts in the same place.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable

PLACES = 1 << 17
"""Keys at once: a subscriber and a prefix for each source that is remembered; half a megabyte a table."""


class Rates:
    """Two bounded tables of counts that start anew every second. Place 0 of each holds the second."""

    __slots__ = ("_places", "datagrams", "streams")

    def __init__(self) -> None:
        self.datagrams = array("I", bytes(4 * PLACES))
        self.streams = array("I", bytes(4 * PLACES))
        """Counted apart: a truncated client that comes back over TCP is to be heard."""
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable) -> int:
        """Where ``key`` is counted; a new key must not come when ``full``."""
        return self._places.setdefault(key, len(self._places) + 1)

    @property
    def full(self) -> bool:
        """True when there may be no room for another source."""
        return len(self._places) > PLACES - 3

    def clear(self) -> None:
        """Forget every key; whoever holds a place must ask again."""
        self._empty(self.datagrams)
        self._empty(self.streams)
        self._places.clear()

    def of(self, now: float, *, stream: bool) -> array[int]:
        """The counts of this second (``now``: epoch seconds)."""
        counts, second = self.streams if stream else self.datagrams, int(now) & 0xFFFFFFFF
        # whoever began a batch in the last second finds the counts of this one, and must not end them
        if not 0 <= counts[0] - second <= 1:
            self._empty(counts)
            counts[0] = second
        return counts

    def _empty(self, counts: array[int]) -> None:
        # as much as was used, and place 0; never nothing: an array that is shared refuses that
        used = len(self._places) + 1
        counts[:used] = array("I", bytes(4 * used))
