# SPDX-License-Identifier: Apache-2.0
"""``edged log``, of a whole house: what befalls a line is noted where it is decided, and told without a daemon too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.cli import main
from edged.daemon import House
from edged.model import Access, Event, EventType, Snapshot, State, Subscriber
from edged.mpsk.memory import Stale
from edged.ops.control import Refused
from edged.ops.life.service import Lives
from edged.state.database import Database
from edged.state.life import Deed
from edged.state.settings import LifeSettings
from edged.values import MacAddress, parse_address, parse_prefix
from tests.loopback.house import ONE_LIST, ask, at_work, written

ANA = Subscriber("1001", State.BLOCKED, "unpaid", 0.0, (parse_prefix("127.0.0.2"),), logins=("ana@fibre",))
BEN = Subscriber("1002", State.BLOCKED, "unpaid", 0.0, (parse_prefix("127.0.0.3"),))
PAID, MOVED = replace(ANA, state=State.ACTIVE), replace(ANA, addresses=(parse_prefix("127.0.0.9"),))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with at_work(written(tmp_path, ONE_LIST, ANA, BEN)) as house:
        # the list of before the start is no news to the recorder: it has to have looked
        while not house.recorder.counts[Access.BLOCKED]:
            await asyncio.sleep(0.005)
        yield house


async def told(house: House, subject: str = "1001", **more: Any) -> list[tuple[str, str, str]]:
    answer = await ask(house, "log", subject=subject, **more)
    return [(entry["what"], entry["who"], entry["detail"]) for entry in answer["entries"]]


async def noted(house: House) -> int:
    ((count,),) = await house.database.read("SELECT count(*) FROM life")
    return int(count) + len(house.lives._queue)


async def billing_says(house: House, said: Subscriber) -> None:
    """Billing's word on one subscriber, in force and followed by who notes it."""
    before, table = await noted(house), house.current.view.table
    others = tuple(one for one in table.subscribers.values() if one.id != said.id)
    await house._publish(Snapshot("8813.bb", "8813", time.time(), (*others, said), known=100), (said,))
    async with asyncio.timeout(5):
        # the recorder follows in a task of its own
        while await noted(house) == before:
            await asyncio.sleep(0.005)


async def test_the_life_of_a_line_is_blocked_page_pay_pass_open_in_that_order(house: House) -> None:
    await billing_says(house, PAID)
    await billing_says(house, ANA)
    now = time.time()
    for kind in (EventType.PAGE_OPENED, EventType.PAGE_OPENED, EventType.PAY_CLICKED):
        house.captive._tell(Event(kind, now, "1001"))
    await ask(house, "pass", subscriber="1001", why="the bank's page fails", who="desk")
    await billing_says(house, PAID)

    assert await told(house) == [
        ("open", "billing", ""),
        ("blocked", "billing", "unpaid"),
        ("page opened", "subscriber", ""),
        ("pay pressed", "subscriber", ""),
        ("pass", "desk", "the bank's page fails"),
        ("open", "billing", ""),
    ]
    with pytest.raises(Refused, match='nothing is recorded of "1002"'):
        await told(house, "1002")


async def test_who_moves_while_blocked_is_noted_with_both_addresses(house: House) -> None:
    await billing_says(house, MOVED)

    assert await told(house) == [("moved", "", "from 127.0.0.2 to 127.0.0.9")]
    assert await told(house, "127.0.0.9") == await told(house, "ana@fibre") == await told(house)


async def test_an_operators_word_is_told_once_and_its_end_too(house: House) -> None:
    await ask(house, "unblock", subscriber="1001", why="pays on Friday", who="desk")
    await ask(house, "unblock", subscriber="1001", why="paid already", who="desk", end=True)
    async with asyncio.timeout(5):
        while len(found := await told(house)) < 3:
            await asyncio.sleep(0.005)

    assert found == [
        ("unblock (promise)", "desk", "pays on Friday"),
        ("end override", "desk", "paid already"),
        ("blocked", "billing", "unpaid"),
    ]


async def test_the_time_from_billings_word_to_an_open_line_is_told_in_seconds(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.recorder._restored("1001", 11.2)

    answer = await ask(house, "log", subject="1001")
    assert answer["entries"][0]["seconds"] == 11.2
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["log", "1001", "-c", house.loaded.document.path]) == 0
    assert "restored 11 s after billing's word\n" in capsys.readouterr().out


async def test_a_device_that_was_sent_away_stands_in_the_life_of_whose_key_it_has(house: House) -> None:
    device = Stale(parse_address("192.0.2.7"), "building-7", MacAddress("02:00:5e:10:00:09"), "Residence", "blocked")
    house.lives.sent_away(device, "1001", "left")
    house.lives.sent_away(device, "", "left")

    assert await told(house) == [("device sent away", "edged", "02:00:5e:10:00:09 from Residence: blocked (left)")]
    assert (await house.database.read("SELECT count(*) FROM life")) == [(1,)]


async def test_since_leaves_out_what_was_before(house: House) -> None:
    await billing_says(house, PAID)

    assert await told(house, since=time.time() - 60) == [("open", "billing", "")]
    with pytest.raises(Refused, match="since then"):
        await told(house, since=time.time() + 60)


async def test_without_a_daemon_the_database_tells_the_same(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await billing_says(house, MOVED)
    there = await ask(house, "log", subject="1001")
    await house.control.stop()
    capsys.readouterr()

    # the last good list on disk is the one of before
    for subject in ("1001", "127.0.0.2", "ana@fibre"):
        assert await asyncio.to_thread(main, ["log", subject, "--json", "-c", house.loaded.document.path]) == 0
        out = capsys.readouterr().out
        assert json.loads(out[out.index("{") :]) == there


async def test_where_neither_daemon_nor_database_is_the_command_says_that_the_daemon_is_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "edged.yaml").write_text(ONE_LIST.format(directory=tmp_path))

    assert main(["log", "1001", "-c", str(tmp_path / "edged.yaml")]) == 69
    assert "does not answer" in capsys.readouterr().err


async def test_a_disk_that_fails_loses_nothing_that_is_noted_meanwhile(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    lives = Lives(database, LifeSettings())
    lives.restored("1001", 1.0)
    await lives.write()  # the database is not open: nothing can be kept
    lives.restored("1001", 2.0)
    await database.open()

    await lives.write()

    assert [entry.seconds for entry in await lives.store.of("1001", 0.0)] == [1.0, 2.0]
    await database.close()


async def test_what_cannot_be_written_down_is_a_fault_that_is_heard_of_and_ends_nothing(house: House) -> None:
    with capture_logs() as logs:
        house.lives.note([Deed(time.time(), "1001", "blocked", "billing", "\ud800")])  # SQLite has no such text
        async with asyncio.timeout(5.0):
            while "life-fault" not in {entry["event"] for entry in logs}:
                await asyncio.sleep(0.02)
    house.lives.note([Deed(time.time(), "1001", "blocked", "billing", "unpaid")])
    await house.lives.write()

    assert house.is_running()
    assert [entry.what for entry in await house.lives.store.of("1001", 0.0)] == ["blocked"]
