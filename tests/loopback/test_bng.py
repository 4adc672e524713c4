# SPDX-License-Identifier: Apache-2.0
"""The target ``radius`` over real sockets, towards a stand-in BNG that keeps its lists: see tests/bng_world.py."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edged.enforce.bng import ledger
from edged.enforce.desired import Desired, desired
from edged.enforce.diff import diff
from edged.enforce.rules import Rules
from edged.enforce.service import EnforceService
from edged.enforce.settings import TargetSettings
from edged.enforce.targets import TARGETS, Target
from edged.enforce.targets.radius import Memory, RadiusTarget
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import attribute, text
from edged.radius.packet import Code
from edged.state.current import Current
from edged.state.database import Database
from edged.state.sessions import Session, SessionStore, Status
from edged.state.told import KEEP_TOLD, Told, ToldStore
from edged.values import Secret, host_prefix, parse_address, parse_prefix
from tests.bng_world import SECRET, Bng, session, settings

RULES = Rules()
NETWORKS = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10", "2001:db8::/32"]})
QUICK = (0.05, 0.05)


def view(*blocked: str) -> View:
    """Everybody of ``blocked`` by address."""
    subscribers = tuple(Subscriber(f"c-{a}", State.BLOCKED, addresses=(parse_prefix(a),)) for a in blocked)
    return View(compile_table(Snapshot("s", "1", 0.0, subscribers), NETWORKS))


@dataclass
class Lost:
    """A memory that is a list, and that may fail."""

    rows: dict[tuple[str, str], Told] = field(default_factory=dict)
    fails: bool = False
    free: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False
    """Until ``free``."""

    async def load(self, _target: str, _now: float) -> list[Told]:
        self._fail()
        return list(self.rows.values())

    async def save(self, _target: str, rows: Sequence[Told], gone: Any) -> None:
        self._fail()
        if self.hangs:
            await self.free.wait()
        self.rows.update({(row.nas, row.session): row for row in rows})
        for key in gone:
            self.rows.pop(key, None)

    def _fail(self) -> None:
        if self.fails:
            raise UpstreamError("database: disk is full")


class Desk:
    """edged around one target: who is blocked, which sessions run, and one enforcement service."""

    def __init__(self, port: int, memory: Memory | None = None, **more: Any) -> None:
        entry = TargetSettings.model_validate({"radius": {"nas": "127.0.0.1", "secret": SECRET, "port": port} | more})
        assert entry.kind == "radius"
        assert entry.radius is not None
        self.current = Current()
        self.target = RadiusTarget(entry.radius, waits=QUICK)
        self.memory = memory or Lost()
        self.target.follow(self.is_blocked, self.memory)
        self.service = EnforceService({self.target.name: self.target}, RULES, current=self.current, every=0.05)

    def is_blocked(self, one: Session) -> bool:
        decision = self.current.view.decide(parse_address(one.ipv4), time.time())
        return decision.access.value == "blocked"

    def blocks(self, *addresses: str) -> None:
        self.current.publish(view(*addresses))

    def hears(self, *sessions: Session) -> None:
        self.target.heard(sessions)

    @property
    def health(self) -> Any:
        return self.service.status()[self.target.name]

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        await self.service.start()
        task = asyncio.create_task(self.service.run())
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.service.stop()


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def now_session(name: str = "s-1", **more: Any) -> Session:
    return session(name, **({"started": time.time() - 60, "updated": time.time()} | more))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "REFUSED_WAITS", (0.1, 0.2))
    monkeypatch.setattr(ledger, "SILENT_WAITS", (0.1, 0.2))
    monkeypatch.setattr(ledger, "PAUSES", (0.1, 0.2))
    monkeypatch.setattr(ledger, "MARGIN", 0.05)


async def test_a_payment_moves_the_session_to_the_other_list_and_the_line_counts_as_lifted_then() -> None:
    async with Bng() as bng:
        desk, one = Desk(bng.port), now_session()
        bng.has(one)
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
            line = desk.current.view.line_at(parse_address("100.64.1.7"))
            assert not desk.service.lifted(line)
            assert await desk.service.in_place(parse_address("100.64.1.7")) == {"127.0.0.1": True}

            bng.silent = True
            desk.blocks()
            await asyncio.sleep(0.2)
            assert not desk.service.lifted(line), "the BNG has not said so"
            bng.silent = False

            await until(lambda: desk.service.lifted(line))
            assert bng.lists() == {"s-1": "edged-open"}
            assert await desk.service.in_place(parse_address("100.64.1.7")) == {"127.0.0.1": False}


async def test_a_request_names_the_session_as_accounting_spelled_it_and_says_when() -> None:
    async with Bng() as bng:
        desk, one = Desk(bng.port), now_session(login="anna@example.net")
        bng.has(one)
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: bng.acted)

    (packet,) = bng.heard
    assert packet.code is Code.COA_REQUEST
    assert text(packet.attributes, "Acct-Session-Id") == "s-1"
    assert text(packet.attributes, "User-Name") == "anna@example.net"
    assert text(packet.attributes, "Mikrotik-Address-List") == "edged-blocked"


async def test_a_session_that_begins_while_its_subscriber_is_blocked_is_told_at_once() -> None:
    async with Bng() as bng:
        desk, one = Desk(bng.port), now_session()
        desk.blocks("100.64.1.7")
        desk.service._every = 60.0  # not at the next comparison
        async with desk.at_work():
            await until(lambda: desk.health.ok)
            bng.has(one)
            began = time.monotonic()
            desk.hears(one)
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
            assert time.monotonic() - began < 3.0, "at once, and not at the next comparison"


async def test_sessions_of_another_nas_are_told_nothing() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port)
        others = [
            now_session(f"o-{n}", nas=nas)
            for n, nas in enumerate(("10.0.0.1", "127.0.0.1@10.0.0.1", "127.0.0.10", "127.0.0.1/x"))
        ]
        own = [now_session(f"s-{n}", nas=nas) for n, nas in enumerate(("127.0.0.1", "a@b@127.0.0.1", "127.0.0.1/bng"))]
        bng.has(*others, *own)
        desk.blocks("100.64.1.7")
        desk.hears(*others, *own)
        async with desk.at_work():
            await until(lambda: len(bng.acted) == 3)
            await until(lambda: desk.health.ok)

    assert {name for name, _ in bng.acted} == {"s-0", "s-1", "s-2"}


async def test_a_client_named_in_the_settings_says_whose_sessions_they_are() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port, client="proxy")
        sessions = [now_session("s-1", nas="10.0.0.1", client="proxy"), now_session("s-2", client="bng")]
        bng.has(*sessions)
        desk.blocks("100.64.1.7")
        desk.hears(*sessions)
        async with desk.at_work():
            await until(lambda: bng.acted)
            await until(lambda: desk.health.ok)

    assert bng.acted == [("s-1", "edged-blocked")]


async def test_a_refusal_shows_in_health_with_the_name_and_goes_when_the_bng_takes_it() -> None:
    async with Bng() as bng:
        desk, one, two = Desk(bng.port), now_session(), now_session("s-2", login="bert", ipv4="100.64.1.8")
        bng.has(one, two)
        bng.refuses = {"s-1": 506}
        desk.blocks("100.64.1.7", "100.64.1.8")
        desk.hears(one, two)
        async with desk.at_work():
            await until(lambda: desk.health.error)
            assert "NAK 506 Resources-Unavailable (anna)" in desk.health.error
            assert (desk.health.ok, desk.health.wanted, desk.health.actual) == (False, 2, 1)
            assert bng.lists()["s-2"] == "edged-blocked", "the other one is told all the same"
            # what is refused for one keeps nobody else from being seen open
            desk.blocks("100.64.1.7")
            await until(lambda: bng.lists()["s-2"] == "edged-open")
            await until(lambda: desk.service.lifted(desk.current.view.line_at(parse_address("100.64.1.8"))))
            bng.refuses = {}
            await until(lambda: desk.health.ok)
            assert bng.lists() == {"s-1": "edged-blocked", "s-2": "edged-open"}
            # who is not opened is not missing among the blocked
            bng.refuses = {"s-1": 506}
            desk.blocks()
            await until(lambda: desk.health.error)
            assert (desk.health.wanted, desk.health.actual) == (0, 0)
            assert desk.target.shortfall is not None
            assert desk.target.shortfall.missing == 0


@pytest.mark.parametrize("secret", [Secret(b"another"), SECRET])
async def test_a_bng_that_does_not_answer_is_named_and_told_everything_when_it_does(secret: Secret) -> None:
    async with Bng(secret=secret, silent=secret == SECRET) as bng:
        desk = Desk(bng.port, rate=1000)
        sessions = [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.2.{n}") for n in range(40)]
        bng.has(*sessions)
        desk.blocks("100.64.2.0/24")
        desk.hears(*sessions)
        async with desk.at_work():
            await until(lambda: "no answer" in desk.health.error)
            before = bng.dropped
            await asyncio.sleep(0.5)
            assert bng.dropped - before < 15, "it is left alone"
            bng.silent, bng.secret = False, SECRET
            await until(lambda: set(bng.lists().values()) == {"edged-blocked"})
            await until(lambda: desk.health.ok)


async def test_lost_and_repeated_datagrams_change_nothing_in_the_end() -> None:
    fates = random.Random(4711)
    async with Bng(loses=lambda _n: fates.choice(["request", "reply", "twice", ""])) as bng:
        desk = Desk(bng.port, rate=1000)
        sessions = [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.2.{n}") for n in range(20)]
        bng.has(*sessions)
        desk.blocks("100.64.2.0/24")
        desk.hears(*sessions)
        async with desk.at_work():
            await until(lambda: set(bng.lists().values()) == {"edged-blocked"}, 30)
            desk.blocks()
            await until(lambda: set(bng.lists().values()) == {"edged-open"}, 30)
            await until(lambda: desk.health.ok)


async def test_a_bng_that_restarts_has_new_sessions_and_each_is_told() -> None:
    async with Bng() as bng:
        desk, one = Desk(bng.port), now_session()
        bng.has(one)
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
            bng.sessions.clear()  # its Accounting-On is lost, and it counts from 1 again
            again = now_session(started=time.time(), updated=time.time())
            bng.has(again)
            desk.hears(again)
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
            await until(lambda: desk.health.ok)


async def test_a_session_that_the_bng_does_not_have_is_a_warning_and_keeps_nobody_up() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port)
        desk.blocks("100.64.1.7")
        desk.hears(now_session())
        async with desk.at_work():
            await until(lambda: any("unknown to it" in text for text in desk.target.warnings))
            await until(lambda: desk.health.ok)
            assert "anna" in desk.target.warnings[0]


# --- over a restart ---------------------------------------------------------------------------------


async def test_who_paid_while_edged_was_down_is_opened_and_the_others_are_not_told_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    async with Bng() as bng:
        sessions = [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.1.{n}") for n in range(3)]
        bng.has(*sessions)
        first = Desk(bng.port, ToldStore(database))
        first.blocks("100.64.1.0", "100.64.1.1")
        first.hears(*sessions)
        async with first.at_work():
            await until(lambda: sorted(bng.lists().values()) == ["", "edged-blocked", "edged-blocked"])
            await until(lambda: first.health.ok)
        bng.acted.clear()

        second = Desk(bng.port, ToldStore(database))
        second.hears(*sessions)
        assert await second.target.read() is not None, "something of ours is there"
        second.blocks("100.64.1.1")
        async with second.at_work():
            await until(lambda: second.health.ok)
            await until(lambda: bng.acted)
        assert bng.acted == [("s-0", "edged-open")]
        assert bng.lists() == {"s-0": "edged-open", "s-1": "edged-blocked", "s-2": ""}
    await database.close()


async def test_watching_opens_what_was_blocked(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    async with Bng() as bng:
        one = now_session()
        bng.has(one)
        first = Desk(bng.port, ToldStore(database))
        first.blocks("100.64.1.7")
        first.hears(one)
        async with first.at_work():
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})

        second = Desk(bng.port, ToldStore(database))  # nobody is blocked for who acts upon a view while watching
        second.hears(one)
        bng.silent = True
        await second.target.lift()
        await asyncio.sleep(0.2)
        bng.silent = False
        await until(lambda: bng.lists() == {"s-1": "edged-open"})
        await second.target.close()
        assert await ToldStore(database).load("127.0.0.1", time.time()) == []
    await database.close()


async def test_a_session_whose_name_was_no_text_is_named_in_health() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port)
        desk.blocks("100.64.1.7")
        desk.hears(now_session("s-\ufffd", login="anna\x1b[2J"))
        async with desk.at_work():
            await until(lambda: "not UTF-8 text (anna?[2J)" in desk.health.error)
    assert bng.heard == []


async def test_a_session_that_has_none_of_the_names_that_are_to_name_it_is_named_in_health() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port, identify=["Framed-IP-Address"])
        desk.service._current.publish(view("2001:db8::/64"))
        desk.target.follow(lambda _one: True, desk.memory)
        desk.hears(now_session(ipv4="", ipv6="2001:db8::/64"))
        async with desk.at_work():
            await until(lambda: "its accounting has no Framed-IP-Address (anna)" in desk.health.error)
    assert bng.heard == []


async def test_with_no_list_at_all_nobody_is_opened_after_a_start() -> None:
    memory, one = Lost(), now_session()
    memory.rows[one.nas, one.session] = Told(
        "127.0.0.1", one.nas, one.session, one.started, True, "Mikrotik-Address-List=edged-blocked", 0.0
    )
    async with Bng() as bng:
        bng.has(one)
        desk = Desk(bng.port, memory)
        desk.current.publish(View(compile_table(None, NETWORKS)))
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: "there is no list yet" in desk.health.error)
            await asyncio.sleep(0.2)
    assert bng.heard == []


async def test_nobody_is_blocked_who_could_be_forgotten_and_who_has_paid_is_opened_all_the_same() -> None:
    async with Bng() as bng:
        memory, sessions = Lost(), [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.1.{n}") for n in range(2)]
        desk = Desk(bng.port, memory)
        bng.has(*sessions)
        desk.blocks("100.64.1.0")
        desk.hears(*sessions)
        async with desk.at_work():
            await until(lambda: bng.lists()["s-0"] == "edged-blocked")
            await until(lambda: desk.health.ok)
            memory.fails = True
            desk.blocks("100.64.1.1")
            await until(lambda: "disk is full" in desk.health.error)
            await until(lambda: bng.lists()["s-0"] == "edged-open")
            assert bng.lists()["s-1"] == ""
            memory.fails = False
            await until(lambda: bng.lists()["s-1"] == "edged-blocked")


async def test_who_has_paid_is_not_on_record_as_blocked_once_the_bng_is_asked_to_open() -> None:
    """A kill may come at any time, and who is blocked again while edged is down must be told so again."""
    async with Bng() as bng:
        memory, one = Lost(), now_session()
        desk, seen = Desk(bng.port, memory), list[bool]()

        def looks(_number: int) -> str:
            seen.extend(row.acknowledged for row in memory.rows.values())
            return ""

        bng.has(one)
        bng.loses = looks
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: desk.health.ok and [row.acknowledged for row in memory.rows.values()] == [True])
            desk.blocks()
            await until(lambda: bng.lists() == {"s-1": "edged-open"})
            await until(lambda: memory.rows == {})
    assert seen == [False, False]


async def test_a_disk_that_hangs_keeps_nobody_waiting_who_has_paid() -> None:
    async with Bng() as bng:
        memory = Lost()
        sessions = [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.2.{n}") for n in range(40)]
        desk = Desk(bng.port, memory, rate=1000)
        bng.has(*sessions)
        desk.blocks("100.64.2.0")
        desk.hears(*sessions)
        async with desk.at_work():
            await until(lambda: desk.health.ok and all(row.acknowledged for row in memory.rows.values()))
            memory.hangs = True
            desk.blocks(*(f"100.64.2.{n}" for n in range(1, 40)))
            await until(lambda: bng.lists()["s-0"] == "edged-open")
            await until(lambda: "database: it is busy" in desk.health.error)
            assert [name for name, on in bng.lists().items() if on == "edged-blocked"] == []
            memory.hangs = False
            memory.free.set()
            await until(lambda: desk.health.ok and len(memory.rows) == 39)


async def test_what_is_being_written_when_edged_stops_is_written() -> None:
    async with Bng() as bng:
        memory, one = Lost(), now_session()
        desk = Desk(bng.port, memory)
        bng.has(one)
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: desk.health.ok and [row.acknowledged for row in memory.rows.values()] == [True])
            memory.hangs = True
            desk.blocks()
            await until(lambda: bng.lists() == {"s-1": "edged-open"})
            await until(lambda: desk.target.sessions["blocked"] == 0)
            await asyncio.sleep(0.05)  # the writing has begun
            memory.hangs = False
    assert memory.rows == {}


async def test_the_record_is_taken_once_and_whole_whoever_asks_for_it() -> None:
    """Read again, it would say of who has been opened meanwhile that they are blocked."""
    memory, at, reads = Lost(), time.time(), list[float]()
    for n in range(250):
        one = now_session(f"s-{n}", started=at)
        memory.rows[one.nas, one.session] = Told("127.0.0.1", one.nas, one.session, one.started, True, "", at)

    class Counted(Lost):
        async def load(self, target: str, now: float) -> list[Told]:
            reads.append(now)
            await asyncio.sleep(0)
            return await super().load(target, now)

    desk = Desk(9, Counted(memory.rows))
    desk.hears(*(now_session(f"s-{n}", started=at) for n in range(250)))
    desk.target.heard([now_session("asleep", started=at, stopped=at, silent=1)])
    await asyncio.gather(desk.target.read(), desk.target.read())

    assert len(reads) == 1
    assert desk.target.sessions["blocked"] == 250


async def test_a_record_that_cannot_be_purged_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.state.database._BUSY_MS", 50)
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    row = Told("bng", "nas", "s-1", 0.0, True, "", time.time())
    await ToldStore(database).save("bng", [row], [])
    other = sqlite3.connect(tmp_path / "edged.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert await ToldStore(database).load("bng", time.time()) == [row]
    other.close()
    await database.close()


async def test_watching_opens_what_was_blocked_once_the_record_can_be_read() -> None:
    async with Bng() as bng:
        one = now_session()
        bng.has(one)
        memory = Lost({(one.nas, "s-1"): Told("127.0.0.1", one.nas, "s-1", one.started, True, "", time.time())})
        memory.fails = True
        desk = Desk(bng.port, memory)
        desk.hears(one)
        with pytest.raises(UpstreamError):
            await desk.target.lift()
        memory.fails = False
        desk.hears(one)
        await until(lambda: bng.lists() == {"s-1": "edged-open"})
        await desk.target.close()
    assert memory.rows == {}


@pytest.mark.parametrize("blocked", [True, False])
async def test_what_another_attribute_has_done_to_a_session_is_undone(blocked: bool) -> None:
    memory, one = Lost(), now_session()
    memory.rows[one.nas, "s-1"] = Told(
        "127.0.0.1", one.nas, "s-1", one.started, True, "Mikrotik-Address-List=edged-blocked", time.time()
    )
    async with Bng() as bng:
        bng.has(one)
        desk = Desk(bng.port, memory, attribute="Filter-Id", blocked="garden", open="plain")
        desk.blocks(*["100.64.1.7"] * blocked)
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: bng.acted)
            await until(lambda: desk.health.ok)
    (packet,) = bng.heard
    assert text(packet.attributes, "Mikrotik-Address-List") == "plain"
    assert text(packet.attributes, "Filter-Id") == ("garden" if blocked else "plain")


async def test_a_session_that_another_configuration_has_put_into_a_pool_is_ended() -> None:
    memory, one = Lost(), now_session()
    memory.rows[one.nas, "s-1"] = Told(
        "127.0.0.1", one.nas, "s-1", one.started, True, "Framed-Pool=edged-blocked", time.time()
    )
    async with Bng() as bng:
        bng.has(one)
        desk = Desk(bng.port, memory)
        desk.blocks()
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: bng.acted == [("s-1", "end")])
    assert bng.heard[0].code is Code.DISCONNECT_REQUEST
    assert text(bng.heard[0].attributes, "Mikrotik-Address-List") == "", "an end has nothing else to say"


async def test_a_row_of_a_session_that_still_runs_is_kept_however_old_it_is(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    store, now = ToldStore(database), time.time()
    rows = [Told("bng", "nas", name, 0.0, True, "", now - 2 * KEEP_TOLD) for name in ("runs", "stopped", "unheard")]
    await store.save("bng", rows, [])
    sessions = SessionStore(database)
    for status, name in ((Status.START, "runs"), (Status.START, "stopped"), (Status.STOP, "stopped")):
        await sessions.record(status, nas="nas", session=name, at=1.0)

    assert [row.session for row in await store.load("bng", now)] == ["runs"]
    assert await store.load("another", now) == []
    await store.save("bng", [], [("nas", "runs")])
    assert await store.load("bng", now) == []
    await database.close()


# --- the other ways ---------------------------------------------------------------------------------


async def test_a_filter_that_accounting_shows_is_believed() -> None:
    async with Bng(attribute="Filter-Id") as bng:
        desk, one = Desk(bng.port, attribute="Filter-Id", blocked="garden", open="plain"), now_session()
        bng.has(one)
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: bng.lists() == {"s-1": "garden"})
            await until(lambda: desk.health.ok)
            bng.sessions["s-1"].list = "plain"  # by an operator's hand
            report = (attribute("Acct-Session-Id", "s-1"), attribute("Filter-Id", "plain"))
            desk.target.heard([replace(one, updated=time.time() + 1)], report)
            await until(lambda: bng.lists() == {"s-1": "garden"})
            assert desk.target.requests.reverted == 1


async def test_a_session_leaves_the_wrong_pool_and_is_left_alone_in_the_right_one() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port, attribute="Framed-Pool", pool=["100.64.255.0/24"])
        one, count = now_session(), iter(range(2, 99))

        def comes_back(name: str, _line: Any) -> None:
            """The operator's RADIUS server gives the pool of the state; the NAS reports the end and the beginning."""
            pool = "255" if "anna" in debtors else "1"
            new = now_session(f"s-{next(count)}", ipv4=f"100.64.{pool}.7", started=time.time())
            bng.has(new)
            ended = [s for s in running if s.session == name]
            running[:] = [new]
            desk.blocks(*(f"100.64.{pool}.7" for _ in debtors))
            desk.hears(*(replace(s, stopped=time.time()) for s in ended), new)

        debtors, running = {"anna"}, [one]
        bng.ended = comes_back
        bng.has(one)
        desk.blocks("100.64.1.7")
        desk.hears(one)
        async with desk.at_work():
            await until(lambda: [line.ipv4 for line in bng.sessions.values()] == ["100.64.255.7"])
            await asyncio.sleep(0.3)
            assert len(bng.acted) == 1, "it is where it should be"
            debtors.clear()
            desk.blocks()
            await until(lambda: [line.ipv4 for line in bng.sessions.values()] == ["100.64.1.7"])
            await until(lambda: desk.health.ok)
    assert [packet.code for packet in bng.heard] == [Code.DISCONNECT_REQUEST] * 2
    named = {1, 8, 44, 55, 80}  # who, when, and the signature
    assert {one.type for packet in bng.heard for one in packet.attributes} == named, "an end has nothing else to say"


# --- as a target ------------------------------------------------------------------------------------


def wanted(*addresses: str) -> Desired:
    return desired(view(*addresses), RULES, time.time())


async def test_what_the_service_asks_of_every_target_is_answered() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port)
        target: Target = desk.target
        one = now_session(ipv6="2001:db8:1::/64", delegated="2001:db8:2::/56", mac="02:00:5e:10:00:01")
        bng.has(one)
        assert "no session is known there" in target.warnings[0]
        desk.blocks("100.64.1.7")
        desk.hears(one)
        await target.start(RULES)
        assert await target.read() is None
        plan = diff(wanted("100.64.1.7"), None, target.carries)
        assert target.render(wanted("100.64.1.7"), plan) == (
            f"CoA-Request 127.0.0.1:{bng.port} Acct-Session-Id=s-1 User-Name=anna Mikrotik-Address-List=edged-blocked"
        )
        assert await target.apply(wanted("100.64.1.7"), plan)
        assert bng.lists() == {"s-1": "edged-blocked"}, "the first answers are waited for"
        for address in ("100.64.1.7", "2001:db8:1::9", "2001:db8:2:7::1"):
            assert await target.contains(parse_address(address))
        with pytest.raises(UpstreamError):
            await target.contains(parse_address("100.64.1.8"))
        actual = await target.read()
        assert diff(wanted("100.64.1.7"), actual, target.carries).empty
        await target.admit([(parse_address("203.0.113.99"), 30.0)])
        await target.vouch(5.0)
        await target.set_aside(parse_address("100.64.1.7"), parse_address("203.0.113.99"), 5.0)
        assert await target.counters() == {}
        desk.hears(replace(one, stopped=time.time()))
        assert desk.target._places.around(host_prefix(parse_address("100.64.1.7"))) == set(), "it is nowhere"
        await target.close()


async def test_a_fault_of_ours_in_telling_ends_us_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_now: float) -> None:
        raise ZeroDivisionError

    desk = Desk(9)
    monkeypatch.setattr(desk.target._ledger, "take", fails)
    await desk.target.apply(wanted(), diff(wanted(), None, desk.target.carries))
    await asyncio.sleep(0.01)

    with pytest.raises(ExceptionGroup):
        await desk.target.read()
    await desk.target.close()  # and what else stops, stops


async def test_requests_keep_to_the_rate() -> None:
    async with Bng() as bng:
        desk = Desk(bng.port, rate=40)
        sessions = [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.2.{n}") for n in range(20)]
        bng.has(*sessions)
        desk.blocks("100.64.2.0/24")
        desk.hears(*sessions)
        async with desk.at_work():
            began = time.monotonic()
            await until(lambda: len(bng.acted) == 20)
            assert time.monotonic() - began > 0.45


def test_the_table_of_targets_makes_one_from_its_entry() -> None:
    entry = TargetSettings.model_validate({"radius": {"nas": "192.0.2.5", "secret": "s"}})

    assert TARGETS["radius"](entry).name == "192.0.2.5"
    assert settings(attribute="Filter-Id").blocked == "edged-blocked"
