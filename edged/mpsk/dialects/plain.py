# SPDX-License-Identifier: Apache-2.0
"""Those who ask by MAC address with nothing to tell them apart, and take a key in one attribute. Pure.

Fortinet and Zyxel: the vendors' manuals. Huawei: HW-DPSK-Info is in the vendor's dictionary (2011) as text; that the
text is the bare passphrase is read from one open server alone, and it travels in clear: only on the operator's word.
"""

from __future__ import annotations

from edged.mpsk.dialects.row import Dialect, Written, never, password_and_vlan, vlan_trio
from edged.mpsk.outcome import Accept
from edged.radius.attributes import attribute


def _write_huawei(accept: Accept) -> Written:
    key = (attribute("Huawei-DPSK-Info", accept.key.key.passphrase.reveal()),) if accept.key else ()
    return (*key, *vlan_trio(accept.vlan))


FORTINET = Dialect("fortinet", never, None, password_and_vlan)
ZYXEL = Dialect("zyxel", never, None, password_and_vlan)
HUAWEI = Dialect("huawei", never, None, _write_huawei)
