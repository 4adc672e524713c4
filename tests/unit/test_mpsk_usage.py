"""Which network and which key an Accounting-Request is about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from edged.mpsk.identity import identity_of
from edged.mpsk.keyring import Keyring
from edged.mpsk.memory import Last
from edged.mpsk.usage import Used, used_key
from edged.radius.attributes import Attribute, attribute
from edged.radius.packet import Code, Packet, decode
from edged.state.keys import BILLING, KeyId, Sighting
from edged.values import MacAddress, Secret
from tests.mpsk_world import FOLDER, MAC, NOW, OTHER_MAC, PASSPHRASE, SSID, ring_of, stored

KEY, OTHER = KeyId(BILLING, "k-1"), KeyId(BILLING, "k-2")
KEYS = tuple(stored(name.id, origin=BILLING, derived=False) for name in (KEY, OTHER))
RECORDED = json.loads((FOLDER / "mpsk_accounting.json").read_text("utf-8"))["vectors"]
BSSID = "02:00:5e:00:00:01"
CALLED = attribute("Called-Station-Id", f"02-00-5E-00-00-01:{SSID}")


@dataclass
class Room:
    ring: Keyring = field(default_factory=lambda: ring_of(*KEYS))
    last: Last | None = None

    def explain_device(self, _mac: MacAddress) -> Last | None:
        return self.last


def used(*given: Attribute, room: Room | None = None) -> Used:
    return used_key(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given), MAC, room or Room(), "building-7")


def test_the_key_that_the_access_point_repeats_goes_before_what_is_remembered() -> None:
    room = Room(last=Last(NOW, "building-7", SSID, accepted=True, key=OTHER))

    assert used(CALLED, attribute("User-Name", identity_of(KEY)), room=room) == Used(
        SSID, KEY, is_identity=True, bssid=BSSID
    )
    assert used(CALLED, attribute("Chargeable-User-Identity", identity_of(KEY)), room=room) == Used(
        SSID, KEY, bssid=BSSID
    )


def test_an_access_point_that_repeats_nothing_is_helped_out_by_the_last_accept_then_by_the_handshake() -> None:
    learned = Keyring().with_sightings([Sighting(SSID, MAC, OTHER, NOW)])
    user = attribute("User-Name", MAC.replace(":", ""))

    accepted = Last(NOW, "building-7", SSID, accepted=True, key=KEY)
    assert used(CALLED, user, room=Room(learned, accepted)) == Used(SSID, KEY, bssid=BSSID)
    assert used(CALLED, user, room=Room(learned, Last(NOW, "building-7", SSID, key=KEY))) == Used(
        SSID, OTHER, bssid=BSSID
    )
    elsewhere = Last(NOW, "building-7", "Garden", accepted=True, key=KEY)
    assert used(CALLED, user, room=Room(learned, elsewhere)) == Used(SSID, OTHER, bssid=BSSID)
    assert used(CALLED, user) == Used(SSID, bssid=BSSID)


def test_a_wireless_port_without_an_ssid_is_on_the_network_of_the_last_accept() -> None:
    wireless, bssid = attribute("NAS-Port-Type", 19), attribute("Called-Station-Id", "02-00-5E-00-00-01")
    room = Room(last=Last(NOW, "building-7", SSID, accepted=True, key=KEY))

    assert used(wireless, bssid, room=room) == Used(SSID, KEY, bssid=BSSID)


def test_a_line_that_is_no_wifi_is_about_no_key_whatever_was_remembered_of_its_mac() -> None:
    room = Room(last=Last(NOW, "building-7", SSID, accepted=True, key=KEY))
    given = attribute("User-Name", "ana@fibre"), attribute("Called-Station-Id", "pppoe-1")

    assert used(*given, room=room) == Used()


def test_an_id_too_long_to_spell_is_found_among_the_keys() -> None:
    long = KeyId(BILLING, "unit " * 80)
    room = Room(ring_of(stored(long.id, origin=BILLING, derived=False, passphrase=Secret(PASSPHRASE))))

    assert used(CALLED, attribute("User-Name", identity_of(long)), room=room).key == long


@pytest.mark.parametrize(
    "claimed",
    [
        identity_of(KeyId(BILLING, "of-nobody")),
        identity_of(KeyId(BILLING, "there")),
        identity_of(KeyId(BILLING, "registered")),
        "key:billing:%ED%A0%80",
        "key:local:%00",
    ],
)
def test_a_key_that_the_device_cannot_have_got_there_is_not_believed_and_is_nobodys_login_either(claimed: str) -> None:
    there = stored("there", origin=BILLING, derived=False, site="building-8")
    registered = stored("registered", origin=BILLING, derived=False, devices=(OTHER_MAC,))
    room = Room(ring_of(*KEYS, there, registered), Last(NOW, "building-7", SSID, accepted=True, key=OTHER))

    assert used(CALLED, attribute("User-Name", claimed), room=room) == Used(SSID, OTHER, is_identity=True, bssid=BSSID)


@pytest.mark.parametrize("vector", RECORDED, ids=lambda vector: vector["id"])
def test_what_hostapd_really_sends_names_its_network_and_radio(vector: dict[str, Any]) -> None:
    request = decode(bytes.fromhex(vector["request_hex"]))
    found = used_key(request, vector["sta_mac"], Room(), "building-7")

    assert (found.ssid.encode().hex(), found.bssid) == (vector["ssid_hex"], vector["bssid"])
    assert found.key is None, "the lab's names of keys are not ours"
