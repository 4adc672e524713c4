# SPDX-License-Identifier: Apache-2.0
"""What the billing room says of itself: values for status, sync and accept, and its counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edged.billing.guard import Reason, Rule
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
    trouble: str = ""
    """What the source cannot read beside the list itself; empty: nothing."""
    held: HeldReading | None = None
    stands_in: bool = False
    """True while billing itself answers in place of the hub."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Revisions of the latest reading, by list, as the source gives them."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one reading put into force, in subscribers."""

    blocked: int = 0
    """Newly blocked."""
    opened: int = 0
    """Blocked until now and no longer."""
    noticed: int = 0
    """Newly reminded."""
    others: int = 0
    """The same state, other facts: an address, an amount."""

    def __str__(self) -> str:
        parts = (
            (self.blocked, "blocked"),
            (self.opened, "opened"),
            (self.noticed, "reminded"),
            (self.others, "changed"),
        )
        return ", ".join(f"{count:,} {word}" for count, word in parts if count) or "nobody changes"


def change_between(before: Snapshot | None, after: Snapshot) -> Change:
    """What ``after`` does that ``before`` did not."""
    were = {s.id: s for s in before.subscribers} if before is not None else {}
    gone = were.keys() - {s.id for s in after.subscribers}
    blocked = opened = noticed = others = 0
    for s in after.subscribers:
        was = were.get(s.id)
        state = was.state if was is not None else State.ACTIVE
        blocked += s.state is State.BLOCKED and state is not State.BLOCKED
        opened += s.state is not State.BLOCKED and state is State.BLOCKED
        noticed += s.state is State.NOTICE and state is not State.NOTICE
        others += was is not None and s.state is state and s != was
    opened += sum(were[name].state is State.BLOCKED for name in gone)
    return Change(blocked, opened, noticed, others)


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
    change: Change | None = None
    """What an accepted reading changed."""


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
    words: int = 0
    """Single answers that were acted on."""
    words_held: int = 0
    """Single answers that the guard did not let through."""
    saving_failed: int = 0


def blocked_in(snapshot: Snapshot) -> int:
    """How many subscribers ``snapshot`` blocks."""
    return sum(s.state is State.BLOCKED for s in snapshot.subscribers)


def told(held: Snapshot, reasons: tuple[Reason, ...]) -> str:
    """What a person reads about ``held``."""
    why = "; ".join(map(str, reasons)) or "it was held before the restart"
    who = [one for reason in reasons for one in reason.sample]
    example = f"\n  for example {', '.join(dict.fromkeys(who))}" if who else ""
    rules = {reason.rule for reason in reasons}
    stays = "Nothing is in force yet" if Rule.FIRST in rules else "The last good list stays in force"
    stays = "What was in force before stays so" if Rule.LOST in rules else stays
    return (
        f"HELD: {why}.\n  {stays}; whom this reading calls active is opened."
        f"{example}\n  See who:           edged plan --snapshot {held.id}"
        f"\n  When it is right:  edged sync --accept {held.id}"
    )
