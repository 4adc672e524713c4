# SPDX-License-Identifier: Apache-2.0
"""DNS over TCP: streams in, replies out in any order. I/O. RFC 1035 4.2.2, RFC 7766.

Idle clients cost a slot and no more: the oldest idle one goes when a new one comes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edged.dns.sinkhole import Pending, Sinkhole
from edged.errors import ConfigError
from edged.values import Endpoint

_TOTAL = 800
"""Connections at once: a descriptor and some 4 KB each."""
_PER_CLIENT = 32
"""Connections of one address: a household behind one customer router."""
_PENDING = 64
"""Queries of one connection at an upstream; more wait in the client's window."""
_BACKLOG = 1024
"""Clients that may come at once while the loop is busy."""

Later = Callable[[Pending, Callable[[bytes], None]], None]


def bind(endpoint: Endpoint, key: str) -> socket.socket:
    """A listening TCP socket on ``endpoint``. ConfigError when it cannot be had."""
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(endpoint.address), endpoint.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError.unbound(key, f"{endpoint} (TCP)", error) from None
    return sock


@dataclass(frozen=True, slots=True)
class Clocks:
    """How long a stream may take, in seconds."""

    idle: float = 10.0
    """Without a query (RFC 7766 6.2.3: of the order of seconds)."""
    idle_under_pressure: float = 2.0
    """The same, when three quarters of the slots are taken."""
    message: float = 5.0
    """For a message to arrive whole."""
    sweep: float = 1.0
    """Between two looks at the clocks."""


_CLOCKS = Clocks()


class Connections:
    """All streams of the service: the caps, and the sweep that enforces the clocks."""

    def __init__(self, sinkhole: Sinkhole, refresh: Callable[[], None], later: Later, clocks: Clocks = _CLOCKS) -> None:
        self.clocks = clocks
        self.sinkhole, self.refresh, self.later = sinkhole, refresh, later
        self.counters = sinkhole.counters
        self._by_age: OrderedDict[Connection, None] = OrderedDict()
        """Least recently active first."""
        self._per_client: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept on ``sockets`` and keep the clocks until cancelled."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(lambda: Connection(self), sock=sock, backlog=_BACKLOG))
        while True:
            await asyncio.sleep(self.clocks.sweep)
            self._sweep(time.monotonic())

    def close(self) -> None:
        """Stop accepting and drop every stream."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in tuple(self._by_age):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        """Take ``connection`` in, at the cost of the oldest idle one where there is no room."""
        self.counters.tcp_connections += 1
        if self._per_client[connection.host] >= _PER_CLIENT:
            self._make_room(connection.host)
        elif len(self._by_age) >= _TOTAL:
            self._make_room()
        self._by_age[connection] = None
        self._per_client[connection.host] += 1
        self.counters.tcp_open = len(self._by_age)

    def closed(self, connection: Connection) -> None:
        """Forget ``connection``."""
        if connection not in self._by_age:
            return
        del self._by_age[connection]
        self._per_client[connection.host] -= 1
        if not self._per_client[connection.host]:
            del self._per_client[connection.host]
        self.counters.tcp_open = len(self._by_age)

    def active(self, connection: Connection) -> None:
        """Note a query on ``connection``."""
        self._by_age.move_to_end(connection)

    def _make_room(self, host: str | None = None) -> None:
        """Close the oldest idle stream (of ``host``); the oldest of all when every one is busy."""
        held = [c for c in self._by_age if host is None or c.host == host]
        self._end(next((c for c in held if not c.pending), held[0]))

    def _sweep(self, now: float) -> None:
        calm = len(self._by_age) < _TOTAL * 3 // 4
        idle = self.clocks.idle if calm else self.clocks.idle_under_pressure
        for connection in tuple(self._by_age):
            if connection.overdue(now, idle):
                self._end(connection)

    def _end(self, connection: Connection) -> None:
        self.counters.tcp_closed += 1
        connection.abort()
        self.closed(connection)


class Connection(asyncio.Protocol):
    """One stream."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._since = time.monotonic()
        """When the last whole message came, or the first octet of the present one."""
        self._full = False
        self._ended = False
        self.host = ""
        self.pending = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what a stream server gives
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.host = peer[0] if peer else "0.0.0.0"  # noqa: S104  # gone before it was accepted: no network holds it
        self._all.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """It went."""
        self._transport = None
        self._buffer.clear()
        self._all.closed(self)

    def data_received(self, data: bytes) -> None:
        """Octets, cut anywhere."""
        if not self._buffer:
            self._since = time.monotonic()
        self._buffer += data
        self._advance()

    def eof_received(self) -> bool:
        """No more queries; what is under way is still answered (RFC 7766, section 6.2.4)."""
        self._ended = True
        return self.pending > 0

    def pause_writing(self) -> None:
        """The client does not read: take no more of its queries."""
        self._full = True
        self._hold()

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._hold()
        self._advance()

    def abort(self) -> None:
        """End the stream at once."""
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float, idle: float) -> bool:
        """True when the client has had its time."""
        if self.pending:
            return False
        return now - self._since > (self._all.clocks.message if self._buffer else idle)

    def _held(self) -> bool:
        return self._full or self.pending >= _PENDING

    def _hold(self) -> None:
        """Read on or not: a client that does not read, or asks too much at once, waits."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._held():
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _advance(self) -> None:
        """Answer every whole message in the buffer."""
        self._all.refresh()
        now, at, buffer = time.time(), 0, self._buffer
        while self._transport is not None and not self._held() and len(buffer) - at >= 2:
            length = int.from_bytes(buffer[at : at + 2])
            if len(buffer) - at < 2 + length:
                break
            message = bytes(buffer[at + 2 : at + 2 + length])
            at += 2 + length
            reply = self._all.sinkhole.answer(message, self.host, now, stream=True)
            if reply is None:
                self.abort()
                return
            if isinstance(reply, bytes):
                self._write(reply)
            else:
                self.pending += 1
                self._all.later(reply, self._arrived)
        if at:
            del buffer[:at]
            self._since = time.monotonic()
            if self._transport is not None:
                self._all.active(self)
        self._hold()

    def _arrived(self, reply: bytes) -> None:
        self.pending -= 1
        self._write(reply)
        if not self.pending and self._ended and self._transport is not None:
            self._transport.close()
            return
        self._since = time.monotonic()
        self._hold()
        self._advance()

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(reply).to_bytes(2) + reply)
