# SPDX-License-Identifier: Apache-2.0
"""Answers to one call for each key, each good for a while; what cannot be had anew stays as it was. Waits; bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edged.billing.reading import Progress
from edged.errors import UpstreamError

K = TypeVar("K", int, str)
V = TypeVar("V")

_FEW = 5
"""So many may lose what they had at one look; more are a fault of the other side when they are most of those asked."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and how often, the other side is asked."""

    age: float = 600.0
    """Seconds until an answer is asked for again."""
    look: int = 200
    """How many of those that are old are asked for at one look; new ones are always asked for."""
    at_once: int = 8
    """Calls under way at once."""
    failures: int = 16
    """After so many in one look the others are not tried: the system is down, and each would wait."""
    patience: float = 10.0
    """Seconds for one look once something is known: who has paid is waiting for it."""


class FinalError(UpstreamError):
    """A failure that the next key would meet as well."""


@dataclass(slots=True)
class _Look(Generic[K, V]):
    """One round of questions."""

    due: list[K]
    call: Callable[[K], Awaitable[V]]
    waiting: Iterator[K]
    failures: list[UpstreamError] = field(default_factory=list)
    emptied: dict[K, V] = field(default_factory=dict)
    again: int = 0
    """How many that had something before have answered."""
    done: int = 0


class Remembered(Generic[K, V]):
    """What was answered, by key."""

    def __init__(self, what: str, pace: Pace) -> None:
        self._what = what
        self._pace = pace
        self.values: dict[K, V] = {}
        self._asked: dict[K, float] = {}
        """When, on the monotonic clock."""

    def put(self, key: K, value: V) -> None:
        """Keep an answer."""
        self.values[key], self._asked[key] = value, time.monotonic()

    def forget(self, wanted: set[K]) -> None:
        """Let go of what nobody wants, once it is old: it may have become another's by then."""
        old = time.monotonic() - self._pace.age
        for key in [key for key, at in self._asked.items() if at <= old and key not in wanted]:
            del self.values[key], self._asked[key]

    async def ask(self, keys: set[K], call: Callable[[K], Awaitable[V]], told: Progress) -> UpstreamError | None:
        """Ask for every key that is new, and for the oldest of those that are old; the first failure, or None."""
        old = time.monotonic() - self._pace.age
        due = sorted(key for key in keys if key not in self._asked)
        stale = sorted((at, key) for key, at in self._asked.items() if key in keys and at <= old)
        due += [key for _, key in stale[: self._pace.look]]
        look = _Look(due, call, iter(due))
        try:
            async with asyncio.timeout(self._pace.patience if self.values else None), asyncio.TaskGroup() as group:
                for _ in range(min(self._pace.at_once, len(due))):
                    group.create_task(self._work(look, told))
        except TimeoutError:
            look.failures.append(UpstreamError(f"not all {self._what} within {self._pace.patience:.0f} s"))
        return self._settle(look)

    async def _work(self, look: _Look[K, V], told: Progress) -> None:
        for key in look.waiting:
            try:
                value = await look.call(key)
            except UpstreamError as error:
                look.failures.append(error)
                if isinstance(error, FinalError) or len(look.failures) >= self._pace.failures:
                    return
            else:
                had = bool(self.values.get(key))
                look.again += had
                if had and not value:
                    look.emptied[key] = value
                else:
                    self.put(key, value)
            look.done += 1
            told(self._what, look.done, len(look.due))

    def _settle(self, look: _Look[K, V]) -> UpstreamError | None:
        """Believe that some have nothing any more, and not that most have."""
        if len(look.emptied) > _FEW and 2 * len(look.emptied) > look.again:
            look.failures.append(
                UpstreamError(f"{len(look.emptied)} of {look.again} lost all their {self._what} at once; they stay")
            )
        else:
            for key, value in look.emptied.items():
                self.put(key, value)
        return look.failures[0] if look.failures else None
