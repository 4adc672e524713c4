# SPDX-License-Identifier: Apache-2.0
"""A small ``Plan``, or garden addresses, in; the netlink batch that changes just these elements out. Pure.

linux/netfilter/nf_tables.h, nfnetlink.h. The nft program reads a whole interval set before it changes one element of
it: over a second at a hundred thousand prefixes, where these messages take a millisecond. A batch is one transaction:
an element that is not there to be removed, or an interval in the way of another, undoes all of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edged.enforce.conntrack import attribute, nested
from edged.enforce.diff import Plan
from edged.enforce.sets import ALIVE_SET, ASIDE_SET, GARDEN_SET, SETS, Element, Kind, SetName
from edged.values import BITS, IpAddress, Prefix

_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_ELEMENT, _DELETE_ELEMENT = 0x0A0C, 0x0A0E
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_INET = 1
_EDGE = struct.pack(">BBH", 0, 0, 10)
"""nfgenmsg of a batch's first and last message: it is for nftables."""
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_LIST_ELEMENT = 1
_KEY, _FLAGS, _TIMEOUT = 1, 3, 4
_VALUE = 1
_INTERVAL_END = 1

_TCP = bytes([6])
"""The one element of the set of who is alive, as IP numbers it."""
FEW = 256
"""Elements that one batch may hold: more are nft's, which sends as much as the socket takes."""


def is_small(plan: Plan) -> bool:
    """True when ``plan`` changes elements alone, and few."""
    return not plan.base and 0 < plan.added + plan.removed <= FEW


@dataclass(frozen=True, slots=True)
class Change:
    """One message of a batch: elements of one set that come or go."""

    kind: int
    flags: int
    body: bytes


def changes(plan: Plan, table: str) -> list[Change]:
    """What carries ``plan`` out, a set and direction each. Removals come first."""
    return [
        *(_delete(table, name, _listed(_keys(name, elements))) for name, elements in plan.remove.items()),
        *(_add(table, name, _listed(_keys(name, elements))) for name, elements in plan.add.items()),
    ]


def admissions(entries: Iterable[tuple[IpAddress, int]], table: str, *, replace: bool) -> list[Change]:
    """What puts addresses, each with its milliseconds to live, into the learned garden; as ``admit_text`` does."""
    by_version: dict[int, list[tuple[bytes, int]]] = {4: [], 6: []}
    for address, life in entries:
        by_version[address.version].append((address.packed, life))
    result: list[Change] = []
    for version, group in by_version.items():
        if group:
            result += _timed(table, GARDEN_SET[version], group, replace=replace)
    return result


def aside(source: IpAddress, destination: IpAddress, life: int, table: str, *, replace: bool) -> list[Change]:
    """What leaves the way from ``source`` to ``destination`` alone for ``life`` milliseconds; see ``aside_text``."""
    return _timed(table, ASIDE_SET[source.version], [(source.packed + destination.packed, life)], replace=replace)


def alive(life: int, table: str, *, replace: bool) -> list[Change]:
    """What lets reminders lead to the page for ``life`` milliseconds more; as ``alive_text`` does."""
    changed = _timed(table, ALIVE_SET, [(_TCP, life or 1000)], replace=replace)
    return changed if life else [*changed, _delete(table, ALIVE_SET, _element(_TCP))]


def _timed(table: str, name: str, entries: Sequence[tuple[bytes, int]], *, replace: bool) -> list[Change]:
    """What gives keys of a set, each with its milliseconds to live, a new life."""
    bare = b"".join(_element(key) for key, _ in entries)
    add = _add(table, name, b"".join(_element(key, _life(life)) for key, life in entries))
    return [add, _delete(table, name, bare), add] if replace else [add]


def batch(messages: Sequence[Change], seq: int) -> bytes:
    """One transaction: begin (``seq``), ``messages``, end, numbered upwards."""
    begin, end = (Change(kind, 0, _EDGE) for kind in (_BATCH_BEGIN, _BATCH_END))
    numbered = enumerate((begin, *messages, end), seq)
    return b"".join(
        struct.pack("=IHHII", 16 + len(one.body), one.kind, _REQUEST | one.flags, number, 0) + one.body
        for number, one in numbered
    )


def _add(table: str, name: str, listed: bytes) -> Change:
    return Change(_NEW_ELEMENT, _ACK | _CREATE, _in_set(table, name, listed))


def _delete(table: str, name: str, listed: bytes) -> Change:
    return Change(_DELETE_ELEMENT, _ACK, _in_set(table, name, listed))


def _in_set(table: str, name: str, listed: bytes) -> bytes:
    place = attribute(_TABLE, table.encode() + b"\0") + attribute(_SET, name.encode() + b"\0")
    return struct.pack(">BBH", _INET, 0, 0) + place + nested(_ELEMENTS, listed)


def _element(key: bytes, more: bytes = b"") -> bytes:
    return nested(_LIST_ELEMENT, nested(_KEY, attribute(_VALUE, key)) + more)


def _life(milliseconds: int) -> bytes:
    return attribute(_TIMEOUT, struct.pack(">Q", milliseconds))


def _listed(keys: Iterable[tuple[bytes, bool]]) -> bytes:
    end = attribute(_FLAGS, struct.pack(">I", _INTERVAL_END))
    return b"".join(_element(key, end if is_end else b"") for key, is_end in keys)


def _keys(name: SetName, elements: Iterable[Element]) -> Iterator[tuple[bytes, bool]]:
    """Each element as the kernel keeps it: a key, or the first key of an interval and the first one after it."""
    spec = SETS[name]
    if spec.kind is Kind.MAC:
        yield from ((bytes.fromhex(str(mac).replace(":", "")), False) for mac in elements)
        return
    octets = BITS[spec.version] // 8
    for element in sorted(elements):
        if isinstance(element, int):
            yield element.to_bytes(octets), False
        elif isinstance(element, Prefix):
            yield element.network.to_bytes(octets), False
            if element.last + 1 < 1 << BITS[spec.version]:  # an interval up to the last address has no end
                yield (element.last + 1).to_bytes(octets), True
