# SPDX-License-Identifier: Apache-2.0
"""Who turns up on the router's links, told by the kernel as it happens: RTM_NEWNEIGH (rtnetlink(7)). I/O.

To look at the whole table every few milliseconds would be the other way to know a device before its first question.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

from edged.values import IpAddress, MacAddress, parse_mac

_NETLINK_ROUTE, _GROUP_NEIGH = 0, 4
_NEW_NEIGHBOUR = 28
_HEADER, _NEIGHBOUR = struct.Struct("=IHHII"), struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_DESTINATION, _LINK_ADDRESS = 1, 2
_OCTETS = 1 << 16
_AT_ONCE = 64
"""Datagrams read at a wake-up: others have work too."""
_ETHERNET = 6


class NewNeighbour(NamedTuple):
    """One neighbour, as the kernel has met it or thinks of it anew."""

    address: IpAddress
    mac: MacAddress
    interface: int
    """Its index."""


class Nearby:
    """A socket that hears of them. OSError where the kernel has none."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_ROUTE)
        self._socket.bind((0, _GROUP_NEIGH))

    def fileno(self) -> int:
        """To wait for."""
        return self._socket.fileno()

    def heard(self) -> list[NewNeighbour] | None:
        """Some of what has come; None: some of it was lost."""
        found: list[NewNeighbour] = []
        for _ in range(_AT_ONCE):
            try:
                octets = self._socket.recv(_OCTETS)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return None
                raise
            found += new_neighbours(octets)
        return found

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


def new_neighbours(octets: bytes) -> Iterator[NewNeighbour]:
    """The neighbours of one datagram who have an Ethernet address; what is cut short is left out."""
    for kind, body in _records(octets, _HEADER):
        if kind != _NEW_NEIGHBOUR or len(body) < _NEIGHBOUR.size:
            continue
        attributes = dict(_records(body[_NEIGHBOUR.size :], _ATTRIBUTE))
        destination, mac = attributes.get(_DESTINATION, b""), attributes.get(_LINK_ADDRESS, b"")
        if len(mac) == _ETHERNET:
            with suppress(ValueError):
                yield NewNeighbour(ip_address(destination), parse_mac(mac.hex()), _NEIGHBOUR.unpack_from(body)[1])


def _records(octets: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Netlink's messages, or its attributes: both begin with a length, header included, and a kind."""
    at = 0
    while at + header.size <= len(octets):
        length, kind = header.unpack_from(octets, at)[:2]
        if length < header.size or at + length > len(octets):
            return
        yield kind, octets[at + header.size : at + length]
        at += (length + 3) & ~3
