# SPDX-License-Identifier: Apache-2.0
"""What the RADIUS service counts, in closed sets of labels. Plain integers; read at scrape time. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from edged.radius.packet import Code


class Discard(StrEnum):
    """Why a datagram got no reply."""

    MALFORMED = "malformed"
    UNKNOWN_CLIENT = "unknown-client"
    UNEXPECTED_CODE = "unexpected-code"
    """A code that is no request, or one for the other port."""
    BAD_AUTHENTICATOR = "bad-authenticator"
    """Accounting signed with another secret."""
    BAD_MESSAGE_AUTHENTICATOR = "bad-message-authenticator"
    NO_MESSAGE_AUTHENTICATOR = "no-message-authenticator"
    PROXY_STATE_UNSIGNED = "proxy-state-unsigned"
    IN_PROGRESS = "in-progress"
    """A retransmission while the first is still being answered."""
    SUPERSEDED = "superseded"
    """Answered after the client had given the identifier to another request."""
    OVERLOAD = "overload"
    DEADLINE = "deadline"
    NO_ANSWER = "no-answer"
    """The handler chose silence, or the record is not durable."""
    FAULT = "fault"
    """Our own bug; the log says where."""
    UNSENDABLE = "unsendable"
    """The kernel took the reply back (no route, no room), or it is longer than a packet may be."""


REPORTED = frozenset(Discard) - {Discard.IN_PROGRESS, Discard.SUPERSEDED, Discard.NO_ANSWER}
"""Discards that an operator can do something about: these have a line in the log, the others a number."""

REQUEST_CODES = (Code.ACCESS_REQUEST, Code.ACCOUNTING_REQUEST, Code.STATUS_SERVER)
ANSWER_CODES = (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE, Code.ACCOUNTING_RESPONSE)


class Report(NamedTuple):
    """Discards of one reason since the report before."""

    reason: Discard
    times: int
    latest: str
    """The client's name; the source address of a stranger."""


@dataclass(slots=True)
class Counters:
    """Since the start of the service."""

    requests: dict[Code, int] = field(default_factory=lambda: dict.fromkeys(REQUEST_CODES, 0))
    """Verified and new."""
    answers: dict[Code, int] = field(default_factory=lambda: dict.fromkeys(ANSWER_CODES, 0))
    discards: dict[Discard, int] = field(default_factory=lambda: dict.fromkeys(Discard, 0))
    latest: dict[Discard, str] = field(default_factory=dict)
    """Whose datagram was the last with this reason."""
    reported: dict[Discard, int] = field(default_factory=dict)
    """``discards`` as they stood at the last report."""
    replayed: int = 0
    """Duplicates that got the same octets again."""
    in_flight: int = 0
    """Requests that a handler is working on now."""

    def discard(self, reason: Discard, who: str) -> None:
        """Count one datagram without a reply."""
        self.discards[reason] += 1
        self.latest[reason] = who

    def report(self) -> tuple[Report, ...]:
        """What has been discarded since the report before, where an operator can do something about it."""
        before, self.reported = self.reported, dict(self.discards)
        return tuple(
            Report(reason, count - before.get(reason, 0), self.latest[reason])
            for reason, count in self.discards.items()
            if reason in REPORTED and count > before.get(reason, 0)
        )
