# SPDX-License-Identifier: Apache-2.0
"""Attributes found by name, and built from values. Octets in, values out, and back. Pure.

RFC 2865 section 5 (vendors), RFC 2868 (tags), RFC 3162, RFC 6929 section 2.2 (long-extended), RFC 8044.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from edged.radius.dictionary import BY_NAME, LONG_EXTENDED, VENDOR_SPECIFIC, Data, Definition, Hiding
from edged.values import IpAddress, Prefix

MAX_VALUE = 253
"""Octets of value in one attribute: its length octet counts the two of the header too."""
_MORE = 0x80
_FIRST_FRAGMENT = 246
_NEXT_FRAGMENT = 251

Value = bytes | str | int | IpAddress | Prefix


class Attribute(NamedTuple):
    """One attribute as it stands on the wire."""

    type: int
    """1 to 255."""
    value: bytes
    """0 to 253 octets."""

    def __repr__(self) -> str:  # a value may be a key or a password
        return f"Attribute({self.type}, {len(self.value)} octets)"


Attributes = tuple[Attribute, ...]


# ------------------------------------------------------------------------------------------------- reading


def values(attributes: Attributes, name: str) -> tuple[bytes, ...]:
    """The octets of every attribute called ``name``, in order, with tag and hiding as they came.

    A malformed vendor block, or a fragment without its continuation, is no attribute at all (RFC 6929).
    """
    row = BY_NAME[name]
    if row.extended:
        vendor = row.vendor.to_bytes(4, "big") + bytes((row.number,))
        return tuple(
            joined[5:]
            for inner, joined in _joined(attributes, row.extended)
            if inner == VENDOR_SPECIFIC and len(joined) >= 5 and joined[:5] == vendor
        )
    if row.vendor:
        header = row.vendor.to_bytes(4, "big")
        return tuple(
            data
            for attribute in attributes
            if attribute.type == VENDOR_SPECIFIC and attribute.value[:4] == header
            for number, data in tlvs(attribute.value[4:])
            if number == row.number
        )
    return tuple(value for number, value in attributes if number == row.number)


def first(attributes: Attributes, name: str) -> bytes | None:
    """The octets of the first attribute called ``name``; None when there is none."""
    row = BY_NAME[name]
    if row.vendor:
        found = values(attributes, name)
        return found[0] if found else None
    wanted = row.number
    for number, value in attributes:
        if number == wanted:
            return value
    return None


def text(attributes: Attributes, name: str) -> str:
    """The first ``name`` as text, octets that are not UTF-8 as U+FFFD; empty when there is none."""
    return (first(attributes, name) or b"").decode("utf-8", "replace")


def integer(attributes: Attributes, name: str) -> int | None:
    """The first ``name`` as an unsigned integer without its tag; None when there is none of that size."""
    found = first(attributes, name)
    if found is None or len(found) != 4:
        return None
    return int.from_bytes(found[1:] if BY_NAME[name].tagged else found, "big")


def address(attributes: Attributes, name: str) -> IpAddress | None:
    """The first ``name`` as an address of its family; None when there is none of the right size."""
    found = first(attributes, name)
    match BY_NAME[name].data:
        case Data.IPV4 if found is not None and len(found) == 4:
            return IPv4Address(found)
        case Data.IPV6 if found is not None and len(found) == 16:
            return IPv6Address(found)
        case _:
            return None


def prefixes(attributes: Attributes, name: str) -> tuple[Prefix, ...]:
    """Every well-formed IPv6 prefix called ``name`` (RFC 3162 section 2.3), bits after its length cleared."""
    return tuple(
        Prefix(6, network >> (128 - value[1]) << (128 - value[1]), value[1])
        for value in values(attributes, name)
        if 2 <= len(value) <= 18 and value[1] <= 128 and len(value) - 2 >= (value[1] + 7) // 8
        for network in (int.from_bytes(value[2:].ljust(16, b"\0"), "big"),)
    )


def tagged(attributes: Attributes, name: str) -> tuple[tuple[int, bytes], ...]:
    """Tag and octets of every attribute called ``name``; an absent tag is 0 (RFC 2868 section 3)."""
    row = BY_NAME[name]
    return tuple(_split_tag(row, value) for value in values(attributes, name))


def _split_tag(row: Definition, value: bytes) -> tuple[int, bytes]:
    """In text a first octet above 0x1F is data; integers and hidden values always have a tag octet."""
    if not row.tagged or not value:
        return 0, value
    if value[0] > 0x1F:
        return (0, value) if row.data is Data.TEXT else (0, value[1:])
    return value[0], value[1:]


def tlvs(octets: bytes) -> tuple[tuple[int, bytes], ...]:
    """Type and value of each ``type, length, value`` in ``octets``, the length counting its header.

    Empty when one does not fit: a vendor's block is well-formed as a whole or not at all.
    """
    found = []
    position, end = 0, len(octets)
    while position < end:
        length = octets[position + 1] if position + 1 < end else 0
        if length < 2 or position + length > end:
            return ()
        found.append((octets[position], octets[position + 2 : position + length]))
        position += length
    return tuple(found)


def _joined(attributes: Attributes, number: int) -> Iterator[tuple[int, bytes]]:
    """Extended type and joined value of each complete attribute; its fragments need not be adjacent."""
    open_: dict[int, bytes] = {}
    for attribute in attributes:
        if attribute.type != number or len(attribute.value) < 3:
            continue
        inner, flags = attribute.value[0], attribute.value[1]
        data = open_.pop(inner, b"") + attribute.value[2:]
        if flags & _MORE:
            open_[inner] = data
        else:
            yield inner, data


# ------------------------------------------------------------------------------------------------ building


def attribute(name: str, value: Value, tag: int = 0) -> Attribute:
    """The one attribute ``name`` with ``value``. ValueError when it does not fit or must be ``Hidden``."""
    row = BY_NAME[name]
    if row.hiding is not Hiding.NONE:
        raise ValueError(f"{name} is hidden; put a Hidden into the answer")
    if row.extended:
        raise ValueError(f"{name} may need several attributes; use long_extended")
    return wrapped(row, _with_tag(row, octets_of(row, value), tag))


def long_extended(name: str, value: bytes) -> Attributes:
    """The fragments that carry ``name`` (RFC 6929 section 2.2): the vendor stands in the first alone."""
    row = BY_NAME[name]
    if row.extended not in LONG_EXTENDED:
        raise ValueError(f"{name} is not a long-extended attribute")
    header = row.vendor.to_bytes(4, "big") + bytes((row.number,))
    starts = range(_FIRST_FRAGMENT, len(value), _NEXT_FRAGMENT)
    pieces = [header + value[:_FIRST_FRAGMENT], *(value[start : start + _NEXT_FRAGMENT] for start in starts)]
    return tuple(
        Attribute(row.extended, bytes((VENDOR_SPECIFIC, _MORE if index + 1 < len(pieces) else 0)) + piece)
        for index, piece in enumerate(pieces)
    )


def wrapped(row: Definition, octets: bytes) -> Attribute:
    """``octets`` as the value of ``row``, inside Vendor-Specific where the row has a vendor."""
    if row.vendor:
        octets = row.vendor.to_bytes(4, "big") + bytes((row.number, min(len(octets) + 2, 255))) + octets
    if len(octets) > MAX_VALUE:
        raise ValueError(f"{row.name} does not fit into one attribute")
    return Attribute(VENDOR_SPECIFIC if row.vendor else row.number, octets)


def octets_of(row: Definition, value: Value) -> bytes:
    """The octets that spell ``value`` in the row's data type."""
    match row.data, value:
        case ((Data.TEXT | Data.OCTETS), str(characters)):
            return characters.encode()
        case ((Data.TEXT | Data.OCTETS), bytes(octets)):
            return octets
        case Data.IPV6_PREFIX, Prefix(version=6, network=network, length=length):
            return bytes((0, length)) + network.to_bytes(16, "big")[: (length + 7) // 8]
        case (Data.IPV4, IPv4Address() as host) | (Data.IPV6, IPv6Address() as host):
            return host.packed
        case Data.INTEGER, int(number) if 0 <= number < 1 << (24 if row.tagged else 32):
            return number.to_bytes(3 if row.tagged else 4, "big")
        case _:
            raise ValueError(f"{row.name} takes no {type(value).__name__} of this size")


def _with_tag(row: Definition, octets: bytes, tag: int) -> bytes:
    if not 0 <= tag <= 0x1F:
        raise ValueError(f"a tag is 0 to 31, not {tag}")
    if not row.tagged:
        return octets
    # text without a tag leaves the octet out, unless its own first octet would be read as one
    bare = row.data is Data.TEXT and tag == 0 and octets[:1] > b"\x1f"
    return octets if bare else bytes((tag,)) + octets
