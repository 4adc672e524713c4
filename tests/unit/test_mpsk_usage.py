"""Which network and which key an Accounting-Request is about."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.mpsk.identity import identity_of
from edged.mpsk.keyring import Keyring
from edged.mpsk.memory import Last
from edged.mpsk.usage import Used, used_key
from edged.radius.attributes import Attribute, attribute
from edged.radius.packet import Code, Packet
from edged.state.keys import BILLING, KeyId, Sighting
from edged.values import MacAddress
from tests.mpsk_world import MAC, NOW, SSID

KEY, OTHER = KeyId(BILLING, "k-1"), KeyId(BILLING, "k-2")
CALLED = attribute("Called-Station-Id", f"02-00-5E-00-00-01:{SSID}")


@dataclass
class Room:
    ring: Keyring = field(default_factory=Keyring)
    last: Last | None = None

    def explain_device(self, _mac: MacAddress) -> Last | None:
        return self.last


def used(*given: Attribute, room: Room | None = None) -> Used:
    return used_key(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given), MAC, room or Room())


def test_the_key_that_the_access_point_repeats_goes_before_what_is_remembered() -> None:
    room = Room(last=Last(NOW, "building-7", SSID, accepted=True, key=OTHER))

    assert used(CALLED, attribute("User-Name", identity_of(KEY)), room=room) == Used(SSID, KEY, is_identity=True)
    assert used(CALLED, attribute("Chargeable-User-Identity", identity_of(KEY)), room=room) == Used(SSID, KEY)


def test_an_access_point_that_repeats_nothing_is_helped_out_by_the_last_accept_then_by_the_handshake() -> None:
    learned = Keyring().with_sightings([Sighting(SSID, MAC, OTHER, NOW)])
    user = attribute("User-Name", MAC.replace(":", ""))

    accepted = Last(NOW, "building-7", SSID, accepted=True, key=KEY)
    assert used(CALLED, user, room=Room(learned, accepted)) == Used(SSID, KEY)
    assert used(CALLED, user, room=Room(learned, Last(NOW, "building-7", SSID, key=KEY))) == Used(SSID, OTHER)
    elsewhere = Last(NOW, "building-7", "Garden", accepted=True, key=KEY)
    assert used(CALLED, user, room=Room(learned, elsewhere)) == Used(SSID, OTHER)
    assert used(CALLED, user) == Used(SSID, None)


def test_a_wireless_port_without_an_ssid_is_on_the_network_of_the_last_accept() -> None:
    wireless, bssid = attribute("NAS-Port-Type", 19), attribute("Called-Station-Id", "02-00-5E-00-00-01")
    room = Room(last=Last(NOW, "building-7", SSID, accepted=True, key=KEY))

    assert used(wireless, bssid, room=room) == Used(SSID, KEY)


def test_a_line_that_is_no_wifi_is_about_no_key_whatever_was_remembered_of_its_mac() -> None:
    room = Room(last=Last(NOW, "building-7", SSID, accepted=True, key=KEY))
    given = attribute("User-Name", "ana@fibre"), attribute("Called-Station-Id", "pppoe-1")

    assert used(*given, room=room) == Used()


def test_an_id_too_long_to_spell_is_found_among_the_keys() -> None:
    long = KeyId(BILLING, "unit " * 80)
    room = Room(Keyring({long: None}))  # type: ignore[dict-item]  # the names alone are looked at

    assert used(CALLED, attribute("User-Name", identity_of(long)), room=room).key == long
