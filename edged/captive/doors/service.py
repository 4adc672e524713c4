# SPDX-License-Identifier: Apache-2.0
"""Listening sockets in, HTTP connections out to a protocol; foreign TLS names turned away. Touches sockets.

A TLS client is read with MSG_PEEK, so that the handshake, if there is one, finds every octet again.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Literal

from edged.captive.admission import TOTAL, Crowd, Deadlines, Visitor, source_of
from edged.captive.counters import Counters
from edged.captive.tls import MAX_HELLO, Alert, Hello, alert, parse_client_hello
from edged.errors import ConfigError, WireError
from edged.values import Endpoint, IpAddress, parse_address

_BACKLOG = 1024
_ACCEPTS = 64
"""Connections taken at one wake-up, so that a flood of them does not starve those inside."""
_PAUSE = 0.2
"""Seconds without accepting after the system ran out of descriptors."""
_SPARE_DESCRIPTORS = 256
"""For the rest of the daemon."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: close sends RST."""


def peer_address(peer: str) -> IpAddress:
    """The address of a socket's peer, without a zone."""
    return parse_address(peer.partition("%")[0])


def bind(endpoint: Endpoint, key: str) -> socket.socket:
    """A listening socket on ``endpoint``. ConfigError when that cannot be."""
    family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((str(endpoint.address), endpoint.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError.unbound(key, endpoint, error) from None
    return listener


def _unset(_visitor: Visitor) -> asyncio.Protocol:
    raise RuntimeError("the doors opened before the front was there")


class Doors:
    """Every listening socket of the room and the crowd behind them."""

    def __init__(self, counters: Counters, host: str, foreign: Literal["alert", "reset"], deadlines: Deadlines) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.crowd = Crowd(max(64, min(TOTAL, soft - _SPARE_DESCRIPTORS)))
        self.host, self.foreign = host, foreign
        self.context: ssl.SSLContext | None = None
        """The portal's own certificate; swapped when its files change."""
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Bears the exception of a visit that met a bug of ours."""
        self.protocol: Callable[[Visitor], asyncio.Protocol] = _unset
        """Makes the HTTP protocol of a visitor and counts that out at its end."""
        self._counters, self._deadlines = counters, deadlines
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._visits: set[asyncio.Task[None]] = set()

    def open(self, endpoint: Endpoint, key: str, *, tls: bool) -> Endpoint:
        """Listen on ``endpoint``; the one that the system chose where its port is 0."""
        listener = bind(endpoint, key)
        self._listeners.append(listener)
        self._loop.add_reader(listener, partial(self._accept, listener, tls=tls))
        address, port = listener.getsockname()[:2]
        return Endpoint(ip_address(address), port)

    async def close(self) -> None:
        """Close every socket and end every visit."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        for visitor in self.crowd.visitors():
            visitor.leave()
        for visit in tuple(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    def _accept(self, listener: socket.socket, *, tls: bool) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._pause(listener, tls=tls)
                    return
                continue  # the client was gone before we took it (accept(2), "Error handling")
            sock.settimeout(0)
            self._admit(sock, peer_address(peer[0]), tls=tls)

    def _pause(self, listener: socket.socket, *, tls: bool) -> None:
        self._loop.remove_reader(listener)

        def resume() -> None:
            if listener in self._listeners:
                self._loop.add_reader(listener, partial(self._accept, listener, tls=tls))

        self._loop.call_later(_PAUSE, resume)

    def _admit(self, sock: socket.socket, address: IpAddress, *, tls: bool) -> None:
        self._counters.connections += 1
        source = source_of(address)
        room = self.crowd.room_for(source)
        if room is False:
            self._counters.dropped["full"] += 1
            sock.close()
            return
        if isinstance(room, Visitor):
            self._counters.dropped["displaced"] += 1
            self.crowd.left(room)
            room.leave()
        visitor = Visitor(source, sock.close)
        self.crowd.enter(visitor)
        visit = self._loop.create_task(self._visit(sock, visitor, tls=tls), name="captive-visit")
        visitor.leave = visit.cancel
        self._visits.add(visit)
        visit.add_done_callback(self._visited)

    def _visited(self, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        error = None if visit.cancelled() else visit.exception()
        if error is not None and not self.broken.done():
            self.broken.set_exception(error)

    async def _visit(self, sock: socket.socket, visitor: Visitor, *, tls: bool) -> None:
        """From the accepted socket to its protocol, or to its end."""
        ours, handed_over = True, False
        try:
            async with asyncio.timeout(self._deadlines.first_octet):
                server_name = await (self._server_name(sock) if tls else self._first_octet(sock))
            if not tls or (server_name in {"", self.host} and self.context is not None):
                ours = False  # asyncio closes it from here on, whatever happens
                handed_over = await self._hand_over(sock, visitor, tls=tls)
            else:
                await self._turn_away(sock)
        except TimeoutError:
            self._counters.dropped["slow"] += 1
        except WireError as error:
            self._counters.dropped[error.reason] += 1
            if error.reply:
                await self._farewell(sock, error.reply)
        except OSError:
            self._counters.dropped["gone"] += 1
        finally:
            if not handed_over:
                self.crowd.left(visitor)
            if ours:
                sock.close()

    async def _readable(self, sock: socket.socket) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(sock, _settle, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(sock)

    async def _peek(self, sock: socket.socket, known: int, limit: int) -> bytes:
        """More than ``known`` octets from the front of ``sock``, left there. ConnectionError: no more."""
        waited = False
        while True:
            try:
                octets = sock.recv(limit, socket.MSG_PEEK)
            except BlockingIOError:
                pass
            else:
                if len(octets) > known:
                    return octets
                if waited:
                    raise ConnectionResetError  # readable, and yet no octet more: the client has closed
            if known:
                # readable only from the octet after those known, else a half hello would spin the loop
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, known + 1)
            await self._readable(sock)
            waited = True

    async def _first_octet(self, sock: socket.socket) -> str:
        await self._peek(sock, 0, 1)
        return ""

    async def _server_name(self, sock: socket.socket) -> str:
        octets = b""
        while True:
            octets = await self._peek(sock, len(octets), MAX_HELLO)
            hello = parse_client_hello(octets)
            if isinstance(hello, Hello):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
                return hello.server_name

    async def _turn_away(self, sock: socket.socket) -> None:
        if self.foreign == "reset":
            self._counters.resets += 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        self._counters.alerts += 1
        await self._farewell(sock, alert(Alert.INTERNAL_ERROR))

    async def _farewell(self, sock: socket.socket, reply: bytes) -> None:
        """Send ``reply`` so that it arrives: octets left unread would turn a close into a reset."""
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            sock.recv(4 * MAX_HELLO)
            sock.send(reply)
            sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(self._deadlines.linger):
                await self._readable(sock)
        except (OSError, TimeoutError):
            return

    async def _hand_over(self, sock: socket.socket, visitor: Visitor, *, tls: bool) -> bool:
        """Give ``sock`` to the HTTP protocol; True once that will count the visitor out."""
        protocol = self.protocol(visitor)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=self.context if tls else None,
                ssl_handshake_timeout=self._deadlines.handshake if tls else None,
                ssl_shutdown_timeout=self._deadlines.linger if tls else None,
            )
        except (ssl.SSLError, OSError, TimeoutError):
            self._counters.handshakes_failed += 1
            return False
        visitor.leave = transport.abort
        if not transport.is_closing():
            visitor.timer = self._loop.call_later(self._deadlines.request, self._deadline, visitor, transport)
        return True

    def _deadline(self, visitor: Visitor, transport: asyncio.Transport) -> None:
        if visitor.waiting:
            self._counters.dropped["slow"] += 1
            transport.abort()
        else:
            visitor.timer = self._loop.call_later(self._deadlines.lifetime - self._deadlines.request, transport.abort)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
