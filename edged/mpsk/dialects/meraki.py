# SPDX-License-Identifier: Apache-2.0
"""Cisco Meraki: iPSK with RADIUS by MAC address, Easy PSK with the handshake; Tunnel-Password, VLAN trio. Pure.

Layout: the vendor's manual; Easy PSK: an open server's dictionary (29671).
"""

from __future__ import annotations

from dataclasses import replace

from edged.mpsk.dialects.row import Dialect, Observed, block, carries, never, octets_mac, password_and_vlan
from edged.radius.attributes import Attributes
from edged.radius.dictionary import MERAKI as VENDOR

_EASY_PSK = 5
_ANONCE, _FRAME, _BSSID, _SSID = 1, 2, 3, 5
"""Field 4 is the access point's own MAC address, of which nothing is derived."""


def _handshake(attributes: Attributes) -> Observed | None:
    fields = block(attributes, "Meraki-Easy-PSK") or {}
    bssid = octets_mac(fields.get(_BSSID))
    if _ANONCE not in fields or _FRAME not in fields or bssid is None:
        return None
    return Observed(fields[_ANONCE], fields[_FRAME], None, fields.get(_SSID) or None, bssid)


MERAKI_IPSK = Dialect("meraki-ipsk", never, None, password_and_vlan)
MERAKI_EASY_PSK = replace(MERAKI_IPSK, name="meraki-easy-psk", recognises=carries(VENDOR, _EASY_PSK), read=_handshake)
