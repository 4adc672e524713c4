# SPDX-License-Identifier: Apache-2.0
"""A hub at work on a real list, and edges at work that ask it; billing is a feed server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from edged.billing.service import BillingService
from edged.daemon import House
from edged.hub.service import HubService
from edged.model import State, Subscriber
from tests.loopback import feed_server
from tests.loopback.billing_edge import people
from tests.loopback.feed_server import Feed, FeedServer, ToldFeedServer
from tests.loopback.house import at_work, written

BEARER = "a-bearer-key-of-the-edges"
PASSPHRASE = "copper-otter-violin-42"
HUB = """\
site: hub-1
state: {{directory: {directory}/state}}
billing:
  source: rest
  url: {billing}
  poll: {{changes: {every}, full: {full}}}
  guard: {{first: accept, floor: {floor}}}
hub: {{listen: "127.0.0.1:{port}", keys: [{bearer}]{more}}}
ops: {{socket: {directory}/control.sock}}
"""
EDGE = """\
site: {site}
state: {{directory: {directory}/state}}
billing:
  source: hub
  url: {url}
  key: {bearer}
  signed_by: ["{public}"]
  guard: {{first: accept, leave_to_hub: true}}
subscribers: {{networks: ["100.64.0.0/10"]}}
radius:
  auth: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["127.0.0.0/8"], secret: a-secret-of-a-test}}]
mpsk: {{networks: {{Residence: {{}}}}}}
ops: {{socket: {directory}/control.sock}}
"""


def key(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"k-{number}",
        "ssid": "Residence",
        "subscriber": str(number),
        "passphrase": f"{PASSPHRASE}-{number}",
    } | more


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Scene:
    """Billing, its hub, and where edges keep what they know."""

    directory: Path
    billing: FeedServer
    more: str = ""
    """Further keys of ``hub:``, each with a comma before it."""
    port: int = 0
    every: str = "1d"
    """How often the hub asks for changes: in most tests it is told to."""
    floor: int = 5
    house: House = field(init=False)

    @property
    def hub(self) -> HubService:
        hub = self.house.office.hub
        assert hub is not None
        return hub

    @property
    def billing_here(self) -> BillingService:
        """The hub's billing room."""
        return billing_of(self.house)

    @property
    def heard_at(self) -> int:
        """The port that the hub was given."""
        assert self.hub.endpoint is not None
        return self.hub.endpoint.port

    @property
    def url(self) -> str:
        assert self.hub.endpoint is not None
        return f"http://{self.hub.endpoint}{self.hub.settings.path}"

    @asynccontextmanager
    async def hub_at_work(self) -> AsyncIterator[House]:
        """The hub, once more on the same state directory if it was at work before."""
        directory = self.directory / "hub"
        directory.mkdir(exist_ok=True)
        values = {"billing": self.billing.url, "bearer": BEARER, "more": self.more, "every": self.every, "full": "1d"}
        self.house = written(directory, HUB, port=str(self.port), floor=str(self.floor), **values)
        async with at_work(self.house):
            if "error" not in self.billing.faults:
                await until(lambda: bool(self.hub.revisions["keys"]))
            yield self.house

    @asynccontextmanager
    async def edge_at_work(self, site: str = "tower-1", *, url: str = "") -> AsyncIterator[House]:
        directory = self.directory / site
        directory.mkdir(exist_ok=True)
        values = {"site": site, "url": url or self.url, "bearer": BEARER, "public": self.hub.public_key}
        async with at_work(written(directory, EDGE, **values)) as house:
            yield house

    @asynccontextmanager
    async def billing_away(self) -> AsyncIterator[None]:
        """Billing answers nothing but a fault of its own."""
        self.billing.faults.add("error")
        yield
        self.billing.faults.discard("error")

    async def sync(self) -> None:
        """The hub looks at billing, and has made of it what it serves."""
        await self.billing_here.sync()
        await until(lambda: self.hub._seen is not None and self.hub._seen[0] is self.billing_here.in_force)

    async def get(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> Got:
        """One answer of the hub, as it came over the wire."""
        fields = {"Authorization": f"Bearer {BEARER}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as client,
            client.request(
                method, f"{self.url}{path}", headers=fields, data=body, allow_redirects=False,
                skip_auto_headers=["Accept-Encoding"],
            ) as response,
        ):  # fmt: skip
            url = response.url
            return Got(
                response.status, await response.read(), dict(response.headers), url.raw_path, url.raw_query_string
            )


@dataclass(frozen=True)
class Got:
    """An answer before any decoding."""

    status: int
    octets: bytes
    headers: dict[str, str]
    path: str
    query: str


@asynccontextmanager
async def scene(directory: Path, feed: Feed | None = None, *, told: bool = False, **more: Any) -> AsyncIterator[Scene]:
    """A hub at work; ``feed``: what billing has. ``told``: billing takes events."""
    feed = feed or Feed(people(1, 2, addresses=("100.64.0.9",)), keys=[key(1), key(2)], known=100)
    billing = ToldFeedServer(feed) if told else FeedServer(feed)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(feed_server.serve(billing))
        made = Scene(directory, billing, **more)
        await stack.enter_async_context(made.hub_at_work())
        yield made


def billing_of(house: House) -> BillingService:
    """Its billing room."""
    assert house.billing is not None
    return house.billing


def listed(house: House) -> tuple[Subscriber, ...]:
    """The list in force there."""
    good = billing_of(house).in_force
    return good.subscribers if good is not None else ()


def blocked(house: House) -> set[str]:
    """Ids that it blocks."""
    return {s.id for s in listed(house) if s.state is State.BLOCKED}
