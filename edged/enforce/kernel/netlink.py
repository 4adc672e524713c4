# SPDX-License-Identifier: Apache-2.0
"""A NETLINK_NETFILTER socket: forget connections, change set elements, read the generation. I/O, blocking."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterator, Sequence
from typing import Self

from edged.enforce import conntrack
from edged.enforce.nft_elements import Change, batch
from edged.policy.prefixes import PrefixMap
from edged.values import Prefix

_NETLINK_NETFILTER = 12
_TIMEOUT = 5.0
"""Seconds for one reply: the kernel answers within milliseconds or has lost the question."""
_BUFFER = 1 << 18
_RECEIVE_QUEUE = 1 << 22
"""A dump of a hundred thousand connections arrives faster than Python reads it."""
FEW = 16
"""Up to so many lines are looked for one by one; above it, reading all connections once is cheaper."""

_OLD_KERNEL = {errno.EINVAL, errno.EOPNOTSUPP, errno.EAFNOSUPPORT}


class Netlink:
    """One socket: ``with`` it, or ``close`` it, for questions one at a time. OSError when the kernel refuses."""

    __slots__ = ("_seq", "_socket")

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.settimeout(_TIMEOUT)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_QUEUE)
        self._socket.bind((0, 0))
        self._seq = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go; the kernel waits for its readers, some fifteen milliseconds."""
        self._socket.close()

    @property
    def is_spent(self) -> bool:
        """True when its numbers, of 32 bits, come to an end."""
        return self._seq >= 1 << 31

    def generation(self) -> int:
        """The number of the ruleset's generation in this network namespace."""
        self._seq += 1
        for kind, payload in self._replies(conntrack.get_generation(self._seq)):
            if kind == conntrack.NFT_NEWGEN:
                return conntrack.generation(payload)
        return 0

    def transact(self, changes: Sequence[Change]) -> None:
        """Make ``changes`` to sets, all of them or none. OSError when the kernel refuses."""
        first, last = self._seq + 1, self._seq + len(changes) + 2
        self._seq = last
        self._socket.send(batch(changes, first))
        unanswered = set(range(first + 1, last))
        while unanswered:
            for kind, seq, payload in conntrack.messages(self._socket.recv(_BUFFER)):
                if kind == conntrack.NLMSG_ERROR and first <= seq <= last:
                    _raise_for(payload)
                    unanswered.discard(seq)

    def forget(self, prefixes: Collection[Prefix], protocol: int | None = None) -> None:
        """Delete the tracked connections (of ``protocol``) from and to ``prefixes``."""
        listed = set(prefixes)
        hosts = {p for p in listed if p.version == 4 and p.is_host}
        if len(hosts) <= FEW and self._forget_hosts(hosts, protocol):
            listed -= hosts
        whose = PrefixMap((p, True) for p in listed)
        for version in {p.version for p in listed}:
            self._forget_listed(whose, version, protocol)

    def _forget_hosts(self, hosts: Collection[Prefix], protocol: int | None) -> bool:
        """True when the kernel chose and deleted by itself; False when this kernel cannot."""
        try:
            for host in hosts:
                self._delete(conntrack.delete_from(self._next(), host, "original", protocol))
                self._delete(conntrack.delete_from(self._next(), host, "reply", protocol))
        except OSError as error:
            if error.errno not in _OLD_KERNEL:
                raise
            return False
        return True

    def _forget_listed(self, whose: PrefixMap[bool], version: int, protocol: int | None) -> None:
        find = whose.find_integer
        needles = conntrack.needles(p for p, _ in whose.items() if p.version == version)
        few = needles if len(needles) <= FEW else ()
        chosen = [
            connection
            for connection in self._connections(version, few)
            if protocol in {None, connection.protocol}
            and (find(version, connection.source) or find(version, connection.answerer))
        ]
        for connection in chosen:
            self._delete(conntrack.delete_connection(self._next(), connection))

    def _connections(self, version: int, needles: Collection[bytes]) -> Iterator[conntrack.Connection]:
        """Every connection of one family; given needles, only those that hold one: reading all is slow."""
        for kind, payload in self._replies(conntrack.dump(self._next(), version)):
            if needles and not any(needle in payload for needle in needles):
                continue
            if kind == conntrack.CT_NEW and (connection := conntrack.connection(payload)):
                yield connection

    def _delete(self, message: bytes) -> None:
        try:
            for _ in self._replies(message):
                pass
        except FileNotFoundError:
            pass  # it has ended by itself, or there was none

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _replies(self, message: bytes) -> Iterator[tuple[int, bytes]]:
        """The replies to one message, up to its acknowledgement or its end."""
        self._socket.send(message)
        while True:
            for kind, seq, payload in conntrack.messages(self._socket.recv(_BUFFER)):
                if seq != self._seq:
                    continue
                if kind == conntrack.NLMSG_DONE:
                    return
                if kind == conntrack.NLMSG_ERROR:
                    _raise_for(payload)
                    return
                yield kind, payload


class KeptNetlink:
    """One socket for many questions, since closing one waits for the kernel's readers; after a fault a new one."""

    def __init__(self) -> None:
        self._netlink: Netlink | None = None

    def __enter__(self) -> Netlink:
        if self._netlink is None or self._netlink.is_spent:
            self.close()
            self._netlink = Netlink()
        return self._netlink

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.close()

    def close(self) -> None:
        """Let the socket go."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None


def _raise_for(payload: bytes) -> None:
    """OSError for an NLMSG_ERROR that is no acknowledgement."""
    if number := conntrack.error_number(payload):
        raise OSError(number, errno.errorcode.get(number, "netlink"))
