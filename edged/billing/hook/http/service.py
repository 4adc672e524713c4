# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 connections in, ``Post`` values out to an answering function, short answers back. Touches sockets.

One request a connection, bounded in octets and seconds. Nothing that a client sent is repeated or logged.
RFC 9110, RFC 9112, RFC 6585 section 4 (429).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from edged.billing.hook.counters import Counters
from edged.billing.webhook import Fault, Post
from edged.errors import ConfigError
from edged.fdstore import FdStore
from edged.values import Endpoint
from edged.webserver import Crowd, TimedFront, TimedProtocol, body_of, report_fault, unversioned

_BODY = 64 * 1024
"""Octets: a post with 1024 subscribers and as many keys has half of it."""
_READ_BUFFER = 16 * 1024
"""Octets of a body that are taken before the rest waits in the kernel."""
_CONNECTIONS = 256
"""At once; beyond, the oldest that has not asked anything yet makes room."""
_BACKLOG = 100
_LINGER = 0.5
"""Seconds for a client to finish sending what we do not read, so that it gets the answer and no reset."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may take, in seconds, whatever trickles in meanwhile."""

    head: float = 5.0
    """Until the header is whole."""
    whole: float = 10.0
    """From there to the end of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status and one line of text."""

    status: int
    text: str
    retry_after: int = 0
    """Seconds; 0: not said."""


Answering = Callable[[Post], Awaitable[Answer]]


class HookFront(TimedFront):
    """The listening socket and the few clients behind it."""

    def __init__(
        self, path: str, answering: Answering, counters: Counters, deadlines: Deadlines, connections: int = _CONNECTIONS
    ) -> None:
        super().__init__(self._answer, Crowd(connections, deadlines.head, full=self._full, slow=self._slow))
        self.path = path
        """Where posts are taken; everything else is 404."""
        self.counters = counters
        self._answering, self._deadlines = answering, deadlines
        self._listener: asyncio.Server | None = None

    async def open(self, endpoint: Endpoint, key: str, fds: FdStore) -> Endpoint:
        """Listen on ``endpoint``; the one that the system chose where its port is 0. ConfigError."""
        try:
            listener = fds.listen(endpoint, _BACKLOG)
            self._listener = await asyncio.get_running_loop().create_server(
                self._connection, sock=listener, backlog=_BACKLOG
            )
        except OSError as error:
            raise ConfigError.unbound(key, endpoint, error) from None
        return Endpoint(endpoint.address, self._listener.sockets[0].getsockname()[1])

    def refrain(self) -> None:
        """Let nobody else in."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def close(self) -> None:
        """Close the socket and every connection; at once."""
        self.refrain()
        await super().close()

    def _connection(self) -> TimedProtocol:
        """What serves the next client."""
        protocol = self.timed(TimedProtocol, keepalive_timeout=0.0, lingering_time=_LINGER, read_bufsize=_READ_BUFFER)
        protocol.malformed, protocol.faulty, protocol.error_page = self._malformed, self._faulty, _error_page
        return protocol

    def _full(self) -> None:
        self.counters.refused[Fault.FULL] += 1

    def _slow(self) -> None:
        self.counters.refused[Fault.SLOW] += 1

    def _malformed(self) -> None:
        self.counters.refused[Fault.MALFORMED] += 1

    def _faulty(self, error: BaseException | None) -> None:
        self.counters.faults += 1
        report_fault("hook-fault", error, self.counters.faults)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        if not isinstance(protocol, TimedProtocol) or request.transport is None:
            raise ConnectionResetError
        self._crowd.ask(protocol, self._deadlines.whole)
        return _written(await self._judge(request))

    async def _judge(self, request: web.BaseRequest) -> Answer:
        if request.raw_path != self.path:
            return self._refused(Fault.NOT_FOUND, Answer(404, "nothing is here"))
        if request.method != "POST":
            return self._refused(Fault.METHOD, Answer(405, "this address takes POST"))
        try:
            body = await _body(request)
        except (ConnectionError, web.RequestPayloadError, HttpProcessingError):
            # gone, or chunks that are none
            return self._refused(Fault.MALFORMED, Answer(400, "the body did not come whole"))
        if body is None:
            return self._refused(Fault.SIZE, Answer(413, f"a body may have {_BODY} octets"))
        fields = {name.lower(): tuple(request.headers.getall(name)) for name in request.headers}
        return await self._answering(Post(body, fields))

    def _refused(self, fault: Fault, answer: Answer) -> Answer:
        self.counters.refused[fault] += 1
        return answer


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body, whole; None for one that is too large."""
    if request.headers.get("Expect", "").lower() == "100-continue" and (request.content_length or 0) <= _BODY:
        # older clients of PHP ask so from a kilobyte on, and wait a second for it
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    return await body_of(request, _BODY)


def _error_page(status: int) -> web.Response:
    return _written(Answer(status, "this is not a request that we can read" if status < 500 else "a fault of ours"))


def _written(answer: Answer) -> web.Response:
    response = unversioned(web.Response(status=answer.status, text=f"{answer.text}\n"))
    response.headers["Cache-Control"] = "no-store"
    if answer.status == 405:
        response.headers["Allow"] = "POST"
    if answer.retry_after:
        response.headers["Retry-After"] = str(answer.retry_after)
    response.force_close()
    return response
