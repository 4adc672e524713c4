"""A small true resolver: UDP and TCP on a loopback port, answers from a table, faults on demand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

from edged.values import Endpoint, parse_address

Fault = Callable[[bytes], bytes | None]


class Upstream:
    """Answers from ``records``: lines of a zone file. Remembers what it was asked."""

    def __init__(self, *records: str) -> None:
        self._records = [line.split(" ", 3) for line in records]
        self.asked: list[dns.message.Message] = []
        self.ports: list[int] = []
        self.tcp = 0
        self.truncate = False
        self.silent = False
        self.rcode = 0
        self.delay = 0.0
        self.spoil: Fault = lambda octets: octets
        self._loop = asyncio.get_running_loop()
        self._udp: socket.socket
        self._server: asyncio.Server | None = None
        self.endpoint = Endpoint(parse_address("127.0.0.1"), 0)

    async def __aenter__(self) -> Self:
        port = await self._bind()
        self._loop.add_reader(self._udp, self._datagram)
        self.endpoint = Endpoint(parse_address("127.0.0.1"), port)
        return self

    async def _bind(self) -> int:
        """One port that is free for both transports: the kernel picks it for UDP, and TCP may be taken."""
        for _ in range(20):
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.setblocking(False)
            self._udp.bind(("127.0.0.1", 0))
            port = int(self._udp.getsockname()[1])
            try:
                self._server = await asyncio.start_server(self._stream, "127.0.0.1", port)
            except OSError:
                self._udp.close()
            else:
                return port
        raise AssertionError("no port is free for both UDP and TCP")

    async def __aexit__(self, *_: object) -> None:
        self._loop.remove_reader(self._udp)
        self._udp.close()
        assert self._server is not None
        self._server.close()

    def answer(self, octets: bytes, *, stream: bool) -> bytes | None:
        query = dns.message.from_wire(octets)
        self.asked.append(query)
        if self.silent:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
        reply.set_rcode(dns.rcode.Rcode(self.rcode))
        if self.truncate and not stream:
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        name, rtype = query.question[0].name, query.question[0].rdtype
        for _ in range(8):
            found = [r for r in self._records if dns.name.from_text(r[0]) == name]
            exact = [r for r in found if dns.rdatatype.from_text(r[2]) == rtype]
            for owner, ttl, kind, rdata in exact or [r for r in found if r[2] == "CNAME"]:
                reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, rdata))
            aliases = [r for r in found if r[2] == "CNAME"]
            if exact or not aliases:
                break
            name = dns.name.from_text(aliases[0][3])
        if not reply.answer:
            soa = dns.rrset.from_text("example.", 60, "IN", "SOA", "ns.example. h.example. 1 2 3 4 60")
            reply.authority.append(soa)
            if not any(dns.name.from_text(r[0]) == query.question[0].name for r in self._records):
                reply.set_rcode(dns.rcode.NXDOMAIN)
        return self.spoil(reply.to_wire(max_size=65535))

    def _datagram(self) -> None:
        octets, peer = self._udp.recvfrom(4096)
        self.ports.append(peer[1])
        reply = self.answer(octets, stream=False)
        if reply is not None:
            self._loop.call_later(self.delay, self._udp.sendto, reply, peer)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tcp += 1
        length = int.from_bytes(await reader.readexactly(2))
        reply = self.answer(await reader.readexactly(length), stream=True)
        if reply is not None:
            writer.write(len(reply).to_bytes(2) + reply)
            await writer.drain()
        writer.close()
