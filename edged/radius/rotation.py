# SPDX-License-Identifier: Apache-2.0
"""While a client's secret is changed: which of the two a request was made with. Pure; only then is it asked at all."""

from __future__ import annotations

from edged.radius.authenticator import HASHED, Signature, request_is_authentic, request_signature
from edged.radius.clients import Source
from edged.radius.dictionary import USER_PASSWORD
from edged.radius.packet import Packet, decode
from edged.radius.reply import with_clear_password
from edged.values import Secret


def chosen(octets: bytes, source: Source) -> Source:
    """``source``, or its double with the old secret when that is what ``octets`` were made with. WireError: malformed.

    What proves neither (an Access-Request without Message-Authenticator) is read with the secret under which its
    password is text; without a password, with the one that this NAS has proven last.
    """
    before = source.before
    if before is None:
        return source
    request = decode(octets)
    octets = octets[: octets[2] << 8 | octets[3]]
    secrets = (source.client.secret, before.client.secret)
    if request.code in HASHED:
        new, old = (request_is_authentic(octets, secret) for secret in secrets)
    else:
        signatures = [request_signature(octets, secret) for secret in secrets]
        new, old = (signature is Signature.VALID for signature in signatures)
        if signatures[0] is Signature.ABSENT:
            new, old = (_is_legible(request, secret) for secret in secrets)
            old = old or (not new and source.heard.uses_old_secret)
    return before if old and not new else source


def _is_legible(request: Packet, secret: Secret) -> bool:
    """Whether the User-Password is text under ``secret``: with another one it is noise; False without one."""
    clear = [value for number, value in with_clear_password(request, secret).attributes if number == USER_PASSWORD]
    return bool(clear) and clear[0].isascii() and clear[0].decode().isprintable()
