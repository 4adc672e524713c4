# SPDX-License-Identifier: Apache-2.0
"""Octets -> Packet and back; what a handler answers. Pure. RFC 2865 section 3, RFC 5176, RFC 5997."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from edged.errors import WireError
from edged.radius.attributes import Attribute, Attributes
from edged.radius.dictionary import EAP_MESSAGE, MESSAGE_AUTHENTICATOR, PROXY_STATE, USER_PASSWORD
from edged.values import Secret

MIN_LENGTH = 20
MAX_LENGTH = 4096
MAX_ATTRIBUTES = 200
"""As other servers have it: no honest request comes near, and each costs time before anything is verified."""


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


MARKED = frozenset({USER_PASSWORD, PROXY_STATE, EAP_MESSAGE, MESSAGE_AUTHENTICATOR})
"""Attributes that the codec itself looks at: where they stand is noted when a packet is decoded."""


class Packet:
    """One RADIUS packet. One that was received reads its attributes when somebody asks for them."""

    __slots__ = ("_attributes", "_passwords", "authenticator", "code", "constant", "identifier", "marks", "octets")

    def __init__(self, code: Code, identifier: int, authenticator: bytes, attributes: Attributes = ()) -> None:
        self.code = code
        self.identifier = identifier
        """0 to 255."""
        self.authenticator = authenticator
        """16 octets: the Request Authenticator, or the Response Authenticator of a reply."""
        self._attributes: Attributes | None = attributes
        self._passwords: tuple[bytes, ...] = ()
        self.octets = b""
        """As received, without padding; empty when it was not."""
        self.marks: list[int] = []
        """Where in ``octets`` each of ``MARKED`` begins, in order."""
        self.constant = b""
        """All that does not differ between two requests of the same words; empty: not known. See ``clear``."""

    @property
    def attributes(self) -> Attributes:
        """In the order of the wire."""
        if self._attributes is None:
            self._attributes = _attributes(self.octets, self._passwords)
        return self._attributes

    def clear(self, passwords: tuple[bytes, ...]) -> None:
        """Show ``passwords`` in place of the hidden User-Passwords, and know what is ``constant``.

        That is every attribute but Message-Authenticator and Proxy-State, the passwords behind the others: it decides
        what a handler says, and neither salt nor nonce nor proxy is in it.
        """
        octets, start = self.octets, MIN_LENGTH
        parts = []
        for at in self.marks:
            if octets[at] != EAP_MESSAGE:
                parts.append(octets[start:at])
                start = at + octets[at + 1]
        parts.append(octets[start:])
        for password in passwords:
            parts += (bytes((USER_PASSWORD, len(password) + 2)), password)
        self._attributes, self._passwords, self.constant = None, passwords, b"".join(parts)

    def marked(self, number: int) -> list[bytes]:
        """The octets of every attribute of one of the ``MARKED`` types, its header with them."""
        octets = self.octets
        if octets:
            return [octets[at : at + octets[at + 1]] for at in self.marks if octets[at] == number]
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
    memo: list[Any] = field(default_factory=list, init=False, compare=False, repr=False)
    """The encoder's own: what is alike in every reply that says this."""


def decode(octets: bytes, longest: int = MAX_LENGTH) -> Packet:
    """The packet in one datagram; octets after its Length are padding. WireError for everything malformed.

    ``longest``: octets a packet may have; over TLS more than in a datagram (RFC 7930).
    """
    if len(octets) < MIN_LENGTH:
        raise WireError("short")
    length = octets[2] << 8 | octets[3]
    if not MIN_LENGTH <= length <= longest:
        raise WireError("bad-length")
    if length > len(octets):
        raise WireError("truncated")
    code = _CODES.get(octets[0])
    if code is None:
        raise WireError("unknown-code")
    packet = _bare(Packet)
    packet.code, packet.identifier, packet.authenticator = code, octets[1], octets[4:20]
    packet.octets = octets = octets if length == len(octets) else octets[:length]
    packet.marks = _marks(octets)
    packet._attributes, packet._passwords, packet.constant = None, (), b""  # noqa: SLF001  # one of its makers
    return packet


def _marks(octets: bytes) -> list[int]:
    """Where the marked attributes begin. WireError when the attributes do not fill the packet exactly."""
    marks = []
    position, end, count = MIN_LENGTH, len(octets), 0
    try:
        while position < end:
            if octets[position] in MARKED:
                marks.append(position)
            length = octets[position + 1]
            if length < 2:
                raise WireError("bad-attribute")
            position += length
            count += 1
    except IndexError:
        raise WireError("bad-attribute") from None
    if position > end:
        raise WireError("bad-attribute")
    if count > MAX_ATTRIBUTES:
        raise WireError("too-many-attributes")
    return marks


def _attributes(octets: bytes, passwords: tuple[bytes, ...]) -> Attributes:
    """Of octets that ``_marks`` has found well-formed; ``passwords``, if any, instead of what is hidden."""
    found = []
    position, end = MIN_LENGTH, len(octets)
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
