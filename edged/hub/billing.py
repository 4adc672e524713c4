# SPDX-License-Identifier: Apache-2.0
"""What the hub needs of the room that it stands on: the list in force, and whether billing says who is online. Pure."""

from __future__ import annotations

from typing import Protocol

from edged.model import Snapshot, State


class Listing(Protocol):
    """What the hub needs of billing; ``BillingService`` is it."""

    @property
    def in_force(self) -> Snapshot | None:
        """The last list that the guard let through; None: there was none yet."""

    @property
    def current_at(self) -> float:
        """When billing last confirmed it, epoch seconds."""

    @property
    def has_read(self) -> bool:
        """True once the list in force is of a reading since the start: what it does not offer then, billing has not."""

    async def recheck(self, subscriber: str) -> State | None:
        """What billing says of one subscriber now, in force as far as the guard lets it. UpstreamError."""


class WhoIsOnline(Protocol):
    """What the hub needs to know of live sessions; ``Online`` is it."""

    offered: bool | None
    """False: billing does not say; None: not known yet."""
    confirmed_at: float
    """When it last said, epoch seconds; 0: never."""
