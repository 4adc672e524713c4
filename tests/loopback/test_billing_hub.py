"""``source: hub`` against a server that signs, and against what stands between them."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edged.billing import signing
from edged.billing.sources.hub import HubSource
from edged.billing.sources.rest import Bounds
from edged.billing.status import Health, Outcome
from edged.errors import UpstreamError
from edged.model import State
from edged.values import Secret
from tests.loopback.billing_edge import edge, names, people
from tests.loopback.signed_server import PUBLIC, Answer, SignedServer, serve

OTHER = Secret(bytes(32))


@asynccontextmanager
async def hub(server: SignedServer, *, bounds: Bounds | None = None, wait: int = 20) -> AsyncIterator[HubSource]:
    bounds = bounds or Bounds(request=30.0)
    async with serve(server):
        source = HubSource(server.url, Secret("key"), publics=(PUBLIC,), bounds=bounds, wait=wait)
        try:
            yield source
        finally:
            await source.close()


def without(name: str) -> Callable[[Answer], None]:
    return lambda answer: answer.headers.__delitem__(name)


def setting(name: str, value: str) -> Callable[[Answer], None]:
    return lambda answer: answer.headers.__setitem__(name, value)


def altered(answer: Answer) -> None:
    body = gzip.decompress(answer.body).replace(b"blocked", b"active ")
    answer.body = gzip.compress(body)


def emptied(answer: Answer) -> None:
    """A whole body of the right form that the hub never wrote."""
    answer.body = gzip.compress(b'{"revision": "r0", "total": 0, "subscribers": []}')
    answer.headers[signing.DIGEST] = signing.digest(gzip.decompress(answer.body))


def unmodified(answer: Answer) -> None:
    answer.status, answer.body = 304, b""
    del answer.headers["Content-Encoding"]


HOSTILE: dict[str, tuple[Callable[[Answer], None], str]] = {
    "no signature": (without("Signature"), "not signed"),
    "no statement of what is signed": (without("Signature-Input"), "not signed"),
    "no digest": (without(signing.DIGEST), "signature is not that of this answer"),
    "no time": (without(signing.READ_AT), "signature is not that of this answer"),
    "another time": (setting(signing.READ_AT, "1795000000"), "signature is not that of this answer"),
    "another tag": (setting("ETag", 'W/"r9"'), "signature is not that of this answer"),
    "another body": (altered, "not the one that the hub signed"),
    "another body with its digest": (emptied, "signature is not that of this answer"),
    "a signature of ours over nothing": (setting("Signature", f"edged=:{'A' * 86}==:"), "signature is not that"),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_an_answer_that_somebody_has_touched_is_refused(what: str) -> None:
    spoil, sentence = HOSTILE[what]
    async with hub(SignedServer(people(1, 2), spoil=spoil)) as source:
        with pytest.raises(UpstreamError, match=sentence):
            await source.read(None)


async def test_an_answer_signed_with_another_key_is_refused_and_the_key_is_named() -> None:
    async with hub(SignedServer(people(1), private=OTHER)) as source:
        with pytest.raises(UpstreamError, match=signing.keyid(signing.public_key(OTHER))):
            await source.read(None)


async def test_either_of_two_keys_is_believed_while_they_change() -> None:
    server = SignedServer(people(1), private=OTHER)
    async with serve(server):
        source = HubSource(server.url, None, publics=(PUBLIC, signing.public_key(OTHER)))
        reading = await source.read(None)
        await source.close()
    assert reading is not None


async def test_what_was_signed_for_one_path_is_refused_at_another() -> None:
    kept: list[Answer] = []
    server = SignedServer(people(1001, state="active"), spoil=lambda answer: kept.append(replace(answer)))
    async with hub(server) as source:
        await source.read_one("1001")

        def replay(answer: Answer) -> None:
            answer.status, answer.body, answer.headers = kept[0].status, kept[0].body, kept[0].headers

        server.spoil = replay
        assert await source.read_one("1001") is not None
        with pytest.raises(UpstreamError, match="signature is not that of this answer"):
            await source.read_one("1002")


async def test_whom_the_hub_does_not_know_is_nobody_only_where_the_hub_has_said_so() -> None:
    server = SignedServer(people(1001))
    async with hub(server) as source:
        assert await source.read_one("1002") is None

        def missing(answer: Answer) -> None:
            answer.status = 404

        server.spoil = missing  # the signed answer that somebody is blocked, under another status
        with pytest.raises(UpstreamError, match="does not say that this subscriber is unknown"):
            await source.read_one("1001")
        server.spoil = without("Signature")
        with pytest.raises(UpstreamError, match="not signed"):
            await source.read_one("1002")


async def test_an_id_that_a_url_has_to_escape_is_asked_for_and_believed() -> None:
    async with hub(SignedServer(people("A/7 @ü", state="active"))) as source:
        one = await source.read_one("A/7 @ü")
    assert one is not None
    assert one.state is State.ACTIVE


async def test_a_missing_list_of_keys_is_a_fault_and_never_no_keys() -> None:
    server = SignedServer(people(1))
    async with hub(server) as source:

        def missing(answer: Answer) -> None:
            if answer.headers["ETag"] and server.requests[-1].endswith("/keys"):
                answer.status = 404

        server.spoil = missing
        with pytest.raises(UpstreamError, match="no such list"):
            await source.read(None)


@pytest.mark.parametrize("status", [400, 404, 405, 422, 501])
async def test_a_proxy_that_knows_no_changes_for_a_moment_does_not_end_the_following_of_them(status: int) -> None:
    server = SignedServer(people(1, 2))
    async with hub(server, wait=0) as source:
        reading = await source.read(None)

        def mending(answer: Answer) -> None:
            if "since=" in server.requests[-1]:
                answer.status, answer.body, answer.headers = status, b"", {}

        server.spoil = mending
        with pytest.raises(UpstreamError, match=f"answered {status}"):
            await source.read(reading)
        server.spoil = lambda _: None
        server.change("subscribers", people(1))
        del server.requests[:]
        assert await source.read(reading) is not None
        assert server.requests[0] == "GET /subscribers?since=r0&keys=r0"


async def test_an_answer_older_than_one_before_is_refused_beyond_two_minutes() -> None:
    now = time.time()
    server = SignedServer(people(1), read_at=lambda: now)
    async with hub(server, wait=0) as source:
        reading = await source.read(None)
        assert source.confirmed_at == int(now)
        server.read_at = lambda: now - 100
        await source.read(None)
        server.read_at = lambda: now - 200
        with pytest.raises(UpstreamError, match="older than one before"):
            await source.read(reading)


async def test_a_word_on_one_subscriber_makes_no_list_that_billing_confirmed_earlier_too_old() -> None:
    """The hub asks billing about one at once; its lists are as old as the last look, or as a reading that is held."""
    now = time.time()
    server = SignedServer(people(1, 2), read_at=lambda: now - 1000)
    async with hub(server, wait=0) as source:
        reading = await source.read(None)
        server.read_at = lambda: now
        assert await source.read_one("1") is not None
        server.read_at = lambda: now - 1000
        server.change("subscribers", people(1))
        changed = await source.read(reading)
        assert changed is not None
        assert {s.id for s in changed.snapshot.subscribers if s.state is State.BLOCKED} == names(1)
        with pytest.raises(UpstreamError, match="older than one before"):
            await source.read_one("1")


async def test_an_answer_from_the_future_is_refused() -> None:
    async with hub(SignedServer(people(1), read_at=lambda: time.time() + 400)) as source:
        with pytest.raises(UpstreamError, match="in the future"):
            await source.read(None)


async def test_a_304_that_stands_for_another_list_is_refused() -> None:
    server = SignedServer(people(1))
    async with hub(server) as source:
        await source.read(None)
        server.change("subscribers", people(1, 2))
        server.spoil = unmodified
        with pytest.raises(UpstreamError, match="304 is of another list"):
            await source.read(None)


async def test_a_small_body_that_unpacks_without_end_costs_its_bound_and_no_more() -> None:
    bomb = gzip.compress(b" " * (192 << 20), 9)

    def bombed(answer: Answer) -> None:
        answer.body = bomb

    server = SignedServer(people(1), spoil=bombed)
    async with hub(server, bounds=Bounds(request=30.0, page_octets=8 << 20)) as source:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UpstreamError, match="larger than 8 MiB"):
            await source.read(None)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 48 << 10  # KiB


async def test_many_pages_are_each_verified() -> None:
    async with hub(SignedServer(people(*range(25)), page=10)) as source:
        reading = await source.read(None)
    assert reading is not None
    assert {s.id for s in reading.snapshot.subscribers} == names(*range(25))


async def test_a_full_reading_after_changes_is_a_304_when_nothing_else_has_changed() -> None:
    server = SignedServer(people(1, 2))
    async with hub(server) as source:
        first = await source.read(None)
        server.change("subscribers", people(1, 2, 3))
        changed = await source.read(first)
        assert changed is not None
        server.statuses.clear()
        full = await source.read(None)
    assert full is not None
    assert server.statuses == [304, 304]
    assert full.snapshot.subscribers == changed.snapshot.subscribers
    assert full.marks == changed.marks


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_change_reaches_an_edge_that_waits_for_it_in_a_moment(tmp_path: Path) -> None:
    server = SignedServer(people(1, 2))
    async with hub(server) as source, edge(tmp_path, source) as e, asyncio.TaskGroup() as group:
        running = group.create_task(e.service.run())
        await until(lambda: server.waiting == 1)
        began = time.monotonic()
        server.change("subscribers", people(2))
        await until(lambda: e.blocked == names(2))
        assert time.monotonic() - began < 1.0
        await until(lambda: server.waiting == 1)  # and waits again
        assert time.monotonic() - began < 3.0
        running.cancel()


async def test_nobody_waits_behind_an_edge_that_waits_for_a_change(tmp_path: Path) -> None:
    """``sync``, the webhook, the page's button and the end of the process, each while a question is kept."""
    server = SignedServer(people(1, 2))
    async with hub(server) as source, edge(tmp_path, source) as e:

        def more(count: int) -> bool:
            return e.service.counters.polls > count

        async with asyncio.TaskGroup() as group:
            running = group.create_task(e.service.run())
            hurries: tuple[Callable[[], Awaitable[object]], ...] = (
                e.service.sync,
                partial(e.service.hear, ["1"], lists=True),
                partial(e.service.hear, [], lists=True),
                partial(e.service.recheck, "1"),
            )
            for hurry in hurries:
                await until(lambda: server.waiting == 1)
                count, began = e.service.counters.polls, time.monotonic()
                await hurry()
                await until(partial(more, count))
                assert time.monotonic() - began < 3.0
            await until(lambda: server.waiting == 1)
            began = time.monotonic()
            running.cancel()
        assert time.monotonic() - began < 1.0


async def test_an_edge_that_has_lost_its_hub_knows_at_once_that_it_is_back(tmp_path: Path) -> None:
    """The first question after a failure waits for no change."""
    server = SignedServer(people(1, 2))
    async with hub(server) as source, edge(tmp_path, source) as e:
        reading = await source.read(None)
        server.down = True
        with pytest.raises(UpstreamError):
            await source.read(reading)
        server.down = False
        async with asyncio.timeout(5):
            assert await source.read(reading) is None
        assert server.waiting == 0
        assert e.service.counters.polls == 0
        waits = asyncio.create_task(source.read(reading))
        await until(lambda: server.waiting == 1)
        source.hurry()
        await waits


async def test_a_server_that_does_not_wait_is_asked_at_the_ordinary_pauses(tmp_path: Path) -> None:
    server = SignedServer(people(1), waits=False)
    async with hub(server) as source, edge(tmp_path, source) as e:
        assert e.service._delay(0) < 2.0
        first = await source.read(None)
        await source.read(first)
        assert not source.waits
        assert e.service._delay(0) > 20.0


async def test_billing_is_stale_when_the_hub_has_not_reached_it_although_the_hub_answers(tmp_path: Path) -> None:
    now = time.time()
    server = SignedServer(people(1), read_at=lambda: now)
    async with hub(server) as source, edge(tmp_path, source, now=now, stale={"after": "1h", "then": "open"}) as e:
        await e.service.sync()
        assert e.service.status().health is Health.OK
        assert e.service.current_at == int(now)
        e.passes(1800)
        await e.service.sync()
        assert round(e.service.status().age) in {1800, 1801}
        assert e.service.current_at == int(now)
        e.passes(1802)
        await e.service.sync()
        assert e.service.status().health is Health.STALE
        assert e.blocked == set()
        server.read_at = lambda: now + 10
        await e.service.sync()
        server.read_at = lambda: time.time() + 290  # the hub has reached it again; its clock is ahead of ours
        e.passes(-3500)
        await e.service.sync()
        assert e.service.status().health is Health.OK
        assert e.blocked == names(1)


async def test_a_word_outlives_the_changes_and_a_full_reading_takes_the_hubs_own_list(tmp_path: Path) -> None:
    server = SignedServer(people(1, 2))
    async with hub(server, wait=0) as source, edge(tmp_path, source) as e:
        await e.service.sync()
        server.subscribers = [*people(1, state="active"), *people(2)]  # known of one alone, not in any list
        assert await e.service.recheck("1") is State.ACTIVE
        assert e.blocked == names(2)
        server.subscribers = people(1, 2)
        assert (await e.service._look(full=False)).outcome is Outcome.UNCHANGED
        assert e.blocked == names(2)
        server.statuses.clear()
        await e.service.sync()
        assert set(server.statuses) == {304}
        assert e.blocked == names(1, 2)


async def test_an_edge_that_starts_again_believes_no_list_from_before_the_last_that_it_heard_of(tmp_path: Path) -> None:
    """Though what has changed since its whole list was written is a few lines beside it."""
    now = time.time()
    server = SignedServer(people(1, 2, 3, 4), read_at=lambda: now - 7200)
    async with hub(server, wait=0) as source, edge(tmp_path, source, now=now - 7200) as e:
        await e.service.sync()
        for step, left in enumerate(((1, 2, 3), (1, 2), (1,))):
            e.passes(2000 + 200 * step)
            server.read_at = lambda: e.now
            server.change("subscribers", people(*left))
            assert (await e.service._look(full=False)).outcome is Outcome.ACCEPTED
    async with hub(server, wait=0) as source, edge(tmp_path, source, now=now) as e:
        assert e.blocked == names(1)
        server.read_at = lambda: now - 3600
        server.change("subscribers", people(1, 2, 3))
        result = await e.service.sync()
        assert result.outcome is Outcome.FAILED
        assert "older than one before" in result.text
        assert e.blocked == names(1)
