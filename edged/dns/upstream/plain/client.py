# SPDX-License-Identifier: Apache-2.0
"""One question to one upstream over UDP, and over TCP where the answer is truncated. I/O.

RFC 5452 (random port and ID, question case-exact), RFC 7766 (TCP on TC).
"""

from __future__ import annotations

import asyncio
import secrets
import socket

from edged.dns import answer
from edged.dns.answer import Answer
from edged.dns.codes import HEADER_OCTETS
from edged.dns.question import Question
from edged.dns.settings import UpstreamSettings
from edged.dns.upstream.counters import UpstreamCounters
from edged.errors import WireError
from edged.values import Endpoint

_STRAYS = 32
"""Datagrams that do not match before a try is given up: somebody is guessing."""


class PlainClient:
    """Asks ``upstream``; holds nothing open."""

    def __init__(self, upstream: UpstreamSettings, counters: UpstreamCounters) -> None:
        self._upstream, self._counters = upstream.endpoint, counters

    async def ask(self, question: Question, seconds: float) -> Answer:
        """The answer, within ``seconds`` for each transport. TimeoutError, OSError, WireError: there is none."""
        qname = answer.mix_case(question.name, secrets.randbits(8 * len(question.name)))
        octets = answer.query(question, secrets.randbits(16), qname)
        self._counters.queries += 1
        async with asyncio.timeout(seconds):
            found = await self._over_udp(octets)
        if found.truncated:
            self._counters.tcp += 1
            async with asyncio.timeout(seconds):
                found = await _over_tcp(self._upstream, octets)
            if found.truncated:
                raise WireError("truncated")
        return found

    def close(self) -> None:
        """Nothing is open between questions."""

    async def _over_udp(self, octets: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        with _socket(self._upstream) as sock:
            # a connected socket: the kernel drops what comes from anybody else
            await loop.sock_connect(sock, (str(self._upstream.address), self._upstream.port))
            await loop.sock_sendall(sock, octets)
            for _ in range(_STRAYS):
                received = await loop.sock_recv(sock, 65535)
                try:
                    return answer.parse(received, octets)
                except WireError as error:
                    self._counters.mismatches += 1
                    if error.reason != "mismatch":
                        raise
        raise WireError("strays")


def _socket(upstream: Endpoint) -> socket.socket:
    """A UDP socket on a random port; the kernel's choice when a few are taken."""
    sock = socket.socket(socket.AF_INET if upstream.address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    sock.settimeout(0)
    for _ in range(4):
        try:
            sock.bind(("", 1024 + secrets.randbelow(64512)))
            break
        except OSError:
            continue
    return sock


async def _over_tcp(upstream: Endpoint, octets: bytes) -> Answer:
    reader, writer = await asyncio.open_connection(str(upstream.address), upstream.port)
    try:
        writer.write(len(octets).to_bytes(2) + octets)
        length = int.from_bytes(await reader.readexactly(2))
        received = await reader.readexactly(length)
    except EOFError as error:
        raise WireError("cut") from error
    finally:
        writer.close()
    if length < HEADER_OCTETS:
        raise WireError("short")
    return answer.parse(received, octets)
