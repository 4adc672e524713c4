# SPDX-License-Identifier: Apache-2.0
"""PMKs and a handshake -> the place of the one that made its MIC; passphrases -> PMKs: the twin of keysearch.c. Pure.

Of FT, also the place of the PMK that made the PMKR1Name (IEEE 802.11-2020, sections 12.7.1.6.3 and 12.7.1.6.4).

``prepared`` and ``derived`` take the compiled part where there is one; the twin does the same with the standard library
and AES-CMAC of ``cryptography``. IEEE 802.11-2020, sections 12.7.1.2 (PRF), 12.7.1.7.2 (KDF), 12.7.3 (MICs), J.4;
RFC 4493 (AES-CMAC).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac, sha256
from hmac import compare_digest, digest
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

MISS = -1
PMK_OCTETS = 32
ROUNDS = 4096
"""Of PBKDF2 (IEEE 802.11-2020, J.4.1)."""
_SSID = 32
_BLOCK = 64
"""Octets of an HMAC key; zeros behind a shorter one change nothing."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A handshake boiled down to what every candidate PMK is put to; goes to another process as it is."""

    suite: str
    """A key of ``CHECKS``."""
    context: tuple[bytes, ...]
    """What HMAC is taken of, in turn, under the PMK and then under each result; at most 1,024 octets each."""
    frame: bytes = field(repr=False)
    """Its MIC field zero; at most 1,024 octets. Of ``ft-name``: R1KH-ID and station address."""
    mic: bytes = field(repr=False)
    """16 octets. Of ``ft-name``: PMKR1Name."""


class Candidates(Protocol):
    """PMKs made ready to be searched. Immutable."""

    def __len__(self) -> int: ...

    def search(self, challenge: Challenge, /) -> int:
        """Place of the first PMK that made the MIC; MISS when none did."""
        ...


def kck_sha1(context: tuple[bytes, ...], pmk: bytes) -> bytes:
    """PRF-SHA1: the key of confirmation is within its block 0."""
    return digest(pmk, context[0], "sha1")[:16]


def kck_sha256(context: tuple[bytes, ...], pmk: bytes) -> bytes:
    """KDF-SHA256: the first block of each derivation is all that the next one needs."""
    for message in context:
        pmk = digest(pmk, message, "sha256")
    return pmk[:16]


def mic_md5(kck: bytes, frame: bytes) -> bytes:
    """HMAC-MD5."""
    return digest(kck, frame, "md5")


def mic_sha1(kck: bytes, frame: bytes) -> bytes:
    """HMAC-SHA1, its first 16 octets."""
    return digest(kck, frame, "sha1")[:16]


def mic_cmac(kck: bytes, frame: bytes) -> bytes:
    """AES-128-CMAC."""
    cmac = CMAC(AES(kck))
    cmac.update(frame)
    return cmac.finalize()


def pmk_r1_name(salt: bytes, holder_and_station: bytes) -> bytes:
    """PMK-R0Name-Salt, the first 16 octets of the KDF's second block, to PMKR0Name and PMKR1Name."""
    pmk_r0_name = sha256(b"FT-R0N" + salt).digest()[:16]
    return sha256(b"FT-R1N" + pmk_r0_name + holder_and_station).digest()[:16]


NAME = "ft-name"
"""No handshake by itself: the quick way to the key of one that is ``ft-psk``, whose MIC is checked after it."""
CHECKS: dict[str, tuple[Callable[[tuple[bytes, ...], bytes], bytes], Callable[[bytes, bytes], bytes]]] = {
    "psk-md5": (kck_sha1, mic_md5),
    "psk-sha1": (kck_sha1, mic_sha1),
    "psk-sha256": (kck_sha256, mic_cmac),
    "ft-psk": (kck_sha256, mic_cmac),
    NAME: (kck_sha256, pmk_r1_name),
}
"""By suite: context and PMK to the key of confirmation; that and the frame to the MIC. In the order of keysearch.c."""
_NUMBERS = {suite: number for number, suite in enumerate(CHECKS)}
_HMAC_SHA1 = ("psk-md5", "psk-sha1")
"""Their keys are derived with SHA-1, those of the others with SHA-256."""


@dataclass(frozen=True, slots=True, repr=False)
class Portable:
    """The twin: 32 octets a key."""

    pmks: bytes

    def __len__(self) -> int:
        return len(self.pmks) // PMK_OCTETS

    def search(self, challenge: Challenge, /) -> int:
        """About 3 us a key (bench/key_search.py); the interpreter lock is held."""
        if challenge.suite == "psk-sha1":
            return self._search_psk_sha1(challenge)
        kck, mic = CHECKS[challenge.suite]
        for index in range(len(self)):
            pmk = self.pmks[index * PMK_OCTETS : (index + 1) * PMK_OCTETS]
            if compare_digest(mic(kck(challenge.context, pmk), challenge.frame), challenge.mic):
                return index
        return MISS

    def _search_psk_sha1(self, challenge: Challenge) -> int:
        """The loop above with its calls written out: nearly every handshake takes it, a call costs a tenth."""
        (message,), frame, wanted, pmks = challenge.context, challenge.frame, challenge.mic, self.pmks
        for index in range(len(self)):
            position = index * PMK_OCTETS
            kck = digest(pmks[position : position + PMK_OCTETS], message, "sha1")[:16]
            if compare_digest(digest(kck, frame, "sha1")[:16], wanted):
                return index
        return MISS


@dataclass(frozen=True, slots=True, repr=False)
class Compiled:
    """The states of HMAC-SHA1 and HMAC-SHA256 under each PMK: 40 and 64 octets a key."""

    kernel: str
    count: int
    sha1: bytes
    sha256: bytes

    @classmethod
    def of(cls, pmks: bytes, kernel: str) -> Compiled:
        """The states of ``pmks``: 0.3 us a key, the interpreter lock let go of. ``kernel``: one that runs here."""
        from edged.native._keysearch import prepare

        sha1, sha256 = (prepare(kernel, _NUMBERS[suite], pmks) for suite in ("psk-sha1", "psk-sha256"))
        return cls(kernel, len(pmks) // PMK_OCTETS, sha1, sha256)

    def __len__(self) -> int:
        return self.count

    def search(self, challenge: Challenge, /) -> int:
        """About 0.1 us a key, the interpreter lock let go of."""
        from edged.native._keysearch import search

        states = self.sha1 if challenge.suite in _HMAC_SHA1 else self.sha256
        return search(
            self.kernel, _NUMBERS[challenge.suite], states, 0, self.count,
            challenge.context, challenge.frame, challenge.mic,
        )  # fmt: skip


def kernels() -> tuple[str, ...]:
    """The names of the compiled kernels that run on this machine, the widest first; none: it was not built."""
    try:
        from edged.native._keysearch import KERNELS
    except ImportError:
        return ()
    return tuple(KERNELS)


KERNEL = next(iter(kernels()), "") if os.environ.get("EDGED_NATIVE") != "0" else ""
"""The one in use; empty where there is none, or where EDGED_NATIVE=0 says to do without."""


def prepared(pmks: bytes) -> Candidates:
    """``pmks``, 32 octets each, ready to be searched in the fastest way there is."""
    return Compiled.of(pmks, KERNEL) if KERNEL else Portable(pmks)


def derived(passphrases: Sequence[bytes], ssid: bytes) -> list[bytes]:
    """The PMK of each passphrase: 0.15 ms each compiled, 3 ms without; the lock is let go of."""
    if not KERNEL or len(ssid) > _SSID or max(map(len, passphrases), default=0) > _BLOCK:
        return [pbkdf2_hmac("sha1", passphrase, ssid, ROUNDS, PMK_OCTETS) for passphrase in passphrases]
    from edged.native._keysearch import derive

    octets = derive(KERNEL, b"".join(passphrase.ljust(_BLOCK, b"\0") for passphrase in passphrases), ssid)
    return [octets[at : at + PMK_OCTETS] for at in range(0, len(octets), PMK_OCTETS)]
