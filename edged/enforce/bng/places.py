# SPDX-License-Identifier: Apache-2.0
"""Which sessions a change of the sets may concern, and whether one of them is to be blocked. Pure.

A change of one address costs a look-up, whatever the number of sessions.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from edged.enforce.desired import BLOCKED
from edged.enforce.diff import Plan
from edged.enforce.sets import Element, Elements, SetName
from edged.model import Access
from edged.policy.access import View
from edged.state.sessions import Session
from edged.values import BITS, IpAddress, MacAddress, Prefix, parse_prefix

Key = tuple[str, str]
"""The NAS as accounting has it, and its name of the session."""

MANY = 1000
"""From so many changed elements on it costs the loop less to look at every session, piece by piece."""
_SESSIONS = frozenset(BLOCKED.names)
_NETWORKS = frozenset((SetName.EXEMPT_4, SetName.EXEMPT_6, SetName.SERVED_4, SetName.SERVED_6))


def prefixes_of(session: Session) -> tuple[Prefix, ...]:
    """Every address of ``session``, both families."""
    spelt = (*session.ipv4.split(), *session.ipv6.split(), *session.delegated.split())
    return tuple(dict.fromkeys(map(parse_prefix, spelt)))


def first(prefix: Prefix) -> IpAddress:
    """The lowest address of ``prefix``."""
    return IPv4Address(prefix.network) if prefix.version == 4 else IPv6Address(prefix.network)


def is_blocked(view: View, session: Session, held: Iterable[Prefix], now: float) -> bool:
    """Whether ``session`` is to be blocked at ``now``, by the ladder of ``view``.

    ``held``: the addresses that are this session's and nobody else's by now. One that is exempt, or the line of another
    subscriber who is not blocked, keeps the whole session open: a BNG knows no halves.
    """
    decisions = [view.decide(first(prefix), now) for prefix in held]
    if any(d.access is Access.EXEMPT or (d.subscriber and d.access is not Access.BLOCKED) for d in decisions):
        return False
    if any(d.access is Access.BLOCKED for d in decisions):
        return True
    served = any(d.access is not Access.STRANGER for d in decisions)
    return bool(served and session.mac and view.decide_listed(MacAddress(session.mac), now).access is Access.BLOCKED)


def stays_blocked(view: View, session: Session, now: float) -> bool:
    """Whether the subscriber of ``session`` is still to be blocked, of which nobody has reported for long.

    Its addresses may be somebody else's by now; its login is not.
    """
    held = prefixes_of(session)
    if any(view.decide(first(prefix), now).access is Access.EXEMPT for prefix in held):
        return False
    subscriber = view.table.logins.get(session.login)
    if subscriber is not None:
        return view.decide_subscriber(subscriber, now).access is Access.BLOCKED
    return is_blocked(view, session, held, now)


def sets_of(sessions: Iterable[Session]) -> dict[SetName, Elements]:
    """The addresses of ``sessions`` as the sets of the blocked."""
    prefixes = [prefix for session in sessions for prefix in prefixes_of(session)]
    hosts = {v: frozenset(p.network for p in prefixes if p.version == v and p.is_host) for v in (4, 6)}
    networks = {v: frozenset(p for p in prefixes if p.version == v and not p.is_host) for v in (4, 6)}
    sets: dict[SetName, Elements] = dict.fromkeys(SetName, frozenset())
    sets[SetName.BLOCKED_HOSTS_4], sets[SetName.BLOCKED_HOSTS_6] = hosts[4], hosts[6]
    sets[SetName.BLOCKED_PREFIXES_4], sets[SetName.BLOCKED_PREFIXES_6] = networks[4], networks[6]
    return sets


class Places:
    """Where each session is: its addresses and its device."""

    __slots__ = ("_devices", "_of", "_order")

    def __init__(self) -> None:
        self._of: dict[Key, tuple[tuple[Prefix, ...], str]] = {}
        """Session to its addresses and its device."""
        self._order: list[tuple[int, int, Key]] = []
        """IP version, first address, session."""
        self._devices: dict[str, set[Key]] = {}

    def put(self, key: Key, session: Session) -> None:
        """``session`` is at its addresses now, and nowhere else."""
        place = (prefixes_of(session), session.mac)
        if self._of.get(key) == place:
            return
        self.remove(key)
        self._of[key] = place
        for prefix in place[0]:
            insort(self._order, (prefix.version, prefix.network, key))
        if session.mac:
            self._devices.setdefault(session.mac, set()).add(key)

    def remove(self, key: Key) -> None:
        """The session is nowhere."""
        prefixes, mac = self._of.pop(key, ((), ""))
        for prefix in prefixes:
            del self._order[bisect_left(self._order, (prefix.version, prefix.network, key))]
        devices = self._devices.get(mac, set())
        devices.discard(key)
        if not devices:
            self._devices.pop(mac, None)

    def within(self, prefix: Prefix) -> Iterator[Key]:
        """The sessions one of whose addresses begins in ``prefix``."""
        start = bisect_left(self._order, (prefix.version, prefix.network, ("", "")))
        end = bisect_right(self._order, (prefix.version, prefix.last + 1, ("", "")))
        return (key for _, _, key in self._order[start:end])

    def around(self, address: Prefix) -> set[Key]:
        """The sessions one of whose addresses is, or holds, ``address``."""
        bits = BITS[address.version]
        found: set[Key] = set()
        for length in range(bits + 1):
            start = address.network >> (bits - length) << (bits - length)
            for key in self.within(Prefix(address.version, start, bits)):
                if any(prefix.contains(address) for prefix in self._of[key][0]):
                    found.add(key)
        return found

    def of_device(self, mac: MacAddress) -> set[Key]:
        """The sessions of a device."""
        return self._devices.get(mac, set())

    def concerned(self, plan: Plan) -> set[Key] | None:
        """The sessions that ``plan`` may concern; None: any."""
        if plan.base or plan.changed & _NETWORKS or plan.added + plan.removed > MANY:
            return None
        found: set[Key] = set()
        for sets in (plan.add, plan.remove):
            for name in _SESSIONS & sets.keys():
                for element in sets[name]:
                    found.update(self._at(name, element))
        return found

    def _at(self, name: SetName, element: Element) -> Iterable[Key]:
        if isinstance(element, Prefix):
            return self.within(element)
        if isinstance(element, int):
            version = 4 if name is SetName.BLOCKED_HOSTS_4 else 6
            return self.within(Prefix(version, element, BITS[version]))
        return self._devices.get(element, ())
