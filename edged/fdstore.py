# SPDX-License-Identifier: Apache-2.0
"""Listening sockets that outlive the process: taken over from the service manager, and left with it. I/O.

sd_listen_fds(3), sd_pid_notify_with_fds(3); FileDescriptorStoreMax= in systemd.service(5). What waits in such a socket
while nobody reads, datagrams and connections, is there for the next start (docs/decisions/0043).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from edged.values import Endpoint, IpAddress, parse_address

log = structlog.get_logger(__name__)

Tell = Callable[[str, Sequence[int]], None]
"""Says something to the service manager, with descriptors."""
Widen = Callable[[socket.socket, int], bool]
"""Gives a socket a receive buffer of so many octets, by somebody else's privilege; False: it did not."""

_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}
_DEVICE_OCTETS = 16
_SO_RCVBUFFORCE = 33
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78


class Place(NamedTuple):
    """Where a socket listens: SOCK_STREAM or SOCK_DGRAM, on one address and port."""

    kind: socket.SocketKind
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.endpoint} ({'TCP' if self.kind is socket.SOCK_STREAM else 'UDP'})"


class _Unfit(Exception):  # noqa: N818  # a reason, caught where it is raised
    """Why a descriptor is not used."""


class FdStore:
    """The sockets that the manager passed, until somebody takes them, and those that it is asked to keep.

    Without a manager nothing is passed and nothing kept: every socket is a new one, and goes with the process.
    """

    def __init__(
        self,
        passed: Iterable[tuple[str, int]] = (),
        tell: Tell | None = None,
        widen: Widen | None = None,
        *,
        away: Collection[IpAddress] = (),
    ) -> None:
        """``passed``: names and descriptors, which are ours from now on.

        ``away``: addresses that may be bound although no interface has them now.
        """
        self._tell, self._widen, self._away = tell, widen, frozenset(away)
        self._left: dict[Place, list[tuple[str, socket.socket]]] = {}
        self._held: dict[socket.socket, str] = {}
        self._names: set[str] = set()
        seen: set[int] = set()
        for name, fd in passed:
            try:
                place, sock = _identified(fd, seen)
            except _Unfit as reason:
                self._forget(name, str(reason))
            else:
                self._left.setdefault(place, []).append((name, sock))

    def fit(self, wanted: Mapping[Place, int]) -> bool:
        """Let go of what nobody will take, so that its port is free. False: there was nothing of the kind.

        The port is free once the manager has heard of it, which ``barrier`` of edged/host/systemd.py waits for.
        """
        found = False
        for place, left in self._left.items():
            while len(left) > wanted.get(place, 0):
                name, sock = left.pop()
                sock.close()
                self._forget(name, f"{place} is not configured")
                found = True
        return found

    def take(self, kind: socket.SocketKind, endpoint: Endpoint) -> socket.socket | None:
        """The socket that was left on ``endpoint``, non-blocking; None: there is none. Its options are the caller's."""
        left = self._left.get(Place(kind, endpoint))
        if not left:
            return None
        name, sock = left.pop(0)
        self._held[sock] = name
        self._names.add(name)
        return sock

    def keep(self, sock: socket.socket, endpoint: Endpoint) -> None:
        """Leave a bound ``sock`` with the manager; not where ``endpoint`` has port 0, which nobody would ask for."""
        if self._tell is None or not endpoint.port or sock in self._held:
            return
        stem = f"{sock.type.name.removeprefix('SOCK_').lower()}-{endpoint.address}-{endpoint.port}".replace(":", "_")
        name = next(n for n in (f"{stem}-{i}" for i in range(len(self._names) + 1)) if n not in self._names)
        self._held[sock] = name
        self._names.add(name)
        # no polling: a socket with a pending error is as good as ever
        self._tell(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", (sock.fileno(),))

    def holds(self, sock: socket.socket) -> bool:
        """True when ``sock`` goes on after our end: nothing may be done to it that would outlive us."""
        return sock in self._held

    def widen(self, sock: socket.socket, octets: int) -> None:
        """Room in ``sock`` for ``octets`` that come while nobody reads; as much as there may be."""
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
        except OSError:
            # without CAP_NET_ADMIN: who has it, or as much as net.core.rmem_max lets us have
            if self._widen is None or not self._widen(sock, octets):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)

    def listen(self, endpoint: Endpoint, backlog: int) -> socket.socket:
        """A listening TCP socket, non-blocking: the one that was left on ``endpoint``, or a new one. OSError."""
        sock = self.take(socket.SOCK_STREAM, endpoint)
        if sock is None:
            sock = self._bound(endpoint)
        try:
            sock.listen(backlog)
        except OSError:
            sock.close()
            raise
        self.keep(sock, endpoint)
        return sock

    def bind(self, sock: socket.socket, endpoint: Endpoint) -> None:
        """Bind a new ``sock``, also to an address that may be away and is. OSError when it cannot be had."""
        if endpoint.address in self._away:
            free(sock)
        sock.bind((str(endpoint.address), endpoint.port))

    def _bound(self, endpoint: Endpoint) -> socket.socket:
        family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.bind(sock, endpoint)
        except OSError:
            sock.close()
            raise
        return sock

    def _forget(self, name: str, reason: str) -> None:
        log.info("socket-not-taken", reason=reason)
        if self._tell is not None and name:
            self._tell(f"FDSTOREREMOVE=1\nFDNAME={name}", ())


def free(sock: socket.socket) -> None:
    """Let ``sock`` be bound to an address that no interface has now (ip(7), IP_FREEBIND)."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def _identified(fd: int, seen: set[int]) -> tuple[Place, socket.socket]:
    """The socket behind ``fd`` and its place. _Unfit: it is closed, and why."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise _Unfit("no socket") from None
    try:
        place = _place(sock)
        _note(os.fstat(fd).st_ino, seen)
        sock.settimeout(0)
    except (_Unfit, OSError, ValueError) as error:
        sock.close()
        raise _Unfit(str(error)) from None
    return place, sock


def _note(inode: int, seen: set[int]) -> None:
    if inode in seen:
        raise _Unfit("it came twice")
    seen.add(inode)


def _place(sock: socket.socket) -> Place:
    """Where ``sock`` listens; _Unfit, OSError or ValueError where it is not what edged would have made itself."""
    kind = socket.SocketKind(sock.type)
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or sock.proto != _PROTOCOLS.get(kind):
        raise _Unfit("neither TCP nor UDP")
    address, port = sock.getsockname()[:2]
    place = Place(kind, Endpoint(parse_address(address), port))
    if not port:
        raise _Unfit(f"{place} is not bound")
    if kind is socket.SOCK_STREAM and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise _Unfit(f"{place} does not listen")
    if kind is socket.SOCK_DGRAM and _is_connected(sock):
        raise _Unfit(f"{place} is connected")
    if sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        raise _Unfit(f"{place} takes IPv4 as well")
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _DEVICE_OCTETS).strip(b"\0"):
        raise _Unfit(f"{place} is tied to an interface")
    return place


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError as error:
        return error.errno != errno.ENOTCONN
    return True
