# SPDX-License-Identifier: Apache-2.0
"""The RADIUS server over UDP: sockets in, handlers asked, replies out. I/O; the rules are in pure files.

RFC 2865, RFC 2866, RFC 5080 section 2.2.2, RFC 5997.
"""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from secrets import randbelow
from typing import Any, NamedTuple

import structlog

from edged.errors import ConfigError, WireError
from edged.pktinfo import IP_PKTINFO, IPV6_RECVPKTINFO, SPACE, ControlMessage, reply_from
from edged.radius.admission import ACCOUNTING, AUTHENTICATION, SignedSources, admit
from edged.radius.clients import Arrival, Clients, Source
from edged.radius.counters import Counters, Discard
from edged.radius.duplicates import Duplicates, RequestKey, Standing
from edged.radius.packet import MAX_LENGTH, Answer, Code, Packet
from edged.radius.reply import encode_answer, salts_from
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.values import Endpoint, IpAddress

log = structlog.get_logger(__name__)

Authorize = Callable[[Packet, ClientSettings, IpAddress], Answer | Awaitable[Answer | None] | None]
"""Request (User-Password in clear), client, source -> the answer, at hand or to be awaited; None: silence."""
Account = Callable[[Packet, ClientSettings, IpAddress], Awaitable[bool]]
"""Accounting-Request, client, source -> True once the record is durable."""

DRAINED = 64
"""Datagrams taken at one wake-up: past this the other sockets of the loop have their turn."""
MAX_IN_FLIGHT = 1024
"""Handlers at work at once: thirty access points with their thirty outstanding requests each."""
DEADLINE = 3.0
"""Seconds a handler has: after three a client retransmits, and the retry is a new chance."""
REPORT_EVERY = 10.0
"""Seconds between two reports of discards in the log, however many there are."""
RECEIVE_BUFFER = 1 << 20
"""Octets the kernel may queue: some two thousand requests, a building that comes back after a power cut."""

_ACCEPT, _RECORDED = Answer(Code.ACCESS_ACCEPT), Answer(Code.ACCOUNTING_RESPONSE)


class _Listener:
    """One bound socket and the codes it takes. On a wildcard the address asked comes with each datagram."""

    __slots__ = ("accounting", "codes", "endpoint", "number", "socket", "wildcard")

    def __init__(self, number: int, endpoint: Endpoint, *, accounting: bool) -> None:
        self.number = number
        self.accounting = accounting
        self.codes = ACCOUNTING if accounting else AUTHENTICATION
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


class _Request(NamedTuple):
    """One admitted request on its way to a reply."""

    listener: _Listener
    messages: tuple[ControlMessage, ...]
    peer: tuple[Any, ...]
    key: RequestKey
    packet: Packet
    source: Source


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
        self.counters = Counters()
        self.signed = SignedSources(signed)
        """Keep ``signed.export()`` when ``signed.changed``; give it back as ``signed`` at the next start."""
        self._settings = settings
        self._authorize = authorize
        self._account = account
        self._clock = clock
        self._deadline = deadline
        self._clients = Clients(settings)
        self._duplicates = Duplicates()
        self._salts = salts_from(randbelow(1 << 15))
        self._listeners: list[_Listener] = []
        self._outgoing: list[tuple[_Request, bytes]] = []
        self._tasks: asyncio.TaskGroup | None = None

    async def start(self) -> None:
        """Bind every listener. ConfigError when one cannot be bound; then none is."""
        wanted = [(endpoint, False) for endpoint in self._settings.auth]
        wanted += [(endpoint, True) for endpoint in self._settings.acct]
        try:
            for number, (endpoint, accounting) in enumerate(wanted):
                self._listeners.append(_Listener(number, endpoint, accounting=accounting))
        except ConfigError:
            await self.stop()
            raise
        for role, endpoint in self.endpoints:
            log.info("radius-listening", role=role, endpoint=str(endpoint))

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as self._tasks:
            for listener in self._listeners:
                loop.add_reader(listener.socket, self._drain, listener)
            try:
                while True:
                    await asyncio.sleep(REPORT_EVERY)
                    for reason, times, latest in self.counters.report():
                        log.warning("radius-discards", reason=reason.value, count=times, latest=latest)
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

    def arrivals(self) -> tuple[Arrival, ...]:
        """Sources that no client covers, the latest first."""
        return self._clients.arrivals()

    def _drain(self, listener: _Listener) -> None:
        for _ in range(DRAINED):
            try:
                octets, messages, peer = listener.receive()
            except OSError:  # nothing left, or an ICMP error that belongs to nobody
                return
            try:
                self._arrive(listener, octets, messages, peer)
            except WireError:
                self.counters.discard(Discard.MALFORMED, peer[0])

    def _arrive(
        self, listener: _Listener, octets: bytes, messages: tuple[ControlMessage, ...], peer: tuple[Any, ...]
    ) -> None:
        now = self._clock()
        source = self._clients.find(peer[0], now)
        if source is None:
            return self.counters.discard(Discard.UNKNOWN_CLIENT, peer[0])
        packet = admit(octets, source, listener.codes, self.signed)
        if isinstance(packet, Discard):
            return self.counters.discard(packet, source.client.name)
        key = RequestKey(peer[0], peer[1], packet.identifier, listener.number)
        request = _Request(listener, messages, peer, key, packet, source)
        if packet.code is Code.STATUS_SERVER:  # asks whether we live; there is nothing to remember (RFC 5997)
            self.counters.requests[packet.code] += 1
            return self._reply(request, _RECORDED if listener.accounting else _ACCEPT)
        match self._duplicates.arrive(key, packet.authenticator, now):
            case Standing.NEW:
                self._ask(request)
            case Standing.IN_PROGRESS:
                self.counters.discard(Discard.IN_PROGRESS, source.client.name)
            case bytes(reply):
                self.counters.replayed += 1
                self._transmit(request, reply)
        return None

    def _ask(self, request: _Request) -> None:
        """Put the request to its handler; what must be awaited becomes a task."""
        packet, source = request.packet, request.source
        if self._tasks is None or self.counters.in_flight >= MAX_IN_FLIGHT:
            return self._silence(request, Discard.OVERLOAD)
        self.counters.requests[packet.code] += 1
        ask = self._recorded if request.listener.accounting else self._authorize
        try:
            answer = ask(packet, source.client, source.address)
            if answer is None or isinstance(answer, Answer):
                return self._reply(request, answer)
        except WireError:
            return self._silence(request, Discard.MALFORMED)
        except Exception as error:  # noqa: BLE001  # our own bug costs one request, loudly, not the service
            return self._fault(request, error)
        self.counters.in_flight += 1
        self._tasks.create_task(self._awaited(request, answer), name="radius-request")
        return None

    async def _recorded(self, packet: Packet, client: ClientSettings, source: IpAddress) -> Answer | None:
        """RFC 2866: acknowledged once it is recorded, and not before."""
        return _RECORDED if await self._account(packet, client, source) else None

    async def _awaited(self, request: _Request, answer: Awaitable[Answer | None]) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                given = await answer
            self._reply(request, given)
        except TimeoutError:
            self._silence(request, Discard.DEADLINE)
        except WireError:
            self._silence(request, Discard.MALFORMED)
        except Exception as error:  # noqa: BLE001  # as in _ask
            self._fault(request, error)
        finally:
            self.counters.in_flight -= 1

    def _reply(self, request: _Request, answer: Answer | None) -> None:
        packet = request.packet
        if answer is None:
            return self._silence(request, Discard.NO_ANSWER)
        octets = encode_answer(answer, packet, request.source.client.secret, self._salts)
        if packet.code is not Code.STATUS_SERVER and not self._duplicates.answered(
            request.key, packet.authenticator, octets, self._clock()
        ):
            return self.counters.discard(Discard.SUPERSEDED, request.source.client.name)
        self.counters.answers[answer.code] += 1
        return self._transmit(request, octets)

    def _transmit(self, request: _Request, octets: bytes) -> None:
        """Replies leave together after the requests of one wake-up: a peer is woken once, not for each."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append((request, octets))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for request, octets in outgoing:
            sock = request.listener.socket
            try:
                if request.messages:
                    sock.sendmsg((octets,), request.messages, 0, request.peer)
                else:
                    sock.sendto(octets, request.peer)
            except OSError:  # no route, no room, or closed: the reply is remembered, a retransmission gets it
                self.counters.discard(Discard.UNSENDABLE, request.source.client.name)

    def _silence(self, request: _Request, reason: Discard) -> None:
        self._duplicates.forget(request.key, request.packet.authenticator)
        self.counters.discard(reason, request.source.client.name)

    def _fault(self, request: _Request, error: Exception) -> None:
        """The place and the type, never the message or the variables: they may hold a key."""
        self._silence(request, Discard.FAULT)
        if self.counters.discards[Discard.FAULT] <= 10:  # the first few tell the story; the rest are counted
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("radius-fault", error=type(error).__name__, where=f"{frame.filename}:{frame.lineno}")
