# SPDX-License-Identifier: Apache-2.0
"""Batches of RADIUS datagrams on real sockets: the compiled calls and their Python twins, and the service on either."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from edged.native import datagrams
from edged.native.datagrams import BATCH, Back, Received, portable_receive, portable_send
from edged.pktinfo import IP_PKTINFO, IPV6_RECVPKTINFO
from edged.radius import clients
from edged.radius import service as udp
from edged.radius.attributes import attribute
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.counters import Discard
from edged.radius.exchange import service as exchange
from edged.radius.packet import Answer, Code, Hidden, Packet
from edged.radius.reply import salts_from
from edged.radius.service import RadiusService
from edged.radius.settings import RadiusSettings
from edged.values import Secret
from tests.native import BOTH, shared_twin, twin

SECRET = Secret("edged-test-secret-0001")
Receive = Callable[[socket.socket, bool], list[Received]]
Send = Callable[[socket.socket, list[tuple[bytes, Back]]], list[int]]


def calls(name: str) -> tuple[Receive, Send]:
    if name == "portable":
        return portable_receive, portable_send
    twin(name)  # skipped, or failed in CI, where it was not built
    return datagrams.receive, datagrams.send


@contextmanager
def server(host: str, *, wildcard: bool) -> Iterator[socket.socket]:
    ipv6 = ":" in host
    with closing(socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        if wildcard and ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        elif wildcard:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.bind((("::" if ipv6 else "0.0.0.0") if wildcard else host, 0))
        sock.settimeout(0)
        yield sock


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("wildcard", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.7.6", "::1"])
def test_replies_leave_from_where_the_requests_came_to(name: str, wildcard: bool, host: str) -> None:
    receive, send = calls(name)
    with server(host, wildcard=wildcard) as sock:
        nases = [socket.socket(sock.family, socket.SOCK_DGRAM) for _ in range(3)]
        for number, nas in enumerate(nases * 2):
            nas.settimeout(2)
            nas.connect((host, sock.getsockname()[1]))  # takes replies from that very address alone
            nas.send(b"request %d" % number)
        came = receive(sock, wildcard)
        assert [octets for octets, _, _ in came] == [b"request %d" % number for number in range(6)]
        assert [peer for _, peer, _ in came] == [nas.getsockname() for nas in nases * 2]
        assert send(sock, [(b"reply to " + octets, back) for octets, _, back in came]) == []
        for number, nas in enumerate(nases * 2):
            assert nas.recv(99) == b"reply to request %d" % number
        for nas in nases:
            nas.close()


@pytest.mark.parametrize("name", BOTH)
def test_a_batch_has_an_end_and_nothing_to_read_is_no_error(name: str) -> None:
    receive, send = calls(name)
    with server("127.0.0.1", wildcard=False) as sock, closing(socket.socket(type=socket.SOCK_DGRAM)) as nas:
        nas.connect(sock.getsockname())
        nas.settimeout(2)
        assert receive(sock, False) == []
        for number in range(BATCH + 3):
            nas.send(bytes([number]))
        first, rest = receive(sock, False), receive(sock, False)
        assert (len(first), len(rest)) == (BATCH, 3)
        assert send(sock, [(octets, back) for octets, _, back in first + rest]) == []
        assert [nas.recv(9) for _ in range(BATCH + 3)] == [bytes([number]) for number in range(BATCH + 3)]
        assert send(sock, []) == []


@pytest.mark.parametrize("name", BOTH)
def test_a_longer_datagram_is_cut_and_an_empty_one_is_none_the_less_one(name: str) -> None:
    receive, _ = calls(name)
    with server("127.0.0.1", wildcard=True) as sock, closing(socket.socket(type=socket.SOCK_DGRAM)) as nas:
        nas.connect(("127.0.0.1", sock.getsockname()[1]))
        for octets in (bytes(65_000), b"", b"x" * 4096):
            nas.send(octets)
        assert [octets for octets, _, _ in receive(sock, True)] == [bytes(4096), b"", b"x" * 4096]


@pytest.mark.parametrize("name", BOTH)
def test_a_reply_that_the_kernel_refuses_holds_up_no_other(name: str) -> None:
    receive, send = calls(name)
    with server("127.0.0.1", wildcard=False) as sock, closing(socket.socket(type=socket.SOCK_DGRAM)) as nas:
        nas.connect(sock.getsockname())
        nas.settimeout(2)
        for _ in range(3):
            nas.send(b"request")
        backs = [back for _, _, back in receive(sock, False)]
        replies = [(b"1", backs[0]), (bytes(65_536), backs[1]), (b"3", backs[2])]  # no datagram is so long
        assert send(sock, replies) == [1]
        assert send(sock, [(bytes(65_536), backs[0])] * 3) == [0, 1, 2]
        assert [nas.recv(9), nas.recv(9)] == [b"1", b"3"]


@pytest.mark.parametrize("back", [b"", bytes(7), b"\xff" * 104])
def test_the_compiled_one_takes_no_way_back_but_its_own(back: bytes) -> None:
    _, send = calls("compiled")
    with server("127.0.0.1", wildcard=False) as sock:
        with pytest.raises(ValueError, match="received"):
            send(sock, [(b"reply", back)])
        for wrong in ([b"reply"], [(b"reply",)], [("reply", back)], ["reply"]):
            with pytest.raises(TypeError):
                send(sock, wrong)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ the service

ACCEPT = Answer(
    Code.ACCESS_ACCEPT,
    (Hidden("Tunnel-Password", Secret("Pancakes1124")), attribute("Tunnel-Type", 13), attribute("Reply-Message", "hi")),
)


async def replies_of(monkeypatch: pytest.MonkeyPatch, name: str, listen: str, host: str) -> tuple[list[bytes], Any]:
    """What a service with these twins answers to a burst, and its counters."""
    receive, send = calls(name)
    monkeypatch.setattr(udp, "receive", receive)
    monkeypatch.setattr(udp, "send", send)
    monkeypatch.setattr(clients, "ready", shared_twin(name))
    monkeypatch.setattr(exchange, "salts_from", lambda _: salts_from(0))
    settings = RadiusSettings.model_validate(
        {
            "auth": [f"{listen}:0"],
            "clients": [{"name": "building-7", "networks": ["127.0.0.0/8", "::1"], "secret": SECRET}],
        }
    )

    async def account(*_: object) -> bool:
        raise NotImplementedError

    service = RadiusService(settings, authorize=lambda *_: ACCEPT, account=account)
    await service.start()
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)) as nas:
        nas.settimeout(0)
        nas.connect((host, service.endpoints[0][1].port))
        for number in range(100):
            random = number.to_bytes(16, "big")
            more = (attribute("Proxy-State", b"%d" % number),) if number % 3 else ()
            given = (attribute("User-Name", "bob"), *more)
            nas.send(sign_request(Packet(Code.ACCESS_REQUEST, number, random, given), SECRET))
            if number % 10 == 0:
                nas.send(b"no packet")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            replies = [await loop.sock_recv(nas, 4096) for _ in range(100)]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await service.stop()
    for number, reply in enumerate(replies):
        assert reply_is_authentic(reply, number.to_bytes(16, "big"), SECRET)
    return replies, service.counters


@pytest.mark.parametrize(("listen", "host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.8.7.6"), ("[::]", "::1")])
async def test_with_either_twin_the_same_requests_get_the_same_octets(listen: str, host: str) -> None:
    found = []
    for name in BOTH:
        with pytest.MonkeyPatch.context() as monkeypatch:
            found.append(await replies_of(monkeypatch, name, listen, host))
    (compiled, one), (portable, other) = found
    assert compiled == portable
    assert one.answers == other.answers
    assert one.discards == other.discards
    assert one.discards[Discard.MALFORMED] == 10
