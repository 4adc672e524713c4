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
    opened = RestSource(server.url, None, bounds=Bounds(request=2.0), clock=lambda: START)
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


async def test_what_an_accepted_list_changed_is_said(tmp_path: Path, server: FeedServer, source: RestSource) -> None:
    async with edge(tmp_path, source, guard={"first": "hold"}) as e:
        held = await e.service.sync()
        assert held.change is None
        assert str((await e.service.accept(held.snapshot)).change) == "10 blocked"
        feed(server).subscribers = people(*range(2, 13))

        assert str((await e.service.sync()).change) == "3 blocked, 2 opened"


async def test_a_shrunken_list_is_in_force_once_billing_says_of_each_who_is_missing_that_they_have_paid(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    server.feed = Feed(people(*range(10)), known=20)
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        server.feed = Feed(people(8, 9), known=20, active=names(*range(8)))

        result = await e.service.sync()

        assert result.outcome is Outcome.ACCEPTED
        assert str(result.change) == "8 opened"
        assert e.blocked == names(8, 9)


async def test_of_a_crowd_that_is_missing_no_more_are_asked_about_than_billing_can_bear(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    server.feed = Feed(people(*range(100)), known=1000)
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        server.feed = Feed([], known=1000, active=names(*range(100)))
        server.requests.clear()

        assert (await e.service.sync()).outcome is Outcome.HELD

        assert sum(request.startswith("GET /subscribers/") for request in server.requests) == 32
        assert len(e.blocked) == 100 - 32
        assert (await e.service.sync()).outcome is Outcome.HELD
        assert len(e.blocked) == 100 - 64, "others, the next time"


async def test_a_word_that_is_older_than_the_list_does_not_outlive_it(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}
        await e.service.recheck("0")
        feed(server).subscribers = people(*range(10))  # and owes again

        await e.service.sync()

        assert e.blocked == names(*range(10))


class Slow(RestSource):
    """One whose list is on its way until ``go`` is set."""

    def __init__(self, url: str) -> None:
        super().__init__(url, None)
        self.started, self.go = asyncio.Event(), asyncio.Event()

    async def read(self, previous: Any, told: Any = silent) -> Any:
        reading = await super().read(previous, told)
        self.started.set()
        await self.go.wait()
        return reading


async def test_who_has_paid_while_the_first_list_is_being_read_is_not_blocked_by_it(
    tmp_path: Path, server: FeedServer
) -> None:
    slow = Slow(server.url)
    async with edge(tmp_path, slow) as e:
        looking = asyncio.create_task(e.service.sync())
        await slow.started.wait()
        feed(server).subscribers = people(*range(1, 10))
        feed(server).active = {"0"}
        assert await e.service.recheck("0") is State.ACTIVE

        slow.go.set()
        await looking

        assert e.blocked == names(*range(1, 10))
    await slow.close()


async def test_a_word_that_was_held_does_not_hold_the_list_that_is_being_read(
    tmp_path: Path, server: FeedServer
) -> None:
    slow = Slow(server.url)
    slow.go.set()
    async with edge(tmp_path, slow) as e:
        await e.service.sync()
        slow.go.clear()
        slow.started.clear()
        feed(server).subscribers = people(*range(11))
        looking = asyncio.create_task(e.service.sync())
        await slow.started.wait()
        feed(server).subscribers += people("77", addresses=("203.0.113.10",))
        await e.service.recheck("77")
        assert e.service.counters.words_held == 1

        slow.go.set()

        assert (await looking).outcome is Outcome.ACCEPTED
        assert e.blocked == names(*range(11))
    await slow.close()


async def test_when_billing_was_reached_last_outlives_a_restart_and_is_noted_once_a_minute(
    tmp_path: Path, source: RestSource
) -> None:
    async def noted() -> float:
        database = Database(tmp_path / "edged.sqlite")
        await database.open()
        try:
            return await GuardMemoryStore(database).contact()
        finally:
            await database.close()

    async with edge(tmp_path, source) as e:
        await e.service.sync()
        e.passes(59)
        await e.service.sync()
        assert await noted() == START
        e.passes(3541)
        await e.service.sync()
        assert await noted() == START + 3600

    async with edge(tmp_path, source, now=START + 3600 + 100, stale={"after": "30m"}) as again:
        status = again.service.status()
        # time in which edged did not run is not counted
        assert (status.contact, status.health) == (START + 3600, Health.OK)
        assert 0 <= status.age < 10


async def test_an_edge_that_lost_its_database_counts_billings_silence_from_its_start(
    tmp_path: Path, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
    for path in tmp_path.glob("edged.sqlite*"):
        path.unlink()

    async with edge(tmp_path, source, now=START + 7200, stale={"after": "1h", "then": "open"}) as again:
        assert again.service.status().health is Health.OK
        assert again.blocked == names(*range(10))
        again.passes(3601)
        assert again.service.status().health is Health.STALE


async def test_an_edge_that_has_never_reached_billing_is_starting_and_not_stale(
    tmp_path: Path, source: RestSource
) -> None:
    async with edge(tmp_path, source, stale={"after": "1h", "then": "open"}) as e:
        assert e.service.status().health is Health.STARTING
        assert e.service.status().age == 0.0


async def test_a_failure_is_said_before_a_reading_that_is_held(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers = people(*range(100))
        await e.service.sync()
        assert e.service.status().health is Health.HELD
        server.faults = {"error"}

        await e.service.sync()

        assert e.service.status().health is Health.FAILING
        assert e.service.status().held is not None


async def test_stopping_leaves_the_last_word_on_disk(tmp_path: Path, server: FeedServer, source: RestSource) -> None:
    async with edge(tmp_path, source) as e:
        await e.service.sync()
        feed(server).subscribers += people("77")
        await e.service.recheck("77")

        await e.service.stop()

    async with edge(tmp_path, source) as again:
        assert again.blocked == names(*range(10), 77)


async def test_billing_that_is_down_is_left_alone_for_a_while_and_asked_as_before_once_it_is_back(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    server.faults = {"error"}
    async with edge(tmp_path, source, poll={"changes": "20ms"}) as e:
        polling = asyncio.create_task(e.service.run())
        await until(lambda: e.service.counters.refused == 1)
        await asyncio.sleep(0.5)
        assert e.service.counters.polls == 1, "the next attempt is some two seconds away"

        server.faults = set()
        await e.service.hear([], lists=True)
        async with asyncio.timeout(1.5):
            await until(lambda: e.service.counters.polls >= 5)
        polling.cancel()


async def test_a_reading_that_is_held_is_not_read_again_while_billing_says_that_nothing_changed(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source, poll={"changes": "20ms"}) as e:
        polling = asyncio.create_task(e.service.run())
        await until(lambda: e.blocked == names(*range(10)))
        feed(server).subscribers = people(*range(100))
        await until(lambda: e.service.counters.held == 1)

        unchanged = e.service.counters.unchanged
        await until(lambda: e.service.counters.unchanged >= unchanged + 3)

        polling.cancel()


async def test_a_full_reading_that_failed_is_due_again_at_the_next_poll(
    tmp_path: Path, server: FeedServer, source: RestSource
) -> None:
    async with edge(tmp_path, source, poll={"changes": "1h", "full": "500ms"}) as e:
        polling = asyncio.create_task(e.service.run())
        counters = e.service.counters
        await until(lambda: e.blocked == names(*range(10)))
        await asyncio.sleep(0.55)
        server.faults = {"error"}
        await e.service.hear([], lists=True)
        await until(lambda: counters.refused == 2)  # all of it, and what has changed
        server.faults = set()
        server.requests.clear()
        await asyncio.sleep(0.55)

        await e.service.hear([], lists=True)
        await until(lambda: "GET /subscribers" in server.requests)

        polling.cancel()


async def test_the_pause_between_two_polls_doubles_with_every_failure_to_five_minutes_and_no_fleet_asks_in_step(
    tmp_path: Path, source: RestSource
) -> None:
    async with edge(tmp_path, source, poll={"changes": "30s"}) as e:
        for failures, pause in enumerate((30.0, 60.0, 120.0, 240.0, 300.0, 300.0)):
            drawn = [e.service._delay(failures) for _ in range(200)]
            assert 0.8 * pause <= min(drawn) < 0.9 * pause
            assert 1.1 * pause < max(drawn) <= 1.2 * pause
        assert e.service._delay(10_000) <= 360.0
