# SPDX-License-Identifier: Apache-2.0
"""This host's addresses: rtnetlink messages in, addresses out. Pure. rtnetlink(7), linux/if_addr.h."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from edged.values import IpAddress

GROUPS = 0x10 | 0x100
"""RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR: the multicast groups that tell of addresses."""
_NLMSG_ERROR, _NLMSG_DONE, _NEWADDR, _DELADDR, _GETADDR = 2, 3, 20, 21, 22
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_OPTIMISTIC, _TENTATIVE = 0x04, 0x40
_OCTETS = {2: 4, 10: 16}
"""AF_INET and AF_INET6 as Linux numbers them."""

LIST = _HEADER.pack(_HEADER.size + _IFADDRMSG.size, _GETADDR, _REQUEST | _DUMP, 1, 0) + bytes(_IFADDRMSG.size)
"""The request for every address of both families."""

_HERE = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class LocalAddresses:
    """What the messages so far say; an address may be on thousands of interfaces, one for each session."""

    def __init__(self) -> None:
        self._held: set[tuple[int, IpAddress]] = set()
        self._interfaces: dict[IpAddress, int] = {}
        """How many have an address that deserves a socket, in the kernel's order."""

    def apply(self, datagram: bytes) -> bool:
        """Take in what ``datagram`` says; True at the end of a list."""
        for kind, payload in _messages(datagram):
            if kind in {_NLMSG_DONE, _NLMSG_ERROR}:
                return True
            if kind not in {_NEWADDR, _DELADDR}:
                continue
            interface, address, usable = _address(payload)
            if address is not None and _deserves(address):
                # tentative (RFC 4862, section 5.4): told again when it may be used
                self._note(interface, address, held=kind == _NEWADDR and usable)
        return False

    def of(self, version: int) -> list[IpAddress]:
        """The addresses of one family that deserve a socket."""
        return [address for address in self._interfaces if address.version == version]

    def _note(self, interface: int, address: IpAddress, *, held: bool) -> None:
        if held == ((interface, address) in self._held):
            return
        count = self._interfaces.get(address, 0)
        if held:
            self._held.add((interface, address))
            self._interfaces[address] = count + 1
        else:
            self._held.remove((interface, address))
            self._interfaces[address] = count - 1
            if count == 1:
                del self._interfaces[address]


def _deserves(address: IpAddress) -> bool:
    """False for what the wildcard serves: link-local needs a zone, and all of 127/8 is local."""
    return address in _HERE or not (address.is_loopback or address.is_link_local)


def _address(payload: bytes) -> tuple[int, IpAddress | None, bool]:
    """Interface, local address and whether it may be used; None for what is not IPv4 or IPv6."""
    if len(payload) < _IFADDRMSG.size:
        return 0, None, False
    family, _, flags, _, interface = _IFADDRMSG.unpack_from(payload)
    octets = _OCTETS.get(family, 0)
    found: dict[int, bytes] = dict(_attributes(payload[_IFADDRMSG.size :]))
    # on a point-to-point link IFA_ADDRESS is the other end
    local = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS) or b""
    if not octets or len(local) != octets:
        return interface, None, False
    address = IPv4Address(local) if octets == 4 else IPv6Address(local)
    return interface, address, not flags & _TENTATIVE or bool(flags & _OPTIMISTIC)


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each message, torn ones left out."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size or at + length > len(datagram):
            return
        yield kind, datagram[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(octets):
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        if length < _ATTRIBUTE.size or at + length > len(octets):
            return
        yield kind, octets[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
