# SPDX-License-Identifier: Apache-2.0
"""The key store on a real SQLite file: what billing's list does to it, what is sealed, what is remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edged.errors import UpstreamError
from edged.model import Key, Rate
from edged.mpsk.keylist.revisions import revoked
from edged.state.database import Database
from edged.state.keys import BILLING, KEEP_DEVICES, KEEP_REVOKED, LOCAL, KeyId, KeyStore, Sighting, StoredKey
from edged.state.sealing import Seal
from edged.values import Secret
from tests.mpsk_world import DAY, MAC, NOW, OTHER_MAC, SSID, fake_pmk

SEAL = Seal(Secret(b"s" * 32))
WEEK = {SSID: 7 * DAY}
K1 = Key(
    "k-1", SSID, Secret("copper-otter-violin-42"), "1001", "building-7", "Flat 12", 112, 10, (MAC, OTHER_MAC),
    NOW - DAY, NOW + DAY, Rate(100, 20),
)  # fmt: skip
K2 = Key("k-2", SSID, Secret("silver-badger-trumpet-7"), "1002")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "edged.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database, SEAL)


async def live(store: KeyStore, now: float = NOW) -> dict[str, StoredKey]:
    return {s.key.id: s for s in await store.all() if not s.revoked or s.revoked > now}


async def test_a_key_comes_back_as_it_was_stored(store: KeyStore) -> None:
    change = await store.replace_billing([K1, K2], NOW)

    assert (change.added, change.changed, change.revoked) == (2, 0, 0)
    assert await store.all() == [StoredKey(BILLING, K1, created=NOW), StoredKey(BILLING, K2, created=NOW)]


async def test_the_same_list_again_changes_nothing(store: KeyStore) -> None:
    await store.replace_billing([K1, K2], NOW)

    change = await store.replace_billing([K2, K1], NOW + 60)

    assert (change.added, change.changed, change.revoked) == (0, 0, 0)


async def test_pmks_of_unchanged_passphrases_stay(store: KeyStore) -> None:
    await store.replace_billing([K1, K2], NOW)
    await store.save_pmks([(s, fake_pmk(s.key.id)) for s in await store.all()])

    await store.replace_billing([replace(K1, vlan=113), replace(K2, passphrase=Secret("another-passphrase-1"))], NOW)

    keys = await live(store)
    assert keys["k-1"].pmk == fake_pmk("k-1")
    assert keys["k-1"].key.vlan == 113
    assert keys["k-2"].pmk is None


async def test_a_key_under_another_id_keeps_its_pmk(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    await store.save_pmks([(s, fake_pmk("k-1")) for s in await store.all()])

    await store.replace_billing([replace(K1, id="k-99")], NOW)

    assert (await live(store))["k-99"].pmk == fake_pmk("k-1")


async def test_a_pmk_is_not_kept_for_a_passphrase_that_has_changed_meanwhile(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    derived = [(s, fake_pmk("late")) for s in await store.all()]
    await store.replace_billing([replace(K1, passphrase=Secret("another-passphrase-1"))], NOW)

    await store.save_pmks(derived)

    assert (await live(store))["k-1"].pmk is None


async def test_a_key_that_billing_drops_is_revoked_and_later_forgotten(store: KeyStore) -> None:
    await store.replace_billing([K1, K2], NOW)

    change = await store.replace_billing([K2], NOW + 60)

    assert change.revoked == 1
    assert {s.key.id: s.revoked for s in await store.all()} == {"k-1": NOW + 60, "k-2": 0.0}
    await store.replace_billing([K2], NOW + 61 + KEEP_REVOKED)
    assert [s.key.id for s in await store.all()] == ["k-2"]


async def test_a_key_that_comes_back_is_good_again(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    await store.replace_billing([], NOW + 60)

    await store.replace_billing([K1], NOW + 120)

    assert await store.all() == [StoredKey(BILLING, K1, created=NOW)]


async def test_a_replaced_passphrase_stays_good_for_the_overlap(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    await store.save_pmks([(s, fake_pmk("old")) for s in await store.all()])
    new = replace(K1, passphrase=Secret("another-passphrase-1"), vlan=113)

    await store.replace_billing([new], NOW + 60, WEEK)

    keys = await live(store, NOW + 60)
    assert keys["k-1"].key == new
    old = keys["k-1~old"]
    assert (old.key.passphrase, old.key.vlan, old.pmk) == (K1.passphrase, 113, fake_pmk("old"))
    assert old.revoked == NOW + 60 + 7 * DAY
    await store.replace_billing([new], NOW + DAY, WEEK)
    assert "k-1~old" in await live(store, NOW + DAY)
    await store.replace_billing([new], NOW + 8 * DAY, WEEK)
    assert "k-1~old" not in await live(store, NOW + 8 * DAY)


async def test_a_key_is_as_old_as_its_passphrase(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW, WEEK)
    await store.replace_billing([replace(K1, vlan=113)], NOW + 1, WEEK)
    await store.replace_billing([replace(K1, passphrase=Secret("silver-badger-trumpet-7"))], NOW + 2, WEEK)

    assert {s.key.id: s.created for s in await store.all()} == {"k-1": NOW + 2, "k-1~old": NOW}


async def test_a_key_that_changes_hands_has_no_overlap(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)

    await store.replace_billing(
        [replace(K1, subscriber="1009", passphrase=Secret("another-passphrase-1"))], NOW + 60, WEEK
    )

    assert set(await live(store, NOW + 60)) == {"k-1"}


async def test_a_dropped_key_takes_its_old_passphrase_with_it(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    await store.replace_billing([replace(K1, passphrase=Secret("another-passphrase-1"))], NOW, WEEK)

    await store.replace_billing([], NOW + 60, WEEK)

    assert await live(store, NOW + 60) == {}


async def test_an_old_passphrase_never_competes_with_a_live_key(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    swapped = [
        replace(K1, passphrase=Secret("another-passphrase-1")),
        replace(K1, id="k-3", subscriber="1003"),  # the passphrase that k-1 had
    ]

    await store.replace_billing(swapped, NOW, WEEK)

    assert set(await live(store)) == {"k-1", "k-3"}


async def test_two_keys_that_cannot_be_told_apart_are_reported_and_the_first_stays(store: KeyStore) -> None:
    twin = replace(K1, id="k-7", subscriber="1007")
    elsewhere = replace(K1, id="k-8", site="building-8")

    change = await store.replace_billing([twin, K1, elsewhere], NOW)

    assert change.conflicts == (("k-7", "k-1"),)
    assert set(await live(store)) == {"k-1", "k-8"}


async def test_local_keys_and_billings_keys_live_side_by_side(store: KeyStore) -> None:
    local = replace(K2, id="k-1")
    assert await store.add_local([local], NOW) == {}

    await store.replace_billing([K1], NOW)
    await store.replace_billing([], NOW)

    assert [(s.origin, s.revoked) for s in await store.all()] == [(BILLING, NOW), (LOCAL, 0.0)]


async def test_a_local_key_must_be_unique_where_it_is_good(store: KeyStore) -> None:
    await store.replace_billing([K1], NOW)
    same = replace(K1, id="mine")

    assert await store.add_local([same], NOW) == {"mine": "k-1"}
    assert await store.add_local([replace(same, site="")], NOW) == {"mine": "k-1"}
    assert await store.add_local([replace(same, site="building-8")], NOW) == {}
    assert await store.add_local([replace(K2, id="mine")], NOW) == {"mine": "mine"}
    assert await store.add_local([replace(same, id="more", ssid="Staff")], NOW) == {}


async def test_of_several_local_keys_all_are_added_or_none(store: KeyStore) -> None:
    twins = [replace(K2, id="a"), replace(K2, id="b"), K1]

    assert await store.add_local(twins, NOW) == {"b": "a"}
    assert await store.all() == []


async def test_a_passphrase_is_free_again_once_its_key_is_revoked(store: KeyStore) -> None:
    await store.add_local([K2], NOW)

    await store.revise(lambda keys: revoked(keys, ["k-2"], NOW + 60))

    assert await store.add_local([replace(K2, id="again")], NOW + 61) == {}


async def test_the_last_key_of_a_device_is_remembered(store: KeyStore) -> None:
    first, second = KeyId(LOCAL, "k-1"), KeyId(BILLING, "k-2")
    await store.learn([Sighting(SSID, MAC, first, NOW), Sighting(SSID, OTHER_MAC, first, NOW)])
    await store.learn([Sighting(SSID, MAC, second, NOW + 5)])

    assert await store.devices(NOW) == [
        Sighting(SSID, OTHER_MAC, first, NOW),
        Sighting(SSID, MAC, second, NOW + 5),
    ]


async def test_devices_not_seen_for_a_season_are_forgotten(store: KeyStore) -> None:
    await store.learn([Sighting(SSID, MAC, KeyId(LOCAL, "k-1"), NOW)])

    assert await store.devices(NOW + KEEP_DEVICES + 1) == []


async def test_the_file_holds_neither_passphrase_nor_pmk(store: KeyStore, database: Database) -> None:
    await store.replace_billing([K1], NOW)
    await store.add_local([K2], NOW)
    await store.save_pmks([(s, fake_pmk(s.key.id)) for s in await store.all()])
    await database.close()

    octets = b"".join(path.read_bytes() for path in database.path.parent.iterdir())

    assert b"Flat 12" in octets
    for secret in (K1.passphrase, K2.passphrase, fake_pmk("k-1"), fake_pmk("k-2")):
        assert secret.reveal() not in octets
        assert secret.reveal().hex().encode() not in octets


async def test_a_sealed_value_opens_in_its_own_row_alone(store: KeyStore, database: Database) -> None:
    await store.replace_billing([K1, K2], NOW)
    await database.write(
        ("UPDATE keys SET passphrase = (SELECT passphrase FROM keys WHERE id = 'k-2') WHERE id = 'k-1'", ())
    )

    assert [s.key.id for s in await store.all()] == ["k-2"]
    assert store.damaged == (KeyId(BILLING, "k-1"),)
    await store.replace_billing([K1, K2], NOW)
    assert len(await store.all()) == 2


async def test_another_sealing_key_is_said_and_not_taken_for_an_empty_store(
    store: KeyStore, database: Database
) -> None:
    await store.replace_billing([K1], NOW)

    with pytest.raises(UpstreamError, match="sealing key"):
        await KeyStore(database, Seal(Secret(b"t" * 32))).all()
