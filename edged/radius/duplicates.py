# SPDX-License-Identifier: Apache-2.0
"""The memory of recent requests: key, authenticator and time in; new, in progress or the old reply out. Pure.

RFC 5080 section 2.2.2. Only verified requests may come here.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, auto
from typing import NamedTuple

TTL = 10.0
"""Seconds a reply is kept; RFC 5080 wants 5 to 30, clients retry after 3 to 5."""
CAPACITY = 32_768
"""Requests remembered: 128 ports of NASes with all 256 identifiers in flight; the oldest go first."""
_SWEPT = 4
"""Expired entries dropped at an arrival: more than one, so that the memory shrinks after a flood."""


class RequestKey(NamedTuple):
    """What RFC 5080 tells requests apart by, beside the Request Authenticator."""

    place: int
    """Which of our sockets or connections it came to."""
    peer: Hashable
    """Source address and port."""
    identifier: int


class Standing(Enum):
    """How a request stands that has no reply to be sent again."""

    NEW = auto()
    IN_PROGRESS = auto()


class _Entry:
    __slots__ = ("authenticator", "expires", "reply")

    def __init__(self, authenticator: bytes, expires: float) -> None:
        self.authenticator = authenticator
        self.reply: bytes | None = None
        self.expires = expires


class Duplicates:
    """Replies by request key, in the order in which they expire."""

    __slots__ = ("_capacity", "_entries", "_ttl")

    def __init__(self, ttl: float = TTL, capacity: int = CAPACITY) -> None:
        if not 5.0 <= ttl <= 30.0:
            raise ValueError("RFC 5080 keeps a reply 5 to 30 seconds")
        self._ttl = ttl
        self._capacity = capacity
        self._entries: dict[RequestKey, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def arrive(self, key: RequestKey, authenticator: bytes, now: float) -> Standing | bytes:
        """NEW: answer it, call ``answered`` or ``forget``. IN_PROGRESS: drop it. Octets: send them again."""
        self._sweep(now)
        entry = self._entries.get(key)
        if entry is not None and entry.authenticator == authenticator and now < entry.expires:
            return Standing.IN_PROGRESS if entry.reply is None else entry.reply
        self._entries.pop(key, None)
        if len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(authenticator, now + self._ttl)
        return Standing.NEW

    def answered(self, key: RequestKey, authenticator: bytes, reply: bytes, now: float) -> bool:
        """Keep ``reply``. False when another request has taken the place: then nobody waits for this one."""
        entry = self._entries.get(key)
        if entry is None or entry.authenticator != authenticator:
            return False
        entry.reply = reply
        entry.expires = now + self._ttl
        self._entries[key] = self._entries.pop(key)
        return True

    def forget(self, key: RequestKey, authenticator: bytes) -> None:
        """The request got no reply: its retransmission is a new chance."""
        entry = self._entries.get(key)
        if entry is not None and entry.authenticator == authenticator:
            del self._entries[key]

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEPT):
            oldest = next(iter(self._entries), None)
            if oldest is None or self._entries[oldest].expires > now:
                return
            del self._entries[oldest]
