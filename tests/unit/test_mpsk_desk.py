# SPDX-License-Identifier: Apache-2.0
"""The desk as a transcript: requests of devices in, answers out, what is remembered in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.mpsk.desk import Desk, Search
from edged.mpsk.outcome import Reason
from edged.mpsk.patience import BURST, MAX_DEVICES, MAX_NASES, MISSES, SHARE, WINDOW, Patience
from edged.mpsk.search import search_all
from edged.mpsk.settings import MpskSettings
from edged.policy.access import Learned, View
from edged.radius.attributes import Attribute, attribute, long_extended
from edged.radius.packet import Answer, Code, Packet
from edged.state.keys import LOCAL, KeyId, Sighting, StoredKey
from edged.values import MacAddress, Secret, parse_address
from tests.mpsk_world import (
    BLOCKED,
    DAY,
    HOME,
    MAC,
    NO_NAME,
    NOW,
    OPEN,
    OTHER_MAC,
    RSNE,
    SSID,
    client,
    fake_pmk,
    handshake_request,
    many,
    message_2,
    mpsk_settings,
    rechecked,
    request,
    ring_of,
    stored,
    with_attributes,
)  # fmt: skip

REJECT = Answer(Code.ACCESS_REJECT)
OTHER_NAS = parse_address("192.0.2.7")


class Building:
    """A desk, its clock, and a count of the searches it wanted."""

    def __init__(self, *keys: StoredKey, settings: MpskSettings | None = None) -> None:
        self.desk = Desk(settings or mpsk_settings(blocked={"vlan": 666}))
        self.desk.ring = ring_of(*keys)
        self.now = NOW
        self.searches = 0

    def ask(self, packet: Packet, view: View = OPEN) -> Answer | None:
        asked = self.desk.ask(packet, client(), HOME, view, self.now)
        if not isinstance(asked, Search):
            return asked
        self.searches += 1
        self.desk.begun(asked)
        return self.desk.found(asked, asked.at(search_all(asked.challenge, asked.pmks)), view, self.now)

    def reason(self, mac: MacAddress = MAC) -> str:
        last = self.desk.explain_device(mac)
        assert last is not None
        return last.reason


def pmk(key: StoredKey) -> bytes:
    assert key.pmk is not None
    return key.pmk.reveal()


def accepted(answer: Answer | None) -> bool:
    return answer is not None and answer.code is Code.ACCESS_ACCEPT


def test_a_device_is_searched_for_once_and_then_known() -> None:
    key = stored(vlan=112)
    building = Building(*many(50), key)

    assert accepted(building.ask(handshake_request(pmk(key), attempt="1")))
    assert accepted(building.ask(handshake_request(pmk(key), attempt="2")))
    assert building.searches == 1
    assert building.desk.sightings[SSID, MAC].key == key.name
    assert building.desk.ring.learned[SSID, MAC].key == key.name


def test_a_network_that_does_not_learn_searches_every_time() -> None:
    key = stored()
    building = Building(key, settings=mpsk_settings(learn=False))

    assert accepted(building.ask(handshake_request(pmk(key), attempt="1")))
    assert accepted(building.ask(handshake_request(pmk(key), attempt="2")))
    assert building.searches == 2
    assert not building.desk.sightings


def test_a_known_device_is_written_again_after_an_hour_only() -> None:
    key = stored()
    building = Building(key)
    for later, written in ((0.0, True), (60.0, False), (3600.0, True)):
        building.desk.sightings.clear()
        building.now = NOW + later
        building.ask(handshake_request(pmk(key)))
        assert bool(building.desk.sightings) is written


def test_a_known_device_that_proves_the_new_passphrase_is_written_again_at_once() -> None:
    old, new = stored("k-1~old", revoked=NOW + DAY), replace(stored("k-1"), created=NOW)
    building = Building(old, new)
    building.desk.ring = ring_of(old, new, sightings=(Sighting(SSID, MAC, new.name, NOW - 60),))

    assert accepted(building.ask(handshake_request(pmk(new))))

    assert building.desk.sightings[SSID, MAC] == Sighting(SSID, MAC, new.name, NOW)


def test_a_learned_device_gets_its_key_before_the_handshake_too() -> None:
    key = stored(vlan=112)
    building = Building(key)

    assert building.ask(request()) == REJECT
    building.ask(handshake_request(pmk(key)))
    assert accepted(building.ask(request()))


def test_misses_of_invented_devices_exhaust_their_access_point_and_are_rejected_unsearched() -> None:
    known = stored("known")
    building = Building(*many(50), known)
    assert accepted(building.ask(handshake_request(pmk(known))))
    building.desk.seconds_each["psk-sha1"] = 0.5 / 51  # half a second a search
    for number in range(round(BURST / 0.5)):
        stranger = MacAddress(f"02:00:00:00:01:{number:02x}")
        assert building.ask(handshake_request(bytes(32), stranger)) == REJECT
        assert building.reason(stranger) == "no-match"
    searched = building.searches

    assert building.ask(handshake_request(bytes(32), OTHER_MAC)) == REJECT
    assert building.reason(OTHER_MAC) == "cool-down"
    assert building.searches == searched
    # who is known goes on as before, and so does every other access point
    assert accepted(building.ask(handshake_request(pmk(known), attempt="2")))
    asked = building.desk.ask(handshake_request(bytes(32), OTHER_MAC), client(), OTHER_NAS, OPEN, building.now)
    assert isinstance(asked, Search)
    # and what was spent comes back with time
    building.now += 0.5 / SHARE + 0.01
    building.ask(handshake_request(bytes(32), OTHER_MAC))
    assert building.reason(OTHER_MAC) == "no-match"


def test_a_building_with_wrong_keys_everywhere_is_not_made_to_wait() -> None:
    building = Building(*many(50))
    building.desk.seconds_each["psk-sha1"] = 0.00078 / 51  # as long as 10,000 keys take compiled
    for second in range(60):
        building.now = NOW + second
        for number in range(second % 6, 300, 6):  # 300 devices, each ten times a minute
            mac = MacAddress(f"02:00:00:00:{number // 256:02x}:{number % 256:02x}")
            building.ask(handshake_request(bytes(32), mac, attempt=str(second)))
            assert building.reason(mac) == "no-match"


def test_a_key_that_has_lapsed_costs_its_access_point_as_a_wrong_one_does() -> None:
    building = Building(stored("gone", revoked=NOW - 1))
    building.desk.seconds_each["psk-sha1"] = BURST

    building.ask(handshake_request(pmk(stored("gone"))))

    assert building.reason() == "revoked"
    assert building.desk.patience.is_spent(HOME, building.now)


def test_a_right_key_costs_its_access_point_nothing() -> None:
    key = stored()
    building = Building(key)
    building.desk.seconds_each["psk-sha1"] = BURST

    assert accepted(building.ask(handshake_request(pmk(key))))

    assert not building.desk.patience.is_spent(HOME, building.now)


def test_a_wrong_key_is_put_to_no_more_keys_than_the_last_of_the_right_ones() -> None:
    *others, last = (*many(99), stored("last"))
    right, wrong = Building(*others, last), Building(*others, last)

    assert accepted(right.ask(handshake_request(pmk(last))))
    assert wrong.ask(handshake_request(bytes(32))) == REJECT

    assert wrong.desk.counters.candidates == right.desk.counters.candidates == 100


def with_name(packet: Packet, name: bytes) -> Packet:
    """An FT handshake whose RSNE has another PMKR1Name, or none, and whose MIC is right."""
    key = pmk(stored("wanted"))
    data = RSNE["ft-psk"].replace(NO_NAME, name)
    if not name:  # 16 octets fewer, and no PMKID is counted
        data = data.replace(b"\x30\x26", b"\x30\x16", 1).replace(b"\x01\x00\x36", b"\x00\x00\x36", 1)
    anonce, frame = message_2(key, suite="ft-psk", data=data)
    kept = tuple(a for a in packet.attributes if a.type < 241)
    observed = (
        *long_extended("FreeRADIUS-802.1X-Anonce", anonce), *long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", frame)
    )  # fmt: skip
    return with_attributes(packet, (*kept, *observed))


def test_the_key_of_an_ft_handshake_is_found_by_its_name_and_believed_for_its_mic() -> None:
    key = stored("wanted")
    building = Building(*many(50), key)
    packet = handshake_request(pmk(key), suite="ft-psk")
    asked = building.desk.ask(packet, client(), HOME, OPEN, NOW)
    assert isinstance(asked, Search)
    assert (asked.challenge.suite, asked.proof.suite) == ("ft-name", "ft-psk")

    # the right name before a MIC that this key did not make
    bent = replace(asked, proof=replace(asked.proof, mic=bytes(16)))
    found = asked.at(search_all(asked.challenge, asked.pmks))
    assert found == key
    assert building.desk.found(bent, found, OPEN, NOW) == REJECT
    assert building.reason() == "no-match"
    assert accepted(building.ask(packet))


def test_an_ft_station_that_sends_no_name_is_searched_for_by_its_mic_and_one_with_a_wrong_name_has_no_key() -> None:
    """hostapd lets no station on whose PMKR1Name is wrong."""
    packet = handshake_request(pmk(stored("wanted")), suite="ft-psk")

    assert accepted(Building(*many(50), stored("wanted")).ask(with_name(packet, b"")))
    assert Building(*many(50), stored("wanted")).ask(with_name(packet, b"\x5b" * 16)) == REJECT


def test_of_equal_keys_the_narrowest_is_given() -> None:
    shared = Secret("a-passphrase-of-several")
    everywhere = stored("everywhere", passphrase=shared)
    here = stored("here", passphrase=shared, site="building-7")
    mine = stored("mine", passphrase=shared, devices=(MAC,))
    lapsed = stored("lapsed", passphrase=shared, site="building-7", revoked=NOW - 1)

    def given(*keys: StoredKey, last: StoredKey | None = None) -> tuple[str | None, str]:
        building = Building(*keys)
        building.desk.ring = ring_of(*keys, sightings=(Sighting(SSID, MAC, last.name, NOW),) if last else ())
        building.ask(handshake_request(pmk(everywhere)))
        told = building.desk.explain_device(MAC)
        assert told is not None
        return told.key and told.key.id, told.reason

    assert given(lapsed, everywhere) == ("everywhere", "")
    assert given(lapsed, everywhere, here) == ("here", "")
    assert given(lapsed, everywhere, here, mine) == ("mine", "")
    assert given(lapsed, everywhere, here, mine, last=everywhere) == ("everywhere", "")
    assert given(lapsed) == ("lapsed", "revoked")


def test_what_a_search_names_is_believed_only_if_its_key_made_the_mic() -> None:
    wrong, right = stored("wrong"), stored("right")
    building = Building(wrong, right)
    asked = building.desk.ask(handshake_request(pmk(right)), client(), HOME, OPEN, NOW)
    assert isinstance(asked, Search)

    assert building.desk.found(asked, wrong, OPEN, NOW) == REJECT
    assert building.reason() == "no-match"
    assert accepted(building.desk.found(asked, right, OPEN, NOW))


def test_ten_misses_within_a_minute_make_a_device_wait() -> None:
    key = stored()
    building = Building(key)
    for number in range(MISSES):
        assert building.ask(handshake_request(bytes(32), attempt=str(number))) == REJECT
        assert building.reason() == "no-match"

    assert building.ask(handshake_request(bytes(32))) == REJECT
    assert building.reason() == "cool-down"
    assert building.searches == MISSES
    assert accepted(building.ask(handshake_request(pmk(key), OTHER_MAC)))
    building.now += WINDOW
    assert accepted(building.ask(handshake_request(pmk(key))))


def test_a_device_with_a_key_of_its_own_never_waits_for_it() -> None:
    key = stored()
    building = Building(key)
    building.ask(handshake_request(pmk(key)))
    for number in range(MISSES + 1):
        building.ask(handshake_request(bytes(32), attempt=str(number)))

    assert building.reason() == "cool-down"
    assert accepted(building.ask(handshake_request(pmk(key))))


def test_what_another_site_says_of_a_device_does_not_make_it_wait() -> None:
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(stored())
    for number in range(MISSES):
        wanted = desk.ask(handshake_request(bytes(32), attempt=f"{number}"), client("building-8"), OTHER_NAS, OPEN, NOW)
        assert isinstance(wanted, Search)
        desk.found(wanted, None, OPEN, NOW)

    again = handshake_request(bytes(32), attempt="again")
    assert isinstance(desk.ask(again, client("building-8"), OTHER_NAS, OPEN, NOW), Answer)
    assert isinstance(desk.ask(again, client("building-7"), HOME, OPEN, NOW), Search)


def test_a_search_counts_once_however_many_retransmissions_it_answers() -> None:
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(*many(3))
    wanted = desk.ask(handshake_request(bytes(32)), client(), HOME, OPEN, NOW)
    assert isinstance(wanted, Search)
    desk.seconds_each = dict.fromkeys(desk.seconds_each, BURST / 6)

    for number in range(2 * MISSES):
        assert not accepted(desk.found(wanted, None, OPEN, NOW, joined=number > 0))

    assert isinstance(desk.ask(handshake_request(bytes(32), attempt="2"), client(), HOME, OPEN, NOW), Search)


def test_who_blows_its_message_up_has_its_access_point_pay_for_what_it_costs() -> None:
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(*many(3))
    usual, blown_up = (
        desk.ask(with_frame(attempt, octets), client(), HOME, OPEN, NOW) for attempt, octets in (("1", 0), ("2", 850))
    )
    assert isinstance(usual, Search)
    assert isinstance(blown_up, Search)

    assert desk.seconds(blown_up) > 7 * desk.seconds(usual)


def with_frame(attempt: str, padding: int) -> Packet:
    """An element that nobody reads behind those of the station."""
    element = bytes((0xDD, 255)) + bytes(255)
    data = RSNE["psk-sha256"] + (element * 4)[:padding]
    anonce, frame = message_2(bytes(32), suite="psk-sha256", attempt=attempt, data=data)
    return request(
        MAC,
        *long_extended("FreeRADIUS-802.1X-Anonce", anonce),
        *long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", frame),
    )


def test_the_patience_with_devices_is_bounded() -> None:
    patience = Patience()
    for number in range(MAX_DEVICES + 50):
        patience.miss(("building-7", MacAddress(f"{number}")), NOW)

    assert len(patience._misses) == MAX_DEVICES


def test_a_lapsed_key_is_found_and_named_and_opens_nothing() -> None:
    key = stored(expires=NOW - DAY)
    building = Building(key)

    assert building.ask(handshake_request(pmk(key))) == REJECT
    last = building.desk.explain_device(MAC)
    assert last is not None
    assert (last.reason, last.key) == ("expired", key.name)


def test_a_passphrase_that_was_used_before_opens_for_its_new_holder() -> None:
    old = stored("old", expires=NOW - DAY)
    new = replace(stored("new", vlan=9), key=replace(old.key, id="new", expires=0.0, vlan=9), pmk=old.pmk)
    building = Building(old, new)

    assert accepted(building.ask(handshake_request(pmk(new))))
    last = building.desk.explain_device(MAC)
    assert last is not None
    assert last.key == new.name


def test_a_miss_while_pmks_are_missing_is_no_fault_of_the_device() -> None:
    building = Building(stored("done"), stored("waiting", derived=False))

    for number in range(MISSES + 1):
        building.ask(handshake_request(bytes(32), attempt=str(number)))

    assert building.reason() == "not-ready"


def test_a_key_revoked_during_its_search_opens_nothing() -> None:
    key = stored()
    building = Building(key)
    asked = building.desk.ask(handshake_request(pmk(key)), client(), HOME, OPEN, NOW)
    assert isinstance(asked, Search)

    building.desk.ring = ring_of()

    assert building.desk.found(asked, key, OPEN, NOW) == REJECT
    assert building.reason() == "revoked"


def test_a_key_rotated_during_its_search_opens_while_both_its_passphrases_are_good() -> None:
    key = stored()
    for ends, reason in ((NOW + DAY, ""), (NOW, "revoked")):
        desk = Desk(mpsk_settings())
        desk.ring = ring_of(key)
        wanted = desk.ask(handshake_request(pmk(key)), client(), HOME, OPEN, NOW)
        assert isinstance(wanted, Search)
        aside = replace(key, key=replace(key.key, id="k-1~old"), revoked=ends)

        desk.ring = ring_of(stored(passphrase=Secret("another-passphrase")), aside)
        answer = desk.found(wanted, key, OPEN, NOW)

        assert accepted(answer) is not bool(reason)
        last = desk.explain_device(MAC)
        assert last is not None
        assert last.reason == reason


@pytest.mark.parametrize("change", [{"devices": (OTHER_MAC,)}, {"site": "building-8"}], ids=str)
def test_a_key_closed_to_a_device_lets_it_on_no_more_and_sends_it_away(change: dict[str, Any]) -> None:
    key = stored()
    closed = replace(key, key=replace(key.key, **change))
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(key)
    wanted = desk.ask(handshake_request(pmk(key)), client(), HOME, OPEN, NOW)
    assert isinstance(wanted, Search)
    assert accepted(desk.found(wanted, key, OPEN, NOW))

    desk.ring = ring_of(closed)

    assert [stale.reason for stale in rechecked(desk.recheck(OPEN, NOW))] == ["unknown-device"]
    assert not accepted(desk.found(wanted, key, OPEN, NOW)), "nor after a search that began before"


@pytest.mark.parametrize("full", ["reject", "replace-oldest"])
def test_a_limit_that_is_lowered_keeps_the_devices_seen_last_and_they_stay_no_more_than_it_says(full: str) -> None:
    macs = [MacAddress(f"02:00:5e:20:00:0{n}") for n in range(5)]
    seen = tuple(Sighting(SSID, mac, KeyId(LOCAL, "k-1"), NOW - n * 60) for n, mac in enumerate(macs))
    desk = Desk(mpsk_settings(devices_full=full))
    desk.ring = ring_of(stored(), sightings=seen)
    for mac in macs:
        assert accepted(desk.ask(request(mac), client(), HOME, OPEN, NOW))  # type: ignore[arg-type]  # no search

    desk.ring = ring_of(stored(device_limit=2), sightings=seen)

    sent_away = {stale.mac for stale in rechecked(desk.recheck(OPEN, NOW))}
    assert sent_away == (set(macs[2:]) if full == "reject" else set())
    for mac in macs:
        assert accepted(desk.ask(request(mac), client(), HOME, OPEN, NOW)) is (mac in macs[:2])  # type: ignore[arg-type]


def test_an_overloaded_desk_is_silent() -> None:
    building = Building(stored())
    asked = building.desk.ask(handshake_request(bytes(32)), client(), HOME, OPEN, NOW)
    assert isinstance(asked, Search)

    assert building.desk.overloaded(asked, NOW) is None
    assert building.desk.counters.discards[Reason.OVERLOADED] == 1


def test_a_change_of_policy_names_the_devices_it_concerns_once() -> None:
    key, neighbour = stored(vlan=112, subscriber="1001"), stored("k-2", vlan=113, subscriber="1002")
    building = Building(key, neighbour)
    building.ask(handshake_request(pmk(key)))
    building.ask(handshake_request(pmk(neighbour), OTHER_MAC))
    assert rechecked(building.desk.recheck(OPEN, NOW)) == []

    stale = rechecked(building.desk.recheck(BLOCKED, NOW))

    assert [(s.nas, s.mac, s.reason) for s in stale] == [(HOME, MAC, "vlan")]
    assert rechecked(building.desk.recheck(BLOCKED, NOW)) == []


def test_what_ends_by_itself_names_its_devices_although_nobody_changed_anything() -> None:
    key, brief = stored(vlan=112, subscriber="1001"), stored("k-2", vlan=113, expires=NOW + 60)
    building = Building(key, brief)
    on_a_pass = replace(BLOCKED, learned=Learned(passes={"1001": NOW + 30}))
    building.ask(handshake_request(pmk(key)), on_a_pass)
    building.ask(handshake_request(pmk(brief), OTHER_MAC), on_a_pass)
    assert rechecked(building.desk.recheck(on_a_pass, NOW)) == []

    assert [(s.mac, s.reason) for s in rechecked(building.desk.recheck(on_a_pass, NOW + 31))] == [(MAC, "vlan")]
    assert [(s.mac, s.reason) for s in rechecked(building.desk.recheck(on_a_pass, NOW + 61))] == [
        (OTHER_MAC, "expired")
    ]


def test_a_key_that_is_gone_or_has_another_passphrase_names_its_devices() -> None:
    key = stored()
    for ring in (
        ring_of(),
        ring_of(replace(key, key=replace(key.key, passphrase=stored("k-9").key.passphrase))),
    ):
        building = Building(key)
        building.ask(handshake_request(pmk(key)))
        building.desk.ring = ring

        assert [s.reason for s in rechecked(building.desk.recheck(OPEN, NOW))] == ["revoked"]


def test_the_blocked_are_told_from_the_accepted() -> None:
    key = stored(subscriber="1001")
    building = Building(key)

    assert accepted(building.ask(handshake_request(pmk(key)), BLOCKED))
    last = building.desk.explain_device(MAC)
    assert last is not None
    assert (last.accepted, last.reason, last.vlan, last.key) == (True, "blocked", 666, KeyId("local", "k-1"))


def test_sae_is_rejected_by_name() -> None:
    building = Building(stored())

    assert building.ask(handshake_request(fake_pmk(0).reveal(), suite="sae")) == REJECT
    assert building.reason() == "unsupported-akm"


def test_access_points_are_remembered_within_bounds() -> None:
    patience = Patience()
    first = parse_address("10.0.0.0")
    patience.spend(first, BURST, NOW)
    assert patience.is_spent(first, NOW)
    for number in range(MAX_NASES):
        patience.spend(parse_address(f"10.1.{number // 256}.{number % 256}"), BURST, NOW)

    assert not patience.is_spent(first, NOW)
    patience.forgive()
    assert not patience.is_spent(parse_address("10.1.0.1"), NOW)


def test_what_is_refused_before_it_is_a_question_is_remembered_for_the_help_desk() -> None:
    building = Building(stored())

    for packet, reason in (
        (request(ssid="Residense"), "unknown-ssid"),
        (request(MAC, attribute("EAP-Message", b"\x02\x00\x00\x05\x01")), "not-mac-authentication"),
        (request(MAC, Attribute(2, b"another"), password=False), "bad-password"),
    ):
        assert building.ask(packet) == REJECT
        assert building.reason() == reason

    building.ask(request(ssid="Residense"))
    last = building.desk.explain_device(MAC)
    assert last is not None
    assert (last.ssid, last.client, last.accepted) == ("Residense", client().name, False)
