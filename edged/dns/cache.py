# SPDX-License-Identifier: Apache-2.0
"""Answers kept for their life: keys and values in, values with their age out; the clock is passed in. Pure.

RFC 2308 (negative), RFC 8767 (stale). Bounded by count and by octets; the least recently used goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from edged.dns.answer import Answer

Key = tuple[bytes, int, int, int]
"""Lower-case name, type, class, and the bits that change the answer (DO, CD)."""

_ENTRIES = 20_000
_OCTETS = 16 << 20
"""With the objects around them some 40 MB at worst: a small router's share."""
_OVERHEAD = 400
"""Python's own octets for an entry, roughly."""
_POSITIVE = 3600
_NEGATIVE = 300
"""Longest lives: an hour of a wrong answer is enough, five minutes of a missing one."""
_STALE = 86400
"""How long after its end an answer may stand in for silence (RFC 8767 suggests one to three days)."""


class Kept(NamedTuple):
    """An answer of the cache."""

    answer: Answer
    stored: float
    """Seconds on the caller's clock."""
    expires: float


class AnswerCache:
    """A bounded map of answers."""

    __slots__ = ("_entries", "_octets")

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, Kept] = OrderedDict()
        self._octets = 0

    def fresh(self, key: Key, now: float) -> Kept | None:
        """The answer, when it is still alive."""
        kept = self._entries.get(key)
        if kept is None or kept.expires <= now:
            return None
        self._entries.move_to_end(key)
        return kept

    def stale(self, key: Key, now: float) -> Kept | None:
        """The answer, alive or lately dead."""
        kept = self._entries.get(key)
        return kept if kept is not None and now < kept.expires + _STALE else None

    def store(self, key: Key, answer: Answer, now: float) -> Kept:
        """Keep ``answer`` for its life; one without a life is only returned."""
        life = min(answer.life, _POSITIVE if answer.counts[0] else _NEGATIVE)
        kept = Kept(answer, now, now + life)
        if life > 0:
            self._drop(key)
            self._entries[key] = kept
            self._octets += _cost(key, kept)
            while len(self._entries) > _ENTRIES or self._octets > _OCTETS:
                self._drop(next(iter(self._entries)))
        return kept

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._octets = 0

    def _drop(self, key: Key) -> None:
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._octets -= _cost(key, kept)

    def __len__(self) -> int:
        return len(self._entries)


def _cost(key: Key, kept: Kept) -> int:
    return len(key[0]) + len(kept.answer.sections) + 8 * len(kept.answer.ttl_offsets) + _OVERHEAD
