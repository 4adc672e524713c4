# SPDX-License-Identifier: Apache-2.0
"""Cisco iPSK (9800, AireOS): by MAC; the key as Cisco-AVPair in clear text, VLAN trio. Pure.

Layout: the vendor's configuration guides. Nothing in the request tells it from other MAC authentication.
"""

from __future__ import annotations

from edged.mpsk.dialects.row import Dialect, Written, never, vlan_trio
from edged.mpsk.outcome import Accept
from edged.radius.attributes import attribute


def _write(accept: Accept) -> Written:
    if accept.key is None:
        return vlan_trio(accept.vlan)
    passphrase = accept.key.key.passphrase.reveal()
    mode = b"hex" if len(passphrase) == 64 else b"ascii"
    return (
        attribute("Cisco-AVPair", b"psk-mode=" + mode),
        attribute("Cisco-AVPair", b"psk=" + passphrase),
        *vlan_trio(accept.vlan),
    )


CISCO_IPSK = Dialect("cisco-ipsk", never, None, _write)
