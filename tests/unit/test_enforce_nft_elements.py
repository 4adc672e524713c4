# SPDX-License-Identifier: Apache-2.0
"""The netlink batch, message by message: read back by a reader of its own, and once octet for octet."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from edged.enforce.conntrack import messages
from edged.enforce.diff import Plan
from edged.enforce.edits import admissions, alive, aside, singly
from edged.enforce.nft_elements import FEW, Change, batch, changes, is_small
from edged.enforce.sets import Element, SetName
from edged.values import IpAddress, parse_mac, parse_prefix

# numbers of linux/netfilter/nfnetlink.h, nf_tables.h and netlink.h
BEGIN, END = 16, 17
NEW, DELETE = (10 << 8) | 12, (10 << 8) | 14
ACK, CREATE = 0x4, 0x400
TIMEOUT, FLAGS = 4, 3


class Seen(NamedTuple):
    """One message as the kernel reads it."""

    verb: str
    set: str
    elements: list[str]
    """Each key in hexadecimal, ``!`` before the end of an interval, ``@`` and milliseconds after what has a life."""


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def element(value: bytes) -> str:
    facts = dict(attributes(value))
    ((_, key),) = attributes(facts[1])
    text = key.hex()
    if FLAGS in facts:
        assert facts[FLAGS] == b"\0\0\0\1"
        text = f"!{text}"
    return f"{text}@{int.from_bytes(facts[TIMEOUT])}" if TIMEOUT in facts else text


def seen(*listed: Change) -> list[Seen]:
    found = []
    for change in listed:
        assert (change.kind, change.flags) in {(NEW, ACK | CREATE), (DELETE, ACK)}
        assert change.body[:4] == bytes((1, 0, 0, 0)), "the family inet"
        facts = dict(attributes(change.body[4:]))
        assert facts[1] == b"edged\0"
        elements = [element(value) for _, value in attributes(facts[3])]
        found.append(Seen("add" if change.kind == NEW else "delete", facts[2].rstrip(b"\0").decode(), elements))
    return found


def plan(*, add: dict[SetName, set[Element]] | None = None, remove: dict[SetName, set[Element]] | None = None) -> Plan:
    added = {name: frozenset(elements) for name, elements in (add or {}).items()}
    removed = {name: frozenset(elements) for name, elements in (remove or {}).items()}
    return Plan(add=added, remove=removed)


def host(text: str) -> int:
    return int(ip_address(text))


def test_a_host_is_its_address_in_network_order() -> None:
    change = plan(
        add={SetName.BLOCKED_HOSTS_4: {host("100.64.1.7")}}, remove={SetName.BLOCKED_HOSTS_6: {host("2001:db8::7")}}
    )

    assert seen(*changes(singly(change), "edged")) == [
        Seen("delete", "blocked6h", ["20010db8000000000000000000000007"]),
        Seen("add", "blocked4h", ["64400107"]),
    ]


def test_a_prefix_is_its_first_address_and_the_first_one_after_it_in_order() -> None:
    lines: set[Element] = {
        parse_prefix("100.64.3.0/24"),
        parse_prefix("100.64.2.0/25"),
        parse_prefix("100.64.2.128/25"),
    }

    assert seen(*changes(singly(plan(add={SetName.BLOCKED_PREFIXES_4: lines})), "edged")) == [
        Seen("add", "blocked4n", ["64400200", "!64400280", "64400280", "!64400300", "64400300", "!64400400"])
    ]


@pytest.mark.parametrize(
    ("name", "prefix", "first"),
    [
        (SetName.BLOCKED_PREFIXES_4, "255.255.255.0/24", "ffffff00"),
        (SetName.BLOCKED_PREFIXES_6, "ffff::/16", "ffff" + "0" * 28),
        (SetName.SERVED_4, "0.0.0.0/0", "00000000"),
    ],
)
def test_a_prefix_up_to_the_last_address_has_no_end(name: SetName, prefix: str, first: str) -> None:
    assert seen(*changes(singly(plan(add={name: {parse_prefix(prefix)}})), "edged")) == [Seen("add", name, [first])]


def test_a_device_is_its_six_octets() -> None:
    change = plan(remove={SetName.BLOCKED_MACS: {parse_mac("02:00:5e:10:00:01")}})

    assert seen(*changes(singly(change), "edged")) == [Seen("delete", "blockedm", ["02005e100001"])]


def test_what_goes_makes_room_before_anything_comes() -> None:
    change = plan(
        add={SetName.BLOCKED_PREFIXES_4: {parse_prefix("100.64.2.0/24")}, SetName.BLOCKED_HOSTS_4: {1}},
        remove={SetName.BLOCKED_PREFIXES_4: {parse_prefix("100.64.2.0/25")}, SetName.BLOCKED_HOSTS_4: {2}},
    )

    assert [one.verb for one in seen(*changes(singly(change), "edged"))] == ["delete", "delete", "add", "add"]


def test_only_a_plan_of_a_few_elements_and_no_rules_is_made_by_ourselves() -> None:
    def of(number: int, *, base: bool = False) -> Plan:
        return Plan(base=base, add={SetName.BLOCKED_HOSTS_4: frozenset(range(number))})

    assert [is_small(of(number)) for number in (0, 1, FEW, FEW + 1)] == [False, True, True, False]
    assert not is_small(of(1, base=True))
    both = Plan(add=of(FEW).add, remove={SetName.BLOCKED_HOSTS_6: frozenset({1})})
    assert not is_small(both)


ENTRIES: list[tuple[IpAddress, int]] = [
    (ip_address("203.0.113.5"), 60_000),
    (ip_address("2001:db8::5"), 7_001),
    (ip_address("203.0.113.6"), 5_000_000_000),
]


def test_an_admitted_address_has_its_life_in_milliseconds() -> None:
    assert seen(*changes(admissions(ENTRIES, replace=False), "edged")) == [
        Seen("add", "garden4", ["cb007105@60000", "cb007106@5000000000"]),
        Seen("add", "garden6", ["20010db8000000000000000000000005@7001"]),
    ]


def test_where_adding_renews_no_life_what_is_there_goes_and_comes_again() -> None:
    found = seen(*changes(admissions(ENTRIES[:1], replace=True), "edged"))

    assert found == [
        Seen("add", "garden4", ["cb007105@60000"]),
        Seen("delete", "garden4", ["cb007105"]),
        Seen("add", "garden4", ["cb007105@60000"]),
    ]


def test_nothing_to_admit_is_no_message() -> None:
    assert changes(admissions([], replace=True), "edged") == []


def test_a_batch_begins_and_ends_and_its_messages_are_numbered_upwards() -> None:
    listed = changes(singly(plan(add={SetName.BLOCKED_HOSTS_4: {1}}, remove={SetName.BLOCKED_HOSTS_4: {2}})), "edged")

    found = list(messages(batch(listed, 41)))

    assert [(kind, seq) for kind, seq, _ in found] == [(BEGIN, 41), (DELETE, 42), (NEW, 43), (END, 44)]
    assert [payload for _, _, payload in found] == [b"\0\0\0\x0a", *(change.body for change in listed), b"\0\0\0\x0a"]


def test_one_host_octet_for_octet() -> None:
    octets = batch(changes(singly(plan(add={SetName.BLOCKED_HOSTS_4: {host("100.64.1.7")}})), "edged"), 1)

    assert octets == bytes.fromhex(
        "14000000 1000 0100 01000000 00000000 0000000a"
        "44000000 0c0a 0504 02000000 00000000 01000000"
        " 0a000100 6564676564000000"  # the table: edged
        " 0e000200 626c6f636b656434 68000000"  # the set: blocked4h
        " 14000380 10000180 0c000180 08000100 64400107"  # list, element, key, value
        "14000000 1100 0100 03000000 00000000 0000000a"
    )


def test_a_way_is_source_and_destination_side_by_side() -> None:
    four = aside(ip_address("100.64.1.7"), ip_address("203.0.113.99"), 600_020, replace=False)
    six = aside(ip_address("2001:db8:100::7"), ip_address("2001:db8::99"), 600_020, replace=True)

    assert seen(*changes(four, "edged")) == [Seen("add", "aside4", ["64400107cb007163@600020"])]
    assert [(one.verb, one.set) for one in seen(*changes(six, "edged"))] == [
        ("add", "aside6"),
        ("delete", "aside6"),
        ("add", "aside6"),
    ]
    assert seen(*changes(six, "edged"))[0].elements == [
        "20010db8010000000000000000000007" + "20010db8000000000000000000000099@600020"
    ]


def test_who_is_alive_is_tcp_for_a_while_and_nothing_any_more_at_the_end() -> None:
    assert seen(*changes(alive(15_040, replace=False), "edged")) == [Seen("add", "alive", ["06@15040"])]
    assert [one.verb for one in seen(*changes(alive(15_040, replace=True), "edged"))] == ["add", "delete", "add"]
    assert [(one.verb, one.set) for one in seen(*changes(alive(0, replace=False), "edged"))] == [
        ("add", "alive"), ("delete", "alive"),
    ]  # fmt: skip
