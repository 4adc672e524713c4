# SPDX-License-Identifier: Apache-2.0
"""TP-Link Omada PPSK: by MAC address (bound), with the handshake (unbound); Eleven's block, of the same fields. Pure.

Layout: the vendor's manual; unbound: an open server tested on Omada, and FreeRADIUS' dictionaries (11863, 52970). An
unbound network asks twice: by MAC address, which must be accepted without a VLAN, then with the handshake.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.mpsk.dialects.cisco import write_pairs
from edged.mpsk.dialects.row import (
    Dialect,
    Observed,
    Written,
    block,
    carries,
    octets_mac,
    password_and_vlan,
    pmk_of_accept,
)
from edged.mpsk.outcome import Accept
from edged.radius.attributes import Attributes, attribute, text
from edged.radius.dictionary import ELEVEN as ELEVEN_VENDOR
from edged.radius.dictionary import TPLINK as VENDOR

_FIND_KEY = 3
_FRAME, _ANONCE, _SSID, _ACCESS_POINT, _STATION, _BSSID = 1, 2, 3, 4, 5, 6


def _names_itself(attributes: Attributes) -> bool:
    return text(attributes, "NAS-Identifier").startswith("TP-Link")


def _reader(name: str) -> Callable[[Attributes], Observed | None]:
    def handshake(attributes: Attributes) -> Observed | None:
        fields = block(attributes, name) or {}
        # the radio's own address where it is told: an access point has one for each SSID
        bssid = octets_mac(fields.get(_BSSID, fields.get(_ACCESS_POINT)))
        station = octets_mac(fields.get(_STATION))
        if _ANONCE not in fields or _FRAME not in fields or bssid is None or (_STATION in fields and not station):
            return None
        return Observed(fields[_ANONCE], fields[_FRAME], None, fields.get(_SSID) or None, bssid, station)

    return handshake


def is_without_message(attributes: Attributes) -> bool:
    """A FindKey that holds no message 2: the form for 6 GHz, which is not public."""
    fields = block(attributes, "TPLink-Authentication-FindKey")
    return fields is not None and _FRAME not in fields


def _write_found(accept: Accept) -> Written:
    pmk = pmk_of_accept(accept)
    found = (attribute("TPLink-Authentication-FoundKey", pmk.reveal()),) if pmk else ()
    return (*found, *password_and_vlan(accept))


OMADA = Dialect("omada", _names_itself, None, password_and_vlan)
OMADA_UNBOUND = Dialect(
    "omada-unbound", carries(VENDOR, _FIND_KEY), _reader("TPLink-Authentication-FindKey"), _write_found,
    announces=_names_itself, needs_pmk=True,
)  # fmt: skip
ELEVEN = Dialect("eleven", carries(ELEVEN_VENDOR, _FIND_KEY), _reader("Eleven-Authentication-FindKey"), write_pairs)
