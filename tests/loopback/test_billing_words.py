"""What billing answers about one subscriber: put into force at once, but never past the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.billing.reading import Progress, Reading, silent
from edged.billing.sources.rest import Bounds, RestSource
from edged.billing.status import Health, Outcome
from edged.errors import UpstreamError
from edged.model import State, Subscriber
from tests.loopback.billing_edge import START, Edge, edge, names, people
from tests.loopback.feed_server import Feed, FeedServer, serve

LINE, OTHER = "100.64.1.7", "100.64.1.8"


@pytest.fixture
async def server() -> AsyncIterator[FeedServer]:
    async with serve(FeedServer(Feed(people(*range(10)), known=1000))) as running:
        yield running


@pytest.fixture
async def source(server: FeedServer) -> AsyncIterator[RestSource]:
    opened = RestSource(server.url, None, bounds=Bounds(request=0.5), clock=lambda: START)
    yield opened
    await opened.close()


def feed(server: FeedServer) -> Feed:
    assert isinstance(server.feed, Feed)
    return server.feed


@asynccontextmanager
async def at_work(e: Edge) -> AsyncIterator[None]:
    """The service's own tasks run; its polls are ten minutes apart."""
    running = asyncio.create_task(e.service.run())
    try:
        await until(lambda: bool(e.published))
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: object, seconds: float = 3.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_hint_that_somebody_is_blocked_now_blocks_that_line_alone_at_once(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e, at_work(e):
        feed(server).subscribers += people("77", addresses=(LINE,))

        await e.service.hear(["77"])
        await until(lambda: "77" in e.blocked)

        assert e.blocked == names(*range(10), 77)
        (word,) = e.words[-1] or ()
        assert (word.id, str(word.addresses[0])) == ("77", LINE)


async def test_a_hint_that_somebody_has_paid_opens_that_line_at_once(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e, at_work(e):
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}

        await e.service.hear(["0"])
        await until(lambda: "0" not in e.blocked)

        assert e.blocked == names(*range(1, 10))


async def test_words_that_block_fill_the_window_like_a_list_that_blocks(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    # 3 % of 1,000: thirty a day
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers += people(*range(100, 140))

        for number in range(100, 140):
            await e.service.recheck(str(number))

        assert e.blocked == names(*range(10), *range(100, 130))
        assert e.service.counters.words_held == 10
        assert (await e.service.sync()).outcome is Outcome.HELD


async def test_the_window_of_words_outlives_a_restart(tmp_path: Path, server: FeedServer, source: RestSource) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers += people(*range(100, 140))
        for number in range(100, 130):
            await e.service.recheck(str(number))

    async with edge(tmp_path, source) as again:
        await again.service.recheck("130")

        assert "130" not in again.blocked


async def test_a_word_never_blocks_the_networks_own_address_or_too_wide_a_prefix(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        for wrong in ("203.0.113.10", "100.64.0.0/16", "::/0"):
            feed(server).subscribers = people(*range(10)) + people("77", addresses=(wrong,))
            await e.service.recheck("77")

            assert "77" not in e.blocked, wrong


async def test_a_word_that_blocks_waits_for_the_first_list(tmp_path: Path, source: RestSource) -> None:
    async with edge(tmp_path, source, guard={"first": "hold"}) as e:
        await e.service.recheck("3")
        assert e.published == []

        await e.service.sync()
        await e.service.recheck("3")

        assert e.published == []
        assert e.service.status().health is Health.HELD


async def test_who_has_paid_while_the_first_list_is_held_is_not_blocked_by_accepting_it(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source, guard={"first": "hold"}) as e:
        held = await e.service.sync()
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}

        await e.service.recheck("0")
        await e.service.accept(held.snapshot)

        assert e.blocked == names(*range(1, 10))


async def test_a_line_that_moves_is_followed_by_the_word(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        feed(server).subscribers = people("1", addresses=(LINE,))
        await e.service.sync()
        feed(server).subscribers = people("1", addresses=(OTHER,))

        await e.service.recheck("1")

        assert [str(p) for s in e.published[-1].subscribers for p in s.addresses] == [OTHER]


async def test_a_word_is_on_disk_a_moment_later_and_in_force_after_a_restart(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e, at_work(e):
        feed(server).subscribers = people(*range(1, 10)) + people("77")
        feed(server).active = {"0"}
        await e.service.hear(["0", "77"])
        await until(lambda: e.blocked == names(*range(1, 10), 77))
        await asyncio.sleep(1.3)

    async with edge(tmp_path, source) as again:
        assert again.blocked == names(*range(1, 10), 77)


async def test_the_list_after_a_word_is_the_list_with_it(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers += people("77")
        await e.service.recheck("77")
        named, count = e.published[-1].id.rpartition(".")[2], len(e.published)

        result = await e.service.sync()

        assert result.snapshot.rpartition(".")[2] == named
        assert e.blocked == names(*range(10), 77)
        assert count <= len(e.published) <= count + 1


async def test_a_full_disk_keeps_no_payer_waiting_and_blocks_nobody(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        e.files.full = True
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}

        assert await e.service.recheck("0") is State.ACTIVE

        assert e.blocked == names(*range(1, 10))


async def test_one_who_cannot_be_asked_about_does_not_keep_the_others_waiting(
    tmp_path: Path, server: FeedServer
) -> None:
    class Deaf(RestSource):
        async def read_one(self, subscriber: str) -> Subscriber | None:
            if subscriber == "1":
                raise UpstreamError("billing does not answer")
            return await super().read_one(subscriber)

    source = Deaf(server.url, None)
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = []
        feed(server).active = names(*range(10))

        with pytest.raises(UpstreamError, match="does not answer"):
            await e.service.hear(map(str, range(10)))

        assert e.blocked == {"1"}
    await source.close()


async def test_a_hint_of_lists_polls_now(tmp_path: Path, server: FeedServer, source: RestSource) -> None:
    async with edge(tmp_path, source) as e, at_work(e):
        feed(server).subscribers += people("77")

        await e.service.hear([], lists=True)

        await until(lambda: "77" in e.blocked)


async def test_payments_come_by_the_changes_while_the_whole_list_cannot_be_read(
    tmp_path: Path, server: FeedServer
) -> None:
    class Large(RestSource):
        broken = False

        async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
            if self.broken and previous is None:
                raise UpstreamError("no whole list within 600 s")
            return await super().read(previous, told)

    source = Large(server.url, None)
    async with edge(tmp_path, source, poll={"changes": "100ms", "full": "300ms"}) as e, at_work(e):
        source.broken = True
        await asyncio.sleep(0.4)
        feed(server).subscribers = [entry | {"state": "notice"} for entry in people("0")] + people(*range(1, 10))

        await until(lambda: "0" not in e.blocked)
    await source.close()


async def test_an_older_answer_that_comes_later_is_not_heeded(tmp_path: Path, server: FeedServer) -> None:
    class OneSlow(RestSource):
        slow = asyncio.Event()
        asked = asyncio.Event()

        async def read_one(self, subscriber: str) -> Subscriber | None:
            answer = await super().read_one(subscriber)
            if not self.asked.is_set():
                self.asked.set()
                await self.slow.wait()
            return answer

    source = OneSlow(server.url, None)
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        first = asyncio.create_task(e.service.recheck("0"))  # is told: blocked
        await source.asked.wait()
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}
        await e.service.recheck("0")
        source.slow.set()
        await first

        assert e.blocked == names(*range(1, 10))
    await source.close()
