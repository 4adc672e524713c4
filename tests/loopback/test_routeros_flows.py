# SPDX-License-Identifier: Apache-2.0
"""The garden that a router lets through, and what it tracks of lines that change: the target against the stand-in."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from edged.enforce.routeros.tracking import Due
from edged.enforce.targets.routeros.target import SLICE
from edged.errors import UpstreamError
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES, subscriber, wanted
from tests.routeros.background import Background, running
from tests.routeros.console import Console
from tests.routeros.server import RouterServer, router
from tests.routeros_lab import (
    CONNECTIONS,
    FEW,
    LIST,
    WEB,
    bring,
    item,
    listed,
    target,
    track,
    tracked,
)


@pytest.fixture
def at() -> Iterator[Background]:
    with running(router()) as background:
        yield background


# --- the garden ------------------------------------------------------------------------------------


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
