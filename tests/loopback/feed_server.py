"""A billing system that serves docs/feed.md, with the faults that real ones have.

As a program: ``python tests/loopback/feed_server.py --port 8080 --file subscribers.json``; the file is read
again for every request: ``{"subscribers": [...], "keys": [...], "known": 4120, "active": ["1003"]}``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

Object = dict[str, Any]

FAULTS = {
    "wrong-total": "total is one more than there are",
    "changing-revision": "every page bears another revision",
    "truncated": "the body ends in the middle",
    "slow": "a reply takes longer than anybody waits",
    "wrong-type": "an amount is a number",
    "error": "500",
    "no-since": "since is ignored: the whole list comes",
    "no-etag": "no entity tags",
    "no-one": "single subscribers are not offered",
    "gone": "410 for any since",
    "redirect": "302 to somewhere else",
    "endless": "next leads back to the first page",
    "foreign": "next leads to another server",
    "wrong-head": "HEAD counts one more",
    "huge": "a body that does not end",
    "duplicate": "the last object comes twice",
}


@dataclass
class Feed:
    """What the billing system holds."""

    subscribers: list[Object] = field(default_factory=list)
    keys: list[Object] | None = None
    known: int | None = None
    active: set[str] = field(default_factory=set)
    """Ids that are answered with ``active`` although no list has them."""


class FeedServer:
    """Serves ``feed``, which a test may change at any time; ``url`` is set by ``serve``."""

    def __init__(
        self,
        feed: Feed | Callable[[], Feed],
        *,
        token: str = "",
        page_size: int = 1000,
        prefix: str = "",
    ) -> None:
        self.feed = feed
        self.token = token
        self.page_size = page_size
        self.prefix = prefix
        self.faults: set[str] = set()
        self.requests: list[str] = []
        self.url = ""
        self._history: dict[str, dict[str, dict[str, Object]]] = {"subscribers": {}, "keys": {}}
        self._hits = 0

    def application(self) -> web.Application:
        application = web.Application()
        for kind in ("subscribers", "keys"):
            application.router.add_get(f"{self.prefix}/{kind}", self._list)
        application.router.add_get(f"{self.prefix}/subscribers/{{id}}", self._one)
        return application

    def _now(self) -> Feed:
        return self.feed if isinstance(self.feed, Feed) else self.feed()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rpartition("/")[2]
        self.requests.append(f"{request.method} {request.path_qs.removeprefix(self.prefix)}")
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        feed = self._now()
        objects = feed.subscribers if kind == "subscribers" else feed.keys
        if objects is None:
            return web.Response(status=404)
        objects = [dict(entry) for entry in objects]
        revision = _revision(objects)
        current = {str(entry.get("id")): entry for entry in objects}
        self._history[kind][revision] = current
        count = len(objects) + ("wrong-head" in self.faults)
        etag = "" if "no-etag" in self.faults else f'"{revision}-{feed.known}-{request.query_string}"'
        headers = {"X-Total-Count": str(count)} | ({"ETag": etag} if etag else {})
        if request.method == "HEAD":
            return web.Response(headers=headers)
        if etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        removed: list[str] | None = None
        if "since" in request.query and "no-since" not in self.faults:
            before = self._history[kind].get(request.query["since"])
            if before is None or "gone" in self.faults:
                return web.Response(status=410)
            removed = [name for name in before if name not in current]
            objects = [entry for name, entry in current.items() if before.get(name) != entry]
        return self._page(
            request, kind, objects=objects, removed=removed, revision=revision, feed=feed, headers=headers
        )

    def _page(
        self,
        request: web.Request,
        kind: str,
        *,
        objects: list[Object],
        removed: list[str] | None,
        revision: str,
        feed: Feed,
        headers: dict[str, str],
    ) -> web.Response:
        page = int(request.query.get("page", "1"))
        start = (page - 1) * self.page_size
        self._hits += 1
        document: Object = {
            "revision": f"{revision}-{self._hits}" if "changing-revision" in self.faults else revision,
            "total": len(objects) + ("wrong-total" in self.faults),
            kind: objects[start : start + self.page_size],
        }
        if kind == "subscribers" and feed.known is not None:
            document["known"] = feed.known
        if removed is not None:
            document["removed"] = removed if page == 1 else []
        since = f"&since={request.query['since']}" if removed is not None else ""
        if start + self.page_size < len(objects):
            document["next"] = f"/{kind}?page={page + 1}{since}"
        if "endless" in self.faults:
            document["next"] = f"/{kind}?page=1{since}"
        if "foreign" in self.faults:
            document["next"] = f"http://192.0.2.1/{kind}?page=2"
        if "wrong-type" in self.faults and document[kind]:
            document[kind][-1]["amount_due"] = 49.9
        if "duplicate" in self.faults and document[kind]:
            document[kind].append(document[kind][-1])
            document["total"] += 1
        body = json.dumps(document).encode()
        if "truncated" in self.faults:
            body = body[: len(body) // 2]
        if "huge" in self.faults:
            body = b" " * 4_000_000 + body
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _one(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs.removeprefix(self.prefix)}")
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        feed, name = self._now(), request.match_info["id"]
        for entry in feed.subscribers:
            if entry.get("id") == name:
                return web.json_response(entry)
        if name in feed.active and "no-one" not in self.faults:
            return web.json_response({"id": name, "state": "active"})
        return web.Response(status=404)

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if "error" in self.faults:
            return web.Response(status=500)
        if "redirect" in self.faults:
            return web.Response(status=302, headers={"Location": "http://192.0.2.1/"})
        if "slow" in self.faults:
            await asyncio.sleep(30)
        return None


class ToldFeedServer(FeedServer):
    """The same, and what it was told of (docs/feed.md, "Telling billing")."""

    def __init__(self, feed: Feed, *, token: str = "") -> None:
        super().__init__(feed, token=token)
        self.told: list[Object] = []

    def application(self) -> web.Application:
        application = super().application()
        application.router.add_post("/events", self._events)
        return application

    async def _events(self, request: web.Request) -> web.Response:
        self.told += (await request.json())["events"]
        return web.Response(status=202)


def _revision(objects: list[Object]) -> str:
    return hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()[:6]


@asynccontextmanager
async def serve(server: FeedServer, port: int = 0) -> AsyncIterator[FeedServer]:
    """``server`` on a port of 127.0.0.1."""
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    address = runner.addresses[0]
    server.url = f"http://127.0.0.1:{address[1]}{server.prefix}"
    try:
        yield server
    finally:
        await runner.cleanup()


def feed_of(path: Path) -> Feed:
    """What ``path`` holds now."""
    document = json.loads(path.read_text("utf-8"))
    return Feed(
        subscribers=document.get("subscribers", []),
        keys=document.get("keys"),
        known=document.get("known"),
        active=set(document.get("active", ())),
    )


async def _main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--file", type=Path, required=True)
    arguments.add_argument("--token", default="")
    arguments.add_argument("--page-size", type=int, default=1000)
    given = arguments.parse_args()
    server = FeedServer(lambda: feed_of(given.file), token=given.token, page_size=given.page_size)
    async with serve(server, given.port):
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
