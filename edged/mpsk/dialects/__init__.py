# SPDX-License-Identifier: Apache-2.0
"""The dialects of access points, one row each, and which of them a request is in. Pure.

A new vendor is one small file, one row here, one vector in tests/vectors/mpsk.yaml.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.mpsk.dialects.cisco import CISCO_IPSK
from edged.mpsk.dialects.hostapd import HOSTAPD, HOSTAPD_PSK
from edged.mpsk.dialects.mikrotik import MIKROTIK
from edged.mpsk.dialects.row import Dialect, Observed, Written
from edged.radius.attributes import Attributes, text, values
from edged.radius.dictionary import VENDOR_SPECIFIC

__all__ = ["DIALECTS", "Dialect", "Observed", "Written", "dialect_of"]

DIALECTS: dict[str, Dialect] = {
    "hostapd-psk": HOSTAPD_PSK,
    "mikrotik": MIKROTIK,
    "hostapd": HOSTAPD,
    "cisco-ipsk": CISCO_IPSK,
}


FIRST_EXTENDED = 241
"""Extended-Attribute-1 (RFC 6929, section 10.3)."""


def _has(name: str) -> Callable[[Attributes], bool]:
    return lambda attributes: bool(values(attributes, name))


def _vendor(number: int) -> Callable[[Attributes], bool]:
    octets = number.to_bytes(4, "big")
    return lambda attributes: any(a.type == 26 and a.value[:4] == octets for a in attributes)


def _is_easy_psk(attributes: Attributes) -> bool:
    beginnings = (b"cisco-anonce=", b"cisco-8021x-data=")
    return any(value.startswith(beginnings) for value in values(attributes, "Cisco-AVPair"))


_HANDSHAKES_NOT_SPOKEN: tuple[tuple[str, Callable[[Attributes], bool]], ...] = (
    # they carry a handshake: answering them as MAC authentication would hand out a key without proof
    ("ruckus", _has("Ruckus-DPSK-Params")),
    ("cisco-easy-psk", _is_easy_psk),
    ("meraki-easy-psk", _has("Meraki-Easy-PSK")),
    ("omada", _has("TPLink-Authentication-FindKey")),
    ("eleven", _has("Eleven-Authentication-FindKey")),
    # formats that are not public
    ("extreme", _has("Extreme-PPSK-Request")),
    ("aruba-lookup", _has("Aruba-MPSK-Lookup-Info")),
)

_TEXTS_NOT_SPOKEN: tuple[tuple[str, Callable[[Attributes], bool]], ...] = (
    ("omada", lambda attributes: text(attributes, "NAS-Identifier").startswith("TP-Link")),
)

_VENDORS_NOT_SPOKEN: tuple[tuple[str, Callable[[Attributes], bool]], ...] = (
    # MAC authentication of makers that want their own attribute back
    ("ruckus", _vendor(25053)),
    ("aruba", _vendor(14823)),
    ("huawei", _vendor(2011)),
    *_TEXTS_NOT_SPOKEN,
)


def dialect_of(attributes: Attributes, configured: str) -> Dialect | str:
    """The dialect of a request from a client set to ``configured``; its name when we do not speak it.

    A handshake shows on the wire and decides alone. Of MAC authentication only the reply differs, and there
    the operator's word goes before any guess.
    """
    # every handshake travels in a vendor's attribute or an extended one: most requests have neither
    special = any(attribute.type == VENDOR_SPECIFIC or attribute.type >= FIRST_EXTENDED for attribute in attributes)
    if special and HOSTAPD_PSK.recognises(attributes):
        return HOSTAPD_PSK
    foreign = special and _first_name(_HANDSHAKES_NOT_SPOKEN, attributes)
    if foreign:
        return foreign
    if configured != "auto":
        return DIALECTS.get(configured, configured)
    foreign = _first_name(_VENDORS_NOT_SPOKEN if special else _TEXTS_NOT_SPOKEN, attributes)
    if foreign:
        return foreign
    return MIKROTIK if special and MIKROTIK.recognises(attributes) else HOSTAPD


def _first_name(table: tuple[tuple[str, Callable[[Attributes], bool]], ...], attributes: Attributes) -> str:
    return next((name for name, recognises in table if recognises(attributes)), "")
