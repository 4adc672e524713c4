# SPDX-License-Identifier: Apache-2.0
"""Events in, the body of one post out; the status that came back in, what becomes of them out. Pure.

docs/feed.md, "Telling billing".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum

from edged.state.outbox import Stored

BATCH = 500
"""Events in one post: some 80 KB."""
ONCE = 3600.0
"""Seconds in which a subscriber's page is told of once: billing wants to know that it was seen, not how often."""
_MAX_READERS = 50_000
"""Subscribers remembered for that; above it the longest ago are forgotten."""


class Fate(Enum):
    """What becomes of a batch."""

    ACCEPTED = "accepted"
    LATER = "later"
    """The server is away, busy, or does not know our key: the same batch again."""
    HALVE = "halve"
    """The server does not like something in it: a smaller one, so that one event does not hold up the rest."""
    UNWANTED = "unwanted"
    """The server takes no events."""


_FATES = {
    404: Fate.UNWANTED, 405: Fate.UNWANTED, 410: Fate.UNWANTED, 501: Fate.UNWANTED,
    401: Fate.LATER, 402: Fate.LATER, 403: Fate.LATER, 407: Fate.LATER, 408: Fate.LATER, 425: Fate.LATER,
    429: Fate.LATER,
}  # fmt: skip


def fate(status: int) -> Fate:
    """What a status of the server means for the batch that it answers."""
    if 200 <= status < 300:
        return Fate.ACCEPTED
    return _FATES.get(status, Fate.HALVE if 400 <= status < 500 else Fate.LATER)


def written(events: Iterable[Stored], edge: str) -> bytes:
    """The JSON of one post."""
    return json.dumps({"events": [_object(stored, edge) for stored in events]}).encode()


def _object(stored: Stored, edge: str) -> dict[str, str]:
    event = stored.event
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = {"subscriber": event.subscriber, "key": event.key, "device": event.device}
    known = {name: value for name, value in said.items() if value}
    return {"id": stored.id, "type": event.type.value, **known, "at": at, "edge": edge}


class Readers:
    """Whose page was told of a moment ago. Bounded."""

    def __init__(self, limit: int = _MAX_READERS) -> None:
        self._told: dict[str, float] = {}
        self._limit = limit

    def is_news(self, subscriber: str, now: float) -> bool:
        """True once within ``ONCE`` for each subscriber."""
        if 0 <= now - self._told.get(subscriber, float("-inf")) < ONCE:
            return False
        self._told.pop(subscriber, None)
        self._told[subscriber] = now
        if len(self._told) > self._limit:
            del self._told[next(iter(self._told))]
        return True
