# SPDX-License-Identifier: Apache-2.0
"""Where one session of a BNG stands, and the numbers of all. Plain values. RFC 5176 section 3.5."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from edged.enforce.bng.places import Key
from edged.enforce.bng.ways import Act
from edged.radius.client import Outcome
from edged.state.sessions import Session

GONE_AFTER = 3
"""So many times a BNG may say that it has no such session before it is believed, until it reports on it."""

LATE = 10.0
"""Seconds after its first sending in which a request may still arrive: its retransmissions take seven."""


def is_another(session: Session, started: float) -> bool:
    """A NAS that counts from 1 again: what is known of a session's beginning only ever gets earlier."""
    return session.started > started + 1.0


class Held(Enum):
    """What the BNG is known to do with a session."""

    NEVER = auto()
    """Told nothing by edged: it is as the Access-Accept made it."""
    MAYBE = auto()
    """Something was sent, and no answer came."""
    BLOCKED = auto()
    OPENED = auto()


@dataclass(slots=True, eq=False)
class Entry:
    """Where one session stands."""

    session: Session
    blocked: bool = False
    """What it should be."""
    held: Held = Held.NEVER
    shown: bool | None = None
    """Whether the last report showed it as blocked; None: it did not say."""
    confirmed: bool = False
    """A report has shown since the acknowledgement that it is so."""
    answered: float = 0.0
    """When the last exchange about it ended, with or without an answer, epoch seconds."""
    flying: Act | None = None
    """What is said just now; None: nothing is."""
    tries: int = 0
    """Attempts of late without success."""
    due: float = 0.0
    cause: str = ""
    """Why the last attempt had no success."""
    absent: bool = False
    """The BNG says that it has no such session."""
    alive: bool = False
    """And it has reported on it since."""

    sent: float = 0.0
    """When the latest request about it first went out, epoch seconds."""
    left: float = 0.0
    """When the BNG last acknowledged that it ends the session, epoch seconds."""
    returned: bool = False
    """It began after edged had ended another one of the same subscriber."""
    settled: bool = False
    """It was where it should be, and has been since."""
    asleep: bool = False
    """Nobody has reported on it for long; it may run all the same."""
    formers: tuple[str, ...] = ()
    """Attributes with their values that it was told by an earlier configuration, and is to be freed of."""

    @property
    def need(self) -> Act | None:
        """What is still to be said; None: nothing."""
        if self.blocked:
            return Act.BLOCK if self.held is not Held.BLOCKED else None
        return Act.OPEN if self.on_record else None

    @property
    def on_record(self) -> bool:
        """True while it may be blocked by a word of ours."""
        return self.held in {Held.MAYBE, Held.BLOCKED}

    @property
    def gone(self) -> bool:
        """True while the BNG is believed that it has no such session."""
        return self.absent and not self.alive and self.tries >= GONE_AFTER


class Order(NamedTuple):
    """One request to send."""

    key: Key
    act: Act
    session: Session
    entry: Entry
    before: Held
    """What was known of it before this."""


def _by_outcome() -> dict[tuple[str, str], int]:
    return {(act.value, outcome.value): 0 for act in Act for outcome in Outcome}


@dataclass(slots=True)
class Counters:
    """Plain counts since the start."""

    requests: dict[tuple[str, str], int] = field(default_factory=_by_outcome)
    """By what was asked and how it ended; a request counts once, whatever its retransmissions."""
    reverted: int = 0
    """Reports that showed a session otherwise than the BNG had acknowledged."""
    confirmed: int = 0
    """Sessions that a report has shown as they should be, after the acknowledgement."""
