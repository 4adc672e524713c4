# SPDX-License-Identifier: Apache-2.0
"""Whom of the listed the hub knows online where in, the list of who is online out, and what changed in it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from edged.billing.mapping import Lines
from edged.model import OnlineSession, State
from edged.policy.access import View
from edged.values import Prefix

SessionsOf = Callable[[str, Iterable[str]], list[OnlineSession]]

_MODULUS = 1 << 256


def lines_of(subscriber: str, addresses: tuple[Prefix, ...], sessions: Sequence[OnlineSession]) -> Lines:
    """Where a subscriber is. Of several sessions with any of ``addresses`` the earliest says since when.

    Not the latest: an edge gives an address to whoever had it later, and nobody may lose theirs to an older session.
    """
    held = set(addresses)
    since = min((session.since for session in sessions if not held.isdisjoint(session.prefixes)), default=0.0)
    return Lines(subscriber, addresses, since)


class OnlineList:
    """Those who are listed, not active, and online, in an order that stands; a change costs what it changes."""

    def __init__(self) -> None:
        self._lines: dict[str, Lines] = {}
        self.content = 0
        """What names the list, whatever its order."""

    @property
    def entries(self) -> tuple[Lines, ...]:
        """All of it."""
        return tuple(self._lines.values())

    def everybody(self, view: View) -> list[str]:
        """Ids of all who may be on it, or are."""
        return list(view.learned.online.lines.keys() | self._lines.keys())

    def take(self, view: View, subscribers: Iterable[str], sessions_of: SessionsOf) -> dict[str, Lines | None]:
        """What ``view`` says of these, as far as it is news; None: they are not on it any more."""
        changed: dict[str, Lines | None] = {}
        for subscriber in subscribers:
            before, now = self._lines.get(subscriber), _now(view, subscriber, sessions_of)
            if now != before:
                changed[subscriber] = now
                self.content = (self.content - _number(before) + _number(now)) % _MODULUS
                if now is None:
                    del self._lines[subscriber]
                else:
                    self._lines[subscriber] = now
        return changed


def _now(view: View, subscriber: str, sessions_of: SessionsOf) -> Lines | None:
    one = view.table.subscribers.get(subscriber)
    # as they are in force here: none of another who claims the same login, none that may never be blocked
    addresses = view.learned.online.lines.get(subscriber, ())
    if one is None or one.state is State.ACTIVE or not addresses:
        return None
    return lines_of(subscriber, addresses, sessions_of(subscriber, one.logins))


def _number(one: Lines | None) -> int:
    if one is None:
        return 0
    text = f"{one.id}\n{one.since!r}\n{' '.join(map(str, one.addresses))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest())
