# SPDX-License-Identifier: Apache-2.0
"""RADIUS over UDP: the sockets, and the clients behind them. I/O; what becomes of a request is in ``exchange``.

RFC 2865, RFC 2866, RFC 5997.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable

import structlog

from edged.errors import ConfigError
from edged.fdstore import FdStore
from edged.native.datagrams import Back, receive, send
from edged.pktinfo import IP_PKTINFO, IPV6_RECVPKTINFO
from edged.radius.admission import ACCOUNTING, AUTHENTICATION
from edged.radius.clients import Arrival, Clients
from edged.radius.counters import Counters, Discard
from edged.radius.exchange.service import ALIVE, DEADLINE, RECORDED, Account, Authorize, Exchange, Exchanges
from edged.radius.settings import RadiusSettings
from edged.values import Endpoint, IpAddress

log = structlog.get_logger(__name__)

RECEIVE_BUFFER = 1 << 20
"""Octets the kernel may queue: some two thousand requests, a building that comes back after a power cut."""


class _Listener:
    """One bound socket and the codes it takes. On a wildcard the address asked comes with each datagram."""

    __slots__ = (
        "accounting", "alive", "codes", "counters", "draining", "endpoint", "names", "number", "outgoing",
        "socket", "wildcard",
    )  # fmt: skip

    def __init__(self, number: int, endpoint: Endpoint, counters: Counters, fds: FdStore, *, accounting: bool) -> None:
        self.number = number
        self.accounting = accounting
        self.codes = ACCOUNTING if accounting else AUTHENTICATION
        self.alive = RECORDED if accounting else ALIVE
        self.counters = counters
        self.outgoing: list[tuple[bytes, Back]] = []
        self.names: list[str] = []
        """Whose replies these are."""
        self.draining = False
        self.wildcard = endpoint.address.is_unspecified
        try:
            self.socket = fds.take(socket.SOCK_DGRAM, endpoint) or _bound(endpoint, fds)
        except OSError as error:
            raise ConfigError.unbound("radius.acct" if accounting else "radius.auth", endpoint, error) from None
        _prepare(self.socket, fds, wildcard=self.wildcard)
        fds.keep(self.socket, endpoint)
        self.endpoint = Endpoint(endpoint.address, self.socket.getsockname()[1])

    def send(self, exchange: Exchange, octets: bytes) -> None:
        """Replies leave together after the requests of one wake-up: a peer is woken once, not for each."""
        if not self.outgoing and not self.draining:
            asyncio.get_running_loop().call_soon(self.flush)
        self.outgoing.append((octets, exchange.back))
        self.names.append(exchange.source.client.name)

    def flush(self) -> None:
        """Let them leave. What the kernel does not take is remembered: a retransmission gets it."""
        outgoing, self.outgoing = self.outgoing, []
        names, self.names = self.names, []
        if outgoing and self.socket.fileno() >= 0:
            for index in send(self.socket, outgoing):
                self.counters.discard(Discard.UNSENDABLE, names[index])


def _bound(endpoint: Endpoint, fds: FdStore) -> socket.socket:
    family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _prepare(sock, fds, wildcard=endpoint.address.is_unspecified)
        fds.bind(sock, endpoint)
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket, fds: FdStore, *, wildcard: bool) -> None:
    """Room for what comes while nobody reads, and on a wildcard the address that was asked."""
    fds.widen(sock, RECEIVE_BUFFER)
    if wildcard and sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    elif wildcard:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


class RadiusService:
    """Authentication and accounting listeners, and the handlers they ask."""

    def __init__(
        self,
        settings: RadiusSettings,
        *,
        authorize: Authorize,
        account: Account,
        clock: Callable[[], float] = time.time,
        signed: Iterable[IpAddress] = (),
        deadline: float = DEADLINE,
        fds: FdStore | None = None,
    ) -> None:
        self.exchanges = Exchanges(authorize=authorize, account=account, clock=clock, signed=signed, deadline=deadline)
        """For any other transport, too."""
        self.counters = self.exchanges.counters
        self.signed = self.exchanges.signed
        self._settings = settings
        self._clock = clock
        self._clients = Clients(settings)
        self._fds = fds or FdStore()
        self._listeners: list[_Listener] = []

    async def start(self) -> None:
        """Bind every listener. ConfigError when one cannot be bound; then none is."""
        wanted = [(endpoint, False) for endpoint in self._settings.auth]
        wanted += [(endpoint, True) for endpoint in self._settings.acct]
        try:
            for number, (endpoint, accounting) in enumerate(wanted):
                self._listeners.append(_Listener(number, endpoint, self.counters, self._fds, accounting=accounting))
        except ConfigError:
            await self.stop()
            raise
        for role, endpoint in self.endpoints:
            log.info("radius-listening", role=role, endpoint=str(endpoint))

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        async with self.exchanges.open():
            for listener in self._listeners:
                loop.add_reader(listener.socket, self._drain, listener)
            try:
                await asyncio.Event().wait()
            finally:
                self._release()

    @property
    def under_way(self) -> int:
        """Requests at their handlers, over TLS too."""
        return self.counters.in_flight

    def refrain(self) -> None:
        """Read no new request; those that were read are still answered."""
        self._release()

    async def stop(self) -> None:
        """Close the sockets; clients without an answer retransmit to the next start."""
        self._release()
        for listener in self._listeners:
            listener.socket.close()
        self._listeners.clear()

    def _release(self) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.socket)

    def reconfigure(self, settings: RadiusSettings) -> None:
        """Take the clients of ``settings``; the listeners change at a restart only."""
        self._settings = settings
        self._clients.replace(settings)

    @property
    def endpoints(self) -> tuple[tuple[str, Endpoint], ...]:
        """``auth`` or ``acct`` and where it listens, the port as the kernel gave it."""
        return tuple(("acct" if it.accounting else "auth", it.endpoint) for it in self._listeners)

    @property
    def clients(self) -> Clients:
        """Who may ask, who has, and the strangers; RADIUS over TLS shares it."""
        return self._clients

    def arrivals(self) -> tuple[Arrival, ...]:
        """Sources that no client covers, the latest first."""
        return self._clients.arrivals()

    def _drain(self, listener: _Listener) -> None:
        """Deal with what has come, a batch at most: then the other sockets of the loop have their turn."""
        now, arrive, find = self._clock(), self.exchanges.arrive, self._clients.find
        listener.draining = True
        try:
            for octets, peer, back in receive(listener.socket, listener.wildcard):
                source = find(peer[0], now)
                if source is None:
                    self.counters.discard(Discard.UNKNOWN_CLIENT, peer[0])
                else:
                    arrive(listener, octets, source, peer, back)
        finally:
            listener.draining = False
            listener.flush()
