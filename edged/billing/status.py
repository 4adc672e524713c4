# SPDX-License-Identifier: Apache-2.0
"""What the billing room says of itself: values for status, sync and accept, and its counters. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.billing.guard import Reason
from edged.model import Snapshot, State


class Health(StrEnum):
    """How the list in force stands to billing."""

    STARTING = "starting"
    """Nothing was read yet."""
    OK = "ok"
    HELD = "held"
    """A reading waits for a person; the last good list is in force."""
    FAILING = "failing"
    """The last attempt failed; the last good list is in force."""
    STALE = "stale"
    """Billing has been silent for longer than ``stale.after``."""


@dataclass(frozen=True, slots=True)
class HeldReading:
    """A reading that waits for a person."""

    id: str
    read_at: float
    subscribers: int
    blocked: int
    reasons: tuple[Reason, ...]
    """Empty after a restart, until billing was read again."""

    @classmethod
    def of(cls, held: Snapshot, reasons: tuple[Reason, ...]) -> HeldReading:
        """The facts about ``held``."""
        return cls(held.id, held.read_at, len(held.subscribers), blocked_in(held), reasons)

    @property
    def command(self) -> str:
        """What a person types to accept exactly this reading."""
        return f"edged sync --accept {self.id}"


@dataclass(frozen=True, slots=True)
class BillingStatus:
    """Everything ``edged status`` shows of billing."""

    source: str
    health: Health
    snapshot: str
    """Id of the list in force; empty: none."""
    read_at: float
    """When that list was read, epoch seconds; 0: never."""
    contact: float
    """When billing was last reached, epoch seconds; 0: never."""
    age: float
    """Seconds since then; 0 when never."""
    subscribers: int
    blocked: int
    known: int | None
    opened: bool
    """True while ``stale.then: open`` has opened every line."""
    error: str = ""
    held: HeldReading | None = None


class Outcome(StrEnum):
    """What one look at billing came to."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    HELD = "held"
    FAILED = "failed"
    REFUSED = "refused"
    """The person named another reading than the one that is held."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The answer to ``edged sync``, with or without ``--accept``."""

    outcome: Outcome
    snapshot: str
    """Id of the list in force, or of the reading that is held."""
    text: str
    reasons: tuple[Reason, ...] = ()


@dataclass(slots=True)
class Counters:
    """Plain counts since start."""

    polls: int = 0
    unchanged: int = 0
    accepted: int = 0
    held: int = 0
    refused: int = 0
    """Readings that were no valid list, or that could not be had at all."""
    lifts: int = 0
    """How often lines were opened on the word of a reading that was not accepted, or of a single answer."""
    saving_failed: int = 0


def blocked_in(snapshot: Snapshot) -> int:
    """How many subscribers ``snapshot`` blocks."""
    return sum(s.state is State.BLOCKED for s in snapshot.subscribers)


def told(held: Snapshot, reasons: tuple[Reason, ...]) -> str:
    """What a person reads about ``held``."""
    why = "; ".join(map(str, reasons)) or "it was held before the restart"
    who = [one for reason in reasons for one in reason.sample]
    example = f"\n  for example {', '.join(dict.fromkeys(who))}" if who else ""
    return f"HELD: {why}.{example}\n  When it is right:  edged sync --accept {held.id}"
