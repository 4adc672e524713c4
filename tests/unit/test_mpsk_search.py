# SPDX-License-Identifier: Apache-2.0
"""The search finds the one key, wherever it stands, and stops where it must; on every kernel and on their twin."""

from __future__ import annotations

from itertools import count

import pytest

from edged.mpsk.search import search_all
from edged.mpsk.wpa import pmks_of
from edged.native import keysearch
from edged.native.keysearch import CHECKS, MISS, Candidates, Portable
from edged.values import Secret
from tests.mpsk_world import VECTORS, challenge, fake_pmk
from tests.native import KERNELS, kernel

PMKS = [fake_pmk(i).reveal() for i in range(1000)]
WHOLE = b"".join(PMKS)


@pytest.fixture(autouse=True, params=KERNELS, ids=lambda name: name or "twin")
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here runs on each kernel and on the twin."""
    monkeypatch.setattr(keysearch, "KERNEL", kernel(request.param))


def of(pmks: bytes) -> Candidates:
    return keysearch.prepared(pmks)


@pytest.mark.parametrize("index", [0, 1, 17, 500, 999])
@pytest.mark.parametrize("suite", ["psk-md5", "psk-sha1", "psk-sha256"])
def test_a_handshake_finds_its_key_among_a_thousand(suite: str, index: int) -> None:
    assert of(WHOLE).search(challenge(PMKS[index], suite=suite)) == index


def test_the_twin_is_chosen_where_nothing_was_compiled() -> None:
    assert isinstance(of(WHOLE), Portable) is (not keysearch.KERNEL)


def test_a_wrong_passphrase_finds_nothing() -> None:
    assert of(WHOLE).search(challenge(bytes(32))) == MISS


def test_pools_are_searched_in_turn() -> None:
    wanted = challenge(PMKS[3])

    assert search_all(wanted, (of(b""), of(WHOLE[:64]), of(WHOLE))) == (2, 3)
    assert search_all(wanted, (of(WHOLE), of(WHOLE))) == (0, 3)
    assert search_all(wanted, (of(b""), of(b""))) is None


def test_a_search_that_is_late_ends_before_its_next_pool() -> None:
    asked = count()
    wanted = challenge(PMKS[3])

    with pytest.raises(TimeoutError):
        search_all(wanted, (of(WHOLE[:64]), of(WHOLE)), lambda: next(asked) == 1)
    assert next(asked) == 2


def test_no_secret_shows_in_what_is_searched() -> None:
    assert PMKS[0][:4] not in repr(of(WHOLE)).encode()
    assert "b'" not in repr(of(WHOLE))


def test_many_passphrases_make_the_pmks_that_each_makes_alone() -> None:
    rows = VECTORS["passphrases"]
    wanted = [(Secret(row["passphrase"]), row["ssid"]) for row in rows]
    raw = Secret("ab" * 32)

    made = pmks_of([*wanted, (raw, "a"), *wanted])

    assert [pmk.reveal().hex() for pmk in made] == [
        *(row["pmk"] for row in rows),
        "ab" * 32,
        *(row["pmk"] for row in rows),
    ]


def test_every_suite_has_a_check() -> None:
    assert list(CHECKS) == ["psk-md5", "psk-sha1", "psk-sha256", "ft-psk", "ft-name"]
