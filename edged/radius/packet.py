# SPDX-License-Identifier: Apache-2.0
"""Octets -> Packet and back; what a handler answers. Pure. RFC 2865 section 3, RFC 5176, RFC 5997."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from edged.errors import WireError
from edged.radius.attributes import Attribute, Attributes
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


_CODES = {int(code): code for code in Code}
_new = tuple.__new__


class Packet(NamedTuple):
    """One RADIUS packet."""

    code: Code
    identifier: int
    """0 to 255."""
    authenticator: bytes
    """16 octets: the Request Authenticator, or the Response Authenticator of a reply."""
    attributes: Attributes = ()

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
    return Packet(code, octets[1], octets[4:20], _attributes(octets, length))


def _attributes(octets: bytes, end: int) -> Attributes:
    found = []
    position = MIN_LENGTH
    while position < end:
        if position + 2 > end:
            raise WireError("bad-attribute")
        following = position + octets[position + 1]
        if following < position + 2 or following > end:
            raise WireError("bad-attribute")
        # the hot line of the room: tuple.__new__ spares the call that NamedTuple makes of itself
        found.append(_new(Attribute, (octets[position], octets[position + 2 : following])))
        position = following
    if len(found) > MAX_ATTRIBUTES:
        raise WireError("too-many-attributes")
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
