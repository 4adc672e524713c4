# SPDX-License-Identifier: Apache-2.0
"""A packet that hostapd 2.11 broke -> the packet it meant, signed as it was. Octets in, octets out. Pure.

RFC 6929 section 2.2. Until a fix of May 2025 hostapd writes a message 2 of more than 246 octets whole behind a header
that counts 255, and then once more the tail that the header did not count, as the second fragment.
"""

from __future__ import annotations

from hmac import compare_digest, digest

from edged.native.radius import MIN_LENGTH
from edged.radius.dictionary import FREERADIUS, MESSAGE_AUTHENTICATOR, VENDOR_SPECIFIC
from edged.radius.packet import Code
from edged.values import Secret

_HEADER = bytes((245, 255, VENDOR_SPECIFIC, 0x80)) + FREERADIUS.to_bytes(4, "big") + b"\x02"
"""A full first fragment of the EAPOL-Key attribute."""
_COUNTED = 255 - len(_HEADER)
"""Octets of the frame that the header counts."""
_MOST = _COUNTED + 251
"""Octets of a frame in two fragments."""


def mended(octets: bytes, secret: Secret) -> bytes | None:
    """``octets`` without the repetition, signed anew; None unless it stands there octet for octet.

    None too unless the Message-Authenticator before it is valid: what a broken packet meant is its sender's to say.
    """
    if len(octets) < MIN_LENGTH or octets[0] != Code.ACCESS_REQUEST:
        return None
    octets = octets[: octets[2] << 8 | octets[3]]
    start, signature = _places(octets)
    if not start or not signature or not _is_signed(octets, signature, secret):
        return None
    frame = start + len(_HEADER)
    # the frame has its own length: it is whole, and the tail stands there twice
    length = 4 + (octets[frame + 2] << 8 | octets[frame + 3])
    cut, resumed = start + 255, frame + length
    tail = octets[cut:resumed]
    fragment = bytes((245, 4 + len(tail), VENDOR_SPECIFIC, 0)) + tail
    if not _COUNTED < length <= _MOST or octets[resumed:] != fragment:
        return None
    whole = bytearray(octets[:cut] + fragment)
    whole[2:4] = len(whole).to_bytes(2, "big")
    whole[signature : signature + 16] = _signature(whole, signature, secret)
    return bytes(whole)


def _places(octets: bytes) -> tuple[int, int]:
    """Where the broken attribute begins and where the one signature before it; 0: there is none."""
    position, signature = MIN_LENGTH, 0
    while position + 2 <= len(octets):
        if octets.startswith(_HEADER, position):
            return (position, signature) if position + 255 + 4 <= len(octets) else (0, 0)
        if octets[position] == MESSAGE_AUTHENTICATOR:
            if signature or octets[position + 1] != 18:
                return 0, 0
            signature = position + 2
        if octets[position + 1] < 2:
            return 0, 0
        position += octets[position + 1]
    return 0, 0


def _is_signed(octets: bytes, signature: int, secret: Secret) -> bool:
    return compare_digest(_signature(octets, signature, secret), octets[signature : signature + 16])


def _signature(octets: bytes | bytearray, place: int, secret: Secret) -> bytes:
    return digest(secret.reveal(), octets[:place] + bytes(16) + octets[place + 16 :], "md5")
