# SPDX-License-Identifier: Apache-2.0
"""Domain names as wire octets; sets of names that match by whole labels. Text or octets in, values out. Pure.

RFC 1035 3.1 and 5.1, RFC 2181 11 (a label holds any octet), RFC 4343 (case). Compression never occurs here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

V = TypeVar("V")

ROOT = b"\x00"
NAME_OCTETS = 255
LABEL_OCTETS = 63

_PIECE = re.compile(r"\\(\d{3})|\\(\D)|(\.)|([^\\.])", re.DOTALL)
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/+:=@!")


def to_wire(text: str) -> bytes:
    r"""The wire form of ``text``, case kept; ``\.`` and ``\DDD`` are escapes. ValueError: it is no name."""
    if text in {"", "."}:
        return ROOT
    if "\\" not in text:  # nearly every name, and a garden may have a hundred thousand
        return _joined(text, text.encode().removesuffix(b".").split(b"."))
    labels: list[bytearray] = [bytearray()]
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError(f"{text!r} ends in the middle of an escape")
        at = piece.end()
        number, quoted, dot, plain = piece.groups()
        if dot:
            labels.append(bytearray())
        elif number:
            labels[-1].append(_octet(number))
        else:
            labels[-1] += (quoted or plain).encode()
    if not labels[-1]:
        labels.pop()
    return _joined(text, labels)


def _joined(text: str, labels: Sequence[bytes | bytearray]) -> bytes:
    if not all(0 < len(label) <= LABEL_OCTETS for label in labels):
        raise ValueError(f"{text!r} has a label that is empty or over {LABEL_OCTETS} octets")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + ROOT
    if len(wire) > NAME_OCTETS:
        raise ValueError(f"{text!r} is over {NAME_OCTETS} octets")
    return wire


def _octet(digits: str) -> int:
    value = int(digits)
    if value > 255:
        raise ValueError(f"\\{digits} is not an octet")
    return value


def to_text(wire: bytes) -> str:
    """``wire`` for people, without the final dot; octets that could mislead are escaped."""
    labels = [_label_text(label) for label in labels_of(wire)]
    return ".".join(labels) or "."


def _label_text(label: bytes) -> str:
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:03d}" for octet in label)


def labels_of(wire: bytes) -> Iterator[bytes]:
    """The labels of ``wire`` (well-formed), leftmost first, without the root."""
    at = 0
    while length := wire[at]:
        yield wire[at + 1 : at + 1 + length]
        at += 1 + length


def parent(wire: bytes) -> bytes:
    """``wire`` (not the root) without its first label."""
    return wire[1 + wire[0] :]


def lower(wire: bytes) -> bytes:
    """``wire`` with ASCII letters in lower case. A length octet is below 64 and so never a letter."""
    return wire.lower()


def end_of_name(octets: bytes, at: int) -> int:
    """Where the uncompressed name at ``at`` ends. ValueError: cut, over 255 octets, or another label type."""
    start = at
    try:
        while length := octets[at]:
            if length > LABEL_OCTETS:
                raise ValueError("label type")
            at += 1 + length
            if at - start >= NAME_OCTETS:
                raise ValueError("name over 255 octets")
    except IndexError:
        raise ValueError("name is cut") from None
    return at + 1


def end_of_owner(octets: bytes, at: int) -> int:
    """Where the owner name at ``at`` ends; a pointer ends it and is not followed."""
    last = at + NAME_OCTETS
    while (length := octets[at]) and length <= LABEL_OCTETS:
        at += 1 + length
        if at >= last:
            raise ValueError("name over 255 octets")
    if length == 0:
        return at + 1
    if length < 0xC0:
        raise ValueError("label type")
    return at + 2


class SuffixMap(Generic[V]):
    """Values by name: ``name`` for itself, ``*.name`` for all below at any depth, ``.name`` for both.

    A look-up is one probe of a dictionary for each label asked, whatever the number of names; the nearest
    entry wins.
    """

    __slots__ = ("_below", "_exact")

    def __init__(self, entries: Iterable[tuple[str, V]] = ()) -> None:
        self._exact: dict[bytes, V] = {}
        self._below: dict[bytes, V] = {}
        for text, value in entries:
            below = text.startswith(("*.", "."))
            wire = lower(to_wire(text.removeprefix("*").removeprefix(".") if below else text))
            if below:
                self._below.setdefault(wire, value)
            if not text.startswith("*."):
                self._exact.setdefault(wire, value)

    def find(self, name: bytes) -> V | None:
        """The value for ``name`` (lower-case wire octets); None when no entry covers it."""
        value = self._exact.get(name)
        if value is not None or not self._below:
            return value
        below = self._below
        at = 0
        while length := name[at]:
            at += 1 + length
            value = below.get(name[at:])
            if value is not None:
                return value
        return None

    def names(self) -> set[bytes]:
        """The name of every entry, without what it says of those below."""
        return self._exact.keys() | self._below.keys()

    def __len__(self) -> int:
        return len(self.names())


class SuffixSet(SuffixMap[str]):
    """Names of the garden; ``find`` gives the entry that covers a name, as the operator spelled it."""

    __slots__ = ()

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__((name, name) for name in names)

    def __contains__(self, name: bytes) -> bool:
        return self.find(name) is not None
