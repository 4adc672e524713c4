# SPDX-License-Identifier: Apache-2.0
"""edged's target against the stand-in of a RouterOS router, which is no router: nothing here is tested on RouterOS."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from edged.enforce.diff import Plan, diff
from edged.enforce.routeros.order import Round
from edged.enforce.rules import Portal, Rules
from edged.enforce.targets.routeros.rules import RouterRules
from edged.enforce.targets.routeros.target import SLICE
from edged.errors import UpstreamError
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES, STATES, subscriber, wanted
from tests.routeros.background import Background, running
from tests.routeros.console import Console, Outcome
from tests.routeros.sentences import TrapError, done
from tests.routeros.server import RouterServer, router
from tests.routeros_lab import (
    FEW,
    FEW_LISTED,
    LIST,
    LISTS,
    MORE,
    WEB,
    bring,
    comments,
    foreign,
    item,
    items_of,
    listed,
    others,
    target,
    track,
    tracked,
)


@pytest.fixture
def at() -> Iterator[Background]:
    with running(router()) as background:
        yield background


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
            # each may find what the other has just changed until it gives up, and tries again as the daemon does
            given_up = await asyncio.gather(bring(one, value), bring(another, value), return_exceptions=True)
            for ours, came in zip((one, another), given_up, strict=True):
                if isinstance(came, BaseException):
                    assert "do not stay as they are written" in str(came)
                    await bring(ours, value)
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
