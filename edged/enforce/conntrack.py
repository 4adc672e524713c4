# SPDX-License-Identifier: Apache-2.0
"""Netlink messages that list and delete tracked connections and read nftables' generation. Values <-> bytes.

linux/netfilter/nfnetlink_conntrack.h, nf_tables.h. A delete without a tuple would flush all connections of
the router: no function here can make one. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from edged.values import Prefix

NLMSG_ERROR, NLMSG_DONE = 2, 3
CT_NEW, CT_GET, CT_DELETE = 0x0100, 0x0101, 0x0102
NFT_NEWGEN, NFT_GETGEN = 0x0A0F, 0x0A10

_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_NESTED = 0x8000
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SRC = {4: 1, 6: 3}
_PROTO_NUM = 1
_FILTER_FLAGS = {"original": 1, "reply": 2}
_FILTER_IP_SRC, _FILTER_PROTO_NUM = 0x1, 0x8
_AF = {4: 2, 6: 10}  # AF_INET and AF_INET6 as Linux numbers them
_OCTETS = {4: 4, 6: 16}

Side = Literal["original", "reply"]
"""Whose address counts: of who began the connection, or of who answers (also behind a port forward)."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One tracked connection: as much as it takes to choose it and to delete exactly it."""

    version: int
    source: int
    """Source of the original direction: who began it."""
    answerer: int
    """Source of the reply direction: who answers, after translation."""
    protocol: int
    """As IP numbers it: 6 is TCP, 17 is UDP."""
    name: bytes
    """The attributes that name it in a delete, octet for octet as the kernel gave them."""


def delete_from(seq: int, host: Prefix, side: Side, protocol: int | None = None) -> bytes:
    """Delete every connection (of ``protocol``) whose source on ``side`` is the IPv4 ``host``; EINVAL on old kernels.

    IPv4 alone: for IPv6 the kernel compares the wrong way round (seen on 6.18), deleting everybody else's.
    """
    if not host.is_host or host.version != 4:
        raise ValueError("the kernel filters by whole IPv4 addresses only")
    address = host.network.to_bytes(_OCTETS[host.version])
    tuple_ = nested(_TUPLE_IP, attribute(_IP_SRC[host.version], address))
    flags = _FILTER_IP_SRC
    if protocol is not None:
        tuple_ += nested(_TUPLE_PROTO, attribute(_PROTO_NUM, bytes([protocol])))
        flags |= _FILTER_PROTO_NUM
    chosen = b"".join(
        attribute(number, struct.pack("=I", flags if name == side else 0)) for name, number in _FILTER_FLAGS.items()
    )
    which = _TUPLE_ORIG if side == "original" else _TUPLE_REPLY
    body = nested(which, tuple_) + nested(_FILTER, chosen)
    return _message(CT_DELETE, _REQUEST | _ACK, seq, host.version, body)


def delete_connection(seq: int, connection: Connection) -> bytes:
    """Delete exactly ``connection``; ENOENT when it has ended meanwhile."""
    if not connection.name:
        raise ValueError("a delete without a tuple would flush every connection")
    return _message(CT_DELETE, _REQUEST | _ACK, seq, connection.version, connection.name)


def dump(seq: int, version: int) -> bytes:
    """List every connection of one family."""
    return _message(CT_GET, _REQUEST | _DUMP, seq, version, b"")


def get_generation(seq: int) -> bytes:
    """Ask for the number of the ruleset's generation: every change of anybody's table makes a new one."""
    return struct.pack("=IHHIIBBH", 20, NFT_GETGEN, _REQUEST, seq, 0, 0, 0, 0)


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The type, sequence number and payload of each netlink message in one datagram, torn ones left out."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind, _, seq, _ = struct.unpack_from("=IHHII", data, offset)
        if length < 16 or offset + length > len(data):
            return
        yield kind, seq, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def error_number(payload: bytes) -> int:
    """The errno of an NLMSG_ERROR; 0: an acknowledgement."""
    return -int(struct.unpack_from("=i", payload)[0])


def connection(payload: bytes) -> Connection | None:
    """The connection of a CT_NEW message; None for what is not IPv4 or IPv6."""
    version = {_AF[4]: 4, _AF[6]: 6}.get(payload[0])
    if version is None:
        return None
    source = answerer = protocol = None
    name = b""
    for kind, raw, value in _attributes(payload[4:]):
        if kind == _TUPLE_ORIG:
            source, protocol = _source(version, value), _protocol(value)
            name += raw
        elif kind == _TUPLE_REPLY:
            answerer = _source(version, value)
        elif kind in {_ID, _ZONE}:
            name += raw
    if source is None or answerer is None or protocol is None:
        return None
    return Connection(version, source, answerer, protocol, name)


def needles(prefixes: Iterable[Prefix]) -> set[bytes]:
    """Octets, one of which is in every message about one of ``prefixes``; none when a prefix is too wide."""
    found = {p.network.to_bytes(_OCTETS[p.version])[: p.length // 8] for p in prefixes}
    return set() if b"" in found else found


def generation(payload: bytes) -> int:
    """The number in an NFT_NEWGEN message; 0 when there is none."""
    for kind, _, value in _attributes(payload[4:]):
        if kind == 1 and len(value) == 4:
            return int.from_bytes(value)
    return 0


def _source(version: int, tuple_: bytes) -> int | None:
    address = _inner(tuple_, _TUPLE_IP, _IP_SRC[version])
    return None if address is None else int.from_bytes(address)


def _protocol(tuple_: bytes) -> int | None:
    number = _inner(tuple_, _TUPLE_PROTO, _PROTO_NUM)
    return None if number is None else int.from_bytes(number)


def _inner(data: bytes, outer: int, inner: int) -> bytes | None:
    """The value of attribute ``inner`` within attribute ``outer``."""
    for kind, _, nested in _attributes(data):
        if kind == outer:
            for inner_kind, _, value in _attributes(nested):
                if inner_kind == inner:
                    return value
    return None


def _attributes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Type without flags, the attribute as it stands (padded), and its value."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4 or offset + length > len(data):
            return
        padded = (length + 3) & ~3
        raw = data[offset : offset + length].ljust(padded, b"\0")
        yield kind & 0x3FFF, raw, data[offset + 4 : offset + length]
        offset += padded


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four octets."""
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust((4 + len(value) + 3) & ~3, b"\0")


def nested(kind: int, attributes: bytes) -> bytes:
    """One netlink attribute that holds others."""
    return attribute(kind | _NESTED, attributes)


def _message(kind: int, flags: int, seq: int, version: int, attributes: bytes) -> bytes:
    # version 1 of the header: with 0 a delete ignores the family
    body = struct.pack("=BBH", _AF[version], 1, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body
