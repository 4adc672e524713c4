"""The doors under hostile connections: each test is named after a row of what an attacker may try.

Also: what is answered at once, without a task, is what aiohttp's protocol would have answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import re
import resource
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.captive import respond
from edged.captive.admission import PER_SOURCE, Crowd, Deadlines
from edged.captive.doors.service import Unanswered
from edged.captive.http import service as front
from edged.captive.probes import PROBES
from edged.model import Access
from edged.values import IpAddress
from edged.webserver import LIMITS
from tests.dns_lab import view_of
from tests.loopback.test_captive import HOST, House, dial, dialled, running, said, until
from tests.unit.test_captive_tls import hello, records

PLAIN = b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
ALERT = bytes.fromhex("15030300020250")
SOON = 3.0
"""Seconds: less than any patience, and enough for a machine that tests something else beside."""
BLOCKED = view_of(Access.BLOCKED, "127.0.0.0/8")
QUICK = Deadlines(first_octet=0.4, request=0.4, lifetime=1.0, linger=0.4)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path) as found:
        found.current.publish(BLOCKED)
        yield found


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path, deadlines=QUICK) as found:
        found.current.publish(BLOCKED)
        yield found


def inside(house: House) -> int:
    assert house.service._doors is not None
    return len(house.service._doors.crowd)


async def answered_within(house: House, seconds: float, source: str = "127.0.0.77") -> None:
    """A new client from ``source`` is redirected, and soon."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.http, local_addr=(source, 0))
    writer.write(PLAIN)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert time.monotonic() - began < seconds


@contextlib.contextmanager
def connected(port: int, count: int, octets: bytes = b"", first: int = 0x7F010000) -> Iterator[list[socket.socket]]:
    """``count`` connections, each from an address of its own; non-blocking."""
    socks = []
    try:
        for number in range(count):
            sock = socket.socket()
            socks.append(sock)
            sock.bind((socket.inet_ntoa((first + number).to_bytes(4)), 0))
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            if octets:
                sock.send(octets)
        yield socks
    finally:
        for sock in socks:
            sock.close()


# ---- at once or by aiohttp: the same answer

NAMES = ["a.example.com", "portal.example.net", "PORTAL.example.net:80", "203.0.113.10", "[2001:db8::1]", "localhost"]
FIELDS = [
    b"Accept: text/html", b"Accept: image/*,*/*", b"accept:*/*", b"Accept-Language: de", b"X-Requested-With: x",
    b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c",
    b"Expect: 100-continue", b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 3, 3", b"Content-Length: +3",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding : chunked", b"Host: b.example",
    b"X-Folded: a\r\n b", b"X-Nul: a\0b", b"X-Bare: a\nb", b"X-Octets: \xff\xfe", b": nameless", b"No colon", b"X-:",
    b"X: " + b"y" * 8300, b"Cookie: " + b"c" * 3000, b"Proxy-Connection: close", b"HTTP2-Settings: x", b"X-A:\t a \t",
]  # fmt: skip
TARGETS = [
    b"/", b"/a?b=c", b"/app.js", b"/s/abc", b"/.well-known/captive-portal", b"//x", b"/%00", b"/a b", b"*", b"/\xe9",
    b"http://a.example.com/", b"http://b.example.com/x?y", b"https://a.example.com", b"a.example.com:443", b"/?\x7f",
    b"/" + b"t" * 8300, b"/#f", b"http://[::1/", b"", b"/..//../a",
]  # fmt: skip


def drawn(dice: random.Random) -> bytes:
    """A request: usual more often than not, odd in a field or two, sometimes with octets changed."""
    probe = dice.choice(PROBES)
    host = dice.choice([probe.host, *NAMES]).encode()
    target = dice.choice([probe.path.encode(), b"/", dice.choice(TARGETS)])
    method = dice.choices([b"GET", b"HEAD", b"POST", b"get", b"OPTIONS", b"CONNECT"], [12, 4, 1, 1, 1, 1])[0]
    version = dice.choices([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 "], [16, 1, 1, 1])[0]
    fields = [b"Host: " + host] if dice.random() < 0.95 else []
    fields += dice.sample(FIELDS[:7], dice.randrange(3)) + (dice.sample(FIELDS, 2) if dice.random() < 0.4 else [])
    dice.shuffle(fields)
    octets = bytearray(b"\r\n".join([b" ".join((method, target, version)), *fields, b"", b""]))
    if dice.random() < 0.15:
        octets += dice.choice([b"abc", PLAIN, b"\r\n", b"\0"])
    if dice.random() < 0.3:
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(octets))
            octets[at : at + dice.randrange(2)] = dice.choice(
                [b"", b"\n", b"\r", b" ", b":", bytes([dice.randrange(256)])]
            )
    return bytes(octets)


async def meets(house: House, octets: bytes) -> bytes:
    """The answer to ``octets`` without its date; a head that never ends is ended by its client."""
    async with asyncio.timeout(20), dialled(house.http) as (reader, writer):
        writer.write(octets)
        if b"\r\n\r\n" not in octets:
            writer.write_eof()
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        return re.sub(rb"\r\nDate: [^\r]+", b"\r\nDate: now", answer)


@pytest.mark.parametrize("access", Access)
async def test_what_is_answered_at_once_is_what_aiohttp_would_have_answered(
    tmp_path: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(respond, "RETURN_WAIT", 0.01)
    dice = random.Random(f"doors {access}")
    patient = Deadlines(first_octet=4.0, request=4.0)
    async with running(tmp_path, deadlines=patient) as quick, running(tmp_path, deadlines=patient) as slow:
        seen: list[bytes | Unanswered] = []
        for each in (quick, slow):
            each.current.publish(view_of(access, "127.0.0.0/8", until=time.time() + 600))
        assert quick.service._doors is not None
        assert slow.service._doors is not None
        at_once = quick.service._doors.at_once

        def noted(octets: bytes, address: IpAddress) -> bytes | Unanswered:
            seen.append(at_once(octets, address))
            return seen[-1]

        quick.service._doors.at_once = noted
        slow.service._doors.at_once = lambda *_: Unanswered.SEAT

        for _ in range(16):
            batch = [drawn(dice) for _ in range(25)]
            ours = await asyncio.gather(*(meets(quick, octets) for octets in batch))
            aiohttps = await asyncio.gather(*(meets(slow, octets) for octets in batch))
            for octets, one, other in zip(batch, ours, aiohttps, strict=True):
                # what never ends may be refused early or cut off late
                assert one == other or (not one and b"\r\n\r\n" not in octets), octets

        # a reminder has to know where its page loads were going, and counts them: none is answered so
        assert sum(isinstance(found, bytes) for found in seen) > 60 or access is Access.NOTICE
        assert quick.service.counters.answers == slow.service.counters.answers
        assert quick.service.counters.dropped["stranger"] == slow.service.counters.dropped["stranger"]


async def test_a_head_request_at_once_has_the_length_and_not_the_body(house: House) -> None:
    head = await said(house.http, b"HEAD" + PLAIN[3:])
    whole = await said(house.http, PLAIN)

    assert head.endswith(b"\r\n\r\n")
    assert whole.startswith(head[: head.index(b"Date")])
    assert f"Content-Length: {len(whole) - len(head)}".encode() in head


async def test_an_answer_at_once_takes_no_task_and_no_seat(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_protocol(*_: object) -> asyncio.Protocol:
        raise AssertionError("a protocol was made")

    assert house.service._doors is not None
    monkeypatch.setattr(house.service._doors, "protocol", no_protocol)
    await answered_within(house, SOON)
    assert await asyncio.to_thread(dial, house, "www.example.com") == "TLSV1_ALERT_INTERNAL_ERROR"


async def test_a_bug_met_at_once_is_counted_and_ends_one_connection(house: House) -> None:
    def stumbles(*_: object) -> bytes:
        raise ZeroDivisionError

    assert house.service._doors is not None
    at_once, house.service._doors.at_once = house.service._doors.at_once, stumbles
    assert await said(house.http, PLAIN) == b""
    assert await said(house.http, PLAIN[:9]) == b""
    assert house.service.counters.faults == 2
    house.service.counters.faults = 0  # seen

    house.service._doors.at_once = at_once
    await answered_within(house, SOON)
    assert inside(house) == 0


# ---- slow first octet, slow ClientHello, slow request head


async def test_slow_first_octet(quick: House) -> None:
    began = time.monotonic()
    for port in (quick.http, quick.https):
        assert await said(port, b"") == b""
    assert 0.7 < time.monotonic() - began < 3.0
    assert quick.service.counters.dropped["slow"] == 2


async def dripped(port: int, octets: bytes) -> int:
    """How many of ``octets`` were taken, one every 50 ms, before the connection was ended."""
    async with dialled(port) as (reader, writer):
        ended = asyncio.create_task(reader.read())
        for number, octet in enumerate(octets):
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([octet]))
            done, _ = await asyncio.wait({ended}, timeout=0.05)
            if done:
                ended.exception()
                return number
        return len(octets)


async def test_slow_client_hello(quick: House) -> None:
    assert await dripped(quick.https, hello("a.example.com")[:40]) < 30
    assert quick.service.counters.dropped["slow"] == 1


async def test_slow_request_head(quick: House) -> None:
    assert await dripped(quick.http, PLAIN) < 30
    assert quick.service.counters.dropped["slow"] == 1


async def test_a_request_in_single_octets_is_answered(house: House) -> None:
    async with dialled(house.http) as (reader, writer):
        for octet in PLAIN:
            writer.write(bytes([octet]))
            await asyncio.sleep(0.001)

        assert (await reader.read()).startswith(b"HTTP/1.1 302 ")


def counted(doors: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for each call of the method of that name from now on."""
    method, calls = getattr(doors, name), list[None]()

    def noted(*args: Any, **fields: Any) -> Any:
        calls.append(None)
        return method(*args, **fields)

    monkeypatch.setattr(doors, name, noted)
    return calls


@pytest.mark.parametrize("octets", [PLAIN[:20], hello("a.example.com")[:99]], ids=["head", "hello"])
async def test_half_of_it_does_not_spin_the_loop(house: House, octets: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = counted(house.service._doors, "_attend", monkeypatch)
    async with dialled(house.https if octets.startswith(b"\x16") else house.http) as (_, writer):
        writer.write(octets)
        await until(lambda: inside(house) == 1)
        await asyncio.sleep(0.5)

    assert len(looks) <= 3


@pytest.mark.parametrize("octets", [b"", PLAIN[:9], hello("a.example.com")[:99]], ids=["silent", "half", "half hello"])
async def test_who_leaves_first_is_counted_out(house: House, octets: bytes) -> None:
    port = house.https if octets.startswith(b"\x16") else house.http
    async with dialled(port) as (_, writer):
        writer.write(octets)
        await until(lambda: inside(house) == 1)

    await until(lambda: inside(house) == 0)
    assert house.service.counters.dropped["gone"] == 1


# ---- slow reader of the answer


async def test_slow_reader_of_the_answer(quick: House) -> None:
    """A page is asked for again and again and never read."""
    context = ssl.create_default_context(cafile=quick.files.chain)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", quick.https, ssl=context, server_hostname=HOST, limit=1024
    )
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\nHost: portal.example.net\r\n\r\n" * 2000)
        await until(lambda: inside(quick) == 1)
        await until(lambda: inside(quick) == 0)
        await answered_within(quick, SOON)
    writer.transport.abort()
    del reader


async def test_slow_reader_of_a_redirect_holds_nothing(house: House) -> None:
    async with dialled(house.http) as (reader, writer):
        writer.write(PLAIN)
        await until(lambda: house.service.counters.answers["redirect"] == 1)  # type: ignore[index]
        assert inside(house) == 0
        assert (await reader.read()).startswith(b"HTTP/1.1 302 ")


async def test_slow_reader_of_an_alert_is_not_waited_for(quick: House) -> None:
    async with dialled(quick.https) as (reader, writer):
        writer.write(hello("www.example.com"))
        await until(lambda: inside(quick) == 1)
        await until(lambda: inside(quick) == 0)
        assert await reader.read() == ALERT
    assert quick.service.counters.dropped["slow"] == 0


async def test_octets_behind_a_hello_do_not_overtake_its_alert(house: House) -> None:
    """Early data (RFC 8446 section 2.3) is on its way when the alert leaves; a reset would destroy it unread."""
    loop = asyncio.get_running_loop()
    with connected(house.https, 1, hello("www.example.com") + b"\x17\x03\x03\x00\x04data") as [sock]:
        assert await loop.sock_recv(sock, 99) == ALERT
        for _ in range(3):
            sock.send(b"\x17\x03\x03\x00\x04more")
            await asyncio.sleep(0.05)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert inside(house) == 1
    await until(lambda: inside(house) == 0)


# ---- huge header field, too many headers, huge request line


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\n" + b"X: y\r\n" * 65 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
        b"GET /" + b"x" * 100_000,
    ],
    ids=[
        "huge header field",
        "endless field",
        "too many headers",
        "endless headers",
        "huge request line",
        "endless line",
    ],
)
async def test_what_is_too_large_is_refused_and_not_kept(quick: House, octets: bytes) -> None:
    answer = await said(quick.http, octets)

    assert answer.split()[1:2] in ([b"400"], [])  # octets still on their way may reset it
    if len(octets) < 16_000:
        assert answer
    await until(lambda: inside(quick) == 0)


async def test_a_large_head_within_the_limits_is_answered(house: House) -> None:
    """Cookies of a foreign name: more than the doors look at, and a protocol reads it."""
    answer = await said(house.http, PLAIN[:-2] + (b"Cookie: " + b"c" * 1000 + b"\r\n") * 20 + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 302 ")


# ---- body on a foreign host never read


async def test_body_on_a_foreign_host_never_read(house: House) -> None:
    began = time.monotonic()
    answer = await said(house.http, b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 1000000000\r\n\r\nabc")

    assert answer.startswith(b"HTTP/1.1 511 ")
    assert time.monotonic() - began < 2.0


# ---- pipelined requests, request smuggling shapes


async def test_pipelined_requests_get_one_answer(house: House) -> None:
    answer = await said(house.http, PLAIN * 3)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 302 ")


HOSTED = b"POST / HTTP/1.1\r\nHost: a.example.com\r\n"


@pytest.mark.parametrize(
    ("shape", "octets"),
    [
        ("CL and TE", HOSTED + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two CLs", HOSTED + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
        ("a list of CLs", HOSTED + b"Content-Length: 5, 5\r\n\r\nabcde"),
        ("obs-fold", b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX: a\r\n b\r\n\r\n"),
        ("bare LF", b"GET / HTTP/1.1\nHost: a.example.com\n\n"),
        ("bare LF in the head", b"GET / HTTP/1.1\r\nHost: a.example.com\nX: y\r\n\r\n"),
        ("NUL", b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX: a\0b\r\n\r\n"),
        ("space before colon", b"GET / HTTP/1.1\r\nHost : a.example.com\r\n\r\n"),
        ("duplicate Host", b"GET / HTTP/1.1\r\nHost: a.example.com\r\nHost: b.example.com\r\n\r\n"),
        ("absolute form disagrees", b"GET http://b.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
        ("chunked twice", HOSTED + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked not last", HOSTED + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ],
)
async def test_request_smuggling_shapes(house: House, shape: str, octets: bytes) -> None:
    """Refused, or at least never read as two requests."""
    answer = await said(house.http, octets + PLAIN)

    assert answer.count(b"HTTP/1.") == 1, shape
    assert answer.split()[1] == b"400", shape
    assert inside(house) == 0


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\nHost: a.example.com\n\n", b"GET / HTTP/1.1\r\nX: a\0b", hello(HOST)],
    ids=["bare LF", "NUL", "TLS"],
)
async def test_what_can_never_become_a_plain_request_is_refused_at_once(house: House, octets: bytes) -> None:
    began = time.monotonic()

    answer = await said(house.http, octets)

    assert answer.split()[1] == b"400"
    assert time.monotonic() - began < SOON


# ---- floods


async def test_flood_from_one_source_while_another_is_served_in_time(house: House) -> None:
    flooding = True

    async def flood() -> int:
        answers = 0
        while flooding:
            answers += (await said(house.http, PLAIN)).startswith(b"HTTP/1.1 302 ")
        return answers

    floods = [asyncio.create_task(flood()) for _ in range(100)]
    for _ in range(20):
        await answered_within(house, SOON)
    flooding = False

    assert sum(await asyncio.gather(*floods)) > 200
    assert house.service.counters.dropped["full"] == 0


async def test_idle_connections_of_one_source_make_room_for_each_other_alone(house: House) -> None:
    with connected(house.http, 1, first=0x7F020000) as [other]:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(PER_SOURCE + 20):
                await stack.enter_async_context(dialled(house.http))
            await until(lambda: house.service.counters.dropped["displaced"] == 20)
            assert inside(house) == PER_SOURCE + 1
        other.send(PLAIN)
        assert (await asyncio.get_running_loop().sock_recv(other, 99)).startswith(b"HTTP/1.1 ")


async def test_hundreds_of_idle_connections_cost_no_task(house: House) -> None:
    """bench/captive_crowd.py does it with 20,000."""
    tasks = len(asyncio.all_tasks())
    with (
        connected(house.http, 300),
        connected(house.http, 300, PLAIN[:20], 0x7F020000),
        connected(house.https, 300, hello("a.example.com")[:99], 0x7F030000),
    ):
        await until(lambda: inside(house) == 900)
        assert len(asyncio.all_tasks()) == tasks
        await answered_within(house, SOON)
        assert await asyncio.to_thread(dial, house, HOST) == "TLSv1.3"
        assert await asyncio.to_thread(dial, house, "www.example.com") == "TLSV1_ALERT_INTERNAL_ERROR"
    await until(lambda: inside(house) == 0)


async def test_a_full_house_lets_the_oldest_idle_connection_go(house: House) -> None:
    assert house.service._doors is not None
    house.service._doors.crowd = Crowd(total=50)
    with connected(house.http, 60, PLAIN[:20]) as socks:
        await until(lambda: house.service.counters.dropped["displaced"] == 10)
        assert inside(house) == 50
        await answered_within(house, SOON)
        with pytest.raises(ConnectionResetError):  # it had said something that nobody read
            socks[0].recv(1)
        socks[59].send(PLAIN[20:])
        assert (await asyncio.get_running_loop().sock_recv(socks[59], 99)).startswith(b"HTTP/1.1 ")
        for sock in socks:
            sock.close()
        await until(lambda: inside(house) == 0)


async def test_nobody_makes_room_for_one_who_has_had_an_alert_or_a_redirect(house: House) -> None:
    """They had asked before they were let in."""
    assert house.service._doors is not None
    house.service._doors.crowd = Crowd(total=5)
    with connected(house.http, 5):
        await until(lambda: inside(house) == 5)
        with connected(house.https, 1, hello("www.example.com")) as [tls], connected(house.http, 1, PLAIN) as [plain]:
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(tls, 99) == ALERT
            assert (await loop.sock_recv(plain, 99)).startswith(b"HTTP/1.1 302 ")
        assert inside(house) == 5
        assert house.service.counters.dropped["displaced"] == 0


async def test_handshakes_beyond_the_seats_make_room_and_the_lobby_stays(house: House) -> None:
    assert house.service._doors is not None
    house.service._doors.crowd = Crowd(seats=10)
    with (
        connected(house.http, 20, PLAIN[:20], 0x7F020000),
        connected(house.https, 30, hello(HOST)),
    ):
        await until(lambda: house.service.counters.dropped["displaced"] == 20)
        await until(lambda: inside(house) == 30)
        assert await asyncio.to_thread(dial, house, HOST) == "TLSv1.3"


async def test_idle_pages_make_room_for_the_next_page(house: House) -> None:
    assert house.service._doors is not None
    house.service._doors.crowd._seats = 3
    context = ssl.create_default_context(cafile=house.files.chain)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", house.https, ssl=context, server_hostname=HOST)
            stack.callback(writer.close)  # which keeps it, too
            writer.write(b"HEAD / HTTP/1.1\r\nHost: portal.example.net\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert house.service.counters.dropped["displaced"] == 3
        assert house.service.counters.dropped["full"] == 0


async def test_a_tls_connection_keeps_no_large_buffer(house: House) -> None:
    """asyncio's own is 256 KB, which makes two thousand visitors half a gigabyte."""
    context = ssl.create_default_context(cafile=house.files.chain)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.https, ssl=context, server_hostname=HOST)
    protocols = [each for each in gc.get_objects() if isinstance(each, asyncio.sslproto.SSLProtocol)]
    buffers = [len(vars(each)["_ssl_buffer"]) for each in protocols]
    writer.transport.abort()

    assert len(buffers) >= 2
    assert max(buffers) <= 16_384
    assert not reader.at_eof()


# ---- descriptors exhausted and recovered

CHILD = """
import socket, sys
port, idle = map(int, sys.argv[1:])
sys.stdin.readline()
held = [socket.create_connection(("127.0.0.1", port), source_address=(f"127.5.0.{n + 1}", 0)) for n in range(idle)]
asking = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.77", 0))
asking.sendall(b"GET / HTTP/1.1\\r\\nHost: a.example.com\\r\\n\\r\\n")
print(len(held), flush=True)
print(asking.recv(99)[:12].decode(), flush=True)
"""


@contextlib.contextmanager
def descriptor_limit(room: int) -> Iterator[None]:
    """``room`` descriptors more than are open now, and no others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    unused = (number for number in itertools.count() if number not in taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(unused, room, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def asker(port: int, idle: int) -> asyncio.subprocess.Process:
    """Another process, which holds ``idle`` connections and then asks, once it is told to."""
    command = (sys.executable, "-c", CHILD, str(port), str(idle))
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)


async def test_descriptors_exhausted_by_idle_connections_are_taken_from_the_oldest(house: House) -> None:
    gc.collect()
    child = await asker(house.http, 60)
    assert child.stdin is not None
    assert child.stdout is not None
    with descriptor_limit(20):
        child.stdin.write(b"\n")
        async with asyncio.timeout(5):
            assert await child.stdout.readline() == b"60\n"
            assert await child.stdout.readline() == b"HTTP/1.1 302\n"
        assert house.service.counters.dropped["displaced"] >= 40
    await child.wait()
    await until(lambda: inside(house) == 0)


async def test_descriptors_exhausted_by_others_and_recovered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = counted(house.service._doors, "_pause", monkeypatch)
    gc.collect()
    child = await asker(house.http, 0)
    assert child.stdin is not None
    assert child.stdout is not None
    with descriptor_limit(8), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            while True:
                stack.callback(socket.socket().close)
        child.stdin.write(b"\n")
        assert await child.stdout.readline() == b"0\n"
        answer = asyncio.create_task(child.stdout.readline())
        done, _ = await asyncio.wait({answer}, timeout=0.7)
        assert not done
        assert 1 <= len(pauses) <= 8  # of 0.2 s on a listener or two; it does not spin
        stack.close()
        async with asyncio.timeout(5):
            assert await answer == b"HTTP/1.1 302\n"
    await child.wait()


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_foreign_hello_in_many_records_is_turned_away(house: House, size: int) -> None:
    assert await said(house.https, records(hello("www.example.com"), size)) == ALERT


async def test_half_a_head_may_take_long_and_then_a_seat(house: House) -> None:
    """A POST waits in the lobby until its head is whole."""
    async with dialled(house.http) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a.example.com\r\n")
        await until(lambda: inside(house) == 1)
        tasks = len(asyncio.all_tasks())
        writer.write(b"Content-Length: 1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 511 ")
        assert len(asyncio.all_tasks()) <= tasks


def test_the_limits_of_the_parser_are_those_of_the_protocol() -> None:
    assert front._PARSED.items() <= LIMITS.items()
