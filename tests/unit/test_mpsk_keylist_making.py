# SPDX-License-Identifier: Apache-2.0
"""Many keys at once: ids, labels, VLANs and passphrases of an order, and what is wrong with one."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from edged.errors import Problem
from edged.model import Key
from edged.mpsk.csvfile import no_such_network
from edged.mpsk.keylist.making import Order, Style, made, slug
from edged.mpsk.passphrase import weakness

CHOICE = random.Random(7).choice
NETWORKS = ("Residence", "Garden")


def keys_of(**order: Any) -> tuple[list[Key], list[Problem]]:
    serial = itertools.count(1)
    whole = Order(**{"ssids": ("Residence",), "units": ("1", "2", "3")} | order)
    return made(whole, NETWORKS, lambda: f"drawn-{next(serial)}", CHOICE)


def test_every_unit_has_an_id_a_label_a_vlan_and_a_passphrase_of_its_own() -> None:
    keys, problems = keys_of(units=("Flat 1", "Flat 2"), prefix="b7-", label="House 7, {}", vlan_from=101, site="b-7")

    assert not problems
    assert [(k.id, k.label, k.vlan, k.site) for k in keys] == [
        ("b7-flat-1", "House 7, Flat 1", 101, "b-7"),
        ("b7-flat-2", "House 7, Flat 2", 102, "b-7"),
    ]
    assert len({k.passphrase for k in keys}) == 2


def test_without_a_prefix_ids_are_drawn() -> None:
    assert [k.id for k in keys_of()[0]] == ["drawn-1", "drawn-2", "drawn-3"]


def test_on_several_networks_a_unit_has_one_passphrase_and_one_vlan() -> None:
    keys, _ = keys_of(ssids=NETWORKS, units=("12", "13"), prefix="flat-", vlan_from=112)

    assert [(k.id, k.ssid, k.vlan) for k in keys] == [
        ("flat-12", "Residence", 112), ("flat-12.garden", "Garden", 112),
        ("flat-13", "Residence", 113), ("flat-13.garden", "Garden", 113),
    ]  # fmt: skip
    assert keys[0].passphrase == keys[1].passphrase != keys[2].passphrase


@pytest.mark.parametrize("style", [Style(), Style("random"), Style("random", 20, word=True)])
def test_a_drawn_passphrase_is_never_weak_and_no_two_are_alike(style: Style) -> None:
    drawn = [style.draw(CHOICE) for _ in range(500)]

    assert len(set(drawn)) == 500
    assert not [each for each in drawn if weakness(each)]


@pytest.mark.parametrize(
    ("order", "key", "said"),
    [
        ({"ssids": ("Elsewhere",)}, "ssid", "one of Residence, Garden"),
        ({"ssids": ("Garden", "Garden")}, "ssid", "each once"),
        ({"units": ()}, "units", "a number of keys"),
        ({"units": ("Flat 1", "flat-1"), "prefix": "x-"}, "units", "tell them apart"),
        ({"units": ("—",), "prefix": "x-"}, "units", "tell them apart"),
        ({"units": ("1",) * 100_001}, "units", "at most 100,000"),
        ({"vlan_from": 4093}, "vlan-from", "VLANs between 1 and 4094"),
        ({"vlan_from": 0}, "vlan-from", "VLANs between 1 and 4094"),
        ({"not_before": 5.0, "expires": 4.0}, "until", "an end after it"),
        ({"style": Style("short")}, "style", "readable or random"),
        ({"style": Style("random", 11)}, "length", "12 to 40"),
        ({"style": Style("readable", 12, word=True)}, "style", "--style random"),
    ],
)
def test_what_is_wrong_with_an_order_is_said_and_no_key_made(order: dict[str, Any], key: str, said: str) -> None:
    keys, problems = keys_of(**order)

    assert keys == []
    assert [p.key for p in problems] == [key]
    assert said in problems[0].expected


def test_where_there_is_no_network_yet_that_is_said() -> None:
    assert no_such_network("Residence", ()).expected == "a network of mpsk.networks, which has none yet"
    assert no_such_network("Residence", ("Guests", "Staff")).expected == "one of Guests, Staff"


def test_a_unit_is_part_of_an_id_in_plain_letters() -> None:
    assert [slug(text) for text in ("Flat 12 b", "  3/4 ", "Ñandú")] == ["flat-12-b", "3-4", "and"]
