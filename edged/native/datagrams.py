# SPDX-License-Identifier: Apache-2.0
"""UDP sockets served in batches: the Python twin of datagrams.c, and the choice between the two. I/O.

The C file answers the plain queries of blocked subscribers in threads of its own, outside the interpreter; here they
are left to the sinkhole, whose words they are. recvmmsg(2), sendmmsg(2), RFC 3542.
"""

from __future__ import annotations

import os
import select
import socket
from array import array
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from edged.pktinfo import SPACE, ControlMessage, reply_from

PLACES = 24
"""Of ``Counts``, for the time that answers took: up to four seconds, and more."""
BATCH = 64
"""Datagrams a call: enough to spread the cost of a wake-up, few enough that nobody else is kept waiting."""
_SOCKETS = 4
"""Sockets a call: the others have their turn next."""
_DATAGRAM = 4096
"""Largest query read: we offer 1,232 octets, and 4,096 is what old resolvers assume."""
WORKERS = 16
TAIL = 512
"""Octets that may follow the question of a reply."""
WAITING = 8192
"""Most datagrams that wait to be taken."""
NO_ANSWER = 255
"""In ``by_type``: a type that the caller answers."""

Source = tuple[ControlMessage, ...]
"""What makes a reply leave from the address that its query came to; empty: the socket has but one."""
Datagram = tuple[int, bytes, Any, Source]
"""The descriptor of a socket, what it received, its sender as the socket module has it, and the source of a reply."""
Back = Any
"""How the reply to a datagram finds its way: handed back as it was received, and of use to nobody else."""
Received = tuple[bytes, Any, Back]
"""What a socket received, its sender as the socket module has it, and the way back."""
Counts = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""What was done since it was last asked for: answers by kind, the fields of ``Others``, and answers by the time that
they took from being read to being sent: of place n less than 2**n microseconds, of the last place any more."""
Variant = tuple[bytes, bytes]
"""The header of a reply from its third octet on (10), and all that follows the question (at most TAIL)."""
Rendered = tuple[int, Variant, Variant, Variant]
"""The kind of an answer (0 to 15), and its reply without EDNS, with it, and with DO."""


class Table(NamedTuple):
    """What the compiled path answers, and what it leaves to the caller."""

    answers: list[Rendered]
    by_type: bytes
    """For each type below 256 the index of its answer, or NO_ANSWER."""
    names: list[bytes]
    """Lower-case wire octets: these and all below them are the caller's."""
    first_labels: list[bytes]
    """Lower-case names of one label: names that begin so are the caller's, too."""
    per_subscriber: int
    """Queries a second."""
    per_prefix: int


class Others(NamedTuple):
    """What is counted beside the answers."""

    ratelimited: int = 0
    """Queries dropped far above a subscriber's rate."""
    unsendable: int = 0
    portless: int = 0
    """Datagrams from port 0, which nobody can answer."""
    unreadable: int = 0
    crowded: int = 0
    """Datagrams dropped because too many waited for the caller."""
    microseconds: int = 0
    """What all answers took."""


class Datagrams(Protocol):
    """The sockets of a process.

    ``rates``: the second, then the queries in it by place, shared with the caller; ``key``: 64 random bits for the
    hashes.
    """

    def __init__(self, rates: array[int], key: int, /) -> None: ...

    def configure(self, table: Table, /) -> None:
        """Answer by ``table`` from now on; whom it remembers is forgotten."""

    def remember(self, address: bytes, until: float, subscriber: int, prefix: int, /) -> None:
        """``address`` (4 or 16 octets) is blocked until then (epoch seconds); its places in the table of rates."""

    def forget(self) -> None:
        """Nobody is known to be blocked."""

    def attach(self, sock: socket.socket, wildcard: bool, worker: int, /) -> None:  # noqa: FBT001
        """Serve ``sock``, by the worker (a thread; the twin has none) of that number, 0 to WORKERS - 1.

        ``wildcard``: its replies need a source.
        """

    def detach(self, sock: socket.socket, /) -> None:
        """Serve it no more; what it has received already is answered, or there to be taken at once."""

    def fileno(self) -> int:
        """A descriptor that is readable while there is something to take."""
        ...

    def take(self) -> list[Datagram]:
        """Some of the datagrams that were not answered: about BATCH, or fewer."""
        ...

    def waited(self) -> float:
        """Seconds that the first of those that were taken last had waited since it was read."""
        ...

    def counted(self) -> Counts:
        """Counts since the last call."""
        ...

    def stop(self) -> None:
        """End the workers."""


class Portable:
    """The twin: it receives, and leaves every answer to the caller."""

    def __init__(self, _rates: array[int], _key: int, /) -> None:
        self._sockets: dict[int, tuple[socket.socket, bool]] = {}
        self._readable = select.epoll()
        self._last: list[Datagram] = []
        self._portless = self._unreadable = 0

    def configure(self, _table: Table, /) -> None:
        """Nothing is answered here."""

    def remember(self, _address: bytes, _until: float, _subscriber: int, _prefix: int, /) -> None:
        """As configure."""

    def forget(self) -> None:
        """As configure."""

    def attach(self, sock: socket.socket, wildcard: bool, _worker: int, /) -> None:  # noqa: FBT001
        """Serve ``sock``."""
        self._sockets[sock.fileno()] = sock, wildcard
        self._readable.register(sock, select.EPOLLIN)

    def detach(self, sock: socket.socket, /) -> None:
        """Serve it no more."""
        _, wildcard = self._sockets.pop(sock.fileno())
        self._readable.unregister(sock)
        self._last += self._batch(sock.fileno(), sock, wildcard)

    def fileno(self) -> int:
        """The epoll instance of all sockets: one may itself be waited for."""
        return self._readable.fileno()

    def take(self) -> list[Datagram]:
        """What the first readable sockets have, at most BATCH each."""
        last, self._last = self._last, []
        return last + [d for fd, _ in self._readable.poll(0, _SOCKETS) for d in self._batch(fd, *self._sockets[fd])]

    def waited(self) -> float:
        """They are read when they are taken."""
        return 0.0

    def _batch(self, fd: int, sock: socket.socket, wildcard: bool) -> list[Datagram]:  # noqa: FBT001
        held: list[Datagram] = []
        for _ in range(BATCH):
            try:
                if wildcard:
                    octets, messages, _flags, peer = sock.recvmsg(_DATAGRAM, SPACE)
                    held.append((fd, octets, peer, reply_from(messages)))
                else:
                    octets, peer = sock.recvfrom(_DATAGRAM)
                    held.append((fd, octets, peer, ()))
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._unreadable += 1
                break
            if not peer[1]:
                held.pop()
                self._portless += 1
        return held

    def counted(self) -> Counts:
        """What could not be read or answered."""
        others = Others(portless=self._portless, unreadable=self._unreadable)
        self._portless = self._unreadable = 0
        return (), others, ()

    def stop(self) -> None:
        """Let go of the sockets."""
        self._sockets.clear()
        self._readable.close()


def portable_receive(sock: socket.socket, wildcard: bool, /) -> list[Received]:  # noqa: FBT001
    """The datagrams that ``sock`` has now, BATCH at most, each cut to 4,096 octets; nothing to read is no error."""
    held: list[Received] = []
    with suppress(OSError):  # nothing left, or an ICMP error that belongs to nobody
        while len(held) < BATCH:
            if wildcard:
                octets, messages, _flags, peer = sock.recvmsg(_DATAGRAM, SPACE, socket.MSG_DONTWAIT)
                held.append((octets, peer, (peer, reply_from(messages))))
            else:
                octets, peer = sock.recvfrom(_DATAGRAM, socket.MSG_DONTWAIT)
                held.append((octets, peer, (peer, ())))
    return held


def portable_send(sock: socket.socket, replies: list[tuple[bytes, Back]], /) -> list[int]:
    """Send ``replies``, each on its way back: those, by index, that the kernel did not take."""
    unsent = []
    for index, (octets, (peer, messages)) in enumerate(replies):
        try:
            sock.sendmsg((octets,), messages, socket.MSG_DONTWAIT, peer)
        except OSError:  # no route, no room
            unsent.append(index)
    return unsent


def _compiled() -> ModuleType | None:
    if os.environ.get("EDGED_NATIVE") == "0":
        return None
    try:
        from edged.native import _datagrams
    except ImportError:
        return None
    return _datagrams


_MODULE = _compiled()
COMPILED: type[Datagrams] | None = None if _MODULE is None else _MODULE.Datagrams
"""The C file's; None where it was not built, or where EDGED_NATIVE=0 says to do without."""
receive: Callable[[socket.socket, bool], list[Received]] = _MODULE.receive if _MODULE else portable_receive
send: Callable[[socket.socket, list[tuple[bytes, Back]]], list[int]] = _MODULE.send if _MODULE else portable_send


def fastest(rates: array[int], key: int) -> Datagrams:
    """The compiled one where there is one."""
    return (COMPILED or Portable)(rates, key)
