# SPDX-License-Identifier: Apache-2.0
"""Hints in, what is due to be read now out: merged, spaced, none lost. Bounded; pure, the clock is passed in.

A subscriber named a hundred times is read once; named again while that reading runs, once more after it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from edged.billing.webhook import Hint

SPACING = 1.0
"""Seconds between two readings of one subscriber: a flood of one name costs billing one request a second."""
SPACING_ALL = 15.0
"""Seconds between two looks at everything."""
BATCH = 8
"""Names handed out at once: as many as are asked about at the same time, so that none waits for a second round."""
LIMIT = 4096
"""Names that may wait; beyond, one look at everything is cheaper than asking for each."""
RETRY = (2.0, 10.0, 60.0)
"""Seconds until billing, away just now, is asked again; after that the next poll finds the change."""


class Name(NamedTuple):
    """One thing to read."""

    kind: str
    """``subscriber``, ``key`` or ``all``."""
    id: str = ""

    @property
    def spacing(self) -> float:
        """Seconds between two readings."""
        return SPACING_ALL if self.kind == "all" else SPACING


ALL = Name("all")


class Pending:
    """What waits, what is being read, what was read a moment ago. Times are those of a clock that never steps."""

    def __init__(self) -> None:
        self._due: dict[Name, float] = {}
        self._busy: set[Name] = set()
        self._last: dict[Name, float] = {}
        self._tries: dict[Name, int] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, hint: Hint, now: float) -> None:
        """Whatever ``hint`` names is wanted from now on."""
        for name in _names(hint):
            self._want(name, now)

    def _want(self, name: Name, at: float) -> None:
        if name != ALL and name not in self._due and len(self._due) >= LIMIT:
            self._due = {ALL: self._due[ALL]} if ALL in self._due else {}
            self._tries.clear()
            name = ALL
        soonest = max(at, self._last.get(name, -math.inf) + name.spacing)
        self._due[name] = min(soonest, self._due.get(name, math.inf))

    def take(self, now: float, *, everything: bool) -> Hint | None:
        """What is due and not being read, as one hint; with ``everything`` only the look at all. None: nothing."""
        ready = [n for n, due in self._due.items() if due <= now and n not in self._busy and (n == ALL) is everything]
        if not ready:
            return None
        self._last = {name: at for name, at in self._last.items() if at + name.spacing > now}
        taken = ready[:BATCH]
        for name in taken:
            del self._due[name]
            self._busy.add(name)
            self._last[name] = now
        subscribers, keys = (tuple(n.id for n in taken if n.kind == kind) for kind in ("subscriber", "key"))
        return Hint(subscribers, keys, everything=everything)

    def wait(self, now: float, *, everything: bool) -> float | None:
        """Seconds until ``take`` has something, as things stand; None: until somebody adds or is done."""
        due = (at for n, at in self._due.items() if n not in self._busy and (n == ALL) is everything)
        soonest = min(due, default=None)
        return None if soonest is None else max(0.0, soonest - now)

    def done(self, hint: Hint) -> None:
        """``hint``, as it was taken, has been read."""
        for name in _names(hint):
            self._busy.discard(name)
            self._tries.pop(name, None)

    def failed(self, hint: Hint, now: float) -> None:
        """Billing could not be asked about ``hint``: tried again a few times."""
        for name in _names(hint):
            self._busy.discard(name)
            tries = self._tries.pop(name, 0)
            if tries < len(RETRY):
                self._tries[name] = tries + 1
                self._want(name, now + RETRY[tries])


def _names(hint: Hint) -> list[Name]:
    names = [Name("subscriber", name) for name in hint.subscribers] + [Name("key", name) for name in hint.keys]
    return [*names, ALL] if hint.everything else names
