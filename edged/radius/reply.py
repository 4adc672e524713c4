# SPDX-License-Identifier: Apache-2.0
"""Answer -> the octets of the reply: values hidden, Proxy-State echoed, signed. Pure; salts are given.

RFC 2865 section 5.33 (Proxy-State), RFC 2868 section 3.5 (salts), RFC 5997 section 2.2 (Status-Server).
"""

from __future__ import annotations

from collections.abc import Iterator

from edged.radius.attributes import Attribute
from edged.radius.authenticator import sign_plain_reply, sign_reply
from edged.radius.dictionary import PROXY_STATE, USER_PASSWORD
from edged.radius.hiding import hide, reveal_password
from edged.radius.packet import Answer, Code, Hidden, Packet
from edged.values import Secret


def encode_answer(answer: Answer, request: Packet, secret: Secret, salts: Iterator[bytes]) -> bytes:
    """The reply to ``request``; each hidden value takes one of ``salts``. ValueError when it is too long."""
    attributes = [
        hide(given, secret, request.authenticator, next(salts)) if isinstance(given, Hidden) else given
        for given in answer.attributes
    ]
    attributes += [given for given in request.attributes if given[0] == PROXY_STATE]
    # RFC 2866 knows no Message-Authenticator in its replies, and clients disagree on how to check one
    # (radclient 3.2.1 drops a reply signed as the others are); for Status-Server all agree
    plain = answer.code is Code.ACCOUNTING_RESPONSE and request.code is not Code.STATUS_SERVER
    sign = sign_plain_reply if plain else sign_reply
    return sign(answer.code, attributes, request, secret)


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
