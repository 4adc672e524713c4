# SPDX-License-Identifier: Apache-2.0
"""hostapd 2.11, which asks during the handshake: one key typed on every device, whatever address it shows."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pytest

from edged.errors import WireError
from edged.radius.packet import Code, decode
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import ANA_KEY, ANA_VLAN, BOB_KEY, BOB_VLAN, SSID, Residence

FT = {"wpa_key_mgmt": "FT-PSK", "mobility_domain": "a1b2"}
MESSAGE_AUTHENTICATOR = 80
LONG_NAME = "b7-floor-3-east.example"
"""With a ``nas_identifier`` of nine or more characters hostapd 2.11 sends a broken packet for fast transition."""


def unbound(residence: Residence, **settings: Any) -> AccessPoint:
    """Mode 3; what is not signed it does not take either."""
    return residence.point(version="2.11", mode=3, **{"radius_require_message_authenticator": 1, **settings})


def assert_is_on(residence: Residence, point: AccessPoint, station: Station, vlan: int, akm: str) -> None:
    """In its VLAN as the access point sees it, with its frames on that bridge, and the internet behind it."""
    residence.lands(point, station, vlan)
    member = point.member(station.mac)
    assert member is not None
    assert member.akm == akm


def test_a_phone_that_nobody_has_seen_gets_on_with_a_made_up_address_and_again_with_another(
    residence: Residence,
) -> None:
    point, phone = unbound(residence), residence.device()
    residence.give(ANA_KEY, BOB_KEY)
    own = phone.mac
    phone.control.tell("SET rand_addr_lifetime 0")
    phone.join(SSID, ANA_KEY["passphrase"], mac_addr=1)
    first = phone.mac

    assert int(first[1], 16) & 2, "a made-up address says so"
    assert first != own
    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-2")
    said = residence.facts("explain", first)
    assert "let on to Residence" in said["headline"]
    assert said["who"][:2] == ["key k-101", f"VLAN {ANA_VLAN}"]
    assert residence.known(first)["key"] == "k-101"
    note = "a made-up MAC address that nobody has seen"
    residence.recorder.access("wifi-m3-random-mac", note, point, phone, ANA_KEY["passphrase"])

    phone.leave()
    phone.join(SSID, ANA_KEY["passphrase"], mac_addr=1)
    second = phone.mac

    assert second not in {own, first}
    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-2")
    assert {residence.known(mac)["key"] for mac in (first, second)} == {"k-101"}


def test_a_wrong_key_is_refused_at_once_and_the_operator_sees_why(residence: Residence) -> None:
    point, phone = unbound(residence), residence.device()
    residence.give(ANA_KEY, BOB_KEY)
    begun = time.monotonic()
    mark = phone.choose(SSID, "maple-heron-cello-78", mac_addr=1)

    assert "WRONG_KEY" in phone.refused(mark)

    # where the access point asks by MAC, the phone tries the handshake four times, a second each
    assert time.monotonic() - begun < 4.0
    mac = phone.mac
    request = residence.wire.requests(mac)[0]
    reply = residence.wire.reply(request)
    assert reply is not None
    assert reply.code == Code.ACCESS_REJECT
    assert reply.octets[20] == MESSAGE_AUTHENTICATOR, "the first attribute, against forged answers (CVE-2024-3596)"
    assert any(said.startswith("reason no-match") for said in residence.facts("explain", mac)["who"])
    assert mac not in {row["mac"] for row in residence.devices()}
    residence.recorder.access("wifi-m3-wrong-key", "a key with one letter wrong", point, phone, "maple-heron-cello-78")

    phone.join(SSID, ANA_KEY["passphrase"])

    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-2")


def test_protected_management_frames_and_the_newer_suite(residence: Residence) -> None:
    point = unbound(residence, wpa_key_mgmt="WPA-PSK-SHA256", ieee80211w=2)
    phone = residence.device()
    residence.give(ANA_KEY, BOB_KEY)

    phone.join(SSID, ANA_KEY["passphrase"], key_mgmt="WPA-PSK-SHA256", ieee80211w=2)

    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-6")
    member = point.member(phone.mac)
    assert member is not None
    assert member.protected
    note = "PSK-SHA256 with protected management frames required"
    residence.recorder.access("wifi-m3-sha256-pmf", note, point, phone, ANA_KEY["passphrase"])


@pytest.mark.parametrize("name", ["ap1", LONG_NAME])
def test_fast_transition_whatever_the_length_of_the_access_points_name(residence: Residence, name: str) -> None:
    point, phone = unbound(residence, nas_identifier=name, **FT), residence.device()
    residence.give(ANA_KEY, BOB_KEY)

    phone.join(SSID, BOB_KEY["passphrase"], key_mgmt="FT-PSK")

    assert_is_on(residence, point, phone, BOB_VLAN, "00-0f-ac-4")
    request = residence.wire.requests(phone.mac)[0]
    with pytest.raises(WireError) if name == LONG_NAME else nullcontext():
        decode(request.octets)
    kind = "long" if name == LONG_NAME else "short"
    residence.recorder.access(
        f"wifi-m3-ft-{kind}", f"FT-PSK, R0KH-ID of {len(name)} octets", point, phone, BOB_KEY["passphrase"],
    )  # fmt: skip


def test_phones_of_three_generations_share_one_access_point(residence: Residence) -> None:
    point = unbound(
        residence, wpa_key_mgmt="WPA-PSK WPA-PSK-SHA256 FT-PSK", ieee80211w=1, mobility_domain=FT["mobility_domain"]
    )
    residence.give(ANA_KEY, BOB_KEY)
    for name, key, vlan, kind, akm in (
        ("phone1", ANA_KEY, ANA_VLAN, "WPA-PSK", "00-0f-ac-2"),
        ("phone2", BOB_KEY, BOB_VLAN, "WPA-PSK-SHA256", "00-0f-ac-6"),
        ("phone3", ANA_KEY, ANA_VLAN, "FT-PSK", "00-0f-ac-4"),
    ):
        phone = residence.device(name)
        phone.join(SSID, key["passphrase"], key_mgmt=kind, ieee80211w=1)
        assert_is_on(residence, point, phone, vlan, akm)
        member = point.member(phone.mac)
        assert member is not None
        assert member.protected
        note = f"{kind} with protected management frames where three AKMs are offered"
        residence.recorder.access(f"wifi-m3-mixed-{kind.lower()}", note, point, phone, key["passphrase"])

    assert len(point.members()) == 3


def test_a_device_of_before_wpa2_gets_on_where_the_access_point_still_lets_it(residence: Residence) -> None:
    point = unbound(residence, wpa=1, wpa_pairwise="TKIP")
    phone = residence.device()
    residence.give(ANA_KEY, BOB_KEY)

    phone.join(SSID, ANA_KEY["passphrase"], proto="WPA", pairwise="TKIP", group="TKIP")

    assert "\nkey_mgmt=WPA-PSK\n" in phone.control.ask("STATUS")  # not WPA2-PSK
    # hostapd says the AKM of WPA2 of it, to us too
    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-2")
    residence.recorder.access(
        "wifi-m3-wpa1-tkip", "WPA before RSN, TKIP: key descriptor version 1", point, phone, ANA_KEY["passphrase"],
    )  # fmt: skip


def sae(residence: Residence, pwe: int, mode: int = 2, **settings: Any) -> tuple[AccessPoint, Station]:
    """WPA3 with the password from RADIUS; ``pwe``: 0 hunting and pecking, 1 hash to element."""
    point = residence.point(
        version="2.11", mode=mode, wpa_key_mgmt="SAE", ieee80211w=2, sae_pwe=pwe,
        radius_require_message_authenticator=1, **settings,
    )  # fmt: skip
    phone = residence.device()
    phone.control.tell(f"SET sae_pwe {pwe}")
    residence.give({**ANA_KEY, "devices": [phone.mac]}, BOB_KEY)
    return point, phone


def test_wpa3_with_a_registered_address_works_by_hunting_and_pecking(residence: Residence) -> None:
    point, phone = sae(residence, 0)

    phone.join(SSID, ANA_KEY["passphrase"], key_mgmt="SAE", ieee80211w=2)

    assert_is_on(residence, point, phone, ANA_VLAN, "00-0f-ac-8")
    residence.recorder.access(
        "wifi-m2-sae", "SAE: the password is asked for by MAC before the exchange", point, phone, ANA_KEY["passphrase"],
    )  # fmt: skip


def test_wpa3_with_a_wrong_password_stays_out(residence: Residence) -> None:
    point, phone = sae(residence, 0)

    phone.refused(phone.choose(SSID, "maple-heron-cello-78", key_mgmt="SAE", ieee80211w=2))

    assert phone.mac not in point.members()
    # edged was asked, and has answered: what is wrong is the device's
    reply = residence.wire.reply(residence.wire.requests(phone.mac)[0])
    assert reply is not None
    assert reply.code == Code.ACCESS_ACCEPT


def test_wpa3_by_hash_to_element_is_refused_by_the_access_point_although_edged_gave_the_password(
    residence: Residence,
) -> None:
    point, phone = sae(residence, 1)

    event = phone.refused(phone.choose(SSID, ANA_KEY["passphrase"], key_mgmt="SAE", ieee80211w=2))

    assert "status_code=1" in event
    request = residence.wire.requests(phone.mac)[0]
    reply = residence.wire.reply(request)
    assert reply is not None
    assert reply.code == Code.ACCESS_ACCEPT
    note = "SAE by hash to element: hostapd asks, and does not use what it is given"
    residence.recorder.access("wifi-m2-sae-h2e", note, point, phone, ANA_KEY["passphrase"])
    assert "SAE: No password available" in point.log


def test_wpa3_never_asks_during_the_handshake(residence: Residence) -> None:
    point, phone = sae(residence, 0, mode=3)

    phone.refused(phone.choose(SSID, ANA_KEY["passphrase"], key_mgmt="SAE", ieee80211w=2))

    assert residence.wire.requests(phone.mac) == []
    assert "SAE: No password available" in point.log
