# SPDX-License-Identifier: Apache-2.0
"""The nft text against golden files; ``EDGED_GOLDEN=write`` writes them again after a wanted change."""

from __future__ import annotations

import dataclasses
import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.enforce.diff import Actual, Plan, diff
from edged.enforce.edits import admissions, alive, aside
from edged.enforce.nft_text import base_text, change_text, script_text
from edged.enforce.rules import Portal, Rules
from edged.model import State
from edged.values import IpAddress
from tests.e2e.enforce_contract import RULES, subscriber, wanted

GOLDEN = Path(__file__).parent.parent / "golden" / "enforce"
ADMITTED: list[tuple[IpAddress, int]] = [(ip_address("203.0.113.99"), 30_000), (ip_address("2001:db8::99"), 60_001)]

BEFORE = wanted(
    subscriber("1", "100.64.1.7", "2001:db8:100:700::/56", devices=("02:00:5e:10:00:01",)),
    subscriber("2", "100.64.9.0/24"),
)
AFTER = wanted(
    subscriber("1", "100.64.1.8", "2001:db8:100:700::/56", devices=("02:00:5e:10:00:02",)),
    subscriber("2", "100.64.9.0/25"),
    subscriber("3", "2001:db8:100:900::9"),
    subscriber("4", "100.64.1.7", "2001:db8:100:a00::/56", devices=("02:00:5e:10:00:04",), state=State.NOTICE),
)
LINE, SERVER = ip_address("100.64.1.7"), ip_address("203.0.113.99")
LINE6, SERVER6 = ip_address("2001:db8:100:700::7"), ip_address("2001:db8::99")

TEXTS = {
    "high-ports": base_text(dataclasses.replace(RULES, interfaces=("lan0", "ppp*"))),
    "well-known-ports": base_text(
        Rules(
            Portal(ip_address("203.0.113.10")),
            Portal(ip_address("2001:db8::10")),
            garden_ports=(80, 443),
            interfaces=("lan0",),
        )
    ),
    "drop": base_text(dataclasses.replace(RULES, forward="drop")),
    "blocked-vlans": base_text(
        dataclasses.replace(RULES, interfaces=("lan*",), blocked_vlans=("lan0.666", "lan1.666")),
    ),
    "no-portal-and-no-garden": base_text(Rules(garden_ports=())),
    "first-list": change_text(BEFORE, diff(BEFORE, None)),
    "change": change_text(AFTER, diff(AFTER, Actual(AFTER.rules, BEFORE.sets))),
    "admit": script_text(None, admissions(ADMITTED, replace=False)),
    "admit-before-6.12": script_text(None, admissions(ADMITTED, replace=True)),
    "no-page": base_text(dataclasses.replace(RULES, reminds=False)),
    "aside": script_text(
        None, aside(LINE, SERVER, 600_020, replace=False) + aside(LINE6, SERVER6, 600_000, replace=True)
    ),
    "alive": script_text(None, alive(15_040, replace=False) + alive(15_060, replace=True) + alive(0, replace=False)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_golden_one(name: str) -> None:
    path = GOLDEN / f"{name}.nft"
    if os.environ.get("EDGED_GOLDEN") == "write":
        path.write_text(TEXTS[name])
    assert TEXTS[name] == path.read_text()


def test_every_golden_file_belongs_to_a_text() -> None:
    assert {path.stem for path in GOLDEN.glob("*.nft")} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_deletes_or_flushes_more_than_a_chain_or_a_set_of_ours(name: str) -> None:
    for line in TEXTS[name].splitlines():
        verb, thing, family, table, *_ = line.split()
        assert (family, table) == ("inet", "edged"), line
        assert verb in {"add", "flush", "delete"}, line
        assert verb != "flush" or thing in {"chain", "set"}, line
        assert verb != "delete" or thing == "element", line


def test_an_empty_plan_is_an_empty_text() -> None:
    assert not change_text(BEFORE, Plan())
    assert not admissions([], replace=True)


def test_a_hash_set_gets_exactly_what_changes_and_an_interval_set_is_refilled() -> None:
    lines = TEXTS["change"].splitlines()
    assert "delete element inet edged blocked4h { 100.64.1.7 }" in lines
    assert "add element inet edged blocked4h { 100.64.1.8 }" in lines
    assert lines.index("flush set inet edged blocked4n") + 1 == lines.index(
        "add element inet edged blocked4n { 100.64.9.0/25 }"
    )
    assert not any("blocked6n" in line for line in lines)


@pytest.mark.parametrize("name", ['lan0" drop; #', "", "a name", "sixteen-octets--", "lan0\n"])
def test_what_is_no_interface_name_never_gets_into_the_text(name: str) -> None:
    with pytest.raises(ValueError, match="not an interface name"):
        base_text(Rules(interfaces=(name,)))


def test_exempt_addresses_are_looked_at_before_everything_that_blocks() -> None:
    for chain in ("lines", "outbound"):
        rules = [r for r in TEXTS["high-ports"].splitlines() if r.startswith(f"add rule inet edged {chain} ")]
        exempt = [i for i, rule in enumerate(rules) if "@exempt" in rule]
        blocked = [i for i, rule in enumerate(rules) if "@blocked" in rule]
        assert len(exempt) == 2
        assert max(exempt) < min(blocked)


def test_a_reminder_comes_after_everything_that_blocks_and_takes_new_flows_to_port_80_alone() -> None:
    rules = [r.removeprefix("add rule inet edged ") for r in TEXTS["high-ports"].splitlines() if "add rule" in r]
    lines = [rule for rule in rules if rule.startswith("lines ")]
    notice = [i for i, rule in enumerate(lines) if "@notice" in rule]

    assert len(notice) == 6
    assert max(i for i, rule in enumerate(lines) if "@blocked" in rule) < min(notice)
    assert lines[min(notice) - 2 : min(notice)] == [
        "lines meta l4proto != @alive goto door", "lines tcp dport != 80 goto door",
    ]  # fmt: skip
    assert not [rule for rule in rules if "notice" in rule and not rule.startswith(("lines ", "remind "))]
    assert [rule for rule in rules if rule.startswith("remind ")][-2:] == [
        'remind meta nfproto ipv4 tcp dport 80 counter name "notice" dnat ip to 203.0.113.10:8080',
        'remind meta nfproto ipv6 tcp dport 80 counter name "notice" dnat ip6 to [2001:db8::10]:8080',
    ]


@pytest.mark.parametrize("name", ["no-page", "well-known-ports", "no-portal-and-no-garden"])
def test_where_there_is_no_page_nobody_is_led_to_it(name: str) -> None:
    assert "@notice" not in TEXTS[name]
    assert 'counter name "notice"' not in TEXTS[name]
