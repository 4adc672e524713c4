# SPDX-License-Identifier: Apache-2.0
"""What an operator's act makes of the keys: rotations, ends, undos, and what is refused with its next step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.mpsk.keylist.revisions import (
    Revised,
    Rotation,
    ended_at,
    restored,
    revoked,
    rotated,
    rotations_undone,
    with_devices,
)
from edged.state.keys import BILLING, StoredKey
from edged.values import Secret
from tests.mpsk_world import DAY, MAC, NOW, OTHER_MAC, SSID, stored

WEEK = {SSID: 7 * DAY, "Garden": DAY}
NEW = Secret("new-passphrase-of-k-1")


def applied(keys: list[StoredKey], rows: tuple[Any, Revised]) -> dict[str, StoredKey]:
    """The store after an act that must have been done."""
    put, revised = rows
    assert not revised.problems
    return {s.key.id: s for s in (*keys, *put)}


def refused(rows: tuple[Any, Revised]) -> str:
    put, revised = rows
    assert not list(put)
    assert not revised.ids
    return "; ".join(f"{p.key}: {p.found}; expected {p.expected}" for p in revised.problems)


def rotate(keys: list[StoredKey], *ids: str, passphrase: Secret = NEW, **terms: Any) -> tuple[Any, Revised]:
    whole: dict[str, Any] = {"now": NOW, "overlap": WEEK} | terms
    return rotated(keys, ids, Rotation(**whole), lambda: passphrase)


def test_a_rotated_keys_old_passphrase_is_good_for_the_overlap_with_its_pmk() -> None:
    key = stored("k-1", vlan=112)

    after = applied([key], rotate([key], "k-1"))

    assert (after["k-1"].key.passphrase, after["k-1"].pmk, after["k-1"].key.vlan) == (NEW, None, 112)
    old = after["k-1~old"]
    assert (old.key.passphrase, old.pmk, old.key.vlan) == (key.key.passphrase, key.pmk, 112)
    assert old.revoked == NOW + 7 * DAY


def test_a_leaked_passphrase_ends_at_once_with_the_one_before_it() -> None:
    first = stored("k-1")
    keys = list(applied([first], rotate([first], "k-1")).values())

    after = applied(keys, rotate(keys, "k-1", passphrase=Secret("another-one-of-k-1"), overlap=None))

    assert not after["k-1~old"].is_live(NOW)
    assert [s.key.id for s in after.values() if s.is_live(NOW)] == ["k-1"]


def test_a_prepared_rotation_changes_nothing_until_its_time() -> None:
    key = stored("k-1")

    after = applied([key], rotate([key], "k-1", at=NOW + DAY))

    assert (after["k-1"].key.passphrase, after["k-1"].key.not_before) == (NEW, NOW + DAY)
    assert (after["k-1~old"].key.passphrase, after["k-1~old"].revoked) == (key.key.passphrase, NOW + 8 * DAY)


def test_a_second_rotation_before_a_prepared_one_begins_keeps_the_passphrase_that_is_in_use() -> None:
    key = stored("k-1")
    keys = list(applied([key], rotate([key], "k-1", at=NOW + DAY)).values())

    after = applied(keys, rotate(keys, "k-1", passphrase=Secret("another-one-of-k-1")))

    assert after["k-1~old"].key.passphrase == key.key.passphrase
    assert (after["k-1"].key.passphrase, after["k-1"].key.not_before) == (Secret("another-one-of-k-1"), 0.0)


def test_a_resident_with_keys_on_two_networks_keeps_one_passphrase() -> None:
    home = stored("k-1", site="building-7")
    garden = stored("k-1.garden", site="building-7", ssid="Garden", passphrase=home.key.passphrase)
    other = stored("k-2", site="building-8", ssid="Garden", passphrase=home.key.passphrase)
    keys = [home, garden, other]

    after = applied(keys, rotate(keys, "k-1"))

    assert after["k-1"].key.passphrase == after["k-1.garden"].key.passphrase == NEW
    assert after["k-1.garden~old"].revoked == NOW + DAY
    assert after["k-2"] == other


def test_an_undone_rotation_gives_the_old_passphrase_back_and_cuts_nobody_off() -> None:
    key = stored("k-1")
    keys = list(applied([key], rotate([key], "k-1")).values())

    after = applied(keys, rotations_undone(keys, ["k-1"], NOW + DAY))

    assert (after["k-1"].key, after["k-1"].pmk) == (key.key, key.pmk)
    assert (after["k-1~old"].key.passphrase, after["k-1~old"].revoked) == (NEW, NOW + 7 * DAY)


def test_an_undone_rotation_is_undone_on_every_network_of_the_resident() -> None:
    home = stored("k-1", site="building-7")
    garden = stored("k-1.garden", site="building-7", ssid="Garden", passphrase=home.key.passphrase)
    other = stored("k-2", site="building-7")
    keys = list(applied([home, garden, other], rotate([home, garden, other], "k-1")).values())
    keys = list(applied(keys, rotate(keys, "k-2", passphrase=Secret("another-one-of-k-2"))).values())

    after = applied(keys, rotations_undone(keys, ["k-1"], NOW + 1))

    assert after["k-1"].key.passphrase == after["k-1.garden"].key.passphrase == home.key.passphrase
    assert after["k-2"].key.passphrase == Secret("another-one-of-k-2")
    both = applied(keys, rotations_undone(keys, ["k-1", "k-2"], NOW + 1))
    assert both["k-2"].key.passphrase == other.key.passphrase


def test_an_undone_rotation_that_had_not_begun_leaves_nothing_behind() -> None:
    key = stored("k-1")
    keys = list(applied([key], rotate([key], "k-1", at=NOW + DAY)).values())

    after = applied(keys, rotations_undone(keys, ["k-1"], NOW + 1))

    assert after["k-1"].key == key.key
    assert not after["k-1~old"].is_live(NOW + 1)


def test_a_revoked_key_ends_with_its_passphrase_of_before_and_comes_back_without_it() -> None:
    key = stored("k-1")
    keys = list(applied([key], rotate([key], "k-1")).values())

    ended = applied(keys, revoked(keys, ["k-1"], NOW + 1))
    again = applied(list(ended.values()), restored(list(ended.values()), ["k-1"], NOW + 2))

    assert not [s for s in ended.values() if s.is_live(NOW + 1)]
    assert [s.key.id for s in again.values() if s.is_live(NOW + 2)] == ["k-1"]


def test_a_revoked_key_does_not_come_back_where_another_has_its_passphrase_by_now() -> None:
    gone = stored("k-1", revoked=NOW - 1)
    heir = stored("k-2", passphrase=gone.key.passphrase)

    assert "its passphrase is that of k-2 (local); expected another" in refused(restored([gone, heir], ["k-1"], NOW))


def test_an_end_that_would_bring_two_keys_together_is_refused() -> None:
    early = stored("k-1", expires=NOW + DAY)
    late = stored("k-2", passphrase=early.key.passphrase, not_before=NOW + DAY)

    assert "that of k-2" in refused(ended_at([early, late], ["k-1"], NOW + 2 * DAY, NOW))
    after = applied([early, late], ended_at([early, late], ["k-1"], NOW + DAY / 2, NOW))
    assert after["k-1"].key.expires == NOW + DAY / 2


def test_an_end_holds_for_the_passphrase_of_before_too_and_never_takes_it_away() -> None:
    key = stored("k-1")
    keys = list(applied([key], rotate([key], "k-1")).values())

    ended = applied(keys, ended_at(keys, ["k-1"], NOW + DAY, NOW))
    endless = applied(list(ended.values()), ended_at(list(ended.values()), ["k-1"], 0.0, NOW))

    assert {s.key.expires for s in ended.values()} == {NOW + DAY}
    assert {s.key.expires for s in endless.values()} == {0.0}


def test_a_list_of_devices_holds_for_both_passphrases() -> None:
    key = stored("k-1", devices=(MAC,))
    keys = list(applied([key], rotate([key], "k-1")).values())

    after = applied(keys, with_devices(keys, "k-1", lambda had: (*had, OTHER_MAC), NOW))

    assert {s.key.devices for s in after.values()} == {(MAC, OTHER_MAC)}


def test_a_given_passphrase_that_another_has_is_refused_and_named() -> None:
    theirs = stored("k-9", origin=BILLING)

    said = refused(rotate([stored("k-1"), theirs], "k-1", passphrase=theirs.key.passphrase))

    assert "k-1: its passphrase is that of k-9 (billing)" in said


@pytest.mark.parametrize(
    ("key_id", "said"),
    [
        ("k-9", "billing's key; expected a key of your own making; billing's change in billing"),
        ("k-0", "no such key; expected an id of edged keys list"),
        ("gone", "edged keys revoke --undo gone brings it back"),
        ("turned~old", "expected the key itself, turned"),
        ("late", "edged keys expire late never brings it back"),
    ],
)
def test_what_cannot_be_rotated_is_said_with_the_next_step_and_nothing_is_changed(key_id: str, said: str) -> None:
    key = stored("turned")
    keys = [
        *applied([key], rotate([key], "turned")).values(),
        stored("k-9", origin=BILLING), stored("gone", revoked=NOW - 1), stored("late", expires=NOW - 1),
    ]  # fmt: skip

    assert said in refused(rotate(keys, "turned", key_id))


def test_what_cannot_be_undone_is_said() -> None:
    key = stored("k-1")
    keys = list(applied([key], rotate([key], "k-1")).values())

    assert "its passphrase of before has ended" in refused(rotations_undone(keys, ["k-1"], NOW + 8 * DAY))
    assert "no such key" in refused(rotations_undone([], ["k-1"], NOW))
    assert "not revoked" in refused(restored([key], ["k-1"], NOW))
    assert "before its beginning" in refused(
        ended_at([stored("k-1", not_before=NOW + DAY)], ["k-1"], NOW + DAY / 2, NOW)
    )


def test_a_key_that_has_yet_to_begin_is_rotated_without_an_overlap() -> None:
    key = stored("k-1", not_before=NOW + DAY)

    after = applied([key], rotate([key], "k-1"))

    assert after["k-1"].key == replace(key.key, passphrase=NEW)
    assert not after["k-1~old"].is_live(NOW)
