# SPDX-License-Identifier: Apache-2.0
"""What the room counts, with the closed sets of labels. Plain data, read at scrape time."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.dns.verdict import Kind

DROPS = ("short", "response", "port", "ratelimited", "stranger", "send", "receive")
"""Why a packet got no reply."""
ERRORS = ("formerr", "notimp", "badvers", "servfail", "truncated")
"""Replies that are no verdict's."""


@dataclass(slots=True)
class DnsCounters:
    """Plain counts since the start."""

    received: int = 0
    answers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, Kind), 0))
    """By kind of verdict."""
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ERRORS, 0))
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROPS, 0))
    ratelimited: int = 0
    """Queries above a subscriber's rate: truncated or dropped."""
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
