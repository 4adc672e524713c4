# SPDX-License-Identifier: Apache-2.0
"""The webhook on a real socket: what is told gets through at once, what is hostile costs little and stays outside."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import socket
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from edged.billing.hook.http.service import Deadlines
from edged.billing.hook.service import HookService
from edged.billing.settings import WebhookSettings
from edged.billing.webhook import Fault, Hint
from edged.errors import ConfigError, UpstreamError
from edged.state.database import Database
from edged.state.hooks import HookStore

SECRET = "a-secret-of-a-test"
PATH = "/hooks/billing"
CANARY = "canary-7f3a"
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "webhook.md"


def settings(port: int = 0, **changes: Any) -> WebhookSettings:
    said: dict[str, Any] = {"listen": f"127.0.0.1:{port}", "path": PATH, "secret": SECRET}
    return WebhookSettings.model_validate(said | changes)


@dataclass
class Told:
    """Stands in for whoever reads billing."""

    hints: list[Hint] = field(default_factory=list)
    fails: int = 0
    """How often billing is away."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, hint: Hint) -> None:
        self.hints.append(hint)
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise UpstreamError("billing is away")

    @property
    def subscribers(self) -> list[str]:
        return [name for hint in self.hints for name in hint.subscribers]


@dataclass
class House:
    service: HookService
    told: Told
    database: Database

    @property
    def port(self) -> int:
        assert self.service.endpoint is not None
        return self.service.endpoint.port


@asynccontextmanager
async def running(
    folder: Path, source: str = "rest", *, deadlines: Deadlines | None = None, clock: Any = time.time
) -> AsyncIterator[House]:
    database, told = Database(folder / "edged.sqlite"), Told()
    await database.open()
    service = HookService(
        settings(), source=source, store=HookStore(database), tell=told, clock=clock, deadlines=deadlines
    )
    await service.start()
    task = asyncio.create_task(service.run())
    try:
        yield House(service, told, database)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await service.stop()
        await database.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path) as opened:
        yield opened


def body(post_id: str = "e-1", *subscribers: str, at: float | None = None) -> bytes:
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC).isoformat()
    return json.dumps({"id": post_id, "at": moment, "subscribers": subscribers or ["1001"], "keys": []}).encode()


def signature(octets: bytes) -> dict[str, str]:
    return {"X-Edged-Signature": "sha256=" + hmac.new(SECRET.encode(), octets, hashlib.sha256).hexdigest()}


def splynx(octets: bytes) -> dict[str, str]:
    return {"X-Splynx-Signature": hmac.new(SECRET.encode(), octets, hashlib.sha1).hexdigest()}


async def post(port: int, octets: bytes, headers: dict[str, str] | None = None, path: str = PATH) -> int:
    sent = signature(octets) if headers is None else headers
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}{path}", data=octets, headers=sent) as reply,
    ):
        text = await reply.text()
        assert SECRET not in text
        assert reply.headers["Server"] == "edged"
        return reply.status


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def raw(port: int, octets: bytes, *, rest: float = 8.0) -> bytes:
    """Everything that comes back for ``octets``, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(octets)
        with suppress(ConnectionError):
            await writer.drain()
        answer = b""
        async with asyncio.timeout(rest):
            with suppress(ConnectionError):
                while piece := await reader.read(65536):
                    answer += piece
        return answer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head(octets: bytes, *lines: str, method: str = "POST", path: str = PATH, length: int | None = None) -> bytes:
    named = [f"{name}: {value}" for name, value in signature(octets).items()]
    size = len(octets) if length is None else length
    lead = [f"{method} {path} HTTP/1.1", "Host: edge", f"Content-Length: {size}", *named, *lines]
    return "\r\n".join([*lead, "", ""]).encode()


# --- what is told ---------------------------------------------------------------------------------


async def test_a_signed_post_is_answered_202_and_is_on_its_way_within_a_tenth_of_a_second(house: House) -> None:
    began = time.monotonic()

    assert await post(house.port, body()) == 202

    await until(lambda: house.told.hints)
    assert time.monotonic() - began < 0.5
    assert house.told.hints == [Hint(("1001",))]
    assert house.service.counters.accepted == 1


async def test_the_answer_does_not_wait_for_the_reading(house: House) -> None:
    house.told.gate.clear()

    assert await post(house.port, body()) == 202

    await until(lambda: house.told.hints)
    house.told.gate.set()


async def test_a_slow_reading_holds_up_neither_other_subscribers_nor_a_look_at_everything(house: House) -> None:
    house.told.gate.clear()
    for number in ("1", "2", "3"):
        assert await post(house.port, body(f"e-{number}", number)) == 202
        await until(lambda number=number: number in house.told.subscribers)
    empty = json.dumps({"id": "e-4", "at": datetime.now(UTC).isoformat()}).encode()
    assert await post(house.port, empty) == 202

    await until(lambda: any(hint.everything for hint in house.told.hints))
    house.told.gate.set()


async def test_a_hundred_posts_about_one_subscriber_are_few_readings_and_the_last_is_heard(house: House) -> None:
    assert {await post(house.port, body(f"e-{number}")) for number in range(100)} == {202}
    answered = time.monotonic()
    count = len(house.told.hints)

    await until(lambda: len(house.told.hints) > count or time.monotonic() > answered + 1.2)
    await until(lambda: house.service.waiting == 0)
    assert house.told.hints[-1] == Hint(("1001",))
    assert len(house.told.hints) <= 5


async def test_billing_that_is_away_when_we_ask_is_asked_again(house: House) -> None:
    house.told.fails = 1

    assert await post(house.port, body()) == 202

    await until(lambda: len(house.told.hints) == 2)
    assert house.service.counters.failed == 1


async def test_a_bug_in_whoever_reads_ends_the_service_loudly(tmp_path: Path) -> None:
    async def broken(_hint: Hint) -> None:
        raise RuntimeError("a bug")

    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    service = HookService(settings(), source="rest", store=HookStore(database), tell=broken)
    await service.start()
    task = asyncio.create_task(service.run())
    assert service.endpoint is not None
    await post(service.endpoint.port, body())

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await asyncio.wait_for(task, 5)
    await service.stop()
    await database.close()


# --- replay and a disk that fails -----------------------------------------------------------------


async def test_a_replay_answers_409_also_after_a_restart(tmp_path: Path) -> None:
    octets = body("e-1")
    async with running(tmp_path) as house:
        assert await post(house.port, octets) == 202
        assert await post(house.port, octets) == 409
        assert house.service.counters.refused[Fault.REPLAY] == 1
    async with running(tmp_path) as house:
        assert await post(house.port, octets) == 409
        assert await post(house.port, body("e-2")) == 202
        assert house.service.counters.accepted == 1


async def test_an_accepted_id_is_on_disk_before_the_answer_goes_out(house: House, tmp_path: Path) -> None:
    assert await post(house.port, body("e-1")) == 202

    other = Database(tmp_path / "edged.sqlite")
    await other.open()
    ids, _ = await HookStore(other).load()
    await other.close()
    assert [post_id for post_id, _ in ids] == ["e-1"]


async def test_a_replay_within_the_same_moment_is_accepted_once(house: House) -> None:
    octets = body("e-1")

    statuses = await asyncio.gather(*(post(house.port, octets) for _ in range(20)))

    assert sorted(statuses) == [202] + [409] * 19


async def test_a_clock_that_jumps_forward_and_back_does_not_open_the_window_again(tmp_path: Path) -> None:
    now = time.time()
    ahead = 0.0
    octets = body("e-1", at=now)
    async with running(tmp_path, clock=lambda: now + ahead) as house:
        assert await post(house.port, octets) == 202
    ahead = 86400.0
    async with running(tmp_path, clock=lambda: now + ahead) as house:
        # run() prunes once it starts: the id is gone, its time stays behind
        async with asyncio.timeout(5):
            while (await HookStore(house.database).load())[0]:
                await asyncio.sleep(0.01)
    ahead = 0.0
    async with running(tmp_path, clock=lambda: now + ahead) as house:
        assert await post(house.port, octets) == 409


async def test_a_database_that_fails_loses_no_hint_and_no_id(tmp_path: Path) -> None:
    octets = body("e-1")
    async with running(tmp_path) as house:
        await house.database.close()

        assert await post(house.port, octets) == 202

        await until(lambda: house.told.hints)
        assert await post(house.port, octets) == 409
        assert house.service.counters.unkept >= 1


async def test_a_database_that_is_locked_delays_the_answer_by_a_second_at_most_and_the_hint_not_at_all(
    house: House, tmp_path: Path
) -> None:
    other = Database(tmp_path / "edged.sqlite")
    await other.open()
    await other.run(lambda connection: connection.execute("BEGIN IMMEDIATE"))
    began = time.monotonic()
    answer = asyncio.create_task(post(house.port, body("e-1")))

    await until(lambda: house.told.hints)
    assert time.monotonic() - began < 0.5
    assert await answer == 202
    assert time.monotonic() - began < 2.0
    await other.run(lambda connection: connection.execute("ROLLBACK"))
    await other.close()


async def test_ids_that_could_not_be_read_at_the_start_do_not_keep_it_closed(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        await house.database.write(("DROP TABLE hooks", ()))
    async with running(tmp_path) as house:
        assert await post(house.port, body()) == 202


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "fault"),
    [
        ("POST", "/", 404, Fault.NOT_FOUND),
        ("POST", f"{PATH}/", 404, Fault.NOT_FOUND),
        ("POST", f"{PATH}?secret=x", 404, Fault.NOT_FOUND),
        ("GET", "/metrics", 404, Fault.NOT_FOUND),
        ("GET", PATH, 405, Fault.METHOD),
        ("HEAD", PATH, 405, Fault.METHOD),
        ("PUT", PATH, 405, Fault.METHOD),
        ("DELETE", PATH, 405, Fault.METHOD),
        ("TRACE", PATH, 405, Fault.METHOD),
    ],
)
async def test_another_address_is_404_and_another_method_405(
    house: House, method: str, path: str, status: int, fault: Fault
) -> None:
    answer = await raw(house.port, head(b"", method=method, path=path))

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Allow: POST" in answer) is (status == 405)
    assert house.service.counters.refused[fault] == 1
    assert not house.told.hints


async def test_wrong_signatures_are_401_counted_and_logged_seldom_and_without_what_was_sent(house: House) -> None:
    with capture_logs() as logs:
        for number in range(20):
            octets = body(f"{CANARY}-{number}", CANARY)
            assert await post(house.port, octets, {"X-Edged-Signature": f"sha256={'0' * 64}"}) == 401

    assert house.service.counters.refused[Fault.SIGNATURE] == 20
    assert [entry["count"] for entry in logs if entry["event"] == "hook-refused"] == [1, 2, 4, 8, 16]
    assert CANARY not in repr(logs)
    assert SECRET not in repr(logs)
    assert not house.told.hints


async def test_a_malformed_post_with_a_right_signature_is_400_and_says_what_is_wrong(house: House) -> None:
    octets = b'{"id": "e-1", "at": "2026-11-22T10:00:00"}'

    answer = await raw(house.port, head(octets) + octets)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"at: expected a time" in answer


async def test_more_posts_than_the_burst_get_429_and_the_others_their_answer(house: House) -> None:
    house.service._budget._left = 3.0
    house.service._budget._rate = 0.0
    octets = [body(f"e-{number}") for number in range(5)]

    statuses = [await post(house.port, each) for each in octets]
    answer = await raw(house.port, head(octets[3]) + octets[3])

    assert statuses == [202, 202, 202, 429, 429]
    assert b"Retry-After: 1" in answer
    house.service._budget._left = 1.0
    assert await post(house.port, octets[3]) == 202, "a post that was refused for its rate may come again"


# --- hostile clients ------------------------------------------------------------------------------

QUICK = Deadlines(head=0.4, whole=0.6)


@pytest.mark.parametrize("whole_head", [False, True], ids=["in its head", "in its body"])
async def test_a_request_that_comes_octet_by_octet_is_cut_off_at_the_deadline(tmp_path: Path, whole_head: bool) -> None:
    async with running(tmp_path, deadlines=QUICK) as house:
        octets = body("e-1", *(str(number) for number in range(100)))
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        began = time.monotonic()
        if whole_head:
            writer.write(head(octets))
        for octet in octets if whole_head else head(octets):
            with suppress(ConnectionError):
                writer.write(bytes([octet]))
                await writer.drain()
            if reader.at_eof() or writer.transport.is_closing() or time.monotonic() > began + 5:
                break
            await asyncio.sleep(0.05)
        assert time.monotonic() - began < 2.0
        assert house.service.counters.refused[Fault.SLOW] == 1
        assert await post(house.port, body("e-2")) == 202
        writer.close()


async def test_a_connection_that_says_nothing_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path, deadlines=QUICK) as house:
        assert await raw(house.port, b"") == b""
        assert house.service.counters.refused[Fault.SLOW] == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_413_and_is_not_taken_in(house: House, chunked: bool) -> None:
    size = 65537
    if chunked:
        lead = head(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        answer = await raw(house.port, lead + f"{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n")
    else:
        answer = await raw(house.port, head(b"", length=1 << 40))

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert house.service.counters.refused[Fault.SIZE] == 1


async def test_a_body_at_the_limit_is_read(house: House) -> None:
    octets = body("e-1").ljust(65536)

    assert await post(house.port, octets) == 202


async def test_a_body_in_chunks_is_read_whole(house: House) -> None:
    octets = body("e-1")
    lead = head(octets).replace(f"Content-Length: {len(octets)}".encode(), b"Transfer-Encoding: chunked")
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (octets[:7], octets[7:])) + b"0\r\n\r\n"

    assert (await raw(house.port, lead + pieces)).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\nabcdefgh", b"-1\r\n", b"fffffffffffffffff\r\nx"])
async def test_chunks_that_are_none_are_the_clients_fault(house: House, chunks: bytes) -> None:
    lead = head(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")

    answer = await raw(house.port, lead + chunks)

    assert not answer or b" 400 " in answer[:16]
    assert (house.service.counters.faults, house.service.counters.accepted) == (0, 0)
    assert house.service.counters.refused[Fault.MALFORMED] == 1


async def test_a_client_that_waits_for_100_continue_gets_it(house: House) -> None:
    octets = body("e-1")
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(head(octets, "Expect: 100-continue"))

    assert await asyncio.wait_for(reader.readline(), 2) == b"HTTP/1.1 100 Continue\r\n"
    writer.write(octets)
    await reader.readline()
    assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 202 ")
    writer.close()


async def test_of_two_requests_in_one_go_the_first_is_answered_and_the_connection_closed(house: House) -> None:
    first, second = body("e-1"), body("e-2", "1002")

    answer = await raw(house.port, head(first) + first + head(second) + second)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"Connection: close" in answer
    await until(lambda: house.told.hints)
    assert house.told.subscribers == ["1001"]


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST\r\n\r\n",
        b"POST /hooks/billing HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /hooks/billing HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /hooks/billing HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"POST /hooks/billing HTTP/1.1\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
        b"POST /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
    ],
    ids=["tls", "no target", "negative length", "two lengths", "many fields", "long field", "long target", "zeros"],
)
async def test_what_is_no_request_gets_one_line_and_repeats_nothing(house: House, octets: bytes) -> None:
    with capture_logs() as logs:
        answer = await raw(house.port, octets)

    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert len(answer) < 400
    assert b"aiohttp" not in answer
    assert not logs
    assert house.service.counters.faults == 0


async def test_idle_connections_make_room_for_a_post(house: House) -> None:
    idle = []
    try:
        for _ in range(300):
            sock = socket.create_connection(("127.0.0.1", house.port))
            idle.append(sock)
            await asyncio.sleep(0)

        assert await post(house.port, body()) == 202

        assert len(house.service._front._crowd._inside) <= 256
        assert house.service.counters.refused[Fault.FULL] >= 44
    finally:
        for sock in idle:
            sock.close()


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(house: House) -> None:
    octets = body("e-9")
    for cut in (1, 40, len(head(octets)) - 1, len(head(octets)), len(head(octets) + octets) - 1):
        _, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write((head(octets) + octets)[:cut])
        await writer.drain()
        writer.close()

    await until(lambda: not house.service._front._crowd._inside)
    assert house.service.counters.faults == 0
    assert house.service.counters.accepted == 0


# --- splynx, uisp ---------------------------------------------------------------------------------


async def test_a_ping_of_splynx_is_answered_200_and_an_event_is_heard_as_json_and_as_a_form(tmp_path: Path) -> None:
    async with running(tmp_path, "splynx") as house:
        assert await post(house.port, b'{"type":"ping"}', {}) == 200
        event = b'{"type":"event","call":"customer/update","data":{"customer_id":"1001"}}'
        form = b"type=event&call=customer%2Fupdate&data%5Bcustomer_id%5D=1002"
        assert await post(house.port, event, splynx(event)) == 200
        assert await post(house.port, form, splynx(form)) == 200
        assert await post(house.port, event, splynx(form)) == 401

        await until(lambda: {"1001", "1002"} <= set(house.told.subscribers))
        assert (house.service.counters.pings, house.service.counters.accepted) == (1, 2)


async def test_one_event_of_splynx_played_again_and_again_is_accepted_and_costs_one_reading_a_second(
    tmp_path: Path,
) -> None:
    event = b'{"type":"event","call":"customer/update","data":{"customer_id":"1001"}}'
    async with running(tmp_path, "splynx") as house:
        began = time.monotonic()
        for _ in range(50):
            assert await post(house.port, event, splynx(event)) == 200

        assert len(house.told.hints) <= 1 + (time.monotonic() - began) + 1


async def test_a_rumour_of_uisp_is_heard_but_of_rumours_there_are_few(tmp_path: Path) -> None:
    rumour = json.dumps(
        {"uuid": "u", "changeType": "suspend", "entity": "service", "extraData": {"entity": {"clientId": 7}}}
    ).encode()
    async with running(tmp_path, "uisp") as house:
        statuses = [await post(house.port, rumour, {}) for _ in range(40)]
        proven = await post(house.port, rumour, {"Authorization": f"Bearer {SECRET}"})

        assert set(statuses[:30]) == {200}
        assert 429 in statuses[30:]
        assert proven == 200, "rumours use up nothing of what is proven"
        await until(lambda: house.told.hints)
        assert house.told.hints[0] == Hint(("7",))


# --- settings -------------------------------------------------------------------------------------


async def test_a_reload_takes_the_new_secret_and_path_and_keeps_the_socket(house: House) -> None:
    octets = body("e-1")
    port = house.port
    house.service.reconfigure(settings(path="/new", secret="another-secret-of-a-test"))

    assert await post(port, octets, path="/new") == 401
    assert await post(port, octets, path=PATH) == 404
    new = hmac.new(b"another-secret-of-a-test", octets, hashlib.sha256).hexdigest()
    assert await post(port, octets, {"X-Edged-Signature": f"sha256={new}"}, path="/new") == 202


async def test_an_address_that_cannot_be_had_is_the_operators_to_know(house: House, tmp_path: Path) -> None:
    database = Database(tmp_path / "other.sqlite")
    await database.open()
    service = HookService(settings(house.port), source="rest", store=HookStore(database), tell=Told())

    with pytest.raises(ConfigError) as raised:
        await service.start()

    assert raised.value.problems[0].key == "billing.webhook.listen"
    assert "is in use" in raised.value.problems[0].found
    await service.stop()
    await database.close()


async def test_it_listens_on_ipv6_too(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    service = HookService(settings(listen="[::1]:0"), source="rest", store=HookStore(database), tell=Told())
    await service.start()
    assert service.endpoint is not None
    octets = body()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{service.endpoint}{PATH}", data=octets, headers=signature(octets)) as reply,
    ):
        assert reply.status == 202
    await service.stop()
    await database.close()


EXAMPLES = re.findall(r"^```sh\n(.*?)^```", MANUAL.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("source", "example", "status", "subscriber"),
    [("rest", 0, 202, "1001"), ("file", 0, 202, "1001"), ("splynx", 1, 200, "20"), ("uisp", 2, 200, "20")],
)
async def test_the_examples_of_the_manual_are_heard(
    tmp_path: Path, source: str, example: int, status: int, subscriber: str
) -> None:
    assert len(EXAMPLES) == 3
    (tmp_path / "hook").write_text(f"{SECRET}\n")
    async with running(tmp_path, source) as house:
        script = EXAMPLES[example].replace("/etc/edged/secrets/hook", str(tmp_path / "hook"))
        script = script.replace(":9301", f":{house.port}")

        shell = await asyncio.create_subprocess_exec("sh", "-euc", script, stdout=PIPE, stderr=PIPE)
        printed, _ = await shell.communicate()

        assert printed.startswith(b"HTTP/1.1 %d " % status)
        await until(lambda: house.told.subscribers == [subscriber])


async def test_after_its_stop_nothing_listens(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        port = house.port
    with pytest.raises(aiohttp.ClientConnectionError):
        await post(port, body())
