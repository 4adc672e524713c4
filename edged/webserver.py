# SPDX-License-Identifier: Apache-2.0
"""aiohttp's server without what repeats a client's words: its error page, its log and its version. Touches sockets.

RFC 9110, RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

P = TypeVar("P", bound="TimedProtocol")

log = structlog.get_logger(__name__)

LIMITS: dict[str, Any] = {
    "tcp_keepalive": False,
    "access_log": None,
    # octets of the request line and of a field: what every browser stays below
    "max_line_size": 8190,
    "max_field_size": 8190,
    # header fields: browsers send twenty
    "max_headers": 64,
    "auto_decompress": False,
}
"""What every ``QuietProtocol`` is made with."""


class QuietProtocol(web.RequestHandler):
    """One connection; whoever makes it says what is counted and what an error looks like."""

    __slots__ = ("error_page", "faulty", "malformed")

    malformed: Callable[[], None]
    """Told of what is no HTTP."""
    faulty: Callable[[BaseException | None], None]
    """Told of a bug of ours."""
    error_page: Callable[[int], web.StreamResponse]
    """The answer with a status: 400 for what is no HTTP, 500 for a bug of ours."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes the request
    ) -> web.StreamResponse:
        """Our page in place of aiohttp's."""
        if isinstance(exc, HttpProcessingError):
            self.malformed()
        else:
            self.faulty(exc)
        if request.writer.output_size > 0:
            raise ConnectionResetError
        return self.error_page(status)

    def log_exception(self, *_args: Any, **fields: Any) -> None:
        """Count what aiohttp would log."""
        self.faulty(fields.get("exc_info"))


class Crowd:
    """Who is inside: bounded in number, and each in the seconds that one step may take, whatever trickles in meanwhile.

    ``full`` and ``slow`` are told of each that is cut for that.
    """

    def __init__(self, room: int, head: float, *, full: Callable[[], None], slow: Callable[[], None]) -> None:
        self.head = head
        """Seconds until a header must be whole."""
        self._room, self._full, self.slow = room, full, slow
        self._inside: set[TimedProtocol] = set()
        self._waiting: dict[TimedProtocol, None] = {}
        """Those who ask nothing now, the longest first."""

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, protocol: TimedProtocol) -> None:
        """A client is here; where there is no room, the one that has asked nothing for longest goes, or this one."""
        if len(self._inside) >= self._room:
            oldest = next(iter(self._waiting), protocol)
            self._full()
            self._waiting.pop(oldest, None)
            oldest.cut()
        self._inside.add(protocol)
        self.wait(protocol, self.head)

    def ask(self, protocol: TimedProtocol, seconds: float) -> None:
        """A client has asked, and must have its answer within ``seconds``."""
        self._waiting.pop(protocol, None)
        protocol.deadline(seconds)

    def wait(self, protocol: TimedProtocol, seconds: float) -> None:
        """A client may ask within ``seconds``."""
        if protocol in self._inside:
            self._waiting[protocol] = None
            protocol.deadline(seconds)

    def leave(self, protocol: TimedProtocol) -> None:
        """A client has gone."""
        self._inside.discard(protocol)
        self._waiting.pop(protocol, None)
        protocol.deadline(None)

    def cut(self) -> None:
        """End every connection now."""
        for protocol in tuple(self._inside):
            protocol.cut()


class TimedProtocol(QuietProtocol):
    """A connection of a ``Crowd``."""

    __slots__ = ("crowd", "timer")

    crowd: Crowd
    timer: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the client in, and start the clock."""
        super().connection_made(transport)
        self.crowd.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count the client out."""
        super().connection_lost(exc)
        self.crowd.leave(self)

    def deadline(self, seconds: float | None) -> None:
        """End the connection after ``seconds``, unless it has ended or got another deadline by then."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._late)

    def _late(self) -> None:
        self.crowd.slow()
        self.cut()

    def cut(self) -> None:
        """End the connection now."""
        if self.transport is not None:
            self.transport.abort()


class TimedFront(web.Server):
    """A server with a ``Crowd``. Who makes it listens, and says what a connection is and what is counted."""

    def __init__(self, answering: Callable[[web.BaseRequest], Any], crowd: Crowd, **handling: Any) -> None:
        """``handling``: as in ``web.Server``."""
        super().__init__(answering, **handling)
        self._crowd = crowd

    def timed(self, kind: type[P], **settings: Any) -> P:
        """A connection of ``kind`` in the crowd, within ``LIMITS``; ``settings``: as in ``web.RequestHandler``."""
        protocol = kind(self, loop=asyncio.get_running_loop(), **settings, **LIMITS)
        protocol.crowd, protocol.timer = self._crowd, None
        return protocol

    @property
    def under_way(self) -> int:
        """Clients inside."""
        return len(self._crowd)

    async def close(self) -> None:
        """End every connection; at once."""
        self._crowd.cut()
        await self.shutdown(timeout=0)


async def body_of(request: web.BaseRequest, most: int) -> bytes | None:
    """The body, whole; None for one of more than ``most`` octets. The connection's deadline bounds the wait."""
    if (request.content_length or 0) > most:
        return None
    octets = bytearray()
    async for piece in request.content.iter_any():
        octets += piece
        if len(octets) > most:
            return None
    return bytes(octets)


def report_fault(event: str, error: BaseException | None, count: int) -> None:
    """Log the ``count``-th bug of ours; its type alone, since the text may hold what a client sent."""
    if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood is not a log
        log.error(event, error=type(error).__name__, count=count)


def unversioned(response: web.Response) -> web.Response:
    """``response`` with our name and no version: nothing to look an exploit up by."""
    response.headers["Server"] = "edged"
    return response
