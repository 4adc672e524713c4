# SPDX-License-Identifier: Apache-2.0
"""RADIUS clients that have signed once: a restart must not forget them (CVE-2024-3596)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.state.database import Database
from edged.state.signers import SignerStore

NASES = [ip_address(a) for a in ("10.7.0.1", "10.7.0.2", "2001:db8:7::1")]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "edged.sqlite")
    await opened.open()
    yield opened
    await opened.close()


async def test_nobody_has_signed_at_first(database: Database) -> None:
    assert await SignerStore(database).load() == []


async def test_clients_of_both_families_are_remembered_across_a_restart(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    await SignerStore(database).save(NASES)
    await database.close()
    reopened = Database(tmp_path / "edged.sqlite")
    await reopened.open()

    assert set(await SignerStore(reopened).load()) == set(NASES)
    await reopened.close()


async def test_saving_adds_and_never_takes_away(database: Database) -> None:
    store = SignerStore(database)

    await store.save(NASES[:2])
    await store.save(NASES[1:])
    await store.save([])

    loaded = await store.load()
    assert sorted(map(str, loaded)) == sorted(map(str, NASES)), "each of them once"


async def test_an_address_is_one_client_however_it_is_spelt(database: Database) -> None:
    store = SignerStore(database)

    await store.save([ip_address("2001:db8:0:0:0:0:0:1"), ip_address("2001:DB8::1")])

    assert await store.load() == [ip_address("2001:db8::1")]
