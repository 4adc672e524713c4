# SPDX-License-Identifier: Apache-2.0
"""A connection that the packet filter led to us in, the address that its client meant out, and its way freed. I/O.

linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h: SO_ORIGINAL_DST reads the connection's tracked entry.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from edged.captive.reminder import MOMENT, Asides, Way
from edged.values import IpAddress, parse_address

_ORIGINAL_DST = 80
"""Linux's number at both levels; the socket module does not name it."""
_SOCKADDR_IN, _SOCKADDR_IN6 = 16, 28
"""Octets of the two socket addresses."""
_REMEMBERED = 4096
"""Ways of which it is remembered for a moment what came of them; above it the oldest is forgotten."""

SetAside = Callable[[IpAddress, IpAddress], Awaitable[bool]]
"""Leaves the way from a line to a destination alone; True once the packet filter does so. Never raises, is bounded."""


async def nobody_to_tell(_source: IpAddress, _destination: IpAddress) -> bool:
    """Where there is no packet filter."""
    return False


def destination_of(transport: asyncio.BaseTransport) -> IpAddress | None:
    """Whom the client meant to reach; None: us, or nobody can say."""
    sock, local = transport.get_extra_info("socket"), transport.get_extra_info("sockname")
    if sock is None or not local:
        return None
    try:
        if sock.family == socket.AF_INET6:
            octets = sock.getsockopt(socket.IPPROTO_IPV6, _ORIGINAL_DST, _SOCKADDR_IN6)
            meant: IpAddress = IPv6Address(octets[8:24])
        else:
            octets = sock.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DST, _SOCKADDR_IN)
            meant = IPv4Address(octets[4:8])
    except (OSError, ValueError):
        return None  # nothing is tracked here, so nothing was translated
    return None if meant == parse_address(local[0].partition("%")[0]) else meant


class Ways:
    """The ways of reminded lines that are to pass us by: of many requests at once it is told but once."""

    def __init__(self, set_aside: SetAside) -> None:
        self._set_aside = set_aside
        self._asides = Asides()
        self._freeing: dict[tuple[IpAddress, IpAddress], asyncio.Task[bool]] = {}
        """The packet filter being told of a way, and what came of it."""

    async def free(self, source: IpAddress, destination: IpAddress, now: float) -> bool:
        """True once flows from ``source`` to ``destination`` pass us by; False: they do not, so nobody is sent on."""
        freeing = self.open(source, destination, now)
        return freeing is not None and await asyncio.shield(freeing)

    def open(self, source: IpAddress, destination: IpAddress, now: float) -> asyncio.Task[bool] | None:
        """Have the packet filter told where it is not yet; what comes of it, or None: it is not told."""
        way = (source, destination)
        match self._asides.meet(source, destination, now):
            case Way.REFUSED:
                return None
            case Way.TO_FREE:
                self._freeing.pop(way, None)
                self._freeing[way] = told = asyncio.create_task(self._tell(way), name="captive-aside")
                told.add_done_callback(partial(self._told, way))
            case Way.FREED:
                pass
        freeing = self._freeing.get(way)
        while len(self._freeing) > _REMEMBERED:
            del self._freeing[next(iter(self._freeing))]
        return freeing

    async def _tell(self, way: tuple[IpAddress, IpAddress]) -> bool:
        return await self._set_aside(*way)

    def _told(self, way: tuple[IpAddress, IpAddress], told: asyncio.Task[bool]) -> None:
        """What came of it is good for a moment; where somebody went is not kept for longer."""
        asyncio.get_running_loop().call_later(MOMENT, self._forget, way, told)

    def _forget(self, way: tuple[IpAddress, IpAddress], told: asyncio.Task[bool]) -> None:
        if self._freeing.get(way) is told:
            del self._freeing[way]
            self._asides.forget(*way)
