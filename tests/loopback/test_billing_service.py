from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.billing.reading import silent
from edged.billing.settings import BillingSettings
from edged.billing.sources.rest import Bounds, RestSource
from edged.billing.status import Health, Outcome
from edged.errors import UpstreamError
from edged.model import Snapshot, State
from edged.state.database import Database
from edged.state.guard_memory import GuardMemory, GuardMemoryStore
from edged.values import parse_prefix
from tests.loopback.billing_edge import OWN, START, Killed, edge, names, people
from tests.loopback.feed_server import Feed, FeedServer, serve


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


async def test_a_first_list_is_held_until_exactly_it_is_accepted(tmp_path: Path, source: RestSource) -> None:
    async with edge(tmp_path, source, guard={"first": "hold"}) as e:
        held = await e.service.sync()
        assert held.outcome is Outcome.HELD
        assert held.text.endswith(f"edged sync --accept {held.snapshot}")
        assert e.published == []
        assert e.service.status().health is Health.HELD

        wrong = await e.service.accept("8812.00000000")
        assert wrong.outcome is Outcome.REFUSED
        assert held.snapshot in wrong.text
        assert e.published == []

        assert (await e.service.accept(held.snapshot)).outcome is Outcome.ACCEPTED
        assert e.blocked == names(*range(10))
        assert e.service.status().health is Health.OK
        assert (await e.service.sync()).outcome is Outcome.UNCHANGED
        assert (await e.service.accept(held.snapshot)).text == "no reading is held"


async def test_a_held_reading_can_be_accepted_after_a_restart(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source, guard={"first": "hold"}) as e:
        held = (await e.service.sync()).snapshot
    server.faults = {"error"}

    async with edge(tmp_path, source, guard={"first": "hold"}) as e:
        status = e.service.status().held
        assert status is not None
        assert (status.id, status.blocked) == (held, 10)
        assert (await e.service.accept(held)).outcome is Outcome.ACCEPTED
        assert e.blocked == names(*range(10))

    async with edge(tmp_path, source) as e:
        assert e.blocked == names(*range(10))
        assert e.service.status().held is None


async def test_a_restart_publishes_the_last_good_list_before_anything_is_asked(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
    server.faults = {"error"}
    server.requests.clear()

    async with edge(tmp_path, source) as e:
        assert e.blocked == names(*range(10))
        assert server.requests == []
        assert (await e.service.sync()).outcome is Outcome.FAILED
        assert e.service.status().health is Health.FAILING
        assert "answered 500" in e.service.status().error
        assert e.blocked == names(*range(10))


async def test_a_mass_block_is_held_and_the_last_good_list_stays(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(100))

        result = await e.service.sync()

        assert result.outcome is Outcome.HELD
        assert [(r.rule, r.count, r.limit) for r in result.reasons] == [("blocked", 90, 30)]
        assert e.blocked == names(*range(10))
        feed(server).subscribers = people(*range(11))
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        assert e.service.status().held is None


async def test_a_drip_is_refused_across_restarts(tmp_path: Path, server: FeedServer, source: RestSource) -> None:
    outcomes = []
    for step in range(1, 6):
        feed(server).subscribers = people(*range(step * 10))
        async with edge(tmp_path, source, now=START + step * 600) as e:
            outcomes.append((await e.service.sync()).outcome)

    # the first list is the operator's word, then 30 within a day
    assert outcomes == [Outcome.ACCEPTED] * 4 + [Outcome.HELD]


@pytest.mark.parametrize("step", ["before file", "after file", "before publish"])
async def test_a_kill_between_two_steps_forgets_nothing_and_counts_nothing_twice(
    tmp_path: Path, server: FeedServer, source: RestSource, step: str
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
    feed(server).subscribers = people(*range(30))
    async with edge(tmp_path, source, now=START + 60) as e:
        e.files.kill_at = step
        if step == "before publish":
            e.published = Murderous(e.published)
        with pytest.raises(Killed):
            await e.service.sync()

    async with edge(tmp_path, source, now=START + 120) as e:
        assert e.blocked == (names(*range(10)) if step == "before file" else names(*range(30)))
        await e.service.sync()
        assert e.blocked == names(*range(30))
        feed(server).subscribers = people(*range(40))
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        feed(server).subscribers = people(*range(41))
        assert (await e.service.sync()).outcome is Outcome.HELD


class Murderous(list[Snapshot]):
    def append(self, _snapshot: Snapshot) -> None:
        raise Killed


async def test_a_word_in_a_held_reading_opens_its_line_and_stays_open(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(2, 200)) + people(0, state="active") + people(1, state="notice")

        assert (await e.service.sync()).outcome is Outcome.HELD

        assert e.blocked == names(*range(2, 10))
        assert e.service.counters.lifts == 1
    async with edge(tmp_path, source) as e:
        assert e.blocked == names(*range(2, 10))


async def test_removed_since_a_revision_is_a_word_also_while_a_reading_is_held(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source, poll={"changes": "20ms"}) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(200))
        await e.service.sync()
        polling = asyncio.create_task(e.service.run())
        await until(lambda: e.service.counters.polls > 4)

        feed(server).subscribers = people(*range(3, 200))

        await until(lambda: e.blocked == names(*range(3, 10)))
        assert e.service.status().health is Health.HELD
        polling.cancel()


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def test_an_empty_list_is_held_but_who_is_answered_alone_as_active_is_opened(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = []
        feed(server).active = {"3"}

        assert (await e.service.sync()).outcome is Outcome.HELD
        assert e.blocked == names(*range(10)) - {"3"}

        feed(server).active = names(*range(10))
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        assert e.blocked == set()


async def test_the_pay_pages_second_look_opens_a_line_at_once(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}

        assert await e.service.recheck("0") is State.ACTIVE
        assert e.blocked == names(*range(1, 10))
        assert await e.service.recheck("1") is State.BLOCKED
        assert await e.service.recheck("none") is None
        assert e.blocked == names(*range(1, 10))


async def test_a_list_that_was_begun_before_a_payment_does_not_block_again(tmp_path: Path, server: FeedServer) -> None:
    class Slow(RestSource):
        started = asyncio.Event()
        go = asyncio.Event()

        async def read(self, previous: Any, told: Any = silent) -> Any:
            reading = await super().read(previous, told)
            self.started.set()
            await self.go.wait()
            return reading

    slow = Slow(server.url, None)
    slow.go.set()
    async with edge(tmp_path, slow) as e:
        await e.service.sync()
        slow.go.clear()
        slow.started.clear()
        looking = asyncio.create_task(e.service.sync())
        await slow.started.wait()
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}

        await asyncio.wait_for(e.service.recheck("0"), 1)
        assert e.blocked == names(*range(1, 10))

        slow.go.set()
        await looking
        assert e.blocked == names(*range(1, 10))
    await slow.close()


async def test_a_full_disk_blocks_nobody_new_and_keeps_no_payer_waiting(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(1, 12))
        e.files.full = True

        result = await e.service.sync()

        assert result.outcome is Outcome.FAILED
        assert e.blocked == names(*range(1, 10))
        e.files.full = False
        (tmp_path / ".snapshot.jsonl.new").rmdir()
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        assert e.blocked == names(*range(1, 12))


async def test_a_damaged_snapshot_is_refused_and_the_one_before_is_taken(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(12))
        await e.service.sync()
    path = tmp_path / "snapshot.jsonl"
    path.write_bytes(path.read_bytes()[:-30])

    async with edge(tmp_path, source) as e:
        assert e.blocked == names(*range(10))
        assert "snapshot.jsonl is damaged" in e.service.status().error
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        assert e.service.status().error == ""
    # the damaged file never became the older generation
    path.write_bytes(b"")
    async with edge(tmp_path, source) as e:
        assert e.blocked == names(*range(10))


async def test_an_edge_whose_lists_are_both_lost_holds_what_comes(tmp_path: Path, source: RestSource) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
    for path in tmp_path.glob("snapshot*"):
        path.write_bytes(b"rubbish")

    async with edge(tmp_path, source) as e:
        assert e.published == []
        assert [r.rule for r in (await e.service.sync()).reasons] == ["lost"]


async def test_a_prefix_of_the_network_itself_is_never_published_even_when_accepted(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers += people("wide", addresses=("0.0.0.0/0", "100.64.1.1", "203.0.113.10"))
        held = await e.service.sync()
        assert [(r.rule, r.sample) for r in held.reasons] == [
            ("too-wide", ("wide",)),
            ("own-address", ("wide",)),
        ]

        await e.service.accept(held.snapshot)

        assert e.published[-1].subscribers[-1].addresses == (parse_prefix("100.64.1.1"),)
        assert (await e.service.sync()).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize(("then", "left"), [("hold", 10), ("open", 0)])
async def test_a_silent_billing_system_holds_or_opens_and_its_return_restores(
    tmp_path: Path, server: FeedServer, source: RestSource, then: str, left: int
) -> None:
    async with edge(tmp_path, source, stale={"after": "1h", "then": then}) as e:
        await e.service.sync()
        server.faults = {"error"}
        e.passes(3000)
        await e.service.sync()
        assert len(e.blocked) == 10
        e.passes(700)

        await e.service.sync()

        assert e.service.status().health is Health.STALE
        assert len(e.blocked) == left
        stale = e.now
    async with edge(tmp_path, source, stale={"after": "1h", "then": then}, now=stale) as e:
        assert len(e.blocked) == left
        server.faults = set()
        await e.service.sync()
        assert len(e.blocked) == 10
        assert e.service.status().health is Health.OK


async def test_polling_follows_billing_and_outlives_its_failures(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source, poll={"changes": "20ms"}) as e:
        polling = asyncio.create_task(e.service.run())
        await until(lambda: e.blocked == names(*range(10)))
        server.faults = {"truncated"}
        feed(server).subscribers = people(*range(12))
        await until(lambda: e.service.counters.refused >= 1)
        assert not polling.done()

        server.faults = set()

        await until(lambda: e.blocked == names(*range(12)))
        polling.cancel()


async def test_keys_reach_the_publisher_and_never_the_snapshot_file(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    feed(server).keys = [{"id": "k", "ssid": "Residence", "passphrase": "canary-passphrase"}]
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        assert len(e.published[-1].keys or ()) == 1
        feed(server).subscribers = people(*range(500))
        await e.service.sync()
    assert (tmp_path / "held.jsonl").exists()
    assert not [p for p in tmp_path.iterdir() if p.is_file() and b"canary" in p.read_bytes()]

    async with edge(tmp_path, source) as e:
        loaded = e.published[-1]
        assert loaded.keys is None
        feed(server).subscribers = people(*range(10))
        await e.service.sync()
        assert len(e.published[-1].keys or ()) == 1


async def test_what_could_not_be_published_is_published_at_the_next_contact(tmp_path: Path, source: RestSource) -> None:
    class Failing(list[Snapshot]):
        def append(self, _snapshot: Snapshot) -> None:
            raise UpstreamError("database: it is locked")

    async with edge(tmp_path, source) as e:
        e.published = Failing()
        assert (await e.service.sync()).outcome is Outcome.FAILED
        e.published = []
        await e.service.sync()
        assert e.blocked == names(*range(10))


async def test_a_state_directory_restored_from_backup_is_judged_like_any_other(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    directory, backup = tmp_path / "state", tmp_path / "backup"
    directory.mkdir()
    async with edge(directory, source) as e:
        await e.service.sync()
    shutil.copytree(directory, backup)
    feed(server).subscribers = people(*range(5, 60))

    async with edge(backup, source) as e:
        assert (await e.service.sync()).outcome is Outcome.HELD


async def test_the_guards_memory_survives_in_the_database(tmp_path: Path) -> None:
    memory = GuardMemory({"a": 1.5}, {"b": 2.5, "a": 3.5}, 4120, 90, ((1.0, 3), (2.0, 4)), started=True, accepted="x.y")
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    store = GuardMemoryStore(database)
    assert await store.load() == GuardMemory()
    await store.save(memory)
    await store.note_contact(START)
    await database.close()

    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    assert await GuardMemoryStore(database).load() == memory
    assert await GuardMemoryStore(database).contact() == START
    await database.close()


async def test_new_own_addresses_are_cleared_at_the_next_contact(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    feed(server).subscribers = people("a", addresses=("100.64.1.1", "100.64.1.2"))
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        settings = BillingSettings.model_validate({"source": "rest", "url": "https://billing.example.net"})

        e.service.reconfigure(settings, (*OWN, parse_prefix("100.64.1.2")))
        await e.service.sync()

        assert e.published[-1].subscribers[0].addresses == (parse_prefix("100.64.1.1"),)


async def test_accepting_a_held_reading_does_not_block_again_who_has_paid_meanwhile(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(100))
        held = await e.service.sync()
        assert held.outcome is Outcome.HELD
        feed(server).subscribers = [{**p, "state": "active"} if p["id"] == "3" else p for p in people(*range(100))]
        await e.service.recheck("3")

        assert (await e.service.accept(held.snapshot)).outcome is Outcome.ACCEPTED
        assert "3" not in e.blocked
        assert "50" in e.blocked
