# SPDX-License-Identifier: Apache-2.0
"""EAPOL-Key message 2 octets -> ``KeyMessage``: nonce, MIC, AKM. Pure; WireError for any other octets.

IEEE 802.11-2020: sections 12.7.2 (EAPOL-Key frames), 9.4.2.24 (RSNE), 9.4.2.46 (MDE), 9.4.2.47 (FTE).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.errors import WireError

MAX_FRAME = 1024
"""A plain message 2 has about 121 octets, one of FT-PSK 260; every candidate costs a MIC over all of it."""

_HEADER = 4
_MIC = slice(81, 97)
_KEY_DATA = 99
_EAPOL_KEY = 3
_DESCRIPTORS = (0x02, 0xFE)
"""RSN, and WPA as it was before 802.11i."""

_PAIRWISE, _INSTALL, _ACK, _SIGNED, _SECURE = 0x0008, 0x0040, 0x0080, 0x0100, 0x0200

_RSNE, _MDE, _FTE, _VENDOR = 48, 54, 55, 221
_WPA_ELEMENT = b"\x00\x50\xf2\x01"
_FTE_FIXED = 82
"""MIC control (2), MIC (16), ANonce (32), SNonce (32) stand before the sub-elements."""


@dataclass(frozen=True, slots=True)
class FastTransition:
    """What the FT key hierarchy needs, all of it inside message 2 (IEEE 802.11-2020, section 12.7.1.6)."""

    mdid: bytes
    r0kh_id: bytes
    r1kh_id: bytes


@dataclass(frozen=True, slots=True)
class KeyMessage:
    """Message 2 of a 4-way handshake."""

    version: int
    """Key descriptor version, 0 to 7: which MIC."""
    snonce: bytes
    mic: bytes = field(repr=False)
    unsigned: bytes = field(repr=False)
    """The frame, padding cut off, its MIC field zero: what the MIC is computed over."""
    akm: int | None = None
    """The AKM suite of the RSNE, for example 0x000fac02; None when it has none."""
    pairwise: int | None = None
    """The pairwise cipher suite of the RSNE."""
    ft: FastTransition | None = None
    pmkid: bytes | None = field(default=None, repr=False)
    """The one PMKID of the RSNE, 16 octets: of an FT station PMKR1Name; None: none or several."""


def parse_message_2(frame: bytes) -> KeyMessage:
    """The message 2 in ``frame``. WireError with its fault otherwise."""
    if len(frame) > MAX_FRAME:
        raise WireError("eapol-long")
    if len(frame) < _KEY_DATA or frame[1] != _EAPOL_KEY:
        raise WireError("eapol-short" if len(frame) < _KEY_DATA else "eapol-type")
    end = _HEADER + int.from_bytes(frame[2:4], "big")
    if end > len(frame) or end < _KEY_DATA or int.from_bytes(frame[97:99], "big") != end - _KEY_DATA:
        raise WireError("eapol-length")
    if frame[4] not in _DESCRIPTORS:
        raise WireError("eapol-descriptor")
    information = int.from_bytes(frame[5:7], "big")
    snonce = frame[17:49]
    if not _is_message_2(information, has_data=end > _KEY_DATA) or not any(snonce):
        raise WireError("eapol-not-message-2")
    found = _elements(frame[_KEY_DATA:end])
    pairwise, akm, pmkid = _suites(found)
    return KeyMessage(
        version=information & 0x0007,
        snonce=snonce,
        mic=frame[_MIC],
        unsigned=frame[: _MIC.start] + bytes(16) + frame[_MIC.stop : end],
        akm=akm,
        pairwise=pairwise,
        ft=_fast_transition(found),
        pmkid=pmkid,
    )


def _is_message_2(information: int, *, has_data: bool) -> bool:
    """Message 4 is told from it by Secure without key data; some forward a message 2 with Secure set."""
    wanted = _PAIRWISE | _SIGNED
    if information & (wanted | _ACK | _INSTALL) != wanted:
        return False
    return has_data or not information & _SECURE


def _elements(data: bytes) -> dict[int, bytes]:
    """The elements we read, the first of each; what does not fit ends the list: the MIC is the judge."""
    found: dict[int, bytes] = {}
    position = 0
    while position + 2 <= len(data):
        number, length = data[position], data[position + 1]
        body = data[position + 2 : position + 2 + length]
        if len(body) < length:
            break
        if number == _VENDOR and body.startswith(_WPA_ELEMENT):
            # the same fields as the RSNE, after the vendor's type
            found.setdefault(_RSNE, body[4:])
        elif number in {_RSNE, _MDE, _FTE}:
            found.setdefault(number, body)
        position += 2 + length
    return found


def _suites(found: dict[int, bytes]) -> tuple[int | None, int | None, bytes | None]:
    """The first pairwise cipher and the first AKM; a station names exactly one of each. Its PMKID, if it has one."""
    rsne = found.get(_RSNE, b"")
    pairwise, rest = _suite_list(rsne[6:])
    akm, rest = _suite_list(rest)
    # capabilities (2) stand before the count
    pmkid = rest[4:20] if rest[2:4] == b"\x01\x00" and len(rest) >= 20 else None
    return pairwise, akm, pmkid


def _suite_list(octets: bytes) -> tuple[int | None, bytes]:
    count = int.from_bytes(octets[:2], "little")
    end = 2 + 4 * count
    if count == 0 or end > len(octets):
        return None, b""
    return int.from_bytes(octets[2:6], "big"), octets[end:]


def _fast_transition(found: dict[int, bytes]) -> FastTransition | None:
    mde, fte = found.get(_MDE, b""), found.get(_FTE, b"")
    holders: dict[int, bytes] = {}
    position = _FTE_FIXED
    while position + 2 <= len(fte):
        length = fte[position + 1]
        holders.setdefault(fte[position], fte[position + 2 : position + 2 + length])
        position += 2 + length
    r1kh_id, r0kh_id = holders.get(1, b""), holders.get(3, b"")
    if len(mde) != 3 or len(r1kh_id) != 6 or not 1 <= len(r0kh_id) <= 48:
        return None
    return FastTransition(mde[:2], r0kh_id, r1kh_id)
