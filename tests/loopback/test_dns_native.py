"""The twins of edged/native on real sockets; the compiled one says what the sinkhole says, or leaves the packet."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import dns.edns
import dns.message
import pytest

from edged.dns.counters import DnsCounters, Limited
from edged.dns.rates import Rates
from edged.dns.ready import ready
from edged.dns.settings import LimitSettings
from edged.dns.sinkhole import Sinkhole
from edged.dns.udp.service import UdpSockets, bind, bind_beside
from edged.dns.zone import compile_zone
from edged.fdstore import FdStore
from edged.model import Access, Snapshot, State, Subscriber
from edged.native.datagrams import BATCH, COMPILED, Datagram, Datagrams, Others, Portable
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import Endpoint, parse_prefix
from tests.dns_lab import GARDEN, PORTAL_HOST, SETTINGS, lab_zone, view_of
from tests.native import BOTH, twin

FAMILIES = ["127.0.0.1", "::1"]
PLENTY = LimitSettings(per_subscriber=1_000_000, per_prefix=1_000_000)
PATIENCE = 10.0


class Edge:
    """A served socket, the sinkhole behind it, and a client."""

    def __init__(self, kind: type[Datagrams], address: str, limit: LimitSettings, *, wildcard: bool) -> None:
        rates = Rates()
        self.datagrams = kind(rates.datagrams, 0x1234_5678_9ABC_DEF0)
        self.sinkhole = Sinkhole(lab_zone(), limit, DnsCounters(), rates, self.datagrams, secret=bytes(32))
        self.sinkhole.adopt(view_of(Access.BLOCKED, "127.0.0.0/8", "::1"))
        family = ip_address(address).version
        anywhere = "0.0.0.0" if family == 4 else "::"
        self.server = bind(Endpoint(ip_address(anywhere if wildcard else address), 0), "test", FdStore())
        self.client = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self.client.connect((address, self.server.getsockname()[1]))
        self.client.settimeout(PATIENCE)
        self.wildcard = wildcard
        self.datagrams.attach(self.server, wildcard, 0)

    def know(self) -> None:
        """Let the compiled part hear that the client is blocked."""
        assert isinstance(self.answer(query("first.example")), bytes)

    def answer(self, octets: bytes) -> object:
        return self.sinkhole.answer(octets, self.client.getsockname()[0], NOW)

    def send(self, octets: bytes) -> bytes | Datagram:
        """The reply that came by itself, or the datagram that was left to us."""
        self.client.send(octets)
        readable, _, _ = select.select([self.client.fileno(), self.datagrams.fileno()], [], [], PATIENCE)
        assert readable, "neither answered nor left"
        if self.client.fileno() in readable:
            return self.client.recv(4096)
        (left,) = self.datagrams.take()
        return left

    def close(self) -> None:
        self.datagrams.stop()
        self.client.close()
        self.server.close()


NOW = 4_000_000_000.0
"""Far enough that no decision of the lab ends before the kernel's own clock says so."""


@contextlib.contextmanager
def edge(
    kind: type[Datagrams], address: str = "127.0.0.1", limit: LimitSettings = PLENTY, *, wildcard: bool = False
) -> Iterator[Edge]:
    held = Edge(kind, address, limit, wildcard=wildcard)
    try:
        yield held
    finally:
        held.close()


def query(name: str, rtype: str = "A", ident: int = 7, **options: Any) -> bytes:
    message = dns.message.make_query(name, rtype, **options)
    message.id = ident
    return message.to_wire()


@pytest.mark.parametrize("wildcard", [False, True])
@pytest.mark.parametrize("address", FAMILIES)
@pytest.mark.parametrize("kind", BOTH)
def test_what_is_left_comes_whole_with_its_sender_and_where_to_answer_from(
    kind: str, address: str, wildcard: bool
) -> None:
    with edge(twin(kind), address, wildcard=wildcard) as held:
        left = held.send(query("www.example"))

        assert not isinstance(left, bytes)
        fd, octets, peer, source = left
        held.server.sendmsg([b"reply"], source, 0, peer)

        assert fd == held.server.fileno()
        assert octets == query("www.example")
        assert peer == held.client.getsockname()
        assert bool(source) is wildcard
        assert held.client.recv(512) == b"reply"


@pytest.mark.parametrize("address", FAMILIES)
@pytest.mark.parametrize("wildcard", [False, True])
def test_the_compiled_part_answers_a_blocked_subscriber_from_the_address_asked(address: str, wildcard: bool) -> None:
    with edge(twin("compiled"), address, wildcard=wildcard) as held:
        held.know()

        reply = held.send(query("www.example"))

    # the client is connected: a reply from elsewhere would not have come
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).answer[0][0].to_text() in {"203.0.113.10", "2001:db8::10"}


@pytest.mark.parametrize("kind", BOTH)
def test_a_zero_length_datagram_is_left_and_one_that_is_too_long_is_cut(kind: str) -> None:
    with edge(twin(kind)) as held:
        empty, long = held.send(b""), held.send(bytes(9000))

    assert not isinstance(empty, bytes)
    assert empty[1] == b""
    assert not isinstance(long, bytes)
    assert long[1] == bytes(4096)


@pytest.mark.parametrize("kind", BOTH)
def test_many_datagrams_are_all_there_to_be_taken(kind: str) -> None:
    with edge(twin(kind)) as held:
        for number in range(500):
            held.client.send(struct.pack("!H", number))
        taken: list[bytes] = []
        while len(taken) < 500:
            assert select.select([held.datagrams], [], [], PATIENCE)[0]
            some = held.datagrams.take()
            assert len(some) <= BATCH
            taken += [octets for _, octets, _, _ in some]

        assert taken == [struct.pack("!H", number) for number in range(500)]
        assert not select.select([held.datagrams], [], [], 0)[0], "nothing waits, and so nobody is woken"
        assert held.datagrams.take() == []


@pytest.mark.parametrize("kind", BOTH)
def test_what_a_socket_has_received_is_not_lost_when_it_goes(kind: str) -> None:
    with edge(twin(kind)) as held:
        for number in range(20):
            held.client.send(bytes((number,)))
        held.datagrams.detach(held.server)
        taken, again = held.datagrams.take(), held.datagrams.take()
        held.client.send(b"later")

        assert [octets for _, octets, _, _ in taken] == [bytes((n,)) for n in range(20)]
        assert again == []
        assert not select.select([held.datagrams], [], [], 0.05)[0], "a socket that went is served no more"


@pytest.mark.parametrize("kind", BOTH)
def test_a_socket_goes_when_all_that_was_taken_from_it_is_answered(kind: str) -> None:
    with edge(twin(kind)) as held:
        held.datagrams.detach(held.server)
        sockets = UdpSockets(held.datagrams, 1, held.sinkhole, lambda: None, lambda _pending, _send: None)
        sockets.opened(held.server)
        came = 150 if kind == "compiled" else BATCH
        for number in range(came):
            held.client.send(query("www.example", ident=number))
        assert select.select([held.datagrams], [], [], PATIENCE)[0]
        deadline = time.monotonic() + PATIENCE
        while kind == "compiled" and unread(held.server) and time.monotonic() < deadline:
            time.sleep(0.01)
        sockets.closed(held.server)
        replies = {held.client.recv(512)[:2] for _ in range(came)}
        left = held.datagrams.take()
        sockets.closed(held.server)

    assert len(replies) == came
    assert left == []


def unread(sock: socket.socket) -> int:
    """Octets of the next datagram in the socket's queue (FIONREAD, udp(7))."""
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0])


@pytest.mark.parametrize("kind", BOTH)
def test_stopping_twice_and_forgetting_to_stop_are_no_harm(kind: str) -> None:
    with edge(twin(kind)) as held:
        held.datagrams.stop()
        held.datagrams.stop()
    Portable(Rates().datagrams, 1)
    again = twin(kind)(Rates().datagrams, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        again.attach(sock, False, 0)
        if kind == "portable":
            again.stop()
        del again


ORDINARY = ["www.example.com", "a.b", "xn--bcher-kva.example", "deep." * 40 + "example", "x" * 63 + ".org"]
RULED = [
    "pay.example.net", "www.gate.example", "static.example.net", "portal.example.net", "localhost", "single",
    "wpad.home.example", "ISATAP.corp.example", "captive.apple.com", "use-application-dns.net", "mask.icloud.com",
    "1.0.168.192.in-addr.arpa", "a.both.example", ".", "dns.google",
]  # fmt: skip
TYPES = [
    "A",
    "AAAA",
    "HTTPS",
    "SVCB",
    "TXT",
    "MX",
    "NS",
    "SOA",
    "PTR",
    "CNAME",
    "DS",
    "ANY",
    "AXFR",
    "TYPE41",
    "TYPE999",
]


def corpus() -> Iterator[bytes]:
    options: list[dict[str, Any]] = [
        {},
        {"use_edns": 0, "payload": 4096},
        {"use_edns": 0, "payload": 100, "want_dnssec": True},
        {"use_edns": 1},
        {"use_edns": 0, "options": [dns.edns.CookieOption(b"12345678", b"")]},
        {"use_edns": 0, "options": [dns.edns.ECSOption("192.0.2.0", 24)]},
        {
            "use_edns": 0,
            "options": [dns.edns.GenericOption("65001", b"x" * 30), dns.edns.GenericOption("12", bytes(100))],
        },
    ]
    for name in ORDINARY + RULED:
        for rtype in TYPES:
            for chosen in options:
                yield query(name, rtype, ident=len(name), **chosen)


def same(held: Edge, octets: bytes) -> bool:
    """True when the compiled part answered, which it must do in the sinkhole's words."""
    got = held.send(octets)
    if not isinstance(got, bytes):
        assert got[1] == octets[:4096]
        return False
    assert got == held.answer(octets), octets.hex()
    return True


def test_the_compiled_part_says_what_the_sinkhole_says_or_leaves_the_packet() -> None:
    with edge(twin("compiled")) as held:
        held.know()
        answered = sum(same(held, octets) for octets in corpus())

    # of 20 names 5 are ordinary, of 15 types 12 are answered alike for all of them, of 7 kinds of EDNS 5
    assert answered == 5 * 12 * 5


def test_every_ordinary_name_is_answered_by_the_compiled_part() -> None:
    with edge(twin("compiled")) as held:
        held.know()

        assert all(same(held, query(name, rtype)) for name in ORDINARY for rtype in ("A", "AAAA", "HTTPS", "MX"))
        assert not any(same(held, query(name, "A")) for name in RULED)


def test_more_options_than_a_query_has_are_left_to_the_sinkhole() -> None:
    plain = query("www.example", use_edns=0, options=[dns.edns.GenericOption("12", b"")] * 100)
    with edge(twin("compiled")) as held:
        held.know()

        assert same(held, plain)
        assert not same(held, plain[:-402] + struct.pack("!H", 404) + bytes((0, 12, 0, 0)) * 101)


def test_mutated_packets_are_answered_in_the_sinkholes_words_or_left() -> None:
    chance = random.Random(4)
    seeds = list(corpus())
    with edge(twin("compiled")) as held:
        held.know()
        answered = 0
        for _ in range(20_000):
            octets = bytearray(chance.choice(seeds))
            for _ in range(chance.choice((1, 1, 2, 5))):
                mutate(octets, chance)
            answered += same(held, bytes(octets))

    assert 500 < answered < 19_000


def mutate(octets: bytearray, chance: random.Random) -> None:
    where = chance.randrange(len(octets) + 1)
    match chance.randrange(5):
        case 0 if where < len(octets):
            octets[where] ^= 1 << chance.randrange(8)
        case 1 if where < len(octets):
            octets[where] = chance.choice((0, 1, 63, 64, 0x80, 0xC0, 0xFF))
        case 2:
            del octets[where:]
        case 3:
            octets[where:where] = chance.randbytes(chance.randrange(1, 9))
        case _:
            del octets[where : where + chance.randrange(1, 9)]


def test_a_change_takes_back_what_the_compiled_part_knew() -> None:
    with edge(twin("compiled")) as held:
        held.know()
        before = held.send(query("www.example"))
        held.sinkhole.adopt(view_of(Access.OPEN, "127.0.0.0/8", "::1"))
        after = held.send(query("www.example"))

    assert isinstance(before, bytes)
    assert not isinstance(after, bytes)


def test_an_address_that_becomes_anothers_line_is_taken_back_though_the_line_around_it_is_as_it_was() -> None:
    blocked = Subscriber("17", State.BLOCKED, addresses=(parse_prefix("127.0.0.0/8"),))
    paid = Subscriber("18", State.ACTIVE, addresses=(parse_prefix("127.0.0.1/32"),))
    settings = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8"]})
    with edge(twin("compiled")) as held:
        held.sinkhole.adopt(View(compile_table(Snapshot("1", "", 0.0, (blocked,)), settings)))
        held.know()
        before = held.send(query("www.example"))
        held.sinkhole.adopt(View(compile_table(Snapshot("2", "", 0.0, (blocked, paid)), settings)))
        after = held.send(query("www.example"))

    assert isinstance(before, bytes)
    assert not isinstance(after, bytes)


ASK = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
sock.connect(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
sys.stdin.read(1)
sock.send(bytes.fromhex(sys.argv[2]))
sock.recv(512)
print(time.time(), flush=True)
"""


def test_a_blocked_subscriber_is_answered_while_the_interpreter_is_busy() -> None:
    with edge(twin("compiled")) as held:
        held.know()
        port = str(held.server.getsockname()[1])
        command = [sys.executable, "-c", ASK, port, query("www.example").hex()]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdout.readline()
            client.stdin.write("!")
            client.stdin.flush()
            # one call that holds the interpreter's lock from its begin to its end, a second or so
            sum(range(60_000_000))
            ended = time.time()
            answered = float(client.stdout.readline())

    assert answered < ended


def test_a_decision_that_has_ended_is_asked_for_again() -> None:
    with edge(twin("compiled")) as held:
        held.datagrams.remember(bytes((127, 0, 0, 1)), 1.0, 1, 2)

        assert not isinstance(held.send(query("www.example")), bytes)


def test_the_compiled_part_counts_in_the_sinkholes_table_and_keeps_the_same_limit() -> None:
    # every second has its own count: a new second in the middle gives as many again, once
    with edge(twin("compiled"), limit=LimitSettings(per_subscriber=40, per_prefix=1000)) as held:
        held.know()
        got = [held.send(query("www.example")) for _ in range(90)]
        left = sum(not isinstance(g, bytes) for g in got)

    answers = len(got) - left
    assert 39 <= answers <= 80
    assert left


def test_far_above_the_rate_the_compiled_part_drops_and_counts() -> None:
    with edge(twin("compiled"), limit=LimitSettings(per_subscriber=5, per_prefix=1000)) as held:
        held.know()
        for _ in range(3000):
            held.client.send(query("www.example"))
        while select.select([held.datagrams], [], [], 0.2)[0]:
            for _, octets, peer, _ in held.datagrams.take():
                held.sinkhole.answer(octets, peer[0], time.time())
        counters = held.sinkhole.counters
        counters.add(held.datagrams.counted())

    assert counters.ratelimited[Limited.SUBSCRIBER] > 2000
    assert counters.received == 3001


def test_more_workers_share_the_queries_the_policy_and_the_counters() -> None:
    with edge(twin("compiled")) as held:
        held.know()
        beside = bind_beside(Endpoint(ip_address("127.0.0.1"), held.server.getsockname()[1]), FdStore())
        held.datagrams.attach(beside, False, 1)
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
        for client in clients:
            client.settimeout(PATIENCE)
            client.connect(held.client.getpeername())
            client.send(query("www.example"))
        replies = [client.recv(512) for client in clients]
        held.datagrams.detach(beside)
        beside.close()
        for client in clients:
            client.close()
        answers, others, took = held.datagrams.counted()

    assert all(dns.message.from_wire(reply).answer for reply in replies)
    assert sum(answers) == sum(took) == 64
    assert 0 <= Others(*others).microseconds < 64e6


def test_what_waits_for_the_caller_is_known_to_have_waited() -> None:
    with edge(twin("compiled")) as held:
        held.client.send(query("www.example"))  # nobody is known yet: it is the caller's
        assert select.select([held.datagrams], [], [], PATIENCE)[0]
        time.sleep(0.05)

        assert held.datagrams.take()
        assert 0.05 <= held.datagrams.waited() < PATIENCE
        assert not held.datagrams.take()
        assert held.datagrams.waited() == 0.0


def test_a_worker_beyond_the_most_is_refused() -> None:
    with edge(twin("compiled")) as held, pytest.raises(ValueError, match="worker"):
        held.datagrams.attach(held.server, False, 16)


def test_a_socket_that_cannot_be_read_is_counted_and_does_not_keep_the_worker_busy() -> None:
    with (
        edge(twin("compiled")) as held,
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        held.know()
        held.datagrams.attach(listening, False, 0)  # it is readable, and no datagram can be had of it
        time.sleep(0.3)
        _, others, _ = held.datagrams.counted()

        assert 0 < Others(*others).unreadable < 300
        assert isinstance(held.send(query("www.example")), bytes), "the others are served"


def test_a_worker_that_could_not_begin_can_begin_later() -> None:
    with edge(twin("compiled")) as held:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(OSError, match="open files"):
                held.datagrams.attach(held.server, False, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        held.datagrams.attach(held.server, False, 1)
        with pytest.raises(FileExistsError):
            held.datagrams.attach(held.server, False, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"by_type": b"\x00" * 255},
        {"by_type": b"\x07" * 256},
        {"names": [b""]},
        {"answers": [(99, (bytes(10), b""), (bytes(10), b""), (bytes(10), b""))]},
        {"answers": [(0, (bytes(9), b""), (bytes(10), b""), (bytes(10), b""))]},
        {"answers": [(0, (bytes(10), bytes(513)), (bytes(10), b""), (bytes(10), b""))]},
    ],
    ids=["too few types", "no such answer", "empty name", "kind", "header", "tail"],
)
def test_a_table_that_does_not_fit_is_refused_and_the_old_one_stays(change: dict[str, object]) -> None:
    with edge(twin("compiled")) as held:
        with pytest.raises(ValueError, match=r"."):
            held.datagrams.configure(ready(lab_zone(), PLENTY)._replace(**change))  # type: ignore[arg-type]
        held.know()

        assert isinstance(held.send(query("www.example")), bytes)


def test_a_portal_of_more_addresses_than_the_compiled_part_has_room_for_is_left_to_the_sinkhole() -> None:
    many = tuple(ip_address(f"203.0.113.{n}") for n in range(1, 61))
    with edge(twin("compiled")) as held:
        held.sinkhole.configure(
            compile_zone(SETTINGS, GARDEN, PORTAL_HOST, (*many, ip_address("2001:db8::10"))), PLENTY
        )
        held.know()

        assert not isinstance(held.send(query("www.example", "A")), bytes)
        assert same(held, query("www.example", "AAAA"))


def test_a_hundred_thousand_names_with_a_rule_are_all_left() -> None:
    table = ready(lab_zone(), PLENTY)
    names = [b"\x04n%03d\x04m%03d\x07example\x00" % (n // 1000 % 1000, n % 1000) for n in range(100_000)]
    with edge(twin("compiled")) as held:
        held.datagrams.configure(table._replace(names=names))
        held.know()
        held.datagrams.remember(bytes((127, 0, 0, 1)), 4e9, 1, 2)

        for number in range(0, 100_000, 997):
            assert not isinstance(held.send(query(f"www.n{number // 1000:03}.m{number % 1000:03}.example")), bytes)
        assert isinstance(held.send(query("www.example")), bytes)


@pytest.mark.parametrize("step", [1, 256, 65_536])
def test_the_addresses_of_a_whole_edge_are_remembered(step: int) -> None:
    addresses = [0x7F010000 + number * step & 0xFFFFFF | 0x7F000000 for number in range(60_000)]
    known = 0
    with edge(twin("compiled")) as held:
        for address in addresses:
            held.datagrams.remember(address.to_bytes(4), 4e9, 1, 2)
        server = held.client.getpeername()
        for address in addresses[::199]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((str(ip_address(address)), 0))
                client.connect(server)
                client.send(query("www.example"))
                readable, _, _ = select.select([client.fileno(), held.datagrams.fileno()], [], [], PATIENCE)
                known += client.fileno() in readable
                held.datagrams.take()

    # half of the places are taken: a few addresses find none near their own
    assert known > 0.99 * len(addresses[::199])


def test_addresses_beyond_the_room_are_left_and_nothing_breaks() -> None:
    with edge(twin("compiled")) as held:
        held.know()
        for number in range(200_000):
            held.datagrams.remember(struct.pack("!QQ", 0x2001_0DB8 << 32, number), 4e9, 1, 2)

        assert isinstance(held.send(query("www.example")), bytes)


def test_the_running_interpreter_has_the_compiled_part_where_it_was_built() -> None:
    assert COMPILED is twin("compiled")
