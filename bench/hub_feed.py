# SPDX-License-Identifier: Apache-2.0
"""The billing system of bench/hub.py: docs/feed.md with a large list, and a place where a bench changes it."""

from __future__ import annotations

import asyncio
import json
import random
from bisect import bisect_right
from typing import Any

from aiohttp import web

from bench.fleet import keys, subscribers

PAGE = 5_000


class Books:
    """Who is listed, and who was touched at which revision."""

    def __init__(self, listed: int, keyed: int) -> None:
        chance = random.Random(1)
        self.listed = {str(one["id"]): _placed(n, one) for n, one in enumerate(subscribers(listed, chance))}
        self.all = dict(self.listed)
        self.keys = list(keys(keyed, chance))
        self.revision = 1
        self._at: list[int] = []
        self._touched: list[str] = []

    def flip(self, names: list[str], *, blocked: bool) -> None:
        """Block these, or open them: who is open is not listed."""
        self.revision += 1
        for name in names:
            if blocked:
                self.listed[name] = self.all[name]
            else:
                self.listed.pop(name, None)
            self._at.append(self.revision)
            self._touched.append(name)

    def since(self, revision: int) -> tuple[list[dict[str, Any]], list[str]]:
        """Objects that came, ids that went."""
        names = dict.fromkeys(self._touched[bisect_right(self._at, revision) :])
        return [self.listed[n] for n in names if n in self.listed], [n for n in names if n not in self.listed]


def _placed(number: int, one: dict[str, object]) -> dict[str, Any]:
    """A /56 of their own, however many there are."""
    four = f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}/32"
    return one | {"addresses": [four, f"2001:db8:{number & 0xFFFF:x}:{number >> 16:x}00::/56"]}


def _answer(books: Books, request: web.Request) -> web.Response:
    """A list, or what changed of it."""
    kind = request.path.rpartition("/")[2]
    of_all = kind == "subscribers"
    whole = list(books.listed.values()) if of_all else books.keys
    if request.method == "HEAD":
        return web.Response(headers={"X-Total-Count": str(len(whole))})
    said: dict[str, Any] = {"revision": str(books.revision), "known": 5_000_000} if of_all else {"revision": "1"}
    if "since" in request.query:
        came, went = books.since(int(request.query["since"])) if of_all else ([], [])
        return web.json_response(said | {"total": len(came), "removed": went, kind: came})
    page = int(request.query.get("page", "1"))
    said |= {"total": len(whole), kind: whole[(page - 1) * PAGE : page * PAGE]}
    if page * PAGE < len(whole):
        said["next"] = f"/{kind}?page={page + 1}"
    return web.json_response(said)


def serve(listed: int, keyed: int, port: int, ready: Any) -> None:
    """Until the process is ended. ``ready``: an event of multiprocessing."""
    books = Books(listed, keyed)

    async def list_of(request: web.Request) -> web.Response:
        return _answer(books, request)

    async def one(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in books.all:
            return web.Response(status=404)
        return web.json_response(books.listed.get(name, {"id": name, "state": "active"}))

    async def flip(request: web.Request) -> web.Response:
        said = json.loads(await request.read())
        books.flip(said["subscribers"], blocked=said["blocked"])
        return web.Response(status=204)

    async def run() -> None:
        application = web.Application()
        for kind in ("subscribers", "keys"):
            application.router.add_get(f"/{kind}", list_of)
        application.router.add_get("/subscribers/{name}", one)
        application.router.add_post("/flip", flip)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(run())
