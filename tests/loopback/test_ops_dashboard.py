# SPDX-License-Identifier: Apache-2.0
"""The dashboard of a whole house over HTTP, and its memory: what is recorded, what survives, who may read."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from edged.config.derived import rules
from edged.daemon import House
from edged.enforce.service import EnforceService
from edged.enforce.targets.memory import MemoryTarget
from edged.model import Access, Key, Snapshot, State, Subscriber
from edged.ops.dashboard import service as dashboard
from edged.ops.dashboard.service import Dashboard
from edged.ops.record import recorder
from edged.ops.record.history import BIN_S, Bin, bin_start, encoded
from edged.ops.record.recorder import BUCKETS
from edged.ops.service import Deadlines, OpsService
from edged.policy.access import Override
from edged.state.database import Database
from edged.state.history import CHANGES, HistoryStore
from edged.state.overrides import Kind
from edged.state.snapshots import SnapshotFiles
from edged.values import Endpoint, Secret, parse_address, parse_prefix
from tests.dashboard_scene import status as scene_status
from tests.loopback.house import EVERY_ROOM, at_work, written

CONFIGURATION = (
    EVERY_ROOM
    + """\
mode: {mode}
ops: {{listen: "{listen}:0", socket: {directory}/control.sock{more}}}
"""
)
ANA_AT = parse_address("127.0.0.2")
TOKEN = "a-token-of-the-tests-0001"
GUARDED = f", token: {TOKEN}"
HTML = {"Accept": "text/html"}


def subscriber(number: int, state: State = State.BLOCKED, reason: str = "unpaid") -> Subscriber:
    line = parse_prefix(f"127.{number // 65536}.{number // 256 % 256}.{number % 256}")
    return Subscriber(str(1000 + number), state, reason, 1_700_000_000.0, (line,))


ANA, LUIS, MIA = subscriber(2), subscriber(3, reason="quota"), subscriber(4, State.NOTICE)


def listed(*subscribers: Subscriber, name: str = "8812.aa") -> Snapshot:
    return Snapshot(name, name, 1_800_000_000.0, subscribers, known=4000)


@asynccontextmanager
async def house_in(
    directory: Path, *, more: str = "", listen: str = "127.0.0.1", first: Snapshot | None = None, mode: str = "enforce"
) -> AsyncIterator[House]:
    """Every room at work, one packet filter in memory; ``first`` is the last good list of before."""
    if not (directory / "state").exists():
        (directory / "state").mkdir()
        SnapshotFiles(directory / "state").save(first or listed(ANA, LUIS, MIA))
    house = written(directory, CONFIGURATION, more=more, listen=listen, mode=mode)
    house.enforce = EnforceService(
        {"memory": MemoryTarget()}, rules(house.loaded.config), current=house.current, watch=mode == "watch"
    )
    async with at_work(house):
        await until(lambda: house.recorder.counts[Access.BLOCKED] > 0 and house.enforce.status()["memory"].ok)
        yield house


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


class Reader:
    """A browser or a program in front of the ops address."""

    def __init__(self, house: House, session: aiohttp.ClientSession) -> None:
        assert house.ops.endpoint is not None
        self._at = f"http://127.0.0.1:{house.ops.endpoint.port}"
        self._session = session

    async def get(self, path: str, method: str = "GET", **more: Any) -> tuple[int, str, Any]:
        """Status, text and headers; no redirect is followed."""
        async with self._session.request(method, self._at + path, allow_redirects=False, **more) as said:
            return said.status, await said.text(), said.headers


@asynccontextmanager
async def reading(house: House) -> AsyncIterator[Reader]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Reader(house, session)


# --- what is recorded --------------------------------------------------------------------------------


async def test_a_reading_that_blocks_and_opens_is_counted_told_and_timed(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        assert not house.recorder.changes, "the list of before the start is no news"
        await house.writer.publish(listed(LUIS, MIA, subscriber(5), name="8813.bb"))
        await until(lambda: house.recorder.bins[-1].spans)

        newest = house.recorder.bins[-1]
        assert (newest.blocked, newest.added, newest.lifted, newest.restored) == (2, 1, 1, 1)
        told = [(c.subscriber, c.before, c.after, c.reason, c.by) for c in house.recorder.changes]
        assert told == [
            ("1002", "blocked", "open", "unpaid", "billing"), ("1005", "open", "blocked", "unpaid", "billing"),
        ]  # fmt: skip
        assert sum(house.recorder.restores) == 1
        await house.lives.write()
        opened = await house.lives.store.of("1002", 0.0)
        assert [entry.what for entry in opened] == ["open", "restored"]
        assert opened[1].seconds == house.recorder.restore_seconds
        assert 0 < house.recorder.restore_seconds < 5
        async with reading(house) as reader:
            _, metrics, _ = await reader.get("/metrics")
        assert 'edged_restore_seconds_bucket{le="+Inf"} 1.0' in metrics
        assert metrics.count("edged_restore_seconds_bucket") == len(BUCKETS) + 1


async def test_a_line_is_open_once_the_target_has_let_it_go_and_no_earlier(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        target = house.enforce._targets["memory"]
        assert isinstance(target, MemoryTarget)
        target.lingering = ANA.addresses  # its old connections are tracked as if it were blocked
        await house.writer.publish(listed(LUIS, MIA, name="8813.bb"))
        await until(lambda: house.recorder.bins[-1].restored)
        await until(lambda: not house.enforce._held["memory"].holds(house.current.view.line_at(ANA_AT)))
        await asyncio.sleep(0.05)
        assert not house.recorder.bins[-1].spans

        target.lingering = ()
        house.enforce._told()
        await until(lambda: house.recorder.bins[-1].spans)


async def test_an_operators_opening_and_a_watching_edged_are_not_timed(tmp_path: Path) -> None:
    async with house_in(tmp_path, mode="watch") as house:
        now = time.time()
        await house.overrides.put(
            Override("1003", blocked=False, until=now + 60, why="t", who="anna", at=now), Kind.PROMISE
        )
        await house.relearn()
        await house.writer.publish(listed(LUIS, MIA, name="8813.bb"))
        await until(lambda: len(house.recorder.changes) == 2)

        assert {c.subscriber: c.by for c in house.recorder.changes} == {"1003": "anna", "1002": "billing"}
        assert not house.recorder._opening
        assert not sum(house.recorder.restores)


async def test_the_day_and_the_changes_survive_a_restart(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        await house.writer.publish(listed(LUIS, MIA, subscriber(5), name="8813.bb"))
        await until(lambda: house.recorder.bins[-1].spans)
        before, changes = house.recorder.snapshot(), tuple(house.recorder.changes)
    async with house_in(tmp_path) as house:
        kept = {one.start: one for one in house.recorder.bins}

        assert tuple(house.recorder.changes) == changes
        assert (kept[before[-1].start].added, kept[before[-1].start].spans) == (before[-1].added, before[-1].spans)


async def test_a_bin_is_written_when_the_next_begins_and_a_full_disk_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SAMPLE_S", 0.02)
    async with house_in(tmp_path) as house:
        now = [time.time()]
        house.recorder._clock = lambda: now[0]
        await house.database.run(lambda connection: connection.execute("ALTER TABLE history RENAME TO gone"))
        await house.writer.publish(listed(MIA, LUIS, name="8813.bb"))
        await until(lambda: house.recorder.changes)
        ended = house.recorder.bins[-1].start
        now[0] += BIN_S
        await until(lambda: house.database.error)
        await house.database.run(lambda connection: connection.execute("ALTER TABLE gone RENAME TO history"))
        await until(lambda: not house.recorder._ended)
        bins, changes = await HistoryStore(house.database).load(0)

        assert [one.start for one in house.recorder.bins] == [ended, ended + BIN_S]
        assert len(bins) == 1
        assert [row[1] for row in changes] == ["1002"]


async def test_a_clock_that_was_hours_ahead_leaves_no_hours_without_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SAMPLE_S", 0.02)
    async with house_in(tmp_path) as house:
        now = [float(bin_start(time.time()))]
        house.recorder._clock = lambda: now[0]
        for hours in (2, 0):  # the clock of the host was in local time, until NTP put it right
            now[0] = bin_start(time.time()) + hours * 3600.0
            await until(lambda: house.recorder.bins[-1].start == now[0])
        seen = house.recorder.bins[-1].seconds
        await until(lambda: house.recorder.bins[-1].seconds > seen)
        now[0] -= 60.0
        await until(lambda: house.recorder.bins[-1].seconds > seen + 0.1)

        assert max(one.start for one in house.recorder.bins) == house.recorder.bins[-1].start == now[0] + 60.0
        assert house.recorder.bins[-1].blocked


async def test_no_more_than_a_day_and_500_changes_are_kept(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    store = HistoryStore(database)
    for number in range(150):
        changes = [(number + i / 10, "1", "open", "blocked", "", "billing") for i in range(4)]
        start = number * BIN_S
        await store.save(start, encoded(Bin(start)), changes, before=start - 143 * BIN_S)
    bins, rows = await store.load(0)

    assert (len(bins), len(rows)) == (144, CHANGES)
    assert rows[-1][0] == 149.3
    await database.close()


async def test_counters_are_summed_and_a_held_reading_and_a_lost_target_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SAMPLE_S", 0.02)
    async with house_in(tmp_path) as house:
        target = house.enforce._targets["memory"]
        assert isinstance(target, MemoryTarget)
        await until(lambda: house.recorder.bins[-1].seconds)
        for _ in range(3):
            await asyncio.to_thread(asked_dns, house)
        target.broken = True
        house.enforce._wake_all()
        await until(lambda: house.recorder.bins[-1].lost == ["memory"])
        await until(lambda: house.recorder.bins[-1].answers == 3)
        looked = house.recorder.bins[-1].seconds
        await until(lambda: house.recorder.bins[-1].seconds > looked + 0.03)
        assert house.recorder.bins[-1].answers == 3
        assert not house.recorder.bins[-1].held
        rows = "\n".join(
            f'  - {{id: "{n}", state: blocked, addresses: ["127.9.{n // 256}.{n % 256}"]}}' for n in range(400)
        )
        (tmp_path / "billing.yaml").write_text(f"known: 4000\nsubscribers:\n{rows}\n")
        assert house.billing is not None
        await house.billing.sync()
        await until(lambda: house.recorder.bins[-1].held)


async def test_a_bug_in_the_record_ends_the_record_alone_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with house_in(tmp_path) as house, reading(house) as reader:
        monkeypatch.setattr(house.recorder, "_count", broken)
        with capture_logs() as logs:
            await house.writer.publish(listed(LUIS, MIA, name="8813.bb"))
            await until(lambda: house.recorder.stopped)

        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["recorder-fault"]
        assert house.is_running()
        assert "The record has stopped" in (await reader.get("/"))[1]
        assert (await reader.get("/healthz"))[0] == 200


async def test_a_record_that_cannot_be_read_for_a_bug_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> tuple[list[str], list[tuple[str, ...]]]:
        return [], [("too", "few")]

    monkeypatch.setattr(HistoryStore, "load", broken)
    house = written(tmp_path, CONFIGURATION, more="", listen="127.0.0.1", mode="enforce")
    room = asyncio.create_task(house.recorder.run())
    await until(lambda: house.recorder.stopped)

    assert not room.done()
    room.cancel()
    with suppress(asyncio.CancelledError):
        await room


def asked_dns(house: House, name: bytes = b"\x03www\x07private\x07example\x00", source: str = "127.0.0.2") -> None:
    """A blocked subscriber looks a name up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.settimeout(5)
        device.bind((source, 0))
        question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"
        device.sendto(question, ("127.0.0.1", house.dns.endpoints[0].port))
        device.recv(512)


# --- the page ------------------------------------------------------------------------------------------


async def test_the_page_says_what_status_says_and_links_to_lists_that_answer(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        status, body, headers = await reader.get("/")
        facts = await house.answers.status_facts()

        assert status == 200
        assert f"tower-12: {facts['verdict']}" in body
        assert all(alarm["code"] in body for alarm in facts["alarms"])
        assert set(facts) == set(scene_status([])), "the pictures are of what status really says"
        assert re.search(r"<b>2</b> blocked", body)
        assert re.search(r"<b>1</b> reminded", body)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert "script-src 'sha256-" in headers["Content-Security-Policy"]
        assert "aiohttp" not in headers["Server"]
        for link in dict.fromkeys(re.findall(r'href="(/[^"]*)"', body)):
            assert (await reader.get(link.replace("&amp;", "&")))[0] == 200, link


async def test_look_up_answers_what_edged_explain_prints(tmp_path: Path) -> None:
    subjects = ("127.0.0.2", "1002", "127.0.0.2 customer.example.net", "02:00:5e:10:00:09", "9.9.9.9")
    async with house_in(tmp_path) as house, reading(house) as reader:
        for subject in subjects:
            _, body, _ = await reader.get("/", params={"ask": subject})
            first, _, name = subject.partition(" ")
            facts = await house.answers.explain({"subject": first, "name": name})
            said = " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

            assert facts["headline"].partition(" (")[0] in said, subject
            for row in (*facts.get("gets", ()), *facts.get("ladder", ())):
                # since when billing was reached is another second
                assert (row.get("answer") or row["said"]).partition("; ")[0] in said, subject
            if "subscriber" in facts:
                assert facts["lifts"] in said


async def test_look_up_says_when_it_does_not_know_and_shows_what_was_typed_as_text(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        status, body, _ = await reader.get("/", params={"ask": '"><script>alert(1)</script>'})

    assert status == 200
    assert "is no address, and neither billing nor the key store knows it" in body
    assert body.count("<script>") == 1
    assert "alert(1)&lt;/script&gt;" in body


async def test_the_mask_is_put_on_by_the_server_and_stays_on_from_page_to_page(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        await house.writer.publish(listed(LUIS, MIA, subscriber(5), name="8813.bb"))
        await until(lambda: len(house.recorder.changes) == 2)
        for path in ("/?mask=1", "/?mask=1&ask=127.0.0.3", "/list/blocked?mask=1", "/list/blocked.csv?mask=1",
                     "/list/changes?mask=1", "/list/notice?mask=1"):  # fmt: skip
            _, body, _ = await reader.get(path)
            assert not re.search(r"100[2345]\b|127\.0\.0\.", body), path
            if path.endswith("=1"):
                assert "csv" in path or 'href="/list' not in body or "mask=1" in body


async def test_a_list_comes_in_pages_with_filters_and_whole_as_csv(tmp_path: Path) -> None:
    many = [subscriber(number, reason="unpaid" if number % 2 else "quota") for number in range(10, 260)]
    async with house_in(tmp_path, first=listed(*many)) as house, reading(house) as reader:
        rows = [(await reader.get("/list/blocked", params={"page": page}))[1].count("<tr>") - 1 for page in range(1, 5)]
        _, filtered, _ = await reader.get("/list/blocked", params={"reason": "quota", "page": "2"})
        _, whole, headers = await reader.get("/list/blocked.csv", params={"reason": "quota"})

    assert rows == [100, 100, 50, 50], "behind the last page is the last page"
    assert "101 to 125 of 125" in filtered
    found = list(csv.DictReader(io.StringIO(whole)))
    assert len(found) == 125
    assert {row["reason"] for row in found} == {"quota"}
    assert found[0]["since"] == "2023-11-14T22:13:20Z"
    assert headers["Content-Disposition"] == 'attachment; filename="tower-12-blocked.csv"'
    assert headers["Content-Type"] == "text/csv; charset=utf-8"


async def test_what_is_not_there_is_not_found_and_nothing_takes_a_change(tmp_path: Path) -> None:
    nowhere = ("/list/", "/list/nothing", "/list/nothing.csv", "/list/blocked/x", "/lists", "/templates/main.html")
    async with house_in(tmp_path) as house, reading(house) as reader:
        for path in nowhere:
            assert (await reader.get(path))[0] == 404, path
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            for path in ("/", "/list/blocked", "/list/blocked.csv"):
                assert (await reader.get(path, method))[0] == 405, (method, path)
        assert (await reader.get("/login", "POST", data={"token": ""}))[0] == 404, "there is no token to log in with"


async def test_nothing_that_a_subscriber_looked_up_is_on_any_page(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        await asyncio.to_thread(asked_dns, house)
        port = house.captive.endpoints.http[0].port
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))) as device:
            asked = device.get(f"http://127.0.0.1:{port}/private/path", headers={"Host": "www.private.example"},
                               allow_redirects=False)  # fmt: skip
            async with asked as said:
                assert said.status in {302, 511}
        paths = ["/", "/?wall=1", "/?ask=1002", "/?ask=127.0.0.2", "/metrics", "/status"]
        paths += [f"/list/{name}" for name in ("blocked", "changes", "history", "rejects", "strangers", "devices")]
        for path in paths:
            assert "private" not in (await reader.get(path))[1], path


async def test_no_passphrase_is_on_any_page(tmp_path: Path) -> None:
    secret = Secret("copper-otter-violin-42")
    key = Key("k-501", "Residence", secret, "1002", site="building-7", label="Flat 12", vlan=112)
    async with house_in(tmp_path) as house, reading(house) as reader:
        await house.mpsk.replace_billing([key])
        _, keys, _ = await reader.get("/list/keys.csv")
        assert "k-501,billing,Residence,building-7,Flat 12,1002,112" in keys
        for path in ("/", "/?ask=k-501", "/?ask=1002", "/list/keys", "/list/keys.csv", "/list/devices"):
            assert "otter" not in (await reader.get(path))[1], path


# --- who may read --------------------------------------------------------------------------------------


async def test_on_loopback_a_page_of_another_site_cannot_read_under_its_own_name(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        foreign = {"Host": "evil.example:9300"}
        for path in ("/", "/list/blocked", "/list/blocked.csv", "/status", "/metrics"):
            status, said, _ = await reader.get(path, headers=foreign)
            assert (status, "1002" in said) == (421, False), path
        assert (await reader.get("/healthz", headers=foreign))[0] == 200
        assert (await reader.get("/", headers={"Host": "localhost:9300"}))[0] == 200


async def test_where_others_reach_it_and_there_is_no_token_figures_alone_are_served(tmp_path: Path) -> None:
    async with house_in(tmp_path, listen="0.0.0.0") as house, reading(house) as reader:
        status, said, _ = await reader.get("/")

        assert (status, "ops.token" in said, "1002" in said) == (403, True, False)
        for path in ("/metrics", "/status", "/healthz"):
            assert (await reader.get(path, headers={"Host": "tower-12.example"}))[0] == 200, path


async def test_with_a_token_all_but_health_needs_it(tmp_path: Path) -> None:
    async with house_in(tmp_path, more=GUARDED) as house, reading(house) as reader:
        for path in ("/", "/list/blocked", "/list/blocked.csv", "/status", "/metrics", "/nothing"):
            status, said, headers = await reader.get(path)
            assert (status, headers["WWW-Authenticate"], "1002" in said) == (401, "Bearer", False), path
            wrong = {"Authorization": f"Bearer {TOKEN}x"}
            assert (await reader.get(path, headers=wrong))[0] == 401, path
            right = {"Authorization": f"Bearer {TOKEN}"}
            assert (await reader.get(path, headers=right))[0] == (404 if path == "/nothing" else 200), path
        assert (await reader.get("/healthz"))[0] == 200
        assert (await reader.get(f"/?token={TOKEN}"))[0] == 401, "a token in an address would stand in histories"


async def test_a_browser_logs_in_with_a_form_and_stays_in_by_a_cookie_that_no_script_reads(tmp_path: Path) -> None:
    async with house_in(tmp_path, more=GUARDED) as house, reading(house) as reader:
        status, form, headers = await reader.get("/", headers=HTML)
        assert (status, 'action="/login"' in form, headers["Cache-Control"]) == (401, True, "no-store")
        assert (await reader.get("/login", "POST", data={"token": "wrong"}))[0] == 401
        status, _, headers = await reader.get("/login", "POST", data={"token": TOKEN})
        cookie = headers["Set-Cookie"]

        assert (status, headers["Location"]) == (303, "/")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert (await reader.get("/", headers=HTML))[0] == 200
        assert (await reader.get("/logout", "POST"))[0] == 303
        assert (await reader.get("/", headers=HTML))[0] == 401


async def test_another_token_comes_into_force_by_a_reload_and_ends_every_log_in(tmp_path: Path) -> None:
    async with house_in(tmp_path, more=GUARDED) as house, reading(house) as reader:
        await reader.get("/login", "POST", data={"token": TOKEN})
        assert (await reader.get("/"))[0] == 200
        path = tmp_path / "edged.yaml"
        path.write_text(path.read_text().replace(TOKEN, "another-token-of-the-tests"))
        await house.reload()

        assert house.reload_state.ok
        assert (await reader.get("/"))[0] == 401


async def test_a_log_in_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with house_in(tmp_path, more=GUARDED) as house, reading(house) as reader:
        assert (await reader.get("/login", "POST", data={"token": "x" * 100_000}))[0] == 413


async def test_ten_screens_cost_one_look(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        looks, ask = [], house.answers.status_facts

        async def counted(*, names: bool = True) -> dict[str, Any]:
            looks.append(1)
            return await ask(names=names)

        house.answers.status_facts = counted  # type: ignore[method-assign]  # to see how often it is asked
        answers = await asyncio.gather(*(reader.get("/") for _ in range(10)))

    assert {status for status, _, _ in answers} == {200}
    assert len(looks) == 1


# --- hostile visitors ------------------------------------------------------------------------------------


class Crowded:
    """A second ops address of a house, whose clocks run fast, and those who have come to it."""

    def __init__(self, service: OpsService) -> None:
        self.service = service
        self.inside: list[asyncio.StreamWriter] = []

    async def ask(self, octets: bytes, *, reads: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own that has said ``octets``; without ``reads`` nothing of the answer is taken."""
        assert self.service.endpoint is not None
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << (20 if reads else 12))
        client.connect(("127.0.0.1", self.service.endpoint.port))
        reader, writer = await asyncio.open_connection(sock=client)
        self.inside.append(writer)
        if not reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # what asyncio gives a stream
        writer.write(octets)
        await writer.drain()
        return reader, writer


@asynccontextmanager
async def crowded(house: House, clocks: Deadlines, room: int) -> AsyncIterator[Crowded]:
    service = OpsService(
        Endpoint(parse_address("127.0.0.1"), 0),
        exposition=house.ops._exposition,
        healthy=lambda: True,
        status=house.answers.status_facts,
        dashboard=Dashboard(house, house.recorder, house.answers),
        clocks=clocks,
        room=room,
    )
    await service.start()
    visitors = Crowded(service)
    try:
        yield visitors
    finally:
        for writer in visitors.inside:
            writer.close()
        await service.stop()


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def test_who_says_nothing_makes_room_and_has_gone_after_the_deadline(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, crowded(house, Deadlines(head=1.0), room=8) as door:
        silent = [await door.ask(b"GET / HTTP/1.1\r\nHo" if n % 2 else b"") for n in range(40)]
        reader, _ = await door.ask(HEALTH)
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            for reader, _ in silent:
                with suppress(ConnectionError):
                    assert await reader.read() == b""


async def test_who_trickles_a_log_in_keeps_the_place_of_a_monitor_for_a_short_time_alone(tmp_path: Path) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\ntoken="
    begun = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n" + form
    async with house_in(tmp_path) as house, crowded(house, Deadlines(head=0.5), room=4) as door:
        trickling = [await door.ask(begun) for _ in range(4)]
        async with asyncio.timeout(10):
            for reader, _ in trickling:
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            reader, _ = await door.ask(HEALTH)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_a_flood_of_scrapes_leaves_threads_to_those_who_enforce(tmp_path: Path) -> None:
    over = threading.Event()

    class Slow:
        def render(self) -> bytes:
            over.wait(10.0)
            return b""

    async with house_in(tmp_path) as house:
        house.ops._exposition = Slow()  # type: ignore[assignment]  # as with very many subscribers
        door = Crowded(house.ops)
        try:
            for _ in range(40):
                await door.ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await asyncio.sleep(0.1)
            async with asyncio.timeout(2.0):
                await asyncio.to_thread(int)
        finally:
            over.set()
            for writer in door.inside:
                writer.close()


async def test_a_connection_that_goes_on_asking_is_kept_and_one_that_stops_is_closed(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, crowded(house, Deadlines(head=0.3, idle=0.6), room=8) as door:
        reader, writer = await door.ask(HEALTH)
        for _ in range(4):
            async with asyncio.timeout(10):
                assert b"ok\n" in await reader.readuntil(b"ok\n")
            await asyncio.sleep(0.2)
            writer.write(HEALTH)
        async with asyncio.timeout(10):
            assert (await reader.read()).endswith(b"ok\n")


async def test_a_reader_who_takes_nothing_of_a_list_is_cut_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # more than the kernel holds for a reader who sleeps
    monkeypatch.setattr(dashboard, "as_csv", lambda *_, **__: "x" * (16 << 20))
    whole = b"GET /list/blocked.csv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with house_in(tmp_path) as house, crowded(house, Deadlines(whole=1.5), room=16) as door:
        for _ in range(4):
            await door.ask(whole, reads=False)
        await asyncio.sleep(0.3)
        fifth, _ = await door.ask(whole)
        page, _ = await door.ask(HEALTH)
        async with asyncio.timeout(10):
            assert (await fifth.readline()).startswith(b"HTTP/1.1 503")
            assert (await page.readline()).startswith(b"HTTP/1.1 200")
            while len(door.service._crowd) > 2:
                await asyncio.sleep(0.05)
            again, _ = await door.ask(whole)
            assert (await again.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /?ask=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["a long query", "many fields", "a long field", "TLS"],
)
async def test_what_is_too_much_or_no_http_gets_one_sentence_without_its_words(tmp_path: Path, octets: bytes) -> None:
    async with house_in(tmp_path) as house, crowded(house, Deadlines(head=1.0), room=8) as door:
        reader, _ = await door.ask(octets)
        async with asyncio.timeout(10):
            said = await reader.read()

    assert said.startswith(b"HTTP/1.0 400") or said == b""
    assert b"aaaa" not in said
    assert b"iohttp" not in said


async def test_markup_in_what_billing_and_devices_say_stays_text_on_every_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'"
    mallory = Subscriber("<q>1", State.BLOCKED, evil[:24], 1.0, (parse_prefix("127.0.0.9"),), (), ("<q>login",))
    async with house_in(tmp_path, first=listed(mallory)) as house, reading(house) as reader:
        await house.mpsk.replace_billing([Key("<q>k", "Residence", Secret("copper-otter-violin-42"), "<q>1")])
        await house.writer.publish(listed(LUIS, name="8813.bb"))
        await until(lambda: house.recorder.changes)
        for path in ("/", "/?ask=127.0.0.9", "/?ask=<q>1", "/?ask=<q>login", "/list/blocked", "/list/changes",
                     "/list/keys", "/list/changes?reason=<script>", "/?wall=1", "/?mask=1"):  # fmt: skip
            _, body, _ = await reader.get(path)
            assert not re.search(r"<q>|<script>[^(]", body), path


async def test_a_hundred_questions_at_once_are_answered_and_dns_does_not_wait(tmp_path: Path) -> None:
    many = [subscriber(number) for number in range(10, 10_000)]
    async with house_in(tmp_path, first=listed(*many)) as house, reading(house) as reader:
        paths = ["/", "/?ask=1002", "/list/blocked", "/list/blocked?page=9", "/metrics", "/status"] * 16
        rush = asyncio.gather(*(reader.get(path) for path in paths))
        longest = 0.0
        while not rush.done():
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - begun)
        statuses = {status for status, _, _ in await rush}

    assert statuses == {200}
    assert longest < 1.0
