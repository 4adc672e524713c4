# SPDX-License-Identifier: Apache-2.0
"""Many edges at one hub, while lists change, connections break and the hub starts again. Large: bench/hub.py."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from edged.billing import pacing
from edged.billing.client import Reply
from edged.billing.sources.hub import HubSource
from edged.model import Key, State, Subscriber
from edged.values import Secret
from tests.loopback import feed_server
from tests.loopback.billing_edge import Edge, edge, people
from tests.loopback.feed_server import Feed, FeedServer
from tests.loopback.hub_scene import BEARER, Scene, key, scene, until

EDGES, LISTED = 10, 2_000


class Counting(HubSource):
    """What an edge asks by, with the number of answers that came."""

    answers = 0

    async def _request(self, method: str, address: str, *, etag: str = "", prefer: str = "") -> Reply:
        reply = await super()._request(method, address, etag=etag, prefer=prefer)
        self.answers += 1
        return reply


@asynccontextmanager
async def at_work(made: Scene, name: str) -> AsyncIterator[tuple[Counting, Edge]]:
    """An edge of the hub, with a state directory of its own."""
    source = Counting(made.url, Secret(BEARER), publics=(base64.b64decode(made.hub.public_key),))
    directory = made.directory / name
    directory.mkdir()
    async with edge(directory, source, now=time.time(), guard={"first": "accept", "floor": 10_000}) as running:
        task = asyncio.create_task(running.service.run())
        try:
            yield source, running
        finally:
            task.cancel()
            await asyncio.wait({task})
            await source.close()


def all_current(made: Scene, edges: list[tuple[Counting, Edge]]) -> bool:
    """Every edge has the hub's lists, and waits for the next ones."""
    revisions = {f"{kind}.revision": name for kind, name in made.hub.revisions.items()}
    marks = [running.service.status().marks for _, running in edges]
    return made.hub.waiting == len(edges) and all(revisions.items() <= each.items() for each in marks)


def unheard(made: Scene, edges: list[tuple[Counting, Edge]]) -> int:
    """Answers that the hub gave and no edge had."""
    given: int = sum(made.hub.counters.answers.values())
    return given - sum(source.answers for source, _ in edges)


def shut(listed: tuple[Subscriber, ...]) -> dict[str, Subscriber]:
    """Whoever is not active: an active one may be left out."""
    return {s.id: s for s in listed if s.state is not State.ACTIVE}


def keyring(keys: tuple[Key, ...] | None) -> set[Key]:
    return set(keys or ())


def change(feed: Feed, chance: random.Random) -> None:
    """Some pay, some are blocked, somebody owes more, a key comes or goes."""
    for one in chance.sample(feed.subscribers, 5):
        feed.subscribers.remove(one)
    present = {one["id"] for one in feed.subscribers}
    gone = [name for name in map(str, range(LISTED)) if name not in present]
    feed.subscribers += people(*chance.sample(gone, min(3, len(gone))))
    one = chance.choice(feed.subscribers)
    feed.subscribers[feed.subscribers.index(one)] = one | {"amount_due": str(chance.randint(1, 99)), "currency": "EUR"}
    assert feed.keys is not None
    if chance.random() < 0.5:
        feed.keys.append(key(100 + chance.randint(0, 10**6)))
    elif len(feed.keys) > 1:
        feed.keys.pop(chance.randrange(len(feed.keys)))


async def test_ten_edges_end_with_exactly_the_lists_of_a_hub_whatever_breaks_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "BROKEN_OFF", (0.1, 2.0))
    chance = random.Random(7)
    feed = Feed(people(*range(LISTED)), keys=[key(n) for n in range(20)], known=100_000)
    made = Scene(tmp_path, FeedServer(feed), floor=10_000)
    async with feed_server.serve(made.billing), AsyncExitStack() as stack:
        async with made.hub_at_work():
            edges = [await stack.enter_async_context(at_work(made, f"tower-{n}")) for n in range(EDGES)]
            await until(lambda: all_current(made, edges))
            for turn in range(6):
                change(feed, chance)
                await made.sync()
                if turn in {1, 3}:
                    made.hub.front._crowd.cut()
                await asyncio.sleep(chance.uniform(0, 0.3))
            counters, made.port = made.hub.counters, made.heard_at
        change(feed, chance)
        async with made.hub_at_work():
            await until(lambda: all_current(made, edges))
            before = unheard(made, edges)
            for _ in range(3):
                change(feed, chance)
                await made.sync()
            await until(lambda: all_current(made, edges))

            there = made.billing_here.in_force
            assert there is not None
            for source, running in edges:
                here = running.service.in_force
                assert here is not None
                assert shut(here.subscribers) == shut(there.subscribers)
                assert keyring(here.keys) == keyring(there.keys)
                assert source.waits
            assert shut(there.subscribers).keys() == {one["id"] for one in feed.subscribers}
            assert {k.id for k in keyring(there.keys)} == {one["id"] for one in feed.keys or ()}
            assert unheard(made, edges) == before, "while nothing breaks, every answer is heard"
            for each in (counters, made.hub.counters):
                assert each.faults == each.malformed == 0


async def test_an_answer_that_came_at_once_says_that_the_next_question_may_wait(tmp_path: Path) -> None:
    feed = Feed(people(1, 2), keys=[], known=100)
    async with scene(tmp_path, feed) as made:
        earlier = made.hub.revisions["subscribers"]
        feed.subscribers = people(1)
        await made.sync()
        got = await made.get(f"/subscribers?since={earlier}", Prefer="wait=20")

    assert got.status == 200
    assert got.headers["Preference-Applied"] == "wait=20"


async def test_payments_one_after_another_are_each_at_an_edge_within_two_seconds(tmp_path: Path) -> None:
    names = [str(n) for n in range(20)]
    feed = Feed(people(*names), keys=[], known=100)
    loop = asyncio.get_running_loop()
    paid: dict[str, float] = {}
    async with scene(tmp_path, feed, floor=100) as made, at_work(made, "tower-1") as (_, running):
        took: dict[str, float] = {}

        def all_known() -> bool:
            for name in paid.keys() - running.blocked:
                took.setdefault(name, loop.time() - paid[name])
            return len(took) == len(names)

        await until(lambda: made.hub.waiting == 1)
        for name in names:
            feed.subscribers = [one for one in feed.subscribers if one["id"] != name]
            feed.active.add(name)
            paid[name] = loop.time()
            await made.billing_here.hear([name])
            for _ in range(10):
                all_known()
                await asyncio.sleep(0.01)
        await until(all_known, 60)

    assert max(took.values()) < 2.5
