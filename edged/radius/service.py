# SPDX-License-Identifier: Apache-2.0
"""RADIUS over UDP: the sockets, and the clients behind them. I/O; what becomes of a request is in ``exchange``.

RFC 2865, RFC 2866, RFC 5997.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from edged.errors import ConfigError
from edged.pktinfo import IP_PKTINFO, IPV6_RECVPKTINFO, SPACE, ControlMessage, reply_from
from edged.radius.admission import ACCOUNTING, AUTHENTICATION
from edged.radius.clients import Arrival, Clients
from edged.radius.counters import Counters, Discard
from edged.radius.exchange.service import ALIVE, DEADLINE, RECORDED, Account, Authorize, Exchange, Exchanges
from edged.radius.packet import MAX_LENGTH
from edged.radius.settings import RadiusSettings
from edged.values import Endpoint, IpAddress

log = structlog.get_logger(__name__)

DRAINED = 64
"""Datagrams taken at one wake-up: past this the other sockets of the loop have their turn."""
RECEIVE_BUFFER = 1 << 20
"""Octets the kernel may queue: some two thousand requests, a building that comes back after a power cut."""


class _Listener:
    """One bound socket and the codes it takes. On a wildcard the address asked comes with each datagram."""

    __slots__ = (
        "accounting",
        "alive",
        "codes",
        "counters",
        "endpoint",
        "longest",
        "number",
        "outgoing",
        "socket",
        "wildcard",
    )

    def __init__(self, number: int, endpoint: Endpoint, counters: Counters, *, accounting: bool) -> None:
        self.number = number
        self.accounting = accounting
        self.codes = ACCOUNTING if accounting else AUTHENTICATION
        self.longest = MAX_LENGTH
        self.alive = RECORDED if accounting else ALIVE
        self.counters = counters
        self.outgoing: list[tuple[Exchange, bytes]] = []
        self.wildcard = endpoint.address.is_unspecified
        ipv6 = endpoint.address.version == 6
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if ipv6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if self.wildcard and ipv6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        elif self.wildcard:
            self.socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        try:
            self.socket.bind((str(endpoint.address), endpoint.port))
        except OSError as error:
            self.socket.close()
            raise ConfigError.unbound("radius.acct" if accounting else "radius.auth", endpoint, error) from None
        self.endpoint = Endpoint(endpoint.address, self.socket.getsockname()[1])

    def receive(self) -> tuple[bytes, tuple[ControlMessage, ...], tuple[Any, ...]]:
        """Octets, control messages for the reply, the peer. A longer datagram is cut: the rest is padding."""
        if self.wildcard:
            octets, messages, _, peer = self.socket.recvmsg(MAX_LENGTH, SPACE)
            return octets, reply_from(messages), peer
        octets, peer = self.socket.recvfrom(MAX_LENGTH)
        return octets, (), peer

    def send(self, exchange: Exchange, octets: bytes) -> None:
        """Replies leave together after the requests of one wake-up: a peer is woken once, not for each."""
        if not self.outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self.outgoing.append((exchange, octets))

    def _flush(self) -> None:
        outgoing, self.outgoing = self.outgoing, []
        for exchange, octets in outgoing:
            peer, messages = exchange.back
            try:
                if messages:
                    self.socket.sendmsg((octets,), messages, 0, peer)
                else:
                    self.socket.sendto(octets, peer)
            except OSError:  # no route, no room, or closed: the reply is remembered, a retransmission gets it
                self.counters.discard(Discard.UNSENDABLE, exchange.source.client.name)


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
    ) -> None:
        self.exchanges = Exchanges(authorize=authorize, account=account, clock=clock, signed=signed, deadline=deadline)
        """For any other transport, too."""
        self.counters = self.exchanges.counters
        self.signed = self.exchanges.signed
        self._settings = settings
        self._clock = clock
        self._clients = Clients(settings)
        self._listeners: list[_Listener] = []

    async def start(self) -> None:
        """Bind every listener. ConfigError when one cannot be bound; then none is."""
        wanted = [(endpoint, False) for endpoint in self._settings.auth]
        wanted += [(endpoint, True) for endpoint in self._settings.acct]
        try:
            for number, (endpoint, accounting) in enumerate(wanted):
                self._listeners.append(_Listener(number, endpoint, self.counters, accounting=accounting))
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
        for _ in range(DRAINED):
            try:
                octets, messages, peer = listener.receive()
            except OSError:  # nothing left, or an ICMP error that belongs to nobody
                return
            source = self._clients.find(peer[0], self._clock())
            if source is None:
                self.counters.discard(Discard.UNKNOWN_CLIENT, peer[0])
            else:
                self.exchanges.arrive(listener, octets, source, peer, (peer, messages))
