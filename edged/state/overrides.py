# SPDX-License-Identifier: Apache-2.0
"""Operators' words on single subscribers, passes, snoozes of the reminder, and the audit, in the database. I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from edged.errors import UpstreamError
from edged.policy.access import Override
from edged.state.database import Database

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What an operator's word on a subscriber is."""

    BLOCK = "block"
    PROMISE = "promise"
    """Open: they have promised to pay."""
    EXEMPTION = "exemption"
    """Open: they are not to be blocked until a date."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what to whom, when and why."""

    at: float
    who: str
    action: str
    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class _Word:
    override: Override
    kind: Kind


SUBSCRIBER = "subscriber"
"""Who takes a pass on the page."""
_PUT = (
    "INSERT OR REPLACE INTO overrides (subscriber, blocked, until, reason, why, who, at, kind)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_SNOOZE = (
    "INSERT INTO snoozes (subscriber, until) VALUES (?, ?)"
    " ON CONFLICT (subscriber) DO UPDATE SET until = max(until, excluded.until)"
)
_AUDIT = "INSERT INTO audit (at, who, action, subject, why) VALUES (?, ?, ?, ?, ?)"
_AUDIT_ENDED = (
    "INSERT INTO audit (at, who, action, subject, why)"
    " SELECT until, 'edged', 'ended', subscriber, kind || ': ' || why FROM overrides"
    " WHERE until <= ? AND ended IS NULL"
)
_NOTE_ENDED = "UPDATE overrides SET ended = ? WHERE until <= ? AND ended IS NULL"


class OverrideStore:
    """The table ``overrides`` and the trail of it; nothing is in force for ever."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.kinds: Mapping[str, Kind] = {}
        """Of the words that ``alive`` found last, by subscriber id."""
        self._unsaved: dict[str, _Word] = {}
        """Words that open a line and wait for the disk: they hold meanwhile."""
        self._unsaved_snoozes: dict[str, float] = {}

    async def alive(self, now: float) -> dict[str, Override]:
        """Every override that has not ended, by subscriber id; those that have are noted as ended, once."""
        for word in tuple(self._unsaved.values()):
            # another word may have come while the one before was written
            if self._unsaved.get(word.override.subscriber) is word:
                await self.put(word.override, word.kind)
        await self._note_ended(now)
        rows = await self._database.read(
            "SELECT subscriber, blocked, until, why, who, at, reason, kind FROM overrides WHERE until > ?", (now,)
        )
        words = {row[0]: _Word(Override(row[0], bool(row[1]), *row[2:7]), Kind(row[7])) for row in rows}
        words |= {name: word for name, word in self._unsaved.items() if word.override.until > now}
        self.kinds = {name: word.kind for name, word in words.items()}
        return {name: word.override for name, word in words.items()}

    async def _note_ended(self, now: float) -> None:
        """A line in the audit and one in the log for each word that ended by itself.

        Its row stays: were the clock ahead of time by a fault, the word holds again once it is right.
        """
        rows = await self._database.read(
            "SELECT subscriber, until, kind FROM overrides WHERE until <= ? AND ended IS NULL", (now,)
        )
        if not rows:
            return
        try:
            await self._database.write((_AUDIT_ENDED, (now,)), (_NOTE_ENDED, (now, now)))
        except UpstreamError:
            return  # noted as soon as the disk takes it; the word has ended all the same
        for name, kind in ((row[0], row[2]) for row in rows):
            log.info("override-ended", subject=name, kind=kind)

    async def put(self, override: Override, kind: Kind | None = None) -> bool:
        """Make ``override`` the word on its subscriber, and say so in the audit; opening is a promise unless said.

        Opening a line never waits for the disk: False means that it holds, and is saved as soon as that is possible.
        """
        word = _Word(override, Kind.BLOCK if override.blocked else kind or Kind.PROMISE)
        waiting = self._unsaved.pop(override.subscriber, None)
        try:
            await self._put(word)
        except UpstreamError:
            if override.blocked:
                self._keep(waiting)
                raise
            self._keep(word)
            return False
        return True

    def _keep(self, waiting: _Word | None) -> None:
        if waiting is not None:
            self._unsaved[waiting.override.subscriber] = waiting

    async def _put(self, word: _Word) -> None:
        one, kind = word.override, word.kind
        action = "block" if one.blocked else f"unblock ({kind})"
        await self._database.write(
            (_PUT, (one.subscriber, int(one.blocked), one.until, one.reason, one.why, one.who, one.at, kind.value)),
            (_AUDIT, (one.at, one.who, action, one.subscriber, one.why)),
        )

    async def end(self, subscriber: str, *, who: str, why: str, at: float) -> None:
        """Take back the word on ``subscriber``; billing's holds again."""
        waiting = self._unsaved.pop(subscriber, None)
        try:
            await self._database.write(
                ("DELETE FROM overrides WHERE subscriber = ?", (subscriber,)),
                (_AUDIT, (at, who, "end override", subscriber, why)),
            )
        except UpstreamError:
            self._keep(waiting)
            raise

    async def passes(self, now: float) -> dict[str, float]:
        """The running passes: subscriber id to end."""
        rows = await self._database.read(
            "SELECT subscriber, max(ends) FROM passes WHERE ends > ? GROUP BY subscriber", (now,)
        )
        return dict(rows)

    async def snoozes(self, now: float) -> dict[str, float]:
        """The running snoozes: subscriber id to end."""
        for subscriber, until in tuple(self._unsaved_snoozes.items()):
            await self.snooze(subscriber, until)
        rows = await self._database.read("SELECT subscriber, until FROM snoozes WHERE until > ?", (now,))
        waiting = {name: until for name, until in self._unsaved_snoozes.items() if until > now}
        self._unsaved_snoozes = waiting
        return dict(rows) | waiting

    async def snooze(self, subscriber: str, until: float) -> None:
        """Put the reminder away; it never waits for the disk: until it can be written it holds all the same."""
        self._unsaved_snoozes.pop(subscriber, None)
        try:
            await self._database.write((_SNOOZE, (subscriber, until)))
        except UpstreamError:
            self._unsaved_snoozes.setdefault(subscriber, until)

    async def pass_starts(self, since: float) -> dict[str, list[float]]:
        """When each subscriber took passes since ``since``; what an operator gave costs them none of theirs."""
        starts: dict[str, list[float]] = {}
        for subscriber, at in await self._database.read(
            "SELECT subscriber, at FROM passes WHERE at > ? AND who = ?", (since, SUBSCRIBER)
        ):
            starts.setdefault(subscriber, []).append(at)
        return starts

    async def start_pass(
        self, subscriber: str, at: float, ends: float, *, who: str = SUBSCRIBER, why: str = "pressed on the page"
    ) -> None:
        """One more pass, and its line in the audit."""
        await self._database.write(
            ("INSERT INTO passes (subscriber, at, ends, who) VALUES (?, ?, ?, ?)", (subscriber, at, ends, who)),
            (_AUDIT, (at, who, "pass", subscriber, why)),
        )

    async def end_pass(self, subscriber: str, *, who: str, why: str, at: float) -> None:
        """End the running pass of ``subscriber`` before its time; it stays one that was used."""
        await self._database.write(
            ("UPDATE passes SET ends = ? WHERE subscriber = ? AND ends > ?", (at, subscriber, at)),
            (_AUDIT, (at, who, "end pass", subscriber, why)),
        )

    async def prune(self, now: float) -> None:
        """Forget ended snoozes, passes of last month, the audit of last year; nobody asks for them any more."""
        await self._database.write(
            ("DELETE FROM snoozes WHERE until < ?", (now - 86400.0,)),
            ("DELETE FROM passes WHERE ends < ?", (now - 31 * 86400.0,)),
            ("DELETE FROM audit WHERE at < ?", (now - 366 * 86400.0,)),
        )

    async def note(self, *rows: AuditRow) -> None:
        """A line of audit for each act that is kept elsewhere (an accepted reading, a key)."""
        await self._database.write_many(_AUDIT, [(r.at, r.who, r.action, r.subject, r.why) for r in rows])

    async def note_all(self, rows: Iterable[AuditRow]) -> None:
        """As ``note`` for an act on many at once: all of them or none."""
        await self._database.write_many(_AUDIT, [(r.at, r.who, r.action, r.subject, r.why) for r in rows])

    async def recent(self, subject: str, limit: int = 5) -> list[AuditRow]:
        """The newest lines about ``subject``, newest first."""
        rows = await self._database.read(
            "SELECT at, who, action, subject, why FROM audit WHERE subject = ? ORDER BY at DESC LIMIT ?",
            (subject, limit),
        )
        return [AuditRow(*row) for row in rows]

    async def latest(self, action: str) -> float:
        """When ``action`` was done last, epoch seconds; 0: not within the year that the audit is kept."""
        rows = await self._database.read("SELECT max(at) FROM audit WHERE action = ?", (action,))
        return float(rows[0][0] or 0.0)
