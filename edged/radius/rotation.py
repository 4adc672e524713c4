# SPDX-License-Identifier: Apache-2.0
"""While a client's secret is changed: which of the two a request was made with. Pure; only then is it asked at all."""

from __future__ import annotations

from edged.native.radius import ABSENT, HASHED, VALID, Opened
from edged.radius.clients import Source
from edged.radius.mending import mended


def chosen(octets: bytes, source: Source) -> Source:
    """``source``, or its double with the old secret when that is what ``octets`` were made with.

    What proves neither (an Access-Request without Message-Authenticator) is read with the secret under which its
    password is text; without a password, with the one that this NAS has proven last.
    """
    before = source.before
    if before is None:
        return source
    opened, opened_before = source.shared.open(octets), before.shared.open(octets)
    if isinstance(opened, str) or isinstance(opened_before, str):
        # malformed under any secret; what hostapd broke is mended with the one that it was signed with
        return before if mended(octets, before.client.secret) is not None else source
    if octets[0] not in HASHED and opened[2] == ABSENT:
        new, old = _is_legible(opened), _is_legible(opened_before)
        old = old or (not new and source.heard.uses_old_secret)
    else:
        new, old = (_is_proven(it, hashed=octets[0] in HASHED) for it in (opened, opened_before))
    return before if old and not new else source


def _is_proven(opened: Opened, *, hashed: bool) -> bool:
    _, authentic, signature, _, _, _ = opened
    return authentic if hashed else signature == VALID


def _is_legible(opened: Opened) -> bool:
    """Whether the User-Password is text under this secret: under another one it is noise; False without one."""
    passwords = opened[3]
    return passwords is not None and bool(passwords) and passwords[0].isascii() and passwords[0].decode().isprintable()
