# SPDX-License-Identifier: Apache-2.0
"""One UDP socket: datagrams in, replies out from the address that was asked. I/O. RFC 1035 4.2.1, RFC 3542.

A wake-up drains many datagrams: three times as fast as the stock datagram endpoint of asyncio.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

from edged.dns.counters import DnsCounters
from edged.dns.sinkhole import Pending, Sinkhole
from edged.errors import ConfigError
from edged.pktinfo import IP_PKTINFO, IPV6_RECVPKTINFO, SPACE, ControlMessage, reply_from
from edged.values import Endpoint, parse_address

_DRAIN = 64
"""Datagrams per wake-up: enough to spread its cost, few enough that TCP and timers are not kept waiting."""
_DATAGRAM = 4096
"""Largest query read: we offer 1,232 octets, and 4,096 is what old resolvers assume."""
_BUFFER = 4 << 20
"""Receive buffer: the queue of a second of garbage collection at 20,000 queries a second."""
_SO_RCVBUFFORCE = 33
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
"""An address whose interface is down is one all the same (ip(7))."""

Source = tuple[ControlMessage, ...]
"""What makes a reply leave from the address that the query came to."""
Later = Callable[[Pending, Callable[[bytes], None]], None]
"""Takes over a query that an upstream must answer, and what to call with the reply."""


def bind(endpoint: Endpoint, key: str) -> socket.socket:
    """A UDP socket on ``endpoint``, which nobody has yet. ConfigError when it cannot be had."""
    sock = _unbound(endpoint)
    try:
        sock.bind((str(endpoint.address), endpoint.port))
        # after the bind: another program is refused this port as ever, sockets of our own may join
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        sock.close()
        raise ConfigError.unbound(key, f"{endpoint} (UDP)", error) from None
    return sock


def bind_beside(endpoint: Endpoint) -> socket.socket:
    """One more UDP socket on a port that we hold by ``bind``. OSError when it cannot be had."""
    sock = _unbound(endpoint)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        sock.bind((str(endpoint.address), endpoint.port))
    except OSError:
        sock.close()
        raise
    return sock


def _unbound(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(0)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if endpoint.address.is_unspecified:
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except OSError:
        # without CAP_NET_ADMIN: as much as net.core.rmem_max lets us have
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return sock


class UdpSocket:
    """A bound socket and its part of the event loop."""

    def __init__(self, sock: socket.socket, sinkhole: Sinkhole, refresh: Callable[[], None], later: Later) -> None:
        self.sock = sock
        address, port = sock.getsockname()[:2]
        self.endpoint = Endpoint(parse_address(address), port)
        self._sinkhole = sinkhole
        self._counters: DnsCounters = sinkhole.counters
        self._refresh = refresh
        self._later = later

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer."""
        wildcard = self.endpoint.address.is_unspecified
        loop.add_reader(self.sock, self._drain_wildcard if wildcard else self._drain)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what has come, then no more; whoever bound the socket closes it."""
        if loop.remove_reader(self.sock):
            (self._drain_wildcard if self.endpoint.address.is_unspecified else self._drain)()

    def _drain(self) -> None:
        self._refresh()
        now = time.time()
        receive, answer = self.sock.recvfrom, self._sinkhole.answer
        # the replies leave together: whoever sleeps until they come is woken once and not for each of them
        ready: list[tuple[bytes, Any]] = []
        for _ in range(_DRAIN):
            try:
                octets, peer = receive(_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:
                self._counters.dropped["receive"] += 1
                break
            if not peer[1]:
                self._counters.dropped["port"] += 1
                continue
            reply = answer(octets, peer[0], now)
            if isinstance(reply, bytes):
                ready.append((reply, peer))
            elif reply is not None:
                self._later(reply, self._sender(peer))
        for octets, peer in ready:
            self._send(octets, peer)

    def _drain_wildcard(self) -> None:
        self._refresh()
        now = time.time()
        ready: list[tuple[bytes, Any, Source]] = []
        for _ in range(_DRAIN):
            try:
                octets, ancillary, _flags, peer = self.sock.recvmsg(_DATAGRAM, SPACE)
            except BlockingIOError:
                break
            except OSError:
                self._counters.dropped["receive"] += 1
                break
            if not peer[1]:
                self._counters.dropped["port"] += 1
                continue
            source = reply_from(ancillary)
            reply = self._sinkhole.answer(octets, peer[0], now)
            if isinstance(reply, bytes):
                ready.append((reply, peer, source))
            elif reply is not None:
                self._later(reply, self._sender_from(peer, source))
        for octets, peer, source in ready:
            self._send_from(octets, peer, source)

    def _sender(self, peer: Any) -> Callable[[bytes], None]:
        return lambda reply: self._send(reply, peer)

    def _sender_from(self, peer: Any, source: Source) -> Callable[[bytes], None]:
        return lambda reply: self._send_from(reply, peer, source)

    def _send(self, reply: bytes, peer: Any) -> None:
        try:
            self.sock.sendto(reply, peer)
        except OSError:
            # a full queue or a route that went away: the client asks again
            self._counters.dropped["send"] += 1

    def _send_from(self, reply: bytes, peer: Any, source: Source) -> None:
        try:
            self.sock.sendmsg([reply], source, 0, peer)
        except OSError:
            self._counters.dropped["send"] += 1
