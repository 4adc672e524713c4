# SPDX-License-Identifier: Apache-2.0
"""The end of a daemon whose sockets go on: nothing new is read, and who has been heard gets an answer. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

PATIENCE = 1.0
"""Seconds at most: meanwhile whoever comes waits for the next start."""
_LOOK = 0.01


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
    while True:
        # first of all a turn of the loop: who has just been accepted is not inside yet
        await asyncio.sleep(_LOOK)
        left = sum(door.under_way for door in doors)
        if not left or loop.time() > end:
            return left
