# SPDX-License-Identifier: Apache-2.0
"""Keeps every target at what the current ``View`` says: compares, plans, applies, tries again. I/O.

Stopping leaves everything in force, save the reminders: who is open meets no page that nobody serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from edged.enforce.admission.service import Admission, reminds
from edged.enforce.desired import Desired, Instant, blocked_count, desired, desired_after
from edged.enforce.diff import Plan, diff
from edged.enforce.rules import Rules
from edged.enforce.standing import Counters, Health, Shortfall, left_out
from edged.enforce.targets import Target
from edged.errors import ConfigError, UpstreamError
from edged.policy.access import Line, View
from edged.state.current import Current
from edged.values import IpAddress, MacAddress

log = structlog.get_logger(__name__)

COMPARE_EVERY = 5.0
"""Seconds between comparisons: a table that somebody flushed is back within five. Nearly free when intact."""
FIRST_RETRY, LAST_RETRY = 0.5, 30.0
"""Seconds; doubled at each failure in a row, and jittered so that a fleet does not knock in step."""
VOUCH = 3.0
"""So many times ``every`` reminders go on without a word of ours: a slow comparison or two may be missed."""
FEW = 64
"""Up to so many changed subscribers the sets are changed, not made anew."""
LARGE = 2000
"""From so many subscribers and devices on the sets are computed in a thread: below it the loop is held under 20 ms."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The sets that were computed last, and what for."""

    at: Instant
    version: int
    """Of the view."""
    until: float
    """Epoch seconds: an override or a pass ends then."""
    sets: Desired


class EnforceService:
    """Owns the targets. ``watch``: everything is computed, nothing is changed."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        rules: Rules,
        *,
        current: Current,
        watch: bool = False,
        clock: Callable[[], float] = time.time,
        every: float = COMPARE_EVERY,
    ) -> None:
        self.counters = Counters()
        self._targets = dict(targets)
        self._rules = rules
        self._current = current
        self._watch = watch
        self._clock = clock
        self._every = every
        self._health = {name: Health() for name in targets}
        self._wake = {name: asyncio.Event() for name in targets}
        self._asked: dict[str, Desired] = {}
        """What each target was last made to be: a difference to it is somebody else's doing."""
        self._known: _Known | None = None
        self._held: dict[str, Desired] = {}
        """What each target is known to hold: as it was last read, or changed with success."""
        self._reached: dict[str, int] = dict.fromkeys(targets, -1)
        """The version of the view that each target was last made to hold."""
        self._news = asyncio.Event()
        """Set when that may be another than before; then there is a new one."""
        self._vouched: dict[str, float] = {}
        """When each target was last told that we live, in the loop's seconds."""
        self._admission = Admission(
            self._targets, self.counters, clock=clock, failed=lambda name: self._wake[name].set()
        )
        self._down = self._admission.down
        """Targets whose last comparison failed: nobody waits for them."""
        self._begun: dict[str, Plan] = {}
        """The whole of a change of which a part is done."""

    async def start(self) -> None:
        """Find out whether every target can enforce. ConfigError with all problems when one cannot."""
        problems: list[ConfigError] = []
        for target in () if self._watch else self._targets.values():
            try:
                await target.start(self._rules)
            except ConfigError as error:
                problems.append(error)
        if problems:
            raise ConfigError([p for error in problems for p in error.problems])

    async def run(self) -> None:
        """Keep every target as it should be, each on its own, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="enforce-follow")
            for name in self._targets:
                group.create_task(self._keep(name), name=f"enforce-{name}")

    async def stop(self) -> None:
        """Let the targets go; what they enforce stays in force."""
        self._admission.close()
        for name, target in self._targets.items():
            with contextlib.suppress(UpstreamError):
                if self._vouched.pop(name, None) is not None:
                    await target.vouch(0.0)
                await target.close()

    def reconfigure(self, rules: Rules, *, watch: bool | None = None) -> None:
        """Take new rules into force."""
        self._rules = rules
        self._watch = self._watch if watch is None else watch
        self._wake_all()

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """Open the garden for addresses (each with seconds) on every target; never raises, is bounded."""
        if entries and not self._watch:
            await self._admission.admit(entries)

    def opened(self, addresses: Iterable[IpAddress]) -> int:
        """How many of ``addresses`` the garden is open for, as the targets were told."""
        return self._admission.opened(addresses)

    async def set_aside(self, source: IpAddress, destination: IpAddress) -> bool:
        """Leave the way from a reminded ``source`` to ``destination`` alone; True once it is so on every target."""
        return not self._watch and await self._admission.set_aside(source, destination)

    async def caught_up(self, seconds: float) -> bool:
        """True once every target holds what the view of now says; False when that takes longer than ``seconds``.

        Those that are down are not waited for.
        """
        version = self._current.version

        def behind() -> set[str]:
            return {name for name, reached in self._reached.items() if reached < version}

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while behind() - self._down:
                    await self._news.wait()
        return not behind()

    async def plan(self, view: View | None = None) -> dict[str, Plan]:
        """What each target would be changed by now, or were ``view`` in force; who cannot be read is left out.

        UpstreamError: none can.
        """
        wanted = await self._supposed(view)

        async def plan(target: Target) -> Plan:
            return diff(wanted, await target.read(), target.carries)

        answers = await self._admission.ask_each(plan)
        plans = {name: answer for name, answer in answers.items() if isinstance(answer, Plan)}
        if answers and not plans:
            raise UpstreamError("; ".join(str(answer) for answer in answers.values()))
        return plans

    async def render(self, plans: Mapping[str, Plan], view: View | None = None) -> dict[str, str]:
        """``plans`` in each target's own language."""
        wanted = await self._supposed(view)
        return {name: self._targets[name].render(wanted, plan) for name, plan in plans.items()}

    async def _supposed(self, view: View | None) -> Desired:
        return await (self._wanted() if view is None else asyncio.to_thread(desired, view, self._rules, self._clock()))

    async def in_place(self, address: IpAddress, *devices: MacAddress) -> dict[str, bool]:
        """Whether each target really blocks ``address``, or a device, asked of itself; who cannot say is left out."""
        answers = await self._admission.ask_each(lambda target: target.contains(address, *devices))
        return {name: answer for name, answer in answers.items() if not isinstance(answer, UpstreamError)}

    def lifted(self, line: Line) -> bool:
        """True when every target is known to let ``line`` through and has let its old connections go.

        One that is down is no proof, and stands in nobody's way where another one is well.
        """
        if self._watch:
            return True
        well = {name: target for name, target in self._targets.items() if name not in self._down}
        for name, target in (well or self._targets).items():
            held = self._held.get(name)
            if held is None or held.holds(line):
                return False
            lingering = target.lingering
            if lingering and any(old.overlaps(prefix) for old in lingering for prefix in line.prefixes):
                return False
        return True

    def holds(self, line: Line) -> bool:
        """True when a target is known to hold ``line`` still; one of which nothing is known says nothing."""
        return not self._watch and any(held.holds(line) for held in self._held.values())

    async def news(self) -> None:
        """Return when ``lifted`` may say something else than it does now."""
        await self._news.wait()

    def status(self) -> dict[str, Health]:
        """Every target's health."""
        return dict(self._health)

    @property
    def warnings(self) -> dict[str, tuple[str, ...]]:
        """What stands in our way, per target."""
        carried = frozenset(name for target in self._targets.values() for name in target.carries)
        missing = left_out(self._known.sets.sets, carried) if self._known is not None else ()
        return {name: (*target.warnings, *missing) for name, target in self._targets.items()}

    @property
    def leads(self) -> bool:
        """True when a target can lead lines with a reminder to the page."""
        return any(map(reminds, self._targets.values()))

    async def packets(self) -> dict[str, dict[str, int]]:
        """The packet filters' own counters, per target; one that cannot say is left out."""
        answers = await self._admission.ask_each(lambda target: target.counters())
        return {name: answer for name, answer in answers.items() if not isinstance(answer, UpstreamError)}

    def garden_sets(self) -> int | None:
        """None: no target can be told of the garden. A new number: somebody may have emptied what it was told."""
        status = self._health.values()
        return self.counters.drifted if not status or any(health.ok for health in status) else None

    async def _follow(self) -> None:
        """Wake every target at each new version."""
        version = self._current.version
        while True:
            version = await self._current.wait(version)
            self._wake_all()

    def _wake_all(self) -> None:
        for event in self._wake.values():
            event.set()

    async def _keep(self, name: str) -> None:
        failures = 0
        while True:
            self._wake[name].clear()
            try:
                await self._reconcile(name)
                failures, delay = 0, self._until_next()
            except (UpstreamError, ConfigError) as error:
                failures += 1
                delay = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures - 1, 10))
                delay *= random.uniform(0.5, 1.5)  # noqa: S311  # a jitter is no secret
                self._failed(name, str(error), failures)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake[name].wait()

    def _until_next(self) -> float:
        """Seconds to the next comparison: the timer's, or sooner when a pass or an override ends."""
        now = self._clock()
        # a moment after the end, so that the clock has surely passed it; never a busy loop
        return max(0.01, min(self._every, self._current.view.next_end(now) - now + 0.01))

    async def _reconcile(self, name: str) -> None:
        target, version, wanted = self._targets[name], self._current.version, await self._wanted()
        actual = await target.read()
        plan = diff(wanted, actual, target.carries)
        there = 0 if actual is None else actual.count
        blocked = blocked_count(wanted.sets, target.carries)
        if there and not self._current.view.table.snapshot_id:
            # fail static: with no list at all, what an earlier run enforced is the best word there is
            raise UpstreamError(f"there is no list yet, so the {there:,} entries of an earlier run stay")
        if not plan.empty and not self._watch:
            self._note_drift(name, wanted, plan)
            if not await self._is_applied(name, wanted, plan):
                self._set(name, wanted=blocked, actual=there)
                return
            plan = self._begun.pop(name, plan)
            self.counters.applied += 1
            self.counters.added += plan.added
            self.counters.removed += plan.removed
            log.info(
                "enforce-applied",
                target=name,
                added=plan.added,
                removed=plan.removed,
                rules_written=plan.base,
            )
            there = blocked
        if not self._watch:
            self._asked[name] = wanted
            self._held[name] = wanted
            await self._vouch(name, wanted, anew=plan.base)
        self._reached[name] = version
        await self._recover(name)
        self._compared(name, blocked, there, None if self._watch else target.shortfall)
        self._told()

    async def _is_applied(self, name: str, wanted: Desired, plan: Plan) -> bool:
        """Carry ``plan`` out; False: a part of it, and the next comparison comes at once, with the view of then."""
        try:
            if await self._targets[name].apply(wanted, plan):
                return True
        except (UpstreamError, ConfigError):
            self._begun.pop(name, None)
            raise
        self._begun.setdefault(name, plan)
        self._asked.pop(name, None)  # what is still missing then is nobody else's doing
        self._wake[name].set()
        return False

    async def _recover(self, name: str) -> None:
        if self._watch:
            self._down.discard(name)
        else:
            await self._admission.recovered(name)

    def _told(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _vouch(self, name: str, wanted: Desired, *, anew: bool) -> None:
        """Let reminders lead to the page for some time more, where there are any; not at each of many changes."""
        now = asyncio.get_running_loop().time()
        if not reminds(self._targets[name]):
            return
        if wanted.reminding and (anew or now - self._vouched.get(name, -math.inf) >= self._every / 2):
            await self._targets[name].vouch(VOUCH * self._every)
            self._vouched[name] = now

    def _note_drift(self, name: str, wanted: Desired, plan: Plan) -> None:
        if self._asked.get(name) is not wanted:
            return  # the difference is our own new wish
        self.counters.drifted += 1
        drift = plan.added + plan.removed
        self._set(name, drift=drift, drifted=self._clock())
        log.warning("enforce-drift", target=name, elements=drift, rules_touched=plan.base)

    async def _wanted(self) -> Desired:
        """The sets of now; computed once per view, rules and expiry, whatever the number of targets."""
        view, version, rules, now = self._current.view, self._current.version, self._rules, self._clock()
        known = self._known
        changed = None
        # a clock that stepped back makes ended passes run again
        if known is not None and known.sets.rules is rules and known.at.now <= now:
            if known.at.view is view and now < known.until:
                return known.sets
            changed = self._current.changed_since(known.version)
        if known is not None and changed is not None:
            changed |= view.ended(known.at.now, now)
        if known is not None and changed is not None and len(changed) <= FEW:
            sets = desired_after(known.sets, known.at, Instant(view, now), changed)
        elif len(view.table.subscribers) + len(view.learned.moved) < LARGE:
            sets = desired(view, rules, now)
        else:
            sets = await asyncio.to_thread(desired, view, rules, now)
        self._known = _Known(Instant(view, now), version, view.next_end(now), sets)
        return sets

    def _compared(self, name: str, wanted: int, actual: int, shortfall: Shortfall | None) -> None:
        now, before, ok = self._clock(), self._health[name], shortfall is None
        error, missing = (shortfall.text, shortfall.missing) if shortfall else ("", 0)
        if ok and not before.ok:
            log.info("enforce-ok", target=name, wanted=wanted, actual=actual)
        elif error != before.error:
            log.error("enforce-short", target=name, error=error)
        since = before.since if before.ok is ok and before.since else now
        self._set(name, ok=ok, since=since, wanted=wanted, actual=max(0, actual - missing), compared=now, error=error)

    def _failed(self, name: str, error: str, failures: int) -> None:
        self.counters.failed += 1
        before = self._health[name]
        if failures == 1 or before.error != error:
            log.error("enforce-failed", target=name, error=error)
        since = self._clock() if before.ok or not before.since else before.since
        sets = self._known.sets.sets if self._known is not None else None
        wanted = before.wanted if sets is None else blocked_count(sets, self._targets[name].carries)
        self._set(name, ok=False, since=since, wanted=wanted, error=error)
        self._down.add(name)
        self._told()  # who waits need not wait for this one

    def _set(self, name: str, **fields: float | str | bool) -> None:
        self._health[name] = dataclasses.replace(self._health[name], **fields)  # type: ignore[arg-type]  # by name
