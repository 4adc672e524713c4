# SPDX-License-Identifier: Apache-2.0
"""What the RADIUS server over TLS counts, in closed sets of labels. Plain integers; read at scrape time. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Refusal(StrEnum):
    """Why a connection was not taken in."""

    UNKNOWN_CLIENT = "unknown-client"
    """No client covers the address: there is no handshake."""
    TOO_MANY = "too-many"
    NO_CERTIFICATE = "no-certificate"
    BAD_CERTIFICATE = "bad-certificate"
    """Another authority's, ended, or not for this use."""
    WRONG_NAME = "wrong-name"
    """A good certificate with a name that no client at this address has."""
    NOT_TLS = "not-tls"
    """Another protocol, or a version or cipher that is not spoken."""
    TIMEOUT = "timeout"
    LOST = "lost"
    """The peer went away within the handshake: it may not trust our certificate."""


class Closing(StrEnum):
    """Why a connection ended."""

    PEER = "peer"
    IDLE = "idle"
    SLOW = "slow"
    """A packet did not come whole in time."""
    UNREAD = "unread"
    """Replies were not taken in time."""
    MALFORMED = "malformed"
    UNAUTHENTIC = "unauthentic"
    """A Request Authenticator or Message-Authenticator that is not made with ``radsec``."""
    REPLACED = "replaced"
    """Idle, and its address opened one too many."""
    RECONFIGURED = "reconfigured"
    """No client covers it any more."""
    STOPPED = "stopped"


@dataclass(slots=True)
class RadSecCounters:
    """Since the start of the service."""

    open: int = 0
    accepted: int = 0
    """Handshakes that ended well."""
    refused: dict[Refusal, int] = field(default_factory=lambda: dict.fromkeys(Refusal, 0))
    closed: dict[Closing, int] = field(default_factory=lambda: dict.fromkeys(Closing, 0))
    latest: dict[Refusal, str] = field(default_factory=dict)
    """The address of the last one that was refused for this reason."""

    def refuse(self, reason: Refusal, host: str) -> None:
        """Count one connection that was not taken in."""
        self.refused[reason] += 1
        self.latest[reason] = host
