# SPDX-License-Identifier: Apache-2.0
"""A ``View``, the operator's ``Rules`` and the time in; the exact sets a packet filter should hold out. Pure.

For every address: it is in the blocked sets exactly when ``view.decide`` says blocked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from edged.enforce.ranges import Clip, longest_match, outermost, prefixes_of
from edged.enforce.rules import Rules
from edged.enforce.sets import Element, Elements, SetName, Sets
from edged.model import Access
from edged.policy.access import Line, View
from edged.values import BITS, IpAddress, MacAddress, Prefix, host_prefix

_HOSTS = {4: SetName.BLOCKED_HOSTS_4, 6: SetName.BLOCKED_HOSTS_6}
_PREFIXES = {4: SetName.BLOCKED_PREFIXES_4, 6: SetName.BLOCKED_PREFIXES_6}


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
        return blocks(self.sets, address)

    def holds(self, line: Line) -> bool:
        """True when the first address of one of its prefixes, or one of its devices, is in a blocked set."""
        macs = self.sets[SetName.BLOCKED_MACS]
        return any(mac in macs for mac in line.devices) or any(blocks_at(self.sets, p) for p in line.prefixes)

    @property
    def count(self) -> int:
        """How many hosts, prefixes and devices are blocked."""
        return blocked_count(self.sets)


def blocks(sets: Sets, address: IpAddress) -> bool:
    """True when ``address`` is in one of the blocked sets of its family."""
    return blocks_at(sets, host_prefix(address))


def blocks_at(sets: Sets, prefix: Prefix) -> bool:
    """True when the first address of ``prefix`` is in one of the blocked sets."""
    number, version = prefix.network, prefix.version
    if number in sets[_HOSTS[version]]:
        return True
    prefixes = sets[_PREFIXES[version]]
    lengths = range(BITS[version] + 1) if prefixes else ()
    return any(Prefix(version, number >> (BITS[version] - n) << (BITS[version] - n), n) in prefixes for n in lengths)


def blocked_count(sets: Sets) -> int:
    """How many hosts, prefixes and devices the blocked sets hold."""
    return sum(len(sets[name]) for name in (*_HOSTS.values(), *_PREFIXES.values(), SetName.BLOCKED_MACS))


def desired(view: View, rules: Rules, now: float) -> Desired:
    """The sets of ``view`` at ``now`` (epoch seconds); until ``view.next_end`` they stay what they are."""
    sets: dict[SetName, Elements] = {SetName.BLOCKED_MACS: _macs(view, view.table.devices, now)}
    for version in (4, 6):
        served, exempt = _networks(view, version)
        hosts, prefixes = _blocked(view, version, Clip(served, exempt), now)
        sets[_HOSTS[version]] = frozenset(hosts)
        sets[_PREFIXES[version]] = frozenset(prefixes)
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
        for name in changed:
            subscriber = instant.view.table.subscribers.get(name)
            if subscriber is not None:
                lines.update(instant.view.lines_of(subscriber))
                macs.update(subscriber.devices)
    out[SetName.BLOCKED_MACS].update(_macs(then.view, macs, then.now))
    into[SetName.BLOCKED_MACS].update(_macs(now.view, macs, now.now))
    # lines nest or are disjoint, so nothing outside the widest around a changed one can be touched by it
    regions = outermost(p for line in lines for p in (then.view.outermost(line), now.view.outermost(line)))
    for version in (4, 6):
        clip = Clip(*_networks(now.view, version))
        for region in (r for r in regions if r.version == version):
            for instant, side in ((then, out), (now, into)):
                hosts, prefixes = _blocked(instant.view, version, clip, instant.now, region)
                side[_HOSTS[version]].update(hosts)
                side[_PREFIXES[version]].update(prefixes)
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


def _macs(view: View, macs: Iterable[MacAddress], now: float) -> Elements:
    return frozenset(mac for mac in macs if view.decide_device(mac, now).access is Access.BLOCKED)


def _blocked(
    view: View, version: int, clip: Clip, now: float, region: Prefix | None = None
) -> tuple[list[int], list[Prefix]]:
    """The blocked hosts and the blocked prefixes of one family, or of one region of it.

    A blocked host needs no arithmetic: nothing is longer than it. Only the prefixes, and the hosts that are
    holes in them, go through the sweep; where none are nested it passes every prefix on as it is.
    """
    bits = BITS[version]
    hosts: list[int] = []
    entries: list[tuple[int, int, bool]] = []
    for prefix, subscriber in view.lines(region):
        if prefix.version != version:
            continue
        verdict = view.decide_subscriber(subscriber, now).access is Access.BLOCKED
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
