# SPDX-License-Identifier: Apache-2.0
"""The UDP sockets: datagrams in, replies out from the address that was asked. I/O. RFC 1035 4.2.1, RFC 3542.

What edged/native does not answer by itself comes to the event loop, many datagrams at a wake-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import structlog

from edged.dns.sinkhole import Pending, Sinkhole
from edged.errors import ConfigError
from edged.fdstore import FdStore, free
from edged.native.datagrams import BATCH, WAITING, Datagrams, Source
from edged.pktinfo import IP_PKTINFO, IPV6_RECVPKTINFO
from edged.values import Endpoint, parse_address

_BUFFER = 4 << 20
"""Receive buffer: the queue of a second of garbage collection at 20,000 queries a second."""
_DISCARD = 9

log = structlog.get_logger(__name__)

Later = Callable[[Pending, Callable[[bytes], None]], None]
"""Takes over a query that an upstream must answer, and what to call with the reply."""


def bind(endpoint: Endpoint, key: str, fds: FdStore) -> socket.socket:
    """A UDP socket on ``endpoint``: the one in ``fds``, or one that nobody has yet. ConfigError: it cannot be had."""
    left = fds.take(socket.SOCK_DGRAM, endpoint)
    sock = left or _unbound(endpoint, fds)
    try:
        if left is None:
            fds.bind(sock, endpoint)
        else:
            _prepare(sock, endpoint, fds)
        # after the bind: another program is refused this port as ever, sockets of our own may join
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        sock.close()
        raise ConfigError.unbound(key, f"{endpoint} (UDP)", error) from None
    fds.keep(sock, endpoint)
    return sock


def bind_beside(endpoint: Endpoint, fds: FdStore) -> socket.socket:
    """One more UDP socket on a port that we hold by ``bind``. OSError when it cannot be had."""
    sock = _unbound(endpoint, fds)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        free(sock)  # an address whose interface is down is one all the same
        sock.bind((str(endpoint.address), endpoint.port))
    except OSError:
        sock.close()
        raise
    return sock


def _unbound(endpoint: Endpoint, fds: FdStore) -> socket.socket:
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(0)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    _prepare(sock, endpoint, fds)
    return sock


def _prepare(sock: socket.socket, endpoint: Endpoint, fds: FdStore) -> None:
    """The options that a bound socket takes as well."""
    if endpoint.address.is_unspecified:
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    fds.widen(sock, _BUFFER)


def _turn_away(sock: socket.socket) -> None:
    """What comes to the address of ``sock`` from now on is the wildcard's; what has come already stays in its queue.

    A connected socket gets its peer's datagrams alone (udp(7)), and nobody sends from our own discard port (RFC 863).
    """
    address, port = sock.getsockname()[:2]
    if port != _DISCARD and not parse_address(address).is_unspecified:
        with contextlib.suppress(OSError):  # the address has gone, and nothing comes to it
            sock.connect((address, _DISCARD))


class UdpSockets:
    """The bound sockets of the room and their part of the event loop."""

    def __init__(
        self,
        datagrams: Datagrams,
        workers: int,
        sinkhole: Sinkhole,
        refresh: Callable[[], None],
        later: Later,
        *,
        fds: FdStore | None = None,
    ) -> None:
        self._datagrams, self._workers, self._fds = datagrams, workers, fds or FdStore()
        self._sinkhole = sinkhole
        self._refresh = refresh
        self._later = later
        self._by_fd: dict[int, socket.socket] = {}
        self._more: dict[socket.socket, list[socket.socket]] = {}
        """The sockets of the second worker on, beside the first's."""
        self._stopped = self._refrained = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer what the workers leave."""
        loop.add_reader(self._datagrams.fileno(), self._drain)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer no more."""
        if not self._stopped:
            self._stopped = True
            loop.remove_reader(self._datagrams.fileno())
            self._datagrams.stop()

    def opened(self, sock: socket.socket) -> None:
        """Answer on ``sock``, and on a socket beside it for each further worker."""
        address, port = sock.getsockname()[:2]
        endpoint = Endpoint(parse_address(address), port)
        self._more[sock] = []
        self._attach(sock, endpoint, 0)
        for worker in range(1, self._workers):
            try:
                self._more[sock].append(self._beside(sock, endpoint))
            except OSError as error:
                log.warning("dns-worker-without-socket", endpoint=str(endpoint), error=type(error).__name__)
                break
            self._attach(self._more[sock][-1], endpoint, worker)

    def _beside(self, sock: socket.socket, endpoint: Endpoint) -> socket.socket:
        """One more socket beside ``sock``; where that outlives us, so does this: the kernel counts on both."""
        if not self._fds.holds(sock):
            return bind_beside(endpoint, self._fds)
        left = self._fds.take(socket.SOCK_DGRAM, endpoint)
        if left is not None:
            _prepare(left, endpoint, self._fds)
            return left
        beside = bind_beside(endpoint, self._fds)
        self._fds.keep(beside, endpoint)
        return beside

    def _attach(self, sock: socket.socket, endpoint: Endpoint, worker: int) -> None:
        self._by_fd[sock.fileno()] = sock
        self._datagrams.attach(sock, endpoint.address.is_unspecified, worker)

    def closed(self, sock: socket.socket) -> None:
        """Answer what has come to ``sock``, then no more; whoever bound it closes it."""
        if sock not in self._more:
            return
        more = self._more.pop(sock)
        if not self._refrained:
            self._detach(sock, *more)
        for each in (sock, *more):
            del self._by_fd[each.fileno()]
        for each in more:
            each.close()

    def refrain(self) -> None:
        """Answer what has come, then read no more; replies still leave by every socket until it is ``closed``."""
        if not self._refrained:
            self._refrained = True
            self._detach(*(each for sock, more in self._more.items() for each in (sock, *more)))

    def _detach(self, *sockets: socket.socket) -> None:
        for each in sockets:
            if not self._fds.holds(each):
                _turn_away(each)
            self._datagrams.detach(each)
        # all that came to them waits among the first; others may come without end
        for _ in range(WAITING // BATCH + 1):
            if not self._drain():
                break

    def _drain(self) -> bool:
        """Answer a batch of what waits; False: nothing did."""
        self._refresh()
        now, answer = time.time(), self._sinkhole.answer
        # the replies leave together: whoever sleeps until they come is woken once and not for each of them
        ready: list[tuple[socket.socket, bytes, Any, Source]] = []
        taken = self._datagrams.take()
        begun = time.perf_counter() - self._datagrams.waited()
        for fd, octets, peer, source in taken:
            sock = self._by_fd[fd]
            reply = answer(octets, peer[0], now)
            if isinstance(reply, bytes):
                ready.append((sock, reply, peer, source))
            elif reply is not None:
                self._later(reply, self._sender(sock, peer, source))
        for sock, octets, peer, source in ready:
            self._send(sock, octets, peer, source)
        if ready:
            self._sinkhole.counters.note_took(time.perf_counter() - begun, len(ready))
        return bool(taken)

    def _sender(self, sock: socket.socket, peer: Any, source: Source) -> Callable[[bytes], None]:
        return lambda reply: self._send(sock, reply, peer, source)

    def _send(self, sock: socket.socket, reply: bytes, peer: Any, source: Source) -> None:
        try:
            if source:
                sock.sendmsg([reply], source, 0, peer)
            else:
                sock.sendto(reply, peer)
        except OSError:
            # a full queue or a route that went away: the client asks again
            self._sinkhole.counters.dropped["send"] += 1
