# SPDX-License-Identifier: Apache-2.0
"""One list as the hub serves it: its revision, what changed since earlier ones, its pages. Pure.

A revision names exactly a content: an answer can be kept as long as its revision stands, and two hubs of one signing
key give the same names to the same lists.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import indexOf, is_not
from typing import Generic, TypeVar

from edged.billing.mapping import Lines
from edged.hub import feed
from edged.model import Key, Subscriber
from edged.values import Secret

_BEGUN = 32
"""Lists that are remembered for their later pages: each takes a megabyte or so."""
_TOGETHER_S = 0.25
"""Seconds within which those who know nothing yet read the same list, whose pages are made once: no edge starts again
so soon, so that none is told less than it knew."""

T = TypeVar("T", bound=Subscriber | Key | Lines)

_REVISION_DIGITS = 32
_EARLIER = 4096
"""Revisions whose differences are known; beyond, an edge reads everything."""
_TOUCHED = 200_000
"""Ids that all of them together may remember."""


def revision(private: Secret, kind: str, content_sum: int, known: int | None) -> str:
    """The name of a list whose canonical lines add up to ``content_sum`` (``reading.sums_of``): 32 hexadecimal digits.

    Keyed: a plain digest of a short list of keys could be tried against passphrases.
    """
    content = f"{kind}\n{content_sum:x}\n{known}".encode()
    return hmac.new(private.reveal(), content, hashlib.sha256).hexdigest()[:_REVISION_DIGITS]


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """All entries of one list at one revision, in an order that stands."""

    revision: str
    entries: tuple[T, ...]
    known: int | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The header fields that say which list an answer is of."""
        return {"ETag": f'W/"{self.revision}"', "X-Total-Count": str(len(self.entries))}

    def page(self, kind: str, number: int) -> bytes:
        """Page ``number``, from 1, as JSON."""
        return feed.page(kind, self.entries, self.revision, self.known, number)


@dataclass(frozen=True, slots=True)
class _Step:
    """From one revision to the next."""

    before: str
    touched: frozenset[str]
    at: float
    """Epoch seconds."""


class History(Generic[T]):
    """A list now, and which ids were touched on the way here."""

    def __init__(self) -> None:
        self.now: Listed[T] = Listed("", ())
        self._by_id: dict[str, T] = {}
        """The entries of the list of now."""
        self._steps: deque[_Step] = deque()
        self._touched = 0

    def step(self, listed: Listed[T], changes: Mapping[str, T | None], at: float) -> None:
        """Make ``listed`` the list of now, from ``at`` on; ``changes``: what ``touched`` says of the way there."""
        if self.now.revision:
            self._steps.append(_Step(self.now.revision, frozenset(changes), at))
            self._touched += len(changes)
        while len(self._steps) > _EARLIER or self._touched > _TOUCHED:
            self._touched -= len(self._steps.popleft().touched)
        for name, entry in changes.items():
            if entry is None:
                self._by_id.pop(name, None)
            else:
                self._by_id[name] = entry
        self.now = listed

    def get(self, name: str) -> T | None:
        """The entry of the list of now."""
        return self._by_id.get(name)

    def copied(self) -> dict[str, T]:
        """The entries of the list of now by id, for a thread: they stay what they are."""
        return self._by_id.copy()

    def since(self, earlier: str) -> frozenset[str] | None:
        """The ids that were touched since revision ``earlier``; None: it is not known, or nearly all were."""
        if earlier == self.now.revision:
            return frozenset()
        ids: set[str] = set()
        for step in reversed(self._steps):
            ids |= step.touched
            if step.before == earlier:
                return frozenset(ids) if len(ids) <= max(feed.PAGE, len(self.now.entries) // 2) else None
        return None

    def superseded_at(self, earlier: str) -> float | None:
        """When another revision came in place of ``earlier``, epoch seconds; 0: it is that of now. None: not known."""
        if earlier == self.now.revision:
            return 0.0
        return next((step.at for step in reversed(self._steps) if step.before == earlier), None)


class Begun(Generic[T]):
    """Lists that somebody has begun to read, until they may be through."""

    def __init__(self) -> None:
        self._lists: OrderedDict[str, tuple[Listed[T], float]] = OrderedDict()

    def begin(self, now: Listed[T], at: float, *, fresh: bool) -> Listed[T]:
        """What to read for whoever begins at ``at``: the list of now, or what another began to read a moment ago.

        ``fresh``: only that of now will do. Seconds of a clock that nobody sets.
        """
        latest, begun = next(reversed(self._lists.values()), (None, at))
        if latest is not None and (latest.revision == now.revision or (not fresh and at - begun <= _TOGETHER_S)):
            return latest
        listed, _ = self._lists.pop(now.revision, (now, at))  # a content of before, in the order that it had
        self._lists[now.revision] = listed, at
        while len(self._lists) > _BEGUN:
            self._lists.popitem(last=False)
        return listed

    def get(self, name: str) -> Listed[T] | None:
        """The list of revision ``name``, where it is remembered."""
        return self._lists[name][0] if name in self._lists else None


def touched(now: Sequence[T], before: Sequence[T]) -> dict[str, T | None]:
    """The entries that are new or others, by id; None where there is one no more. In each list an id is there once."""
    # after one change nearly all stand where they stood, counted from the front or from the end
    front = _alike(now, before)
    end = min(len(now) - front, len(before) - front, _alike(reversed(now), reversed(before)))
    left = {entry.id: entry for entry in before[front : len(before) - end]}
    changed: dict[str, T | None] = {
        entry.id: entry
        for entry in now[front : len(now) - end]
        if (was := left.pop(entry.id, None)) is not entry and was != entry
    }
    return changed | dict.fromkeys(left)


def difference(kind: str, ids: frozenset[str], get: Callable[[str], T | None], now: Listed[T]) -> bytes:
    """What ``ids`` are in ``now``, whose entries ``get`` finds, as JSON."""
    found = [entry for each in sorted(ids) if (entry := get(each)) is not None]
    return feed.difference(kind, found, ids - {entry.id for entry in found}, now.revision, now.known)


def _alike(one: Iterable[T], other: Iterable[T]) -> int:
    """At how many places both have the same object before the first at which they have not."""
    ends = (True,)
    return indexOf(chain(map(is_not, one, other), ends), ends[0])
