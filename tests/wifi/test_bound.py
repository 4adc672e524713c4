# SPDX-License-Identifier: Apache-2.0
"""hostapd 2.10, which asks before the handshake."""

from __future__ import annotations

import pytest

from tests.wifi.residence import ANA_KEY, ANA_VLAN, BOB_KEY, BOB_VLAN, SSID, Residence


@pytest.mark.parametrize("mode", [1, 2])
def test_two_residents_with_two_keys_on_one_ssid_land_on_two_vlans(residence: Residence, mode: int) -> None:
    point, ana, bob = residence.point(mode=mode), residence.device("phone1"), residence.device("phone2")
    residence.give({**ANA_KEY, "devices": [ana.mac]}, {**BOB_KEY, "devices": [bob.mac]})
    ana.join(SSID, ANA_KEY["passphrase"])
    bob.join(SSID, BOB_KEY["passphrase"])
    residence.dhcp(ana)
    residence.dhcp(bob)

    assert "the internet" in residence.sees(ana)
    assert "the internet" in residence.sees(bob)

    assert residence.on_bridge(point, ana) == ANA_VLAN
    assert residence.on_bridge(point, bob) == BOB_VLAN
