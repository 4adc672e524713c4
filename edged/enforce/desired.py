# SPDX-License-Identifier: Apache-2.0
"""A ``View``, the operator's ``Rules`` and the time in; the exact sets a packet filter should hold out. Pure.

For every address: it is in the blocked sets exactly when ``view.decide`` says blocked, and in the notice sets exactly
when it says that the reminder is due.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from edged.enforce.ranges import Clip, longest_match, outermost, prefixes_of
from edged.enforce.rules import Rules
from edged.enforce.sets import ALL_SETS, Element, Elements, SetName, Sets
from edged.model import Access
from edged.policy.access import Decision, Line, View
from edged.values import BITS, IpAddress, MacAddress, Prefix, host_prefix


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One thing that is done with lines, and the sets of those with whom it is done."""

    hosts: Mapping[int, SetName]
    """By IP version."""
    prefixes: Mapping[int, SetName]
    macs: SetName

    @property
    def names(self) -> tuple[SetName, ...]:
        """Every set of the mark."""
        return (*self.hosts.values(), *self.prefixes.values(), self.macs)


BLOCKED = Mark(
    {4: SetName.BLOCKED_HOSTS_4, 6: SetName.BLOCKED_HOSTS_6},
    {4: SetName.BLOCKED_PREFIXES_4, 6: SetName.BLOCKED_PREFIXES_6},
    SetName.BLOCKED_MACS,
)
REMINDED = Mark(
    {4: SetName.NOTICE_HOSTS_4, 6: SetName.NOTICE_HOSTS_6},
    {4: SetName.NOTICE_PREFIXES_4, 6: SetName.NOTICE_PREFIXES_6},
    SetName.NOTICE_MACS,
)
_MARKS = (BLOCKED, REMINDED)
_BLOCKED_SETS = (*BLOCKED.names, SetName.MOVED_MACS)


@dataclass(frozen=True, slots=True)
class Step:
    """What was added to and removed from ``before``."""

    before: Sets
    add: Sets
    remove: Sets


@dataclass(frozen=True, slots=True)
class Desired:
    """What one packet filter should hold now."""

    rules: Rules
    sets: Sets
    """Every ``SetName``, some of them empty. The prefixes of one set are disjoint."""
    step: Step | None = field(default=None, compare=False)
    """How ``sets`` came from others, where that is known: it spares comparing a hundred thousand elements."""

    def blocks(self, address: IpAddress) -> bool:
        """True when ``address`` is in a blocked set."""
        return holds(self.sets, BLOCKED, host_prefix(address))

    def reminds(self, address: IpAddress) -> bool:
        """True when ``address`` is in a notice set."""
        return holds(self.sets, REMINDED, host_prefix(address))

    @property
    def reminding(self) -> bool:
        """True when anybody is in a notice set."""
        return any(self.sets[name] for name in REMINDED.names)

    def holds(self, line: Line) -> bool:
        """True when the first address of one of its prefixes, or one of its devices, is in a blocked set."""
        return is_held(self.sets, line)

    @property
    def count(self) -> int:
        """How many hosts, prefixes and devices are blocked."""
        return blocked_count(self.sets)


def holds(sets: Sets, mark: Mark, prefix: Prefix) -> bool:
    """True when the first address of ``prefix`` is in one of the sets of ``mark``."""
    number, version = prefix.network, prefix.version
    if number in sets[mark.hosts[version]]:
        return True
    prefixes = sets[mark.prefixes[version]]
    lengths = range(BITS[version] + 1) if prefixes else ()
    return any(Prefix(version, number >> (BITS[version] - n) << (BITS[version] - n), n) in prefixes for n in lengths)


def is_held(sets: Sets, line: Line) -> bool:
    """True when the first address of one of the prefixes of ``line``, or one of its devices, is in a blocked set."""
    macs = sets[SetName.BLOCKED_MACS], sets[SetName.MOVED_MACS]
    if any(mac in held for mac in line.devices for held in macs):
        return True
    return any(holds(sets, BLOCKED, prefix) for prefix in line.prefixes)


def blocked_count(sets: Sets, carried: Collection[SetName] = ALL_SETS) -> int:
    """How many hosts, prefixes and devices the blocked sets hold, of those that are ``carried``."""
    return sum(len(sets[name]) for name in _BLOCKED_SETS if name in carried)


def desired(view: View, rules: Rules, now: float) -> Desired:
    """The sets of ``view`` at ``now`` (epoch seconds); until ``view.next_end`` they stay what they are."""
    sets: dict[SetName, Elements] = dict(_macs(view, {*view.table.devices, *view.learned.moved.holders}, now))
    for version in (4, 6):
        served, exempt = _networks(view, version)
        sets.update((name, frozenset(e)) for name, e in _marked(view, version, Clip(served, exempt), now).items())
        sets[SetName(f"served{version}")] = frozenset(outermost(served))
        sets[SetName(f"exempt{version}")] = frozenset(outermost(exempt))
        garden = (p for p in rules.garden_networks if p.version == version)
        sets[SetName(f"gnet{version}")] = frozenset(outermost(garden))
        sets[SetName(f"portal{version}")] = frozenset(int(a) for a in rules.portals if a.version == version)
    return Desired(rules, sets)


@dataclass(frozen=True, slots=True)
class Instant:
    """A view, and the epoch second at which it is asked."""

    view: View
    now: float


def desired_after(before: Desired, then: Instant, now: Instant, changed: Iterable[str]) -> Desired:
    """What ``desired`` gives for ``now``, from what it gave ``then``: only the subscribers ``changed`` are looked at.

    The served and exempt networks and the rules must be the same in both.
    """
    out: dict[SetName, set[Element]] = defaultdict(set)
    into: dict[SetName, set[Element]] = defaultdict(set)
    lines: set[Prefix] = set()
    macs: set[MacAddress] = set()
    for instant in (then, now):
        for id_ in changed:
            subscriber = instant.view.table.subscribers.get(id_)
            if subscriber is not None:
                lines.update(instant.view.lines_of(subscriber))
                macs.update(instant.view.devices_of(subscriber))
    for instant, side in ((then, out), (now, into)):
        for name, elements in _macs(instant.view, macs, instant.now).items():
            side[name].update(elements)
    # lines nest or are disjoint, so nothing outside the widest around a changed one can be touched by it
    regions = outermost(p for line in lines for p in (then.view.outermost(line), now.view.outermost(line)))
    clips = {version: Clip(*_networks(now.view, version)) for version in (4, 6)}
    for region in regions:
        for instant, side in ((then, out), (now, into)):
            for name, found in _marked(
                instant.view, region.version, clips[region.version], instant.now, region
            ).items():
                side[name].update(found)
    add = {name: new for name, side in into.items() if (new := side - out[name])}
    remove = {name: old for name, side in out.items() if (old := side - into[name])}
    sets: dict[SetName, Elements] = dict(before.sets)
    for name in add.keys() | remove.keys():
        # one copy and a few changes: an operator would go through every element
        elements = set(sets[name])
        elements.difference_update(remove.get(name, ()))
        elements.update(add.get(name, ()))
        sets[name] = elements
    return Desired(before.rules, sets, Step(before.sets, add, remove))


def _networks(view: View, version: int) -> tuple[list[Prefix], list[Prefix]]:
    """The served and the exempt networks of one family."""
    served = [p for p, _ in view.table.served.items() if p.version == version]
    return served, [p for p, _ in view.table.exempt.items() if p.version == version]


def _macs(view: View, macs: Iterable[MacAddress], now: float) -> dict[SetName, Elements]:
    """The devices of every mark, and those that are blocked on the VLAN of the blocked alone."""
    listed = view.table.devices
    marked = [(mac, _mark_of(view.decide_listed(mac, now))) for mac in macs if mac in listed]
    sets: dict[SetName, Elements] = {
        mark.macs: frozenset(mac for mac, found in marked if found is mark) for mark in _MARKS
    }
    others = (mac for mac in macs if mac not in listed)
    moved = frozenset(mac for mac in others if view.decide_device(mac, now).access is Access.BLOCKED)
    return sets | {SetName.MOVED_MACS: moved}


def _marked(
    view: View, version: int, clip: Clip, now: float, region: Prefix | None = None
) -> dict[SetName, list[Element]]:
    """The hosts and the prefixes of every mark, of one family or of one region of it."""
    lines = [
        (prefix, _mark_of(view.decide_subscriber(subscriber, now)))
        for prefix, subscriber in view.lines(region)
        if prefix.version == version
    ]
    there = {found for _, found in lines}
    sets: dict[SetName, list[Element]] = {}
    for mark in _MARKS:
        concerned = ((prefix, found is mark) for prefix, found in lines)
        hosts, prefixes = _outlines(version, clip, concerned) if mark in there else ([], [])
        sets[mark.hosts[version]], sets[mark.prefixes[version]] = [*hosts], [*prefixes]
    return sets


def _mark_of(decision: Decision) -> Mark | None:
    if decision.access is Access.BLOCKED:
        return BLOCKED
    return REMINDED if decision.reminds else None


def _outlines(version: int, clip: Clip, lines: Iterable[tuple[Prefix, bool]]) -> tuple[list[int], list[Prefix]]:
    """The hosts and the prefixes that hold exactly what is concerned of ``lines``.

    A concerned host needs no arithmetic: nothing is longer than it. Only the prefixes, and the hosts that are
    holes in them, go through the sweep; where none are nested it passes every prefix on as it is.
    """
    bits = BITS[version]
    hosts: list[int] = []
    entries: list[tuple[int, int, bool]] = []
    for prefix, verdict in lines:
        if verdict and prefix.length == bits:
            hosts.extend(first for first, _ in clip((prefix.network, prefix.network)))
        else:
            entries.append((prefix.network, prefix.length, verdict))
    prefixes: list[Prefix] = []
    for whole in longest_match(entries, bits):
        for part in clip(whole):
            for prefix in prefixes_of(version, part):
                if prefix.length == bits:
                    hosts.append(prefix.network)
                else:
                    prefixes.append(prefix)
    return hosts, prefixes
