# SPDX-License-Identifier: Apache-2.0
"""Cisco iPSK (9800, AireOS) by MAC address, EasyPSK (9800) with the handshake; the key in clear text. Pure.

Layout: the vendor's configuration guides; EasyPSK: an open server for it. An AVPair is ``name=`` and octets: those of
EasyPSK are binary, and the last one may be zero. Nothing in a request tells iPSK from other MAC authentication.
"""

from __future__ import annotations

from dataclasses import replace

from edged.mpsk.dialects.row import AUDIT_SESSION, Dialect, Observed, Written, never, vlan_trio
from edged.mpsk.outcome import Accept, Reason, Reject
from edged.radius.attributes import Attributes, attribute, values
from edged.radius.dictionary import CISCO as VENDOR
from edged.radius.dictionary import VENDOR_SPECIFIC
from edged.values import parse_mac

_SSID, _BSSID = b"cisco-wlan-ssid=", b"cisco-bssid="
_ANONCE, _FRAME = b"cisco-anonce=", b"cisco-8021x-data="
_CAUSE = b"cisco-easy-psk-error-cause=%d"
_UNSPECIFIED, _NO_MATCH, _BAD_FRAME, _MISSING = 1, 2, 5, 6


def _carries_handshake(attributes: Attributes) -> bool:
    """Also in a block that is malformed: a broken handshake must never pass for a MAC authentication."""
    header = VENDOR.to_bytes(4, "big")
    return any(
        kind == VENDOR_SPECIFIC and value[:4] == header and (_ANONCE in value or _FRAME in value)
        for kind, value in attributes
    )


def _said(attributes: Attributes, name: bytes) -> list[bytes]:
    """What stands behind ``name``, in order."""
    return [pair[len(name) :] for pair in values(attributes, "Cisco-AVPair") if pair.startswith(name)]


def _ssid(attributes: Attributes) -> bytes | None:
    return next(iter(_said(attributes, _SSID)), None) or None


def _handshake(attributes: Attributes) -> Observed | None:
    """The MAC address in Called-Station-Id is the access point's, not the radio's: the BSSID must be named."""
    anonces, frame = _said(attributes, _ANONCE), b"".join(_said(attributes, _FRAME))
    bssids = _said(attributes, _BSSID)
    if len(anonces) != 1 or len(bssids) != 1 or not frame:
        return None
    try:
        bssid = parse_mac(bssids[0].decode("ascii"))
    except ValueError:
        return None
    return Observed(anonces[0], frame, None, _ssid(attributes), bssid)


def write_pairs(accept: Accept) -> Written:
    """``psk-mode`` and ``psk`` in clear text, and the VLAN trio."""
    if accept.key is None:
        return vlan_trio(accept.vlan)
    passphrase = accept.key.key.passphrase.reveal()
    mode = b"hex" if len(passphrase) == 64 else b"ascii"
    return (
        attribute("Cisco-AVPair", b"psk-mode=" + mode),
        attribute("Cisco-AVPair", b"psk=" + passphrase),
        *vlan_trio(accept.vlan),
    )


def _refuse(reject: Reject) -> Written:
    match reject.reason:
        case Reason.NO_MATCH:
            cause = _NO_MATCH
        case Reason.BAD_HANDSHAKE:
            cause = _BAD_FRAME if reject.detail else _MISSING
        case _:
            cause = _UNSPECIFIED
    return (attribute("Cisco-AVPair", _CAUSE % cause),)


CISCO_IPSK = Dialect(
    "cisco-ipsk", never, None, write_pairs, ssid=_ssid,
    session=("Calling-Station-Id", AUDIT_SESSION),
    reauthenticates=(attribute("Cisco-AVPair", b"subscriber:command=reauthenticate"),),
)  # fmt: skip
CISCO_EASY_PSK = replace(
    CISCO_IPSK, name="cisco-easy-psk", recognises=_carries_handshake, read=_handshake, refuse=_refuse
)
