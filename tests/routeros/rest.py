"""The REST API of the router that is none: HTTP and HTTPS before the console of ``server``, with the time it takes.

From the vendor's manual "REST API" of October 2026. What one user asks is done one after the other, whatever the
connections; a request that takes ``limit`` seconds is ended, and those of the same user that wait behind it with it.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.routeros.console import Account
from tests.routeros.rest_messages import Request, Response, answer, refused
from tests.routeros.sentences import to_octets
from tests.routeros.server import RouterServer
from tests.routeros.values import Version

SINCE, PLAIN_SINCE = Version(7, 1, 0, 0), Version(7, 9)
LIMIT = 60.0
"""Seconds that a request may take."""
KEPT = 600.0
"""Seconds that a login is kept, with the rights of then."""
CLOSED = refused(400, "Session closed")


class _Login:
    """The web server's own login to the API, for one user."""

    def __init__(self) -> None:
        self.policy, self.until = "", -math.inf
        self.turn = asyncio.Lock()
        self.is_over = False


class RestFront:
    """What listens for HTTP on one router. ``seen`` is each request's method and target, in their order."""

    def __init__(self, router: RouterServer) -> None:
        self.router = router
        self.limit = LIMIT
        self.port = self.ssl_port = 0
        self.seen: list[str] = []
        self.heard = asyncio.Event()
        """Set by every request."""
        self._logins: dict[str, _Login] = {}
        self._runner: web.ServerRunner | None = None

    async def power_on(self) -> None:
        """Listen on two ports of the router's address, one with TLS."""
        self._runner = web.ServerRunner(web.Server(self._answered, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        context = self.router.certificates.context(lambda: "other-certificate" in self.router.faults)
        plain = web.TCPSite(self._runner, self.router.host, self.port)
        secured = web.TCPSite(self._runner, self.router.host, self.ssl_port, ssl_context=context)
        await plain.start()
        await secured.start()
        self.port, self.ssl_port = (address[1] for address in self._runner.addresses)

    async def power_off(self) -> None:
        """Nobody is answered any more."""
        if self._runner is not None:
            await self._runner.cleanup()

    # --- requests ----------------------------------------------------------------------------------

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        version, is_plain = self.router.console.version, request.transport is not None and not request.secure
        if not request.raw_path.startswith("/rest/") or version < (PLAIN_SINCE if is_plain else SINCE):
            return web.Response(status=404, text="<html>stand-in: no such page</html>", content_type="text/html")
        self.seen.append(f"{request.method} {request.raw_path}")
        self.heard.set()
        user, account = self._account(request.headers.get("Authorization", ""))
        if account is None:
            said = _sent(refused(401))
            said.headers["WWW-Authenticate"] = "Basic"
            return said
        asked = Request(
            request.method,
            request.raw_path.removeprefix("/rest"),
            await request.read(),
            is_json=request.content_type == "application/json",
        )
        response = _sent(found := await self._in_turn(self._login(user, account), asked))
        if found.item:
            response.headers["Location"] = f"{request.scheme}://{request.host}/rest{found.item}"
        return response

    def _account(self, header: str) -> tuple[str, Account | None]:
        """Who asks; None: nobody who may."""
        try:
            given = aiohttp.BasicAuth.decode(header, encoding="utf-8")
        except ValueError:
            return "", None
        found = self.router.console.account(given.login)
        is_known = found is not None and hmac.compare_digest(to_octets(found.password), to_octets(given.password))
        return given.login, found if found is not None and is_known and "rest-api" in found.policy.split(",") else None

    def _login(self, user: str, account: Account) -> _Login:
        now, login = self.router.console.now, self._logins.get(user)
        if login is None or login.is_over:
            login = self._logins[user] = _Login()
        if login.until <= now:
            login.policy, login.until = account.policy, now + KEPT
        return login

    async def _in_turn(self, login: _Login, asked: Request) -> Response:
        # nobody tells the router that a client has gone: what it asked for is done all the same
        came = asyncio.get_running_loop().time()
        async with login.turn:
            if login.is_over:
                return CLOSED
            if "api" not in login.policy.split(","):
                return refused(500, "std failure: not allowed (9)")
            found = answer(self.router.console, asked, login.policy)
            try:
                async with asyncio.timeout(self.limit):
                    await self.router.work(self.router.latency.seconds(found.work), came)
                    if found.is_endless:
                        await asyncio.Event().wait()
            except TimeoutError:
                login.is_over = True
                return CLOSED
            return found


def _sent(found: Response) -> web.Response:
    content_type = "application/json" if found.value is not None else None
    return web.Response(status=found.status, body=found.body, content_type=content_type)


@asynccontextmanager
async def serve_rest(router: RouterServer) -> AsyncIterator[RestFront]:
    """REST of ``router``, which need not listen for its API."""
    front = RestFront(router)
    await front.power_on()
    try:
        yield front
    finally:
        await front.power_off()
