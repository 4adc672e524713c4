"""A stream may be cut anywhere, read slowly and answered late: the answers are those of its messages, one by one."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from unittest import mock

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dns import reply
from edged.dns.codes import Rcode
from edged.dns.sinkhole import Pending
from edged.dns.tcp import keepalive
from edged.dns.tcp import service as tcp_service
from edged.dns.tcp.framing import Framing, framed
from edged.dns.tcp.service import Connection, Connections
from edged.model import Access
from tests.dns_lab import CLIENT, NOW, lab_sinkhole, view_of

KEEPALIVE = dns.edns.OptionType.make(11)
SENT = dns.edns.GenericOption(KEEPALIVE, b"")


def query(name: str, ident: int, *, option: bool = False) -> bytes:
    message = dns.message.make_query(name, "A", use_edns=0 if option else None, options=[SENT] if option else None)
    message.id = ident
    return message.to_wire()


# sinkhole, garden (an upstream has the answer), neither well-formed nor silent, with the option
KINDS: dict[str, Callable[[int], bytes]] = {
    "sinkhole": lambda ident: query("www.example.com", ident),
    "garden": lambda ident: query("pay.example.net", ident),
    "formerr": lambda ident: ident.to_bytes(2) + b"\x01\x00\x00\x02" + bytes(6),
    "option": lambda ident: query("www.example.com", ident, option=True),
    "long": lambda ident: query("www.example.com", ident) + bytes(5000),
    "silence": lambda ident: ident.to_bytes(2) + b"\x80" + bytes(9),
}
SPOKEN = sorted(set(KINDS) - {"silence"})


class FakeTransport(asyncio.Transport):
    """asyncio's selector transport as far as a protocol can tell; the far end takes what ``drain`` is told."""

    def __init__(self, protocol: Connection, high: int, peer: str = CLIENT) -> None:
        super().__init__()
        self.protocol, self.high, self.peer = protocol, high, peer
        self.waiting, self.taken = bytearray(), bytearray()
        self.reading, self.closing, self.paused, self.lost = True, False, False, False
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self.peer, 53053) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.waiting += data
        if len(self.waiting) > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()

    def drain(self, octets: int) -> None:
        self.taken += self.waiting[:octets]
        del self.waiting[:octets]
        if self.paused and len(self.waiting) <= self.high // 4:
            self.paused = False
            self.protocol.resume_writing()
        if self.closing and not self.waiting:
            self._lose()

    def close(self) -> None:
        self.closing = True
        if not self.waiting:
            self._lose()

    def abort(self) -> None:
        self.closing = True
        self.waiting.clear()
        self._lose()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def feed(self, octets: bytes) -> int:
        """What the kernel has, as far as it is read; how much that was."""
        if self.closing or not self.reading:
            return 0
        room = self.protocol.get_buffer(-1)
        some = octets[: len(room)]
        room[: len(some)] = some
        self.protocol.buffer_updated(len(some))
        return len(some)


def upstream_says(pending: Pending) -> bytes:
    return reply.render(pending.question, reply.failure(Rcode.SERVFAIL), pending.cookie)


def answers(messages: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Of a fresh sinkhole, asked one by one: at once, and later. Ends at the first silence."""
    sinkhole = lab_sinkhole()
    at_once, later = list[bytes](), list[bytes]()
    for message in messages:
        got = sinkhole.answer(message, CLIENT, NOW, stream=True)
        if got is None:
            break
        timeout = b"\x00\x0b\x00\x00" in message
        if isinstance(got, Pending):
            later.append(upstream_says(got))
        else:
            at_once.append(keepalive.with_timeout(got, 10.0) if timeout else got)
    return at_once, later


def unframed(octets: bytes) -> Iterator[bytes]:
    framing = Framing()
    framing.receive(octets)
    while (message := framing.message()) is not None:
        yield message


class Scene:
    """One stream whose far end, upstream and kernel move as the test draws it."""

    def __init__(self, high: int) -> None:
        self.asked: list[tuple[Pending, Callable[[bytes], None]]] = []
        self.sinkhole = lab_sinkhole()
        self.sinkhole.adopt(view_of(Access.BLOCKED))
        self.all = Connections(self.sinkhole, lambda: None, lambda p, send: self.asked.append((p, send)))
        self.transport = FakeTransport(Connection(self.all), high)

    async def move(self, choose: Callable[[int, int], int]) -> None:
        """Something that takes time happens, or nothing does."""
        match choose(0, 3):
            case 0 if self.asked:
                pending, send = self.asked.pop(choose(0, len(self.asked) - 1))
                send(upstream_says(pending))
            case 1:
                self.transport.drain(choose(0, 400))
            case 2:
                await asyncio.sleep(0)

    async def settle(self, *, eof: bool) -> None:
        for _ in range(400):
            if eof and self.transport.reading and not self.transport.closing:
                eof = False
                if not self.transport.protocol.eof_received():
                    self.transport.close()
            while self.asked:
                pending, send = self.asked.pop()
                send(upstream_says(pending))
            self.transport.drain(1 << 20)
            await asyncio.sleep(0)


async def play(octets: bytes, cuts: list[int], choose: Callable[[int, int], int], *, eof: bool) -> Scene:
    scene = Scene(high=choose(0, 300))
    edges = sorted({0, len(octets), *(c % (len(octets) + 1) for c in cuts)})
    for start, end in pairwise(edges):
        segment = octets[start:end]
        while segment and not scene.transport.closing:
            taken = scene.transport.feed(segment)
            segment = segment[taken:]
            if not taken:
                # it is held: the far end reads, the upstream answers, the others have had their turn
                if scene.asked:
                    pending, send = scene.asked.pop(0)
                    send(upstream_says(pending))
                scene.transport.drain(1 << 20)
                await asyncio.sleep(0)
            await scene.move(choose)
    await scene.settle(eof=eof)
    return scene


@contextlib.contextmanager
def small() -> Iterator[None]:
    """Bounds that a few messages reach."""
    with mock.patch.multiple(tcp_service, _PENDING=2, _BURST=2, _READ=64):
        yield


@pytest.fixture(scope="module")
def run() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


CUTS = st.lists(st.integers(0, 1 << 16), max_size=12)


@given(st.lists(st.sampled_from(SPOKEN), max_size=14), CUTS, st.booleans(), st.data())
def test_any_cutting_of_any_messages_gives_the_same_answers(
    run: asyncio.Runner, kinds: list[str], cuts: list[int], eof: bool, data: st.DataObject
) -> None:
    messages = [KINDS[kind](ident) for ident, kind in enumerate(kinds)]
    at_once, later = answers(messages)

    with small():
        octets = b"".join(map(framed, messages))
        scene = run.run(play(octets, cuts, lambda a, b: data.draw(st.integers(a, b)), eof=eof))

    got = list(unframed(bytes(scene.transport.taken)))
    assert sum(2 + len(g) for g in got) == len(scene.transport.taken)
    assert [g for g in got if g in at_once] == at_once, "those that wait for nobody come in order"
    assert sorted(got) == sorted(at_once + later)
    assert scene.transport.lost is eof
    assert scene.all.counters.tcp_closed == 0
    assert scene.all.counters.tcp_open == (0 if eof else 1)
    assert scene.sinkhole.counters.received == len(messages)


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=10), CUTS, st.data())
def test_after_a_silence_the_stream_is_at_its_end(
    run: asyncio.Runner, kinds: list[str], cuts: list[int], data: st.DataObject
) -> None:
    messages = [KINDS[kind](ident) for ident, kind in enumerate([*kinds, "silence", "sinkhole"])]
    at_once, later = answers(messages)

    with small():
        octets = b"".join(map(framed, messages))
        scene = run.run(play(octets, cuts, lambda a, b: data.draw(st.integers(a, b)), eof=False))

    # what the far end had not taken yet may be cut: the stream is ended, not closed
    got = list(unframed(bytes(scene.transport.taken)))
    assert set(got) <= set(at_once + later)
    assert scene.transport.lost
    assert scene.all.counters.tcp_open == 0


@given(st.binary(max_size=400), CUTS)
def test_no_octets_raise_and_what_is_kept_is_bounded(run: asyncio.Runner, octets: bytes, cuts: list[int]) -> None:
    with small():
        scene = run.run(play(octets, cuts, lambda a, _: a, eof=True))

    assert scene.transport.lost
    assert scene.all.counters.tcp_open == 0


async def test_the_addresses_of_one_line_share_its_connections() -> None:
    scene = Scene(high=100)
    for n in range(100):
        FakeTransport(Connection(scene.all), 100, f"2001:db8:100:{n:x}::{n:x}")
    await asyncio.sleep(0)

    assert scene.all.counters.tcp_open == 32
    assert scene.all.counters.tcp_closed == 1 + 100 - 32


@given(st.lists(st.binary(max_size=70), max_size=8), CUTS)
def test_framing_gives_back_what_was_framed(messages: list[bytes], cuts: list[int]) -> None:
    framing, octets, got = Framing(), b"".join(map(framed, messages)), list[bytes]()
    edges = sorted({0, len(octets), *(c % (len(octets) + 1) for c in cuts)})
    for start, end in pairwise(edges):
        framing.receive(octets[start:end])
        while (message := framing.message()) is not None:
            got.append(message)

    assert got == messages
    assert not framing
    assert not framing.whole()


def test_the_longest_message_fits_its_prefix_and_a_longer_one_is_no_message() -> None:
    framing = Framing()
    framing.receive(framed(bytes(0xFFFF)))

    assert framing.message() == bytes(0xFFFF)
    with pytest.raises(OverflowError):
        framed(bytes(0x10000))


@given(st.binary(max_size=600), st.floats(0, 7000))
def test_the_option_in_any_octets_raises_nothing(octets: bytes, seconds: float) -> None:
    keepalive.asked(octets + b"\x00\x0b\x00\x00")
    keepalive.with_timeout(octets, seconds)


@pytest.mark.parametrize("length", [0, 2, 3])
@pytest.mark.parametrize("before", [False, True])
def test_the_option_is_asked_for_without_a_timeout(length: int, before: bool) -> None:
    options: list[dns.edns.Option] = [dns.edns.GenericOption(KEEPALIVE, bytes(length))]
    if before:
        options.insert(0, dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"\x00\x0b\x00\x00"))
    octets = dns.message.make_query("a.example", "A", use_edns=0, options=options).to_wire()

    assert keepalive.asked(octets) is (length == 0)


def test_the_option_is_put_into_the_opt_record_among_any_others() -> None:
    message = dns.message.make_query("big.example", "TXT", use_edns=0)
    answered = dns.message.make_response(message)
    answered.answer.append(dns.rrset.from_text("big.example.", 60, "IN", "TXT", '"' + "x" * 200 + '"', '"y"'))
    answered.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.FORGED_ANSWER, "text")])

    got = dns.message.from_wire(keepalive.with_timeout(answered.to_wire(), 12.34))

    assert got.answer == answered.answer
    assert [(int(o.otype), o.to_wire()) for o in got.options] == [(15, b"\x00\x04text"), (11, struct.pack("!H", 123))]


def test_a_reply_without_edns_or_without_room_stays_as_it_is() -> None:
    plain = dns.message.make_response(dns.message.make_query("a.example", "A")).to_wire()
    # the OPT record comes first, and what follows it fills the message
    head = bytes(10) + b"\x00\x02" + b"\x00\x00\x29\x04\xd0" + bytes(4) + b"\x00\x00"
    filler = 0xFFFF - len(head) - 11
    full = head + b"\x00\x00\x10\x00\x01" + bytes(4) + filler.to_bytes(2) + bytes(filler)

    assert keepalive.with_timeout(plain, 10.0) == plain
    assert keepalive.with_timeout(full, 10.0) == full
    assert len(full) == 0xFFFF
