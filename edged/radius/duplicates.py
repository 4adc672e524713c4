# SPDX-License-Identifier: Apache-2.0
"""The memory of recent requests: key, authenticator and time in; new, in progress or the old reply out. Pure.

RFC 5080 section 2.2.2. Only verified requests may come here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum, auto

TTL = 10.0
"""Seconds a reply is kept; RFC 5080 wants 5 to 30, clients retry after 3 to 5."""
CAPACITY = 32_768
"""Requests remembered: 128 ports of NASes with all 256 identifiers in flight; the oldest go first."""
_SWEPT = 4
"""Expired entries dropped at an arrival: more than one, so that the memory shrinks after a flood."""

RequestKey = tuple[int, Hashable, int]
"""What RFC 5080 tells requests apart by, beside the Request Authenticator: the number of the socket or connection that
it came to, whom it came from (source address and port), and the Identifier."""


class Standing(Enum):
    """How a request stands that has no reply to be sent again."""

    NEW = auto()
    IN_PROGRESS = auto()


_Entry = tuple[bytes, float, bytes | None]
"""Request Authenticator, when it expires, the reply."""


class Duplicates:
    """Replies by request key, in the order in which they expire."""

    __slots__ = ("_capacity", "_entries", "_first_expires", "_ttl")

    def __init__(self, ttl: float = TTL, capacity: int = CAPACITY) -> None:
        if not 5.0 <= ttl <= 30.0:
            raise ValueError("RFC 5080 keeps a reply 5 to 30 seconds")
        self._ttl = ttl
        self._capacity = capacity
        # ordered: in a plain dictionary the way to the oldest leads past the places of all that went before it
        self._entries: OrderedDict[RequestKey, _Entry] = OrderedDict()
        self._first_expires = 0.0
        """Not before this is there anything to sweep."""

    def __len__(self) -> int:
        return len(self._entries)

    def standing(self, key: RequestKey, authenticator: bytes, now: float) -> Standing | bytes:
        """NEW: call ``keep``, or ``begin`` if the answer takes time. IN_PROGRESS: drop it. Octets: send them again."""
        if now >= self._first_expires:
            self._sweep(now)
        entry = self._entries.get(key)
        if entry is None:
            return Standing.NEW
        if entry[0] != authenticator or now >= entry[1]:
            del self._entries[key]  # whoever sent that one waits for it no more
            return Standing.NEW
        return Standing.IN_PROGRESS if entry[2] is None else entry[2]

    def begin(self, key: RequestKey, authenticator: bytes, now: float) -> None:
        """The request is at work: call ``answered`` or ``forget`` in the end."""
        self._put(key, (authenticator, now + self._ttl, None))

    def keep(self, key: RequestKey, authenticator: bytes, reply: bytes, now: float) -> None:
        """Keep the reply to a request that was NEW a moment ago."""
        self._put(key, (authenticator, now + self._ttl, reply))

    def answered(self, key: RequestKey, authenticator: bytes, reply: bytes, now: float) -> bool:
        """Keep ``reply``. False when another request has taken the place: then nobody waits for this one."""
        entry = self._entries.get(key)
        if entry is None or entry[0] != authenticator:
            return False
        self._put(key, (authenticator, now + self._ttl, reply))
        return True

    def forget(self, key: RequestKey, authenticator: bytes) -> None:
        """The request got no reply: its retransmission is a new chance."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] == authenticator:
            del self._entries[key]

    def _put(self, key: RequestKey, entry: _Entry) -> None:
        entries = self._entries
        if key in entries:
            entries.move_to_end(key)
        elif len(entries) >= self._capacity:
            entries.popitem(last=False)
        entries[key] = entry

    def _sweep(self, now: float) -> None:
        entries = self._entries
        for _ in range(_SWEPT):
            oldest = next(iter(entries.values()), None)
            if oldest is None:
                return
            if oldest[1] > now:
                self._first_expires = oldest[1]
                return
            entries.popitem(last=False)
