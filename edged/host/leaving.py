# SPDX-License-Identifier: Apache-2.0
"""The end of a daemon whose sockets go on: nothing new is read, and who has been heard gets an answer. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

PATIENCE = 1.0
"""Seconds at most: meanwhile whoever comes waits for the next start."""
_LOOK = 0.01
_TURNS = 8
"""Of the loop, until whoever was accepted a moment ago has a protocol and counts."""


class Door(Protocol):
    """A room that others come to."""

    @property
    def under_way(self) -> int:
        """How many were heard and have no answer yet."""
        ...

    def refrain(self) -> None:
        """Hear nobody new; who was heard is still answered."""
        ...


async def drained(doors: Sequence[Door], patience: float = PATIENCE) -> int:
    """Close ``doors`` to newcomers and wait until those inside have had their answer: how many have not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    for door in doors:
        door.refrain()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    while (left := sum(door.under_way for door in doors)) and loop.time() < end:  # noqa: ASYNC110  # of five rooms
        await asyncio.sleep(_LOOK)
    return left
