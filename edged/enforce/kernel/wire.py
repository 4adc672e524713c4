# SPDX-License-Identifier: Apache-2.0
"""``Request`` and ``Answer`` to octets and back, between the daemon and the process with CAP_NET_ADMIN. Pure.

The reader is the check: octets become values of our own table, its sets and its rules, or ``Unfit``. No text of the
other side's reaches nft: it is made from these values. Integers are in network order.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from edged.enforce.edits import KEY_OCTETS, TCP, Edit, Statement, Timed, Verb
from edged.enforce.kernel.requests import Answer, Forget, Holds, Request, Script, Simple, Transact, Widen
from edged.enforce.nft_elements import FEW
from edged.enforce.rules import Portal, Rules
from edged.enforce.sets import ALIVE_SET, SETS, Element, Kind, SetName
from edged.values import BITS, INTERFACE, MacAddress, Prefix

MOST_OCTETS = 1 << 24
"""Of one request: ten times a hundred thousand IPv6 prefixes are not so many."""
MOST_EDITS = 256
"""Every set twice, emptied and filled, with room to spare."""
MOST_WIDE = 1 << 22
"""Octets of a receive buffer."""
COMPLAINT = 4096
"""Octets of nft's words that are passed on."""

_TRANSACT, _SCRIPT, _HOLDS, _FORGET, _WIDEN = 16, 17, 18, 19, 20
_NAMES = tuple(SetName)
_TIMED = tuple(KEY_OCTETS)
_LIVES = 3
"""The verb of ``Timed``; 1 and 2 are added to it where they are to be replaced, and where they are over."""
_FORWARD: tuple[Literal["reject", "drop"], ...] = ("reject", "drop")
_ANSWER = struct.Struct(">iI")
_LISTED = {4: struct.Struct(">IB"), 6: struct.Struct(">QQB")}
"""One prefix in a list: its network and its length."""
_HOST_BITS = {version: [(1 << bits - length) - 1 for length in range(bits + 1)] for version, bits in BITS.items()}
"""By the length: what must be zero in a network."""


class Unfit(ValueError):  # noqa: N818  # a reason to refuse
    """Octets that are no request."""


def encoded(request: Request) -> bytes:
    """The octets of ``request``."""
    match request:
        case Simple():
            return bytes([request])
        case Transact(edits):
            return bytes([_TRANSACT]) + _edits(edits)
        case Script(rules, edits, check):
            return bytes([_SCRIPT, check, rules is not None]) + (_rules(rules) if rules else b"") + _edits(edits)
        case Holds(which):
            return bytes([_HOLDS]) + _edits([which])
        case Forget(blocked, opened):
            return bytes([_FORGET]) + _prefixes(blocked) + _prefixes(opened)
        case Widen(octets):
            return bytes([_WIDEN]) + octets.to_bytes(4)


def elements_of(request: Request) -> int:
    """How many elements or lines it names."""
    match request:
        case Transact(edits) | Script(_, edits):
            return sum(map(_count, edits))
        case Forget(blocked, opened):
            return len(blocked) + len(opened)
        case _:
            return 0


def _count(edit: Edit) -> int:
    return len(edit.entries if isinstance(edit, Timed) else edit.elements)


def decoded(octets: bytes) -> Request:
    """The request that ``octets`` are. Unfit when they are none, or one that may not be."""
    if len(octets) > MOST_OCTETS:
        raise Unfit("it is too long")
    reader = _Reader(octets)
    request = _request(reader)
    reader.end()
    return request


def answer_octets(answer: Answer) -> bytes:
    """The octets of ``answer``, its own left to be sent after them."""
    complaint = answer.complaint.encode(errors="replace")[:COMPLAINT]
    return _ANSWER.pack(answer.code, len(complaint)) + complaint + answer.octets


def answer_of(octets: bytes) -> Answer:
    """The answer that ``octets`` are. Unfit when they are none."""
    if len(octets) < _ANSWER.size:
        raise Unfit("it is too short")
    code, length = _ANSWER.unpack_from(octets)
    rest = octets[_ANSWER.size :]
    return Answer(code, rest[:length].decode(errors="replace"), rest[length:])


class _Reader:
    __slots__ = ("_at", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._octets):
            raise Unfit("it ends too early")
        taken, self._at = self._octets[self._at : end], end
        return taken

    def number(self, octets: int, most: int) -> int:
        found = int.from_bytes(self.take(octets))
        if found > most:
            raise Unfit(f"{found} is above {most}")
        return found

    def flag(self) -> bool:
        return bool(self.number(1, 1))

    def end(self) -> None:
        if self._at != len(self._octets):
            raise Unfit("there is more than it says")


def _request(reader: _Reader) -> Request:
    match reader.number(1, 255):
        case kind if kind <= max(Simple):
            return Simple(kind)
        case 16:
            return Transact(_few(_read_edits(reader)))
        case 17:
            check, ruled = reader.flag(), reader.flag()
            return Script(_read_rules(reader) if ruled else None, _read_edits(reader), check)
        case 18:
            return Holds(_one(_read_edits(reader)))
        case 19:
            return Forget(_read_prefixes(reader), _read_prefixes(reader))
        case 20:
            return Widen(reader.number(4, MOST_WIDE))
        case kind:
            raise Unfit(f"there is no request {kind}")


def _few(edits: list[Edit]) -> list[Edit]:
    if sum(map(_count, edits)) > FEW:
        raise Unfit("more elements than a batch of our own holds")
    if any(edit.verb is Verb.FLUSH for edit in edits if isinstance(edit, Statement)):
        raise Unfit("a set is not emptied element by element")
    return edits


def _one(edits: list[Edit]) -> Statement:
    if len(edits) == 1 and isinstance(edit := edits[0], Statement) and len(edit.elements) == 1:
        return edit
    raise Unfit("not one element")


# --- edits ------------------------------------------------------------------------------------------


def _edits(edits: Collection[Edit]) -> bytes:
    return len(edits).to_bytes(2) + b"".join(map(_edit, edits))


def _edit(edit: Edit) -> bytes:
    if isinstance(edit, Timed):
        head = bytes([_LIVES + edit.replace + 2 * edit.over, _TIMED.index(edit.name)])
        entries = b"".join(key + life.to_bytes(8) for key, life in edit.entries)
        return head + len(edit.entries).to_bytes(4) + entries
    head = bytes([edit.verb, _NAMES.index(edit.name)])
    return head + len(edit.elements).to_bytes(4) + _packed(edit.name, edit.elements)


def _packed(name: SetName, elements: Iterable[Element]) -> bytes:
    spec = SETS[name]
    if spec.kind is Kind.MAC:
        return bytes.fromhex("".join(str(mac) for mac in elements).replace(":", ""))
    octets = BITS[spec.version] // 8
    return b"".join(
        element.to_bytes(octets) if isinstance(element, int) else _prefix(element)  # type: ignore[arg-type]
        for element in elements
    )


def _read_edits(reader: _Reader) -> list[Edit]:
    return [_read_edit(reader) for _ in range(reader.number(2, MOST_EDITS))]


def _read_edit(reader: _Reader) -> Edit:
    verb = reader.number(1, _LIVES + 3)
    if verb >= _LIVES:
        name = _TIMED[reader.number(1, len(_TIMED) - 1)]
        return _read_timed(reader, name, verb - _LIVES)
    name = _NAMES[reader.number(1, len(_NAMES) - 1)]
    count = reader.number(4, MOST_OCTETS)
    if verb == Verb.FLUSH and count:
        raise Unfit("a set is emptied of all that it holds")
    return Statement(Verb(verb), name, _unpacked(reader, name, count))


def _read_timed(reader: _Reader, name: str, flags: int) -> Timed:
    octets, count = KEY_OCTETS[name], reader.number(4, MOST_OCTETS)
    if not count:
        raise Unfit("nothing is given a life")
    each = octets + 8
    listed = reader.take(each * count)
    entries = tuple(
        (listed[at : at + octets], int.from_bytes(listed[at + octets : at + each]))
        for at in range(0, len(listed), each)
    )
    if name == ALIVE_SET and any(key != TCP for key, _ in entries):
        raise Unfit("what lives is TCP")
    return Timed(name, entries, bool(flags & 1), bool(flags & 2))


def _unpacked(reader: _Reader, name: SetName, count: int) -> frozenset[Element]:
    spec = SETS[name]
    if spec.kind is Kind.PREFIX:
        return frozenset(_read_listed(reader, spec.version, count, shortest=0))
    octets = BITS[spec.version] // 8 if spec.kind is Kind.HOST else 6
    listed = reader.take(octets * count)
    each = (listed[at : at + octets] for at in range(0, len(listed), octets))
    if spec.kind is Kind.MAC:
        return frozenset(MacAddress(mac.hex(":")) for mac in each)
    return frozenset(map(int.from_bytes, each))


# --- prefixes ---------------------------------------------------------------------------------------


def _prefix(prefix: Prefix) -> bytes:
    # the whole as one number: ten millions of octets are soon made
    return (prefix.network << 8 | prefix.length).to_bytes(BITS[prefix.version] // 8 + 1)


def _prefixes(prefixes: Collection[Prefix]) -> bytes:
    by_version = [[p for p in prefixes if p.version == version] for version in BITS]
    return b"".join(len(group).to_bytes(4) + b"".join(map(_prefix, group)) for group in by_version)


def _read_prefixes(reader: _Reader) -> list[Prefix]:
    """Lines; none is everybody."""
    return [
        prefix
        for version in BITS
        for prefix in _read_listed(reader, version, reader.number(4, MOST_OCTETS), shortest=1)
    ]


def _read_listed(reader: _Reader, version: int, count: int, *, shortest: int) -> list[Prefix]:
    layout, bits, host_bits = _LISTED[version], BITS[version], _HOST_BITS[version]
    found = []
    for *parts, length in layout.iter_unpack(reader.take(layout.size * count)):
        network = parts[0] if version == 4 else parts[0] << 64 | parts[1]
        if not shortest <= length <= bits or network & host_bits[length]:
            raise Unfit("not a prefix")
        found.append(Prefix(version, network, length))
    return found


# --- rules ------------------------------------------------------------------------------------------


def _rules(rules: Rules) -> bytes:
    """As much of them as the table's text is made of."""
    return b"".join(
        (
            _portal(rules.portal4),
            _portal(rules.portal6),
            len(rules.garden_ports).to_bytes(2) + b"".join(port.to_bytes(2) for port in rules.garden_ports),
            _interfaces(rules.interfaces),
            bytes([_FORWARD.index(rules.forward), rules.reminds]),
            _interfaces(rules.blocked_vlans),
        )
    )


def _portal(portal: Portal | None) -> bytes:
    if portal is None:
        return b"\0"
    return b"\1" + portal.address.packed + struct.pack(">HHH", portal.dns, portal.http, portal.https)


def _interfaces(names: tuple[str, ...]) -> bytes:
    return len(names).to_bytes(2) + b"".join(bytes([len(name)]) + name.encode() for name in names)


def _read_rules(reader: _Reader) -> Rules:
    return Rules(
        portal4=_read_portal(reader, 4),
        portal6=_read_portal(reader, 6),
        garden_ports=tuple(reader.number(2, 0xFFFF) for _ in range(reader.number(2, 0xFFFF))),
        interfaces=_read_interfaces(reader),
        forward=_FORWARD[reader.number(1, 1)],
        reminds=reader.flag(),
        blocked_vlans=_read_interfaces(reader),
    )


def _read_portal(reader: _Reader, version: int) -> Portal | None:
    if not reader.flag():
        return None
    address = reader.take(BITS[version] // 8)
    ports = (reader.number(2, 0xFFFF) for _ in range(3))
    return Portal(IPv4Address(address) if version == 4 else IPv6Address(address), *ports)


def _read_interfaces(reader: _Reader) -> tuple[str, ...]:
    names = tuple(reader.take(reader.number(1, 15)).decode("latin-1") for _ in range(reader.number(2, 4096)))
    if not all(map(INTERFACE.fullmatch, names)):
        raise Unfit("not an interface name")
    return names
