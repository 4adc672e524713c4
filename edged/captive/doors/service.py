# SPDX-License-Identifier: Apache-2.0
"""Listening sockets in, what each client says answered or handed on: HTTP heads, foreign TLS names. Touches sockets.

What is whole at the first look is answered there and then, without a task (docs/decisions/0021). A client is read with
MSG_PEEK, so that a protocol or a handshake, if there is one, finds every octet again.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
import struct
from asyncio import sslproto
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from ipaddress import IPv4Address, ip_address
from typing import Literal, NoReturn

from edged.captive.admission import TOTAL, Crowd, Deadlines, Visitor, source_of
from edged.captive.counters import Counters
from edged.captive.lobby.service import Guest, Lobby, Stage
from edged.captive.tls import MAX_HELLO, Alert, NeedMore, alert, parse_client_hello
from edged.errors import ConfigError, WireError
from edged.fdstore import FdStore
from edged.values import Endpoint, IpAddress, parse_address

_BACKLOG = 4096
"""Connections that the kernel holds for us, a quarter of a second's flood; it may have a lower limit of its own."""
_ACCEPTS = 64
"""Connections taken at one wake-up, so that a flood of them does not starve those inside."""
_PAUSE = 0.2
"""Seconds without accepting after the system ran out of descriptors."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SPARE_DESCRIPTORS = 256
"""For the rest of the daemon."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: close sends RST."""
PEEK = MAX_HELLO
"""Octets looked at: a longer head is the protocol's to refuse or to read."""
_LOOK = socket.MSG_PEEK | socket.MSG_DONTWAIT
_LAST = socket.MSG_DONTWAIT | socket.MSG_MORE
"""The end of the stream follows, in the same segment."""
_TLS_BUFFER = 16 * 1024
"""Octets that a TLS connection keeps for reading, one record. asyncio's 256 KB made a gigabyte of 4,000 visitors."""
_TURNED_AWAY = alert(Alert.INTERNAL_ERROR)


class Unanswered(Enum):
    """Why octets have no answer at once."""

    MORE = auto()
    """They are the beginning of a request."""
    SEAT = auto()
    """A protocol of its own has to read them."""


def peer_address(peer: str) -> IpAddress:
    """The address of a socket's peer, as the system spells it, without a zone."""
    if ":" in peer:
        return parse_address(peer.partition("%")[0])
    return IPv4Address(int.from_bytes(socket.inet_aton(peer)))  # a third of what parse_address takes


def _descriptors() -> int:
    """How many sockets may be open, after asking the system for as many as the room can use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = TOTAL + _SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, TOTAL + _SPARE_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # the unit's system call filter may forbid it; it sets LimitNOFILE itself
            wanted = soft
    return wanted - _SPARE_DESCRIPTORS


def _unset(*_: object) -> NoReturn:
    raise RuntimeError("the doors opened before the front was there")


class Doors:
    """Every listening socket of the room and the crowd behind them."""

    def __init__(
        self,
        counters: Counters,
        host: str,
        foreign: Literal["alert", "reset"],
        deadlines: Deadlines,
        fds: FdStore | None = None,
    ) -> None:
        sslproto.SSLProtocol.max_size = _TLS_BUFFER  # asyncio has no other place to say so; it holds for the daemon
        self.crowd = Crowd(max(64, min(TOTAL, _descriptors())))
        self.host, self.foreign = host, foreign
        self.context: ssl.SSLContext | None = None
        """The portal's own certificate; swapped when its files change."""
        self.protocol: Callable[[Visitor], asyncio.Protocol] = _unset
        """Makes the HTTP protocol of a visitor and counts that out at its end."""
        self.at_once: Callable[[bytes, IpAddress], bytes | Unanswered] = lambda *_: Unanswered.SEAT
        """All that an HTTP client has said so far and its address in; the octets of the answer, none of them: close."""
        self.faulty: Callable[[BaseException], None] = _unset
        """Told of a bug of ours."""
        self._counters, self._deadlines = counters, deadlines
        self._loop = asyncio.get_running_loop()
        patience = {
            Stage.SPEAK: deadlines.first_octet,
            Stage.FINISH: deadlines.request,
            Stage.LEAVE: deadlines.linger,
        }
        self._lobby = Lobby(patience, self._heard, self._overdue)
        self._sink = bytearray(4 * MAX_HELLO)
        """What is read to be forgotten: octets left unread would turn a close into a reset."""
        self._fds = fds or FdStore()
        self._listeners: list[socket.socket] = []
        self._visits: set[asyncio.Task[None]] = set()

    def open(self, endpoint: Endpoint, key: str, *, tls: bool) -> Endpoint:
        """Listen on ``endpoint``; the one that the system chose where its port is 0. ConfigError."""
        try:
            listener = self._fds.listen(endpoint, _BACKLOG)
        except OSError as error:
            raise ConfigError.unbound(key, endpoint, error) from None
        self._listeners.append(listener)
        self._loop.add_reader(listener, partial(self._accept, listener, tls=tls))
        address, port = listener.getsockname()[:2]
        return Endpoint(ip_address(address), port)

    @property
    def under_way(self) -> int:
        """Visitors who are being answered, or have not asked yet."""
        return sum(not self.crowd.is_at_rest(it) and not _has_left(it) for it in self.crowd.visitors())

    def refrain(self) -> None:
        """Let nobody else in."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()

    async def close(self) -> None:
        """Close every socket and end every visit."""
        self.refrain()
        for visitor in self.crowd.visitors():
            self._turn_out(visitor)
        self._lobby.close()
        await asyncio.gather(*self._visits, return_exceptions=True)

    def _accept(self, listener: socket.socket, *, tls: bool) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._descriptor_freed():
                    self._pause(listener, tls=tls)
                    return
                continue  # the client was gone before we took it (accept(2), "Error handling")
            self._counters.connections += 1
            try:
                self._meet(sock, peer_address(peer[0]), tls=tls)
            except Exception as error:  # noqa: BLE001  # our own bug ends this connection and no other
                sock.close()
                self.faulty(error)

    def _descriptor_freed(self) -> bool:
        """True when somebody who waited has made room and left a descriptor."""
        waiting = self.crowd.longest_waiting()
        if waiting is None:
            return False
        self._displace(waiting)
        return not waiting.seated  # a transport closes its socket later

    def _pause(self, listener: socket.socket, *, tls: bool) -> None:
        self._loop.remove_reader(listener)

        def resume() -> None:
            if listener in self._listeners:
                self._loop.add_reader(listener, partial(self._accept, listener, tls=tls))

        self._loop.call_later(_PAUSE, resume)

    def _meet(self, sock: socket.socket, address: IpAddress, *, tls: bool) -> None:
        """The first look at a connection: an answer, or a place."""
        stage = self._attend(sock, address, tls=tls)
        if stage is Stage.GONE:
            sock.close()
            return
        source = source_of(address)
        room = self.crowd.room_for(source)
        if (stage is Stage.LEAVE and room is not True) or not self._place_free(room):
            sock.close()  # nobody makes room for one who has had his alert
            return
        guest = Guest(source, _nothing, sock, address, tls=tls)
        self.crowd.enter(guest)
        if stage is Stage.SIT:
            self._sit(guest)
            return
        try:
            self._lobby.admit(guest, stage)
        except OSError:
            self._counters.dropped["full"] += 1
            self._turn_out(guest)

    def _attend(self, sock: socket.socket, address: IpAddress, *, tls: bool) -> Stage:
        """What comes next, by what has been said so far; that stays in the socket unless it is answered."""
        try:
            octets = sock.recv(PEEK, _LOOK)
        except BlockingIOError:
            return Stage.SPEAK
        except OSError:
            octets = b""
        try:
            if not octets:
                raise ConnectionResetError
            return self._greet(sock, octets) if tls else self._answer(sock, octets, address)
        except OSError:  # also while it is told what is wrong with its hello
            self._counters.dropped["gone"] += 1
            return Stage.GONE

    def _answer(self, sock: socket.socket, octets: bytes, address: IpAddress) -> Stage:
        said = self.at_once(octets, address)
        if said is Unanswered.MORE:
            return Stage.FINISH
        if said is Unanswered.SEAT:
            return Stage.SIT
        self._say(sock, said)
        return Stage.GONE

    def _greet(self, sock: socket.socket, octets: bytes) -> Stage:
        try:
            hello = parse_client_hello(octets)
        except WireError as error:
            self._counters.dropped[error.reason] += 1
            return self._farewell(sock, error.reply) if error.reply else Stage.GONE
        if isinstance(hello, NeedMore):
            return Stage.SPEAK
        if hello.server_name in {"", self.host} and self.context is not None:
            return Stage.SIT
        if self.foreign == "reset":
            self._counters.resets += 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return Stage.GONE
        self._counters.alerts += 1
        return self._farewell(sock, _TURNED_AWAY)

    def _say(self, sock: socket.socket, reply: bytes) -> None:
        """Send ``reply``, which fits an empty buffer, so that it arrives."""
        sock.recv_into(self._sink, 0, socket.MSG_DONTWAIT)
        if reply and sock.send(reply, _LAST) != len(reply):
            raise ConnectionResetError

    def _farewell(self, sock: socket.socket, reply: bytes) -> Stage:
        """Send ``reply`` and wait for the client to close: what it sends meanwhile would reset the connection."""
        self._say(sock, reply)
        sock.shutdown(socket.SHUT_WR)
        return Stage.LEAVE

    def _heard(self, guest: Guest, closed: bool) -> None:  # noqa: FBT001  # a callback
        """Somebody in the lobby spoke, or closed."""
        try:
            stage = self._read_on(guest, closed=closed)
        except Exception as error:  # noqa: BLE001  # as in _accept
            stage = Stage.GONE
            self.faulty(error)
        if stage is Stage.GONE:
            self._turn_out(guest)
        elif stage is Stage.SIT:
            self._lobby.release(guest)
            self._sit(guest)
        else:
            self._lobby.move(guest, stage)

    def _read_on(self, guest: Guest, *, closed: bool) -> Stage:
        if guest.stage is Stage.LEAVE:
            try:
                while guest.sock.recv_into(self._sink, 0, socket.MSG_DONTWAIT):
                    pass
            except BlockingIOError:
                return Stage.GONE if closed else Stage.LEAVE
            except OSError:
                pass
            return Stage.GONE
        stage = self._attend(guest.sock, guest.address, tls=guest.tls)
        if closed and stage in {Stage.SPEAK, Stage.FINISH}:
            self._counters.dropped["gone"] += 1
            return Stage.GONE
        return stage

    def _overdue(self, guest: Guest) -> None:
        if guest.stage is not Stage.LEAVE:
            self._counters.dropped["slow"] += 1
        self._turn_out(guest)

    def _turn_out(self, visitor: Visitor) -> None:
        """End a visit, whatever stage it is in."""
        self.crowd.left(visitor)
        if isinstance(visitor, Guest) and not visitor.seated:
            self._lobby.release(visitor)
            visitor.sock.close()
        else:
            visitor.leave()

    def _displace(self, visitor: Visitor) -> None:
        self._counters.dropped["displaced"] += 1
        self._turn_out(visitor)

    def _place_free(self, room: Visitor | bool, /) -> bool:  # noqa: FBT001  # what Crowd says
        """Whether there is room; whoever has to make it has left by then."""
        if isinstance(room, Visitor):
            self._displace(room)
            return True
        if not room:
            self._counters.dropped["full"] += 1
        return room

    def _sit(self, guest: Guest) -> None:
        """A task and a protocol for ``guest``, whom the lobby does not know (any more)."""
        if not self._place_free(self.crowd.seat()):
            self._turn_out(guest)
            return
        self.crowd.sit(guest)
        guest.sock.settimeout(0)
        visit = self._loop.create_task(self._visit(guest), name="captive-visit")
        guest.leave = visit.cancel
        self._visits.add(visit)
        visit.add_done_callback(partial(self._visited, guest))

    def _visited(self, guest: Guest, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        if guest.stage is not Stage.SIT:
            guest.sock.close()  # displaced before the task's first step
        error = None if visit.cancelled() else visit.exception()
        if error is not None:
            self.faulty(error)

    async def _visit(self, guest: Guest) -> None:
        """From the lobby to a protocol, or to the end."""
        handed_over, guest.stage = False, Stage.SIT
        try:
            handed_over = await self._hand_over(guest)
        finally:
            if not handed_over:
                self.crowd.left(guest)

    async def _hand_over(self, guest: Guest) -> bool:
        """Give the socket to the HTTP protocol; True once that will count the visitor out."""
        context = self.context if guest.tls else None
        if guest.tls and context is None:
            guest.sock.close()  # the certificate has just been taken away
            return False
        try:
            protocol = self.protocol(guest)
        except Exception:
            guest.sock.close()  # from here on asyncio closes it
            raise
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol,
                guest.sock,
                ssl=context,
                ssl_handshake_timeout=self._deadlines.handshake if guest.tls else None,
                ssl_shutdown_timeout=self._deadlines.linger if guest.tls else None,
            )
        except (ssl.SSLError, OSError, TimeoutError):
            self._counters.handshakes_failed += 1
            return False
        guest.leave = transport.abort
        if not transport.is_closing():
            guest.timer = self._loop.call_later(self._deadlines.request, self._deadline, guest, transport)
        return True

    def _deadline(self, visitor: Visitor, transport: asyncio.Transport) -> None:
        if visitor.waiting:
            self._counters.dropped["slow"] += 1
            transport.abort()
        else:
            visitor.timer = self._loop.call_later(self._deadlines.lifetime - self._deadlines.request, transport.abort)


def _has_left(visitor: Visitor) -> bool:
    return isinstance(visitor, Guest) and not visitor.seated and visitor.stage is Stage.LEAVE


def _nothing() -> None:
    """A guest's socket is closed by whoever turns it out."""
