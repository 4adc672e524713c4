"""A small true resolver: UDP and TCP, or TLS, on a loopback port; answers from a table, faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import trustme

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
        self.chases = True
        """False: aliases are answered alone, as an authoritative server does."""
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
        self.refuse_streams()

    def refuse_streams(self) -> None:
        """No TCP from now on."""
        assert self._server is not None
        self._server.close()

    def answer(self, octets: bytes, *, stream: bool) -> bytes | None:
        query = dns.message.from_wire(octets)
        self.asked.append(query)
        if self.silent:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
        reply.set_rcode(dns.rcode.Rcode(self.rcode))
        if self.rcode:
            return reply.to_wire()
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
            if exact or not aliases or not self.chases:
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


class TlsUpstream(Upstream):
    """DNS over TLS on a TCP port, and an ear on the UDP port of that number: nothing may come there."""

    def __init__(self, certificate: trustme.LeafCert, *records: str) -> None:
        super().__init__(*records)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        self.octets: list[bytes] = []
        """Every query as it came."""
        self.accepted = 0
        self.connections = 0
        """Whose handshake was completed."""
        self.batch = 1
        """So many queries are awaited and then answered, the last one first."""
        self.close_after = 0
        """So many answers end a connection, once, and from then on each query is answered by itself; 0: none does."""
        self.plain = 0
        """Datagrams, which nobody should send."""
        self._writers: list[asyncio.StreamWriter] = []
        self._serving: list[asyncio.Task[None]] = []
        self.answer_waiting: Callable[[], object]
        """Answers what the latest connection has asked, however few."""
        self._tls: asyncio.Server

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.refuse_streams()
        outer = self

        class Counted(asyncio.Protocol):
            """Counts before the handshake, then hands over to TLS."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                outer.accepted += 1
                outer._serving.append(outer._loop.create_task(outer._secure(transport, self)))

        self._tls = await self._loop.create_server(Counted, "127.0.0.1", self.endpoint.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()
        self._tls.close()
        await super().__aexit__()

    def hang_up(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _datagram(self) -> None:
        self.plain += 1
        super()._datagram()

    async def _secure(self, transport: asyncio.BaseTransport, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(transport, asyncio.Transport)
        reader = asyncio.StreamReader()
        inner = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(OSError, EOFError):
            secured = await self._loop.start_tls(transport, protocol, self._context, server_side=True)
            if secured is None:
                return
            secured.set_protocol(inner)
            inner.connection_made(secured)
            self.connections += 1
            writer = asyncio.StreamWriter(secured, inner, reader, self._loop)
            self._writers.append(writer)
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: list[bytes] = []
        self.answer_waiting = lambda: writer.write(b"".join(len(one).to_bytes(2) + one for one in waiting))
        answered = 0
        while True:
            length = int.from_bytes(await reader.readexactly(2))
            octets = await reader.readexactly(length)
            self.octets.append(octets)
            reply = self.answer(octets, stream=True)
            if reply is None:
                continue
            waiting.append(reply)
            if len(waiting) < self.batch:
                continue
            for one in reversed(waiting):
                writer.write(len(one).to_bytes(2) + one)
                await writer.drain()
                answered += 1
                if answered == self.close_after:
                    self.batch, self.close_after = 1, 0
                    writer.close()
                    return
            waiting.clear()
