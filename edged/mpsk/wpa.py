# SPDX-License-Identifier: Apache-2.0
"""Passphrase -> PMK -> KCK -> MIC, one row of ``SUITES`` for each AKM and descriptor version. Pure.

IEEE 802.11-2020: sections 12.7.1.2 (PRF), 12.7.1.7.2 (KDF), 12.7.1.3 (pairwise hierarchy), 12.7.1.6 (FT),
12.7.3 (MICs), J.4 (passphrase to PSK). RFC 4493 (AES-CMAC).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from edged.mpsk.eapol import FastTransition, KeyMessage
from edged.values import Secret

AKM_WPA_PSK, AKM_PSK, AKM_FT_PSK, AKM_PSK_SHA256 = 0x0050F202, 0x000FAC02, 0x000FAC04, 0x000FAC06
_WIDE_CIPHERS = (0x000FAC09, 0x000FAC0A)
"""GCMP-256 and CCMP-256: their temporal key has 256 bits."""
PMK_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Handshake:
    """What an access point tells of one 4-way handshake."""

    aa: bytes
    """Authenticator's address, the BSSID: 6 octets."""
    spa: bytes
    """Supplicant's address: 6 octets."""
    anonce: bytes
    """32 octets."""
    message: KeyMessage
    ssid: bytes
    akm: int | None = None
    """WLAN-AKM-Suite of the request (RFC 7268); None: it named none."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A handshake boiled down to what every candidate PMK is put to; goes to another process as it is."""

    suite: str
    """A key of ``SUITES``."""
    context: tuple[bytes, ...]
    """The messages of the key derivation, in order."""
    frame: bytes = field(repr=False)
    mic: bytes = field(repr=False)


def pmk_of(passphrase: Secret, ssid: str) -> Secret:
    """The PMK of 32 octets; 64 hexadecimal digits are the PMK itself. 3 ms: never in a request's path."""
    octets = passphrase.reveal()
    if len(octets) == 64:
        return Secret(bytes.fromhex(octets.decode("ascii")))
    return Secret(pbkdf2_hmac("sha1", octets, ssid.encode(), 4096, PMK_OCTETS))


def challenge_of(handshake: Handshake) -> Challenge | None:
    """What to put candidates to; None when its AKM is not one of ours or request and RSNE disagree."""
    message = handshake.message
    akm = message.akm or handshake.akm
    if handshake.akm not in {None, akm}:
        return None
    for name, suite in SUITES.items():
        if suite.version == message.version and (akm in suite.akms or (akm is None and suite.assumed)):
            context = suite.context(handshake)
            return None if context is None else Challenge(name, context, message.unsigned, message.mic)
    return None


def kck_of(challenge: Challenge, pmk: bytes) -> bytes:
    """The key confirmation key, 16 octets, that ``pmk`` yields in this handshake."""
    return SUITES[challenge.suite].kck(challenge.context, pmk)


def verifies(challenge: Challenge, pmk: bytes) -> bool:
    """True when ``pmk`` made the MIC of the handshake. Compared in constant time."""
    suite = SUITES[challenge.suite]
    return hmac.compare_digest(suite.mic(suite.kck(challenge.context, pmk), challenge.frame), challenge.mic)


def prf_sha1(key: bytes, context: tuple[bytes, ...]) -> bytes:
    """The first 16 octets of PRF-SHA1: its block 0 alone is needed."""
    return hmac.digest(key, context[0], "sha1")[:16]


def kdf_sha256(key: bytes, label: bytes, data: bytes, bits: int) -> bytes:
    """KDF-SHA256 of ``bits`` bits; the length enters every block."""
    total = bits.to_bytes(2, "little")
    blocks = range(1, -(-bits // 256) + 1)
    stream = b"".join(hmac.digest(key, i.to_bytes(2, "little") + label + data + total, "sha256") for i in blocks)
    return stream[: bits // 8]


def mic_md5(kck: bytes, frame: bytes) -> bytes:
    """HMAC-MD5."""
    return hmac.digest(kck, frame, "md5")


def mic_sha1(kck: bytes, frame: bytes) -> bytes:
    """HMAC-SHA1, its first 16 octets."""
    return hmac.digest(kck, frame, "sha1")[:16]


def mic_cmac(kck: bytes, frame: bytes) -> bytes:
    """AES-128-CMAC."""
    cmac = CMAC(AES(kck))
    cmac.update(frame)
    return cmac.finalize()


def _pairwise_data(handshake: Handshake) -> bytes:
    """Addresses and nonces, the smaller of each first, as unsigned octet strings."""
    addresses = sorted((handshake.aa, handshake.spa))
    nonces = sorted((handshake.anonce, handshake.message.snonce))
    return b"".join((*addresses, *nonces))


_EXPANSION = b"Pairwise key expansion"


def _prf_context(handshake: Handshake) -> tuple[bytes, ...] | None:
    return (_EXPANSION + b"\0" + _pairwise_data(handshake) + b"\0",)


def _kdf_context(handshake: Handshake) -> tuple[bytes, ...] | None:
    """Block 1 of the KDF, ready to be keyed: KCK 128, KEK 128 and the temporal key make its length."""
    bits = 512 if handshake.message.pairwise in _WIDE_CIPHERS else 384
    total = bits.to_bytes(2, "little")
    return (b"\x01\x00" + _EXPANSION + _pairwise_data(handshake) + total,)


def _kdf_kck(context: tuple[bytes, ...], pmk: bytes) -> bytes:
    return hmac.digest(pmk, context[0], "sha256")[:16]


def _ft_context(handshake: Handshake) -> tuple[bytes, ...] | None:
    """The data of R0, R1 and PTK (fixed order, not sorted); None without the mobility elements."""
    ft: FastTransition | None = handshake.message.ft
    if ft is None or len(handshake.ssid) > 32:
        return None
    r0 = bytes((len(handshake.ssid),)) + handshake.ssid + ft.mdid + bytes((len(ft.r0kh_id),)) + ft.r0kh_id
    ptk = handshake.message.snonce + handshake.anonce + handshake.aa + handshake.spa
    return r0 + handshake.spa, ft.r1kh_id + handshake.spa, ptk


def _ft_kck(context: tuple[bytes, ...], pmk: bytes) -> bytes:
    r0, r1, ptk = context
    pmk_r0 = kdf_sha256(pmk, b"FT-R0", r0, 384)[:32]
    pmk_r1 = kdf_sha256(pmk_r0, b"FT-R1", r1, 256)
    return kdf_sha256(pmk_r1, b"FT-PTK", ptk, 384)[:16]


def _prf_kck(context: tuple[bytes, ...], pmk: bytes) -> bytes:
    return prf_sha1(pmk, context)


@dataclass(frozen=True, slots=True)
class Suite:
    """How one kind of handshake is checked."""

    version: int
    """Key descriptor version."""
    akms: tuple[int, ...]
    assumed: bool
    """True: taken when neither the RSNE nor the request names an AKM."""
    context: Callable[[Handshake], tuple[bytes, ...] | None]
    kck: Callable[[tuple[bytes, ...], bytes], bytes]
    mic: Callable[[bytes, bytes], bytes]
    cost: int = 1
    """Time of one candidate in units of ``psk-sha1`` (bench/key_search.py), rounded up."""


SUITES: dict[str, Suite] = {
    # TKIP, and WPA before 802.11i: old printers
    "psk-md5": Suite(1, (AKM_PSK, AKM_WPA_PSK), assumed=True, context=_prf_context, kck=_prf_kck, mic=mic_md5),
    # WPA2-PSK: nearly everything
    "psk-sha1": Suite(2, (AKM_PSK, AKM_WPA_PSK), assumed=True, context=_prf_context, kck=_prf_kck, mic=mic_sha1),
    # PSK-SHA256: phones that see it offered beside AKM 2 choose it
    "psk-sha256": Suite(3, (AKM_PSK_SHA256,), assumed=True, context=_kdf_context, kck=_kdf_kck, mic=mic_cmac, cost=2),
    # FT-PSK: everything that it needs is inside message 2
    "ft-psk": Suite(3, (AKM_FT_PSK,), assumed=False, context=_ft_context, kck=_ft_kck, mic=mic_cmac, cost=6),
}
