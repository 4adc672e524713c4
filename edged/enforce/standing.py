# SPDX-License-Identifier: Apache-2.0
"""How enforcement stands: counts, each target's health, and the garden that one that was away must be told. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edged.enforce.desired import BLOCKED, REMINDED
from edged.enforce.sets import SetName, Sets
from edged.values import IpAddress

REMEMBERED = 65536
"""Learned addresses that are remembered, as many as nftables holds of one family."""


@dataclass(slots=True)
class Counters:
    """Plain counts since the start."""

    applied: int = 0
    failed: int = 0
    drifted: int = 0
    """Comparisons that found a difference nobody had asked for."""
    added: int = 0
    removed: int = 0
    admitted: int = 0
    admit_failed: int = 0
    admit_failed_at: float = 0.0
    """Epoch seconds of the latest; 0: never."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a target goes on trying: it holds the rest of what it should."""

    missing: int
    """So many that should be blocked there are not."""
    text: str
    """Why, for the operator."""


@dataclass(frozen=True, slots=True)
class Health:
    """One target as of now. Times are epoch seconds; 0: never."""

    ok: bool = False
    since: float = 0.0
    """When ``ok`` last changed."""
    wanted: int = 0
    """Hosts, prefixes and devices that should be blocked there."""
    actual: int = 0
    """And that are."""
    compared: float = 0.0
    error: str = ""
    """Why it is not ok, or the last error while it was not."""
    drift: int = 0
    """Elements that somebody else had changed, at the last comparison that found any."""
    drifted: float = 0.0


def left_out(sets: Sets, carried: Collection[SetName]) -> tuple[str, ...]:
    """What no target can do that should be done, as sentences for the operator."""
    devices = sum(len(sets[name]) for name in (SetName.BLOCKED_MACS, SetName.MOVED_MACS) if name not in carried)
    reminded = sum(len(sets[name]) for name in REMINDED.names if name not in carried)
    lines = sum(len(sets[name]) for name in (BLOCKED.hosts[6], BLOCKED.prefixes[6]) if name not in carried)
    found = []
    if lines:
        found.append(f"{lines:,} IPv6 lines cannot be blocked: there is no IPv6 here")
    if devices:
        found.append(f"{devices:,} devices cannot be blocked by their MAC here: only what has an address is")
    if reminded:
        found.append(f"{reminded:,} reminders are due, and none leads to the page from here")
    return tuple(found)


class Learned:
    """The learned garden, each address with its end in seconds of a clock that is passed in."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._ends: dict[IpAddress, tuple[float, int]] = {}
        """Each with the turn in which it was learned last."""
        self._most = most
        self.turn = 0
        """Counts what was taken."""

    def __len__(self) -> int:
        return len(self._ends)

    def remember(self, entries: Sequence[tuple[IpAddress, float]], now: float) -> None:
        """Take addresses, each with its seconds; when there are too many the ended go, then those learned first."""
        self.turn += 1
        for address, seconds in entries:
            before, _ = self._ends.pop(address, (0.0, 0))
            self._ends[address] = max(now + seconds, before), self.turn
        # not at each one: it looks at all of them
        if len(self._ends) > self._most + self._most // 4:
            self._ends = dict(list(self._alive(now).items())[-self._most :])

    def holds(self, address: IpAddress, now: float) -> bool:
        """True while ``address`` is open."""
        return self._ends.get(address, (now, 0))[0] > now

    def left(self, now: float, after: int = 0) -> list[tuple[IpAddress, float]]:
        """Those that are still open and were learned after a turn, with the seconds that are left; the latest last."""
        if not after:
            self._ends = self._alive(now)
        found = []
        for address, (end, turn) in reversed(self._ends.items()):
            if turn <= after:
                break
            if end > now:
                found.append((address, end - now))
        return found[::-1]

    def _alive(self, now: float) -> dict[IpAddress, tuple[float, int]]:
        return {address: kept for address, kept in self._ends.items() if kept[0] > now}
