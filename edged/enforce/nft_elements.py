# SPDX-License-Identifier: Apache-2.0
"""A few edits in; the netlink batch that changes just these elements out. Pure.

linux/netfilter/nf_tables.h, nfnetlink.h. The nft program reads a whole interval set before it changes one element of
it: over a second at a hundred thousand prefixes, where these messages take a millisecond. A batch is one transaction:
an element that is not there to be removed, or an interval in the way of another, undoes all of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.enforce.conntrack import attribute, nested
from edged.enforce.edits import Edit, Timed, Verb
from edged.enforce.sets import SETS, Element, Kind, SetName
from edged.values import BITS, Prefix

if TYPE_CHECKING:  # as in edits
    from edged.enforce.diff import Plan

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


def changes(edits: Iterable[Edit], table: str) -> list[Change]:
    """What makes ``edits``, one by one. ValueError for a flush: nft empties and fills."""
    return [change for edit in edits for change in _of(edit, table)]


def _of(edit: Edit, table: str) -> list[Change]:
    if isinstance(edit, Timed):
        add = _add(table, edit.name, b"".join(_element(key, _life(life)) for key, life in edit.entries))
        delete = _delete(table, edit.name, b"".join(_element(key) for key, _ in edit.entries))
        return [add] + [delete, add] * edit.replace + [delete] * edit.over
    listed = _listed(_keys(edit.name, edit.elements))
    match edit.verb:
        case Verb.ADD:
            return [_add(table, edit.name, listed)]
        case Verb.DELETE:
            return [_delete(table, edit.name, listed)]
        case Verb.FLUSH:
            raise ValueError("a set is not emptied element by element")


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
