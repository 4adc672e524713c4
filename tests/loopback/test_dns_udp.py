"""Sockets and workers: each worker has a socket of its own on every address, and all go together."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path

from edged.dns.rates import Rates
from edged.dns.udp.service import UdpSockets, bind
from edged.native.datagrams import Portable
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
    sock = bind(Endpoint(LOOPBACK, 0), "dns.listen[0]")
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
