# SPDX-License-Identifier: Apache-2.0
"""A packet filter in memory, complete in semantics, without effect: for ``mode: watch`` and tests. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from edged.enforce.desired import REMINDED, Desired, holds, is_held
from edged.enforce.diff import Actual, Plan
from edged.enforce.nft_text import change_text
from edged.enforce.rules import Rules
from edged.enforce.sets import ALL_SETS, Elements, SetName
from edged.enforce.standing import Shortfall
from edged.errors import UpstreamError
from edged.policy.access import Line
from edged.values import IpAddress, MacAddress, Prefix, host_prefix


class MemoryTarget:
    """Keeps what it is told, refuses what nft would refuse."""

    def __init__(
        self,
        name: str = "memory",
        *,
        carries: Collection[SetName] = ALL_SETS,
        text: Callable[[Desired, Plan], str] = change_text,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.carries = carries
        self._text = text
        self.garden: dict[IpAddress, float] = {}
        """Address to its end, in the clock's seconds."""
        self.aside: dict[tuple[IpAddress, IpAddress], float] = {}
        """Source and destination to their end, in the clock's seconds."""
        self.alive_until = 0.0
        """When reminders stop to lead anywhere, in the clock's seconds."""
        self.forgotten: list[str] = []
        """The prefixes whose connections were let go, in order."""
        self.broken = False
        """True: every call fails, like a kernel that says no."""
        self.lingering: tuple[Prefix, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.shortfall: Shortfall | None = None
        self._clock = clock
        self._actual: Actual | None = None

    async def start(self, rules: Rules) -> None:
        """As in ``Target``: memory always works."""
        self.warnings = rules.warnings

    async def read(self) -> Actual | None:
        """As in ``Target``."""
        self._refuse_when_broken()
        return self._actual

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        """As in ``Target``; removing what is not there fails as a whole, as it does in the kernel."""
        self._refuse_when_broken()
        if self._actual is None and not plan.base:
            raise UpstreamError("memory: there is no table")
        empty: dict[SetName, Elements] = dict.fromkeys(SetName, frozenset())
        sets = dict(self._actual.sets) if self._actual else empty
        for name, elements in plan.remove.items():
            if not elements <= sets[name]:
                raise UpstreamError(f"memory: an element to remove from {name} is not there")
            sets[name] -= elements
        for name, elements in plan.add.items():
            sets[name] |= elements
        rules = desired.rules if plan.base or self._actual is None else self._actual.rules
        self._actual = Actual(rules, sets)
        self.forgotten += [str(prefix) for prefix in (*plan.blocked(), *plan.unblocked())]
        return True

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """As in ``Target``."""
        self._refuse_when_broken()
        if self._actual is None:
            raise UpstreamError("memory: there is no table")
        for address, seconds in entries:
            self.garden[address] = max(self.garden.get(address, 0.0), self._clock() + seconds)

    def admits(self, address: IpAddress) -> bool:
        """True while ``address`` is in the learned garden."""
        return self.garden.get(address, 0.0) > self._clock()

    async def vouch(self, seconds: float) -> None:
        """As in ``Target``."""
        self._refuse_when_broken()
        if self._actual is None:
            raise UpstreamError("memory: there is no table")
        self.alive_until = self._clock() + seconds

    async def set_aside(self, source: IpAddress, destination: IpAddress, seconds: float) -> None:
        """As in ``Target``."""
        self._refuse_when_broken()
        if self._actual is None:
            raise UpstreamError("memory: there is no table")
        self.aside[source, destination] = self._clock() + seconds

    def reminds(self, source: IpAddress, destination: IpAddress) -> bool:
        """True when a new flow to port 80 of ``destination`` would be led to the page."""
        now = self._clock()
        return (
            self._actual is not None
            and holds(self._actual.sets, REMINDED, host_prefix(source))
            and self.alive_until > now
            and self.aside.get((source, destination), 0.0) <= now
        )

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:
        """As in ``Target``."""
        self._refuse_when_broken()
        return self._actual is not None and is_held(self._actual.sets, Line((host_prefix(address),), devices))

    async def counters(self) -> dict[str, int]:
        """As in ``Target``: no packet passes here."""
        return {}

    def render(self, desired: Desired, plan: Plan) -> str:
        """As in ``Target``: what the one that it stands in for would be sent."""
        return self._text(desired, plan)

    async def close(self) -> None:
        """As in ``Target``."""

    def vanish(self) -> None:
        """Lose everything, as when somebody flushes the ruleset."""
        self._actual = None
        self.garden.clear()
        self.aside.clear()
        self.alive_until = 0.0

    def _refuse_when_broken(self) -> None:
        if self.broken:
            raise UpstreamError("memory: broken on request")
