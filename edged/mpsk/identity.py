# SPDX-License-Identifier: Apache-2.0
"""The name of a key in RADIUS: KeyId -> the text of a User-Name, and back. Pure.

RFC 2865 section 5.1 (at most 253 octets), RFC 3986 section 2.1 (percent-encoding), RFC 4372. Access points repeat the
User-Name of an Access-Accept in their accounting: that is how a session names its key. It names no person and is no
secret; ``key:`` keeps it apart from the logins and MAC addresses that stand in the same place.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import quote, unquote

from edged.state.keys import BILLING, LOCAL, KeyId

MAX_OCTETS = 253
"""What fits into one attribute."""
_SCHEME = "key:"
_DIGEST = "#"
"""Begins the digest of an id that is too long; percent-encoding never yields it."""


def identity_of(name: KeyId) -> str:
    """The User-Name of ``name``: ASCII, 1 to 253 octets, alike for no two keys.

    ``key:billing:unit%20101`` or, where that would not fit, ``key:billing:#`` and the SHA-256 of the id.
    """
    head = f"{_SCHEME}{name.origin}:"
    spelt = head + quote(name.id, safe="", errors="surrogatepass")
    if len(spelt) <= MAX_OCTETS:
        return spelt
    return head + _DIGEST + sha256(name.id.encode("utf-8", "surrogatepass")).hexdigest()


def key_of_identity(text: str, known: Iterable[KeyId] = ()) -> KeyId | None:
    """The key that a User-Name names; None for every other text. ``known`` is searched for an id too long to spell."""
    if not text.startswith(_SCHEME):
        return None
    origin, _, spelt = text.removeprefix(_SCHEME).partition(":")
    if origin not in {BILLING, LOCAL}:
        return None
    if spelt.startswith(_DIGEST):
        # an id of 60 characters always fits: most need no digest
        long = (name for name in known if name.origin == origin and len(name.id) * 12 > MAX_OCTETS - len(_SCHEME) - 8)
        return next((name for name in long if identity_of(name) == text), None)
    try:
        name = KeyId(origin, unquote(spelt, errors="surrogatepass"))
    except UnicodeDecodeError:
        return None
    # one spelling alone is ours: another was not written by us
    return name if identity_of(name) == text else None
