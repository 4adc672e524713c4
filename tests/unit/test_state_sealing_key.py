# SPDX-License-Identifier: Apache-2.0
"""The sealing key and its change: in the state directory, and from systemd's credentials in the order of the manual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.errors import ConfigError, UpstreamError
from edged.model import Key
from edged.state.database import Database
from edged.state.keys import KeyStore, Resealed
from edged.state.sealing import Seal
from edged.state.sealing_key import SealingKey
from edged.values import Secret
from tests.mpsk_world import NOW, SSID, fake_pmk

KEYS = [Key(f"k-{n}", SSID, Secret(f"copper-otter-violin-{n}")) for n in range(450)]
PLACE = "keys.passphrase:local:3:k-1"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "edged.sqlite")
    await opened.open()
    yield opened
    await opened.close()


async def filled(database: Database, place: SealingKey) -> KeyStore:
    store = KeyStore(database, place.seal())
    await store.add_local(KEYS, NOW)
    await store.save_pmks([(s, fake_pmk(s.key.id)) for s in await store.all()])
    return store


def credential(folder: Path, name: str, digit: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(digit * 64 + "\n")


def test_a_seal_opens_what_an_older_key_sealed_and_closes_with_the_newest() -> None:
    old, new, other = (Secret(octet * 32) for octet in (b"o", b"n", b"x"))
    sealed = Seal(old).close(Secret("secret"), PLACE)
    both = Seal(new, other, old)

    assert both.open(sealed, PLACE) == Secret("secret")
    assert Seal(new).open(both.close(Secret("secret"), PLACE), PLACE) == Secret("secret")
    with pytest.raises(UpstreamError):
        both.newest.open(sealed, PLACE)


async def test_a_reseal_changes_the_key_and_nothing_that_anybody_sees(tmp_path: Path, database: Database) -> None:
    place = SealingKey(tmp_path)
    store = await filled(database, place)
    before, old_key = await store.all(), (tmp_path / "sealing.key").read_text()

    assert await store.reseal(place) == Resealed(450)

    assert await store.all() == before
    assert (tmp_path / "sealing.key").read_text() != old_key
    assert not (tmp_path / "sealing.key.new").exists()
    assert (tmp_path / "sealing.key").stat().st_mode & 0o777 == 0o600
    again = await KeyStore(database, SealingKey(tmp_path).seal()).all()
    assert again == before
    assert all(s.pmk is not None for s in again), "nothing is derived again"
    with pytest.raises(UpstreamError, match="sealing key"):
        await KeyStore(database, Seal(Secret(bytes.fromhex(old_key)))).all()
    forged = Seal(Secret(bytes.fromhex(old_key))).close(Secret("a-passphrase-of-a-thief"), PLACE)
    await database.write(("UPDATE keys SET passphrase = ? WHERE id = 'k-1'", (forged,)))
    await store.all()
    assert [name.id for name in store.damaged] == ["k-1"], "the running store does not take the old key either"


async def test_nothing_that_the_old_key_sealed_is_left_on_disk(tmp_path: Path, database: Database) -> None:
    place = SealingKey(tmp_path)
    store = await filled(database, place)
    rows = await database.read("SELECT passphrase, pmk FROM keys")
    await database.read("PRAGMA secure_delete = OFF")  # some distributions switch it on
    await database.write(("DELETE FROM keys WHERE id > 'k-4'", ()))  # their pages are free, and not empty

    await store.reseal(place)

    octets = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [sealed for row in rows for sealed in row if sealed[:40] in octets]


async def test_keys_added_while_a_reseal_runs_are_sealed_with_the_new_key(tmp_path: Path, database: Database) -> None:
    place = SealingKey(tmp_path)
    store = await filled(database, place)
    resealing = asyncio.create_task(store.reseal(place))
    added = 0
    while not resealing.done():
        assert await store.add_local([Key(f"m-{added}", SSID, Secret(f"silver-badger-{added:06}"))], NOW) == {}
        added += 1
    await resealing

    assert added
    assert len(await KeyStore(database, SealingKey(tmp_path).seal()).all()) == 450 + added


async def test_a_reseal_that_the_database_cut_off_is_done_by_the_next_one(tmp_path: Path, database: Database) -> None:
    place = SealingKey(tmp_path)
    store = await filled(database, place)
    await database.write(
        ("CREATE TRIGGER full BEFORE UPDATE ON keys WHEN OLD.id = 'k-300' BEGIN SELECT RAISE(ABORT, 'full'); END", ())
    )

    with pytest.raises(UpstreamError, match="full"):
        await store.reseal(place)

    assert place.is_changing
    assert len(await store.all()) == 450, "both keys are accepted meanwhile"
    after_a_crash = KeyStore(database, SealingKey(tmp_path).seal())
    assert len(await after_a_crash.all()) == 450
    await database.write(("DROP TRIGGER full", ()))
    assert await after_a_crash.reseal(SealingKey(tmp_path)) == Resealed(450)
    assert not place.is_changing


async def test_a_row_that_no_key_opens_is_counted_and_left(tmp_path: Path, database: Database) -> None:
    place = SealingKey(tmp_path)
    store = await filled(database, place)
    await database.write(("UPDATE keys SET passphrase = x'01020304' WHERE id = 'k-7'", ()))

    assert await store.reseal(place) == Resealed(449, damaged=1)


async def test_with_the_wrong_key_nothing_is_begun(tmp_path: Path, database: Database) -> None:
    await filled(database, SealingKey(tmp_path))
    (tmp_path / "sealing.key").write_text("ab" * 32)
    place = SealingKey(tmp_path)

    with pytest.raises(UpstreamError, match="sealing key"):
        await KeyStore(database, place.seal()).reseal(place)

    assert not place.is_changing


# --- from systemd's credentials ------------------------------------------------------------------


async def test_the_operators_new_key_takes_over_in_the_order_of_the_manual(tmp_path: Path, database: Database) -> None:
    given, state = tmp_path / "credentials", tmp_path / "state"
    state.mkdir()
    credential(given, "sealing.key", "a")
    before = await (await filled(database, SealingKey(state, given))).all()
    assert not list(state.iterdir()), "the key is not written to the state directory"

    # one key alone: there is none to change to
    assert await KeyStore(database, SealingKey(state, given).seal()).reseal(SealingKey(state, given)) is None

    # 1. the new one as sealing.key, the old one beside it; a restart
    credential(given, "sealing.key", "b")
    credential(given, "sealing.key.old", "a")
    store = KeyStore(database, SealingKey(state, given).seal())
    assert await store.all() == before

    # 2. edged keys reseal, as often as one likes
    assert await store.reseal(SealingKey(state, given)) == Resealed(450)
    assert await store.reseal(SealingKey(state, given)) == Resealed(450)

    # 3. the old one goes; a restart when it suits
    (given / "sealing.key.old").unlink()
    assert await KeyStore(database, SealingKey(state, given).seal()).all() == before


async def test_a_key_of_the_state_directory_moves_into_the_credentials(tmp_path: Path, database: Database) -> None:
    given, state = tmp_path / "credentials", tmp_path / "state"
    before = await (await filled(database, SealingKey(state))).all()

    credential(given, "sealing.key", "c")
    store = KeyStore(database, SealingKey(state, given).seal())
    assert await store.all() == before
    assert await store.reseal(SealingKey(state, given)) == Resealed(450)

    assert not list(state.iterdir()), "a key that lies about is no use to anybody but a thief"
    assert await KeyStore(database, SealingKey(state, given).seal()).all() == before


def test_the_old_credential_alone_is_a_slip_that_is_said(tmp_path: Path) -> None:
    credential(tmp_path / "credentials", "sealing.key.old", "a")

    with pytest.raises(ConfigError, match=r"sealing\.key\.old alone"):
        SealingKey(tmp_path, tmp_path / "credentials").seal()


def test_credentials_of_others_leave_the_key_in_the_state_directory(tmp_path: Path) -> None:
    credential(tmp_path / "credentials", "something-else", "a")

    SealingKey(tmp_path, tmp_path / "credentials").seal()

    assert (tmp_path / "sealing.key").exists()


def test_a_damaged_credential_is_said_and_never_replaced(tmp_path: Path) -> None:
    credential(tmp_path / "credentials", "sealing.key", "z")

    with pytest.raises(ConfigError, match="damaged"):
        SealingKey(tmp_path, tmp_path / "credentials").seal()

    assert not (tmp_path / "sealing.key").exists()
