# SPDX-License-Identifier: Apache-2.0
"""Signed tokens for links and buttons: subscriber id and expiry in, text out, and back. Pure. RFC 2104.

An IP address alone never shows a name or a sum: only who holds a signed link sees them. Nor does it show billing's id:
the tokens of buttons stand on the page that anybody on the line may read, so they are sealed (RFC 8452).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import Enum
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

KEY_OCTETS = 32
"""As long as the digest: a shorter key would be the weakest part (RFC 2104 section 3)."""
_TAG_OCTETS = 16
"""128 bits of the digest: far from guessable, and the link still fits one line of an SMS."""
_EXPIRY_OCTETS = 5
"""Whole seconds since the epoch, past the year 36000."""
MAX_ID_OCTETS = 128
"""Billing's ids are a few digits; beyond this a link would no longer be typed or scanned."""
MAX_TOKEN = 4 * -(-(_TAG_OCTETS + _EXPIRY_OCTETS + MAX_ID_OCTETS) // 3)
"""Characters; a longer text is refused before any cryptography."""


_NONCE = bytes(12)
"""Always the same: two equal tokens then tell that they are equal and nothing more (RFC 8452 section 9)."""


class Purpose(Enum):
    """What a token is good for; one made for a purpose never opens another."""

    LINK = b"edged statement link\x00"
    BUTTON = b"edged page button\x00"


def _tag(key: bytes, purpose: Purpose, payload: bytes) -> bytes:
    if len(key) != KEY_OCTETS:
        raise ValueError(f"a link key has {KEY_OCTETS} octets, not {len(key)}")
    return hmac.digest(key, purpose.value + payload, hashlib.sha256)[:_TAG_OCTETS]


@lru_cache(maxsize=4)
def _seal(key: bytes) -> AESGCMSIV:
    if len(key) != KEY_OCTETS:
        raise ValueError(f"a link key has {KEY_OCTETS} octets, not {len(key)}")
    return AESGCMSIV(hmac.digest(key, Purpose.BUTTON.value, hashlib.sha256))


def make_token(key: bytes, purpose: Purpose, subscriber_id: str, expires: float) -> str:
    """The token that names ``subscriber_id`` until ``expires`` (epoch seconds). ValueError: a bad id."""
    octets = subscriber_id.encode()
    if not 1 <= len(octets) <= MAX_ID_OCTETS:
        raise ValueError(f"a subscriber id in a link has 1 to {MAX_ID_OCTETS} octets")
    payload = int(expires).to_bytes(_EXPIRY_OCTETS, "big") + octets
    if purpose is Purpose.BUTTON:
        signed = _seal(key).encrypt(_NONCE, payload, None)
    else:  # as docs/page-links.md has it: billing makes these, too
        signed = _tag(key, purpose, payload) + payload
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def verify_token(key: bytes, purpose: Purpose, token: str, now: float) -> str | None:
    """The subscriber id that ``token`` names; None when forged, malformed, of another purpose or expired."""
    if not token.isascii() or len(token) > MAX_TOKEN:
        return None
    try:
        octets = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    payload = _opened(key, octets) if purpose is Purpose.BUTTON else _checked(key, purpose, octets)
    if payload is None or len(payload) <= _EXPIRY_OCTETS or int.from_bytes(payload[:_EXPIRY_OCTETS], "big") <= now:
        return None
    return payload[_EXPIRY_OCTETS:].decode()  # signed by us, so it is UTF-8


def _checked(key: bytes, purpose: Purpose, octets: bytes) -> bytes | None:
    tag, payload = octets[:_TAG_OCTETS], octets[_TAG_OCTETS:]
    return payload if hmac.compare_digest(tag, _tag(key, purpose, payload)) else None


def _opened(key: bytes, octets: bytes) -> bytes | None:
    try:
        return _seal(key).decrypt(_NONCE, octets, None)
    except (InvalidTag, ValueError):
        return None


def make_link(key: bytes, base: str, subscriber_id: str, expires: float) -> str:
    """The URL under ``base`` (no final slash) that shows the subscriber's own statement until ``expires``."""
    return f"{base}/s/{make_token(key, Purpose.LINK, subscriber_id, expires)}"
