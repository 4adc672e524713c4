# SPDX-License-Identifier: Apache-2.0
"""A stream cut anywhere in, whole messages out. Pure. RFC 1035 4.2.2, RFC 7766 8."""

from __future__ import annotations

_PREFIX = 2
LONGEST = 0xFFFF
"""Octets of the longest message that the prefix can announce."""


class Framing:
    """The octets of one stream that are not yet asked for."""

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def __bool__(self) -> bool:
        """True when something waits: whole messages or a part of one."""
        return len(self._buffer) > self._at

    def receive(self, octets: bytes | memoryview) -> None:
        """Take ``octets`` in."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += octets

    def whole(self) -> bool:
        """True when ``message`` has one."""
        held = len(self._buffer) - self._at
        return held >= _PREFIX and held >= _PREFIX + self._length()

    def message(self) -> bytes | None:
        """The next message without its prefix; None: it has not come whole."""
        if not self.whole():
            return None
        start = self._at + _PREFIX
        self._at = start + self._length()
        return bytes(self._buffer[start : self._at])

    def _length(self) -> int:
        return self._buffer[self._at] << 8 | self._buffer[self._at + 1]


def framed(message: bytes) -> bytes:
    """``message`` behind its length. OverflowError above ``LONGEST``."""
    return len(message).to_bytes(_PREFIX) + message
