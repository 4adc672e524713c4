# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: sessions that are due, in the order in which they came, and those that wait for a time. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush

from edged.enforce.bng.places import Key
from edged.enforce.bng.ways import Act

Kind = tuple[Act, bool]
"""What is to be said, and whether it was tried in vain."""
IN_TURN: tuple[Kind, ...] = ((Act.OPEN, False), (Act.OPEN, True), (Act.BLOCK, False), (Act.BLOCK, True))
"""Who has paid goes before who has not, and who was not told yet before who was told in vain."""
FRESH_FIRST: tuple[Kind, ...] = ((Act.OPEN, False), (Act.BLOCK, False), (Act.OPEN, True), (Act.BLOCK, True))
"""While a BNG is silent: it may answer some and not others, and those must not be asked again and again."""


class Turns:
    """Keys only: whether one is still to be told is for the owner to say."""

    __slots__ = ("_due", "_later", "_ready")

    def __init__(self) -> None:
        self._ready: dict[Kind, OrderedDict[Key, None]] = {kind: OrderedDict() for kind in IN_TURN}
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        """What stands in ``_later`` of whom: a report that changes nothing puts nobody there twice."""

    def put(self, key: Key, kind: Kind, due: float, now: float) -> None:
        """It is to be told at ``due``, or is due."""
        if due <= now:
            self._ready[kind].setdefault(key)
        elif self._due.get(key) != due:
            self._due[key] = due
            heappush(self._later, (due, key))

    def drop(self, key: Key) -> None:
        """Nothing is to be said."""
        self._due.pop(key, None)
        for ready in self._ready.values():
            ready.pop(key, None)

    def ripe(self, now: float) -> Iterator[Key]:
        """Those whose time has come."""
        while self._later and self._later[0][0] <= now:
            due, key = heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                yield key

    def taken(self, kind: Kind) -> Iterator[Key]:
        """Those that are due, one after the other, each for the last time."""
        ready = self._ready[kind]
        while ready:
            yield ready.popitem(last=False)[0]

    def any(self, kinds: tuple[Kind, ...] = IN_TURN) -> bool:
        """True when somebody of these kinds may be due."""
        return any(self._ready[kind] for kind in kinds)

    @property
    def next(self) -> float:
        """When the time of the next one comes that waits, epoch seconds; infinity: nobody does."""
        return self._later[0][0] if self._later else math.inf
