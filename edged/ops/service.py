# SPDX-License-Identifier: Apache-2.0
"""The ops address over HTTP: /metrics, /healthz, /status, and the dashboard where there is one. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from edged.errors import ConfigError
from edged.ops.dashboard.service import Dashboard
from edged.ops.metrics import Exposition
from edged.values import Endpoint
from edged.webserver import LIMITS, Crowd, TimedProtocol, report_fault, unversioned

log = structlog.get_logger(__name__)

_FORM_OCTETS = 4096
"""What a log-in may weigh; nothing else is sent here."""
_ROOM = 128
"""Connections at once: a browser has six, and few look."""
_BACKLOG = 128
_READ_BUFFER = 16 * 1024
_RENDERED_AT_ONCE = 2
"""Scrapes: the threads that they take are those that enforcement computes in."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may take, in seconds."""

    head: float = 10.0
    """Until its first header is whole."""
    whole: float = 300.0
    """From there until the answer is taken: a list of 100,000 rows through a slow tunnel."""
    idle: float = 75.0
    """Between two requests: a screen looks again every five seconds, Prometheus every minute."""


@web.middleware
async def _faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A bug of ours is heard of: aiohttp's own log of it is kept silent, since it quotes requests."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception:
        log.exception("ops-fault", path=request.path)
        return web.Response(status=500)


class _Protocol(TimedProtocol):
    """A connection of a monitor or a browser, which asks again and again."""

    __slots__ = ("clocks",)

    clocks: Deadlines

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send ``resp``; then the client may ask something else."""
        sent = await super().finish_response(request, resp, start_time)
        self.crowd.wait(self, self.clocks.idle)
        return sent


class OpsService:
    """Serves what a monitor reads; it only reads."""

    def __init__(
        self,
        listen: Endpoint | None,
        *,
        exposition: Exposition,
        healthy: Callable[[], bool],
        status: Callable[[], Awaitable[dict[str, Any]]],
        dashboard: Dashboard | None = None,
        clocks: Deadlines | None = None,
        room: int = _ROOM,
    ) -> None:
        self._listen = listen
        self._exposition = exposition
        self._healthy = healthy
        self._status = status
        self._dashboard = dashboard
        self._clocks = clocks or Deadlines()
        self._rendering = asyncio.Semaphore(_RENDERED_AT_ONCE)
        self._crowd = Crowd(room, self._clocks.head, full=lambda: None, slow=lambda: None)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._faults = 0
        self.endpoint: Endpoint | None = None
        """Where it listens; with port 0, the port that was given."""

    async def start(self) -> None:
        """Listen, if there is an address to listen on. ConfigError when it cannot be had."""
        if self._listen is None:
            return
        gates = [self._dashboard.gate(self._listen)] if self._dashboard is not None else []
        application = web.Application(middlewares=[self._clocked, _faults, *gates], client_max_size=_FORM_OCTETS)
        application.router.add_routes(self._dashboard.routes() if self._dashboard is not None else ())
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/healthz", self._serve_health)
        application.router.add_get("/status", self._serve_status)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._protocol, str(self._listen.address), self._listen.port, backlog=_BACKLOG, reuse_address=True
            )
        except OSError as error:
            await self.stop()
            raise ConfigError.unbound("ops.listen", self._listen, error) from None
        port = self._listener.sockets[0].getsockname()[1]
        self.endpoint = Endpoint(self._listen.address, port)

    def _protocol(self) -> asyncio.Protocol:
        assert self._runner is not None  # noqa: S101  # it is set up before anybody can come
        server = self._runner.server
        assert server is not None  # noqa: S101  # as above
        protocol = _Protocol(
            server, loop=asyncio.get_running_loop(), keepalive_timeout=self._clocks.idle, lingering_time=0.5,
            read_bufsize=_READ_BUFFER, **LIMITS,
        )  # fmt: skip
        protocol.crowd, protocol.timer, protocol.clocks = self._crowd, None, self._clocks
        protocol.malformed, protocol.faulty, protocol.error_page = lambda: None, self._faulty, _error_page
        return protocol

    def _faulty(self, error: BaseException | None) -> None:
        self._faults += 1
        report_fault("ops-fault", error, self._faults)

    @web.middleware
    async def _clocked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, TimedProtocol):
            # a log-in is a few octets: who trickles one in keeps nobody's place for long
            self._crowd.ask(request.protocol, self._clocks.head if request.can_read_body else self._clocks.whole)
        return await handler(request)

    async def stop(self) -> None:
        """Close; scrapes under way are cut."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._crowd.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        # in a thread: with 100,000 subscribers the census takes a tenth of a second
        async with self._rendering:
            body = await asyncio.to_thread(self._exposition.render)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _serve_health(self, _request: web.Request) -> web.Response:
        # fails only when a restart would help; billing being away is not that
        healthy = self._healthy()
        return web.Response(text="ok\n" if healthy else "a room has stopped\n", status=200 if healthy else 503)

    async def _serve_status(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._status())


def _error_page(status: int) -> web.Response:
    said = "this is not a request that we can read\n" if status < 500 else "a fault of ours\n"
    response = unversioned(web.Response(status=status, text=said))
    response.force_close()
    return response
