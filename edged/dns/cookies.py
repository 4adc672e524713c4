# SPDX-License-Identifier: Apache-2.0
"""DNS cookies: client cookie, address and time in, server cookie out. Pure. RFC 7873 4 to 6, RFC 9018 4.

The hash is keyed BLAKE2s: SipHash is needed only to share a secret with other software (RFC 7873, section 6).
"""

from __future__ import annotations

import hashlib
import hmac
import struct

CLIENT_OCTETS = 8
"""The client's part; alone when it has no server cookie yet."""
_STAMP = slice(12, 16)
_HASH = slice(16, 24)
_PAST, _FUTURE = 3600, 300
"""Seconds that a server cookie may be old, or ahead of our clock (RFC 9018, section 4.3)."""
_VERSION = b"\x01\x00\x00\x00"


def cookie_option(sent: bytes, address: bytes, secret: bytes, now: float) -> bytes:
    """The option's content for a reply: the client's part and our own."""
    client = sent[:CLIENT_OCTETS]
    prefix = _VERSION + struct.pack("!I", int(now) & 0xFFFFFFFF)
    return client + prefix + _hash(client + prefix, address, secret)


def valid(sent: bytes, address: bytes, secret: bytes, now: float) -> bool:
    """True when ``sent`` (the option's content) is one that we gave to ``address`` within the last hour."""
    if len(sent) != _HASH.stop or not sent.startswith(_VERSION, CLIENT_OCTETS):
        return False
    # serial number arithmetic (RFC 1982): the stamp wraps in 2106
    age = (int(now) - int.from_bytes(sent[_STAMP]) + 0x80000000 & 0xFFFFFFFF) - 0x80000000
    if not -_FUTURE <= age <= _PAST:
        return False
    return hmac.compare_digest(sent[_HASH], _hash(sent[: _HASH.start], address, secret))


def _hash(octets: bytes, address: bytes, secret: bytes) -> bytes:
    return hashlib.blake2s(octets + address, key=secret, digest_size=8).digest()
