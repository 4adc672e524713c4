# SPDX-License-Identifier: Apache-2.0
"""The search finds the one key, wherever it stands, and stops where it must."""

from __future__ import annotations

import pytest

from edged.mpsk.search import MISS, search, search_all
from tests.mpsk_world import challenge, fake_pmk

PMKS = [fake_pmk(i).reveal() for i in range(1000)]
WHOLE = b"".join(PMKS)


@pytest.mark.parametrize("index", [0, 1, 17, 500, 999])
def test_a_handshake_finds_its_key_among_a_thousand(index: int) -> None:
    assert search(challenge(PMKS[index]), WHOLE) == index


@pytest.mark.parametrize("suite", ["psk-md5", "psk-sha1", "psk-sha256"])
def test_every_suite_finds_its_key(suite: str) -> None:
    assert search(challenge(PMKS[99], suite=suite), WHOLE[: 100 * 32]) == 99


def test_a_wrong_passphrase_finds_nothing() -> None:
    assert search(challenge(bytes(32)), WHOLE) == MISS


def test_a_search_starts_where_it_is_told() -> None:
    wanted = challenge(PMKS[10])

    assert search(wanted, WHOLE, start=10) == 10
    assert search(wanted, WHOLE, start=11) == MISS


def test_a_search_is_bounded_by_a_count() -> None:
    wanted = challenge(PMKS[10])

    assert search(wanted, WHOLE, limit=10) == MISS
    assert search(wanted, WHOLE, limit=11) == 10


def test_pools_are_searched_in_turn() -> None:
    wanted = challenge(PMKS[3])

    assert search_all(wanted, (b"", WHOLE[:64], WHOLE)) == (2, 3)
    assert search_all(wanted, (WHOLE, WHOLE)) == (0, 3)
    assert search_all(wanted, (b"", b"")) is None
