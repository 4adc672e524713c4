"""A server that answers as a hub does: signed, compressed, and waiting for a change; with what an enemy does to it.

Revisions are counted, not hashed: an edge makes nothing of what they look like.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from edged.billing import signing
from edged.values import Secret

Object = dict[str, Any]
PRIVATE = Secret(bytes(range(32)))
PUBLIC = signing.public_key(PRIVATE)
BASE = "/edged"


@dataclass
class Answer:
    """What goes over the wire, for ``spoil`` to change."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class SignedServer:
    """Serves ``subscribers`` and ``keys``, which ``change`` replaces."""

    subscribers: list[Object] = field(default_factory=list)
    keys: list[Object] = field(default_factory=list)
    read_at: Callable[[], float] = time.time
    private: Secret = PRIVATE
    waits: bool = True
    down: bool = False
    page: int = 1000
    spoil: Callable[[Answer], None] = lambda _answer: None
    requests: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    reports: list[Object] = field(default_factory=list)
    waiting: int = 0
    """Questions that are kept now."""
    url: str = ""

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self._history: dict[str, dict[str, list[Object]]] = {"subscribers": {}, "keys": {}}
        self._revision = {"subscribers": 0, "keys": 0}
        for kind in self._history:
            self._remember(kind)

    def _remember(self, kind: str) -> None:
        self._history[kind][f"r{self._revision[kind]}"] = list(getattr(self, kind))

    def change(self, kind: str, objects: list[Object]) -> None:
        """Another list, from now on."""
        setattr(self, kind, objects)
        self._revision[kind] += 1
        self._remember(kind)
        self._changed.set()
        self._changed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request below the base."""
        self.requests.append(f"{request.method} {request.path_qs.removeprefix(BASE)}")
        if self.down:
            return web.Response(status=503)
        if request.path == f"{BASE}/report":
            self.reports.append(await request.json())
            return web.Response(status=204)
        kind, _, one = request.path.removeprefix(f"{BASE}/").partition("/")
        answer = self._one(one) if one else await self._list(request, kind)
        path, _, query = request.raw_path.partition("?")
        answer.headers |= {
            signing.DIGEST: signing.digest(answer.body),
            signing.READ_AT: str(int(self.read_at())),
        }
        stated, signature = signing.Signer(self.private).sign(
            path, query, answer.headers.get("ETag", ""), answer.headers[signing.DIGEST],
            read_at=int(self.read_at()), created=int(time.time()),
        )  # fmt: skip
        answer.headers |= {"Signature-Input": stated, "Signature": signature}
        tag = answer.headers.get("ETag", "")
        if answer.status == 200 and tag and request.headers.get("If-None-Match") == tag:
            answer.status, answer.body = 304, b""
        elif "gzip" in request.headers.get("Accept-Encoding", ""):
            answer.headers["Content-Encoding"] = "gzip"
            answer.body = gzip.compress(answer.body, 1)
        self.spoil(answer)
        self.statuses.append(answer.status)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def _one(self, name: str) -> Answer:
        for entry in self.subscribers:
            if entry["id"] == name:
                return Answer(200, json.dumps(entry).encode(), {})
        return Answer(404, json.dumps({"id": name, "state": "unknown"}).encode(), {})

    async def _list(self, request: web.Request, kind: str) -> Answer:
        if kind == "sessions":
            return Answer(404, json.dumps({"list": "sessions", "state": "unknown"}).encode(), {})
        headers: dict[str, str] = {}
        since, prefer = request.query.get("since", ""), request.headers.get("Prefer", "")
        if self.waits and prefer.startswith("wait=") and since == f"r{self._revision[kind]}":
            self.waiting += 1
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(float(prefer.removeprefix("wait="))):
                        await self._changed.wait()
            finally:
                self.waiting -= 1
            headers["Preference-Applied"] = prefer
        revision = f"r{self._revision[kind]}"
        now = self._history[kind][revision]
        headers |= {"ETag": f'W/"{revision}"', "X-Total-Count": str(len(now)), "Content-Type": "application/json"}
        if since:
            was = {entry["id"]: entry for entry in self._history[kind][since]}
            objects = [entry for entry in now if was.get(entry["id"]) != entry]
            removed = sorted(was.keys() - {entry["id"] for entry in now})
            document = {"revision": revision, "total": len(objects), "removed": removed, kind: objects}
        else:
            number = int(request.query.get("page", "1"))
            part = now[(number - 1) * self.page : number * self.page]
            document = {"revision": revision, "total": len(now), kind: part}
            if number * self.page < len(now):
                document["next"] = f"/{kind}?revision={revision}&page={number + 1}"
        return Answer(200, json.dumps(document).encode(), headers)


@asynccontextmanager
async def serve(server: SignedServer) -> AsyncIterator[SignedServer]:
    """``server`` on a port of 127.0.0.1."""
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}{BASE}"
    try:
        yield server
    finally:
        await runner.cleanup()
