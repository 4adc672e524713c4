# SPDX-License-Identifier: Apache-2.0
"""From a client's octets to the reply, whichever transport brings them: admitted, asked, answered, counted. I/O.

A transport knows sockets; the client table, duplicates, handlers, deadlines and counters are here. RFC 5080 section
2.2.2, RFC 5997.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from secrets import randbelow
from typing import Any, NamedTuple, Protocol

import structlog

from edged.errors import WireError
from edged.radius.admission import SignedSources, admit
from edged.radius.clients import Source
from edged.radius.counters import Counters, Discard
from edged.radius.duplicates import Duplicates, RequestKey, Standing
from edged.radius.packet import Answer, Code, Packet
from edged.radius.reply import reply_to, salts_from
from edged.radius.rotation import chosen
from edged.radius.settings import ClientSettings
from edged.values import IpAddress

log = structlog.get_logger(__name__)

Authorize = Callable[[Packet, ClientSettings, IpAddress], Answer | Awaitable[Answer | None] | None]
"""Request (User-Password in clear), client, source -> the answer, at hand or to be awaited; None: silence."""
Account = Callable[[Packet, ClientSettings, IpAddress], Awaitable[bool]]
"""Accounting-Request, client, source -> True once the record is durable."""

MAX_IN_FLIGHT = 1024
"""Handlers at work at once: thirty access points with their thirty outstanding requests each."""
DEADLINE = 3.0
"""Seconds a handler has: after three a client retransmits, and the retry is a new chance."""
REPORT_EVERY = 10.0
"""Seconds between two reports of discards in the log, however many there are."""

ALIVE = Answer(Code.ACCESS_ACCEPT)
"""What a Status-Server gets, but on an accounting port."""
RECORDED = Answer(Code.ACCOUNTING_RESPONSE)


class Transport(Protocol):
    """Where requests come to and their replies leave from: a socket, a connection."""

    @property
    def number(self) -> int:
        """Of no other transport: the same identifier elsewhere is another request."""
        ...

    @property
    def codes(self) -> frozenset[Code]:
        """The requests it takes."""
        ...

    @property
    def alive(self) -> Answer:
        """Its answer to Status-Server."""
        ...

    def send(self, exchange: Exchange, octets: bytes) -> None:
        """Let the reply leave."""


class Exchange(NamedTuple):
    """One admitted request on its way to a reply."""

    transport: Transport
    key: RequestKey
    """What tells it from every other request."""
    back: Any
    """How the transport finds the way back; nobody else looks at it."""
    packet: Packet
    source: Source


_new = tuple.__new__


class Exchanges:
    """Every request that is being answered, and the handlers they are put to."""

    def __init__(
        self,
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
        self._authorize = authorize
        self._account = account
        self._clock = clock
        self._deadline = deadline
        self._duplicates = Duplicates()
        self._salts = salts_from(randbelow(1 << 15))
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take requests while the context lasts; what is at work at its end gets no answer."""
        async with asyncio.TaskGroup() as tasks:
            reports = tasks.create_task(self._report(), name="radius-report")
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                reports.cancel()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            for reason, times, latest in self.counters.report():
                log.warning("radius-discards", reason=reason.value, count=times, latest=latest)

    def arrive(self, transport: Transport, octets: bytes, source: Source, peer: Hashable, back: Any) -> Discard | None:
        """Deal with one datagram, or one packet of a stream. A Discard: there will be no reply, it is counted."""
        try:
            if source.before is not None:
                source = chosen(octets, source)
            packet = admit(octets, source, transport.codes, self.signed)
        except WireError:
            packet = Discard.MALFORMED
        except Exception as error:  # noqa: BLE001  # as in _ask: the others of its batch are dealt with
            packet = self._fault(error)
        if isinstance(packet, Discard):
            self.counters.discard(packet, source.client.name)
            return packet
        key = (transport.number, peer, packet.identifier)
        # tuple.__new__ spares the call that a NamedTuple makes of itself
        exchange = _new(Exchange, (transport, key, back, packet, source))
        if packet.code is Code.STATUS_SERVER:  # asks whether we live; there is nothing to remember (RFC 5997)
            self.counters.requests[packet.code] += 1
            try:
                self._send(exchange, transport.alive, reply_to(packet, transport.alive, source.shared, self._salts))
            except ValueError:  # its Proxy-State, of a longer packet than a reply may be
                return self._silence(exchange, Discard.UNSENDABLE)
            return None
        now = self._clock()
        standing = self._duplicates.standing(key, packet.authenticator, now)
        if standing is Standing.NEW:
            return self._ask(exchange, now)
        if isinstance(standing, bytes):
            self.counters.replayed += 1
            transport.send(exchange, standing)
            return None
        self.counters.discard(Discard.IN_PROGRESS, source.client.name)
        return Discard.IN_PROGRESS

    def _ask(self, exchange: Exchange, now: float) -> Discard | None:
        """Put the request to its handler; what must be awaited becomes a task."""
        _, key, _, packet, source = exchange
        if self._tasks is None or self.counters.in_flight >= MAX_IN_FLIGHT:
            return self._silence(exchange, Discard.OVERLOAD)
        self.counters.requests[packet.code] += 1
        ask = self._recorded if packet.code is Code.ACCOUNTING_REQUEST else self._authorize
        try:
            answer = ask(packet, source.client, source.address)
            if isinstance(answer, Answer):
                octets = reply_to(packet, answer, source.shared, self._salts)
                self._duplicates.keep(key, packet.authenticator, octets, now)
                self._send(exchange, answer, octets)
                return None
        except WireError:
            return self._silence(exchange, Discard.MALFORMED)
        except Exception as error:  # noqa: BLE001  # our own bug costs one request, loudly, not the service
            return self._silence(exchange, self._fault(error))
        if answer is None:
            return self._silence(exchange, Discard.NO_ANSWER)
        self._duplicates.begin(key, packet.authenticator, now)
        self.counters.in_flight += 1
        self._tasks.create_task(self._awaited(exchange, answer), name="radius-request")
        return None

    async def _recorded(self, packet: Packet, client: ClientSettings, source: IpAddress) -> Answer | None:
        """RFC 2866: acknowledged once it is recorded, and not before."""
        return RECORDED if await self._account(packet, client, source) else None

    async def _awaited(self, exchange: Exchange, answer: Awaitable[Answer | None]) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                given = await answer
            self._reply(exchange, given)
        except TimeoutError:
            self._silence(exchange, Discard.DEADLINE)
        except WireError:
            self._silence(exchange, Discard.MALFORMED)
        except Exception as error:  # noqa: BLE001  # as in _ask
            self._silence(exchange, self._fault(error))
        finally:
            self.counters.in_flight -= 1

    def _reply(self, exchange: Exchange, answer: Answer | None) -> Discard | None:
        """What was awaited is here."""
        packet = exchange.packet
        if answer is None:
            return self._silence(exchange, Discard.NO_ANSWER)
        octets = reply_to(packet, answer, exchange.source.shared, self._salts)
        if not self._duplicates.answered(exchange.key, packet.authenticator, octets, self._clock()):
            self.counters.discard(Discard.SUPERSEDED, exchange.source.client.name)
            return Discard.SUPERSEDED
        self._send(exchange, answer, octets)
        return None

    def _send(self, exchange: Exchange, answer: Answer, octets: bytes) -> None:
        self.counters.answers[answer.code] += 1
        exchange.transport.send(exchange, octets)

    def _silence(self, exchange: Exchange, reason: Discard) -> Discard:
        self._duplicates.forget(exchange.key, exchange.packet.authenticator)
        self.counters.discard(reason, exchange.source.client.name)
        return reason

    def _fault(self, error: Exception) -> Discard:
        """The place and the type, never the message or the variables: they may hold a key."""
        if self.counters.discards[Discard.FAULT] < 10:  # the first few tell the story; the rest are counted
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("radius-fault", error=type(error).__name__, where=f"{frame.filename}:{frame.lineno}")
        return Discard.FAULT
