# SPDX-License-Identifier: Apache-2.0
"""While a client's secret is changed: which of the two a request was made with. Pure; only then is it asked at all."""

from __future__ import annotations

from edged.radius.authenticator import HASHED, Signature, authenticates, signature_of
from edged.radius.clients import Source
from edged.radius.hiding import reveal_passwords
from edged.radius.packet import Packet, decode


def chosen(octets: bytes, source: Source) -> Source:
    """``source``, or its double with the old secret when that is what ``octets`` were made with. WireError: malformed.

    What proves neither (an Access-Request without Message-Authenticator) is read with the secret under which its
    password is text; without a password, with the one that this NAS has proven last.
    """
    before = source.before
    if before is None:
        return source
    request = decode(octets)
    if request.code in HASHED:
        new, old = (authenticates(request.octets, it.shared) for it in (source, before))
    else:
        signatures = [signature_of(request, it.shared) for it in (source, before)]
        new, old = (signature is Signature.VALID for signature in signatures)
        if signatures[0] is Signature.ABSENT:
            new, old = (_is_legible(request, it) for it in (source, before))
            old = old or (not new and source.heard.uses_old_secret)
    return before if old and not new else source


def _is_legible(request: Packet, source: Source) -> bool:
    """Whether the User-Password is text under the secret: with another one it is noise; False without one."""
    clear = reveal_passwords(request, source.shared)
    return bool(clear) and clear[0].isascii() and clear[0].decode().isprintable()
