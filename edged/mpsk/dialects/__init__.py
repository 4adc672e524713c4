# SPDX-License-Identifier: Apache-2.0
"""The dialects of access points, one row each, and which of them a request is in. Pure.

A new vendor is one small file, one row here, one vector in tests/vectors/mpsk.yaml.
"""

from __future__ import annotations

from edged.mpsk.dialects.aruba import ARUBA
from edged.mpsk.dialects.cisco import CISCO_EASY_PSK, CISCO_IPSK
from edged.mpsk.dialects.hostapd import HOSTAPD, HOSTAPD_PSK
from edged.mpsk.dialects.meraki import MERAKI_EASY_PSK, MERAKI_IPSK
from edged.mpsk.dialects.mikrotik import MIKROTIK
from edged.mpsk.dialects.omada import ELEVEN, OMADA, OMADA_UNBOUND, is_without_message
from edged.mpsk.dialects.plain import FORTINET, HUAWEI, ZYXEL
from edged.mpsk.dialects.row import Dialect, Observed, Recognises, Written, carries, of_vendor, session_of
from edged.mpsk.dialects.ruckus import RUCKUS, RUCKUS_UNBOUND
from edged.radius.attributes import Attributes
from edged.radius.dictionary import ARUBA as ARUBA_VENDOR
from edged.radius.dictionary import CAMBIUM, EXTREME, VENDOR_SPECIFIC
from edged.radius.dictionary import HUAWEI as HUAWEI_VENDOR

__all__ = ["DIALECTS", "Dialect", "Observed", "Written", "dialect_of", "session_of"]

HANDSHAKES = (HOSTAPD_PSK, RUCKUS_UNBOUND, CISCO_EASY_PSK, MERAKI_EASY_PSK, OMADA_UNBOUND, ELEVEN)
"""Those who ask with the handshake, in the order in which a request is held against them."""
_BY_VENDOR = (RUCKUS, ARUBA, MIKROTIK)
"""Those who ask by MAC address and show their maker."""

DIALECTS: dict[str, Dialect] = {
    row.name: row
    for row in (
        *HANDSHAKES, *_BY_VENDOR, HOSTAPD, CISCO_IPSK, MERAKI_IPSK, OMADA, FORTINET, ZYXEL, HUAWEI,
    )
}  # fmt: skip
"""By the word an operator may write under ``dialect``."""

FIRST_EXTENDED = 241
"""Extended-Attribute-1 (RFC 6929, section 10.3)."""

_NOT_PUBLIC: tuple[tuple[str, Recognises], ...] = (
    # an answer by MAC address would hand out a key without the proof that they send
    ("extreme", carries(EXTREME, 201)),
    ("aruba-lookup", carries(ARUBA_VENDOR, 66)),
)
_NO_GUESS: tuple[tuple[str, Recognises], ...] = (
    # by MAC address, and what they want back is not public, or of one witness (see plain.py)
    ("huawei", of_vendor(HUAWEI_VENDOR)),
    ("cambium", of_vendor(CAMBIUM)),
)


def dialect_of(attributes: Attributes, configured: str) -> Dialect | str:
    """The dialect of a request from a client set to ``configured``; its name when we do not speak it.

    A handshake shows on the wire and decides alone. Of MAC authentication only the reply differs, and there
    the operator's word goes before any guess.
    """
    # every handshake travels in a vendor's attribute or an extended one: most requests have neither
    special = any(kind == VENDOR_SPECIFIC or kind >= FIRST_EXTENDED for kind, _ in attributes)
    if special:
        spoken = next((row for row in HANDSHAKES if row.recognises(attributes)), None)
        if spoken is OMADA_UNBOUND and is_without_message(attributes):
            return "omada-6ghz"
        foreign = "" if spoken else _first_name(_NOT_PUBLIC, attributes)
        if spoken or foreign:
            return spoken or foreign
    if configured != "auto":
        return DIALECTS.get(configured, configured)
    if special:
        spoken = next((row for row in _BY_VENDOR if row.recognises(attributes)), None)
        if spoken is not None:
            return spoken
        foreign = _first_name(_NO_GUESS, attributes)
        if foreign:
            return foreign
    return OMADA if OMADA.recognises(attributes) else HOSTAPD


def _first_name(table: tuple[tuple[str, Recognises], ...], attributes: Attributes) -> str:
    return next((name for name, recognises in table if recognises(attributes)), "")
