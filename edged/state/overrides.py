# SPDX-License-Identifier: Apache-2.0
"""Operators' words on single subscribers, payment passes, and the audit of both, in the database. I/O."""

from __future__ import annotations

from dataclasses import dataclass

from edged.errors import UpstreamError
from edged.policy.access import Override
from edged.state.database import Database


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what to whom, when and why."""

    at: float
    who: str
    action: str
    subject: str
    why: str


_PUT = (
    "INSERT OR REPLACE INTO overrides (subscriber, blocked, until, reason, why, who, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_AUDIT = "INSERT INTO audit (at, who, action, subject, why) VALUES (?, ?, ?, ?, ?)"


class OverrideStore:
    """The table ``overrides`` and the trail of it; nothing is in force for ever."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unsaved: dict[str, Override] = {}
        """Words that open a line and wait for the disk: they hold meanwhile."""

    async def alive(self, now: float) -> dict[str, Override]:
        """Every override that has not ended, by subscriber id."""
        for override in tuple(self._unsaved.values()):
            # another word may have come while the one before was written
            if self._unsaved.get(override.subscriber) is override:
                await self.put(override)
        rows = await self._database.read(
            "SELECT subscriber, blocked, until, why, who, at, reason FROM overrides WHERE until > ?", (now,)
        )
        waiting = {name: override for name, override in self._unsaved.items() if override.until > now}
        return {row[0]: Override(row[0], bool(row[1]), *row[2:]) for row in rows} | waiting

    async def put(self, override: Override) -> bool:
        """Make ``override`` the word on its subscriber, and say so in the audit.

        Opening a line never waits for the disk: False means that it holds, and is saved as soon as that is possible.
        """
        waiting = self._unsaved.pop(override.subscriber, None)
        try:
            await self._put(override)
        except UpstreamError:
            if override.blocked:
                self._keep(waiting)
                raise
            self._keep(override)
            return False
        return True

    def _keep(self, waiting: Override | None) -> None:
        if waiting is not None:
            self._unsaved[waiting.subscriber] = waiting

    async def _put(self, override: Override) -> None:
        action = "block" if override.blocked else "unblock"
        await self._database.write(
            (
                _PUT,
                (
                    override.subscriber, int(override.blocked), override.until, override.reason,
                    override.why, override.who, override.at,
                ),
            ),
            (_AUDIT, (override.at, override.who, action, override.subscriber, override.why)),
        )  # fmt: skip

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

    async def pass_starts(self, since: float) -> dict[str, list[float]]:
        """When each subscriber took passes since ``since``."""
        starts: dict[str, list[float]] = {}
        for subscriber, at in await self._database.read("SELECT subscriber, at FROM passes WHERE at > ?", (since,)):
            starts.setdefault(subscriber, []).append(at)
        return starts

    async def start_pass(self, subscriber: str, at: float, ends: float) -> None:
        """One more pass, and its line in the audit."""
        await self._database.write(
            ("INSERT INTO passes (subscriber, at, ends) VALUES (?, ?, ?)", (subscriber, at, ends)),
            (_AUDIT, (at, "subscriber", "pass", subscriber, "pressed on the page")),
        )

    async def prune(self, now: float) -> None:
        """Forget passes of last month and the audit of last year; nobody asks for them any more."""
        await self._database.write(
            ("DELETE FROM passes WHERE ends < ?", (now - 31 * 86400.0,)),
            ("DELETE FROM audit WHERE at < ?", (now - 366 * 86400.0,)),
        )

    async def note(self, row: AuditRow) -> None:
        """One line of audit for an act that is kept elsewhere (an accepted reading, a key)."""
        await self._database.write((_AUDIT, (row.at, row.who, row.action, row.subject, row.why)))

    async def recent(self, subject: str, limit: int = 5) -> list[AuditRow]:
        """The newest lines about ``subject``, newest first."""
        rows = await self._database.read(
            "SELECT at, who, action, subject, why FROM audit WHERE subject = ? ORDER BY at DESC LIMIT ?",
            (subject, limit),
        )
        return [AuditRow(*row) for row in rows]
