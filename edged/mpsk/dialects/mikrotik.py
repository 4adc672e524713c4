# SPDX-License-Identifier: Apache-2.0
"""MikroTik's ``wireless`` package: by MAC; the key travels in clear text, so only over a trusted path. Pure.

Layout: the vendor's manual and dictionary (14988). Its rate limit is spelled from the router's side: rx/tx.
"""

from __future__ import annotations

from edged.mpsk.dialects.row import Dialect, Written, of_vendor
from edged.mpsk.outcome import Accept
from edged.radius.attributes import attribute
from edged.radius.dictionary import MIKROTIK as VENDOR

_8021Q = 0


def _write(accept: Accept) -> Written:
    written: list[Written] = []
    if accept.key is not None:
        # one key only: a second attribute would replace the first
        written.append((attribute("Mikrotik-Wireless-PSK", accept.key.key.passphrase.reveal()),))
    if accept.vlan is not None:
        vlan = attribute("Mikrotik-Wireless-VLANID", accept.vlan)
        written.append((vlan, attribute("Mikrotik-Wireless-VLANID-Type", _8021Q)))
    if accept.rate is not None:
        written.append((attribute("Mikrotik-Rate-Limit", f"{accept.rate.up}/{accept.rate.down}"),))
    return tuple(a for part in written for a in part)


# its sessions go by the User-Name that it made of the MAC address: another in the Accept might rename them
MIKROTIK = Dialect(
    "mikrotik", of_vendor(VENDOR), None, _write, has_rates=True, has_identity=False, session=("User-Name",)
)
