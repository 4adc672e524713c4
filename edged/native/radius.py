# SPDX-License-Identifier: Apache-2.0
"""One RADIUS packet and the shared secret: octets in, verdict or signed octets out. Pure; the twin of datagrams.c.

Here is what is said of a packet, in datagrams.c the same once more, for speed: a hash is a tenth of a microsecond there
and half of one through hashlib. RFC 2865 sections 3 and 5.2, RFC 2868 section 3.5, RFC 3579 section 3.2, RFC 2104.
"""

from __future__ import annotations

import os
from hashlib import md5
from hmac import compare_digest
from typing import Protocol

MIN_LENGTH, MAX_LENGTH = 20, 4096
MAX_ATTRIBUTES = 200
"""As other servers have it: no honest request comes near, and each costs time before anything is verified."""
USER_PASSWORD, PROXY_STATE, EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 2, 33, 79, 80
MARKED = frozenset({USER_PASSWORD, PROXY_STATE, EAP_MESSAGE, MESSAGE_AUTHENTICATOR})
"""Attributes that the codec itself looks at: where they stand is noted."""
HASHED = frozenset({4, 40, 43})
"""Codes whose Request Authenticator is a hash: Accounting-, Disconnect- and CoA-Request."""
MAX_PASSWORD = 128

ABSENT, VALID, INVALID = 0, 1, 2
"""What the Message-Authenticator says. INVALID: wrong, of another length than 18, or more than one."""

_BLOCK = 16
_MD5_BLOCK = 64
_ZERO = bytes(16)
_SIGNED = bytes((MESSAGE_AUTHENTICATOR, 18))
_IPAD, _OPAD = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))

Opened = tuple[list[int], bool, int, tuple[bytes, ...] | None, bytes, bytes]
"""Where the ``MARKED`` attributes begin; whether the Request Authenticator is right, or random; the word on the
Message-Authenticator; each User-Password in clear, None when one cannot be; the Proxy-State attributes; and the
constant part: every attribute but the marked ones other than EAP-Message, then the passwords in clear, so that the same
question has the same octets (empty when a password cannot be)."""
Sealed = tuple[bytes, bytes]
"""An attribute up to its salt, and its padded plaintext, a multiple of 16 octets."""
Piece = bytes | Sealed


class Shared(Protocol):
    """A shared secret, made ready for every packet of its client."""

    def __init__(self, secret: bytes, /) -> None: ...

    def open(self, octets: bytes, /) -> Opened | str:
        """What there is to know of one datagram, padding and all; a word for what is malformed."""
        ...

    def reply(
        self,
        head: bytes,
        authenticator: bytes,
        pieces: list[Piece],
        salts: bytes,
        signed: bool,  # noqa: FBT001  # the C file takes no keywords
        /,
    ) -> bytes:
        """The reply with that code and identifier to the request with that authenticator.

        ``salts``: two octets for each Sealed. ``signed``: a Message-Authenticator stands first of all attributes, so
        that no chosen prefix can stand before it (CVE-2024-3596). ValueError when it is longer than RFC 2865 allows.
        """
        ...


def marks_of(octets: bytes, longest: int = MAX_LENGTH) -> list[int] | str:
    """Where each of ``MARKED`` begins; a word for what is malformed. Octets after the packet's length are padding.

    ``longest``: octets that a packet may have; on a stream more than in a datagram (RFC 7930).
    """
    if len(octets) < MIN_LENGTH:
        return "short"
    end = octets[2] << 8 | octets[3]
    if not MIN_LENGTH <= end <= longest:
        return "bad-length"
    if end > len(octets):
        return "truncated"
    marks, position, count = [], MIN_LENGTH, 0
    while position + 1 < end:
        if octets[position] in MARKED:
            marks.append(position)
        length = octets[position + 1]
        if length < 2:
            return "bad-attribute"
        position += length
        count += 1
    if position != end:
        return "bad-attribute"
    return marks if count <= MAX_ATTRIBUTES else "too-many-attributes"


def states_of(octets: bytes, marks: list[int]) -> bytes:
    """The Proxy-State attributes, in order."""
    return b"".join([octets[at : at + octets[at + 1]] for at in marks if octets[at] == PROXY_STATE])


def _constant(octets: bytes, marks: list[int], end: int, passwords: tuple[bytes, ...]) -> bytes:
    start, parts = MIN_LENGTH, []
    for at in marks:
        if octets[at] != EAP_MESSAGE:
            parts.append(octets[start:at])
            start = at + octets[at + 1]
    parts.append(octets[start:end])
    for password in passwords:
        parts += (bytes((USER_PASSWORD, len(password) + 2)), password)
    return b"".join(parts)


class Portable:
    """The twin: MD5 states of all that begins with the secret, made once and copied for every packet."""

    __slots__ = ("_inner", "_outer", "_prefix", "_secret")

    def __init__(self, secret: bytes, /) -> None:
        key = (md5(secret).digest() if len(secret) > _MD5_BLOCK else secret).ljust(_MD5_BLOCK, b"\0")
        self._inner, self._outer = md5(key.translate(_IPAD)), md5(key.translate(_OPAD))
        self._prefix, self._secret = md5(secret), secret

    def __repr__(self) -> str:
        return "Portable(***)"

    def open(self, octets: bytes, longest: int = MAX_LENGTH, /) -> Opened | str:
        """As ``Shared``; ``longest`` as ``marks_of``."""
        marks = marks_of(octets, longest)
        if isinstance(marks, str):
            return marks
        end = octets[2] << 8 | octets[3]
        hashed = octets[0] in HASHED
        authentic = not hashed or compare_digest(self._behind(octets[:4] + _ZERO + octets[20:end]), octets[4:20])
        signature = self._signature(octets, marks, end, hashed=hashed)
        passwords = self._passwords(octets, marks)
        constant = b"" if passwords is None else _constant(octets, marks, end, passwords)
        return marks, authentic, signature, passwords, states_of(octets, marks), constant

    def _signature(self, octets: bytes, marks: list[int], end: int, *, hashed: bool) -> int:
        found = 0
        for at in marks:
            if octets[at] == MESSAGE_AUTHENTICATOR:
                if found or octets[at + 1] != 18:
                    return INVALID
                found = at + 2
        if not found:
            return ABSENT
        before = octets[:4] + _ZERO + octets[MIN_LENGTH:found] if hashed else octets[:found]
        mac = self._mac(before + _ZERO + octets[found + 16 : end])
        return VALID if compare_digest(mac, octets[found : found + 16]) else INVALID

    def _passwords(self, octets: bytes, marks: list[int]) -> tuple[bytes, ...] | None:
        found = []
        for at in marks:
            if octets[at] == USER_PASSWORD:
                length = octets[at + 1] - 2
                if not _BLOCK <= length <= MAX_PASSWORD or length % _BLOCK:
                    return None
                previous, clear = octets[4:20], b""
                for position in range(at + 2, at + 2 + length, _BLOCK):
                    block = octets[position : position + _BLOCK]
                    clear += _xor(block, self._before(previous))
                    previous = block
                found.append(clear.rstrip(b"\0"))
        return tuple(found)

    def reply(
        self,
        head: bytes,
        authenticator: bytes,
        pieces: list[Piece],
        salts: bytes,
        signed: bool,  # noqa: FBT001  # the C file takes no keywords
        /,
    ) -> bytes:
        """As ``Shared``."""
        body, sealed = b"", 0
        for piece in pieces:
            if isinstance(piece, bytes):
                body += piece
            else:
                body += self._hidden(piece, authenticator, salts[sealed : sealed + 2])
                sealed += 2
        length = MIN_LENGTH + len(body) + (18 if signed else 0)
        if length > MAX_LENGTH:
            raise ValueError(f"a packet has at most {MAX_LENGTH} octets, not {length}")
        head += length.to_bytes(2, "big")
        if signed:
            body = _SIGNED + self._mac(head + authenticator + _SIGNED + _ZERO + body) + body
        return head + self._behind(head + authenticator + body) + body

    def _hidden(self, sealed: Sealed, authenticator: bytes, salt: bytes) -> bytes:
        """Each block XOR MD5(secret, the ciphertext before it)."""
        done, plain = sealed[0] + salt, sealed[1]
        previous = authenticator + salt
        for position in range(0, len(plain), _BLOCK):
            previous = _xor(plain[position : position + _BLOCK], self._before(previous))
            done += previous
        return done

    def _mac(self, octets: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(octets)
        outer.update(inner.digest())
        return outer.digest()

    def _before(self, octets: bytes) -> bytes:
        state = self._prefix.copy()
        state.update(octets)
        return state.digest()

    def _behind(self, octets: bytes) -> bytes:
        return md5(octets + self._secret).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(_BLOCK, "big")


def _compiled() -> type[Shared] | None:
    if os.environ.get("EDGED_NATIVE") == "0":
        return None
    try:
        from edged.native._datagrams import Shared as Compiled
    except ImportError:
        return None
    return Compiled


COMPILED = _compiled()
"""The C file's; None where it was not built, or where EDGED_NATIVE=0 says to do without."""


def ready(secret: bytes) -> Shared:
    """``secret`` in the compiled one where there is one."""
    return (COMPILED or Portable)(secret)
