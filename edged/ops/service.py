# SPDX-License-Identifier: Apache-2.0
"""The ops address over HTTP: /metrics, /healthz, /status, and the dashboard where there is one. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from edged.errors import ConfigError
from edged.ops.dashboard.service import Dashboard
from edged.ops.metrics import Exposition
from edged.values import Endpoint

log = structlog.get_logger(__name__)

_FORM_OCTETS = 4096
"""What a log-in may weigh; nothing else is sent here."""


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
    ) -> None:
        self._listen = listen
        self._exposition = exposition
        self._healthy = healthy
        self._status = status
        self._dashboard = dashboard
        self._runner: web.AppRunner | None = None
        self.endpoint: Endpoint | None = None
        """Where it listens; with port 0, the port that was given."""

    async def start(self) -> None:
        """Listen, if there is an address to listen on. ConfigError when it cannot be had."""
        if self._listen is None:
            return
        gates = [self._dashboard.gate(self._listen)] if self._dashboard is not None else []
        application = web.Application(middlewares=[_faults, *gates], client_max_size=_FORM_OCTETS)
        application.router.add_routes(self._dashboard.routes() if self._dashboard is not None else ())
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/healthz", self._serve_health)
        application.router.add_get("/status", self._serve_status)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, str(self._listen.address), self._listen.port)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise ConfigError.unbound("ops.listen", self._listen, error) from None
        port = self._runner.addresses[0][1]
        self.endpoint = Endpoint(self._listen.address, port)

    async def stop(self) -> None:
        """Close; scrapes under way are cut."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        # in a thread: with 100,000 subscribers the census takes a tenth of a second
        body = await asyncio.to_thread(self._exposition.render)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _serve_health(self, _request: web.Request) -> web.Response:
        # fails only when a restart would help; billing being away is not that
        healthy = self._healthy()
        return web.Response(text="ok\n" if healthy else "a room has stopped\n", status=200 if healthy else 503)

    async def _serve_status(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._status())
