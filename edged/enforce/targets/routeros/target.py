# SPDX-License-Identifier: Apache-2.0
"""A RouterOS router as a target: its lists, its rules, its connections, and when each is looked at. I/O.

What is not tagged ours is never written to. A router that was away, rebooted, or was given an old backup is read anew
and brought to what is wanted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from edged.enforce.desired import Desired
from edged.enforce.diff import Actual, Plan
from edged.enforce.routeros.commands import Command, seconds
from edged.enforce.routeros.entries import Entry, spelled
from edged.enforce.routeros.layout import ADDRESS_LISTS, CARRIED, layout_of
from edged.enforce.routeros.text import change_text
from edged.enforce.rules import Rules
from edged.enforce.sets import SETS, SetName
from edged.enforce.settings import RouterosSettings
from edged.enforce.standing import Shortfall
from edged.enforce.targets.routeros.connections import RouterConnections
from edged.enforce.targets.routeros.entries import BLOCKED, OTHERS, RouterEntries, elements_of, prefix_at
from edged.enforce.targets.routeros.garden import RouterGarden
from edged.enforce.targets.routeros.rules import RouterRules
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import UpstreamError
from edged.values import BITS, IpAddress, MacAddress, Prefix

log = structlog.get_logger(__name__)

SLICE = 1000
"""Entries that one call of ``apply`` adds: one or two seconds of a small router, then who has paid goes first."""
READ_EVERY, READ_SHARE = 60.0, 40.0
"""Seconds between two readings of everything, and at least so many times what one takes: at most 2.5 % of the time."""
SLACK_S = 3.0
"""Uptime may lag behind our clock by so much: it is told in whole seconds, and two clocks drift."""


class RouterosTarget:
    """One router."""

    shortfall: Shortfall | None = None

    def __init__(self, settings: RouterosSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = settings.host
        self._layout = layout_of(settings)
        self._clock = clock
        self._thread = RouterThread(settings, lost=self._lost)
        self._entries = RouterEntries(self._thread, self._layout, clock)
        self._rules = RouterRules(self._thread, self._layout)
        self._connections = RouterConnections(self._thread, clock)
        self._garden = RouterGarden(self._thread, self._layout, clock)
        self._wanted_rules: Rules | None = None
        self._in_force: Rules | None = None
        """The rules that are on the router, as far as we know."""
        self._is_ours = False
        """True when anything of ours was there."""
        self._learned: dict[IpAddress, Entry] = {}
        """The garden that was open when the connection was lost: a reboot forgets it."""
        self._is_midway = False
        """True while a part of a change is done: with its end all its connections are looked for at once."""
        self._uptime, self._uptime_at = 0.0, 0.0
        self._read_at, self._read_took = 0.0, 0.0
        self._comparing = asyncio.Lock()
        """One reading or change at a time; what opens the garden goes between their pieces."""
        self._admitting: set[asyncio.Task[None]] = set()

    @property
    def carries(self) -> frozenset[SetName]:
        """As in ``Target``: a family that the router has not is left out there."""
        absent = self._entries.absent
        return frozenset(name for name in CARRIED if SETS[name].version not in absent) if absent else CARRIED

    @property
    def warnings(self) -> tuple[str, ...]:
        """As in ``Target``."""
        found = [*(self._wanted_rules.warnings if self._wanted_rules else ()), *self._rules.warnings]
        mirror = self._entries.mirror
        foreign = sum(len(mirror.foreign[name]) for name in BLOCKED) if mirror else 0
        if foreign:
            found.append(
                f"{foreign:,} entries of the list {self._layout.blocked} are not edged's: they stay, whoever has paid"
            )
        if idle := self._entries.idle:
            found.append(f"{idle:,} lines are not blocked: their entries are not edged's, and disabled")
        return (*found, *((self._connections.reluctant,) if self._connections.reluctant else ()))

    @property
    def lingering(self) -> set[Prefix]:
        """As in ``Target``."""
        return self._connections.opened

    async def start(self, rules: Rules) -> None:
        """As in ``Target``: what is on this host. A router that is away may come, so it is not asked yet."""
        self._wanted_rules = rules
        self._thread.router.check()

    async def read(self) -> Actual | None:
        """As in ``Target``: from memory, with a short question after the router's uptime, between full readings."""
        async with self._comparing:
            if not await self._is_known():
                await self._read_all()
            await self._entries.renew()
            if not self._is_midway:
                await self._connections.forget()
            if not self._is_ours and self._in_force is None:
                return None  # with rules that are the operator's, nothing may be all that is wanted
            return Actual(self._in_force, self._entries.sets(self._entries.whole()))

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        """As in ``Target``, bit by bit: who is open again first, then the garden, the rules, and who is blocked."""
        async with self._comparing:
            self._is_midway = False
            if self._entries.mirror is None:
                await self._read_all()
            opened = list(elements_of(plan.remove, BLOCKED))
            # before: of a change that fails in the midst nobody knows whom it reached
            self._connections.changed((), map(prefix_at, opened))
            await self._entries.take_away(opened)
            await self._entries.add(list(elements_of(plan.add, OTHERS)))
            self._is_ours = True
            if plan.base or self._wanted_rules != desired.rules:
                self._in_force, self._wanted_rules = None, desired.rules
                await self._rules.write(desired.rules)
                self._in_force = desired.rules
            missing = [it for it in elements_of(plan.add, BLOCKED) if not self._entries.holds(it)]
            now, later = missing[:SLICE], missing[SLICE:]
            self._connections.changed(map(prefix_at, now), ())
            await self._entries.add(now)
            self._is_midway = bool(later)
            return not later and await self._is_finished(plan)

    async def _is_finished(self, plan: Plan) -> bool:
        """Do what comes last; False: something is not there after all."""
        await self._entries.take_away(list(elements_of(plan.remove, OTHERS)))
        await self._entries.learn_ids()
        missing = sum(not self._entries.holds(it) for it in elements_of(plan.add, BLOCKED))
        if missing and self._entries.has_scripts:
            self._entries.has_scripts = False  # one by one the router says why not
            return False
        if missing:
            raise UpstreamError(f"{missing:,} entries are not there after they were added")
        await self._connections.forget()
        return True

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """As in ``Target``; goes between the pieces of a larger change."""
        mirror, now = self._entries.whole(), self._clock()
        entries = [(address, life) for address, life in entries if address.version not in self._entries.absent]
        if all(mirror.is_open(address, now + life) for address, life in entries):
            return
        # whoever waits may give up; what the router was told is noted all the same
        await asyncio.shield(self._beside(self._garden.admit(mirror, entries)))

    async def vouch(self, seconds: float) -> None:  # the Protocol's
        """As in ``Target``: no reminder leads anywhere here."""

    async def set_aside(self, source: IpAddress, destination: IpAddress, seconds: float) -> None:
        """As in ``Target``: no reminder leads anywhere here."""

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:  # noqa: ARG002  # no MACs here
        """As in ``Target``."""
        if self._entries.mirror is None:
            async with self._comparing:
                await self._read_all()
        version, number = address.version, int(address)
        if version in self._entries.absent:
            return False
        lengths = {p.length for p in self._entries.whole().prefixes(version)} | {BITS[version]}
        around = [Prefix(version, number >> (BITS[version] - n) << (BITS[version] - n), n) for n in sorted(lengths)]
        query = [{"list": [self._layout.blocked]}, {"address": [spelled(prefix) for prefix in around]}]
        print_ = Command(ADDRESS_LISTS[version], "print", {".proplist": "disabled"})
        return any(row.get("disabled", "false") == "false" for row in await self._thread.rows(print_, query))

    async def counters(self) -> dict[str, int]:
        """As in ``Target``: the router counts for itself."""
        return {}

    def render(self, desired: Desired, plan: Plan) -> str:
        """As in ``Target``: commands of its console."""
        return change_text(self._layout, desired, plan)

    async def lift(self) -> bool:
        """Take our entries of blocked lines away: for whoever decides to watch. False: there was none.

        UpstreamError when they cannot be taken away. The rules stay: they concern nobody then.
        """
        async with self._comparing:
            await self._read_all()
            ours = self._entries.whole().ours
            blocked = [(name, element) for name in BLOCKED for element in ours[name]]
            self._connections.changed((), map(prefix_at, blocked))
            await self._entries.take_away(blocked)
            await self._connections.forget()
            return bool(blocked)

    async def close(self) -> None:
        """As in ``Target``."""
        self._lost()
        self._thread.close()

    def _lost(self) -> None:
        if self._entries.mirror is not None:
            self._learned = self._entries.mirror.learned
        self._entries.mirror = None

    def _beside(self, opening: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(opening)
        self._admitting.add(task)
        task.add_done_callback(self._admitted)
        return task

    def _admitted(self, task: asyncio.Task[None]) -> None:
        self._admitting.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has it, or gave up

    # --- when it is looked at ----------------------------------------------------------------------

    async def _is_known(self) -> bool:
        """True while the mirror holds: the same connection, the same uptime, read not long ago."""
        if not self._entries.is_read():
            return False
        try:
            await self._ask_uptime()
        except UpstreamError:
            return False  # it may have been idle too long: the next connection says whether the router is there
        since = self._clock() - self._read_at
        return self._entries.is_read() and since < max(READ_EVERY, READ_SHARE * self._read_took)

    async def _ask_uptime(self) -> None:
        begun = self._clock()
        answer = await self._thread.ask(Command("/system/resource", "print", {".proplist": "uptime"}))
        uptime = seconds(answer.rows[0].get("uptime", "")) if answer.rows else None
        if uptime is None:
            raise UpstreamError(f"does not say since when it runs: {answer.trap or 'no uptime'}")
        # it was read between the two readings of our clock, however long that took
        if self._uptime_at and uptime + SLACK_S < self._uptime + begun - self._uptime_at:
            log.warning("router-rebooted", target=self.name, seconds=int(uptime))
            self._lost()
        self._uptime, self._uptime_at = uptime, self._clock()

    async def _read_all(self) -> None:
        begun = self._clock()
        if await self._thread.connect():
            self._entries.has_scripts = True
            self._connections.reconnected()
            self._rules.reconnected()
        await self._ask_uptime()
        rules = self._wanted_rules or Rules()
        is_right, are_there = await self._rules.look(rules)
        self._in_force = rules if is_right else None
        before = self._learned if self._entries.mirror is None else self._entries.mirror.learned
        mirror = await self._entries.read()
        self._learned = {}
        if any(address not in mirror.learned for address in before):
            # beside the rest: nobody who has paid waits for it
            self._beside(self._garden.restore(mirror, before))
        self._is_ours = are_there or mirror.count > 0
        self._read_at = self._clock()
        self._read_took = self._read_at - begun
