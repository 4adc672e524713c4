# SPDX-License-Identifier: Apache-2.0
"""Who is online with which addresses: reports in, the lines of those whom billing lists out. Pure.

An address belongs to one session. Of two that claim it the later has it, and the other has lost it for good: a
Stop that went missing must not leave a paying customer with the address of somebody who does not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from edged.model import OnlineSession
from edged.policy.prefixes import PrefixMap
from edged.values import Prefix


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
                gone += before
                come += ((prefix, subscriber) for prefix in prefixes)
        return OnlineLines(holders.changed(gone, come), after) if news else self

    def __len__(self) -> int:
        return len(self.lines)


MOST = 500_000
"""Sessions that are remembered: what reports them may be broken, or stolen."""

Key = tuple[str, Hashable]
"""Who reports, and their name of the session."""


class Roster:
    """Every session that was reported, by whomever, and which of them holds which address."""

    __slots__ = ("_held_by", "_of_login", "_of_subscriber", "_sessions")

    def __init__(self) -> None:
        self._sessions: dict[Key, OnlineSession] = {}
        self._held_by: dict[Prefix, Key] = {}
        self._of_login: dict[str, set[Key]] = {}
        self._of_subscriber: dict[str, set[Key]] = {}

    def report(self, key: Key, session: OnlineSession | None) -> set[str]:
        """Take one report; None: the session is over. The logins and subscribers whose lines may be others now."""
        before = self._sessions.get(key)
        if before == session or (before is None and len(self._sessions) >= MOST):
            return set()
        concerned: set[str] = set()
        if before is not None:
            concerned |= self._drop(key, before)
        if session is not None:
            concerned |= self._add(key, session)
        return concerned

    def replace(self, reporter: str, sessions: Iterable[OnlineSession], *, keep: bool = False) -> set[str]:
        """Take ``reporter``'s whole list; who is not on it has gone, unless ``keep``."""
        concerned: set[str] = set()
        there = {(reporter, (s.subscriber, s.login, s.prefixes)): s for s in sessions}
        for key in () if keep else [key for key in self._sessions if key[0] == reporter and key not in there]:
            concerned |= self.report(key, None)
        for key, session in there.items():
            concerned |= self.report(key, session)
        return concerned

    def lines_of(self, subscriber: str, logins: Iterable[str]) -> tuple[Prefix, ...]:
        """The addresses that the sessions of ``subscriber`` hold, in order."""
        if not self._sessions:
            return ()
        sessions = self.sessions_of(subscriber, logins)
        return tuple(sorted({prefix for session in sessions for prefix in session.prefixes}))

    def sessions_of(self, subscriber: str, logins: Iterable[str]) -> list[OnlineSession]:
        """The sessions of billing's id ``subscriber`` and of ``logins``; their prefixes are those that they hold."""
        keys = set(self._of_subscriber.get(subscriber, ()))
        for login in logins:
            # what billing says of whose session it is goes before the name alone
            keys |= {key for key in self._of_login.get(login, ()) if not self._sessions[key].subscriber}
        return [replace(self._sessions[key], prefixes=tuple(self._held(key))) for key in keys]

    def _held(self, key: Key) -> Iterator[Prefix]:
        return (prefix for prefix in self._sessions[key].prefixes if self._held_by.get(prefix) == key)

    def _add(self, key: Key, session: OnlineSession) -> set[str]:
        self._sessions[key] = session
        self._of_login.setdefault(session.login, set()).add(key)
        if session.subscriber:
            self._of_subscriber.setdefault(session.subscriber, set()).add(key)
        concerned = {session.login, session.subscriber}
        for prefix in session.prefixes:
            holder = self._held_by.get(prefix)
            other = self._sessions.get(holder) if holder is not None else None
            if other is not None and other.since > session.since:
                continue  # a report that was overtaken
            if other is not None:
                concerned |= {other.login, other.subscriber}
            self._held_by[prefix] = key
        return concerned - {""}

    def _drop(self, key: Key, session: OnlineSession) -> set[str]:
        held = list(self._held(key))
        del self._sessions[key]
        for index, name in ((self._of_login, session.login), (self._of_subscriber, session.subscriber)):
            keys = index.get(name)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del index[name]
        # two reporters of one session: the other's word still stands
        same = self._of_login.get(session.login, set()) | self._of_subscriber.get(session.subscriber, set())
        concerned = {session.login, session.subscriber}
        for prefix in held:
            heir = next((k for k in same if prefix in self._sessions[k].prefixes), None)
            if heir is None:
                del self._held_by[prefix]
            else:
                self._held_by[prefix] = heir
                concerned |= {self._sessions[heir].login, self._sessions[heir].subscriber}
        return concerned - {""}

    def __len__(self) -> int:
        return len(self._sessions)
