# SPDX-License-Identifier: Apache-2.0
"""What the room counts, with the closed sets of labels. Plain data, read at scrape time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from edged.dns.verdict import Kind
from edged.native.datagrams import PLACES, Counts, Others

DROPS = ("short", "response", "port", "ratelimited", "stranger", "send", "receive", "crowded")
"""Why a packet got no reply."""
ERRORS = ("formerr", "notimp", "badvers", "servfail", "truncated")
"""Replies that are no verdict's."""


_NAMED = 256
"""Subscribers and prefixes named as too fast, at once."""


class Limited(StrEnum):
    """Whose rate it was."""

    SUBSCRIBER = "subscriber"
    PREFIX = "prefix"


@dataclass(slots=True)
class DnsCounters:
    """Plain counts since the start."""

    received: int = 0
    answers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, Kind), 0))
    """By kind of verdict."""
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ERRORS, 0))
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROPS, 0))
    ratelimited: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, Limited), 0))
    """Queries above a rate, truncated or dropped, by whose rate it was."""
    limited: dict[tuple[str, str], int] = field(default_factory=dict)
    """Seconds in which (whose rate, who) was above it; bounded."""
    garden_lookups: int = 0
    rebinding: int = 0
    """Addresses that a garden name must not have."""
    admit_timeouts: int = 0
    """Garden answers that left before their addresses were known to be in the sets."""
    admit_failures: int = 0
    upstream_failures: int = 0
    tcp_connections: int = 0
    """Accepted since the start."""
    tcp_open: int = 0
    tcp_closed: int = 0
    """Closed by us: idle, too slow, too many."""

    took: list[int] = field(default_factory=lambda: [0] * PLACES)
    """Answers by the time from being read to being sent: of place n less than 2**n microseconds."""
    took_seconds: float = 0.0
    """What all of them took."""

    def note_took(self, seconds: float, answers: int = 1) -> None:
        """Count ``answers`` that left ``seconds`` after they were read."""
        self.took[min(int(seconds * 1e6).bit_length(), PLACES - 1)] += answers
        self.took_seconds += seconds * answers

    def note_limited(self, by: Limited, who: str) -> None:
        """Note one second of ``who`` above a rate; the least often makes room."""
        if len(self.limited) >= _NAMED and (by, who) not in self.limited:
            del self.limited[min(self.limited, key=self.limited.__getitem__)]
        self.limited[by, who] = self.limited.get((by, who), 0) + 1

    def add(self, counts: Counts) -> None:
        """Take over what was done outside the sinkhole."""
        answers, others = counts[0], Others(*counts[1])
        for kind, count in zip(Kind, answers, strict=False):
            self.answers[kind] += count
        self.received += sum(answers) + others.ratelimited + others.crowded
        self.ratelimited[Limited.SUBSCRIBER] += others.ratelimited
        self.dropped["ratelimited"] += others.ratelimited
        self.dropped["send"] += others.unsendable
        self.dropped["port"] += others.portless
        self.dropped["receive"] += others.unreadable
        self.dropped["crowded"] += others.crowded
        self.took_seconds += others.microseconds / 1e6
        for place, count in enumerate(counts[2]):
            self.took[place] += count
