# SPDX-License-Identifier: Apache-2.0
"""A stream cut anywhere in, whole RADIUS packets out. Pure. RFC 6613 section 2.6, RFC 7930 section 3 (lengths)."""

from __future__ import annotations

from edged.errors import WireError
from edged.native.radius import MIN_LENGTH

LONGEST = 0xFFFF
"""Octets of the longest packet on a stream: what the Length field can say (RFC 7930)."""
_HEADER = 4


class Framing:
    """The octets of one stream that are not yet asked for."""

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def __len__(self) -> int:
        return len(self._buffer) - self._at

    def receive(self, octets: bytes) -> None:
        """Take ``octets`` in."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += octets

    def packet(self) -> bytes | None:
        """The octets of the next packet; None: it has not come whole.

        WireError when no packet has the length that it announces: where the next one begins is not known then.
        """
        if len(self) < _HEADER:
            return None
        length = self._buffer[self._at + 2] << 8 | self._buffer[self._at + 3]
        if length < MIN_LENGTH:
            raise WireError("bad-length")
        if len(self) < length:
            return None
        start, self._at = self._at, self._at + length
        return bytes(self._buffer[start : self._at])
