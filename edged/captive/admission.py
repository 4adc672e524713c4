# SPDX-License-Identifier: Apache-2.0
"""Who may come in: source addresses in, visitors and whom they displace out. Pure.

A connection that has not asked anything yet makes room for a newer one, so idle ones shut nobody out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Protocol

from edged.values import IpAddress

PER_SOURCE = 64
"""A household behind one address: ten devices with six connections each to one host, as browsers do."""
TOTAL = 24_576
"""Connections, waiting or served. One that waits costs edged some 1 KB (bench/captive_crowd.py) and the kernel more."""
SEATS = 2048
"""Connections with a task and a protocol of their own: 140 MB with each of them in the middle of a TLS handshake."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage of a connection may take, in seconds."""

    first_octet: float = 5.0
    """Until something arrives; for TLS, until the ClientHello is whole. A poor line needs one."""
    request: float = 10.0
    """From then until the first request is whole."""
    lifetime: float = 30.0
    """Altogether: a page is small, and nobody waits longer for it."""
    handshake: float = 8.0
    """For a TLS handshake after its ClientHello: three round trips on a very bad line."""
    linger: float = 1.0
    """For the client to read an alert before the socket goes."""


Source = tuple[int, int]


class Cancellable(Protocol):
    """A timer of the shell."""

    def cancel(self) -> None:
        """Stop it."""


def source_of(address: IpAddress) -> Source:
    """One source: an IPv4 address, or the /64 of an IPv6 address, which one host can fill alone."""
    number = int(address)
    return (6, number >> 64) if isinstance(address, IPv6Address) else (4, number)


class Visitor:
    """One connection. ``leave`` ends it, whatever stage it is in; the shell sets it."""

    __slots__ = ("leave", "seated", "source", "timer", "waiting")

    def __init__(self, source: Source, leave: Callable[[], object]) -> None:
        self.source = source
        self.leave = leave
        self.timer: Cancellable | None = None
        """Its next deadline; stopped when it is counted out."""
        self.waiting = True
        """True until its first request is complete."""
        self.seated = False
        """True once it has a task and a protocol of its own."""


class Crowd:
    """Everybody inside, oldest first."""

    def __init__(self, total: int = TOTAL, per_source: int = PER_SOURCE, seats: int = SEATS) -> None:
        self._total, self._per_source, self._seats = total, per_source, seats
        self._inside: dict[Source, dict[Visitor, None]] = {}
        # a plain dict finds its first key slowly once many before it are gone
        self._standing: OrderedDict[Visitor, None] = OrderedDict()
        """Those who wait without a seat, oldest first."""
        self._idle: OrderedDict[Visitor, None] = OrderedDict()
        """Those on a seat who ask nothing yet, or nothing more, longest first."""
        self._taken = self._count = 0

    def __len__(self) -> int:
        return self._count

    def room_for(self, source: Source) -> Visitor | bool:
        """True: come in. A Visitor: come in when that one has left. False: full of visitors being served."""
        own = self._inside.get(source, {})
        if len(own) >= self._per_source:
            return next((visitor for visitor in own if visitor in self._standing or visitor in self._idle), False)
        if self._count >= self._total:
            return self.longest_waiting() or False
        return True

    def longest_waiting(self) -> Visitor | None:
        """Who makes room first: the oldest without a seat, then the one that has been idle on its own the longest."""
        return next(iter(self._standing), None) or next(iter(self._idle), None)

    def seat(self) -> Visitor | bool:
        """As ``room_for``, for a place with a task and a protocol."""
        if self._taken >= self._seats:
            return next(iter(self._idle), False)
        return True

    def enter(self, visitor: Visitor) -> None:
        """Count ``visitor`` in."""
        self._inside.setdefault(visitor.source, {})[visitor] = None
        self._standing[visitor] = None
        self._count += 1

    def sit(self, visitor: Visitor) -> None:
        """``visitor``, who is inside, has taken a seat."""
        del self._standing[visitor]
        self._idle[visitor] = None
        visitor.seated = True
        self._taken += 1

    def served(self, visitor: Visitor) -> None:
        """``visitor`` has asked something and keeps its place until it has the answer."""
        visitor.waiting = False
        self._standing.pop(visitor, None)
        self._idle.pop(visitor, None)

    def rested(self, visitor: Visitor) -> None:
        """``visitor`` has its answer and keeps its connection for the next request."""
        if visitor in self._inside.get(visitor.source, ()):
            self._idle[visitor] = None

    def is_at_rest(self, visitor: Visitor) -> bool:
        """True when ``visitor`` has had an answer and asks nothing more."""
        return not visitor.waiting and visitor in self._idle

    def left(self, visitor: Visitor) -> None:
        """Count ``visitor`` out; a second time does nothing."""
        own = self._inside.get(visitor.source)
        if own is None or visitor not in own:
            return
        del own[visitor]
        if not own:
            del self._inside[visitor.source]
        self._standing.pop(visitor, None)
        self._idle.pop(visitor, None)
        self._count -= 1
        self._taken -= visitor.seated
        if visitor.timer is not None:
            visitor.timer.cancel()

    def visitors(self) -> tuple[Visitor, ...]:
        """Everybody inside now."""
        return tuple(visitor for own in self._inside.values() for visitor in own)
