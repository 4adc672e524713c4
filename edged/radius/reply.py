# SPDX-License-Identifier: Apache-2.0
"""Answer -> the octets of the reply: values hidden, Proxy-State echoed, signed. Pure; salts are given.

RFC 2865 section 5.33 (Proxy-State), RFC 2868 section 3.5 (salts), RFC 5997 section 2.2 (Status-Server).
"""

from __future__ import annotations

from collections.abc import Iterator

from edged.radius.attributes import Attribute
from edged.radius.authenticator import ZERO, SharedSecret
from edged.radius.dictionary import MESSAGE_AUTHENTICATOR, PROXY_STATE, USER_PASSWORD
from edged.radius.hiding import Sealed, reveal_password
from edged.radius.packet import MAX_LENGTH, MIN_LENGTH, Answer, Code, Hidden, Packet
from edged.values import Secret

_SIGNED = bytes((MESSAGE_AUTHENTICATOR, 18))
"""Stands first of all attributes, so that no chosen prefix can stand before it (CVE-2024-3596)."""
_UNSIGNED = _SIGNED + ZERO


def encode_answer(answer: Answer, request: Packet, secret: Secret, salts: Iterator[bytes]) -> bytes:
    """The reply to ``request``; each hidden value takes one of ``salts``. ValueError when it is too long."""
    return reply_to(request, answer, SharedSecret(secret), salts)


def reply_to(request: Packet, answer: Answer, shared: SharedSecret, salts: Iterator[bytes]) -> bytes:
    """As ``encode_answer``."""
    pieces = answer.memo or _pieces(answer)
    authenticator = request.authenticator
    body = b"".join(
        [piece if isinstance(piece, bytes) else piece.octets(shared, authenticator, next(salts)) for piece in pieces]
    )
    if states := request.marked(PROXY_STATE):
        body += b"".join(states)
    # RFC 2866 knows no Message-Authenticator in its replies, and clients disagree on how to check one
    # (radclient 3.2.1 drops a reply signed as the others are); for Status-Server all agree
    if answer.code is Code.ACCOUNTING_RESPONSE and request.code is not Code.STATUS_SERVER:
        head = _head(answer, request, len(body))
    else:
        head = _head(answer, request, len(body) + len(_UNSIGNED))
        body = _SIGNED + shared.mac(head + authenticator + _UNSIGNED + body) + body
    return head + shared.behind(head + authenticator + body) + body


def _head(answer: Answer, request: Packet, octets: int) -> bytes:
    length = MIN_LENGTH + octets
    if length > MAX_LENGTH:
        raise ValueError(f"a packet has at most {MAX_LENGTH} octets, not {length}")
    return bytes((answer.code, request.identifier, length >> 8, length & 0xFF))


def _pieces(answer: Answer) -> list[bytes | Sealed]:
    """The attributes of ``answer``: octets where they are alike in every reply. Made once, kept with it."""
    pieces: list[bytes | Sealed] = []
    plain = b""
    for given in answer.attributes:
        if isinstance(given, Hidden):
            pieces += (plain, Sealed(given)) if plain else (Sealed(given),)
            plain = b""
        else:
            plain += bytes((given.type, len(given.value) + 2)) + given.value
    pieces.append(plain)  # never an empty list: an answer without attributes is known, too
    answer.memo[:] = pieces
    return pieces


def salts_from(start: int) -> Iterator[bytes]:
    """Two-octet salts with the top bit set, no two alike among 32768; ``start`` is any number."""
    while True:
        start = (start + 1) & 0x7FFF
        yield (start | 0x8000).to_bytes(2, "big")


def with_clear_password(request: Packet, secret: Secret) -> Packet:
    """``request`` with its User-Password in clear, for a handler that does not hold the secret.

    WireError when one cannot be a User-Password.
    """
    code, identifier, authenticator, given = request
    if USER_PASSWORD not in [number for number, _ in given]:
        return request
    clear = tuple(
        [
            Attribute(number, reveal_password(value, secret, authenticator)) if number == USER_PASSWORD else it
            for it in given
            for number, value in (it,)
        ]
    )
    return Packet(code, identifier, authenticator, clear)
