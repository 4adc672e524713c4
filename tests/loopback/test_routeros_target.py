# SPDX-License-Identifier: Apache-2.0
"""edged's target against the stand-in of a RouterOS router, which is no router: nothing here is tested on RouterOS."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import random
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from edged.enforce.diff import Plan, diff
from edged.enforce.routeros.commands import Command
from edged.enforce.rules import Portal
from edged.enforce.service import EnforceService
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.mikrotik import SLICE
from edged.enforce.targets.routeros import Router
from edged.errors import ConfigError, UpstreamError
from edged.state.current import Current
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES, STATES, subscriber, view_of, wanted
from tests.routeros.background import Background, running
from tests.routeros.console import Console
from tests.routeros.faults import FAULTS
from tests.routeros.latency import LATENCIES
from tests.routeros.server import RouterServer, router
from tests.routeros_lab import LISTS, authority, bring, comments, impatient, listed, settings, target

LIST = LISTS[0]


@pytest.fixture
def at() -> Iterator[Background]:
    with running(router()) as background:
        yield background


def foreign(at: Background) -> None:
    """What others have on the router."""
    hand = at.server.console.hand
    hand(f"{LIST}/add", list="edged-blocked", address="192.0.2.77", comment="by hand")
    hand(f"{LIST}/add", list="bogons", address="10.0.0.0/8")
    hand("/ip/firewall/filter/add", chain="forward", action="fasttrack-connection", comment="defconf: fasttrack")
    hand("/ip/firewall/filter/add", chain="input", action="drop")
    hand("/ip/firewall/nat/add", chain="srcnat", action="masquerade", comment="edged-like, and not edged's")


def others(at: Background) -> list[tuple[str, ...]]:
    """All that is not ours, without ids."""
    menus = (*LISTS, "/ip/firewall/filter", "/ip/firewall/nat")
    rows = at.do(lambda: [(menu, row) for menu in menus for row in at.server.console.items(menu)])
    return [
        (menu, *(f"{k}={v}" for k, v in sorted(row.items()) if k not in {".id", "creation-time"}))
        for menu, row in rows
        if row.get("comment", "") != "edged" and not row.get("comment", "").startswith("edged: ")
    ]


FEW = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56"), subscriber("2", "100.64.2.0/24"))
MORE = wanted(*(subscriber(str(n), f"100.64.1.{n}", f"2001:db8:100:{n:x}00::1") for n in range(1, 60)))
FEW_LISTED = {"100.64.1.7", "2001:db8:100:700::/56", "100.64.2.0/24"}


DEAR = {"silence", "deaf", "half-open", "slow", "late", "trickle"}
"""Faults that cost as long as edged waits, or an octet at a time."""
HARMLESS = {"trickle", "interleaved", "out-of-order", "partial-list", "session-limit", "login-refused",
            "other-certificate"}  # fmt: skip
"""Of these a change that is under way need not take notice."""


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_whatever_goes_wrong_the_next_reconcile_reaches_the_lists_and_one_more_has_nothing_to_do(
    at: Background, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.enforce.targets.router_thread.READ_PATIENCE", 1.0)
    at.server.late = 0.3
    at.do(lambda: foreign(at))
    before, failed, places = others(at), 0, range(0, 105, 35 if fault in DEAR else 7)
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        for number, skipped in enumerate(places):
            value, count = ((MORE, 118), (FEW, 3))[number % 2]
            at.do(lambda n=skipped: at.server.turns.extend([""] * n + [fault]))  # type: ignore[misc]
            try:
                with impatient(ours) if fault in DEAR else contextlib.nullcontext():
                    await bring(ours, value)
            except UpstreamError:
                failed += 1
            at.do(at.server.turns.clear)
            await bring(ours, value)
            assert (await bring(ours, value)).empty
            assert len(listed(at)) == count + 1
            assert others(at) == before
    assert failed > 0 or fault in HARMLESS, "that it happened shows"


QUICK = sorted(FAULTS.keys() - {"half-open", "silence", "deaf", "slow", "late", "other-certificate"})
LINES = [subscriber(str(n), f"100.64.1.{n}", f"2001:db8:100:{n:x}00::/56") for n in range(1, 30)]


class Accidents:
    """What happens to a router and its connections, by the dice."""

    def __init__(self, at: Background, dice: random.Random) -> None:
        self._at, self._dice = at, dice
        self._backups = [at.do(at.server.console.backup)]
        self._versions = ["7.18.2", "7.9", "7.18.2"]

    def happen(self) -> str:
        """One of them; its name."""
        server, dice = self._at.server, self._dice
        names = ("faults", "faults", "faults", "reboot", "cut", "backup", "restore", "upgrade", "hand", "hand")
        name = dice.choice(names)
        match name:
            case "faults":
                turns = [dice.choice(QUICK) if dice.random() < 0.1 else "" for _ in range(60)]
                self._at.do(lambda: server.turns.extend(turns))
            case "reboot":
                self._at.do(server.reboot)
            case "cut":
                self._at.do(server.cut)
            case "backup":
                self._backups.append(self._at.do(server.console.backup))
            case "restore":
                self._at.do(server.cut)
                self._at.do(lambda: server.console.restore(dice.choice(self._backups)))
            case "upgrade":
                self._versions.reverse()
                self._at.do(server.cut)
                self._at.do(lambda: server.console.upgrade(self._versions[0]))
            case "hand":
                self._at.do(self._hand)
        return name

    def _hand(self) -> None:
        """Entries and rules that edged made, taken, disabled and moved by somebody."""
        console, dice = self._at.server.console, self._dice
        for menu in (*LISTS, "/ip/firewall/filter", "/ip/firewall/nat"):
            ours = [row[".id"] for row in console.items(menu) if row.get("comment", "").startswith("edged")]
            ours = [it for it in ours if it not in self._foreign(menu)]
            if ours:
                console.hand(f"{menu}/{dice.choice(['remove', 'disable'])}", numbers=dice.choice(ours))

    def _foreign(self, menu: str) -> set[str]:
        rows = self._at.server.console.items(menu)
        return {row[".id"] for row in rows if row.get("comment", "") == "edged-like, and not edged's"}


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_sequence_of_accidents_a_reconcile_reaches_the_lists_and_one_more_has_nothing_to_do(
    at: Background, seed: int
) -> None:
    dice = random.Random(seed)
    at.do(lambda: foreign(at))
    accidents, before, happened = Accidents(at, dice), others(at), list[str]()
    async with target(at, entries=dice.choice(["memory", "flash"]), rate=100_000) as ours:
        await ours.start(RULES)
        for _ in range(25):
            value = wanted(*dice.sample(LINES, dice.randrange(len(LINES))))
            happened.append(accidents.happen())
            with contextlib.suppress(UpstreamError):
                await bring(ours, value)
            at.do(at.server.turns.clear)
            await ours.close()  # what a hand did is found by the next full reading: this one is it
            await bring(ours, value)
            assert (await bring(ours, value)).empty, happened
            count = sum(map(len, (value.sets[name] for name in ours.carries if name.value.startswith("blocked"))))
            assert len(listed(at)) == count + 1, happened
            assert others(at) == before, happened
            assert comments(at, "/ip/firewall/filter", "forward")[:2] == ["edged: from blocked", "edged: to blocked"]


# --- in one go -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["6.49.10", "7.1", "7.18.2"])
async def test_every_state_of_the_contract_is_reached_and_read_back(version: str) -> None:
    with running(router(version)) as at:
        async with target(at, rate=100_000) as ours:
            await ours.start(RULES)
            assert await ours.read() is None
            for subscribers in STATES:
                value = wanted(*subscribers)
                await bring(ours, value)
                actual = await ours.read()
                assert actual is not None
                assert (actual.rules, diff(value, actual, ours.carries)) == (RULES, Plan())
                assert len(listed(at)) == actual.count
            assert await ours.counters() == {}
            await ours.close()
            assert await ours.read() is not None, "it is read again after a hang-up"


async def test_a_new_process_takes_over_what_it_finds_and_writes_nothing(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, MORE)
        await ours.admit([(WEB, 30.0)])
    at.do(at.server.commands.clear)
    async with target(at) as ours:
        await ours.start(RULES)
        assert (await bring(ours, MORE)).empty
        await ours.admit([(WEB, 20.0)])
        written = [command for command in at.server.commands if not command.endswith(("/print", "/login"))]
        assert written == []


async def test_new_rules_are_written_and_the_old_ones_go(at: Background) -> None:
    rules = dataclasses.replace(RULES, portal4=Portal(ip_address("203.0.113.11")), garden_ports=(80, 443))
    value = wanted(subscriber("1", "100.64.1.7"), rules=rules)
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted(subscriber("1", "100.64.1.7")))
        plan = await bring(ours, value)
        assert plan == Plan(base=True)
        assert (await bring(ours, value)).empty
        rows = at.do(lambda: at.server.console.items("/ip/firewall/nat"))
        assert {row.get("to-addresses") for row in rows} == {"203.0.113.11", None}
        assert not [name for name in comments(at, "/ip/firewall/nat") if "door" in name]


async def test_it_answers_for_single_addresses(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56", "100.64.9.0/24")))
        for text, blocked in [
            ("100.64.1.7", True),
            ("100.64.1.8", False),
            ("100.64.9.200", True),
            ("2001:db8:100:7ab::1", True),
            ("2001:db8:100:800::1", False),
        ]:
            assert await ours.contains(ip_address(text)) is blocked, text
        at.do(lambda: at.server.console.hand(f"{LIST}/disable", numbers=item(at, "100.64.1.7")))
        assert not await ours.contains(ip_address("100.64.1.7")), "it is the router that is asked"


def item(at: Background, address: str, menu: str = LIST) -> str:
    return next(row[".id"] for row in at.server.console.items(menu) if row["address"] == address)


async def test_a_router_without_scripts_is_filled_one_by_one(at: Background) -> None:
    value = wanted(*(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(300)))
    at.do(lambda: at.server.console.hand("/user/group/set", numbers="full", policy="read,write,api"))
    with running(router("7.6")) as old:
        async with target(old, rate=100_000) as ours:
            await ours.start(RULES)
            await bring(ours, value)
            assert (len(listed(old)), old.server.commands.count("/execute")) == (299, 2)
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, value)
        assert at.server.commands.count("/execute") == 6
        assert at.server.commands.count(f"{LIST}/add") == 2, "the garden and the portal"
        assert (await bring(ours, value)).empty


async def test_what_a_script_did_not_add_is_added_one_by_one_and_the_router_says_why_not(at: Background) -> None:
    value = wanted(*(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(300)))
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        at.do(lambda: at.server.faults.add("full"))
        with pytest.raises(UpstreamError, match=r"entries were refused: failure: stand-in: no memory"):
            await bring(ours, value)
        at.do(at.server.faults.clear)
        await bring(ours, value)
        assert len(listed(at)) == 299


async def test_a_word_in_the_midst_of_a_long_change_goes_first(at: Background) -> None:
    many = [subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(2500)]
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        value = wanted(*many)
        assert not await ours.apply(value, diff(value, await ours.read(), ours.carries))
        assert len(listed(at)) == SLICE
        less = wanted(*many[1:])
        assert not await ours.apply(less, diff(less, await ours.read(), ours.carries))
        assert "100.64.0.1" not in listed(at)
        await bring(ours, less)
        assert len(listed(at)) == 2498


# --- what is not ours ------------------------------------------------------------------------------


async def test_our_rules_stand_before_those_of_others_and_fasttrack(at: Background) -> None:
    at.do(lambda: foreign(at))
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        assert comments(at, "/ip/firewall/filter", "forward") == [
            "edged: from blocked", "edged: to blocked", "defconf: fasttrack"
        ]  # fmt: skip
        assert comments(at, "/ip/firewall/nat", "srcnat") == ["edged: keep source", "edged-like, and not edged's"]


async def test_an_address_that_somebody_else_put_there_is_in_force_and_stays(at: Background) -> None:
    at.do(lambda: at.server.console.hand(f"{LIST}/add", list="edged-blocked", address="100.64.1.7", comment="by hand"))
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        assert (await bring(ours, FEW)).empty
        assert ours.warnings == ("1 entries of the list edged-blocked are not edged's: they stay, whoever has paid",)
        await bring(ours, wanted())
        assert listed(at) == {"100.64.1.7"}
        assert (await bring(ours, wanted())).empty
        await bring(ours, FEW)
        at.do(lambda: at.server.console.hand(f"{LIST}/remove", numbers=item(at, "100.64.1.7")))
        await ours.close()
        await bring(ours, FEW)
        assert listed(at) == FEW_LISTED, "ours takes its place"


async def test_a_disabled_entry_of_somebody_else_in_our_way_is_told_of(at: Background) -> None:
    def by_hand() -> None:
        given = {"list": "edged-blocked", "address": "100.64.1.7", "disabled": "yes"}
        at.server.console.hand(f"{LIST}/add", **given)

    at.do(by_hand)
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        assert (await bring(ours, FEW)).empty
        assert ours.warnings[-1] == "1 lines are not blocked: their entries are not edged's, and disabled"
        assert listed(at) == FEW_LISTED - {"100.64.1.7"}


async def test_what_a_hand_changed_is_found_at_the_next_full_reading_and_put_right(at: Background) -> None:
    at.do(lambda: foreign(at))
    now = [0.0]
    async with target(at, clock=lambda: time.monotonic() + now[0]) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        before = others(at)

        def meddle() -> None:
            hand, items = at.server.console.hand, at.server.console.items
            hand(f"{LIST}/remove", numbers=item(at, "100.64.1.7"))
            hand(f"{LIST}/disable", numbers=item(at, "100.64.2.0/24"))
            hand(f"{LIST}/add", list="edged-blocked", address="192.0.2.9", comment="edged")
            at.server.console.twin(f"{LIST}", list="edged-blocked", address="100.64.2.0/24", comment="edged")
            rules = {row.get("comment"): row[".id"] for row in items("/ip/firewall/filter")}
            hand(
                "/ip/firewall/filter/move",
                numbers=rules["defconf: fasttrack"],
                destination=rules["edged: from blocked"],
            )
            hand("/ip/firewall/filter/set", numbers=rules["edged: out tcp"], dst_port="22")
            hand("/ip/firewall/filter/disable", numbers=rules["edged: in rest"])
            rules = {row.get("comment"): row[".id"] for row in items("/ip/firewall/nat")}
            hand("/ip/firewall/nat/remove", numbers=rules["edged: steer dns udp"])

        at.do(meddle)
        assert diff(FEW, await ours.read(), ours.carries).empty, "not looked at yet"
        now[0] += 61.0
        plan = diff(FEW, await ours.read(), ours.carries)
        assert (plan.base, plan.added, plan.removed) == (True, 1, 1), "the disabled one has a twin"
        await bring(ours, FEW)
        assert (await bring(ours, FEW)).empty
        assert listed(at) == FEW_LISTED | {"192.0.2.77"}
        assert others(at) == before
        assert comments(at, "/ip/firewall/filter", "forward")[-1] == "defconf: fasttrack"


# --- reboots, backups, leases ----------------------------------------------------------------------


async def test_a_reboot_is_seen_and_the_list_is_filled_again(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, MORE)
        at.do(at.server.reboot)
        assert listed(at) == set(), "it was in memory"
        plan = await bring(ours, MORE)
        assert (plan.base, plan.added) == (False, 118)
        assert (await bring(ours, MORE)).empty


async def test_a_reboot_that_no_cut_connection_told_of_is_seen_by_the_uptime() -> None:
    now = [1000.0]
    server = RouterServer(Console(clock=lambda: now[0]))
    server.console.hand("/user/add", name="edged", password="secret", group="full")
    with running(server) as at:
        async with target(at, clock=lambda: now[0]) as ours:
            await ours.start(RULES)
            now[0] += 100.0
            await bring(ours, FEW)
            at.do(at.server.console.reboot)
            now[0] += 5.0
            assert not diff(FEW, await ours.read(), ours.carries).empty
            await bring(ours, FEW)
            assert listed(at) == FEW_LISTED


async def test_an_old_backup_is_brought_to_what_is_wanted_and_ids_of_before_are_not_used(at: Background) -> None:
    at.do(lambda: foreign(at))
    async with target(at, entries="flash") as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        backup = at.do(at.server.console.backup)
        await bring(ours, MORE)
        at.do(at.server.cut)
        at.do(lambda: at.server.console.restore(backup))
        before = others(at)
        assert listed(at) == FEW_LISTED | {"192.0.2.77"}
        await bring(ours, MORE)
        assert len(listed(at)) == 119
        assert others(at) == before


async def test_permanent_entries_outlive_a_reboot(at: Background) -> None:
    async with target(at, entries="flash") as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.do(at.server.reboot)
        assert (await bring(ours, FEW)).empty
        assert listed(at) == FEW_LISTED


async def test_a_lease_is_renewed_when_half_of_it_is_over_and_ends_when_nobody_renews_it() -> None:
    now = [1000.0]
    server = RouterServer(Console(clock=lambda: now[0]))
    server.console.hand("/user/add", name="edged", password="secret", group="full")
    with running(server) as at:
        async with target(at, clock=lambda: now[0], lease="1h") as ours:
            await ours.start(RULES)
            await bring(ours, FEW)
            for _ in range(20):
                now[0] += 1000.0
                await bring(ours, FEW)
                assert listed(at) == FEW_LISTED
            assert not at.server.commands.count(f"{LIST}/remove")
            now[0] += 3601.0
            assert listed(at) == set()
            await bring(ours, FEW)
            assert listed(at) == FEW_LISTED


async def test_a_change_between_memory_and_flash_is_carried_out(at: Background) -> None:
    for entries, lives in (("memory", True), ("flash", False), ("memory", True)):
        async with target(at, entries=entries) as ours:
            await ours.start(RULES)
            await bring(ours, FEW)
            assert (await bring(ours, FEW)).empty
            rows = at.do(lambda: [row for row in at.server.console.items(LIST) if row["list"] == "edged-blocked"])
            assert [("timeout" in row) for row in rows] == [lives] * 2
            assert listed(at) == FEW_LISTED


# --- the garden ------------------------------------------------------------------------------------

WEB = ip_address("203.0.113.99")


async def test_a_garden_address_is_open_when_admitting_returns_and_lives_for_its_seconds() -> None:
    now = [1000.0]
    server = RouterServer(Console(clock=lambda: now[0]))
    server.console.hand("/user/add", name="edged", password="secret", group="full")
    with running(server) as at:
        async with target(at, clock=lambda: now[0]) as ours:
            await ours.start(RULES)
            with pytest.raises(UpstreamError, match="not connected"):
                await ours.admit([(WEB, 30.0)])
            await bring(ours, FEW)
            await ours.admit([(WEB, 30.0), (ip_address("2001:db8::99"), 30.0)])
            assert listed(at, "edged-garden") >= {"203.0.113.99", "2001:db8::99/128"}
            at.do(at.server.commands.clear)
            await ours.admit([(WEB, 20.0), (ip_address("203.0.113.20"), 30.0)])
            assert at.server.commands == [], "it is open for so long anyhow, and the other is written down for good"
            now[0] += 40.0
            await ours.admit([(WEB, 30.0)])
            assert at.server.commands == [f"{LIST}/set"]
            now[0] += 59.0
            assert "203.0.113.99" in listed(at, "edged-garden")
            now[0] += 2.0
            assert listed(at, "edged-garden") == {"203.0.113.20", "2001:db8::20/128"}
            assert (await bring(ours, FEW)).empty, "the learned are nobody's drift"


async def test_a_garden_address_that_a_hand_took_or_gave_is_open_all_the_same(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.admit([(WEB, 1.0)])
        at.do(lambda: at.server.console.hand(f"{LIST}/remove", numbers=item(at, str(WEB))))
        await ours.admit([(WEB, 300.0)])
        assert str(WEB) in listed(at, "edged-garden")
        other = ip_address("203.0.113.98")
        at.do(lambda: at.server.console.hand(f"{LIST}/add", list="edged-garden", address=str(other), comment="mine"))
        await ours.admit([(other, 30.0)])
        at.do(at.server.commands.clear)
        await ours.admit([(other, 30.0)])
        assert at.server.commands == []


async def test_a_learned_address_that_is_written_down_later_becomes_permanent(at: Background) -> None:
    rules = dataclasses.replace(RULES, garden_networks=(*RULES.garden_networks, parse_prefix(str(WEB))))
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        await ours.admit([(WEB, 30.0)])
        await bring(ours, wanted(rules=rules))
        (row,) = at.do(lambda: [row for row in at.server.console.items(LIST) if row["address"] == str(WEB)])
        assert (row["comment"], "timeout" in row) == ("edged", False)


# --- connections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("joins", [False, True], ids=["ports apart", "ports joined"])
@pytest.mark.parametrize("few", [False, True], ids=["all read", "few asked for"])
async def test_connections_of_a_changed_line_go_both_ways_and_no_others(at: Background, joins: bool, few: bool) -> None:
    menu4, menu6 = "/ip/firewall/connection", "/ipv6/firewall/connection"

    def tracked() -> list[str]:
        return [row["mark"] for menu in (menu4, menu6) for row in at.server.console.items(menu)]

    def begin(mark: str, menu: str, protocol: str, src: str, dst: str) -> None:
        ports = {"src-port": "4000", "dst-port": "53"} if protocol != "icmp" else {}
        pairs = {"protocol": protocol, "src-address": src, "dst-address": dst, "mark": mark} | ports
        at.server.console.track(menu, [pairs], joins=joins)

    def all_of_them() -> None:
        begin("from", menu4, "tcp", "100.64.1.7", "198.51.100.1")
        begin("to", menu4, "tcp", "198.51.100.1", "100.64.1.7")
        begin("other", menu4, "tcp", "100.64.1.70", "198.51.100.1")
        begin("ping", menu4, "icmp", "100.64.1.7", "198.51.100.1")
        begin("delegated", menu6, "udp", "2001:db8:100:701::5", "2001:db8:ffff::1")
        begin("neighbour", menu6, "udp", "2001:db8:100:801::5", "2001:db8:ffff::1")

    value = (
        wanted(subscriber("1", "100.64.1.7")) if few else wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56"))
    )
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        at.do(all_of_them)
        await bring(ours, value)
        assert at.do(tracked) == ["other", *(["delegated"] if few else []), "neighbour"]
        at.do(lambda: begin("web", menu4, "tcp", "100.64.1.7", "203.0.113.10"))
        at.do(lambda: begin("dns", menu4, "udp", "100.64.1.7", "203.0.113.10"))
        await bring(ours, wanted())
        assert not ours.lingering
        assert "web" in at.do(tracked), "the page that is on its way still arrives"
        assert "dns" not in at.do(tracked)


# --- what it takes to be let in --------------------------------------------------------------------


@pytest.mark.parametrize("version", ["6.42.12", "6.49.10", "7.18.2"])
async def test_it_logs_in_the_old_way_and_the_new(version: str) -> None:
    with running(router(version)) as at:
        async with target(at) as ours:
            await ours.start(RULES)
            await bring(ours, FEW)
            assert at.server.logins == 1


async def test_a_pinned_certificate_is_taken_and_no_other(at: Background) -> None:
    shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", at.server.ssl_port))
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest()
    async with target(at, tls=True, fingerprint=fingerprint) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.close()
        at.do(lambda: at.server.faults.add("other-certificate"))
        with pytest.raises(
            UpstreamError, match=r"another certificate than the one that is pinned: its SHA-256 is \w{64}"
        ):
            await ours.read()
        at.do(at.server.faults.clear)
        assert (await bring(ours, FEW)).empty


async def test_a_certificate_of_a_known_authority_is_taken_and_no_other(at: Background, tmp_path: Path) -> None:
    async with target(at, tls=True, ca=str(authority(at, tmp_path))) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.close()
        at.do(lambda: at.server.faults.add("other-certificate"))
        logins = at.server.logins
        with pytest.raises(UpstreamError, match="certificate is not trusted"):
            await ours.read()
        assert at.server.logins == logins, "nothing is said to it"
    async with target(at, tls=True) as ours:
        await ours.start(RULES)
        with pytest.raises(UpstreamError, match="certificate is not trusted"):
            await ours.read()
    async with target(at, tls=True, ca=str(tmp_path / "absent")) as ours:
        with pytest.raises(ConfigError, match="absent cannot be read"):
            await ours.start(RULES)


async def test_no_error_and_no_log_holds_the_password(at: Background, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for faults in ({"login-refused"}, {"trap-storm"}, {"malformed"}, {"fatal"}, {"cut"}, {"foreign-tag"}):
        at.do(lambda f=faults: at.server.faults.update(f))  # type: ignore[misc]
        async with target(at, password="geheim-7Q") as ours:
            await ours.start(RULES)
            with pytest.raises(UpstreamError) as caught:
                await ours.read()
            whole = "".join(traceback.format_exception(caught.value, chain=True))
            error: BaseException | None = caught.value
            while error is not None:
                whole += f"{error!r} {error.args}"
                error = error.__cause__ or error.__context__
            assert "geheim-7Q" not in whole
            assert "geheim-7Q" not in repr(ours)
        at.do(at.server.faults.clear)
    assert "geheim-7Q" not in caplog.text


async def test_a_refused_login_says_whose_it_was_and_what_the_router_said(at: Background) -> None:
    async with target(at, password="wrong") as ours:
        await ours.start(RULES)
        with pytest.raises(UpstreamError, match=r"the login of edged was refused: invalid user name or password \(6\)"):
            await ours.read()


def test_what_is_said_for_one_connection_is_never_said_on_the_next(at: Background) -> None:
    made = Router(settings(at))
    with contextlib.closing(made):
        first = made.connect()
        added = made.ask(first, Command(LIST, "add", {"list": "a", "address": "192.0.2.1"})).ret
        assert made.connect() == first, "there is one already"
        at.do(at.server.cut)
        with pytest.raises(UpstreamError):
            made.ask(first, Command("/system/resource", "print"))
        second = made.connect()
        with pytest.raises(UpstreamError, match="the connection ended"):
            made.many(first, [Command(LIST, "remove", {".id": added})])
        assert listed(at, "a") == {"192.0.2.1"}, "by now that id may be another item's"
        assert made.ask(second, Command("/system/resource", "print")).rows, "and the new connection is as it was"


def test_a_command_goes_out_at_once_and_whole(at: Background) -> None:
    made = Router(settings(at))
    with contextlib.closing(made):
        number = made.connect()
        assert made._stream is not None
        assert made._stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sent: list[bytes] = []
        made._stream._socket = Recorded(made._stream._socket, sent)  # type: ignore[assignment]
        made.ask(number, Command("/system/resource", "print", {".proplist": "uptime"}))
    assert len(sent) == 1, "not a packet for each word"


class Recorded:
    """A socket, and what was sent through it."""

    def __init__(self, real: socket.socket, sent: list[bytes]) -> None:
        self._real, self._sent = real, sent

    def sendall(self, octets: bytes) -> None:
        self._sent.append(octets)
        self._real.sendall(octets)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


# --- time ------------------------------------------------------------------------------------------


async def test_no_more_than_the_rate_is_changed_in_a_second(at: Background) -> None:
    async with target(at, rate=200) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        begun = time.monotonic()
        await bring(ours, MORE)
        assert time.monotonic() - begun > 118 / 200 * 0.8


async def test_a_hung_router_is_given_up_and_holds_nobody_up_when_edged_ends(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.do(lambda: at.server.faults.add("half-open"))
        begun = time.monotonic()
        with impatient(ours), pytest.raises(UpstreamError):
            await bring(ours, MORE)
        assert time.monotonic() - begun < 20
    async with target(at, timeout="120s") as ours:
        await ours.start(RULES)
        at.do(at.server.faults.clear)
        await bring(ours, FEW)
        at.do(lambda: at.server.faults.add("half-open"))
        reading = asyncio.create_task(bring(ours, MORE))
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        begun = time.monotonic()
        await ours.close()
        while any(thread.name.startswith("routeros") for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 1.0, "edged may end"


async def test_the_garden_opens_between_the_pieces_of_a_long_change(at: Background) -> None:
    at.server.latency = LATENCIES["rb5009"]
    many = wanted(*(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(1200)))
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        filling = asyncio.create_task(bring(ours, many))
        async with asyncio.timeout(10.0):
            while "/execute" not in at.server.commands:
                await asyncio.sleep(0.01)
        took = []
        for number in range(5):
            begun = time.monotonic()
            await ours.admit([(ip_address(f"203.0.113.{number + 100}"), 30.0)])
            took.append(time.monotonic() - begun)
        assert not filling.done()
        assert sorted(took)[2] < 0.4
        await filling


async def test_a_router_that_is_down_delays_neither_another_target_nor_an_answer_of_the_garden(at: Background) -> None:
    at.do(lambda: at.server.faults.add("deaf"))
    memory, current = MemoryTarget(), Current(view_of(subscriber("1", "100.64.1.7")))
    async with target(at) as ours:
        service = EnforceService({"127.0.0.1": ours, "nftables": memory}, RULES, current=current, every=0.2)
        await service.start()
        running_ = asyncio.create_task(service.run())
        with impatient(ours):
            async with asyncio.timeout(20.0):
                while not (service.status()["nftables"].ok and service.status()["127.0.0.1"].error):
                    await service.news()
        begun = time.monotonic()
        await service.admit([(WEB, 30.0)])
        assert await service.in_place(ip_address("100.64.1.7")) == {"nftables": True}
        assert set(await service.plan()) == {"nftables"}
        assert time.monotonic() - begun < 0.5
        assert service.status()["127.0.0.1"].error == "does not answer in time"
        at.do(at.server.faults.clear)
        async with asyncio.timeout(20.0):
            while not service.status()["127.0.0.1"].ok:
                await service.news()
        assert listed(at) == {"100.64.1.7"}
        assert str(WEB) in listed(at, "edged-garden"), "it is told of the garden that it missed"
        running_.cancel()
        await asyncio.gather(running_, return_exceptions=True)
        await service.stop()


# --- watching --------------------------------------------------------------------------------------


async def test_watching_lifts_what_an_earlier_run_blocked_and_leaves_the_rest(at: Background) -> None:
    at.do(lambda: foreign(at))
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        assert await ours.lift()
        assert listed(at) == {"192.0.2.77"}
        assert not await ours.lift()
        assert "edged: from blocked" in comments(at, "/ip/firewall/filter")
