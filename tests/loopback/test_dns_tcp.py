"""DNS over TCP on real sockets: pipelining, order, cuts, clocks, caps, and a thousand idle connections."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from edged.dns.sinkhole import Pending
from edged.dns.tcp import service as tcp_service
from edged.dns.tcp.service import Clocks, Connections, Later
from edged.fdstore import FdStore
from edged.model import Access, Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import Endpoint, Prefix
from tests.dns_lab import NOW, lab_sinkhole, view_of
from tests.loopback.test_dns import running

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

KEEPALIVE = dns.edns.OptionType.make(11)
WAIT = 10.0
"""Seconds until a test gives up; nothing here takes one."""


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Room for both ends of every connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def framed(name: str, ident: int = 1, *, keepalive: bool = False) -> bytes:
    options: list[dns.edns.Option] | None = [dns.edns.GenericOption(KEEPALIVE, b"")] if keepalive else None
    query = dns.message.make_query(name, "A", use_edns=0 if keepalive else None, options=options)
    query.id = ident
    octets = query.to_wire()
    return len(octets).to_bytes(2) + octets


async def read_reply(reader: asyncio.StreamReader) -> dns.message.Message:
    length = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), WAIT))
    return dns.message.from_wire(await asyncio.wait_for(reader.readexactly(length), WAIT))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """True when the stream ends by itself, without another octet."""
    try:
        return await asyncio.wait_for(reader.read(), WAIT) == b""
    except ConnectionResetError:
        return True


async def stream_to(endpoint: Endpoint, source: str = "127.0.0.1") -> Stream:
    # the port 0 is chosen at connect: many sources may share one
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    sock.setblocking(False)
    sock.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", endpoint.port))
    return await asyncio.open_connection(sock=sock)


async def stalled(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Transport]:
    """A client that does not read, with as little room in its kernel as there may be."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", endpoint.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    return reader, writer, transport


async def ask(stream: Stream, name: str, ident: int = 1, *, keepalive: bool = False) -> dns.message.Message:
    stream[1].write(framed(name, ident, keepalive=keepalive))
    return await read_reply(stream[0])


def households(count: int) -> View:
    """``count`` blocked subscribers, 127.0.1.1 and on; 127.0.0.0/24 is another."""
    lines = [Subscriber(str(n), State.BLOCKED, addresses=(Prefix(4, 0x7F000101 + n, 32),)) for n in range(count)]
    lines.append(Subscriber("client", State.BLOCKED, addresses=(Prefix(4, 0x7F000000, 24),)))
    served = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8"]})
    return View(compile_table(Snapshot("s", "r", NOW, tuple(lines)), served))


def nowhere(_pending: Pending, _send: Callable[[bytes], None]) -> None:
    """An upstream that never answers."""


@contextlib.asynccontextmanager
async def streams(clocks: Clocks, later: Later = nowhere) -> AsyncIterator[tuple[Endpoint, Connections]]:
    """Connections alone, behind a sinkhole that blocks everybody, with little room in their kernel."""
    sinkhole = lab_sinkhole()
    sinkhole.adopt(view_of(Access.BLOCKED, "127.0.0.0/8"))
    connections = Connections(sinkhole, lambda: None, later, clocks)
    sock = tcp_service.bind(Endpoint(ip_address("127.0.0.1"), 0), "dns.listen[0]", FdStore())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    serving = asyncio.create_task(connections.serve([sock]))
    try:
        yield Endpoint(ip_address("127.0.0.1"), sock.getsockname()[1]), connections
    finally:
        serving.cancel()
        connections.close()
        await asyncio.sleep(0)


async def until(condition: str, check: object) -> None:
    assert callable(check)
    async with asyncio.timeout(WAIT):
        while not check():
            await asyncio.sleep(0.01)
    assert check(), condition


async def test_a_hundred_pipelined_queries_are_all_answered() -> None:
    records = [f"n{i}.gate.example. 60 A 198.51.100.{i}" for i in range(1, 100)]
    async with running(Access.BLOCKED, *records) as lab:
        reader, writer = await stream_to(lab.endpoint)
        # every second one waits for an upstream: answers come in any order
        names = [f"n{i}.gate.example" if i % 2 else f"n{i}.example.com" for i in range(100)]
        writer.write(b"".join(framed(name, i) for i, name in enumerate(names)))
        replies = [await read_reply(reader) for _ in range(100)]
        writer.close()

    assert {r.id for r in replies} == set(range(100))
    assert all(r.answer[0].name.to_text() == names[r.id] + "." for r in replies)


async def test_a_slow_lookup_does_not_hold_the_answers_behind_it() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        lab.sets.wait = asyncio.Event()
        lab.upstream.delay = 0.1
        reader, writer = await stream_to(lab.endpoint)
        writer.write(framed("pay.example.net", 1) + framed("www.example.com", 2) + framed("web.example.com", 3))
        order = [(await read_reply(reader)).id for _ in range(3)]
        writer.close()

    assert order == [2, 3, 1]


async def test_a_query_may_arrive_octet_by_octet() -> None:
    async with running() as lab:
        reader, writer = await stream_to(lab.endpoint)
        for octet in framed("www.example.com"):
            writer.write(bytes((octet,)))
            await asyncio.sleep(0.001)
        first = await read_reply(reader)
        second = await ask((reader, writer), "again.example.com")
        writer.close()

    assert lab.addresses(first) == lab.addresses(second) == ["203.0.113.10"]


async def test_a_message_may_be_as_long_as_its_prefix_can_say() -> None:
    async with running() as lab:
        reader, writer = await stream_to(lab.endpoint)
        octets = framed("www.example.com")[2:]
        writer.write(b"\xff\xff" + octets + bytes(0xFFFF - len(octets)) + framed("next.example.com", 2))
        replies = [await read_reply(reader) for _ in range(2)]
        writer.close()

    assert [lab.addresses(r) for r in replies] == [["203.0.113.10"]] * 2


async def test_an_answer_that_our_own_options_make_too_long_is_truncated() -> None:
    # 65,535 octets as the upstream sends it: neither OPT nor cookie of ours fits behind it
    async with running(Access.OPEN, "big.example. 60 A 198.51.100.1") as lab:

        def longest(reply: bytes) -> bytes:
            if not lab.upstream.tcp:
                return reply[:2] + bytes((reply[2] | 2,)) + reply[3:]
            head = reply[:6] + b"\x00\x01\x00\x00\x00\x00" + reply[12:29]
            return (
                head
                + b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c"
                + (0xFFFF - len(head) - 12).to_bytes(2)
                + (b"\xff" + bytes(255)) * 255
                + bytes(0xFFFF - len(head) - 12 - 255 * 256)
            )

        lab.upstream.spoil = longest
        plain = await lab.ask("big.example", "TXT", tcp=True)
        cookie = await lab.ask(
            "big.example", "TXT", tcp=True, use_edns=0, options=[dns.edns.CookieOption(bytes(8), b"")]
        )

    assert len(plain.answer) == 1
    assert cookie.flags & dns.flags.TC
    assert not cookie.answer


async def test_a_client_that_closes_its_half_still_gets_its_answer() -> None:
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1") as lab:
        lab.upstream.delay = 0.1
        reader, writer = await stream_to(lab.endpoint)
        writer.write(framed("www.example"))
        writer.write_eof()
        reply = await read_reply(reader)
        ended = await is_closed(reader)
        writer.close()

    assert lab.addresses(reply) == ["198.51.100.1"]
    assert ended


async def test_a_client_that_closes_its_half_gets_the_answers_to_all_it_had_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_service, "_PENDING", 4)
    monkeypatch.setattr(tcp_service, "_BURST", 8)
    async with running(Access.BLOCKED, *[f"n{i}.gate.example. 60 A 198.51.100.7" for i in range(100)]) as lab:
        lab.upstream.delay = 0.01
        reader, writer = await stream_to(lab.endpoint)
        writer.write(b"".join(framed(f"n{i}.{'gate.example' if i % 3 else 'example.com'}", i) for i in range(100)))
        writer.write_eof()
        answered = {(await read_reply(reader)).id for _ in range(100)}
        ended = await is_closed(reader)
        writer.close()

    assert answered == set(range(100))
    assert ended


@pytest.mark.parametrize(
    "octets",
    [b"\x00\x00", b"\x00\x05abcde", b"\x00\x0c" + bytes.fromhex("000181800000000000000000")],
    ids=["no octets", "short", "a response"],
)
async def test_a_stream_that_is_no_dns_is_closed_after_the_answers_before(octets: bytes) -> None:
    async with running() as lab:
        reader, writer = await stream_to(lab.endpoint)
        writer.write(framed("www.example.com") + octets)
        reply = await read_reply(reader)
        ended = await is_closed(reader)
        writer.close()

    assert reply.answer
    assert ended


async def test_who_does_not_read_is_not_read_from_and_loses_nothing_later() -> None:
    queries = 30_000
    async with streams(Clocks()) as (endpoint, connections):
        reader, writer, transport = await stalled(endpoint)
        writer.write(b"".join(framed("www.example.com", i) for i in range(queries)))
        seen = -1
        while seen != connections.counters.received:
            seen = connections.counters.received
            await asyncio.sleep(0.3)
        other = await stream_to(endpoint)
        served = await ask(other, "www.example.com")
        transport.resume_reading()
        for i in range(queries):
            length = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), WAIT))
            assert int.from_bytes((await reader.readexactly(length))[:2]) == i
        writer.close()
        other[1].close()

    assert 0 < seen < queries / 2, "its queries waited in its own window"
    assert served.answer


async def test_who_does_not_read_is_not_waited_for() -> None:
    async with streams(Clocks(message=0.3, sweep=0.05)) as (endpoint, connections):
        _, writer, _transport = await stalled(endpoint)
        writer.write(framed("www.example.com") * 200_000)
        await until("it was closed", lambda: connections.counters.tcp_closed)
        writer.transport.abort()
        await asyncio.sleep(0)

    assert connections.counters.tcp_open == 0


async def test_who_leaves_many_large_answers_lying_is_gone() -> None:
    sizes = list[int]()

    def later(_pending: Pending, send: Callable[[bytes], None]) -> None:
        sizes.append(60_000)
        asyncio.get_running_loop().call_soon(send, bytes(60_000))

    async with streams(Clocks(), later) as (endpoint, connections):
        _, writer, transport = await stalled(endpoint)
        writer.write(framed("pay.example.net") * 60)
        await until("it was closed", lambda: connections.counters.tcp_closed)
        transport.abort()

    assert len(sizes) == 60
    assert connections.counters.tcp_open == 0


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x00\x40abc"], ids=["idle", "half a prefix", "half a message"])
@pytest.mark.parametrize("pressed", [False, True], ids=["calm", "pressed"])
async def test_a_silent_stream_is_not_waited_for(octets: bytes, pressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for_ever = 1000.0
    clocks = Clocks(idle=0.2, idle_under_pressure=for_ever, message=0.2, message_under_pressure=for_ever, sweep=0.05)
    if pressed:
        monkeypatch.setattr(tcp_service, "_TOTAL", 1)
        clocks = Clocks(
            idle=for_ever, idle_under_pressure=0.2, message=for_ever, message_under_pressure=0.2, sweep=0.05
        )
    async with streams(clocks) as (endpoint, connections):
        reader, writer = await stream_to(endpoint)
        writer.write(octets)

        assert await is_closed(reader)

        writer.close()
    assert connections.counters.tcp_closed == 1


async def test_many_whose_time_is_up_go_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_service, "_SWEPT", 2)
    async with streams(Clocks()) as (endpoint, connections):
        held = [await stream_to(endpoint) for _ in range(5)]
        await until("all are in", lambda: connections.counters.tcp_open == 5)
        at_the_end = asyncio.get_running_loop().time() + 11.0
        left = [(connections.sweep(at_the_end), connections.counters.tcp_open) for _ in range(3)]
        for _, writer in held:
            writer.close()

    assert left == [(True, 3), (True, 1), (False, 0)]
    assert not connections._clients, "nothing is kept of who has gone"


async def test_octets_that_drip_do_not_stop_the_clock_of_a_message() -> None:
    async with streams(Clocks(message=0.3, sweep=0.05)) as (endpoint, connections):
        reader, writer = await stream_to(endpoint)
        for octet in framed("a-name-of-some-length.example.com"):
            writer.write(bytes((octet,)))
            await asyncio.sleep(0.05)
            if connections.counters.tcp_closed:
                break
        assert await is_closed(reader)
        writer.close()


async def test_the_clock_of_a_message_begins_when_the_one_before_has_come_whole() -> None:
    octets = framed("a-name-of-some-length.example.com")
    async with streams(Clocks(message=1.0, sweep=0.02)) as (endpoint, connections):
        reader, writer = await stream_to(endpoint)
        writer.write(octets[:9])
        for _ in range(4):
            # the rest of one and the begin of the next together: something always waits
            await asyncio.sleep(0.4)
            writer.write(octets[9:] + octets[:9])
            await read_reply(reader)
        writer.close()
    assert connections.counters.tcp_closed == 0


async def test_the_clock_of_a_message_begins_with_its_first_octet() -> None:
    octets = framed("www.example.com")
    async with streams(Clocks(message=1.0, sweep=0.02)) as (endpoint, connections):
        reader, writer = await stream_to(endpoint)
        await asyncio.sleep(0.8)
        writer.write(octets[:9])
        await asyncio.sleep(0.5)
        writer.write(octets[9:])
        assert (await read_reply(reader)).answer
        writer.close()
    assert connections.counters.tcp_closed == 0


async def test_who_asks_too_much_of_an_upstream_at_once_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_service, "_PENDING", 2)
    asked: list[Callable[[bytes], None]] = []
    async with streams(Clocks(), lambda _pending, send: asked.append(send)) as (endpoint, _):
        _, writer = await stream_to(endpoint)
        writer.write(b"".join(framed("pay.example.net", n) for n in range(5)))
        await until("as many as may be are asked", lambda: len(asked) == 2)
        await asyncio.sleep(0.1)
        at_once = len(asked)
        asked[0](framed("pay.example.net")[2:])
        await until("one more is asked", lambda: len(asked) == 3)
        writer.close()
    assert at_once == 2


async def test_a_query_in_time_keeps_the_stream() -> None:
    async with streams(Clocks(idle=0.5, message=0.5, sweep=0.02)) as (endpoint, connections):
        stream = await stream_to(endpoint)
        for n in range(8):
            await asyncio.sleep(0.15)
            assert (await ask(stream, "www.example.com", n)).id == n
        stream[1].close()
    assert connections.counters.tcp_closed == 0


async def test_the_idle_timeout_is_told_to_who_asks_for_it_over_tcp_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_service, "_TOTAL", 8)
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        stream = await stream_to(lab.endpoint)
        calm = await ask(stream, "www.example.com", keepalive=True)
        later = await ask(stream, "pay.example.net", keepalive=True)
        unasked = await lab.ask("www.example.com", tcp=True, use_edns=0)
        over_udp = await lab.ask("www.example.com", use_edns=0, options=[dns.edns.GenericOption(KEEPALIVE, b"")])
        others = [await stream_to(lab.endpoint) for _ in range(5)]
        pressed = await ask(stream, "www.example.com", keepalive=True)
        for _, writer in (stream, *others):
            writer.close()

    def told(reply: dns.message.Message) -> list[bytes]:
        return [option.to_wire() for option in reply.options if option.otype == KEEPALIVE]

    assert told(calm) == told(later) == [(100).to_bytes(2)], "ten seconds, in tenths"
    assert told(pressed) == [(20).to_bytes(2)]
    assert told(unasked) == told(over_udp) == []
    assert over_udp.answer
    assert [o.otype for o in calm.options if o.otype != KEEPALIVE] == [dns.edns.EDE]


async def test_a_thousand_idle_connections_of_many_clients_delay_nobody() -> None:
    async with running() as lab:
        lab.current.publish(households(50))
        idle = [await stream_to(lab.endpoint, f"127.0.1.{1 + n % 50}") for n in range(1000)]
        await until("all are in", lambda: lab.service.counters.tcp_open == 1000)
        over_udp = [await lab.ask(f"u{n}.example.com") for n in range(20)]
        over_tcp = [await lab.ask(f"t{n}.example.com", tcp=True) for n in range(20)]
        # and each of them is served when it wakes
        woken = [await ask(stream, "woken.example.com") for stream in idle[::50]]
        held, closed = lab.service.counters.tcp_open, lab.service.counters.tcp_closed
        for _, writer in idle:
            writer.close()

    assert all(reply.answer for reply in (*over_udp, *over_tcp, *woken))
    assert held >= 1000
    assert closed == 0, "there was room for all"


async def test_a_thousand_idle_connections_of_one_client_delay_nobody() -> None:
    async with running() as lab:
        lab.current.publish(households(1))
        idle = [await stream_to(lab.endpoint, "127.0.1.1") for _ in range(1000)]
        await until("they were taken in", lambda: lab.service.counters.tcp_connections == 1000)
        over_udp = await lab.ask("www.example.com")
        over_tcp = await lab.ask("www.example.com", tcp=True)
        newest = await ask(idle[-1], "www.example.com")
        closed = lab.service.counters.tcp_closed
        for _, writer in idle:
            writer.close()

    assert over_udp.answer
    assert over_tcp.answer
    assert newest.answer
    assert closed == 1000 - 32, "one subscriber holds no more than their share"


async def test_all_strangers_are_one_client() -> None:
    async with running() as lab:
        lab.current.publish(view_of(Access.BLOCKED, "127.0.0.0/24"))
        strangers = [await stream_to(lab.endpoint, f"127.0.9.{n}") for n in range(1, 101)]
        reply = await lab.ask("www.example.com", tcp=True)
        await until("they were taken in", lambda: lab.service.counters.tcp_connections == 101)
        closed = lab.service.counters.tcp_closed
        refused = await ask(strangers[-1], "www.example.com")
        for _, writer in strangers:
            writer.close()

    assert reply.answer
    assert closed == 100 - 32
    assert refused.rcode() == dns.rcode.REFUSED


async def test_the_oldest_idle_connection_of_the_client_makes_room() -> None:
    async with running() as lab:
        held = [await stream_to(lab.endpoint) for _ in range(32)]
        for stream in held:
            await ask(stream, "www.example.com")
        await ask(held[0], "again.example.com")
        newest = await stream_to(lab.endpoint)
        await ask(newest, "new.example.com")
        ended = await is_closed(held[1][0])
        still = await ask(held[0], "still.example.com")
        for _, writer in (*held, newest):
            writer.close()

    assert ended
    assert lab.addresses(still) == ["203.0.113.10"]
    assert lab.service.counters.tcp_closed == 1


async def test_when_all_is_taken_the_oldest_idle_connection_of_all_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_service, "_TOTAL", 20)
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        lab.current.publish(households(30))
        held = [await stream_to(lab.endpoint, f"127.0.1.{n}") for n in range(1, 21)]
        for stream in held:
            await ask(stream, "www.example.com")
        lab.upstream.silent = True
        held[0][1].write(framed("pay.example.net"))
        await until("it waits for the upstream", lambda: lab.upstream.asked)
        newer = [await stream_to(lab.endpoint, f"127.0.1.{n}") for n in range(21, 24)]
        ended = [await is_closed(reader) for reader, _ in held[1:4]]
        for stream in (*held[4:], *newer):
            await ask(stream, "still.example.com")
        lab.upstream.silent = False
        busy = await read_reply(held[0][0])
        closed = lab.service.counters.tcp_closed
        for _, writer in (*held, *newer):
            writer.close()

    assert ended == [True] * 3
    assert busy.question[0].name.to_text() == "pay.example.net.", "one that waits for us is not idle"
    assert closed == 3


async def test_a_query_makes_an_idle_connection_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_service, "_TOTAL", 2)
    async with streams(Clocks()) as (endpoint, connections):
        first, second = await stream_to(endpoint), await stream_to(endpoint)
        await until("both are in", lambda: connections.counters.tcp_open == 2)
        await ask(first, "www.example.com")
        third = await stream_to(endpoint)
        assert await is_closed(second[0])
        assert (await ask(first, "still.example.com")).answer
        for _, writer in (first, second, third):
            writer.close()


async def test_when_none_is_idle_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_service, "_TOTAL", 4)
    async with running(Access.OPEN) as lab:
        lab.upstream.silent = True
        held = []
        for n in range(4):
            held.append(await stream_to(lab.endpoint))
            held[-1][1].write(framed(f"www{n}.example"))
            await until("it waits", lambda n=n: len({q.question[0].name for q in lab.upstream.asked}) > n)
        newest = await stream_to(lab.endpoint)
        assert await is_closed(held[0][0])
        lab.upstream.silent = False
        newest[1].write(framed("www4.example"))
        assert (await read_reply(newest[0])).rcode() == dns.rcode.NXDOMAIN
        for _, writer in (*held, newest):
            writer.close()

    assert lab.service.counters.tcp_closed == 1


async def test_descriptors_bound_the_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 256 + len(list(Path("/proc/self/fd").iterdir()))  # tests before this one may have left some open
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    async with streams(Clocks()) as (endpoint, connections):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        connections.sinkhole.adopt(households(10))
        held = [await stream_to(endpoint, f"127.0.1.{1 + n % 10}") for n in range(allowed // 4 + 36)]
        await until("they were taken in", lambda: connections.counters.tcp_connections == len(held))
        assert connections.counters.tcp_open == allowed // 4
        for _, writer in held:
            writer.close()
