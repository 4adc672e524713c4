# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: AES-256-GCM-SIV (RFC 8452), each value bound to its row. Octets in, octets out. Pure.

Layout: version (1 octet, 0x01) | nonce (12) | ciphertext and tag. A nonce repeated after a restored backup reveals
equality of two values and nothing more; that is what the SIV construction is for.
"""

from __future__ import annotations

import os
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from edged.errors import UpstreamError
from edged.values import Secret

KEY_OCTETS = 32
_VERSION = b"\x01"
_NONCE_OCTETS = 12


class Seal:
    """Seals secrets with one key; opens what that key or an older one sealed."""

    __slots__ = ("_cipher", "_older")

    def __init__(self, key: Secret, *older: Secret) -> None:
        if any(len(each) != KEY_OCTETS for each in (key, *older)):
            raise ValueError(f"a sealing key has {KEY_OCTETS} octets")
        self._cipher = AESGCMSIV(key.reveal())
        self._older = tuple(AESGCMSIV(each.reveal()) for each in older)

    @property
    def newest(self) -> Seal:
        """The same without its older keys."""
        alone = object.__new__(Seal)
        alone._cipher, alone._older = self._cipher, ()
        return alone

    def close(self, secret: Secret, place: str) -> bytes:
        """``secret`` sealed for ``place`` (table, column and row id), so that it opens nowhere else."""
        nonce = os.urandom(_NONCE_OCTETS)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret.reveal(), place.encode())

    def open(self, sealed: bytes, place: str) -> Secret:
        """The secret sealed for ``place``. UpstreamError when the key, the place or the octets are wrong."""
        if sealed[:1] != _VERSION:
            raise UpstreamError(f"sealed value of {place} has an unknown version")
        nonce, ciphertext = sealed[1 : 1 + _NONCE_OCTETS], sealed[1 + _NONCE_OCTETS :]
        for cipher in (self._cipher, *self._older):
            with suppress(InvalidTag, ValueError):
                return Secret(cipher.decrypt(nonce, ciphertext, place.encode()))
        raise UpstreamError(f"sealed value of {place} does not open: another sealing key, or a damaged row")
