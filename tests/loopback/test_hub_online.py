# SPDX-License-Identifier: Apache-2.0
"""Lines of changing addresses through a hub: billing tells the hub who is online, the hub tells the edges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from edged.billing.online.service import Online
from edged.billing.sources.hub import HubSource
from edged.daemon import House
from edged.model import Access, OnlineSession
from edged.values import parse_prefix
from tests.loopback.billing_edge import people
from tests.loopback.feed_server import Feed
from tests.loopback.house import at_work, written
from tests.loopback.hub_scene import BEARER, EDGE, billing_of, scene, until
from tests.loopback.splynx_server import SplynxServer, serve
from tests.loopback.test_daemon_splynx import DELEGATED, DYNAMIC, access, books, online

HUB = """\
site: hub-1
mode: watch
state: {{directory: {directory}/state}}
billing:
  source: splynx
  url: {url}
  key: a-key
  secret: a-secret
  poll: {{changes: 300ms, sessions: 300ms, full: 1h}}
  guard: {{first: accept}}
hub: {{listen: "127.0.0.1:0", keys: [{bearer}]}}
ops: {{socket: {directory}/control.sock}}
"""
HERE = EDGE.replace("  guard:", "  poll: {{sessions: 300ms}}\n  guard:").replace(
    'networks: ["100.64.0.0/10"]', 'networks: ["100.64.0.0/10", "2001:db8:100::/40"]'
)


@asynccontextmanager
async def both(directory: Path, server: SplynxServer) -> AsyncIterator[tuple[House, House]]:
    """A hub that asks ``server``, and an edge of it."""
    for name in ("hub", "edge"):
        (directory / name).mkdir()
    async with at_work(written(directory / "hub", HUB, url=server.url, bearer=BEARER)) as house:
        hub = house.office.hub
        assert hub is not None
        await until(lambda: bool(hub.revisions["keys"]))
        values = {"site": "tower-1", "url": f"http://{hub.endpoint}/edged", "bearer": BEARER, "public": hub.public_key}
        async with at_work(written(directory / "edge", HERE, **values)) as edge:
            await until(lambda: bool(edge.current.view.table.snapshot_id))
            yield house, edge


def hub_source(edge: House) -> HubSource:
    source = billing_of(edge)._source
    assert isinstance(source, HubSource)
    return source


async def test_who_is_blocked_is_blocked_at_the_edge_where_they_are_online_and_nobody_who_has_the_address_next(
    tmp_path: Path,
) -> None:
    async with serve(SplynxServer(books(), key="a-key", secret="a-secret")) as splynx:
        splynx.books.move(8, "blocked")
        splynx.books.online = [online(8, DYNAMIC, ipv6_delegated="2001:db8:100:700::/56"), online(9, "100.64.9.10")]
        async with both(tmp_path, splynx) as (hub, edge):
            await until(lambda: access(edge, DYNAMIC) is Access.BLOCKED)
            await until(lambda: access(edge, DELEGATED) is Access.BLOCKED)
            assert access(edge, "100.64.9.10") is Access.OPEN

            splynx.books.online = [online(8, "100.64.9.11"), online(9, DYNAMIC)]  # the address is another's now
            await until(lambda: access(edge, "100.64.9.11") is Access.BLOCKED)
            await until(lambda: access(edge, DYNAMIC) in {Access.OPEN, Access.DRAIN})

            # and of who pays nothing is left there
            splynx.books.move(8, "active")
            await billing_of(hub).sync()
            await until(lambda: access(edge, "100.64.9.11") in {Access.OPEN, Access.DRAIN})
            assert {s.subscriber for s in await hub_source(edge).sessions() or ()} <= {"8"}


async def test_a_session_that_the_hub_gives_to_the_later_of_two_reaches_the_edge_so(tmp_path: Path) -> None:
    """An address that billing lists twice, for a moment, is the later one's, though he is on no list."""
    async with serve(SplynxServer(books(), key="a-key", secret="a-secret")) as splynx:
        splynx.books.move(8, "blocked")
        later = online(9, DYNAMIC, start_session="2026-11-18 12:00:00")
        splynx.books.online = [online(8, DYNAMIC), later]
        async with both(tmp_path, splynx) as (hub, edge):
            await until(lambda: hub.office.online is not None and hub.office.online.count == 2)
            await until(lambda: edge.office.online is not None and edge.office.online.offered is True)
            await asyncio.sleep(1.0)
            assert access(edge, DYNAMIC) is Access.OPEN


async def test_a_hub_whose_billing_does_not_say_who_is_online_says_so_signed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.edge_at_work() as edge:
        await until(lambda: edge.office.online is not None and edge.office.online.offered is False)
        assert edge.office.online is not None
        assert edge.office.online.error == ""
        got = await at.get("/sessions")
        assert got.status == 404
        assert b'"sessions"' in got.octets


async def test_what_the_hub_has_not_heard_for_minutes_is_no_word_on_who_is_online(tmp_path: Path) -> None:
    session = OnlineSession("s1@fibre", (parse_prefix("100.64.9.9"),), 1_795_000_000.0, "1")
    feed = Feed(people(1, 2), keys=[], known=100)
    async with scene(tmp_path, feed) as at:
        heard = at.house.office.online
        assert isinstance(heard, Online)
        await until(lambda: heard.offered is False)
        await at.house.writer.follow("billing", (session,), keep=False)
        heard.offered, heard.confirmed_at = True, time.time()
        at.hub.stir()
        async with at.edge_at_work() as edge:
            assert edge.office.online is not None
            await until(lambda: bool(at.hub._histories["sessions"].now.revision))
            await edge.office.online.look()
            assert edge.office.online.count == 1
            await until(lambda: access(edge, "100.64.9.9") is Access.BLOCKED)
            heard.confirmed_at = time.time() - 400
            at.hub.stir()
            await until(lambda: at.hub._lines_at == heard.confirmed_at)
            hub_source(edge)._newest["sessions"] = int(time.time() - 400)
            await edge.office.online.look()
            assert "has not heard who is online for 40" in edge.office.online.error
            assert billing_of(edge).status().error == ""


async def test_a_login_that_two_claim_gives_nobody_the_line_of_the_other_at_an_edge(tmp_path: Path) -> None:
    """Whose it is the hub has decided for itself: the edge is told no more than that."""
    session = OnlineSession("shared@fibre", (parse_prefix("100.64.9.9"),), 1_795_000_000.0)
    both_of_them = [one | {"logins": ["shared@fibre"]} for one in people(1, 2)]
    both_of_them[0]["state"] = "notice"
    async with scene(tmp_path, Feed(both_of_them, keys=[], known=100)) as at:
        heard = at.house.office.online
        assert isinstance(heard, Online)
        await until(lambda: heard.offered is False)
        await at.house.writer.follow("billing", (session,), keep=False)
        heard.offered, heard.confirmed_at = True, time.time()
        at.hub.stir()
        await until(lambda: bool(at.hub._histories["sessions"].now.revision))
        assert access(at.house, "100.64.9.9") is not Access.BLOCKED
        assert "2" not in {one.id for one in at.hub._histories["sessions"].now.entries}


async def test_a_payment_in_a_long_list_costs_the_list_of_who_is_online_no_more_than_that_one(tmp_path: Path) -> None:
    looked: list[str] = []
    everybody = people(*range(3000))
    sessions = tuple(
        OnlineSession("", (parse_prefix(f"100.64.{n >> 8}.{n & 255}"),), 1_795_000_000.0, str(n)) for n in range(3000)
    )
    async with scene(tmp_path, Feed(everybody, keys=[], known=9000)) as at:
        heard = at.house.office.online
        assert isinstance(heard, Online)
        await until(lambda: heard.offered is False)
        await at.house.writer.follow("billing", sessions, keep=False)
        heard.offered, heard.confirmed_at = True, time.time()
        at.hub.stir()
        history = at.hub._histories["sessions"]
        await until(lambda: len(history.now.entries) == 3000)
        before, there = history.now, at.hub._sessions_of

        def sessions_of(subscriber: str, logins: Iterable[str]) -> list[OnlineSession]:
            looked.append(subscriber)
            return there(subscriber, logins)

        at.hub._sessions_of = sessions_of
        at.billing.feed = Feed(everybody[1:], keys=[], known=9000, active={"0"})
        await at.billing_here.recheck("0")
        await until(lambda: len(history.now.entries) == 2999)
        assert history.since(before.revision) == frozenset("0")
        moved = (replace(sessions[1], prefixes=(parse_prefix("100.65.0.1"),)), *sessions[2:])
        await at.house.writer.follow("billing", moved, keep=False)
        at.hub.stir()
        await until(lambda: history.since(before.revision) == frozenset("01"))
        assert set(looked) == {"1"}
