# SPDX-License-Identifier: Apache-2.0
"""DNS cookies: client cookie, address and time in, server cookie out. Pure. RFC 7873 4 to 6, RFC 9018 4.

The hash is keyed BLAKE2s: SipHash is needed only to share a secret with other software (RFC 7873, section 6).
"""

from __future__ import annotations

import hashlib
import hmac
import struct

_CLIENT_OCTETS = 8
_VERSION = b"\x01\x00\x00\x00"


def cookie_option(sent: bytes, address: bytes, secret: bytes, now: float) -> bytes:
    """The option's content for a reply: the client's part and our own."""
    client = sent[:_CLIENT_OCTETS]
    prefix = _VERSION + struct.pack("!I", int(now) & 0xFFFFFFFF)
    return client + prefix + _hash(client + prefix, address, secret)


def _hash(octets: bytes, address: bytes, secret: bytes) -> bytes:
    return hashlib.blake2s(octets + address, key=secret, digest_size=8).digest()


def valid(sent: bytes, address: bytes, secret: bytes, now: float) -> bool:
    """True when ``sent`` holds a server cookie of ours for ``address`` that is not too old (RFC 9018, section 4.3)."""
    if len(sent) != 24:
        return False
    age = (int(now) - int.from_bytes(sent[12:16])) & 0xFFFFFFFF
    fresh = age <= 3600 or age >= (1 << 32) - 300
    return fresh and hmac.compare_digest(sent[16:], _hash(sent[:16], address, secret))
