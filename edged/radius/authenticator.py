# SPDX-License-Identifier: Apache-2.0
"""Authenticators and Message-Authenticator: packet and shared secret -> signed octets, or a verdict. Pure.

RFC 2865 section 3, RFC 2866 section 3, RFC 3579 section 3.2, RFC 5176 section 2.3, RFC 5997 section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from hashlib import md5
from hmac import compare_digest, digest

from edged.native.radius import MIN_LENGTH
from edged.radius.attributes import Attribute
from edged.radius.dictionary import MESSAGE_AUTHENTICATOR
from edged.radius.packet import Code, Packet, assembled
from edged.values import Secret

ZERO = bytes(16)
_AUTHENTICATOR = slice(4, 20)
_UNSIGNED = Attribute(MESSAGE_AUTHENTICATOR, ZERO)
"""Stands first of all attributes, so that no chosen prefix can stand before it (CVE-2024-3596)."""
_FIRST_VALUE = slice(MIN_LENGTH + 2, MIN_LENGTH + 18)
HASHED = frozenset({Code.ACCOUNTING_REQUEST, Code.DISCONNECT_REQUEST, Code.COA_REQUEST})
"""Requests whose authenticator is a hash over themselves; those of the others are random."""


class Signature(Enum):
    """What the Message-Authenticator of a packet says."""

    ABSENT = auto()
    VALID = auto()
    INVALID = auto()
    """Wrong, of another length than 18, or more than one."""


# ----------------------------------------- verifying: the octets of one packet that decodes, without padding


def request_is_authentic(octets: bytes, secret: Secret) -> bool:
    """Whether the Request Authenticator is the hash that the code prescribes; True where it is random."""
    if octets[0] not in HASHED:
        return True
    hashed = md5(octets[:4] + ZERO + octets[MIN_LENGTH:] + secret.reveal()).digest()
    return compare_digest(hashed, octets[_AUTHENTICATOR])


def request_signature(octets: bytes, secret: Secret) -> Signature:
    """The verdict on a request's Message-Authenticator, wherever among the attributes it stands."""
    return _signature(octets, ZERO if octets[0] in HASHED else octets[_AUTHENTICATOR], secret)


def reply_is_authentic(octets: bytes, request_authenticator: bytes, secret: Secret) -> bool:
    """Whether a reply answers the request: Response Authenticator and any Message-Authenticator."""
    hashed = md5(octets[:4] + request_authenticator + octets[MIN_LENGTH:] + secret.reveal()).digest()
    if not compare_digest(hashed, octets[_AUTHENTICATOR]):
        return False
    return _signature(octets, request_authenticator, secret) is not Signature.INVALID


def _signature(octets: bytes, authenticator: bytes, secret: Secret) -> Signature:
    found, position = 0, MIN_LENGTH
    while position < len(octets):
        if octets[position] == MESSAGE_AUTHENTICATOR:
            if found or octets[position + 1] != 18:
                return Signature.INVALID
            found = position + 2
        position += octets[position + 1]
    if not found:
        return Signature.ABSENT
    signed = octets[:4] + authenticator + octets[MIN_LENGTH:found] + ZERO + octets[found + 16 :]
    good = compare_digest(digest(secret.reveal(), signed, "md5"), octets[found : found + 16])
    return Signature.VALID if good else Signature.INVALID


# ------------------------------------------------------------------------------------------------- signing


def sign_request(packet: Packet, secret: Secret) -> bytes:
    """The octets of a request, Message-Authenticator first; its authenticator is kept where it is random."""
    hashed = packet.code in HASHED
    attributes = (_UNSIGNED, *packet.attributes)
    octets = assembled(packet.code, packet.identifier, ZERO if hashed else packet.authenticator, attributes)
    octets[_FIRST_VALUE] = digest(secret.reveal(), octets, "md5")
    if hashed:
        octets[_AUTHENTICATOR] = md5(octets + secret.reveal()).digest()
    return bytes(octets)


def sign_reply(code: Code, attributes: Iterable[Attribute], request: Packet, secret: Secret) -> bytes:
    """The octets of a reply to ``request``, Message-Authenticator first."""
    octets = assembled(code, request.identifier, request.authenticator, (_UNSIGNED, *attributes))
    octets[_FIRST_VALUE] = digest(secret.reveal(), octets, "md5")
    octets[_AUTHENTICATOR] = md5(octets + secret.reveal()).digest()
    return bytes(octets)
