# SPDX-License-Identifier: Apache-2.0
"""What the room counts: closed sets of labels, plain integers, never a name or an address. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.captive.answers import Kind, Topic

DROPPED = (
    "full",  # everybody inside is being served
    "displaced",  # asked nothing and made room for a newer connection
    "slow",  # no complete request or ClientHello in time
    "gone",  # the client left first
    "not-tls",
    "not-a-hello",
    "hello-malformed",
    "hello-too-long",
    "stranger",  # not a served network, asking for somebody else's name
)


@dataclass(slots=True)
class Counters:
    """Read by ``ops`` at scrape time."""

    connections: int = 0
    answers: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    pages: dict[Topic, int] = field(default_factory=lambda: dict.fromkeys(Topic, 0))
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROPPED, 0))
    clicks: int = 0
    """People who followed the pay button."""
    alerts: int = 0
    """TLS clients for a foreign name that got an alert."""
    resets: int = 0
    """The same, with ``foreign_tls: reset``."""
    handshakes_failed: int = 0
    """On the portal's own name."""
    malformed: int = 0
    """Requests that are not HTTP/1.1 as RFC 9112 has it."""
    faults: int = 0
    """Our own bugs, met while answering."""
