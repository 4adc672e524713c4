# SPDX-License-Identifier: Apache-2.0
"""Who is online with which addresses: reports in, the lines of those whom billing lists out. Pure.

An address belongs to one session. Of two that claim it, or a part of it, the later has it, and the other has lost it
for good: a Stop that went missing must not leave a paying customer with the address of somebody who does not.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from edged.model import OnlineSession
from edged.policy.prefixes import PrefixMap
from edged.values import BITS, Prefix


@dataclass(frozen=True, slots=True)
class OnlineLines:
    """The addresses that listed subscribers have now by their sessions. Immutable."""

    holders: PrefixMap[str] = field(default_factory=PrefixMap)
    """Prefix to the subscriber's id."""
    lines: dict[str, tuple[Prefix, ...]] = field(default_factory=dict)
    """Subscriber's id to prefixes, in order."""

    def changed(self, lines: Iterable[tuple[str, tuple[Prefix, ...]]]) -> OnlineLines:
        """These, with what is said of some subscribers; an empty tuple: they have none now."""
        after, holders, news = self.lines.copy(), self.holders, False
        gone: list[Prefix] = []
        come: list[tuple[Prefix, str]] = []
        for subscriber, prefixes in lines:
            before = after.pop(subscriber, ())
            if prefixes:
                after[subscriber] = prefixes
            if before != prefixes:
                news = True
                # what was somebody else's meanwhile stays theirs
                gone += (prefix for prefix in before if holders.get(prefix) == subscriber)
                come += ((prefix, subscriber) for prefix in prefixes)
        return OnlineLines(holders.changed(gone, come), after) if news else self

    def __len__(self) -> int:
        return len(self.lines)


MOST = 500_000
"""Sessions that are remembered: what reports them may be broken, or stolen."""
CROWD = 48
"""Sessions of one subscriber; more is a fault, or a forgery, and none of them counts."""

Key = tuple[str, Hashable]
"""Who reports, and their name of the session."""


class _Holdings:
    """Which session holds which prefix, and what overlaps one."""

    __slots__ = ("_holders", "_lengths", "_order")

    def __init__(self) -> None:
        self._holders: dict[Prefix, Key] = {}
        self._order: list[Prefix] = []
        self._lengths: Counter[tuple[int, int]] = Counter()

    def get(self, prefix: Prefix) -> Key | None:
        return self._holders.get(prefix)

    def put(self, prefix: Prefix, key: Key) -> None:
        if prefix not in self._holders:
            insort(self._order, prefix)
            self._lengths[prefix.version, prefix.length] += 1
        self._holders[prefix] = key

    def remove(self, prefix: Prefix) -> None:
        if self._holders.pop(prefix, None) is not None:
            del self._order[bisect_left(self._order, prefix)]
            self._lengths[prefix.version, prefix.length] -= 1

    def overlapping(self, prefix: Prefix) -> list[tuple[Prefix, Key]]:
        """Every held prefix around, in, or equal to ``prefix``."""
        version, bits = prefix.version, BITS[prefix.version]
        around = [
            Prefix(version, prefix.network >> (bits - length) << (bits - length), length)
            for (of, length), count in self._lengths.items()
            if count and of == version and length < prefix.length
        ]
        first = bisect_left(self._order, Prefix(version, prefix.network, 0))
        last = bisect_right(self._order, Prefix(version, prefix.last, bits))
        found = [*around, *(inside for inside in self._order[first:last] if inside.length >= prefix.length)]
        return [(other, self._holders[other]) for other in found if other in self._holders]


class Roster:
    """Every session that was reported, by whomever, and which of them holds which address."""

    __slots__ = ("_held", "_of_login", "_of_subscriber", "_sessions")

    def __init__(self) -> None:
        self._sessions: dict[Key, OnlineSession] = {}
        self._held = _Holdings()
        self._of_login: dict[str, set[Key]] = {}
        self._of_subscriber: dict[str, set[Key]] = {}

    def report(self, key: Key, session: OnlineSession | None, now: float = math.inf) -> set[str]:
        """Take one report at ``now`` (epoch seconds); None: the session is over.

        The logins and subscribers whose lines may be others now.
        """
        before = self._sessions.get(key)
        if before == session or (before is None and len(self._sessions) >= MOST):
            return set()
        concerned: set[str] = set()
        if before is not None:
            concerned |= self._drop(key, before)
        if session is not None:
            concerned |= self._add(key, session, now)
        return concerned

    def replace(
        self, reporter: str, sessions: Iterable[OnlineSession], *, keep: bool = False, now: float = math.inf
    ) -> set[str]:
        """Take ``reporter``'s whole list; who is not on it has gone, unless ``keep``. As ``report``."""
        return set().union(*self.replacing(reporter, sessions, keep=keep, now=now))

    def replacing(
        self, reporter: str, sessions: Iterable[OnlineSession], *, keep: bool = False, now: float = math.inf
    ) -> Iterator[set[str]]:
        """``replace`` in small steps, each with what it concerns: a hundred thousand sessions take seconds.

        In between, somebody's session may be without its addresses; it never has another's.
        """
        there: dict[Key, OnlineSession] = {}
        for session in sessions:
            there[reporter, (session.subscriber, session.login, session.prefixes)] = session
            yield set()
        for key in () if keep else tuple(self._sessions):
            yield self.report(key, None) if key[0] == reporter and key not in there else set()
        for key, session in there.items():
            yield self.report(key, session, now)

    def lines_of(self, subscriber: str, logins: Iterable[str]) -> tuple[Prefix, ...]:
        """The addresses that the sessions of ``subscriber`` hold, in order; none of a crowd's."""
        keys = self._keys(subscriber, logins) if self._sessions else set()
        if not keys or len(keys) > CROWD:
            return ()
        return tuple(sorted({prefix for key in keys for prefix in self._holds(key)}))

    def sessions_of(self, subscriber: str, logins: Iterable[str]) -> list[OnlineSession]:
        """Some sessions of billing's id ``subscriber`` and of ``logins``; their prefixes are those that they hold."""
        keys = sorted(self._keys(subscriber, logins), key=repr)[:CROWD]
        return [replace(self._sessions[key], prefixes=tuple(self._holds(key))) for key in keys]

    def kept(self, key: Key) -> list[Prefix]:
        """The addresses of the session called ``key`` that nobody else has had since; none when none such runs.

        Another report of the same login takes nothing from it, nor one of billing's that names no login.
        """
        session = self._sessions.get(key)
        if session is None:
            return []
        holders = ((prefix, self._held.get(prefix)) for prefix in session.prefixes)
        return [
            prefix
            for prefix, holder in holders
            if holder == key or (holder is not None and self._sessions[holder].login in {"", session.login})
        ]

    def _keys(self, subscriber: str, logins: Iterable[str]) -> set[Key]:
        keys = set(self._of_subscriber.get(subscriber, ()))
        for login in logins:
            # what billing says of whose session it is goes before the name alone
            keys |= {key for key in self._of_login.get(login, ()) if not self._sessions[key].subscriber}
        return keys

    def _holds(self, key: Key) -> list[Prefix]:
        return [prefix for prefix in self._sessions[key].prefixes if self._held.get(prefix) == key]

    def _add(self, key: Key, session: OnlineSession, now: float) -> set[str]:
        self._sessions[key] = session
        for index, name in ((self._of_login, session.login), (self._of_subscriber, session.subscriber)):
            if name:
                index.setdefault(name, set()).add(key)
        concerned = {session.login, session.subscriber}
        for prefix in session.prefixes:
            # of one's own an equal one alone is another's: the link lies within the delegated prefix
            rivals = [
                (other, self._sessions[holder])
                for other, holder in self._held.overlapping(prefix)
                if other == prefix or not _same(self._sessions[holder], session)
            ]
            # one that was bound in the future was reported while the clock was wrong
            if any(session.since < rival.since <= now for _, rival in rivals):
                continue  # a report that was overtaken
            for other, rival in rivals:
                concerned |= {rival.login, rival.subscriber}
                self._held.remove(other)
            self._held.put(prefix, key)
        return concerned - {""}

    def _drop(self, key: Key, session: OnlineSession) -> set[str]:
        held = self._holds(key)
        del self._sessions[key]
        same: set[Key] = set()
        for index, name in ((self._of_login, session.login), (self._of_subscriber, session.subscriber)):
            keys = index.get(name)
            if keys is not None:
                keys.discard(key)
                # two reporters of one session: the other's word still stands; in a crowd nobody's does
                same |= keys if len(keys) <= CROWD else set()
                if not keys:
                    del index[name]
        concerned = {session.login, session.subscriber}
        for prefix in held:
            self._held.remove(prefix)
            heir = next((k for k in same if prefix in self._sessions[k].prefixes), None)
            if heir is not None:
                self._held.put(prefix, heir)
                concerned |= {self._sessions[heir].login, self._sessions[heir].subscriber}
        return concerned - {""}

    def __len__(self) -> int:
        return len(self._sessions)


def _same(a: OnlineSession, b: OnlineSession) -> bool:
    """True when both are sessions of one customer, as far as they say."""
    return bool((a.login and a.login == b.login) or (a.subscriber and a.subscriber == b.subscriber))
