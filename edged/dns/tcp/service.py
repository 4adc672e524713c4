# SPDX-License-Identifier: Apache-2.0
"""DNS over TCP: streams in, replies out in any order. I/O. RFC 1035 4.2.2, RFC 7766, RFC 7828.

Idle clients cost a slot and no more: the oldest idle one goes when a new one comes.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

from edged.dns.sinkhole import Pending, Sinkhole
from edged.dns.tcp import keepalive
from edged.dns.tcp.framing import Framing, framed
from edged.errors import ConfigError
from edged.fdstore import FdStore
from edged.values import Endpoint

_TOTAL = 4096
"""Connections at once: a descriptor and some 10 KB each."""
_SHARE = 4
"""Of the descriptors that the process may have, one in so many."""
_PER_CLIENT = 32
"""Connections of one subscriber: a household behind one customer router. All strangers are one client."""
_PENDING = 64
"""Queries of one connection at an upstream; more wait in the client's window."""
_BURST = 64
"""Messages of one connection before the others have their turn, as with datagrams."""
_READ = 1 << 14
"""Octets read at once: some 400 queries."""
_UNREAD = 1 << 18
"""Octets of answers that a client leaves lying, beyond what the kernel holds for it; then it is gone."""
_BACKLOG = 1024
"""Clients that may come at once while the loop is busy."""
_ACCEPTS = 32
"""Of these, taken in at one wake-up: some 3 ms."""
_SWEPT = 64
"""Closed at one wake-up: some 3 ms with the loop's own part."""

Later = Callable[[Pending, Callable[[bytes], None]], None]


def bind(endpoint: Endpoint, key: str, fds: FdStore) -> socket.socket:
    """A listening TCP socket on ``endpoint``. ConfigError when it cannot be had."""
    try:
        return fds.listen(endpoint, _BACKLOG)
    except OSError as error:
        raise ConfigError.unbound(key, f"{endpoint} (TCP)", error) from None


@dataclass(frozen=True, slots=True)
class Clocks:
    """How long a stream may take, in seconds; under pressure three quarters of the slots are taken."""

    idle: float = 10.0
    """Without a query (RFC 7766 6.2.3: of the order of seconds)."""
    idle_under_pressure: float = 2.0
    message: float = 5.0
    """For a message to arrive whole, and for answers to be taken while queries wait."""
    message_under_pressure: float = 2.0
    sweep: float = 1.0
    """Between two looks at the clocks."""


_CLOCKS = Clocks()


class Connections:
    """All streams of the service: the caps, and the sweep that enforces the clocks."""

    def __init__(self, sinkhole: Sinkhole, refresh: Callable[[], None], later: Later, clocks: Clocks = _CLOCKS) -> None:
        self.sinkhole, self.refresh, self.later = sinkhole, refresh, later
        self.counters = sinkhole.counters
        self.room = memoryview(bytearray(_READ))
        """What any stream is read into; taken over before the next is read."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._total = min(_TOTAL, soft // _SHARE)
        self._clocks = clocks
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        """Nothing of them is at an upstream; least recently active first."""
        self._busy: OrderedDict[Connection, None] = OrderedDict()
        self._clients: dict[Hashable, set[Connection]] = {}
        self._servers: list[asyncio.Server] = []

    @property
    def idle(self) -> float:
        """Seconds that a stream may be idle now."""
        return self._clocks.idle_under_pressure if self._pressed() else self._clocks.idle

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept on ``sockets`` and keep the clocks until cancelled."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(lambda: Connection(self), sock=sock, backlog=_ACCEPTS))
            # asyncio accepts as many at a wake-up as may wait: it would take a thousand in and answer nobody else
            sock.listen(_BACKLOG)
        while True:
            # after a full sweep the others have their turn before the next
            more = self.sweep(time.monotonic())
            await asyncio.sleep(0 if more else self._clocks.sweep)

    @property
    def under_way(self) -> int:
        """Streams that wait for an answer, or whose first question is still to come."""
        return len(self._busy) + sum(it.waiting or not it.asked for it in self._idle)

    def refrain(self) -> None:
        """Take no new stream; those inside go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close(self) -> None:
        """Stop accepting and drop every stream."""
        self.refrain()
        for connection in (*self._idle, *self._busy):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        """Take ``connection`` in, at the cost of the oldest idle one where there is no room."""
        self.counters.tcp_connections += 1
        held = self._clients.get(connection.client, ())
        if len(held) >= _PER_CLIENT:
            self.end(min(held, key=Connection.rank))
        elif len(self._idle) + len(self._busy) >= self._total:
            self.end(next(iter(self._idle or self._busy)))
        self._clients.setdefault(connection.client, set()).add(connection)
        self.active(connection)
        self.counters.tcp_open = len(self._idle) + len(self._busy)

    def closed(self, connection: Connection) -> None:
        """Forget ``connection``; once is enough."""
        held = self._clients.get(connection.client)
        if held is None or connection not in held:
            return
        held.remove(connection)
        if not held:
            del self._clients[connection.client]
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)
        self.counters.tcp_open = len(self._idle) + len(self._busy)

    def active(self, connection: Connection) -> None:
        """Put ``connection`` last in its line: its clock runs anew."""
        here, there = (self._busy, self._idle) if connection.pending else (self._idle, self._busy)
        there.pop(connection, None)
        here[connection] = None
        here.move_to_end(connection)

    def sweep(self, now: float) -> bool:
        """Close whoever has had their time at ``now`` (monotonic); True when there may be more of them.

        The idle are in the order of their clocks: it looks no further than the first who cannot have had theirs.
        """
        message = self._clocks.message_under_pressure if self._pressed() else self._clocks.message
        idle, overdue = self.idle, list[Connection]()
        for connection in self._idle:
            spent = now - connection.since
            if spent <= min(message, idle) or len(overdue) == _SWEPT:
                break
            if spent > (message if connection.waiting else idle):
                overdue.append(connection)
        for connection in overdue:
            self.end(connection)
        return len(overdue) == _SWEPT

    def end(self, connection: Connection) -> None:
        """Close ``connection`` by our own decision."""
        self.counters.tcp_closed += 1
        connection.abort()
        self.closed(connection)

    def _pressed(self) -> bool:
        return len(self._idle) + len(self._busy) >= self._total * 3 // 4


class Connection(asyncio.BufferedProtocol):
    """One stream."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._framing = Framing()
        self._host = ""
        self._full = False
        """The client does not read."""
        self._yielded = False
        """The others have their turn; more is waiting here."""
        self._ended = False
        """The client has closed its half."""
        self.client: Hashable = None
        """Whose slot it takes."""
        self.since = time.monotonic()
        """When the last whole message was taken, or the first octet of the present one came."""
        self.pending = 0
        self.asked = False
        """A whole message has come."""

    @property
    def waiting(self) -> bool:
        """True when a message has begun."""
        return bool(self._framing)

    def rank(self) -> tuple[bool, float]:
        """The least goes first when there is no room."""
        return self.pending > 0, self.since

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what a stream server gives
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._host = peer[0] if peer else "0.0.0.0"  # noqa: S104  # gone before it was accepted: no network holds it
        self._all.refresh()
        self.client = self._all.sinkhole.whom(self._host, time.time())
        self._all.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """It went."""
        self._transport = None
        self._all.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """Where to read to."""
        return self._all.room

    def buffer_updated(self, nbytes: int) -> None:
        """Octets, cut anywhere."""
        if self._transport is None:
            return
        if not self._framing:
            self._touch()
        self._framing.receive(self._all.room[:nbytes])
        self._advance()

    def eof_received(self) -> bool:
        """No more queries; what has come is still answered (RFC 7766, section 6.2.4)."""
        self._ended = True
        return not self._finished()

    def pause_writing(self) -> None:
        """The client does not read: take no more of its queries."""
        self._full = True
        self._hold()

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._advance()

    def abort(self) -> None:
        """End the stream at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _touch(self) -> None:
        self.since = time.monotonic()
        self._all.active(self)

    def _finished(self) -> bool:
        # nothing whole can be waiting: the end is not read before what is held back
        return self._ended and not self.pending

    def _held(self) -> bool:
        return self._full or self.pending >= _PENDING

    def _hold(self) -> None:
        """Read on or not: a client that does not read, or asks too much at once, waits."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._held() or self._yielded:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _advance(self) -> None:
        """Answer the whole messages that have come."""
        self._all.refresh()
        now, begun, ready, taken = time.time(), time.perf_counter(), list[bytes](), 0
        while self._transport is not None and taken < _BURST and not self._held():
            message = self._framing.message()
            if message is None:
                break
            taken += 1
            reply = self._all.sinkhole.answer(message, self._host, now, stream=True)
            if reply is None:
                self._write(ready)
                self.abort()
                return
            timeout = keepalive.asked(message)
            if isinstance(reply, bytes):
                ready.append(self._framed(reply, timeout=timeout))
            else:
                self.pending += 1
                self._all.later(reply, partial(self._arrived, timeout=timeout))
        self._write(ready)
        if ready:
            self._all.counters.note_took(time.perf_counter() - begun, len(ready))
        if self._transport is None:
            return
        if taken:
            self.asked = True
            self._touch()
        if taken == _BURST and self._framing.whole() and not self._yielded:
            self._yielded = True
            self._loop.call_soon(self._go_on)
        if self._finished():
            self._transport.close()
        self._hold()

    def _go_on(self) -> None:
        self._yielded = False
        self._advance()

    def _arrived(self, reply: bytes, *, timeout: bool) -> None:
        self.pending -= 1
        if self._transport is not None:
            self._write([self._framed(reply, timeout=timeout)])
        if self._transport is not None:
            self._touch()
            self._advance()

    def _framed(self, reply: bytes, *, timeout: bool) -> bytes:
        return framed(keepalive.with_timeout(reply, self._all.idle) if timeout else reply)

    def _write(self, replies: list[bytes]) -> None:
        """Send ``replies`` together; a client that leaves too much lying is gone."""
        if not replies or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(b"".join(replies))
        if self._transport.get_write_buffer_size() > _UNREAD:
            self._all.end(self)
