# SPDX-License-Identifier: Apache-2.0
"""Who has the passphrase of before a rotation, by what is known of each device and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.ops.keys.residents import row_of
from edged.state.keys import LOCAL, KeyId, Sighting
from edged.state.sessions import Session
from tests.mpsk_world import DAY, MAC, NOW, SSID, ring_of, stored

OLD, NEW = stored("k-1~old", revoked=NOW + DAY), replace(stored("k-1"), created=NOW)
RING = ring_of(OLD, NEW)
"""A key that was rotated now."""


@pytest.mark.parametrize(
    ("key", "at", "old"),
    [("k-1", NOW - 1, True), ("k-1", NOW, False), ("k-1", NOW + 1, False), ("k-1~old", NOW + 1, True)],
)
def test_who_came_with_a_key_before_its_rotation_has_the_old_passphrase(key: str, at: float, old: bool) -> None:
    proved = row_of(SSID, MAC, None, Sighting(SSID, MAC, KeyId(LOCAL, key), at), RING)
    told = row_of(SSID, MAC, Session("ap", "1", started=at, updated=NOW + 9, origin=LOCAL, key=key), None, RING)

    for row in (proved, told):
        assert (row["key"], row["old_passphrase"]) == ("k-1", old)


def test_a_key_whose_rotation_is_over_or_was_taken_back_has_one_passphrase() -> None:
    for ring in (ring_of(NEW), ring_of(stored("k-1"), replace(OLD, created=NOW))):
        row = row_of(SSID, MAC, None, Sighting(SSID, MAC, NEW.name, NOW - 1), ring)
        assert (row["key"], row["old_passphrase"]) == ("k-1", False)
