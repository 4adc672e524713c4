# SPDX-License-Identifier: Apache-2.0
"""Ruckus external DPSK: with the handshake (unbound) and by MAC address (bound); the key is the PMK. Pure.

Layout: the vendor's dictionary (25053), open servers tested on SmartZone, Unleashed and Ruckus One. RFC 2548 section
2.4.3. The block fits one attribute only while message 2 is short: 802.11r must be off.
"""

from __future__ import annotations

from dataclasses import replace

from edged.mpsk.dialects.row import Dialect, Observed, Written, block, carries, octets_mac, of_vendor, vlan_trio
from edged.mpsk.outcome import Accept
from edged.radius.attributes import Attributes, attribute, first
from edged.radius.dictionary import RUCKUS as VENDOR
from edged.radius.packet import Hidden

_PARAMETERS = 153
_AKM, _ANONCE, _FRAME = 1, 3, 4
"""Field 2, the cipher, is in the frame too."""
_BOUND = b"\0"
"""Begins a DPSK that is a PMK."""


def _ssid(attributes: Attributes) -> bytes | None:
    """Of the radio; Called-Station-Id may have the zone's name for it."""
    return first(attributes, "Ruckus-SSID") or None


def _handshake(attributes: Attributes) -> Observed | None:
    fields = block(attributes, "Ruckus-DPSK-Params") or {}
    if _ANONCE not in fields or _FRAME not in fields:
        return None
    named = first(attributes, "Ruckus-BSSID")
    bssid = octets_mac(named)
    if named is not None and bssid is None:
        return None
    suite = fields.get(_AKM, b"")
    akm = int.from_bytes(suite, "big") if len(suite) == 4 else None
    return Observed(fields[_ANONCE], fields[_FRAME], akm, _ssid(attributes), bssid)


def _write_unbound(accept: Accept) -> Written:
    pmk = accept.key and accept.key.pmk
    return (*((Hidden("MS-MPPE-Recv-Key", pmk),) if pmk else ()), *vlan_trio(accept.vlan))


def _write_bound(accept: Accept) -> Written:
    pmk = accept.key and accept.key.pmk
    key = (attribute("Ruckus-DPSK", _BOUND + pmk.reveal()),) if pmk else ()
    return (*key, *vlan_trio(accept.vlan))


RUCKUS = Dialect(
    "ruckus", of_vendor(VENDOR), None, _write_bound, ssid=_ssid, needs_pmk=True,
    session=("Calling-Station-Id", "NAS-IP-Address"),
)  # fmt: skip
RUCKUS_UNBOUND = replace(
    RUCKUS, name="ruckus-unbound", recognises=carries(VENDOR, _PARAMETERS), read=_handshake, write=_write_unbound
)
