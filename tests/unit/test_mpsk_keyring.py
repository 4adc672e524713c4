# SPDX-License-Identifier: Apache-2.0
"""Which keys are tried for a device, and in which order."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from edged.mpsk.authorize import authorize_device
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.keyring import DEVICE_AGE, FRONT, MOST_CLAIMS, POOL, compile_keyring, fault_of, finished
from edged.mpsk.outcome import Accept, Reason
from edged.mpsk.question import Question
from edged.policy.access import View
from edged.state.keys import BILLING, LOCAL, KeyId, Sighting, StoredKey
from edged.values import Secret
from tests.mpsk_world import DAY, MAC, NOW, OTHER_MAC, SSID, challenge, fake_pmk, many, network, ring_of, stored


def ids(ring_keys: tuple[StoredKey, ...]) -> list[str]:
    return [key.key.id for key in ring_keys]


def seen(key_id: str, mac: str = MAC, at: float = NOW) -> Sighting:
    return Sighting(SSID, type(MAC)(mac), KeyId(LOCAL, key_id), at)


def test_the_likeliest_keys_come_first() -> None:
    ring = ring_of(
        stored("everywhere"), stored("here", site="building-7"), stored("there", site="building-8"),
        stored("registered", devices=(MAC,)), stored("last"), stored("lapsed", expires=NOW - 1),
        sightings=(seen("last"),),
    )  # fmt: skip

    assert ids(ring.own(SSID, "building-7", MAC, NOW)) == ["last", "registered"]
    assert [ids(pool.keys) for pool in ring.wide(SSID, "building-7")] == [["here"], ["everywhere", "last"], ["lapsed"]]


def test_pmks_stand_in_the_order_of_their_keys() -> None:
    keys = many(5)

    (pool,) = ring_of(*keys).wide(SSID, "")

    assert [pool.candidates.search(challenge(k.pmk.reveal())) for k in keys if k.pmk] == [0, 1, 2, 3, 4]
    assert pool.keys == tuple(keys)


def test_a_large_list_is_cut_into_pools_in_its_order() -> None:
    keys = many(2 * POOL + 1)

    pools = ring_of(*keys).wide(SSID, "")

    assert [len(pool.candidates) for pool in pools] == [POOL, POOL, 1]
    assert [k for pool in pools for k in pool.keys] == keys


def test_a_key_with_devices_is_good_for_those_alone() -> None:
    ring = ring_of(stored("registered", devices=(MAC,)))

    assert not ring.own(SSID, "", OTHER_MAC, NOW)
    assert not ring.wide(SSID, "")
    assert ids(ring.narrow(SSID, "", MAC)) == ["registered"]


def test_a_key_of_another_site_or_network_is_never_tried() -> None:
    ring = ring_of(stored("there", site="building-8"), stored("staff", ssid="Staff"), sightings=(seen("there"),))

    assert not ring.own(SSID, "building-7", MAC, NOW)
    assert not ring.wide(SSID, "building-7")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (stored(derived=False), None),
        (stored(derived=False, expires=NOW), Reason.EXPIRED),
        (stored(derived=False, expires=NOW + 1), None),
        (stored(derived=False, not_before=NOW + 1), Reason.NOT_YET),
        (stored(derived=False, not_before=NOW), None),
        (stored(derived=False, revoked=NOW), Reason.REVOKED),
        (stored(derived=False, revoked=NOW + 1), None),
    ],
)
def test_a_key_is_good_from_its_beginning_to_its_end(key: StoredKey, reason: Reason | None) -> None:
    assert fault_of(key, NOW) is reason


def test_the_next_change_is_the_nearest_of_all_beginnings_and_ends() -> None:
    ring = ring_of(
        stored("a", derived=False, expires=NOW + 50), stored("b", derived=False, not_before=NOW + 20),
        stored("c", derived=False, revoked=NOW + 30), stored("d", derived=False, expires=NOW - 5),
    )  # fmt: skip

    assert ring.next_change == NOW + 20
    assert ring_of().next_change == float("inf")


def test_pmks_are_wanted_for_live_keys_of_known_networks_alone() -> None:
    keys = [
        stored("mine", derived=False), stored("staff", derived=False, ssid="Staff"),
        stored("gone", derived=False, revoked=NOW - 1), stored("soon", derived=False, not_before=NOW + DAY),
        stored("done"),
    ]  # fmt: skip

    ring = compile_keyring(keys, (), (SSID,), NOW)

    assert sorted(ids(ring.pending)) == ["mine", "soon"]
    assert ring.unready == {SSID: 2}


def test_the_newest_key_is_derived_first() -> None:
    old, new = stored("old", derived=False), replace(stored("new", derived=False), created=NOW)

    assert ids(ring_of(old, new).pending) == ["new", "old"]


def test_derived_pmks_make_the_keyring_that_compiling_it_again_would() -> None:
    keys = [
        stored("a", derived=False), stored("b", derived=False, site="building-7"),
        stored("c", derived=False, devices=(MAC,)),
        stored("d", derived=False, not_before=NOW + DAY), stored("e"),
    ]  # fmt: skip
    before = ring_of(*keys)
    derived = [(key, fake_pmk(key.key.id)) for key in before.pending]

    first = finished(before.with_pmks(derived[:2], NOW))
    after = finished(first.with_pmks(derived[2:], NOW))

    assert ids(first.pending) == ids(before.pending)[2:]
    assert (first.unready, after.unready, after.pending) == ({SSID: 2}, {}, ())
    whole = compile_keyring(after.keys.values(), (), (SSID,), NOW)
    assert after.own(SSID, "", MAC, NOW) == whole.own(SSID, "", MAC, NOW) != ()
    for site in ("", "building-7"):
        tried = [sorted(ids(pool.keys)) for pool in whole.wide(SSID, site)]
        assert sorted(k for pool in after.wide(SSID, site) for k in ids(pool.keys)) == sorted(
            k for t in tried for k in t
        )
    for pool in after.wide(SSID, "building-7"):
        assert [pool.candidates.search(challenge(k.pmk.reveal())) for k in pool.keys if k.pmk] == list(
            range(len(pool.keys))
        )


def test_a_pmk_of_a_passphrase_that_has_changed_meanwhile_is_left_out() -> None:
    was = stored("a", derived=False)
    ring = ring_of(stored("a", derived=False, passphrase=Secret("another-passphrase")), stored("b", derived=False))

    after = finished(ring.with_pmks([(was, fake_pmk("a"))], NOW))

    assert not after.wide(SSID, "")
    assert sorted(ids(after.pending)) == ["a", "b"]
    assert after.unready == {SSID: 2}


def test_a_pmk_of_a_network_that_is_gone_meanwhile_does_no_harm() -> None:
    key = stored("a", derived=False)
    ring = compile_keyring([key, stored("b", derived=False, ssid="Staff")], (), ("Staff",), NOW)

    after = finished(ring.with_pmks([(key, fake_pmk("a"))], NOW))

    assert (ids(after.pending), after.unready) == (["b"], {"Staff": 1})


def test_devices_of_a_key_are_counted_while_they_are_fresh() -> None:
    ring = ring_of(
        stored("k-1", derived=False),
        sightings=(
            seen("k-1"),
            seen("k-1", OTHER_MAC, NOW - DEVICE_AGE),
            seen("k-1", "02:00:5e:10:00:03", NOW - DAY),
        ),
    )

    assert ring.device_count(KeyId(LOCAL, "k-1"), MAC, NOW) == 1
    assert ring.device_count(KeyId(LOCAL, "k-1"), OTHER_MAC, NOW) == 2


def test_a_device_that_changes_its_key_leaves_the_old_one() -> None:
    before = ring_of(stored("k-1", derived=False), stored("k-2", derived=False), sightings=(seen("k-1"),))

    after = before.with_sightings((seen("k-2"),))

    assert after.device_count(KeyId(LOCAL, "k-1"), OTHER_MAC, NOW) == 0
    assert after.device_count(KeyId(LOCAL, "k-2"), OTHER_MAC, NOW) == 1
    assert before.device_count(KeyId(LOCAL, "k-1"), OTHER_MAC, NOW) == 1


def test_devices_learned_one_by_one_are_the_table_that_a_restart_reads() -> None:
    keys = [stored("k-1", derived=False), stored("k-2", derived=False)]
    came = [
        seen(f"k-{1 + number % 2}", f"02:00:00:00:{number % 300 // 256:02x}:{number % 300 % 256:02x}", NOW + number)
        for number in range(2 * FRONT + 37)
    ]
    ring = ring_of(*keys)
    for sighting in came:
        ring = ring.with_sightings((sighting,))
    whole = ring_of(*keys, sightings=tuple(came))

    assert dict(ring.learned) == dict(whole.learned)
    assert {name: dict(devices) for name, devices in ring.devices.items()} == dict(whole.devices)
    assert len(ring.learned) == len(whole.learned) == 300
    assert [s.at for s in ring.learned.values() if s.mac == came[-1].mac] == [came[-1].at]


def test_a_device_of_the_old_passphrase_is_offered_the_new_one() -> None:
    old, new = stored("k-1~old", revoked=NOW - 1), stored("k-1")
    ring = ring_of(old, new, sightings=(seen("k-1~old"),))

    assert ids(ring.narrow(SSID, "", MAC)) == ["k-1~old", "k-1"]
    assert ring.sibling(new, NOW) is None
    assert ring_of(stored("k-1~old", revoked=NOW + 1), new).sibling(new, NOW) is not None


def test_a_device_of_a_key_whose_new_passphrase_has_yet_to_begin_is_offered_the_one_in_use() -> None:
    prepared, in_use = stored("k-1", not_before=NOW + DAY), stored("k-1~old", revoked=NOW + 2 * DAY)
    ring = ring_of(in_use, prepared, sightings=(seen("k-1"),))

    assert ids(ring.narrow(SSID, "", MAC)) == ["k-1", "k-1~old"]
    assert ids(ring.own(SSID, "", MAC, NOW)) == ["k-1~old"]
    found = authorize_device(Question(MAC, SSID, "", DIALECTS["hostapd"]), ring, network(), view=View(), now=NOW)
    assert isinstance(found, Accept)
    assert ids(found.keys) == ["k-1~old"]


def test_a_key_that_billing_calls_as_if_it_were_anothers_passphrase_of_before_is_handed_to_nobody_else() -> None:
    mine, neighbours = stored("k-1", origin=BILLING), stored("k-1~old", origin=BILLING)
    ring = ring_of(mine, neighbours, sightings=(seen("k-1")._replace(key=mine.name),))

    assert ring.sibling(mine, NOW) is None
    assert ring.sibling(neighbours, NOW) is None
    assert ids(ring.narrow(SSID, "", MAC)) == ["k-1"]


def test_devices_that_leave_one_by_one_leave_the_table_that_a_restart_reads() -> None:
    macs = [type(MAC)(f"02:00:5e:10:{n // 256:02x}:{n % 256:02x}") for n in range(2 * FRONT)]
    came = tuple(Sighting(SSID, mac, KeyId(LOCAL, f"k-{n % 3}"), NOW) for n, mac in enumerate(macs))
    for step in (1, FRONT + 50):
        ring = ring_of(sightings=came)
        left = {(SSID, mac) for mac in macs[1::2]}
        for start in range(0, len(macs), step):
            ring = ring.without({(SSID, mac) for mac in macs[start : start + step]} & left)
        back = came[1]._replace(key=KeyId(LOCAL, "k-9"))
        ring = ring.with_sightings([back])
        whole = ring_of(sightings=(*came[::2], back))

        assert dict(ring.learned) == dict(whole.learned)
        assert {n: dict(d) for n, d in ring.devices.items() if d} == {n: dict(d) for n, d in whole.devices.items()}
        assert len(ring.learned) == len(list(ring.learned)) == FRONT + 1
        assert ((SSID, macs[3]) in ring.learned, ring.learned.get((SSID, macs[3]))) == (False, None)


def test_what_one_device_costs_that_takes_anothers_place_does_not_grow_with_the_building() -> None:
    """A resident with ever new MAC addresses has it done as often as the radio allows."""

    def seconds(devices: int) -> float:
        macs = [type(MAC)(f"02:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}:00") for n in range(devices)]
        ring = ring_of(sightings=tuple(Sighting(SSID, m, KeyId(LOCAL, f"k-{n // 4}"), NOW) for n, m in enumerate(macs)))
        took = []
        for mac in macs[:20]:
            begun = time.process_time()
            ring = ring.without([(SSID, mac)])
            took.append(time.process_time() - begun)
        return min(took)

    assert seconds(50_000) < 20 * seconds(500)


def test_an_address_that_billing_gives_for_every_key_is_tried_with_some_of_them_alone() -> None:
    nobody = type(MAC)("00:00:00:00:00:00")
    ring = ring_of(*many(MOST_CLAIMS + 500, devices=(nobody, MAC)))

    assert len(ring.own(SSID, "", nobody, NOW)) == MOST_CLAIMS


def test_a_place_that_is_left_and_taken_in_one_batch_is_one_place() -> None:
    ring = ring_of(stored("k-1"), stored("k-2"), sightings=(seen("k-1"),))

    after = ring.with_sightings([seen("k-2"), seen("k-1", OTHER_MAC)])

    assert set(after.devices[KeyId(LOCAL, "k-1")]) == {OTHER_MAC}


def test_a_keyring_shows_no_secret() -> None:
    ring = ring_of(stored("k-1"))
    pmk = ring.keys[KeyId(LOCAL, "k-1")].pmk

    assert pmk is not None
    assert repr(pmk.reveal())[2:10] not in repr(ring)
    assert "passphrase-of-k-1" not in repr(ring)
