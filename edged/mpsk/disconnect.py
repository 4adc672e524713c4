# SPDX-License-Identifier: Apache-2.0
"""One device that is to leave: how an attempt ended -> when to try again, or how it ended. Pure; the clock is given.

RFC 5176 section 3.5 (Error-Cause). hostapd lets a device on again from memory for 30 seconds after it has asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from edged.mpsk.memory import Stale
from edged.radius.client import Outcome, Result
from edged.values import IpAddress

SILENT_WAITS = (10.0, 30.0, 60.0, 300.0, 600.0)
"""Seconds left to an access point that does not answer, attempt by attempt; the last one again and again."""
GIVE_UP = 3600.0
"""Seconds of silence after which nobody is told any more: the device is moved when it asks the next time."""
MARGIN = 2.0
"""Seconds beyond what an access point remembers."""
MOST_REPEATS = 3
"""Disconnects of a device that keeps coming back from memory."""
_GONE = 503
"""Session-Context-Not-Found."""
_BUSY = frozenset({504, 506})
"""Session-Context-Not-Removable, Resources-Unavailable: worth another attempt."""


class End(StrEnum):
    """How it ended: a label for counters and for the log."""

    LEFT = "left"
    GONE = "gone"
    """The access point knows no such device."""
    ASKED = "asked-again"
    """The device came back by itself and has its new answer."""
    REFUSED = "refused"
    """The access point does not do it: its settings or the attributes are at fault."""
    UNHEARD = "unheard"
    """It did not answer for an hour."""


@dataclass(slots=True)
class Disconnection:
    """Where one device stands."""

    device: Stale
    began: float
    gently: bool = False
    """The next attempt is a CoA-Request."""
    repeats: int = 0
    end: End | None = None

    def after(self, result: Result, now: float) -> float:
        """Seconds to the next attempt; of no meaning once ``end`` is set."""
        if result.outcome is Outcome.TIMEOUT:
            return 0.0  # how long it is left alone is a matter of the access point, not of one device
        if result.outcome is Outcome.NAK and self.gently:
            # it has no CoA, or not for this: then the plain way
            self.gently = False
            return 0.0
        if result.outcome is Outcome.NAK and result.error_cause in _BUSY:
            return SILENT_WAITS[0]
        if result.outcome is Outcome.NAK and result.error_cause != _GONE:
            self.end = End.REFUSED
        elif now < self.device.cached_until + MARGIN and self.repeats < MOST_REPEATS:
            # it may come back from the access point's memory without being asked about: once more when that has ended
            self.repeats += 1
            return self.device.cached_until + MARGIN - now
        else:
            self.end = End.GONE if result.outcome is Outcome.NAK else End.LEFT
        return 0.0

    def patience(self, silence: Silence, now: float) -> float:
        """Seconds to wait for an access point that is silent; after an hour it is the end."""
        if now >= self.began + GIVE_UP:
            self.end = End.UNHEARD
            return 0.0
        return silence.until - now


def _by_end() -> dict[End, int]:
    return dict.fromkeys(End, 0)


@dataclass(slots=True)
class Disconnections:
    """Plain numbers; read when somebody looks."""

    ends: dict[End, int] = field(default_factory=_by_end)
    """How many devices were seen off, by how it ended."""
    waiting: int = 0
    """Devices that are to leave and have not."""
    silent: dict[IpAddress, Silence] = field(default_factory=dict)
    """Access points that do not answer; the entry goes when one does."""


@dataclass(slots=True)
class Silence:
    """An access point that does not answer: one for all of its devices."""

    until: float = 0.0
    """It is left alone so long, epoch seconds."""
    times: int = 0

    def heard_nothing(self, now: float) -> None:
        """An attempt of any of its devices ended in silence; those under way at once count as one."""
        if now >= self.until:
            self.until = now + SILENT_WAITS[min(self.times, len(SILENT_WAITS) - 1)]
            self.times += 1
