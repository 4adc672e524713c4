# SPDX-License-Identifier: Apache-2.0
"""The first octets of a TLS client in, its server name out; and the alert for a foreign name. Pure.

RFC 8446 sections 4.1.2, 5.1, 6; RFC 6066 section 3 (server_name). No cryptography.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edged.errors import WireError

MAX_HELLO = 16 * 1024
"""A ClientHello with post-quantum key shares is about 2 KB; ten times that is no browser."""
_MAX_RECORD = 1 << 14
"""RFC 8446 section 5.1: a plaintext record has at most 2^14 octets."""
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0


class Alert(IntEnum):
    """RFC 8446 section 6. Which one matters: some make Chromium show an error and look for no portal."""

    DECODE_ERROR = 50
    INTERNAL_ERROR = 80
    """Chromium and Firefox look for a portal at once and offer its page: tried with both (decision 0007)."""


def alert(description: Alert) -> bytes:
    """A fatal alert as one record; version 3.3, which every client accepts before a ServerHello."""
    return bytes((21, 3, 3, 0, 2, 2, description))


@dataclass(frozen=True, slots=True)
class Hello:
    """What a ClientHello says about where it wants to go."""

    server_name: str
    """Lower case, no final dot; empty: the client named none."""


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The octets so far are the beginning of a ClientHello."""


_NEED_MORE = NeedMore()


class _Short(Exception):  # noqa: N818  # not an error: the reader met the end
    """The octets end inside a field."""


class _Reader:
    """A cursor over octets that never reads past their end."""

    __slots__ = ("_at", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    def take(self, count: int) -> bytes:
        """The next ``count`` octets. _Short when there are fewer."""
        end = self._at + count
        if end > len(self._octets):
            raise _Short
        taken, self._at = self._octets[self._at : end], end
        return taken

    def integer(self, octets: int) -> int:
        """The next integer in network order."""
        return int.from_bytes(self.take(octets), "big")

    def vector(self, length_octets: int) -> bytes:
        """The next vector with its length in front (RFC 8446 section 3.4)."""
        return self.take(self.integer(length_octets))

    @property
    def left(self) -> int:
        """How many octets are unread."""
        return len(self._octets) - self._at


def parse_client_hello(octets: bytes) -> Hello | NeedMore:
    """The ClientHello at the front of ``octets``; NeedMore while it is incomplete. WireError when it is none.

    A ClientHello may be cut into several records at any octet.
    """
    message = _handshake_message(octets)
    if message is None:
        if len(octets) >= MAX_HELLO:
            raise WireError("hello-too-long")
        return _NEED_MORE
    try:
        return _hello(_Reader(message))
    except _Short:
        raise WireError("hello-malformed", alert(Alert.DECODE_ERROR)) from None


def _handshake_message(octets: bytes) -> bytes | None:
    """The body of the first handshake message, joined from its records; None while octets are missing."""
    records, joined = _Reader(octets), bytearray()
    while True:
        if len(joined) >= 4:
            if joined[0] != _CLIENT_HELLO:
                raise WireError("not-a-hello", alert(Alert.DECODE_ERROR))
            length = int.from_bytes(joined[1:4], "big")
            if length > MAX_HELLO:
                raise WireError("hello-too-long")
            if len(joined) >= 4 + length:
                return bytes(joined[4 : 4 + length])
        try:
            if records.integer(1) != _HANDSHAKE or records.integer(1) != 3:
                raise WireError("not-tls")
            records.integer(1)  # the minor version means nothing here (RFC 8446 section 5.1)
            length = records.integer(2)
            if not 1 <= length <= _MAX_RECORD:
                raise WireError("not-tls")
            joined += records.take(length) if length <= records.left else records.take(records.left)
        except _Short:
            return None
        if not records.left and len(joined) < 4:
            return None


def _hello(body: _Reader) -> Hello:
    body.take(2 + 32)  # legacy_version, random
    if len(body.vector(1)) > 32:
        raise WireError("hello-malformed", alert(Alert.DECODE_ERROR))
    body.vector(2)  # cipher_suites
    body.vector(1)  # legacy_compression_methods
    found: dict[int, bytes] = {}
    extensions = _Reader(body.vector(2)) if body.left else _Reader(b"")
    while extensions.left:
        kind, data = extensions.integer(2), extensions.vector(2)
        if kind in found:
            raise WireError("hello-malformed", alert(Alert.DECODE_ERROR))
        found[kind] = data
    return Hello(_server_name(found.get(_SERVER_NAME)))


def _server_name(data: bytes | None) -> str:
    if data is None:
        return ""
    names = _Reader(_Reader(data).vector(2))
    while names.left:
        kind, name = names.integer(1), names.vector(2)
        if kind == 0:
            if not name.isascii() or not 1 <= len(name) <= 255:
                raise WireError("hello-malformed", alert(Alert.DECODE_ERROR))
            return name.decode("ascii").lower().removesuffix(".")
    return ""
