"""Sockets and workers: each worker has a socket of its own on every address, and all go together."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path

import dns.message

from edged.dns.rates import Rates
from edged.dns.udp.service import UdpSockets, bind, bind_beside
from edged.fdstore import FdStore
from edged.native.datagrams import Others, Portable
from edged.values import Endpoint
from tests.dns_lab import lab_sinkhole

LOOPBACK = ip_address("127.0.0.1")


class Noted(Portable):
    """The twin, and which worker was given how many sockets."""

    def __init__(self) -> None:
        super().__init__(Rates().datagrams, 0)
        self.given: list[int] = []
        self.taken_back = self.stopped = 0

    def attach(self, sock: socket.socket, wildcard: bool, worker: int, /) -> None:
        self.given.append(worker)
        super().attach(sock, wildcard, worker)

    def detach(self, sock: socket.socket, /) -> None:
        self.taken_back += 1
        super().detach(sock)

    def stop(self) -> None:
        self.stopped += 1
        super().stop()


def sockets_on(port: int) -> int:
    table = Path("/proc/self/net/udp").read_text().splitlines()
    return sum(line.split()[1].endswith(f":{port:04X}") for line in table[1:])


async def test_every_worker_has_a_socket_on_every_address_and_all_go_together() -> None:
    datagrams = Noted()
    udp = UdpSockets(datagrams, 3, lab_sinkhole(), lambda: None, lambda _pending, _send: None)
    sock = bind(Endpoint(LOOPBACK, 0), "dns.listen[0]", FdStore())
    port = sock.getsockname()[1]

    udp.opened(sock)
    open_at_first = sockets_on(port)
    udp.closed(sock)
    sock.close()
    open_at_last = sockets_on(port)
    udp.close(asyncio.get_running_loop())

    assert datagrams.given == [0, 1, 2]
    assert open_at_first == 3
    assert datagrams.taken_back == 3
    assert open_at_last == 0
    assert datagrams.stopped == 1


async def test_what_has_come_to_a_socket_that_goes_is_answered() -> None:
    udp = UdpSockets(Noted(), 1, lab_sinkhole(), lambda: None, lambda _pending, _send: None)
    sock = bind(Endpoint(LOOPBACK, 0), "dns.listen[0]", FdStore())
    udp.opened(sock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(dns.message.make_query("www.example", "A").to_wire(), sock.getsockname())
        udp.closed(sock)
        sock.close()
        reply = dns.message.from_wire(client.recv(512))
    udp.close(asyncio.get_running_loop())

    assert reply.question[0].name.to_text() == "www.example."


class Late(Noted):
    """The twin, and a client whose query comes when the queue of a socket that goes was read for the last time."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__()
        self.client = client

    def detach(self, sock: socket.socket, /) -> None:
        super().detach(sock)
        if sock.getsockname()[0] == "127.0.0.1":
            self.client.sendto(dns.message.make_query("late.example", "A").to_wire(), sock.getsockname())


async def test_a_query_that_comes_while_its_socket_goes_is_the_wildcards() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        udp = UdpSockets(Late(client), 2, lab_sinkhole(), lambda: None, lambda _pending, _send: None)
        loop = asyncio.get_running_loop()
        udp.open(loop)
        anywhere = bind(Endpoint(ip_address("0.0.0.0"), 0), "dns.listen[0]", FdStore())
        exact = bind_beside(Endpoint(LOOPBACK, anywhere.getsockname()[1]), FdStore())
        udp.opened(anywhere)
        udp.opened(exact)
        udp.closed(exact)
        exact.close()
        replies = [dns.message.from_wire(await asyncio.wait_for(loop.sock_recv(client, 512), 10)) for _ in range(2)]
        udp.closed(anywhere)
        anywhere.close()
        udp.close(loop)

    assert [reply.question[0].name.to_text() for reply in replies] == ["late.example."] * 2


async def test_a_reply_that_cannot_leave_is_counted_and_harms_nobody() -> None:
    sinkhole = lab_sinkhole()
    udp = UdpSockets(Noted(), 1, sinkhole, lambda: None, lambda _pending, _send: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        udp._sender(sock, ("127.0.0.1", 0), ())(b"reply")
    udp.close(asyncio.get_running_loop())

    assert sinkhole.counters.dropped["send"] == 1


class FromNowhere(socket.socket):
    """A socket that has received two datagrams, the first from port 0, and then fails."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.left = [("127.0.0.1", 0), ("127.0.0.1", 5353)]

    def recvfrom(self, *_: object) -> tuple[bytes, tuple[str, int]]:
        if not self.left:
            raise OSError("no such device")
        return b"query", self.left.pop(0)


def test_a_datagram_from_port_0_is_passed_over_and_counted_as_is_a_failure() -> None:
    datagrams = Noted()
    with FromNowhere() as sock:
        datagrams.attach(sock, False, 0)
        datagrams.detach(sock)
        taken, counted, again = datagrams.take(), datagrams.counted(), datagrams.counted()
    datagrams.stop()

    assert [peer for _, _, peer, _ in taken] == [("127.0.0.1", 5353)]
    assert counted == ((), Others(portless=1, unreadable=1), ())
    assert again == ((), Others(), ())
