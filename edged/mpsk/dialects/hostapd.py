# SPDX-License-Identifier: Apache-2.0
"""hostapd ``wpa_psk_radius`` 1 and 2 (by MAC), 3 (by handshake); OpenWrt ppsk; TIP psk2-radius. Pure.

Layouts: hostapd's sources and captures of 2.10 and 2.11. RFC 6929 (long-extended), RFC 7268 (WLAN-AKM-Suite).
"""

from __future__ import annotations

from edged.mpsk.dialects.row import Dialect, Observed, Written, never, tunnel_passwords, vlan_trio
from edged.mpsk.outcome import Accept
from edged.radius.attributes import Attributes, attribute, first, integer

_VENDOR = (11344).to_bytes(4, "big")
_ANONCE, _FRAME = "FreeRADIUS-802.1X-Anonce", "FreeRADIUS-802.1X-EAPoL-Key-Msg"


def _carries_handshake(attributes: Attributes) -> bool:
    """A fragment too: a broken handshake must never pass for a MAC authentication, which needs no proof."""
    return any(a.type == 245 and a.value[:1] == b"\x1a" and a.value[2:6] == _VENDOR for a in attributes)


def _handshake(attributes: Attributes) -> Observed | None:
    anonce, frame = first(attributes, _ANONCE), first(attributes, _FRAME)
    if anonce is None or frame is None:
        return None
    return Observed(anonce, frame, integer(attributes, "WLAN-AKM-Suite"))


def _write(accept: Accept) -> Written:
    # no rate: vanilla hostapd reads none
    return (*tunnel_passwords(accept), *vlan_trio(accept.vlan))


def _write_with_rate(accept: Accept) -> Written:
    """TIP reads WISPr's bit/s, hostapd passes over them. They have 32 bits: more is as good as no limit."""
    written = _write(accept)
    if accept.rate is None:
        return written
    up, down = min(accept.rate.up, 0xFFFFFFFF), min(accept.rate.down, 0xFFFFFFFF)
    limits = attribute("WISPr-Bandwidth-Max-Up", up), attribute("WISPr-Bandwidth-Max-Down", down)
    return (*written, *limits)


# by MAC address it keeps each answer, accept and reject, for 30 seconds (ieee802_11_auth.c)
HOSTAPD = Dialect("hostapd", never, None, _write, several=True, caches=30.0)
HOSTAPD_PSK = Dialect("hostapd-psk", _carries_handshake, _handshake, _write_with_rate, has_rates=True)
