# SPDX-License-Identifier: Apache-2.0
"""Octets -> Packet and back; what a handler answers. Pure. RFC 2865 section 3, RFC 5176, RFC 5997."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from edged.errors import WireError
from edged.native.radius import MAX_LENGTH, MIN_LENGTH, Opened, Piece, marks_of, states_of
from edged.radius.attributes import Attribute, Attributes
from edged.radius.dictionary import PROXY_STATE, USER_PASSWORD
from edged.values import Secret

__all__ = ["MAX_LENGTH", "Answer", "Code", "Hidden", "Packet", "assembled", "decode", "encode", "received"]


class Code(IntEnum):
    """The packet types edged knows; any other is dropped (RFC 2865 section 3)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12
    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45

    __hash__ = int.__hash__  # Enum's own is a Python function, and every request is looked up by its code


_CODES = {int(code): code for code in Code}
_new = tuple.__new__
_bare = object.__new__


class Packet:
    """One RADIUS packet. One that was received reads its attributes when somebody asks for them."""

    __slots__ = (
        "_attributes",
        "_marks",
        "_octets",
        "_passwords",
        "_states",
        "authenticator",
        "code",
        "constant",
        "identifier",
    )

    def __init__(self, code: Code, identifier: int, authenticator: bytes, attributes: Attributes = ()) -> None:
        self.code = code
        self.identifier = identifier
        """0 to 255."""
        self.authenticator = authenticator
        """16 octets: the Request Authenticator, or the Response Authenticator of a reply."""
        self._attributes: Attributes | None = attributes
        self._passwords: tuple[bytes, ...] = ()
        self._octets = b""
        self._marks: list[int] = []
        self._states: bytes | None = None
        self.constant = b""
        """All of a request that decides what a handler says: neither nonce nor proxy is in it; empty: not known.

        Every attribute but Message-Authenticator and Proxy-State, the User-Passwords in clear behind the others.
        """

    @property
    def attributes(self) -> Attributes:
        """In the order of the wire."""
        if self._attributes is None:
            self._attributes = _attributes(self._octets, self._passwords)
        return self._attributes

    @property
    def states(self) -> bytes:
        """Its Proxy-State attributes, as they go into the reply."""
        if self._states is None:
            self._states = b"".join(self.marked(PROXY_STATE))
        return self._states

    def marked(self, number: int) -> list[bytes]:
        """The octets of every attribute of one of the ``MARKED`` types, its header with them."""
        octets = self._octets
        if octets:
            return [octets[at : at + octets[at + 1]] for at in self._marks if octets[at] == number]
        return [bytes((number, len(value) + 2)) + value for kind, value in self.attributes if kind == number]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.code, self.identifier, self.authenticator, self.attributes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:  # attributes may hold keys and passwords
        return f"Packet({self.code.name}, {self.identifier}, {len(self.attributes)} attributes)"


@dataclass(frozen=True, slots=True)
class Hidden:
    """An attribute that the encoder hides with the client's secret and a salt: its author sees neither."""

    name: str
    """Tunnel-Password, MS-MPPE-Recv-Key, Aruba-MPSK-Passphrase or another that the dictionary marks."""
    secret: Secret
    """At most 239 octets."""
    tag: int = 0
    """0 to 31, where the attribute is tagged."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler says to a request; Message-Authenticator and Proxy-State are the encoder's work."""

    code: Code
    attributes: tuple[Attribute | Hidden, ...] = ()
    pieces: list[Piece] = field(default_factory=list, init=False, compare=False, repr=False)
    """The encoder's own: what is alike in every reply that says this."""


def decode(octets: bytes) -> Packet:
    """The packet in one datagram; octets after its Length are padding. WireError for everything malformed."""
    marks = marks_of(octets)
    if isinstance(marks, str):
        raise WireError(marks)
    return received(octets, (marks, False, 0, (), states_of(octets, marks), b""))


def received(octets: bytes, opened: Opened) -> Packet:
    """The packet in a datagram that was found well-formed. WireError when its code is not known."""
    code = _CODES.get(octets[0])
    if code is None:
        raise WireError("unknown-code")
    packet = _bare(Packet)
    packet.code, packet.identifier, packet.authenticator = code, octets[1], octets[4:20]
    # one of its makers: to call the other would cost as much again
    packet._attributes, packet._octets = None, octets  # noqa: SLF001
    packet._marks, _, _, packet._passwords, packet._states, packet.constant = opened  # type: ignore[assignment]  # noqa: SLF001
    return packet


def _attributes(octets: bytes, passwords: tuple[bytes, ...]) -> Attributes:
    """Of octets that were found well-formed; ``passwords``, if any, instead of what is hidden."""
    found = []
    position, end = MIN_LENGTH, octets[2] << 8 | octets[3]
    clear = iter(passwords)
    while position < end:
        following = position + octets[position + 1]
        number, value = octets[position], octets[position + 2 : following]
        if number == USER_PASSWORD:
            value = next(clear, value)
        # the hot line of the room: tuple.__new__ spares the call that NamedTuple makes of itself
        found.append(_new(Attribute, (number, value)))
        position = following
    return tuple(found)


def encode(packet: Packet) -> bytes:
    """The octets of ``packet``. ValueError when it is longer than RFC 2865 allows."""
    return bytes(assembled(*packet))


def assembled(code: int, identifier: int, authenticator: bytes, attributes: Iterable[Attribute]) -> bytearray:
    """As ``encode``, for those who have yet to sign the octets in place."""
    octets = bytearray((code, identifier, 0, 0))
    octets += authenticator
    for number, value in attributes:
        octets.append(number)
        octets.append(len(value) + 2)
        octets += value
    length = len(octets)
    if length > MAX_LENGTH:
        raise ValueError(f"a packet has at most {MAX_LENGTH} octets, not {length}")
    octets[2:4] = length.to_bytes(2, "big")
    return octets
