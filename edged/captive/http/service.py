# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 connections in, ``Request`` values out to an answering function, responses back. Touches sockets.

Nothing that a client sent is repeated in an answer of this file or in a log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from edged import webserver
from edged.captive.admission import Crowd, Visitor
from edged.captive.answers import Close, Kind, Response, plain
from edged.captive.counters import Counters
from edged.captive.doors.service import peer_address
from edged.captive.names import canonical_host
from edged.captive.respond import Request
from edged.captive.steered.service import destination_of
from edged.values import IpAddress

_MAX_FORM = 1024
"""Octets: two tokens."""
_FORM_WAIT = 5.0
"""Seconds for a form that fits one segment."""
_KEEP_ALIVE = 10.0
"""Seconds between two requests on the portal's own host."""
_READ_BUFFER = 2048
"""Octets of a body that are taken before the rest waits in the kernel."""

Finished = tuple[Response, bytes] | Close
Answering = Callable[[Request, IpAddress], Awaitable[Finished]]


class _Protocol(webserver.QuietProtocol):
    """A visitor's connection."""

    __slots__ = ("crowd", "visitor")

    crowd: Crowd
    visitor: Visitor

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count the visitor out."""
        super().connection_lost(exc)
        self.crowd.left(self.visitor)


def report_fault(counters: Counters, error: BaseException | None) -> None:
    """Count a bug of ours."""
    counters.faults += 1
    webserver.report_fault("captive-fault", error, counters.faults)


def _unheard(_source: IpAddress, _destination: IpAddress) -> None:
    """Where nobody listens."""


class HttpFront(web.Server):
    """Makes a protocol for each visitor and turns its requests into values."""

    def __init__(self, counters: Counters, crowd: Crowd, host: Callable[[], str], answering: Answering) -> None:
        super().__init__(self._answer)
        self._counters, self._crowd, self._host, self._answering = counters, crowd, host, answering
        self.strange: Callable[[IpAddress, IpAddress], None] = _unheard
        """Told of who spoke no HTTP, and whom they meant to speak to."""

    def protocol(self, visitor: Visitor) -> asyncio.Protocol:
        """The protocol that serves ``visitor`` and counts it out at the end."""
        protocol = _Protocol(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_KEEP_ALIVE,
            lingering_time=0.0,
            read_bufsize=_READ_BUFFER,
            **webserver.LIMITS,
        )
        protocol.crowd, protocol.visitor = self._crowd, visitor
        protocol.malformed, protocol.faulty = partial(self._malformed, protocol), self._faulty
        protocol.error_page = _error_page
        return protocol

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
            await asyncio.sleep(response.wait)
        return _written(response, body)

    async def _read(self, request: web.BaseRequest, destination: IpAddress | None, *, https: bool) -> Request | None:
        """The facts of ``request``; None when it names its host twice, in two ways or badly."""
        fields = request.headers
        authority, target = fields.getall("Host", [""]), request.raw_path
        if not target.startswith("/"):
            absolute = _absolute(target)
            if absolute is None:
                return None
            authority, target = [*authority, absolute[0]], absolute[1]
        hosts = {canonical_host(field) for field in authority}
        host = hosts.pop()
        if hosts or host is None:
            return None
        return Request(
            https=https,
            method=request.method,
            host=host,
            target=target,
            accept=fields.get("Accept", ""),
            accept_language=fields.get("Accept-Language", ""),
            requested_with=fields.get("X-Requested-With", ""),
            upgrade=fields.get("Upgrade", ""),
            purpose=fields.get("Sec-Purpose", "") or fields.get("Purpose", ""),
            fetch_dest=fields.get("Sec-Fetch-Dest", ""),
            fetch_site=fields.get("Sec-Fetch-Site", ""),
            form=await _form(request) if host == self._host() else {},
            destination=destination,
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


def _written(response: Response, body: bytes) -> web.Response:
    answer = webserver.unversioned(web.Response(status=response.status, body=body, headers=dict(response.headers)))
    if answer.headers.get("Connection") == "close":
        answer.force_close()
    return answer
