# SPDX-License-Identifier: Apache-2.0
"""Accounting-Request -> the SSID it is about and the key that the device used. Pure.

RFC 3580 section 3.20 (Called-Station-Id), RFC 4372 (Chargeable-User-Identity), RFC 2865 section 5.41 (NAS-Port-Type).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from edged.mpsk.identity import key_of_identity
from edged.mpsk.keyring import Keyring, fits
from edged.mpsk.memory import Last
from edged.mpsk.question import split_called_station
from edged.radius.attributes import first, integer, text
from edged.radius.packet import Packet
from edged.state.keys import KeyId, StoredKey
from edged.values import MacAddress

WIRELESS = 19
"""NAS-Port-Type of IEEE 802.11."""


class KeyRoom(Protocol):
    """What knows the keys and who asked for them."""

    @property
    def ring(self) -> Keyring:
        """The keyring in force."""
        ...

    def explain_device(self, mac: MacAddress) -> Last | None:
        """How the latest request of ``mac`` ended."""
        ...


class Used(NamedTuple):
    """What a session is about."""

    ssid: str = ""
    """Empty: not Wi-Fi, or not known."""
    key: KeyId | None = None
    is_identity: bool = False
    """True when the User-Name is the name of a key, and so nobody's login."""
    bssid: str = ""
    """Of the radio, as a MAC address; empty: not Wi-Fi, or not said."""


def used_key(request: Packet, mac: str, room: KeyRoom | None, site: str) -> Used:
    """The network and key of the session in ``request``, which the RADIUS client ``site`` sent.

    What the NAS repeats of our Accept goes first, then what the device was last let on with. A key that this device
    cannot have got there was not in any Accept of ours: such a word is passed over.
    """
    given = request.attributes
    known: Mapping[KeyId, StoredKey] = room.ring.keys if room is not None else {}
    user = key_of_identity(text(given, "User-Name"), known)
    told = user or key_of_identity(text(given, "Chargeable-User-Identity"), known)
    stored = known.get(told) if told is not None else None
    # the SSID may be spelled as the controller calls it
    key = told if stored is not None and fits(stored, stored.key.ssid, site, MacAddress(mac)) else None
    # an SSID is octets; one that is no text is none of ours
    bssid, octets = split_called_station(first(given, "Called-Station-Id") or b"")
    ssid = octets.decode("utf-8", "replace")
    if not (ssid or told or integer(given, "NAS-Port-Type") == WIRELESS):
        return Used()
    if room is not None and not (ssid and key):
        last = _last(room, ssid, MacAddress(mac))
        ssid, key = ssid or last.ssid, key or last.key
    return Used(ssid, key, is_identity=user is not None, bssid=bssid or "")


def _last(room: KeyRoom, ssid: str, mac: MacAddress) -> Used:
    last = room.explain_device(mac)
    if last is not None and last.accepted and ssid in {"", last.ssid}:
        return Used(last.ssid, last.key)
    sighting = room.ring.learned.get((ssid, mac))
    return Used(ssid, sighting.key if sighting else None)
