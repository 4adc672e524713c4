# SPDX-License-Identifier: Apache-2.0
"""Who may come in: source addresses in, visitors and whom they displace out. Pure.

A connection that has not asked anything yet makes room for a newer one, so idle ones shut nobody out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Protocol

from edged.values import IpAddress

PER_SOURCE = 64
"""A household behind one address: ten devices with six connections each to one host, as browsers do."""
TOTAL = 4096
"""About 100 MB with TLS on every one of them."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage of a connection may take, in seconds."""

    first_octet: float = 5.0
    """Until something arrives; for TLS, until the ClientHello is whole. A poor line needs one."""
    request: float = 10.0
    """Until the first request is whole."""
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

    __slots__ = ("leave", "source", "timer", "waiting")

    def __init__(self, source: Source, leave: Callable[[], object]) -> None:
        self.source = source
        self.leave = leave
        self.timer: Cancellable | None = None
        """Its next deadline; stopped when it is counted out."""
        self.waiting = True
        """True until its first request is complete."""


class Crowd:
    """Everybody inside, oldest first."""

    def __init__(self, total: int = TOTAL, per_source: int = PER_SOURCE) -> None:
        self._total, self._per_source = total, per_source
        self._inside: dict[Source, dict[Visitor, None]] = {}
        self._waiting: dict[Visitor, None] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def room_for(self, source: Source) -> Visitor | bool:
        """True: come in. A Visitor: come in when that one has left. False: full of visitors being served."""
        own = self._inside.get(source, {})
        if len(own) >= self._per_source:
            return next((visitor for visitor in own if visitor.waiting), False)
        if self._count >= self._total:
            return next(iter(self._waiting), False)
        return True

    def enter(self, visitor: Visitor) -> None:
        """Count ``visitor`` in."""
        self._inside.setdefault(visitor.source, {})[visitor] = None
        self._waiting[visitor] = None
        self._count += 1

    def served(self, visitor: Visitor) -> None:
        """``visitor`` has asked something and keeps its place until it leaves."""
        visitor.waiting = False
        self._waiting.pop(visitor, None)

    def left(self, visitor: Visitor) -> None:
        """Count ``visitor`` out; a second time does nothing."""
        own = self._inside.get(visitor.source)
        if own is None or visitor not in own:
            return
        del own[visitor]
        if not own:
            del self._inside[visitor.source]
        self._waiting.pop(visitor, None)
        self._count -= 1
        if visitor.timer is not None:
            visitor.timer.cancel()

    def visitors(self) -> tuple[Visitor, ...]:
        """Everybody inside now."""
        return tuple(visitor for own in self._inside.values() for visitor in own)
