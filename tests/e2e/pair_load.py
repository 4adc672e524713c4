# SPDX-License-Identifier: Apache-2.0
"""What clients of a pair ask while it fails over (pairs.py): when each question left, and what became of it.

DNS and pages of blocked lines, a blocked line that tries the internet, RADIUS with a NAS's retransmissions, and a TCP
connection of an open line through the router. Each kind asks from a socket of the namespace that its thread is in.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from edged.radius.attributes import attribute, tagged
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.packet import Code, Packet, decode
from edged.values import Secret, parse_address
from tests.e2e.lab import BAD4, BAD6, GOOD4, GOOD6, PORTAL4, PORTAL6, RESOLVER4, RESOLVER6, WEB4, WEB6, Lab

SECRET = Secret(b"lab-radius-secret")
PATIENCE = 2.0
"""Seconds after which a question is lost; a NAS asks again then, three times (RFC 5080, 2.2.1)."""
LATE = 0.5
FORBIDDEN = 22
"""A port of the internet that no blocked line may reach."""

Ask = Callable[[int], Awaitable[bool]]


@dataclass(slots=True)
class Asked:
    """One question: when it left; seconds until the right answer, or None; True: the answer was wrong."""

    at: float
    took: float | None = None
    wrong: bool = False


@dataclass(slots=True)
class Tally:
    """Every question of one kind, in the order in which they left."""

    asked: list[Asked] = field(default_factory=list)

    def between(self, begin: float, end: float) -> dict[str, float]:
        """Of the questions that left in that time: how many, lost, late, wrong; the longest time without an answer."""
        within = [one for one in self.asked if begin <= one.at < end]
        gap, last = 0.0, begin
        for one in within:
            if one.took is not None:
                gap, last = max(gap, one.at - last), one.at
        return {
            "asked": len(within),
            "lost": sum(one.took is None for one in within),
            "late": sum(one.took is not None and one.took > LATE for one in within),
            "wrong": sum(one.wrong for one in within),
            "gap_s": round(max(gap, end - last if within else 0.0), 2),
        }


class Load:
    """Asks from its start to its end, in a thread of each of two namespaces."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._over = threading.Event()
        self.tallies: dict[str, Tally] = {}
        self.cut: list[str] = []
        """What ended the connections of open lines."""
        self._threads = [
            threading.Thread(target=self._inside, args=(namespace, kinds), daemon=True)
            for namespace, kinds in (("line", _line_kinds()), ("internet", _nas_kinds()))
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask no more, and wait for what is under way."""
        self._over.set()
        for thread in self._threads:
            thread.join(15.0)

    def _inside(self, namespace: str, kinds: dict[str, tuple[float, Ask]]) -> None:
        with self._lab.inside(namespace):
            asyncio.run(self._ask_all(namespace, kinds))

    async def _ask_all(self, namespace: str, kinds: dict[str, tuple[float, Ask]]) -> None:
        async with asyncio.TaskGroup() as group:
            for kind, (rate, ask) in kinds.items():
                tally = self.tallies[kind] = Tally()
                group.create_task(self._ask(tally, rate, ask))
            for source, address in ((GOOD4, WEB4), (GOOD6, WEB6)) if namespace == "line" else ():
                tally = self.tallies[f"open connection, IPv{parse_address(address).version}"] = Tally()
                group.create_task(self._stream(tally, source, address))

    async def _ask(self, tally: Tally, rate: float, ask: Ask) -> None:
        async def one(number: int) -> None:
            asked = Asked(time.monotonic())
            tally.asked.append(asked)
            with suppress(OSError, TimeoutError, EOFError):
                if await ask(number):
                    asked.took = time.monotonic() - asked.at
                else:
                    asked.wrong = True

        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if self._over.is_set():
                    return
                group.create_task(one(number))
                await asyncio.sleep(1 / rate)

    async def _stream(self, tally: Tally, source: str, address: str) -> None:
        """One connection for the whole time; each octet is answered, and TCP sends again what was lost on the way."""
        try:
            reader, writer = await asyncio.open_connection(address, 443, local_addr=(source, 0))
            while not self._over.is_set():
                asked = Asked(time.monotonic())
                tally.asked.append(asked)
                writer.write(b"?")
                if not await asyncio.wait_for(reader.read(1500), 20):
                    raise EOFError  # noqa: TRY301  # as an error of the connection
                asked.took = time.monotonic() - asked.at
                await asyncio.sleep(0.02)
            writer.close()
        except (OSError, EOFError, TimeoutError) as error:
            self.cut.append(f"{source}: {error!r}")


def _line_kinds() -> dict[str, tuple[float, Ask]]:
    return {
        "DNS, IPv4": (50, lambda n: _dns(n, BAD4, RESOLVER4)),
        "DNS, IPv6": (50, lambda n: _dns(n, BAD6, RESOLVER6)),
        "page, IPv4": (10, lambda _: _page(BAD4, WEB4)),
        "page, IPv6": (10, lambda _: _page(BAD6, WEB6)),
        "forbidden, IPv4": (10, lambda _: _trespass(BAD4, WEB4)),
        "forbidden, IPv6": (10, lambda _: _trespass(BAD6, WEB6)),
    }


def _nas_kinds() -> dict[str, tuple[float, Ask]]:
    return {"RADIUS key": (20, _login), "RADIUS accounting": (10, _account)}


class _Datagrams(asyncio.DatagramProtocol):
    """Waits for the answer to one question; what an earlier owner of the port is still told is not it."""

    def __init__(self, is_answer: Callable[[bytes], bool]) -> None:
        self._is_answer = is_answer
        self.came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        if not self.came.done() and self._is_answer(data):
            self.came.set_result(data)


async def _exchange(
    source: str, server: tuple[str, int], octets: bytes, is_answer: Callable[[bytes], bool], times: int = 1
) -> bytes:
    """The answer to a datagram, asked up to so many times from one port. TimeoutError when there is none."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(is_answer), local_addr=(source, 0), remote_addr=server
    )
    try:
        for _ in range(times):
            transport.sendto(octets)
            with suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(protocol.came), PATIENCE)
        raise TimeoutError
    finally:
        transport.close()


async def _dns(number: int, source: str, resolver: str) -> bool:
    v6 = ":" in source
    name = b"\x03www\x07example\x03com\x00"
    kind = b"\x00\x1c\x00\x01" if v6 else b"\x00\x01\x00\x01"
    asked = (number & 0xFFFF).to_bytes(2, "big") + b"\x01\x00\x00\x01" + bytes(6) + name + kind
    answer = await _exchange(source, (resolver, 53), asked, lambda data: data[:2] == asked[:2])
    if answer[2] & 2:  # truncated: too many at once, ask again by TCP
        raise EOFError
    return answer.endswith(parse_address(PORTAL6 if v6 else PORTAL4).packed)


async def _page(source: str, server: str) -> bool:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(server, 80, local_addr=(source, 0))
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
    if not answer:
        raise EOFError
    return answer.startswith(b"HTTP/1.1 302") and b"Location: https://portal.example.net/" in answer


async def _trespass(source: str, server: str) -> bool:
    """True: refused, as it must be."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(server, FORBIDDEN, local_addr=(source, 0))
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def _request(code: Code, number: int, given: Iterable[tuple[str, str | int]]) -> bytes:
    authenticator = os.urandom(16) if code is Code.ACCESS_REQUEST else bytes(16)
    attributes = tuple(attribute(name, value) for name, value in given)
    return sign_request(Packet(code, number & 255, authenticator, attributes), SECRET)


def _is_reply(data: bytes, asked: bytes) -> bool:
    return reply_is_authentic(data, asked[4:20], SECRET)


async def _login(number: int) -> bool:
    asked = _request(
        Code.ACCESS_REQUEST, number,
        (
            ("User-Name", "02005e100009"), ("Calling-Station-Id", "02-00-5E-10-00-09"),
            ("Called-Station-Id", "02-00-5E-00-00-01:Residence"),
        ),
    )  # fmt: skip
    answer = await _exchange(WEB4, (PORTAL4, 1812), asked, lambda data: _is_reply(data, asked), times=4)
    vlans = [value for _, value in tagged(decode(answer).attributes, "Tunnel-Private-Group-Id")]
    return answer[0] == Code.ACCESS_ACCEPT and vlans == [b"112"]


async def _account(number: int) -> bool:
    asked = _request(
        Code.ACCOUNTING_REQUEST, number,
        (
            ("Acct-Status-Type", 3), ("Acct-Session-Id", f"s{number}"), ("User-Name", "ana"),
            ("Calling-Station-Id", "02-00-5E-10-00-09"),
        ),
    )  # fmt: skip
    answer = await _exchange(WEB4, (PORTAL4, 1813), asked, lambda data: _is_reply(data, asked), times=4)
    return answer[0] == Code.ACCOUNTING_RESPONSE


def listening(lab: Lab) -> None:
    """The internet's side: what open lines talk to, and what no blocked line may reach."""
    lab.serve("internet", "open", [("tcp", WEB4, 443), ("tcp", WEB6, 443)])
    lab.serve("internet", "forbidden", [("tcp", WEB4, FORBIDDEN), ("tcp", WEB6, FORBIDDEN)])
