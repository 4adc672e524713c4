# SPDX-License-Identifier: Apache-2.0
"""Events in, the body of one post out; the status that came back in, what becomes of them out. Pure.

docs/feed.md, "Telling billing".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum

from edged.model import Event, EventType
from edged.state.outbox import Stored

BATCH = 500
"""Events in one post: some 80 KB."""
ONCE: dict[EventType, float] = {
    # billing wants to know that the page was seen, not how often
    EventType.PAGE_OPENED: 3600.0,
    # a person who goes back and presses again is one more click; a finger that presses twice is not
    EventType.PAY_CLICKED: 10.0,
}
"""Seconds in which one subscriber is told of once, by kind; a kind that is not here is told of each time."""
_MAX_READERS = 50_000
"""Subscribers remembered for that, of each kind; above it the longest ago are forgotten."""


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
    """The JSON of one post of this ``edge``."""
    return json.dumps({"events": [_object(stored, edge) for stored in events]}).encode()


def _object(stored: Stored, edge: str) -> dict[str, str]:
    event = stored.event
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = {"subscriber": event.subscriber, "key": event.key, "device": event.device}
    known = {name: value for name, value in said.items() if value}
    return {"id": stored.id, "type": event.type.value, **known, "at": at, "edge": stored.edge or edge}


class Readers:
    """Who was told of a moment ago, by kind. Bounded: a storm of reloads is no flood of events."""

    def __init__(self, limit: int = _MAX_READERS) -> None:
        self._told: dict[EventType, dict[str, float]] = {kind: {} for kind in ONCE}
        self._limit = limit

    def is_news(self, event: Event) -> bool:
        """True once within ``ONCE`` for each kind and subscriber."""
        told, now = self._told.get(event.type), event.at
        if told is None:
            return True
        if 0 <= now - told.get(event.subscriber, float("-inf")) < ONCE[event.type]:
            return False
        told.pop(event.subscriber, None)
        told[event.subscriber] = now
        if len(told) > self._limit:
            del told[next(iter(told))]
        return True
