# SPDX-License-Identifier: Apache-2.0
"""What the page asks: open a line, ask billing again, is it open now. Between page, billing, database, targets."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from edged.billing.service import BillingService
from edged.captive.settings import PassSettings
from edged.enforce.service import EnforceService
from edged.errors import UpstreamError
from edged.model import Event, EventType, Tell, untold
from edged.policy.access import Line
from edged.policy.settings import NoticeSettings
from edged.state.overrides import OverrideStore
from edged.values import IpAddress

_DAY_S = 86400.0
SETTLE_S = 2.0
"""Seconds that a tap on the reminder waits for the packet filter: the page after it must not be led back here."""


class Clerk:
    """Fulfils ``captive.reception.service.Clerk``."""

    def __init__(
        self,
        overrides: OverrideStore,
        billing: BillingService | None,
        relearn: Callable[[], Awaitable[None]],
        tell: Tell = untold,
        enforce: EnforceService | None = None,
    ) -> None:
        self.settings: PassSettings | None = None
        self.notice = NoticeSettings()
        self._overrides = overrides
        self._billing = billing
        self._relearn = relearn
        self._tell = tell
        self._enforce = enforce
        """None: nothing is enforced, so nothing is in the way."""
        self._used: dict[str, list[float]] = {}
        """Starts of passes within a day, by subscriber; the database has the same."""

    async def open(self, settings: PassSettings | None) -> None:
        """Remember which passes were used: a restart gives nobody a new one."""
        self.settings = settings
        self._used = await self._overrides.pass_starts(time.time() - _DAY_S)

    async def recount(self) -> None:
        """Count what was taken at other edges too; what is being written just now stays counted."""
        for subscriber, starts in (await self._overrides.pass_starts(time.time() - _DAY_S)).items():
            self._used[subscriber] = sorted({*self._today(subscriber), *starts})

    @property
    def can_check(self) -> bool:
        """True where there is a billing system to ask."""
        return self._billing is not None

    def read_at(self) -> float:
        """When the list in force was last what billing says, epoch seconds; 0: not known."""
        return self._billing.current_at if self._billing is not None else 0.0

    def lifted(self, line: Line) -> bool:
        """True when every target is known to let ``line`` through."""
        return self._enforce is None or self._enforce.lifted(line)

    def holds(self, line: Line) -> bool:
        """True when a target is known to hold ``line`` still."""
        return self._enforce is not None and self._enforce.holds(line)

    async def news(self) -> None:
        """Return when either of these may say something else than now."""
        if self._enforce is not None:
            await self._enforce.news()

    def passes_left(self, subscriber_id: str) -> int | None:
        """How often the line may still be opened within a day; None: there are no passes."""
        if self.settings is None:
            return None
        return max(0, self.settings.per_day - len(self._today(subscriber_id)))

    def _today(self, subscriber_id: str) -> list[float]:
        since = time.time() - _DAY_S
        return [at for at in self._used.get(subscriber_id, ()) if at > since]

    async def start_pass(self, subscriber_id: str) -> bool:
        """Open the line for ``pass.length``; False: the passes of a day are used, or there are none."""
        if self.settings is None or not self.passes_left(subscriber_id):
            return False
        now = time.time()
        # counted before it is awaited: two presses at once are two passes
        self._used[subscriber_id] = [*self._today(subscriber_id), now]
        try:
            await self._overrides.start_pass(subscriber_id, now, now + self.settings.length)
        except UpstreamError:
            # not kept, so not given: the next press must not find it used
            self._used[subscriber_id].remove(now)
            raise
        self._tell(Event(EventType.PASS_STARTED, now, subscriber_id))
        await self._relearn()
        return True

    async def put_away(self, subscriber_id: str, *, seen: bool) -> None:
        """Put the reminder away for ``notice.every``, or for ``notice.snooze`` when it was not ``seen``."""
        length = self.notice.every if seen else self.notice.snooze
        await self._overrides.snooze(subscriber_id, time.time() + length)
        await self._relearn()
        if self._enforce is not None:
            await self._enforce.caught_up(SETTLE_S)

    async def set_aside(self, source: IpAddress, destination: IpAddress) -> bool:
        """Leave the way from a reminded line to a destination alone; True once every target does."""
        return self._enforce is not None and await self._enforce.set_aside(source, destination)

    async def check(self, subscriber_id: str) -> None:
        """Ask billing about this subscriber now; the page then shows what is so."""
        if self._billing is not None:
            await self._billing.recheck(subscriber_id)
