# SPDX-License-Identifier: Apache-2.0
"""One list of the feed as it was read, and changes since a revision merged into the list before. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from edged.billing.mapping import Lines, check_shared_passphrases
from edged.model import Key, State, Subscriber

T = TypeVar("T", bound=Subscriber | Key | Lines)


@dataclass(frozen=True, slots=True)
class FeedList(Generic[T]):
    """All of a list, or (with ``removed``) what changed since a revision."""

    entries: tuple[T, ...] = ()
    revision: str = ""
    known: int | None = None
    etag: str = ""
    removed: tuple[str, ...] | None = None
    total: int | None = None
    offered: bool = True
    """False: the server has no such list."""


def adds_up(changes: FeedList[T]) -> bool:
    """True unless ``total`` contradicts: it may count the removed ones or not, the feed leaves it open."""
    return changes.total in {None, len(changes.entries), len(changes.entries) + len(changes.removed or ())}


def merged(before: tuple[T, ...], read: FeedList[T] | None, gone: Callable[[str], T | None]) -> tuple[T, ...]:
    """The list now: ``before`` when nothing was read, else what was read, or ``before`` with its changes."""
    if read is None:
        return before
    if read.removed is None:
        return read.entries
    entries = {entry.id: entry for entry in before}
    for name in read.removed:
        entries.pop(name, None)
        left = gone(name)
        if left is not None:
            entries[name] = left
    entries.update((entry.id, entry) for entry in read.entries)
    return tuple(entries.values())


def merged_keys(before: tuple[Key, ...] | None, read: FeedList[Key] | None, now: float) -> tuple[Key, ...] | None:
    """The keys now, checked against each other; None: the server has no such list. UpstreamError."""
    if read is None:
        return before
    if not read.offered:
        return None
    keys = merged(before or (), read, revoked)
    check_shared_passphrases(keys, now)
    return keys


def active_again(subscriber: str) -> Subscriber:
    """What ``removed`` says of a subscriber: the word, kept in the reading as evidence for the guard."""
    return Subscriber(subscriber, State.ACTIVE)


def revoked(_key: str) -> None:
    """What ``removed`` says of a key: it is no more."""
