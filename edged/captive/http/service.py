# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 connections in, ``Request`` values out to an answering function, responses back. Touches sockets.

One parser, aiohttp's, and one reader of its words serve both ways to an answer: at once, from octets that are one whole
plain request, or through aiohttp's own protocol (docs/decisions/0021).
Nothing that a client sent is repeated in an answer of this file or in a log.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDictProxy

from edged import webserver
from edged.captive.admission import Crowd, Visitor
from edged.captive.answers import Close, Kind, Response, plain
from edged.captive.counters import Counters
from edged.captive.doors.service import PEEK, Unanswered, peer_address
from edged.captive.names import canonical_host
from edged.captive.respond import Request
from edged.captive.steered.service import destination_of
from edged.values import IpAddress

_MAX_FORM = 1024
"""Octets: two tokens."""
_FORM_WAIT = 5.0
"""Seconds for a form that fits one segment."""
KEEP_ALIVE = 10.0
"""Seconds between two requests on the portal's own host."""
FRESH = 10.0
"""Seconds in which a connection is kept for more: a request that began later could meet the end of its life waiting."""
_READ_BUFFER = 2048
"""Octets of a body that are taken before the rest waits in the kernel."""
_END = b"\r\n\r\n"
_BEGINNING = re.compile(rb"[A-Za-z]{1,20}(?: (?:[^\x00-\x08\x0a-\x1f\x7f]++|\r\n)*+\r?)?")
"""What may still become a plain request: a method, no control octet, no bare line feed. Else it is refused at once."""
_PARSED = {name: webserver.LIMITS[name] for name in ("max_line_size", "max_field_size", "max_headers")}
_RENDERED = 256
"""Answers kept as octets: there are a dozen, and a few whose Location differs."""

Finished = tuple[Response, bytes] | Close
Answering = Callable[[Request, IpAddress], Awaitable[Finished]]
Ready = Callable[[Request, IpAddress], Response | Close | None]
"""The same answer without waiting for anything, not counted yet; None: it has to be waited for."""


class _Protocol(webserver.QuietProtocol):
    """A visitor's connection."""

    __slots__ = ("begun", "crowd", "leaving", "visitor")

    begun: float
    """In the loop's seconds."""

    crowd: Crowd
    visitor: Visitor
    leaving: asyncio.Future[None] | None
    """Done when the client has left; only while an answer waits."""

    async def stays(self, seconds: float) -> None:
        """Sleep so long, or until the client has left: nothing is kept for who is not counted any more."""
        if self.transport is None:
            return
        self.leaving = asyncio.get_running_loop().create_future()
        await asyncio.wait({self.leaving}, timeout=seconds)
        self.leaving = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """The answer is written: the visitor may make room for others again."""
        written = await super().finish_response(request, resp, start_time)
        self.crowd.rested(self.visitor)
        return written

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count the visitor out."""
        super().connection_lost(exc)
        self.crowd.left(self.visitor)
        if self.leaving is not None and not self.leaving.done():
            self.leaving.set_result(None)


def report_fault(counters: Counters, error: BaseException | None) -> None:
    """Count a bug of ours."""
    counters.faults += 1
    webserver.report_fault("captive-fault", error, counters.faults)


def _unheard(_source: IpAddress, _destination: IpAddress) -> None:
    """Where nobody listens."""


class HttpFront(web.Server):
    """Makes a protocol for each visitor and turns its requests into values."""

    def __init__(
        self, counters: Counters, crowd: Crowd, host: Callable[[], str], answering: Answering, ready: Ready
    ) -> None:
        super().__init__(self._answer)
        self._counters, self._crowd, self._host = counters, crowd, host
        self._answering, self._ready = answering, ready
        self._loop = asyncio.get_running_loop()
        self._unread = BaseProtocol(self._loop)
        """What the parser would slow down for a body: there is none."""
        self._date = (0, b"")
        """A second since the epoch and how a Date field spells it."""
        self.strange: Callable[[IpAddress, IpAddress], None] = _unheard
        """Told of who spoke no HTTP, and whom they meant to speak to."""

    def protocol(self, visitor: Visitor) -> asyncio.Protocol:
        """The protocol that serves ``visitor`` and counts it out at the end."""
        protocol = _Protocol(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=0.0,
            read_bufsize=_READ_BUFFER,
            **webserver.LIMITS,
        )
        protocol.crowd, protocol.visitor, protocol.leaving = self._crowd, visitor, None
        protocol.begun = self._loop.time()
        protocol.malformed, protocol.faulty = partial(self._malformed, protocol), self._faulty
        protocol.error_page = _error_page
        return protocol

    def at_once(self, octets: bytes, address: IpAddress) -> bytes | Unanswered:
        """The answer to ``octets``, all that a client without TLS has said, where they are one plain request.

        Empty: the connection is closed without a word.
        """
        end = octets.find(_END)
        if end < 0 and len(octets) < PEEK and _BEGINNING.fullmatch(octets):
            return Unanswered.MORE
        message = self._plain(octets) if end == len(octets) - len(_END) else None
        read = None if message is None else _facts(message.method, message.path, message.headers, https=False)
        if message is None or read is None:
            return Unanswered.SEAT
        try:
            answer = self._ready(read, address)
        except Exception:  # noqa: BLE001  # our own bug: aiohttp's protocol meets it again and reports it
            return Unanswered.SEAT
        if isinstance(answer, Close):
            self._counters.dropped[answer.reason] += 1
            return b""
        if answer is None or ("Connection", "close") not in answer.headers:
            return Unanswered.SEAT
        self._counters.answers[answer.kind] += 1
        return self._dated(*_octets(answer, with_body=message.method != "HEAD"))

    def _plain(self, octets: bytes) -> RawRequestMessage | None:
        """The one request that ``octets`` are; None: it has a body, wants the connection for more or is malformed."""
        parser = HttpRequestParser(self._unread, self._loop, _READ_BUFFER, **_PARSED)
        try:
            messages, upgraded, rest = parser.feed_data(octets)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded or rest:
            return None
        message, body = messages[0]
        plain_one = (
            body is EMPTY_PAYLOAD
            and message.method in {"GET", "HEAD"}
            and message.version == HttpVersion11
            and not message.upgrade
        )
        return message if plain_one else None

    def _dated(self, head: bytes, rest: bytes) -> bytes:
        second = int(time.time())
        if second != self._date[0]:
            self._date = second, formatdate(second, usegmt=True).encode("ascii")
        return head + self._date[1] + rest

    def _malformed(self, protocol: _Protocol) -> None:
        self._counters.malformed += 1
        transport = protocol.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        destination = destination_of(transport)
        if destination is not None:
            self.strange(peer_address(transport.get_extra_info("peername")[0]), destination)

    def _faulty(self, error: BaseException | None) -> None:
        report_fault(self._counters, error)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol, transport = request.protocol, request.transport
        if transport is None or not isinstance(protocol, _Protocol):
            raise ConnectionResetError
        self._crowd.served(protocol.visitor)
        address = peer_address(transport.get_extra_info("peername")[0])
        https = transport.get_extra_info("sslcontext") is not None
        read = await self._read(request, None if https else destination_of(transport), https=https)
        if read is None:
            self._malformed(protocol)
            return _written(plain(400, Kind.REFUSED), b"")
        finished = await self._answering(read, address)
        if isinstance(finished, Close):
            self._counters.dropped[finished.reason] += 1
            transport.close()
            return _written(plain(400, Kind.REFUSED), b"")  # never sent: aiohttp finds the transport closed
        response, body = finished
        if response.wait:
            await protocol.stays(response.wait)
        written = _written(response, body)
        if self._loop.time() - protocol.begun > FRESH:
            written.force_close()
        return written

    async def _read(self, request: web.BaseRequest, destination: IpAddress | None, *, https: bool) -> Request | None:
        """As ``_facts``, whom the client meant to reach, and what a small form on our own host says."""
        read = _facts(request.method, request.raw_path, request.headers, https=https)
        if read is None:
            return None
        form = await _form(request) if read.host == self._host() else {}
        return replace(read, form=form, destination=destination)


def _facts(method: str, target: str, fields: CIMultiDictProxy[str], *, https: bool) -> Request | None:
    """The facts of a request's head; None when it names its host twice, in two ways or badly."""
    authority = fields.getall("Host", [""])
    if not target.startswith("/"):
        absolute = _absolute(target)
        if absolute is None:
            return None
        authority, target = [*authority, absolute[0]], absolute[1]
    host = canonical_host(authority[0])
    if host is None or any(canonical_host(field) != host for field in authority[1:]):
        return None
    return Request(
        https=https,
        method=method,
        host=host,
        target=target,
        accept=fields.get("Accept", ""),
        accept_language=fields.get("Accept-Language", ""),
        requested_with=fields.get("X-Requested-With", ""),
        upgrade=fields.get("Upgrade", ""),
        purpose=fields.get("Sec-Purpose", "") or fields.get("Purpose", ""),
        fetch_dest=fields.get("Sec-Fetch-Dest", ""),
        fetch_site=fields.get("Sec-Fetch-Site", ""),
    )


def _absolute(target: str) -> tuple[str, str] | None:
    """(authority, path) of a target in absolute form (RFC 9112 section 3.2.2); None for anything else."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return None
    return parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


async def _form(request: web.BaseRequest) -> dict[str, str]:
    """The fields of a small urlencoded body; empty for any other."""
    length = request.content_length
    if request.method != "POST" or length is None or not 0 < length <= _MAX_FORM:
        return {}
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        async with asyncio.timeout(_FORM_WAIT):
            octets = await request.content.readexactly(length)
        return {name: values[0] for name, values in parse_qs(octets.decode(), max_num_fields=8).items()}
    except (TimeoutError, ValueError, asyncio.IncompleteReadError):
        return {}


def _error_page(status: int) -> web.Response:
    return _written(plain(status, Kind.REFUSED), b"")


@lru_cache(_RENDERED)
def _octets(response: Response, *, with_body: bool) -> tuple[bytes, bytes]:
    """``response`` as aiohttp writes it (tests/loopback/test_captive_doors.py), cut where the date belongs."""
    if not isinstance(response.body, bytes):
        raise TypeError("a page is rendered elsewhere")
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append("Server: edged")
    if response.status != HTTPStatus.NO_CONTENT and (with_body or response.body):
        lines.append(f"Content-Length: {len(response.body)}")
    lines.append("Date: ")
    return "\r\n".join(lines).encode(), _END + (response.body if with_body else b"")


def _written(response: Response, body: bytes) -> web.Response:
    answer = webserver.unversioned(web.Response(status=response.status, body=body, headers=dict(response.headers)))
    if answer.headers.get("Connection") == "close":
        answer.force_close()
    return answer
