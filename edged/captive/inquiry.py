# SPDX-License-Identifier: Apache-2.0
"""Who pressed "I have paid", since when, and what billing said of them; what the page says then. Pure.

Bounded; the clock is passed in. A subscriber who is freed is forgotten, save the line, while browsers still come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from edged.captive.answers import NO_DEBT, Topic
from edged.model import Access
from edged.policy.access import DRAIN_S, Decision, Line

PATIENCE = 120.0
"""Seconds after the first press in which a payment is being looked for; then it is not to be seen yet."""
AGAIN = 5.0
"""Seconds in which another press for the same subscriber, from whatever device, asks nobody again."""
SILENCE = 3600.0
"""Seconds without a press after which the next one is a first one."""
LIMIT = 4096
"""Subscribers remembered; above it those who pressed longest ago are forgotten."""
_OWING = frozenset({Access.BLOCKED, Access.PASS})


class Heard(Enum):
    """What came of the latest question to billing."""

    WAITING = "waiting"
    ANSWERED = "answered"
    """It answered; what it said is in force."""
    AWAY = "away"
    """It could not be asked."""


@dataclass(slots=True)
class Inquiry:
    """One subscriber's presses. Times are epoch seconds; 0: not yet."""

    first: float
    last: float
    line: Line
    """As it was when they pressed: a subscriber who has paid may not be listed any more."""
    heard: Heard = Heard.WAITING
    at: float = 0.0
    """When billing last answered about them."""
    freed: float = 0.0
    """When they were first found not to be blocked any more."""


def is_owing(decision: Decision) -> bool:
    """True where a payment would change something: billing may be asked about it."""
    return decision.access in _OWING and decision.reason not in NO_DEBT


@dataclass(slots=True)
class Inquiries:
    """By subscriber, the latest press last."""

    limit: int = LIMIT
    _of: dict[str, Inquiry] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._of)

    def get(self, subscriber_id: str) -> Inquiry | None:
        """The presses of one subscriber; None: none are remembered."""
        return self._of.get(subscriber_id)

    def press(self, subscriber_id: str, line: Line, now: float) -> bool:
        """Note a press; True: billing is to be asked."""
        known = self._of.pop(subscriber_id, None)
        if known is None or known.freed or not 0 <= now - known.last < SILENCE:
            known = Inquiry(now, -AGAIN, line)
        fresh = not 0 <= now - known.last < AGAIN
        if fresh:
            known.last, known.line, known.heard = now, line, Heard.WAITING
        self._of[subscriber_id] = known
        while len(self._of) > self.limit:
            del self._of[next(iter(self._of))]
        return fresh

    def hear(self, subscriber_id: str, heard: Heard, now: float) -> None:
        """Note what billing said, or that it said nothing."""
        known = self._of.get(subscriber_id)
        if known is not None:
            known.heard = heard
            known.at = now if heard is Heard.ANSWERED else known.at

    def free(self, subscriber_id: str, now: float) -> None:
        """Note that one subscriber is not blocked any more: their next press is a first one."""
        known = self._of.get(subscriber_id)
        if known is not None:
            known.freed = known.freed or now

    def forget(self, decide: Callable[[str], Decision], now: float) -> None:
        """Forget who is freed: at once for the next block, wholly when browsers do not come back any more."""
        for name, inquiry in tuple(self._of.items()):
            if is_owing(decide(name)) and not inquiry.freed:
                continue
            inquiry.freed = inquiry.freed or now
            if not 0 <= now - inquiry.freed < DRAIN_S:
                del self._of[name]


def topic_after_check(decision: Decision, inquiry: Inquiry | None, now: float) -> Topic | None:
    """What is said to somebody who pressed and whose payment has opened nothing; None: nothing of the kind."""
    if inquiry is None or inquiry.freed or not is_owing(decision):
        return None
    if inquiry.heard is Heard.AWAY:
        return Topic.AWAY
    looked = inquiry.at > 0.0  # while no answer has come at all, nothing was looked at
    return Topic.UNSEEN if looked and now - inquiry.first >= PATIENCE else Topic.LOOKING
