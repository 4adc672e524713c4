"""A UISP console: the calls of its CRM (v1.0) and Network (v2.1) that edged makes, with the traps of real ones.

Written from the vendor's API descriptions, independently of edged: what a call means here is what they say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Object = dict[str, Any]

APP_KEY = "canary-app-key-77"
NETWORK_TOKEN = "canary-network-token-88"

FAULTS = {
    "capped": "no more than three services a page, whatever is asked for",
    "shifting": "after the first page the first service is gone",
    "unordered": "every page is turned another way",
    "ignores-offset": "every page is the first",
    "ignores-filter": "every service, whatever its status",
    "twice": "the last service of a page comes twice",
    "strings": "numbers come as text",
    "html": "an error page of the web server, with status 200",
    "object": "an object where a list belongs",
    "truncated": "the body ends in the middle",
    "slow": "a reply takes longer than anybody waits",
    "huge": "a body that does not end",
    "crm-500": "the CRM fails",
    "network-500": "the Network fails",
    "network-401": "the Network's token was revoked",
    "network-slow": "the Network hangs",
    "no-names": "organisations and reasons cannot be had",
    "no-clients": "single clients cannot be had",
    "loses-one": "the list of suspended services leaves one out",
    "redirect": "302 to somewhere else",
}


@dataclass
class Console:
    """What the console holds."""

    services: list[Object] = field(default_factory=list)
    clients: dict[int, Object] = field(default_factory=dict)
    sites: dict[str, list[Any]] = field(default_factory=dict)
    """Site id to what ``devices/ips`` answers."""
    reasons: dict[int, str] = field(default_factory=dict)
    organizations: dict[int, str] = field(default_factory=dict)

    def add(self, client: int, service: int, *addresses: str, status: int = 3, **more: Any) -> Object:
        """A service with a site of its own, and its client."""
        site = f"00000000-0000-4000-8000-{service:012d}"
        entry: Object = {"id": service, "clientId": client, "status": status, "unmsClientSiteId": site} | more
        self.services.append(entry)
        if entry["unmsClientSiteId"]:
            self.sites.setdefault(entry["unmsClientSiteId"], []).extend(addresses)
        self.clients.setdefault(
            client,
            {
                "id": client, "clientType": 1, "firstName": "Ana", "lastName": f"N. {client}", "companyName": None,
                "organizationId": 1, "organizationName": "North Net", "accountOutstanding": 49.9, "currencyCode": "EUR",
            },
        )  # fmt: skip
        return entry


class UispServer:
    """Serves ``console``, which a test may change at any time; ``url`` is set by ``serve``."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.faults: set[str] = set()
        self.broken_sites: set[str] = set()
        """Sites of which the Network cannot say anything."""
        self.requests: list[str] = []
        self.at_once = self.most_at_once = 0
        self.url = ""
        self._pages = 0

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._gate])
        crm, network = "/crm/api/v1.0", "/nms/api/v2.1"
        application.router.add_get(f"{crm}/clients/services", self._services)
        application.router.add_get(f"{crm}/clients/{{id}}", self._client)
        application.router.add_get(f"{crm}/organizations", self._names)
        application.router.add_get(f"{crm}/service-suspension-reasons", self._names)
        application.router.add_get(f"{network}/devices/ips", self._addresses)
        return application

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        is_crm = request.path.startswith("/crm/")
        header, right = ("X-Auth-App-Key", APP_KEY) if is_crm else ("x-auth-token", NETWORK_TOKEN)
        if request.headers.get(header) != right or ("network-401" in self.faults and not is_crm):
            return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._spoilt(await self._faulty(request, is_crm) or await handler(request))
        finally:
            self.at_once -= 1

    async def _faulty(self, request: web.Request, is_crm: bool) -> web.StreamResponse | None:
        if "slow" in self.faults or ("network-slow" in self.faults and not is_crm):
            await asyncio.sleep(30)
        of_names = request.path.endswith(("organizations", "reasons"))
        of_client = request.path.startswith("/crm/api/v1.0/clients/") and not request.path.endswith("services")
        failing = {"crm-500": is_crm, "network-500": not is_crm, "no-names": of_names, "no-clients": of_client}
        if any(applies for fault, applies in failing.items() if fault in self.faults):
            return web.json_response({"code": 500, "message": "error"}, status=500)
        if "redirect" in self.faults:
            return web.Response(status=302, headers={"Location": "http://192.0.2.1/"})
        if "html" in self.faults:
            return web.Response(text="<html><body>502 Bad Gateway</body></html>", content_type="text/html")
        return web.json_response({"code": 0, "message": "maintenance"}) if "object" in self.faults else None

    def _spoilt(self, response: web.StreamResponse) -> web.StreamResponse:
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            if "truncated" in self.faults:
                response.body = response.body[: len(response.body) // 2]
            if "huge" in self.faults:
                response.body = b" " * 3_000_000 + response.body
        return response

    async def _services(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        found = list(self.console.services)
        statuses = {int(s) for s in query.getall("statuses[]", [])}
        if statuses and "ignores-filter" not in self.faults:
            found = [s for s in found if s["status"] in statuses]
        if "clientId" in query:
            found = [s for s in found if s["clientId"] == int(query["clientId"])]
        if "loses-one" in self.faults and statuses == {3}:
            found = found[1:]
        self._pages += 1
        if "shifting" in self.faults and query.get("offset", "0") != "0":
            found = found[1:]
        if "unordered" in self.faults:
            turn = self._pages * 7 % max(1, len(found))
            found = found[turn:] + found[:turn]
        start = 0 if "ignores-offset" in self.faults else int(query.get("offset", 0))
        limit = int(query.get("limit", 10_000))
        page = found[start : start + (min(limit, 3) if "capped" in self.faults else limit)]
        if "twice" in self.faults and page:
            page = [*page, page[-1]]
        if "strings" in self.faults:
            page = [{k: str(v) if isinstance(v, int) else v for k, v in entry.items()} for entry in page]
        return web.json_response(page)

    async def _client(self, request: web.Request) -> web.StreamResponse:
        found = self.console.clients.get(int(request.match_info["id"]))
        if found is None:
            return web.json_response({"code": 404, "message": "Client not found."}, status=404)
        return web.json_response({k: str(v) if "strings" in self.faults and v else v for k, v in found.items()})

    async def _names(self, request: web.Request) -> web.StreamResponse:
        held = self.console.organizations if request.path.endswith("organizations") else self.console.reasons
        return web.json_response([{"id": number, "name": name} for number, name in held.items()])

    async def _addresses(self, request: web.Request) -> web.StreamResponse:
        site = request.query["siteId"]
        if site in self.broken_sites:
            return web.json_response({"statusCode": 500, "error": "Internal Server Error"}, status=500)
        if site not in self.console.sites:
            return web.json_response({"statusCode": 404, "error": "Not Found"}, status=404)
        await asyncio.sleep(0)
        return web.json_response(self.console.sites[site])


@asynccontextmanager
async def serve(server: UispServer) -> AsyncIterator[UispServer]:
    """``server`` on a port of 127.0.0.1."""
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
