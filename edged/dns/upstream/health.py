# SPDX-License-Identifier: Apache-2.0
"""Which upstream is asked first: what each did, and the time, in; their order out. The clock is passed in. Pure.

One that fails is asked last for a while, and then gets a copy of one question before it is trusted again: no client
ever waits to find out whether it is back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FIRST_REST, LAST_REST = 5.0, 300.0
"""Seconds that one which failed is asked last; doubled at each failure in a row."""
DOWN = 3
"""So many failures in a row are not a lost packet or one slow name: 5 + 10 seconds without an answer."""


@dataclass(slots=True)
class Health:
    """One upstream."""

    name: str
    """As the operator knows it."""
    asked: int = 0
    failed: int = 0
    in_a_row: int = 0
    """Failures since its last answer, those while it rested not counted."""
    until: float = 0.0
    """Seconds on the caller's clock: it is asked last before that."""
    trying: bool = False
    """True while a copy of a question finds out whether it is back."""

    @property
    def down(self) -> bool:
        """True when it has not answered for a while."""
        return self.in_a_row >= DOWN


class Healths:
    """All upstreams, in the operator's order of preference."""

    __slots__ = ("all",)

    def __init__(self, names: Sequence[str]) -> None:
        self.all = tuple(Health(name) for name in names)

    def order(self) -> tuple[int, ...]:
        """All of them: those that answer in the operator's order, then the one whose rest ends first."""
        numbers = range(len(self.all))
        return tuple(sorted(numbers, key=lambda i: (self.all[i].until if self.all[i].in_a_row else 0.0, i)))

    def answered(self, index: int) -> None:
        """It gave a usable answer."""
        health = self.all[index]
        health.in_a_row, health.until = 0, 0.0

    def failed(self, index: int, now: float) -> None:
        """It gave none."""
        health = self.all[index]
        health.failed += 1
        if now >= health.until:
            health.until = now + min(FIRST_REST * 2 ** min(health.in_a_row, 10), LAST_REST)
            health.in_a_row += 1

    def due(self, now: float) -> tuple[int, ...]:
        """Those that have rested and are to be tried beside the one that answers."""
        answering = any(not health.in_a_row for health in self.all)
        rested = (i for i, h in enumerate(self.all) if h.in_a_row and h.until <= now and not h.trying)
        return tuple(rested) if answering else ()
