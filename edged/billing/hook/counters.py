# SPDX-License-Identifier: Apache-2.0
"""What the webhook counts, and how much of our attention it may take. Pure; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.billing.webhook import Fault


@dataclass(slots=True)
class Counters:
    """Read at scrape time."""

    accepted: int = 0
    """Posts that were taken for a hint, those about nothing we read included."""
    pings: int = 0
    refused: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))
    readings: int = 0
    """Hints handed on to be read; many posts may be one."""
    failed: int = 0
    """Readings for which billing could not be asked."""
    unkept: int = 0
    """Times that the ids could not be written; they are known from memory meanwhile."""
    faults: int = 0
    """Our own bugs."""


class Budget:
    """A bucket of tokens."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, burst, now

    def take(self, now: float) -> bool:
        """True while there is something left; ``now`` in seconds of a clock that never steps."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
