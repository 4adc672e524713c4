# SPDX-License-Identifier: Apache-2.0
"""Keys as CSV: read whole or with every problem, written without passphrases unless asked."""

from __future__ import annotations

import pytest

from edged.errors import Problem
from edged.model import Key, Rate
from edged.mpsk.csvfile import read_keys, write_keys
from edged.values import Secret
from tests.mpsk_world import MAC, OTHER_MAC, PASSPHRASE


def read(text: str) -> tuple[list[Key], list[Problem]]:
    return read_keys(text, ("Residence",), lambda: "made-id", lambda: Secret("made-passphrase-42"))


FULL = Key(
    "k-501", "Residence", Secret(PASSPHRASE), "1001", "building-7", "Flat 12", 112, 10, (MAC, OTHER_MAC),
    1793491200.0, 1825027200.0, Rate(100_000_000, 20_000_000),
)  # fmt: skip


def test_every_column_is_read() -> None:
    text = (
        "id,ssid,passphrase,subscriber,site,label,vlan,device_limit,devices,not_before,expires,rate\n"
        f"k-501,Residence,{PASSPHRASE},1001,building-7,Flat 12,112,10,{MAC} {OTHER_MAC},"
        "2026-11-01T00:00:00Z,2027-11-01T00:00:00Z,100M/20M\n"
    )

    assert read(text) == ([FULL], [])


def test_ids_and_passphrases_are_made_where_there_are_none() -> None:
    assert read("ssid,label\nResidence,Flat 1\n") == (
        [Key("made-id", "Residence", Secret("made-passphrase-42"), label="Flat 1")],
        [],
    )


def test_a_byte_order_mark_and_windows_lines_are_no_problem() -> None:
    assert read("\ufeffssid\r\nResidence\r\n")[1] == []


def test_spaces_belong_to_a_passphrase() -> None:
    assert read('ssid,passphrase\nResidence," fourteen jolly words "\n')[0][0].passphrase == Secret(
        " fourteen jolly words "
    )


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("label\nx\n", "ssid", 1),
        ("ssid,colour\nResidence,red\n", "colour", 1),
        ("ssid\n\n \n", "ssid", 3),
        ("ssid\nElsewhere\n", "ssid", 2),
        ("ssid,vlan\nResidence,4095\n", "vlan", 2),
        ("ssid,vlan\nResidence,1\nResidence,ten\n", "vlan", 3),
        ("ssid,device_limit\nResidence,0\n", "device_limit", 2),
        ("ssid,devices\nResidence,02:00\n", "devices", 2),
        ("ssid,expires\nResidence,tomorrow\n", "expires", 2),
        ("ssid,rate\nResidence,fast\n", "rate", 2),
        ("ssid,passphrase\nResidence,password\n", "passphrase", 2),
        ("ssid,label\nResidence\n", "", 2),
        ("ssid\nResidence,more\n", "", 2),
    ],
)
def test_each_problem_bears_its_column_and_line(text: str, key: str, line: int) -> None:
    problems = read(text)[1]

    assert [(p.key, p.line) for p in problems] == [(key, line)]


def test_every_problem_is_named_at_once_and_no_passphrase_in_any() -> None:
    _, problems = read("ssid,passphrase,vlan\n,weakling,0\n")

    assert [p.key for p in problems] == ["vlan", "ssid", "passphrase"]
    assert "weakling" not in repr(problems)


def test_an_empty_file_is_told_what_it_lacks() -> None:
    assert [p.key for p in read("")[1]] == ["ssid"]


def test_what_is_written_is_read_again_whatever_the_fields_hold() -> None:
    odd = Key("-1", "Residence", Secret('\'=copper, "otter" violin'), "=1+1", "@home", "+49 'quoted'\nsecond line")

    assert read(write_keys([FULL, odd], passphrases=True)) == ([FULL, odd], [])


def test_no_cell_is_a_formula_for_a_spreadsheet() -> None:
    key = Key("=cmd", "Residence", Secret("-copper-otter-violin"), "@x", "+1", "'=y", devices=(MAC,))

    cells = write_keys([key], passphrases=True).splitlines()[1].split(",")

    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_without_passphrases_there_is_no_column_for_them() -> None:
    text = write_keys([FULL], passphrases=False)

    assert PASSPHRASE not in text
    assert "passphrase" not in text
    assert read(text)[0][0].passphrase == Secret("made-passphrase-42")


def test_an_id_that_reads_as_a_passphrase_of_before_is_refused() -> None:
    assert [(p.key, p.line) for p in read("id,ssid\nk-1~old,Residence\n")[1]] == [("id", 2)]
