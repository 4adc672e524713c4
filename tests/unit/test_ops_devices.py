"""What a person reads of the devices: who is online first, in units of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.ops.keys.devices import access_point, all_devices, devices_text, octets

NOW = 1_795_860_000.0
GOLDEN = Path(__file__).parent.parent / "golden" / "devices.txt"


def device(mac: str, **more: Any) -> dict[str, Any]:
    return {
        "mac": mac, "ssid": "Residence", "key": "k-812", "origin": "billing", "old_passphrase": False,
        "label": "Apartment 301", "subscriber": "30006", "site": "building-7", "online": False, "since": None,
        "last_seen": NOW - 90061, "reported": None, "interim": False, "down": None, "up": None, "nas": "", "client": "",
        **more,
    }  # fmt: skip


ONLINE = {
    "online": True, "since": NOW - 7500, "reported": NOW - 60, "interim": True, "down": 1_431_655_765, "up": 80_000_000,
    "nas": "b7-1@10.7.0.2", "client": "building-7",
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
        (2**32, "4.3 GB"), (2**63 - 1, "9223.4 PB"),
    ],
)  # fmt: skip
def test_octets_are_told_in_the_units_of_plans(count: int | None, text: str) -> None:
    assert octets(count) == text


def test_what_an_access_point_says_of_itself_or_of_a_device_moves_no_cursor() -> None:
    said = "\x1b[2Jb7-1\r\x9b1A"
    found = [device(said, ssid=said, **ONLINE | {"nas": f"{said}@10.7.0.2"})]

    text = devices_text({"at": NOW, "devices": found})

    assert all(line.isprintable() for line in text.splitlines())
    assert access_point(found[0]).isprintable()


def test_who_is_online_stands_first_and_then_who_was_seen_last() -> None:
    found = [
        device("02:00:5e:10:00:01"),
        device("02:00:5e:10:00:02", last_seen=NOW - 60, old_passphrase=True),
        device("02:00:5e:10:00:03", **ONLINE),
        device("02:00:5e:10:00:04", **ONLINE | {"reported": NOW - 7000, "nas": "10.7.0.3", "client": "building-7"}),
        device("02:00:5e:10:00:05", key="", label="", **ONLINE | {"interim": False, "reported": NOW - 7500}),
    ]

    assert devices_text({"devices": found, "at": NOW}) + "\n" == GOLDEN.read_text("utf-8")


def test_without_accounting_it_says_what_the_times_are() -> None:
    assert devices_text({"devices": [device("02:00:5e:10:00:01")], "at": NOW}).endswith(
        "these are the last handshakes."
    )
    assert devices_text({"devices": [], "at": NOW}).startswith("No device")
    assert devices_text({"devices": [], "at": NOW}, narrowed=True).startswith("There is no such device now")


def test_the_parts_of_an_answer_are_put_together() -> None:
    asked = []

    def ask(**request: Any) -> dict[str, Any]:
        asked.append(request["after"])
        number = len(asked)
        return {"schema": 1, "at": NOW + number, "devices": [number], "next": ["R", number] if number < 3 else None}

    assert all_devices(ask, site="b") == {"schema": 1, "at": NOW + 1, "devices": [1, 2, 3]}
    assert asked == [None, ["R", 1], ["R", 2]]
