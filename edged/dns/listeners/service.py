# SPDX-License-Identifier: Apache-2.0
"""The sockets of ``dns.listen``, and beside a wildcard one for every address of this host. I/O. RFC 2181 4, udp(7).

A socket on one address answers from it by itself, cheaper than a wildcard that must be told. The kernel gives a
datagram to the socket of its address where there is one; the wildcard takes what is left, so a new address is
served before we have heard of it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from edged.dns.listeners.addresses import GROUPS, LIST, LocalAddresses
from edged.dns.tcp import service as tcp
from edged.dns.udp import service as udp
from edged.errors import ConfigError
from edged.fdstore import FdStore
from edged.values import Endpoint, IpAddress, parse_address

log = structlog.get_logger(__name__)

Told = Callable[[socket.socket], None]
"""Takes a bound UDP socket that has come, or one that goes: still open, for what lies in its queue."""

_PORT_TRIES = 16
_MOST = 256
"""Addresses with a socket of their own, for one wildcard; the others stay with it."""
_SETTLE = 0.1
"""Seconds from the first news to the change: an interface that comes or goes tells of all its addresses."""
_LIST_SECONDS = 1.0
_MESSAGES = 1 << 16
_NEWS = 1 << 20
"""Octets of news that may wait: some ten thousand addresses."""


@dataclass(slots=True)
class _Listener:
    """One entry of ``dns.listen``."""

    endpoint: Endpoint
    datagrams: socket.socket
    streams: socket.socket
    beside: dict[IpAddress, socket.socket] = field(default_factory=dict)
    """By address; empty unless the entry is a wildcard."""
    refused: set[IpAddress] = field(default_factory=set)
    """Addresses that could not be had, so that each is logged once."""


class Listeners:
    """Owns every listening socket of the room: ``bind``, then ``run``, then ``close``."""

    def __init__(self, listen: Sequence[Endpoint], opened: Told, closed: Told, fds: FdStore | None = None) -> None:
        self._listen, self._opened, self._closed, self._fds = listen, opened, closed, fds or FdStore()
        self._entries: list[_Listener] = []
        self._local = LocalAddresses()
        self._running = self._refrained = False

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The bound addresses, in the order of ``dns.listen``; UDP and TCP on each."""
        return tuple(entry.endpoint for entry in self._entries)

    @property
    def streams(self) -> list[socket.socket]:
        """The listening TCP sockets; what a wildcard accepts answers from the address asked by itself."""
        return [entry.streams for entry in self._entries]

    def bind(self) -> None:
        """Take every port. ConfigError when one cannot be had."""
        for index, endpoint in enumerate(self._listen):
            datagrams, streams = _bind_both(endpoint, f"dns.listen[{index}]", self._fds)
            address, port = datagrams.getsockname()[:2]
            self._entries.append(_Listener(Endpoint(parse_address(address), port), datagrams, streams))

    async def run(self) -> None:
        """Hand over every socket, then follow this host's addresses until cancelled."""
        self._running = True
        for entry in self._entries:
            self._opened(entry.datagrams)
        if any(entry.endpoint.address.is_unspecified for entry in self._entries):
            try:
                news = _subscribe()
            except OSError as error:
                log.warning("dns-addresses-unread", error=_name(error))
            else:
                with news:
                    await self._follow(news)
        await asyncio.get_running_loop().create_future()

    def refrain(self) -> None:
        """Follow no address any more: what there is stays as it is until ``close``."""
        self._refrained = True

    def close(self) -> None:
        """Close everything; once is enough."""
        for entry in self._entries:
            for sock in (*entry.beside.values(), entry.datagrams):
                self._shut(sock)
            entry.beside.clear()
            entry.streams.close()

    async def _follow(self, news: socket.socket) -> None:
        loop, lost = asyncio.get_running_loop(), True
        while True:
            if lost:
                self._list()
            self._fit()
            lost = False
            try:
                self._local.apply(await loop.sock_recv(news, _MESSAGES))
            except OSError:
                lost = True
            await asyncio.sleep(_SETTLE)
            lost |= self._read(news)

    def _read(self, news: socket.socket) -> bool:
        """Take in all that has come; True when some of it was lost."""
        lost = False
        while True:
            try:
                self._local.apply(news.recv(_MESSAGES))
            except BlockingIOError:
                return lost
            except OSError:
                # ENOBUFS: more news than room for it (netlink(7))
                lost = True

    def _list(self) -> None:
        """Ask for all addresses; what changes meanwhile is news."""
        local = LocalAddresses()
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
                sock.settimeout(_LIST_SECONDS)
                sock.bind((0, 0))
                sock.send(LIST)
                while not local.apply(sock.recv(_MESSAGES)):
                    pass
        except OSError as error:
            log.warning("dns-addresses-unread", error=_name(error))
        else:
            self._local = local

    def _fit(self) -> None:
        """Open what an address lacks, close what has none."""
        for entry in () if self._refrained else self._entries:
            if entry.endpoint.address.is_unspecified:
                local = self._local.of(entry.endpoint.address.version)
                for address in entry.beside.keys() - set(local):
                    self._shut(entry.beside.pop(address))
                for address in local:
                    if len(entry.beside) < _MOST and address not in entry.beside:
                        self._open(entry, address)

    def _open(self, entry: _Listener, address: IpAddress) -> None:
        endpoint = Endpoint(address, entry.endpoint.port)
        try:
            sock = udp.bind_beside(endpoint, self._fds)
        except OSError as error:
            if address not in entry.refused:
                entry.refused.add(address)
                log.warning("dns-address-shared", endpoint=str(endpoint), error=_name(error))
            return
        entry.beside[address] = sock
        self._opened(sock)

    def _shut(self, sock: socket.socket) -> None:
        if self._running and sock.fileno() >= 0:
            self._closed(sock)
        sock.close()


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _subscribe() -> socket.socket:
    """A netlink socket that hears of every address that comes or goes. OSError when the kernel refuses."""
    news = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    try:
        news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NEWS)
        news.bind((0, GROUPS))
    except OSError:
        news.close()
        raise
    return news


def _bind_both(endpoint: Endpoint, key: str, fds: FdStore) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on the same port; port 0: one that is free for both."""
    for attempt in range(_PORT_TRIES):
        datagrams = udp.bind(endpoint, key, fds)
        try:
            port = datagrams.getsockname()[1]
            # one of the kernel's choice is nothing to keep
            streams = tcp.bind(Endpoint(endpoint.address, port), key, fds if endpoint.port else FdStore())
        except ConfigError:
            datagrams.close()
            if endpoint.port or attempt == _PORT_TRIES - 1:
                raise
        else:
            return datagrams, streams
    raise AssertionError("the loop returns or raises")
