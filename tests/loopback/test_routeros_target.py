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
from edged.enforce.routeros.order import Round
from edged.enforce.routeros.tracking import Due
from edged.enforce.rules import Portal, Rules
from edged.enforce.service import EnforceService
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.routeros.api import Router
from edged.enforce.targets.routeros.rules import RouterRules
from edged.enforce.targets.routeros.target import SLICE, RouterosTarget
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import ConfigError, UpstreamError
from edged.state.current import Current
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES, STATES, subscriber, view_of, wanted
from tests.routeros.background import Background, running
from tests.routeros.console import Console, Outcome
from tests.routeros.faults import FAULTS
from tests.routeros.latency import LATENCIES
from tests.routeros.sentences import TrapError, done
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
    monkeypatch.setattr("edged.enforce.targets.routeros.thread.READ_PATIENCE", 1.0)
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


async def test_an_entry_that_a_hand_took_before_the_line_paid_is_gone(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.do(lambda: at.server.console.hand(f"{LIST}/remove", numbers=item(at, "100.64.1.7")))
        await bring(ours, wanted())
        assert listed(at) == set()
        assert (await bring(ours, wanted())).empty


async def test_what_is_not_in_the_garden_any_more_leaves_the_list(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        assert listed(at, "edged-garden") == {"203.0.113.20", "2001:db8::20/128"}
        await bring(ours, wanted(rules=dataclasses.replace(RULES, garden_networks=(parse_prefix("203.0.113.20"),))))
        assert listed(at, "edged-garden") == {"203.0.113.20"}


async def test_a_rule_that_was_refused_is_tried_again_on_the_next_connection(at: Background) -> None:
    add = type(at.server.console)._add
    async with target(at) as ours:
        await ours.start(RULES)
        with pytest.MonkeyPatch.context() as patch:

            def fussy(console: Console, table: Any, arguments: Any) -> Outcome:
                if "dst-limit" in arguments:
                    raise TrapError("failure: stand-in: no room")
                return add(console, table, arguments)

            patch.setattr(Console, "_add", fussy)
            await bring(ours, FEW)
            assert (await bring(ours, FEW)).empty
        assert "out ntp: failure: stand-in: no room" in ours.warnings[0]
        await ours.close()
        await bring(ours, FEW)
        assert not ours.warnings
        assert "edged: out ntp" in comments(at, "/ip/firewall/filter")


async def test_a_rule_that_is_not_kept_as_it_was_written_is_written_once_and_told_of(at: Background) -> None:
    prints = type(at.server.console)._print
    with pytest.MonkeyPatch.context() as patch:

        def forgetful(console: Console, table: Any, command: Any) -> Outcome:
            outcome = prints(console, table, command)
            outcome.replies = [
                dataclasses.replace(reply, pairs={k: v for k, v in reply.pairs.items() if k != "reject-with"})
                for reply in outcome.replies
            ]
            return outcome

        patch.setattr(Console, "_print", forgetful)
        async with target(at) as ours:
            await ours.start(RULES)
            for _ in range(3):
                with pytest.raises(UpstreamError, match="the rule out quic of /ip/firewall/filter is kept without rej"):
                    await bring(ours, FEW)
            rules = comments(at, "/ip/firewall/filter")
            assert at.server.commands.count("/ip/firewall/filter/add") == len(rules)
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        assert listed(at) == FEW_LISTED


async def test_a_garden_address_that_somebody_else_opened_for_a_while_is_open(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        given = {"list": "edged-garden", "address": str(WEB), "timeout": "1h"}
        at.do(lambda: at.server.console.hand(f"{LIST}/add", **given))
        await ours.admit([(WEB, 30.0)])
        assert (await bring(ours, FEW)).empty


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


def items_of(at: Background) -> list[dict[str, str]]:
    return at.server.console.items(LIST)


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
        at.do(at.server.cut)
        at.do(at.server.commands.clear)
        await bring(ours, wanted())
        await bring(ours, value)
        assert at.server.commands.count("/execute") == 6, "another connection, another try"


async def test_a_router_that_says_done_and_does_nothing_is_a_failure_and_not_a_loop(
    at: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        with monkeypatch.context() as patch:
            patch.setattr(at.server.console, "_add", lambda _table, _arguments: Outcome([done()]))
            with pytest.raises(UpstreamError, match="3 entries are not there after they were added"):
                await bring(ours, FEW)
        await bring(ours, FEW)
        assert listed(at) == FEW_LISTED


async def test_a_rule_that_shows_no_id_is_passed_over(at: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    items = type(at.server.console)._print

    def nameless(console: Console, table: Any, command: Any) -> Outcome:
        outcome = items(console, table, command)
        first = outcome.replies[0]
        outcome.replies[0] = dataclasses.replace(
            first, pairs={name: value for name, value in first.pairs.items() if name != ".id"}
        )
        return outcome

    async with target(at) as ours:
        await ours.start(RULES)
        at.do(lambda: at.server.console.hand("/ip/firewall/filter/add", chain="forward", comment="edged: out tcp"))
        with monkeypatch.context() as patch:
            patch.setattr(Console, "_print", nameless)
            with contextlib.suppress(UpstreamError):
                await bring(ours, FEW)
        await bring(ours, FEW)
        assert (await bring(ours, FEW)).empty


async def test_lists_alone_of_which_nothing_is_wanted_are_as_they_should_be(at: Background) -> None:
    nothing = wanted(rules=Rules())
    async with target(at, rules="leave") as ours:
        await ours.start(nothing.rules)
        assert diff(nothing, await ours.read(), ours.carries).empty
        await bring(ours, wanted(subscriber("1", "100.64.1.7"), rules=Rules()))
        assert listed(at) == {"100.64.1.7"}
        await bring(ours, nothing)
        await ours.close()
        assert (await bring(ours, nothing)).empty, "and nobody's drift"


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


async def test_a_router_without_ipv6_blocks_what_it_has_until_it_has_both() -> None:
    both = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56"))
    with running(router("6.49.10")) as at:
        console = at.server.console
        away = at.do(lambda: {menu: console.tables.pop(menu) for menu in [*console.tables] if menu.startswith("/ipv6")})
        async with target(at) as ours:
            await ours.start(RULES)
            await bring(ours, both)
            assert listed(at, menus=LISTS[:1]) == {"100.64.1.7"}
            assert (await bring(ours, both)).empty
            assert not ours.warnings, "nobody could be steered there"
            await ours.admit([(WEB, 30.0), (ip_address("2001:db8::99"), 30.0)])
            assert str(WEB) in listed(at, "edged-garden", menus=LISTS[:1])
            assert not await ours.contains(ip_address("2001:db8:100:700::1"))
            await ours.close()
            at.do(lambda: console.tables.update(away))
            await bring(ours, both)
            assert listed(at) == {"100.64.1.7", "2001:db8:100:700::/56"}
            assert any("/ipv6/firewall/nat" in it for it in ours.warnings), "RouterOS 6 has none"


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


async def test_two_edged_of_one_configuration_come_to_the_same_on_one_router(at: Background) -> None:
    async with target(at, rate=100_000) as one, target(at, rate=100_000) as another:
        for value in (FEW, MORE, FEW):
            for ours in (one, another):
                await ours.start(RULES)
            await asyncio.gather(bring(one, value), bring(another, value))
            for ours in (one, another):
                await ours.close()
                assert (await bring(ours, value)).empty
        assert listed(at) == FEW_LISTED
        await one.admit([(WEB, 30.0)])
        await another.admit([(WEB, 60.0)])
        rules = comments(at, "/ip/firewall/filter")
        assert len(rules) == len(set(rules))


async def test_a_rule_that_is_gone_when_it_is_to_go_is_gone(at: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.do(lambda: at.server.console.hand("/ip/firewall/filter/add", chain="forward", comment="edged: old"))
        await ours.close()
        change = RouterRules._change

        async def late(rules: RouterRules, menu: str, round_: Round) -> None:
            for row in at.do(lambda: at.server.console.items(menu)):
                if row.get("comment") == "edged: old":
                    at.do(lambda it=row[".id"]: at.server.console.hand(f"{menu}/remove", numbers=it))  # type: ignore[misc]
            await change(rules, menu, round_)

        monkeypatch.setattr(RouterRules, "_change", late)
        assert (await bring(ours, FEW)).base
        assert (await bring(ours, FEW)).empty


async def test_what_a_router_says_is_fit_for_a_terminal(at: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    def rude(_table: Any, _arguments: Any) -> Outcome:
        raise TrapError("\x1b[2Jno\nroom\x07")

    async with target(at) as ours:
        await ours.start(RULES)
        monkeypatch.setattr(at.server.console, "_add", rude)
        with pytest.raises(UpstreamError, match=r"entries were refused: \[2Jno room$"):
            await bring(ours, FEW)


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
        assert len(at.do(lambda: [it for it in items_of(at) if it["address"] == "100.64.2.0/24"])) == 1, "no twin"
        assert others(at) == before
        assert comments(at, "/ip/firewall/filter", "forward")[-1] == "defconf: fasttrack"


async def test_a_router_that_is_slow_to_read_is_read_less_often() -> None:
    now = [1000.0]
    server = RouterServer(Console(clock=lambda: now[0]))
    server.console.hand("/user/add", name="edged", password="secret", group="full")
    with running(server) as at:
        async with target(at, clock=lambda: now[0]) as ours:
            await ours.start(RULES)
            await bring(ours, FEW)
            ours._read_took = 10.0
            at.do(at.server.commands.clear)
            for seconds, readings in ((61.0, 0), (300.0, 0), (40.0, 1), (61.0, 2)):
                now[0] += seconds
                await ours.read()
                assert at.server.commands.count(f"{LIST}/print") == readings


async def test_among_many_new_lines_one_that_a_hand_disabled_is_enabled(at: Background) -> None:
    lines = [subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(300)]
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, wanted(lines[1]))
        at.do(lambda: at.server.console.hand(f"{LIST}/disable", numbers=item(at, "100.64.0.2")))
        await ours.close()
        await bring(ours, wanted(*lines))
        assert len(listed(at)) == 299
        assert "/execute" not in at.server.commands, "a script adds, and changes nothing by its id"
        assert (await bring(ours, wanted(*lines))).empty


async def test_rules_that_come_back_before_the_new_ones_were_all_written_are_written_again(at: Background) -> None:
    others_ = dataclasses.replace(RULES, portal4=Portal(ip_address("203.0.113.11")))
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.do(lambda: at.server.turns.extend([""] * 4 + ["full"]))
        with pytest.raises(UpstreamError, match=r"a rule of /ip/firewall/nat is refused"):
            await bring(ours, dataclasses.replace(FEW, rules=others_))
        assert (await bring(ours, FEW)).base
        rows = at.do(lambda: at.server.console.items("/ip/firewall/nat"))
        assert {row.get("to-addresses") for row in rows} == {"203.0.113.10", None}


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


async def test_leases_are_renewed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.enforce.targets.routeros.entries.RENEWED", 2)
    now = [1000.0]
    server = RouterServer(Console(clock=lambda: now[0]))
    server.console.hand("/user/add", name="edged", password="secret", group="full")
    with running(server) as at:
        async with target(at, clock=lambda: now[0], lease="1h") as ours:
            await ours.start(RULES)
            await bring(ours, FEW)
            now[0] += 1900.0
            at.do(at.server.commands.clear)
            for renewed in (2, 3, 3):
                await ours.read()
                assert sum(command.endswith("/address-list/set") for command in at.server.commands) == renewed


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


async def test_a_learned_address_that_a_hand_disabled_is_open_when_it_is_asked_for(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.admit([(WEB, 30.0)])
        at.do(lambda: at.server.console.hand(f"{LIST}/disable", numbers=item(at, str(WEB))))
        await ours.close()
        await bring(ours, FEW)
        await ours.admit([(WEB, 20.0)])
        assert str(WEB) in listed(at, "edged-garden")


async def test_the_learned_garden_is_open_again_after_a_reboot(at: Background) -> None:
    async with target(at, entries="flash") as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.admit([(WEB, 30.0), (ip_address("203.0.113.98"), 0.001)])
        at.do(at.server.reboot)
        assert str(WEB) not in listed(at, "edged-garden")
        assert (await bring(ours, FEW)).empty
        async with asyncio.timeout(5.0):
            while str(WEB) not in listed(at, "edged-garden"):
                await asyncio.sleep(0.01)
        assert "203.0.113.98" not in listed(at, "edged-garden"), "its time was up"


async def test_a_flood_of_garden_addresses_shuts_out_nobody_for_whom_there_is_room(
    at: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.enforce.targets.routeros.garden.MOST_LEARNED", 8)
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        written = listed(at, "edged-garden")
        flood = [ip_address(f"198.51.100.{n}") for n in range(20)]
        for address in flood:
            await ours.admit([(WEB, 60.0)])
            await ours.admit([(address, 30.0)])
        assert listed(at, "edged-garden") - written == {str(WEB), *map(str, flood[-7:])}
        await ours.admit([(address, 45.0) for address in flood])
        assert len(listed(at, "edged-garden") - written) >= len(flood), "who asks now is served"
        await ours.admit([(WEB, 100.0)])
        assert len(listed(at, "edged-garden") - written) == 8
        assert (await bring(ours, FEW)).empty


async def test_what_waited_while_the_router_rebooted_is_not_said_to_it_afterwards(at: Background) -> None:
    async with target(at, entries="flash") as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.admit([(WEB, 1.0)])
        ours._thread._free_at = asyncio.get_running_loop().time() + 0.5
        waiting = asyncio.create_task(ours.admit([(WEB, 300.0)]))
        await asyncio.sleep(0)
        number = at.do(lambda: item(at, str(WEB)))
        at.do(at.server.reboot)
        theirs = {"list": "another", "address": "192.0.2.5", "disabled": "yes"}
        at.do(lambda: at.server.console.hand(f"{LIST}/add", **theirs))
        assert at.do(lambda: item(at, "192.0.2.5")) == number, "an id of before"
        assert (await bring(ours, FEW)).empty
        with pytest.raises(UpstreamError, match="the connection ended"):
            await waiting
        assert listed(at, "another", enabled=False) == {"192.0.2.5"}


async def test_what_the_router_was_told_is_noted_although_nobody_waits_any_more(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.server.late = 0.2
        at.do(lambda: at.server.turns.append("late"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ours.admit([(WEB, 60.0)]), 0.05)
        await asyncio.gather(*ours._admitting)
        at.do(at.server.commands.clear)
        await ours.admit([(WEB, 60.0)])
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


CONNECTIONS = "/ip/firewall/connection"


def track(at: Background, *sources: str, joins: bool = False) -> None:
    pairs = {"protocol": "udp", "dst-address": "198.51.100.1", "src-port": "4000", "dst-port": "53"}
    at.do(lambda: at.server.console.track(CONNECTIONS, [pairs | {"src-address": it} for it in sources], joins=joins))


def tracked(at: Background) -> list[str]:
    return [row["src-address"] for row in at.do(lambda: at.server.console.items(CONNECTIONS))]


async def test_a_connection_that_has_ended_by_itself_is_gone(at: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Due.__call__

    def late(due: Due, row: Any) -> bool:
        at.do(lambda: at.server.console.hand(f"{CONNECTIONS}/remove", numbers=row[".id"]))
        return look(due, row)

    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        track(at, "100.64.1.7")
        monkeypatch.setattr(Due, "__call__", late)
        await bring(ours, FEW)
        assert f"{CONNECTIONS}/remove" in at.server.commands
        assert not ours.warnings


async def test_all_tracked_connections_are_read_once_for_a_long_change(at: Background) -> None:
    many = wanted(*(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(2 * SLICE + 10)))
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        track(at, "100.64.1.1", "100.64.8.1", "100.64.200.1")
        at.do(at.server.commands.clear)
        await bring(ours, many)
        assert at.server.commands.count(f"{CONNECTIONS}/print") == 1
        assert tracked(at) == ["100.64.200.1"]


async def test_connections_go_also_where_only_a_part_of_the_change_was_taken(at: Background) -> None:
    value = wanted(subscriber("1", "100.64.1.1"), subscriber("2", "100.64.1.2"))
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        track(at, "100.64.1.1", "100.64.1.2")
        at.do(lambda: at.server.turns.extend(["", "", "full"]))
        with pytest.raises(UpstreamError, match="1 entries were refused"):
            await bring(ours, value)
        await bring(ours, value)
        assert tracked(at) == []
        track(at, "100.64.1.1", "100.64.1.2")
        at.do(lambda: at.server.turns.extend(["", "read-only"]))
        with pytest.raises(UpstreamError, match="1 entries stay"):
            await bring(ours, wanted())
        await bring(ours, wanted())
        assert tracked(at) == [], "nor when a line opens"


async def test_a_router_that_refuses_to_forget_is_not_asked_at_each_comparison(at: Background) -> None:
    now = [0.0]
    async with target(at, clock=lambda: time.monotonic() + now[0]) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        track(at, "100.64.1.7")
        at.do(lambda: at.server.turns.extend([""] * 5 + ["read-only"]))
        await bring(ours, FEW)
        assert "connections are not forgotten" in ours.warnings[-1]
        at.do(at.server.commands.clear)
        for _ in range(3):
            await ours.read()
        assert at.server.commands == ["/system/resource/print"] * 3
        now[0] += 61.0
        await ours.read()
        assert (tracked(at), ours.warnings) == ([], ())


async def test_after_a_new_connection_it_is_asked_again_how_the_router_spells_an_end(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        track(at, "100.64.1.7")
        await bring(ours, wanted(subscriber("1", "100.64.1.7")))
        assert tracked(at) == []
        at.do(at.server.cut)
        track(at, "100.64.1.8", joins=True)
        await bring(ours, wanted(subscriber("2", "100.64.1.8")))
        assert tracked(at) == []


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
    almost = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
    async with target(at, tls=True, fingerprint=almost) as ours:
        await ours.start(RULES)
        with pytest.raises(UpstreamError, match="another certificate"):
            await ours.read()


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


def test_rows_are_looked_at_where_they_come_in_and_only_those_that_are_wanted_stay(
    at: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(at, *(f"100.64.1.{n}" for n in range(200)))
    made, waiting = Router(settings(at)), list[int]()
    with contextlib.closing(made):
        number = made.connect()
        take = made._api.process_single_response

        def process() -> None:
            take()
            waiting.append(sum(map(len, made._api.response_buffor.values())))

        monkeypatch.setattr(made._api, "process_single_response", process)
        found = made.ask(number, Command(CONNECTIONS, "print"), keep=lambda row: row["src-address"].endswith(".77"))
        assert [row["src-address"] for row in found.rows] == ["100.64.1.77"]
        assert (len(waiting), max(waiting)) == (201, 1), "a hundred thousand of them would fill a small machine"
        assert not made._api.response_buffor


def test_a_router_that_dribbles_is_given_up_however_lively_it_is(
    at: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(at, *(f"100.64.1.{n}" for n in range(200)))
    made = Router(settings(at))
    with contextlib.closing(made):
        number = made.connect()
        at.do(lambda: at.server.faults.add("trickle"))
        monkeypatch.setattr("edged.enforce.targets.routeros.api.LONGEST", 0.05)
        with pytest.raises(UpstreamError, match="does not answer in time"):
            made.ask(number, Command(CONNECTIONS, "print"))


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


@pytest.mark.parametrize(("rate", "piece"), [(1, 1), (50, 5), (1000, 100), (100_000, 100)])
def test_a_slow_rate_goes_in_small_pieces_so_that_who_has_paid_waits_for_a_tenth_of_a_second(
    at: Background, rate: int, piece: int
) -> None:
    assert RouterThread(settings(at, rate=rate), lost=lambda: None).piece == piece


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


@pytest.mark.parametrize("tls", [True, False], ids=["greeting", "logging in"])
@pytest.mark.parametrize("soon", [True, False], ids=["connecting", "waiting"])
async def test_edged_ends_at_once_whatever_it_waits_for(tls: bool, soon: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, contextlib.ExitStack() as connections:
        given = {"host": "127.0.0.1", "user": "edged", "password": "secret", "timeout": "60s", "tls": tls}
        made = RouterosTarget(RouterosSettings.model_validate(given | {"port": silent.getsockname()[1]}))
        await made.start(RULES)
        reading = asyncio.create_task(made.read())
        await asyncio.sleep(0)
        if not soon:
            connected, _ = await asyncio.to_thread(silent.accept)
            connections.callback(connected.close)
        begun = time.monotonic()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await made.close()
        while any(thread.name.startswith("routeros") for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 1.0


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
        track(at, "100.64.1.7")
        assert await ours.lift()
        assert listed(at) == {"192.0.2.77"}
        assert tracked(at) == [], "what was steered is so no more"
        assert not await ours.lift()
        assert "edged: from blocked" in comments(at, "/ip/firewall/filter")
