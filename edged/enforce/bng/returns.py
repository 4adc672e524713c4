# SPDX-License-Identifier: Apache-2.0
"""Whose sessions were ended, how often of late, and when the next one may be: nobody is thrown out in a loop. Pure."""

from __future__ import annotations

from edged.state.sessions import Session

MOST = 10_000
"""Logins that are remembered at once; the oldest go first."""


class Returns:
    """By whoever comes back after a session has ended."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, float]] = {}
        """How often of late, and when the next may be, epoch seconds."""

    def __contains__(self, session: Session) -> bool:
        return _who(session) in self._of

    def __len__(self) -> int:
        return len(self._of)

    def due(self, session: Session) -> float:
        """When this one may be ended, epoch seconds; 0: at once."""
        return self._of.get(_who(session), (0, 0.0))[1]

    def sent_away(self, session: Session, now: float, waits: tuple[float, ...]) -> None:
        """It was ended; the next one may be after one of ``waits``, each longer than the one before."""
        times = self._of.pop(_who(session), (0, 0.0))[0]
        if len(self._of) >= MOST:
            del self._of[next(iter(self._of))]
        self._of[_who(session)] = (times + 1, now + waits[min(times, len(waits) - 1)])

    def settle(self, session: Session) -> None:
        """They are where they should be."""
        self._of.pop(_who(session), None)

    def set_back(self, by: float) -> None:
        """The clock went back by so many seconds."""
        self._of = {who: (times, due - by) for who, (times, due) in self._of.items()}


def _who(session: Session) -> str:
    return session.login or session.mac or f"{session.nas} {session.session}"
