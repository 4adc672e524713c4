# SPDX-License-Identifier: Apache-2.0
"""Passphrase -> PMK -> KCK -> MIC, one row of ``SUITES`` for each AKM and descriptor version. Pure.

IEEE 802.11-2020: sections 12.7.1.2 (PRF), 12.7.1.7.2 (KDF), 12.7.1.3 (pairwise hierarchy), 12.7.1.6 (FT),
J.4 (passphrase to PSK). The arithmetic itself is edged/native/keysearch.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hmac import compare_digest

from edged.mpsk.eapol import FastTransition, KeyMessage
from edged.native.keysearch import CHECKS, NAME, Challenge, derived
from edged.values import Secret

AKM_WPA_PSK, AKM_PSK, AKM_FT_PSK, AKM_PSK_SHA256 = 0x0050F202, 0x000FAC02, 0x000FAC04, 0x000FAC06
_AS_RSN = {AKM_WPA_PSK: AKM_PSK}
"""WPA before 802.11i has its own number for the same AKM; hostapd says that of RSN of both."""
_WIDE_CIPHERS = (0x000FAC09, 0x000FAC0A)
"""GCMP-256 and CCMP-256: their temporal key has 256 bits."""


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


def pmk_of(passphrase: Secret, ssid: str) -> Secret:
    """The PMK of 32 octets; 64 hexadecimal digits are the PMK itself. 3 ms: never in a request's path."""
    return pmks_of([(passphrase, ssid)])[0]


def pmks_of(wanted: Sequence[tuple[Secret, str]]) -> list[Secret]:
    """The PMKs of passphrases, each with its SSID: many at a time are derived many times faster."""
    places: dict[str, list[int]] = {}
    made: list[Secret] = []
    for place, (passphrase, ssid) in enumerate(wanted):
        made.append(passphrase)
        octets = passphrase.reveal()
        if len(octets) == 64:
            made[place] = Secret(bytes.fromhex(octets.decode("ascii")))
        else:
            places.setdefault(ssid, []).append(place)
    for ssid, at in places.items():
        pmks = derived([made[place].reveal() for place in at], ssid.encode())
        for place, pmk in zip(at, pmks, strict=True):
            made[place] = Secret(pmk)
    return made


def challenge_of(handshake: Handshake) -> Challenge | None:
    """What to put candidates to; None when its AKM is not one of ours or request and RSNE disagree."""
    message = handshake.message
    akm = message.akm or handshake.akm
    if handshake.akm not in {None, akm, _AS_RSN.get(akm or 0)}:
        return None
    for name, suite in SUITES.items():
        if suite.version == message.version and (akm in suite.akms or (akm is None and suite.assumed)):
            context = suite.context(handshake)
            return None if context is None else Challenge(name, context, message.unsigned, message.mic)
    return None


def name_of(handshake: Handshake) -> Challenge | None:
    """What finds the key of an FT handshake without its MIC, in a third of the time; None where it bears no name.

    hostapd refuses a station whose PMKR1Name is wrong, whatever its MIC.
    """
    message = handshake.message
    if message.ft is None or message.pmkid is None or message.akm != AKM_FT_PSK or len(handshake.ssid) > 32:
        return None
    block = _kdf_block(b"FT-R0", _r0_data(handshake, message.ft), 384, number=2)
    return Challenge(NAME, (block,), message.ft.r1kh_id + handshake.spa, message.pmkid)


def kck_of(challenge: Challenge, pmk: bytes) -> bytes:
    """The key confirmation key, 16 octets, that ``pmk`` yields in this handshake."""
    kck, _ = CHECKS[challenge.suite]
    return kck(challenge.context, pmk)


def mic_of(challenge: Challenge, pmk: bytes) -> bytes:
    """The MIC that a station with ``pmk`` would have sent."""
    _, mic = CHECKS[challenge.suite]
    return mic(kck_of(challenge, pmk), challenge.frame)


def verifies(challenge: Challenge, pmk: bytes) -> bool:
    """True when ``pmk`` made the MIC of the handshake. Compared in constant time."""
    return compare_digest(mic_of(challenge, pmk), challenge.mic)


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
    return (_kdf_block(_EXPANSION, _pairwise_data(handshake), bits),)


def _kdf_block(label: bytes, data: bytes, bits: int, number: int = 1) -> bytes:
    """One block of KDF-SHA256, ready to be keyed; the length of the whole enters every block."""
    return number.to_bytes(2, "little") + label + data + bits.to_bytes(2, "little")


def _r0_data(handshake: Handshake, ft: FastTransition) -> bytes:
    lengths = bytes((len(handshake.ssid),)), bytes((len(ft.r0kh_id),))
    return lengths[0] + handshake.ssid + ft.mdid + lengths[1] + ft.r0kh_id + handshake.spa


def _ft_context(handshake: Handshake) -> tuple[bytes, ...] | None:
    """PMK to PMK-R0, PMK-R1 and PTK (fixed order, not sorted); None without the mobility elements."""
    ft: FastTransition | None = handshake.message.ft
    if ft is None or len(handshake.ssid) > 32:
        return None
    ptk = handshake.message.snonce + handshake.anonce + handshake.aa + handshake.spa
    return (
        _kdf_block(b"FT-R0", _r0_data(handshake, ft), 384),
        _kdf_block(b"FT-R1", ft.r1kh_id + handshake.spa, 256),
        _kdf_block(b"FT-PTK", ptk, 384),
    )


@dataclass(frozen=True, slots=True)
class Suite:
    """How one kind of handshake is recognised, and what is put to the candidates."""

    version: int
    """Key descriptor version."""
    akms: tuple[int, ...]
    assumed: bool
    """True: taken when neither the RSNE nor the request names an AKM."""
    context: Callable[[Handshake], tuple[bytes, ...] | None]


SUITES: dict[str, Suite] = {
    # TKIP, and WPA before 802.11i: old printers
    "psk-md5": Suite(1, (AKM_PSK, AKM_WPA_PSK), assumed=True, context=_prf_context),
    # WPA2-PSK: nearly everything
    "psk-sha1": Suite(2, (AKM_PSK, AKM_WPA_PSK), assumed=True, context=_prf_context),
    # PSK-SHA256: phones that see it offered beside AKM 2 choose it
    "psk-sha256": Suite(3, (AKM_PSK_SHA256,), assumed=True, context=_kdf_context),
    # FT-PSK: everything that it needs is inside message 2
    "ft-psk": Suite(3, (AKM_FT_PSK,), assumed=False, context=_ft_context),
}
