# SPDX-License-Identifier: Apache-2.0
"""Answer -> the octets of the reply: values hidden, Proxy-State echoed, signed. Pure; salts are given.

RFC 2865 section 5.33 (Proxy-State), RFC 2868 section 3.5 (salts), RFC 5997 section 2.2 (Status-Server).
"""

from __future__ import annotations

from collections.abc import Iterator

from edged.native.radius import Piece, Shared, ready
from edged.radius.attributes import Attribute
from edged.radius.dictionary import USER_PASSWORD
from edged.radius.hiding import reveal_password, sealed
from edged.radius.packet import Answer, Code, Hidden, Packet
from edged.values import Secret


def encode_answer(answer: Answer, request: Packet, secret: Secret, salts: Iterator[bytes]) -> bytes:
    """The reply to ``request``; each hidden value takes one of ``salts``. ValueError when it is too long."""
    return reply_to(request, answer, ready(secret.reveal()), salts)


def reply_to(request: Packet, answer: Answer, shared: Shared, salts: Iterator[bytes]) -> bytes:
    """As ``encode_answer``."""
    pieces = answer.pieces or _pieces(answer)
    # RFC 2866 knows no Message-Authenticator in its replies, and clients disagree on how to check one
    # (radclient 3.2.1 drops a reply signed as the others are); for Status-Server all agree
    signed = answer.code is not Code.ACCOUNTING_RESPONSE or request.code is Code.STATUS_SERVER
    salt = b"".join([next(salts) for piece in pieces if not isinstance(piece, bytes)])
    if states := request.states:
        pieces = [*pieces, states]
    return shared.reply(bytes((answer.code, request.identifier)), request.authenticator, pieces, salt, signed)


def _pieces(answer: Answer) -> list[Piece]:
    """The attributes of ``answer``: octets where they are alike in every reply. Made once, kept with it."""
    pieces: list[Piece] = []
    plain = b""
    for given in answer.attributes:
        if isinstance(given, Hidden):
            pieces += (plain, sealed(given)) if plain else (sealed(given),)
            plain = b""
        else:
            plain += bytes((given.type, len(given.value) + 2)) + given.value
    pieces.append(plain)  # never an empty list: an answer without attributes is known, too
    answer.pieces[:] = pieces
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
