# SPDX-License-Identifier: Apache-2.0
"""How the exchange with the shared store stands, for who looks at it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Standing:
    """How the exchange stands."""

    connected: bool = False
    since: float = 0.0
    """Since when it is so, epoch seconds."""
    started: float = 0.0
    """When this edge began to share, epoch seconds."""
    joins: int = 0
    """How often a connection came to an exchange."""
    exchanged_at: float = 0.0
    """When both sides were the same last; 0: never since the start."""
    error: str = ""
    too_old: bool = False
    waiting: int = 0
    sent: int = 0
    merged: int = 0
    refused: int = 0
    """Rows in the store that no edged would write."""
    ahead: float = 0.0
    """Seconds by which this host's clock was ahead of the server's, at the last look."""
    namesakes: int = 0
    """Other edges of this one's name that were there at the last look."""
    unsendable: int = 0
    """Rows of this edge that no other could take: too large, or a key that does not open."""
    unsealed: int = 0
    doubled: int = 0
    """Local keys revoked because an elder one had their passphrase."""

    def age(self, now: float) -> float:
        """Seconds since both sides were the same last; where they never were, since the start."""
        return max(0.0, now - (self.exchanged_at or self.started))
