# SPDX-License-Identifier: Apache-2.0
"""Aruba MPSK: by MAC address; the passphrase hidden with a salt and no tag, the VLAN as a number. Pure.

Layout: the vendor's dictionary (14823). A request with Aruba-MPSK-Lookup-Info asks in a form that is not public.
"""

from __future__ import annotations

from edged.mpsk.dialects.row import Dialect, Written, of_vendor
from edged.mpsk.outcome import Accept
from edged.radius.attributes import Attributes, attribute, first
from edged.radius.dictionary import ARUBA as VENDOR
from edged.radius.packet import Hidden


def _ssid(attributes: Attributes) -> bytes | None:
    return first(attributes, "Aruba-Essid-Name") or None


def _write(accept: Accept) -> Written:
    key = (Hidden("Aruba-MPSK-Passphrase", accept.key.key.passphrase),) if accept.key else ()
    vlan = (attribute("Aruba-User-Vlan", accept.vlan),) if accept.vlan is not None else ()
    return (*key, *vlan)


ARUBA = Dialect("aruba", of_vendor(VENDOR), None, _write, ssid=_ssid)
