# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 connections of edges in, ``Question`` values out to an answering function, answers back. Touches sockets.

Nobody is heard without a bearer key (RFC 6750). Bounded in connections, octets and seconds; nothing that a client sent
is repeated or logged. RFC 9110, RFC 9112.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from edged.errors import ConfigError
from edged.fdstore import FdStore
from edged.hub import certificate
from edged.hub.answer import LONGEST_WAIT, Answer, Asked, Question, plain
from edged.hub.settings import HubSettings, HubTlsSettings
from edged.values import Endpoint, Secret
from edged.webserver import LIMITS, Crowd, TimedFront, TimedProtocol, body_of, report_fault, unversioned

BODY = 256 * 1024
"""Octets: five hundred events have a third of it."""
_READ_BUFFER = 16 * 1024
_CONNECTIONS = 4096
"""At once; beyond, the one that has asked nothing for longest goes."""
_BACKLOG = 1024
"""A whole fleet comes back in the same second."""
_UNREAD = 256 * 1024 * 1024
"""Octets of answers that are being written; beyond, the answer is "later": whoever does not read takes no memory."""
_LATER_S = 5
_HEAD_S = 10.0
"""Seconds from the connection to a whole header."""
_IDLE_S = 90.0
"""Seconds between two questions on one connection; edges look every half minute."""
_WHOLE_S = 60.0
"""Seconds from the header to the end of the answer, beside what it was asked to wait."""
_HANDSHAKE_S = 10.0
_HANDSHAKES = 512
"""Under way at once; beyond, the oldest goes: one that means it takes a fraction of a second."""
_GOODBYE_S = 1.0
"""Seconds for the other side's part of the end of TLS."""
_EXHAUSTED_S = 0.1
"""Seconds without a descriptor until the next try."""

Answering = Callable[[Question], Awaitable[Answer]]


@dataclass(slots=True)
class Counters:
    """Read at scrape time."""

    answers: dict[tuple[Asked, int], int] = field(default_factory=dict)
    """By what was asked and the status."""
    octets: int = 0
    """Of bodies, as they were sent."""
    cut: int = 0
    """Connections that were too slow, or too many."""
    malformed: int = 0
    faults: int = 0


class _Protocol(TimedProtocol):
    """An edge's connection, which asks again and again."""

    __slots__ = ("front", "owed")

    front: HubFront
    owed: int
    """Octets of the answer that is being written."""

    def owe(self, octets: int) -> None:
        """An answer of so many octets is being written, or (0) none any more."""
        octets = 0 if self.transport is None else octets
        self.front.unread += octets - self.owed
        self.owed = octets

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is written to the client any more."""
        super().connection_lost(exc)
        self.owe(0)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """The answer is written: the next question may take its time."""
        try:
            written = await super().finish_response(request, resp, start_time)
        finally:
            self.owe(0)
        self.crowd.wait(self, _IDLE_S)
        return written


class HubFront(TimedFront):
    """The listening socket, and the edges behind it."""

    def __init__(
        self,
        settings: HubSettings,
        answering: Answering,
        connections: int = _CONNECTIONS,
        handshakes: int = _HANDSHAKES,
    ) -> None:
        crowd = Crowd(connections, _HEAD_S, full=self._cut, slow=self._cut)
        super().__init__(self._answer, crowd, handler_cancellation=True)
        self.keys: tuple[Secret, ...] = settings.keys
        self.counters = Counters()
        self._answering = answering
        self.unread = 0
        """Octets of answers that are being written."""
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes = handshakes
        self._greeted: dict[asyncio.Task[None], None] = {}
        """Handshakes under way, the oldest first."""
        self._tls = None if settings.tls is None else context(settings.tls)
        self.ends = 0.0 if settings.tls is None else _ends(settings.tls)
        """When the certificate in use ends, epoch seconds; 0: there is none."""

    async def open(self, endpoint: Endpoint, fds: FdStore) -> Endpoint:
        """Listen on ``endpoint``; the one that the system chose where its port is 0. ConfigError."""
        try:
            self._listener = fds.listen(endpoint, _BACKLOG)
        except OSError as error:
            raise ConfigError.unbound("hub.listen", endpoint, error) from None
        self._accepting = asyncio.create_task(self._accept(self._listener), name="hub-accept")
        return Endpoint(endpoint.address, self._listener.getsockname()[1])

    async def run(self) -> None:
        """Until nobody else is let in; a fault of ours in that is raised, and does not end it in silence."""
        if self._accepting is not None:
            await asyncio.wait({self._accepting})
            if not self._accepting.cancelled():
                self._accepting.result()

    def reconfigure(self, settings: HubSettings) -> None:
        """Take other bearer keys, and the certificate as it is now. ConfigError: then everything stays."""
        if settings.tls is not None and self._tls is not None:
            context(settings.tls)
            self.ends = _ends(settings.tls)
            self._tls.load_cert_chain(settings.tls.chain, settings.tls.key, password="")
        self.keys = settings.keys

    def refrain(self) -> None:
        """Let nobody else in."""
        if self._accepting is not None:
            self._accepting.cancel()

    async def close(self) -> None:
        """Close the socket and every connection; at once."""
        self.refrain()
        if self._accepting is not None:
            await asyncio.wait({self._accepting})
        for greeting in self._greeted:
            greeting.cancel()
        await super().close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    sock, _ = await loop.sock_accept(listener)
                except OSError:  # no descriptor left, or the peer was gone already
                    await asyncio.sleep(_EXHAUSTED_S)
                    continue
                self._welcome(sock)
                await asyncio.sleep(0)  # a flood does not hold the loop
        finally:
            listener.close()  # not before the loop has let go of its descriptor, which somebody else may have next

    def _welcome(self, sock: socket.socket) -> None:
        if len(self._greeted) >= self._handshakes:
            oldest = next(iter(self._greeted))
            del self._greeted[oldest]
            oldest.cancel()
            self._cut()
        greeting = asyncio.create_task(self._greet(sock), name="hub-handshake")
        self._greeted[greeting] = None
        greeting.add_done_callback(lambda done: self._greeted.pop(done, None))

    async def _greet(self, sock: socket.socket) -> None:
        """TLS, where there is any; afterwards the connection lives by itself."""
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_S if self._tls else None,
                ssl_shutdown_timeout=_GOODBYE_S if self._tls else None,
            )

    def _connection(self) -> _Protocol:
        """What serves the next edge."""
        protocol = self.timed(_Protocol, keepalive_timeout=_IDLE_S, lingering_time=0.5, read_bufsize=_READ_BUFFER)
        protocol.front, protocol.owed = self, 0
        protocol.malformed, protocol.faulty, protocol.error_page = self._malformed, self._faulty, _error_page
        return protocol

    def _cut(self) -> None:
        self.counters.cut += 1

    def _malformed(self) -> None:
        self.counters.malformed += 1

    def _faulty(self, error: BaseException | None) -> None:
        self.counters.faults += 1
        report_fault("hub-fault", error, self.counters.faults)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        if not isinstance(protocol, _Protocol):
            raise ConnectionResetError
        self._crowd.ask(protocol, _WHOLE_S + LONGEST_WAIT)
        question = _question(request)
        answer = await self._judge(request, question)
        octets, coded = await _octets(answer, takes_gzip=question.takes_gzip)
        if octets and self.unread + len(octets) > _UNREAD:
            answer, octets = plain(503, answer.asked, retry_after=_LATER_S), b""
        protocol.owe(len(octets))
        tally = (answer.asked, answer.status)
        self.counters.answers[tally] = self.counters.answers.get(tally, 0) + 1
        return self._written(answer, octets, coded=coded)

    async def _judge(self, request: web.BaseRequest, question: Question) -> Answer:
        if not self._lets_in(request.headers.get("Authorization", "")):
            return plain(401, Asked.REFUSED)
        if len(request.raw_path) > LIMITS["max_line_size"]:
            return plain(414, Asked.REFUSED)
        try:
            body = await body_of(request, BODY)
        except (ConnectionError, web.RequestPayloadError, HttpProcessingError):
            self.counters.malformed += 1
            return plain(400, Asked.REFUSED)
        if body is None:
            return plain(413, Asked.REFUSED)
        return await self._answering(replace(question, body=body) if body else question)

    def _lets_in(self, authorization: str) -> bool:
        scheme, _, said = authorization.partition(" ")
        octets = said.strip().encode("utf-8", "surrogateescape")
        fits = [hmac.compare_digest(octets, key.reveal()) for key in self.keys]
        return scheme.lower() == "bearer" and any(fits)

    def _written(self, answer: Answer, octets: bytes, *, coded: bool) -> web.Response:
        response = unversioned(web.Response(status=answer.status, body=octets, headers=dict(answer.headers)))
        if answer.body is not None:
            response.headers["Content-Type"] = "application/json"
            response.headers["Vary"] = "Accept-Encoding"
            if coded:
                response.headers["Content-Encoding"] = "gzip"
        if answer.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="edged"'
            response.force_close()  # whoever has no key keeps no place
        self.counters.octets += len(octets)
        return response


def context(settings: HubTlsSettings) -> ssl.SSLContext:
    """What the hub shows of itself. ConfigError: the files do not work."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(settings.chain, settings.key, password="")
    except (OSError, ValueError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else "no certificate, or another's key"
        raise ConfigError.of(
            "hub.tls", f"{settings.chain}, {settings.key}: {found}", "PEM files of a certificate and its key"
        ) from None
    return made


def _ends(settings: HubTlsSettings) -> float:
    """When the certificate ends. ConfigError."""
    try:
        return certificate.ends(settings.chain.read_bytes())
    except OSError as error:
        raise ConfigError.of("hub.tls.chain", f"{settings.chain}: {error.strerror}", "a file to read") from None


async def _octets(answer: Answer, *, takes_gzip: bool) -> tuple[bytes, bool]:
    """The body as it goes out, and whether that is with gzip."""
    body = answer.body
    if body is None:
        return b"", False
    coded = body.coded and takes_gzip
    return (body.octets if coded or not body.coded else await asyncio.to_thread(body.plain)), coded


def _question(request: web.BaseRequest) -> Question:
    """What was asked, before its body has come."""
    fields = {name.lower(): value for name, value in request.headers.items()}
    return Question(request.method, request.raw_path, fields)


def _error_page(status: int) -> web.Response:
    response = unversioned(web.Response(status=status, headers={"Cache-Control": "no-store"}))
    response.force_close()
    return response
