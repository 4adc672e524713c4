# SPDX-License-Identifier: Apache-2.0
"""Pressed buttons in, what came of them out; a page as the policy has it in, one that is true of the line out.

Waits, always for a bounded time and for a bounded number of readers. docs/decisions/0025.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from edged.captive.answers import Button, Page, Press, Topic
from edged.captive.inquiry import Heard, Inquiries, Inquiry, is_owing, topic_after_check
from edged.errors import UpstreamError
from edged.model import Access, Subscriber
from edged.policy.access import Decision, Line, View
from edged.values import IpAddress, Prefix, host_prefix

CHECK_WAIT = 4.0
"""Seconds the reader waits for billing's answer before the page says that it is being looked for."""
LIFT_WAIT = 5.0
"""Seconds the reader waits for every target to let the line through before the page says that it is being opened."""
_WAITING = 256
"""Readers who wait for that at once; everybody else is told at once how it stands."""
_ASKED_AT_ONCE = 8
"""Questions to billing at the same time, as for the webhook; a payday's presses stand in line."""
_OPEN = frozenset({Access.OPEN, Access.NOTICE, Access.EXEMPT})


class Clerk(Protocol):
    """What the page asks of the rest of edged; ``daemon`` brings one."""

    @property
    def can_check(self) -> bool:
        """True where there is a billing system that can be asked."""

    def passes_left(self, subscriber_id: str) -> int | None:
        """How often the line may still be opened today; None: there are no passes."""

    async def start_pass(self, subscriber_id: str) -> bool:
        """Open the line for a while; False: the passes of today are used. UpstreamError: it could not be kept."""

    async def check(self, subscriber_id: str) -> None:
        """Ask billing about this subscriber. UpstreamError: it could not be asked."""

    async def put_away(self, subscriber_id: str, *, seen: bool) -> None:
        """Put the reminder away: it was ``seen``, or it is to come back sooner. Returns when the line is free of it."""

    async def set_aside(self, source: IpAddress, destination: IpAddress) -> bool:
        """Leave the way from a reminded line to a destination alone; True once every target does."""

    def read_at(self) -> float:
        """When the list in force was last what billing says, epoch seconds; 0: not known."""

    def lifted(self, line: Line) -> bool:
        """True when every target is known to let ``line`` through."""

    def holds(self, line: Line) -> bool:
        """True when a target is known to hold ``line`` still."""

    async def news(self) -> None:
        """Return when either of these may say something else than now."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at a page, and when."""

    view: View
    address: IpAddress
    subscriber: str
    """Billing's id, by address or signed link; empty: not known."""
    now: float


class Reception:
    """Remembers presses, asks the clerk, waits for the line."""

    def __init__(
        self, clerk: Clerk, decide: Callable[[str], Decision], faulty: Callable[[BaseException], None]
    ) -> None:
        self._clerk, self._decide, self._faulty = clerk, decide, faulty
        self.inquiries = Inquiries()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._passing: dict[str, asyncio.Task[bool]] = {}
        """Passes on their way: a second press, of a finger or of another device, is the first one's echo."""
        self._free = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._readers: set[asyncio.Task[object]] = set()
        """Who waits for a line to be lifted."""

    def forget(self, now: float) -> None:
        """Forget who is freed."""
        self.inquiries.forget(self._decide, now)

    def stop(self) -> None:
        """Ask nothing more, and wait for nothing."""
        for task in (*self._asking.values(), *self._passing.values(), *self._readers):
            task.cancel()

    async def press(self, press: Press, view: View, now: float) -> None:
        """Do what the button says. UpstreamError: it could not be kept, so it was not done."""
        name, line = press.subscriber_id, line_of(view, press.subscriber_id)
        match press.button:
            case Button.CHECK:
                if self.inquiries.press(name, line, now):
                    self._ask(name, now)
                asking = self._asking.get(name)
                if asking is not None:
                    await asyncio.wait({asking}, timeout=CHECK_WAIT)
            case Button.PASS:
                if await asyncio.shield(self._passed(name)):
                    # the bank's page is opened next: it must not meet a line that is still closed
                    await self._is_lifted(line)
            case Button.SEEN | Button.LATER:
                if self._decide(name).reminds:  # a second press finds it put away
                    await self._clerk.put_away(name, seen=press.button is Button.SEEN)

    async def true_page(self, page: Page, visit: Visit) -> Page:
        """``page`` with the topic that is true of the line now, after a wait if a button was pressed before it."""
        inquiry = self.inquiries.get(visit.subscriber)
        topic = page.topic
        if page.topic in {Topic.BLOCKED, Topic.PASS}:
            topic = await self._closed(page, inquiry, visit)
        elif page.topic in {Topic.DRAIN, Topic.OPEN, Topic.NOTICE}:
            topic = await self._opened(page, inquiry, visit)
        read = self._clerk.read_at() if visit.subscriber else 0.0
        at = max(read, inquiry.at if inquiry is not None else 0.0)
        outcome = page.outcome if topic is Topic.NOTICE else ""
        return replace(page, topic=topic, outcome=outcome, at=at)

    # --- what is so -------------------------------------------------------------------------------

    async def _closed(self, page: Page, inquiry: Inquiry | None, visit: Visit) -> Topic:
        """Billing blocks the line; a pass may have opened it."""
        asked = topic_after_check(page.decision, inquiry, visit.now) if page.outcome == Button.CHECK else None
        if asked is not None:
            return asked
        if page.topic is Topic.PASS:
            line = self._line(page, inquiry, visit)
            lifted = await self._is_lifted(line) if page.outcome else self._clerk.lifted(line)
            return Topic.PASS if lifted else Topic.OPENING
        used_up = self._clerk.passes_left(visit.subscriber) == 0 and is_owing(page.decision)
        return Topic.USED_UP if page.outcome == Button.PASS and used_up else page.topic

    async def _opened(self, page: Page, inquiry: Inquiry | None, visit: Visit) -> Topic:
        """Nothing blocks the line any more; a target may not have heard of it yet."""
        line = self._line(page, inquiry, visit)
        if page.decision.access in _OPEN and inquiry is None:
            return Topic.OPENING if self._clerk.holds(line) else page.topic
        pressed = page.outcome == Button.CHECK
        lifted = await self._is_lifted(line) if pressed else self._clerk.lifted(line)
        if not lifted:
            return Topic.OPENING
        # a reminder stays a reminder, and says itself that the line works
        return Topic.RESTORED if pressed and page.topic is not Topic.NOTICE else page.topic

    def _line(self, page: Page, inquiry: Inquiry | None, visit: Visit) -> Line:
        """What has to be open for this reader: their own address; by a signed link, the subscriber's line."""
        if not page.link:
            return visit.view.line_at(visit.address)
        known = line_of(visit.view, visit.subscriber)
        return known if any(known) or inquiry is None else inquiry.line

    async def _is_lifted(self, line: Line) -> bool:
        """As the clerk has it, after a wait for it if need be."""
        if self._clerk.lifted(line) or len(self._readers) >= _WAITING:
            return self._clerk.lifted(line)
        reader = asyncio.current_task()
        if reader is not None:
            self._readers.add(reader)
        try:
            async with asyncio.timeout(LIFT_WAIT):
                while not self._clerk.lifted(line):
                    await self._clerk.news()
        except TimeoutError:
            return self._clerk.lifted(line)
        finally:
            self._readers -= {reader}
        return True

    # --- who is asked -----------------------------------------------------------------------------

    def _ask(self, name: str, now: float) -> None:
        """Billing is asked; a quick answer shows on the next page, a slow one goes on without the reader."""
        if name in self._asking:
            return
        asking = asyncio.create_task(self._asked(name, now), name="captive-check")
        self._asking[name] = asking
        asking.add_done_callback(lambda _: self._asking.pop(name, None))

    async def _asked(self, name: str, now: float) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            async with self._free:
                await self._clerk.check(name)
        except UpstreamError:  # billing is away; that is its own alarm
            self.inquiries.hear(name, Heard.AWAY, now)
        except Exception as error:  # noqa: BLE001  # a bug of ours: counted, and the reader is told what is so
            self.inquiries.hear(name, Heard.AWAY, now)
            self._faulty(error)
        else:
            answered = now + asyncio.get_running_loop().time() - begun
            self.inquiries.hear(name, Heard.ANSWERED, answered)
            if not is_owing(self._decide(name)):
                self.inquiries.free(name, answered)

    def _passed(self, name: str) -> asyncio.Task[bool]:
        """The pass that is on its way, or a new one."""
        passing = self._passing.get(name)
        if passing is None:
            passing = asyncio.create_task(self._clerk.start_pass(name), name="captive-pass")
            self._passing[name] = passing
            passing.add_done_callback(lambda done: self._pass_ended(name, done))
        return passing

    def _pass_ended(self, name: str, passing: asyncio.Task[bool]) -> None:
        self._passing.pop(name, None)
        if not passing.cancelled():
            passing.exception()  # the readers who wait for it have it; one who left is no complaint in the log


def line_of(view: View, subscriber_id: str) -> Line:
    """Where a listed subscriber is cut off; what another's blocked line within theirs holds is not theirs."""
    subscriber = view.table.subscribers.get(subscriber_id)
    if subscriber is None:
        return Line()
    own = (_own_part(view, prefix, subscriber) for prefix in view.lines_of(subscriber))
    return Line(tuple(part for part in own if part), view.devices_of(subscriber))


def _own_part(view: View, prefix: Prefix, subscriber: Subscriber) -> Prefix | None:
    """``prefix``, or its first address behind others' lines in it; None: all of it is others', or exempt."""
    at = prefix.network
    while at <= prefix.last:
        address = IPv4Address(at) if prefix.version == 4 else IPv6Address(at)
        free = view.table.exempt.match(address)
        held = view.match(address)
        if free is None and held is not None and held[1] is subscriber:
            return prefix if at == prefix.network else host_prefix(address)
        in_the_way = free or held
        if in_the_way is None:
            return None  # the list has changed meanwhile
        at = in_the_way[0].last + 1
    return None
