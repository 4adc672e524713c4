# SPDX-License-Identifier: Apache-2.0
"""What one address, device or subscriber gets now, and from which rule. Pure; the clock is passed in.

The ladder of ``RULES`` is the one place where precedence is decided: the sinkhole, the page, the key server, every
target and ``edged explain`` call the same two functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from edged.model import Access, State, Subscriber
from edged.policy.moved import Moved
from edged.policy.prefixes import PrefixMap
from edged.policy.sessions import OnlineLines
from edged.policy.table import PolicyTable
from edged.values import IpAddress, MacAddress, Prefix, host_prefix


class Rule(StrEnum):
    """The rule that decided, in order of precedence."""

    SERVED = "served network"
    """First: an address that is not ours to serve gets nothing, whatever else is said of it."""
    EXEMPT = "exempt network"
    """Before everything that could block: exempt networks always win."""
    OVERRIDE = "override"
    """An operator's word outlives billing's until it ends."""
    PASS = "pass"  # noqa: S105  # a word of the glossary, not a password
    """A pass opens what billing blocks; an operator's block is not opened by it."""
    BILLING = "billing"
    """What the snapshot says."""
    DRAIN = "drain"
    """Just unblocked: open, but the page sends lingering visitors on."""
    DEFAULT = "default"
    """Billing says nothing: open."""


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's word on one subscriber, with its end."""

    subscriber: str
    blocked: bool
    """True: block; False: unblock."""
    until: float
    """Epoch seconds."""
    why: str
    who: str
    at: float
    reason: str = "abuse"


@dataclass(frozen=True, slots=True)
class Learned:
    """What edged itself knows: the second immutable value beside the table, with its own one writer."""

    overrides: dict[str, Override] = field(default_factory=dict)
    """By subscriber id."""
    passes: dict[str, float] = field(default_factory=dict)
    """Subscriber id to end, epoch seconds."""
    drains: PrefixMap[float] = field(default_factory=PrefixMap)
    """Prefixes that were blocked a moment ago, each with the end of its drain, epoch seconds."""
    neighbours: dict[IpAddress, MacAddress] = field(default_factory=dict)
    """Which address a device that billing names has now, from the router's neighbour table."""
    online: OnlineLines = field(default_factory=OnlineLines)
    """Which addresses listed subscribers have by their sessions."""
    snoozes: dict[str, float] = field(default_factory=dict)
    """Subscriber id to the end of their snooze, epoch seconds: until then the reminder is put away."""
    moved: Moved = field(default_factory=Moved)
    """Which devices edged put on the VLAN of the blocked, and by whose key."""

    def ends(self) -> Iterator[tuple[str, float]]:
        """Whose words of ours end by themselves, and when: subscriber id and epoch seconds."""
        yield from ((name, override.until) for name, override in self.overrides.items())
        yield from self.passes.items()
        yield from self.snoozes.items()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one line gets, and why."""

    access: Access
    rule: Rule
    subscriber: Subscriber | None = None
    prefix: Prefix | None = None
    """The prefix that matched."""
    reason: str = ""
    since: float = 0.0
    """Epoch seconds; 0: not known."""
    until: float = 0.0
    """Epoch seconds; 0: until something changes. Of a notice the end of its snooze; 0: the reminder is due."""

    @property
    def reminds(self) -> bool:
        """True when the line's next page load is to meet the reminder."""
        return self.access is Access.NOTICE and not self.until


STRANGER = Decision(Access.STRANGER, Rule.SERVED)
_OPEN = Decision(Access.OPEN, Rule.DEFAULT)
_EXEMPT = Decision(Access.EXEMPT, Rule.EXEMPT)


class Line(NamedTuple):
    """Where one subscriber, or one visitor, is cut off and let through."""

    prefixes: tuple[Prefix, ...] = ()
    devices: tuple[MacAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """The two immutable values together: all that a room reads."""

    table: PolicyTable = field(default_factory=PolicyTable)
    learned: Learned = field(default_factory=Learned)

    def decide(self, address: IpAddress, now: float) -> Decision:
        """What ``address`` gets at ``now`` (epoch seconds)."""
        table, version, number = self.table, address.version, int(address)
        if not table.served.find_integer(version, number):
            return STRANGER
        if table.exempt.find_integer(version, number):
            return _EXEMPT
        matched = self.match(address)
        said = _OPEN if matched is None else self.decide_subscriber(matched[1], now, matched[0])
        device = _OPEN if said.access is Access.BLOCKED else self._device_at(address, now)
        # a reminder that is due to the address is due to whatever is behind it
        if device.access is Access.BLOCKED or (device.access is not Access.OPEN and not said.reminds):
            return device
        if said.access is not Access.OPEN or said.rule is Rule.OVERRIDE:
            return said
        drain = self.learned.drains.match(address)
        if drain is not None and drain[1] > now:
            return Decision(Access.DRAIN, Rule.DRAIN, prefix=drain[0], until=drain[1])
        return said

    def match(self, address: IpAddress) -> tuple[Prefix, Subscriber] | None:
        """Whose line ``address`` is on: the longest prefix of billing's list and of the sessions; None: nobody's."""
        listed = self.table.addresses.match(address)
        if not self.learned.online:
            return listed
        return self._better(listed, self._holder(self.learned.online.holders.match(address)))

    def covering(self, prefix: Prefix) -> tuple[Prefix, Subscriber] | None:
        """Whose line holds the whole of ``prefix``; None: nobody's does."""
        online = self._holder(self.learned.online.holders.covering(prefix))
        return self._better(self.table.addresses.covering(prefix), online)

    def _holder(self, found: tuple[Prefix, str] | None) -> tuple[Prefix, Subscriber] | None:
        subscriber = None if found is None else self.table.subscribers.get(found[1])
        return None if found is None or subscriber is None else (found[0], subscriber)

    def _better(
        self, listed: tuple[Prefix, Subscriber] | None, online: tuple[Prefix, Subscriber] | None
    ) -> tuple[Prefix, Subscriber] | None:
        """The longer of the two; of the same prefix for whoever is treated better."""
        if listed is None or online is None:
            return listed or online
        if listed[0].length != online[0].length:
            return max(listed, online, key=lambda match: match[0].length)
        return min(listed, online, key=lambda match: match[1].state.severity)

    def lines(self, region: Prefix | None = None) -> Iterator[tuple[Prefix, Subscriber]]:
        """Every line with its subscriber, listed and online, each prefix once; with ``region``, those in it."""
        listed, online = self.table.addresses, self.learned.online.holders
        if not online:
            yield from listed.items() if region is None else listed.within(region)
            return
        for prefix, subscriber in listed.items() if region is None else listed.within(region):
            rival = self._holder((prefix, name)) if (name := online.get(prefix)) else None
            yield self._better((prefix, subscriber), rival) or (prefix, subscriber)
        for prefix, name in online.items() if region is None else online.within(region):
            held = self._holder((prefix, name))
            if held is not None and listed.get(prefix) is None:
                yield held

    def lines_of(self, subscriber: Subscriber) -> tuple[Prefix, ...]:
        """Every prefix of ``subscriber``, listed or online."""
        return tuple(dict.fromkeys((*subscriber.addresses, *self.learned.online.lines.get(subscriber.id, ()))))

    def devices_of(self, subscriber: Subscriber) -> tuple[MacAddress, ...]:
        """Every device of ``subscriber``: those that billing lists, and those on the VLAN of the blocked."""
        return tuple(dict.fromkeys((*subscriber.devices, *self.learned.moved.devices.get(subscriber.id, ()))))

    def line_at(self, address: IpAddress) -> Line:
        """``address`` itself, and the device of a listed subscriber that has it now."""
        seen = (self.learned.neighbours.get(address), self.learned.moved.addresses.get(address))
        return Line((host_prefix(address),), tuple(dict.fromkeys(mac for mac in seen if mac is not None)))

    def outermost(self, prefix: Prefix) -> Prefix:
        """The widest line around ``prefix``; ``prefix`` itself when it lies in none."""
        return min(
            self.table.addresses.outermost(prefix),
            self.learned.online.holders.outermost(prefix),
            key=lambda line: line.length,
        )

    def next_end(self, now: float) -> float:
        """When an override, a pass or a snooze next ends by itself, epoch seconds; infinity: none does."""
        return min((end for _, end in self.learned.ends() if end > now), default=math.inf)

    def ended(self, since: float, now: float) -> frozenset[str]:
        """Ids of those of whom an override, a pass or a snooze has ended after ``since`` and up to ``now``."""
        return frozenset(name for name, end in self.learned.ends() if since < end <= now)

    def decide_device(self, mac: MacAddress, now: float) -> Decision:
        """What a device gets that billing lists by its MAC, or that edged put on the VLAN of the blocked; else open.

        Billing's word on a MAC goes first. What edged knows by itself holds on that VLAN alone.
        """
        if mac in self.table.devices:
            return self.decide_listed(mac, now)
        holder = self.learned.moved.holders.get(mac)
        if holder is None:
            return _OPEN
        decision = self.decide_id(holder.subscriber, now)
        # on its way back to its own VLAN: no reminder before it is there
        return replace(decision, access=Access.OPEN) if decision.access is Access.NOTICE else decision

    def decide_listed(self, mac: MacAddress, now: float) -> Decision:
        """What a device that billing lists by its MAC gets; open when it lists none.

        The key server asks this one: where it once put a device must be no reason to put it there again.
        """
        subscriber = self.table.devices.get(mac)
        return _OPEN if subscriber is None else self.decide_subscriber(subscriber, now)

    def holder_of(self, mac: MacAddress) -> Subscriber | None:
        """The listed subscriber whose device ``mac`` is, as in ``decide_device``; None: nobody's."""
        holder = self.learned.moved.holders.get(mac)
        return self.table.devices.get(mac) or (self.table.subscribers.get(holder.subscriber) if holder else None)

    def _device_at(self, address: IpAddress, now: float) -> Decision:
        """What the device gets that has ``address`` now; open when none that is known has."""
        mac = self.learned.neighbours.get(address) if self.learned.neighbours else None
        if mac is not None and mac in self.table.devices:
            return self.decide_listed(mac, now)
        moved = self.learned.moved
        mac = moved.addresses.get(address) if moved.addresses else None
        return _OPEN if mac is None else self.decide_device(mac, now)

    def decide_id(self, subscriber_id: str, now: float) -> Decision:
        """What the subscriber with billing's id gets; open when billing does not list them."""
        subscriber = self.table.subscribers.get(subscriber_id)
        if subscriber is None:
            return _OPEN
        return self.decide_subscriber(subscriber, now)

    def decide_subscriber(self, subscriber: Subscriber, now: float, prefix: Prefix | None = None) -> Decision:
        """What ``subscriber`` gets on a line that is served and not exempt."""
        override = self.learned.overrides.get(subscriber.id)
        if override is not None and override.until > now:
            access = Access.BLOCKED if override.blocked else Access.OPEN
            reason = override.reason if override.blocked else ""
            return Decision(access, Rule.OVERRIDE, subscriber, prefix, reason, override.at, override.until)
        if subscriber.state is State.BLOCKED:
            ends = self.learned.passes.get(subscriber.id, 0.0)
            if ends > now:
                return Decision(Access.PASS, Rule.PASS, subscriber, prefix, subscriber.reason, subscriber.since, ends)
            return Decision(Access.BLOCKED, Rule.BILLING, subscriber, prefix, subscriber.reason, subscriber.since)
        if subscriber.state is State.NOTICE:
            ends = self.learned.snoozes.get(subscriber.id, 0.0)
            until = ends if ends > now else 0.0
            return Decision(Access.NOTICE, Rule.BILLING, subscriber, prefix, subscriber.reason, subscriber.since, until)
        return Decision(Access.OPEN, Rule.BILLING, subscriber, prefix)


DRAIN_S = 180.0
"""How long a just-unblocked line drains: browsers keep our answer for 60 to 120 s whatever its TTL."""


def drained(before: View, after: View, now: float, changed: Iterable[str] | None = None) -> PrefixMap[float]:
    """The drains of ``after``: those still running, and every line that was blocked until now and is not any more.

    ``changed`` names the subscribers who alone may have changed; None: anybody.
    """
    running = {prefix: until for prefix, until in before.learned.drains.items() if until > now}
    concerned = None if changed is None else tuple(changed)
    for subscriber in _among(before.table, concerned):
        word = after.table.subscribers.get(subscriber.id)
        if subscriber.state is State.BLOCKED and (word is None or word.state is not State.BLOCKED):
            running |= dict.fromkeys(before.lines_of(subscriber), now + DRAIN_S)
    for subscriber in _among(after.table, concerned) if running else ():
        if subscriber.state is State.BLOCKED:
            for prefix in after.lines_of(subscriber):
                running.pop(prefix, None)  # blocked again: nothing drains
    return PrefixMap(running.items())


def _among(table: PolicyTable, ids: Iterable[str] | None) -> Iterable[Subscriber]:
    if ids is None:
        return table.subscribers.values()
    return (table.subscribers[name] for name in ids if name in table.subscribers)
