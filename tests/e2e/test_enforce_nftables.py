# SPDX-License-Identifier: Apache-2.0
"""The nftables target in real namespaces with real packets: what a blocked and a good subscriber meet."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from edged.enforce import nft_json
from edged.enforce.diff import Plan, diff
from edged.enforce.kernel.client import Here, Privileged
from edged.enforce.kernel.requests import Answer, Forget, Request
from edged.enforce.nft_text import base_text
from edged.enforce.rules import Rules
from edged.enforce.service import EnforceService
from edged.enforce.sets import SetName
from edged.enforce.targets.nftables import NftablesTarget
from edged.errors import ConfigError, UpstreamError
from edged.state.current import Current
from edged.values import IpAddress, parse_prefix
from tests.e2e import lab as places
from tests.e2e.enforce_contract import RULES, STATES, bring, fulfils, subscriber, view_of, wanted
from tests.e2e.lab import (
    BAD4,
    BAD6,
    BAD_MAC,
    BAD_PREFIX6,
    GARDEN4,
    GARDEN6,
    PORTAL4,
    PORTAL6,
    RESOLVER4,
    RESOLVER6,
    ROUTER4,
    ROUTER6,
    WEB4,
    WEB6,
    Lab,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

LAN_RULES = dataclasses.replace(RULES, interfaces=(places.LAN,), garden_networks=())
BAD = subscriber("1001", BAD4, BAD_PREFIX6)
WEBS = pytest.mark.parametrize("web", [WEB4, WEB6])
FAMILIES = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(prefix=f"edged-n{os.getpid()}") as built:
        inet = [(p, a, port) for p in ("tcp", "udp") for a in (WEB4, WEB6, GARDEN4, GARDEN6) for port in (22, 443, 853)]
        built.serve("internet", "internet", [(p, a, port) for p, a, port in inet])  # type: ignore[misc]
        built.serve("internet", "web", [("tcp", a, 80) for a in (WEB4, WEB6, GARDEN4, GARDEN6)])
        built.serve("internet", "ntp", [("udp", a, 123) for a in (WEB4, WEB6)])
        resolvers = (RESOLVER4, RESOLVER6, GARDEN4, GARDEN6)
        built.serve("internet", "resolver", [(p, a, 53) for a in resolvers for p in ("tcp", "udp")])
        built.serve("router", "sinkhole", [(p, a, 5300) for a in (PORTAL4, PORTAL6) for p in ("tcp", "udp")])
        built.serve("router", "redirector", [("tcp", a, 8080) for a in (PORTAL4, PORTAL6)])
        built.serve("router", "page", [("tcp", a, 8443) for a in (PORTAL4, PORTAL6)])
        # the kernel spaces its ICMP errors by a second: a test that asks for several need not wait for each
        built.run("router", "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        yield built


@pytest.fixture
async def target(lab: Lab) -> AsyncIterator[NftablesTarget]:
    """A target in the router's namespace, on an empty ruleset; the test itself runs there too."""
    lab.run("router", "nft", "flush", "ruleset")
    with lab.inside("router"):
        yield NftablesTarget()


@contextlib.contextmanager
def refused(within: float = 0.5) -> Iterator[None]:
    """What happens inside is refused, and at once."""
    start = time.monotonic()
    with pytest.raises(OSError) as caught:
        yield
    assert not isinstance(caught.value, TimeoutError), "silence instead of a refusal"
    assert time.monotonic() - start < within


def addresses(version: int) -> tuple[str, str, str, str]:
    """Resolver, web, garden and the router's own, of one family."""
    return (RESOLVER4, WEB4, GARDEN4, ROUTER4) if version == 4 else (RESOLVER6, WEB6, GARDEN6, ROUTER6)


async def test_the_nftables_target_fulfils_the_contract(target: NftablesTarget) -> None:
    await fulfils(target)


async def test_through_the_process_that_may_the_target_fulfils_it_as_well(target: NftablesTarget) -> None:
    with contextlib.closing(Privileged()) as process:
        await fulfils(NftablesTarget(process))
        held = NftablesTarget(process)
        many = wanted(*(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(9000)))
        await bring(held, many)
        # more at a time than there are lines, small ones beside large ones
        entries: list[IpAddress] = [ip_address(f"198.51.100.{n}") for n in range(1, 41)]
        await asyncio.gather(
            bring(held, wanted(BAD)), *(held.admit([(address, 60.0)]) for address in entries), held.counters()
        )
        assert process.ended is None

    actual = await target.read()
    assert actual is not None
    assert actual.sets == wanted(BAD).sets
    assert set(nft_json.garden(await target._list(terse=False) or ())) >= set(entries)


LAST = {
    SetName.BLOCKED_PREFIXES_4: frozenset({parse_prefix("255.255.255.0/24")}),
    SetName.BLOCKED_PREFIXES_6: frozenset({parse_prefix("ffff::/16")}),
}


async def test_after_every_small_change_the_kernel_holds_what_we_believe_it_does(target: NftablesTarget) -> None:
    def kernel() -> NftablesTarget:
        return NftablesTarget()  # one that remembers nothing, so that it reads

    await bring(target, wanted())
    for subscribers in STATES * 2:
        value = wanted(*subscribers)
        plan = await bring(target, value)
        actual = await kernel().read()
        assert actual is not None
        assert actual.sets == value.sets, (plan.added, plan.removed)
    value = wanted()
    up_to_the_last = dataclasses.replace(value, sets={**value.sets, **LAST})
    for of, plan in ((up_to_the_last, Plan(add=LAST)), (value, Plan(remove=LAST))):
        await target.apply(of, plan)
        actual = await kernel().read()
        assert actual is not None
        assert actual.sets == of.sets


async def test_a_few_elements_are_changed_without_the_nft_program(target: NftablesTarget, tmp_path: Path) -> None:
    await bring(target, wanted(BAD))
    value = wanted(subscriber("2", "100.64.1.8", "100.64.9.0/24"))
    alone = NftablesTarget(program=str(tmp_path / "nft-that-is-not-there"))

    await alone.apply(value, diff(value, await target.read()))
    await alone.admit([(ip_address(GARDEN4), 10.0), (ip_address(GARDEN6), 10.0)])

    actual = await NftablesTarget().read()
    assert actual is not None
    assert actual.sets == value.sets


def wrapped(directory: Path, *, then: str = "") -> tuple[str, Path]:
    """An ``nft`` that writes down how it was called, and the file where; ``then``: what its changes end with."""
    log, program = directory / "calls", directory / "nft"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\nnft "$@" || exit 1\ncase "$*" in "-f -") {then or ":"};; esac\n'
    )
    program.chmod(0o755)
    log.touch()
    return str(program), log


async def test_a_ruleset_that_we_alone_write_is_not_read_again(target: NftablesTarget, tmp_path: Path) -> None:
    program, log = wrapped(tmp_path)
    target = NftablesTarget(program=program)
    await bring(target, wanted(BAD))
    many = [subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(400)]

    async def looks() -> list[str]:
        log.write_text("")
        for _ in range(3):
            assert await target.read() is not None
        return log.read_text().splitlines()

    await looks()
    for subscribers in ([BAD], [BAD, subscriber("2", "100.64.9.9")], many, []):
        await bring(target, wanted(*subscribers))
        assert await looks() == []
    await target.admit([(ip_address(GARDEN4), 10.0)])
    assert await looks() == []


async def test_a_change_that_was_made_although_nft_said_no_is_seen(target: NftablesTarget, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    target = NftablesTarget(program=wrapped(tmp_path, then=f"test ! -e {broken} || exit 1")[0])
    await bring(target, wanted(BAD))
    value = wanted(BAD, *(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(400)))
    broken.touch()

    with pytest.raises(UpstreamError):
        await bring(target, value)

    actual = await target.read()
    assert actual is not None
    assert actual.sets == value.sets


async def test_an_element_that_somebody_took_out_of_our_table_is_missed_before_long(
    lab: Lab, target: NftablesTarget
) -> None:
    value = wanted(subscriber("1", BAD4), subscriber("2", "100.64.9.9"))
    await bring(target, value)
    lab.run("router", "nft", "delete", "element", "inet", "edged", "blocked4h", f"{{ {BAD4} }}")

    async def missed() -> bool:
        actual = await target.read()
        return actual is not None and diff(value, actual).added == 1

    async with asyncio.timeout(20.0):
        while not await missed():
            await asyncio.sleep(0.05)


async def test_what_was_admitted_before_somebody_flushed_our_table_is_admitted_again(
    lab: Lab, target: NftablesTarget
) -> None:
    await bring(target, wanted(BAD))
    await target.admit([(ip_address(GARDEN4), 60.0)])
    lab.run("router", "nft", "delete", "table", "inet", "edged")
    assert await target.read() is None
    await bring(target, wanted(BAD))

    await target.admit([(ip_address(GARDEN4), 60.0)])

    assert GARDEN4 in lab.run("router", "nft", "list", "set", "inet", "edged", "garden4").stdout


@FAMILIES
@pytest.mark.parametrize(
    "blocked",
    [BAD, subscriber("1001", devices=(BAD_MAC,)), subscriber("1001", BAD4, BAD6)],
    ids=["prefix", "mac", "host"],
)
async def test_a_blocked_line_is_steered_and_refused_at_once(
    lab: Lab, target: NftablesTarget, version: int, blocked: object
) -> None:
    resolver, web, garden, router = addresses(version)
    await bring(target, wanted(blocked, rules=LAN_RULES))  # type: ignore[arg-type]
    me = BAD4 if version == 4 else BAD6
    for dns in (resolver, garden, router, PORTAL4 if version == 4 else PORTAL6):
        assert lab.ask("bad", "udp", dns, 53) == f"sinkhole {me}"
        assert lab.ask("bad", "tcp", dns, 53) == f"sinkhole {me}"
    for anywhere in (web, garden, router):
        assert lab.ask("bad", "tcp", anywhere, 80) == f"redirector {me}"
        assert lab.ask("bad", "tcp", anywhere, 443) == f"page {me}"
    for port in (22, 853):
        with refused():
            lab.ask("bad", "tcp", web, port)
    for port in (443, 853, 22):
        with refused():
            lab.ask("bad", "udp", web, port)


@FAMILIES
async def test_a_good_line_is_not_touched(lab: Lab, target: NftablesTarget, version: int) -> None:
    resolver, web, _, _ = addresses(version)
    await bring(target, wanted(BAD, rules=LAN_RULES))
    assert lab.ask("good", "udp", resolver, 53).startswith("resolver")
    assert lab.ask("good", "tcp", web, 80).startswith("web")
    for proto in ("tcp", "udp"):
        for port in (22, 443, 853):
            assert lab.ask("good", proto, web, port).startswith("internet")
    portal = PORTAL4 if version == 4 else PORTAL6
    assert lab.ask("good", "tcp", portal, 443).startswith("page")
    assert lab.ask("good", "udp", portal, 53).startswith("sinkhole")


@FAMILIES
async def test_the_garden_is_open_on_its_ports_alone(lab: Lab, target: NftablesTarget, version: int) -> None:
    _, web, garden, _ = addresses(version)
    await bring(target, wanted(BAD, rules=LAN_RULES))
    assert lab.ask("bad", "tcp", garden, 443).startswith("page")
    await target.admit([(ip_address(garden), 30.0)])
    assert lab.ask("bad", "tcp", garden, 443).startswith("internet")
    assert lab.ask("bad", "udp", garden, 443).startswith("internet")
    assert lab.ask("bad", "tcp", garden, 80).startswith("redirector")
    assert lab.ask("bad", "udp", garden, 53).startswith("sinkhole")
    with refused():
        lab.ask("bad", "tcp", garden, 22)
    assert lab.ask("bad", "tcp", web, 443).startswith("page")
    assert (await target.counters())["garden"] > 0


@FAMILIES
async def test_the_time_stays_readable_and_is_no_tunnel(lab: Lab, target: NftablesTarget, version: int) -> None:
    _, web, _, _ = addresses(version)
    await bring(target, wanted(BAD, rules=LAN_RULES))

    def ask(octets: int) -> str:
        with lab.socket("bad", "udp", web, 123) as client:
            client.send(bytes(octets))
            return client.recv(1500).decode().split()[0]

    with refused():
        ask(47)
    assert ask(48) == "ntp"
    with pytest.raises(OSError):  # noqa: PT012  # the burst is eight, whichever of these is the ninth
        for _ in range(9):
            ask(48)


@FAMILIES
async def test_unblocking_frees_a_flow_with_fixed_ports_within_one_comparison(
    lab: Lab, target: NftablesTarget, version: int
) -> None:
    resolver, _, _, _ = addresses(version)
    await bring(target, wanted(rules=LAN_RULES))
    with lab.socket("bad", "udp", resolver, 53, source_port=40000) as client:

        def answer() -> str:
            client.send(b"?")
            return client.recv(1500).decode().split()[0]

        assert answer() == "resolver"
        await bring(target, wanted(BAD, rules=LAN_RULES))
        assert answer() == "sinkhole"
        await bring(target, wanted(rules=LAN_RULES))
        assert answer() == "resolver"


class Cut(Here):
    """The real kernel, asked by a daemon that is killed before it has let a connection go."""

    async def ask(self, request: Request) -> Answer:
        if isinstance(request, Forget):
            raise UpstreamError("killed")
        return await super().ask(request)


@FAMILIES
async def test_a_start_frees_the_flow_of_a_line_that_was_opened_the_moment_before_the_end(
    lab: Lab, target: NftablesTarget, version: int
) -> None:
    resolver, _, _, _ = addresses(version)
    killed = NftablesTarget(Cut())
    await bring(killed, wanted(BAD, rules=LAN_RULES))
    with lab.socket("bad", "udp", resolver, 53, source_port=40003) as client:

        def answer() -> str:
            client.send(b"?")
            return client.recv(1500).decode().split()[0]

        assert answer() == "sinkhole"
        await bring(killed, wanted(rules=LAN_RULES))
        assert answer() == "sinkhole"

        await target.start(LAN_RULES)
        for _ in range(2):
            await bring(target, wanted(rules=LAN_RULES))

        assert answer() == "resolver"
    assert not target.warnings
    assert not target.lingering


class Busy(Here):
    """The real kernel, which lets connections of a crowd go when ``may`` is set, and answers then as ``says``."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.says: Exception | None = None

    async def ask(self, request: Request) -> Answer:
        if isinstance(request, Forget) and len(request.blocked) > 9:
            await self.may.wait()
            if self.says is not None:
                raise self.says
        return await super().ask(request)


async def test_while_a_crowds_connections_are_let_go_a_line_that_has_paid_is_opened(
    lab: Lab, target: NftablesTarget
) -> None:
    crowd = tuple(subscriber(str(n), f"100.64.200.{n}") for n in range(1, 40))
    busy = Busy()
    target = NftablesTarget(busy)
    await bring(target, wanted(BAD, rules=LAN_RULES))
    with lab.socket("bad", "udp", RESOLVER4, 53, source_port=40002) as client:

        def answer() -> str:
            client.send(b"?")
            return client.recv(1500).decode().split()[0]

        assert answer() == "sinkhole"
        async with asyncio.timeout(5.0):
            await bring(target, wanted(BAD, *crowd, rules=LAN_RULES))
            await bring(target, wanted(*crowd, rules=LAN_RULES))

        assert answer() == "resolver"
    assert target.lingering == set()

    busy.says = UpstreamError("the process that holds CAP_NET_ADMIN does not answer")
    busy.may.set()
    await _settles(lambda: bool(target.warnings))
    assert "does not answer" in target.warnings[0]
    await bring(target, wanted(BAD, *crowd, rules=LAN_RULES))  # what cannot be had stands in nobody's way
    busy.says = None
    async with asyncio.timeout(5.0):
        while target.warnings:
            await target.read()


@FAMILIES
async def test_taking_our_table_away_frees_a_flow_with_fixed_ports_and_leaves_nothing_of_ours(
    lab: Lab, target: NftablesTarget, version: int
) -> None:
    resolver, _, _, _ = addresses(version)
    await bring(target, wanted(BAD, rules=LAN_RULES))
    with lab.socket("bad", "udp", resolver, 53, source_port=40001) as client:

        def answer() -> str:
            client.send(b"?")
            return client.recv(1500).decode().split()[0]

        assert answer() == "sinkhole"

        assert await NftablesTarget().lift() is True

        assert answer() == "resolver"
    assert await target.read() is None
    assert await target.lift() is False


@WEBS
async def test_a_request_that_is_under_way_when_the_line_opens_is_still_answered(
    lab: Lab, target: NftablesTarget, web: str
) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    with lab.socket("bad", "tcp", web, 443) as client:
        client.send(b"?")
        assert client.recv(100).startswith(b"page")
        await bring(target, wanted(rules=LAN_RULES))
        client.send(b"?")
        assert client.recv(100).startswith(b"page")
    assert lab.ask("bad", "tcp", web, 443).startswith("internet")


@WEBS
async def test_a_connection_from_before_the_block_is_reset_at_its_next_packet(
    lab: Lab, target: NftablesTarget, web: str
) -> None:
    await bring(target, wanted(rules=LAN_RULES))
    with lab.socket("bad", "tcp", web, 22) as client:
        client.send(b"?")
        assert client.recv(100).startswith(b"internet")
        await bring(target, wanted(BAD, rules=LAN_RULES))
        with refused():
            client.send(b"?")
            client.recv(100)


@FAMILIES
async def test_flushing_one_lines_connections_leaves_everybody_elses(
    lab: Lab, target: NftablesTarget, version: int
) -> None:
    """The kernel's own filter does the opposite for IPv6: this is why it is not used there."""
    _, web, _, _ = addresses(version)
    await bring(target, wanted(rules=LAN_RULES))
    await bring(target, wanted(subscriber("9", "100.64.9.9", "2001:db8:100:909::9"), rules=LAN_RULES))
    lab.ask("good", "udp", web, 22)
    lab.ask("bad", "udp", web, 22)
    me = BAD4 if version == 4 else BAD6
    await bring(target, wanted(BAD, rules=LAN_RULES))
    listed = Path("/proc/net/nf_conntrack")
    text = lab.run("router", "conntrack", "-L", "-f", f"ipv{version}").stdout if not listed.exists() else ""
    text = text or lab.run("router", "cat", "/proc/net/nf_conntrack").stdout
    good = places.GOOD4 if version == 4 else places.GOOD6
    expanded = {str(ip_address(a)) for a in (me, good)} | {ip_address(a).exploded for a in (me, good)}
    seen = {word.removeprefix("src=") for word in text.split() if word.startswith("src=")} & expanded
    assert seen & {good, ip_address(good).exploded}
    assert not seen & {me, ip_address(me).exploded}


@WEBS
async def test_an_exempt_address_wins_over_a_blocked_mac(lab: Lab, target: NftablesTarget, web: str) -> None:
    value = wanted(subscriber("1", devices=(BAD_MAC,)), rules=LAN_RULES)
    exempt = {
        SetName.EXEMPT_4: frozenset({parse_prefix(BAD4)}),
        SetName.EXEMPT_6: frozenset({parse_prefix(BAD6)}),
    }
    await bring(target, dataclasses.replace(value, sets={**value.sets, **exempt}))
    assert lab.ask("bad", "tcp", web, 443).startswith("internet")


async def test_traffic_that_enters_elsewhere_is_never_steered(lab: Lab, target: NftablesTarget) -> None:
    rules = dataclasses.replace(LAN_RULES, interfaces=("ppp*",))
    await bring(target, wanted(BAD, rules=rules))
    assert lab.ask("bad", "tcp", WEB4, 443).startswith("internet")


async def test_drop_is_silent(lab: Lab, target: NftablesTarget) -> None:
    await bring(target, wanted(BAD, rules=dataclasses.replace(LAN_RULES, forward="drop")))
    with pytest.raises(TimeoutError):
        lab.ask("bad", "tcp", WEB4, 22, timeout=0.3)
    assert lab.ask("bad", "tcp", WEB4, 443).startswith("page")


async def test_foreign_tables_are_byte_for_byte_what_they_were(lab: Lab, target: NftablesTarget) -> None:
    foreign = (
        "table inet filter {\nset s { type ipv4_addr; elements = { 192.0.2.1 }; }\n"
        "chain input { type filter hook input priority 0; policy drop;\nct status dnat accept; }\n"
        "chain forward { type filter hook forward priority 0; policy accept; counter; }\n}\n"
        "table ip nat {\nchain early { type nat hook prerouting priority -150; }\n}\n"
    )
    lab.run("router", "nft", "-f", "-", input=foreign)

    def listed() -> str:
        both = (
            lab.run("router", "nft", "-s", "-a", "list", "table", *t).stdout
            for t in (("inet", "filter"), ("ip", "nat"))
        )
        return "".join(both)

    before = listed()
    for state in ([], [BAD], [subscriber("2", "100.64.0.0/16")], []):
        await bring(target, wanted(*state, rules=LAN_RULES))
    await target.admit([(ip_address(GARDEN4), 5.0)])
    assert listed() == before
    warnings = " ".join(target.warnings)
    assert "inet filter input" not in warnings  # its rule accepts what was steered
    assert "ip nat early translates before edged" in warnings
    assert "forward" not in warnings


async def test_a_portal_address_that_the_host_has_lost_is_said_until_it_is_back(
    lab: Lab, target: NftablesTarget
) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    assert list(target.warnings) == []
    for address in (places.PORTAL4, places.PORTAL6):
        lab.run("router", "ip", "address", "delete", str(ip_network(address)), "dev", "lo")
        try:
            (said,) = target.warnings
        finally:
            lab.run("router", "ip", "address", "add", address, "dev", "lo")
        assert said.startswith(f"{address} is on no interface (ip address add {address} dev lo): ")
        assert list(target.warnings) == []


async def test_a_table_that_somebody_flushed_is_back_at_the_next_comparison(lab: Lab, target: NftablesTarget) -> None:
    value = wanted(BAD, rules=LAN_RULES)
    await bring(target, value)
    for vandalism in ("flush ruleset", "flush chain inet edged gate", "delete chain inet edged forward"):
        lab.run("router", "nft", vandalism)
        plan = await bring(target, value)
        assert plan.base, vandalism
        assert lab.ask("bad", "tcp", WEB4, 443).startswith("page")
        with refused():
            lab.ask("bad", "tcp", WEB4, 22)
    assert (await bring(target, value)).empty


async def test_a_restart_finds_what_is_in_force_and_adds_only_the_difference(lab: Lab, target: NftablesTarget) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    again = NftablesTarget()
    plan = diff(wanted(BAD, subscriber("2", "100.64.2.2"), rules=LAN_RULES), await again.read())
    assert plan.base  # whose rules these are is not known: written again, without a gap
    assert (plan.added, plan.removed) == (1, 0)
    assert lab.ask("bad", "tcp", WEB4, 443).startswith("page")


async def test_rewriting_the_rules_keeps_the_counters(lab: Lab, target: NftablesTarget) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    with refused():
        lab.ask("bad", "tcp", WEB4, 22)
    before = await target.counters()
    assert before["rej_tcp"] > 0
    await bring(target, wanted(BAD, rules=dataclasses.replace(LAN_RULES, garden_ports=(443, 8443))))
    assert (await target.counters())["rej_tcp"] == before["rej_tcp"]


async def never(_edits: object) -> bool:
    return False


REPLACE = pytest.mark.parametrize("replace", [False, True], ids=["6.12 and later", "before 6.12"])
BY_NFT = pytest.mark.parametrize("by_nft", [False, True], ids=["by netlink", "by nft"])


@REPLACE
@BY_NFT
async def test_admitting_again_renews_the_life(
    lab: Lab, target: NftablesTarget, by_nft: bool, replace: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring(target, wanted(rules=LAN_RULES))
    if not replace and target._replace:
        pytest.skip("this kernel renews no life by adding")
    target._replace = replace
    garden = ip_address(GARDEN4)
    if by_nft:
        monkeypatch.setattr(target, "_transacted", never)

    def life() -> float:
        text = lab.run("router", "nft", "list", "set", "inet", "edged", "garden4").stdout
        found = re.search(r"expires (?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", text)
        assert found, text
        minutes, seconds, milliseconds = (int(part or 0) for part in found.groups())
        return minutes * 60 + seconds + milliseconds / 1000

    await target.admit([(garden, 10.0)])
    assert 10 <= life() <= 21
    await target.admit([(garden, 40.0)])
    assert 40 <= life() <= 81
    # the same life again and again: the kernel of today renews only another one
    for _ in range(3):
        await asyncio.sleep(1.5)
        target._alive_until.clear()
        await target.admit([(garden, 40.0)])
        assert life() > 79
    assert (await target.read()) is not None


@BY_NFT
async def test_a_foreign_flush_is_seen_after_admissions_of_our_own(
    lab: Lab, target: NftablesTarget, by_nft: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    if by_nft:
        monkeypatch.setattr(target, "_transacted", never)
    for _ in range(3):
        await target.admit([(ip_address(GARDEN4), 5.0)])
        target._alive_until.clear()
        actual = await target.read()
        assert actual is not None
        assert actual.count == 2

    lab.run("router", "nft", "flush", "set", "inet", "edged", "blocked4h")
    target._read_took = 0.0  # where others write too, elements are not read at every look
    await asyncio.sleep(0.1)

    actual = await target.read()
    assert actual is not None
    assert actual.count == 1


async def test_an_admission_that_straddles_a_reading_is_counted_once(lab: Lab, target: NftablesTarget) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    for _ in range(20):
        target._alive_until.clear()
        target._actual = None  # all is read, while admissions come and go
        await asyncio.gather(target.read(), *(target.admit([(ip_address(f"198.51.100.{n}"), 60.0)]) for n in range(3)))

    lab.run("router", "nft", "flush", "set", "inet", "edged", "blocked4h")
    target._read_took = 0.0  # where others write too, elements are not read at every look
    await asyncio.sleep(0.1)

    actual = await target.read()
    assert actual is not None
    assert actual.count == 1


async def test_a_foreign_flush_is_seen_after_an_admission_that_changed_nothing(
    lab: Lab, target: NftablesTarget
) -> None:
    await bring(target, wanted(BAD, rules=LAN_RULES))
    await target.admit([(ip_address(GARDEN4), 60.0)])
    after = NftablesTarget()  # a restart: what the last process gave is not known any more
    after._offset = target._offset  # so that it gives the very same life
    await after.read()
    await after.admit([(ip_address(GARDEN4), 60.0)])

    lab.run("router", "nft", "flush", "set", "inet", "edged", "blocked4h")

    after._read_took = 0.0
    actual = await after.read()
    assert actual is not None
    assert actual.count == 1


async def test_many_admissions_at_once_share_transactions(lab: Lab, target: NftablesTarget) -> None:
    await bring(target, wanted(rules=LAN_RULES))
    entries: list[IpAddress] = [ip_address(f"198.51.100.{n}") for n in range(1, 201)]
    start = time.monotonic()
    await asyncio.gather(*(target.admit([(address, 60.0)]) for address in entries))
    assert time.monotonic() - start < 2.0
    text = lab.run("router", "nft", "list", "set", "inet", "edged", "garden4").stdout
    assert text.count("timeout") - 1 == len(entries)
    assert target._own < 10  # two batches: the first one's, and everybody else's
    await target.admit([(entries[0], 50.0)])
    assert target._own < 10  # known to live long enough


async def test_missing_privilege_and_missing_program_are_the_operators_to_mend(
    target: NftablesTarget,
) -> None:
    with pytest.raises(ConfigError, match="not installed"):
        await NftablesTarget(program="nft-that-is-not-there").start(RULES)
    child = await asyncio.create_subprocess_exec(
        "setpriv",
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        sys.executable,
        "-c",
        "import asyncio\nfrom edged.enforce.targets.nftables import NftablesTarget\n"
        "from edged.enforce.rules import Rules\nasyncio.run(NftablesTarget().start(Rules()))",
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    _, complaint = await child.communicate()
    await target.start(RULES)
    assert await target.read() is None  # a look, not a touch
    assert "nftables needs CAP_NET_ADMIN" in complaint.decode()


async def test_rules_that_the_kernel_does_not_take_are_a_clear_error(target: NftablesTarget) -> None:
    value = wanted(BAD, rules=LAN_RULES)
    plan = diff(value, None)
    broken = dataclasses.replace(plan, base=False)
    with pytest.raises(UpstreamError, match="No such file"):
        await target.apply(value, broken)
    assert await target.read() is None


async def test_the_service_enforces_drifts_back_and_leaves_all_in_force(lab: Lab, target: NftablesTarget) -> None:
    current = Current(view_of())
    service = EnforceService({"nftables": target}, LAN_RULES, current=current, every=0.2)
    await service.start()
    running = asyncio.create_task(service.run())
    try:
        await _settles(lambda: service.status()["nftables"].ok)
        current.publish(view_of(BAD))
        await _settles(lambda: service.status()["nftables"].actual == 2)
        assert lab.ask("bad", "tcp", WEB4, 443).startswith("page")
        assert await service.in_place(ip_address(BAD6)) == {"nftables": True}
        lab.run("router", "nft", "delete", "table", "inet", "edged")
        await _settles(lambda: service.counters.drifted == 1)
        await _settles(lambda: _sees_page(lab))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.stop()
    assert lab.ask("bad", "tcp", WEB4, 443).startswith("page")


DRIVER = """
import asyncio
from tests.e2e.enforce_contract import subscriber, view_of
from tests.e2e.test_enforce_nftables import BAD, LAN_RULES
from edged.enforce.service import EnforceService
from edged.enforce.targets.nftables import NftablesTarget
from edged.state.current import Current
service = EnforceService({"nftables": NftablesTarget()}, LAN_RULES, current=Current(view_of(BAD)))
async def main():
    await service.start()
    running = asyncio.create_task(service.run())
    while not service.status()["nftables"].ok:
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await running
asyncio.run(main())
"""


async def test_killing_the_process_changes_nothing_for_anyone(lab: Lab, target: NftablesTarget) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert await target.read() is None
    driver = lab.popen("router", sys.executable, "-c", DRIVER, env=env)
    assert driver.stdout is not None
    lines = iter(driver.stdout.readline, "")
    assert any(line.strip() == "ready" for line in lines)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(5.0)
    assert lab.ask("bad", "udp", RESOLVER4, 53).startswith("sinkhole")
    assert lab.ask("good", "udp", RESOLVER4, 53).startswith("resolver")
    with refused():
        lab.ask("bad", "tcp", WEB6, 22)


async def test_replacing_twenty_thousand_hosts_in_place_leaks_nothing(lab: Lab, target: NftablesTarget) -> None:
    def crowd(start: int) -> list[object]:
        hosts = [f"100.{65 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(start, start + 20_000)]
        return [subscriber(h, h) for h in hosts]

    states = [
        wanted(BAD, subscriber("n", f"100.127.{i}.0/24"), *crowd(i * 10_000), rules=LAN_RULES)  # type: ignore[arg-type]
        for i in range(4)
    ]
    await bring(target, states[0])
    server = lab.serve("internet", "leak", [("udp", WEB4, 7777), ("udp", WEB6, 7777)])
    flood = lab.popen(
        "bad",
        sys.executable,
        "-c",
        "import socket\n"
        "a, b = (socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET6))\n"
        "while True:\n"
        f"  for s,t in ((a,{WEB4!r}),(b,{WEB6!r})):\n"
        "    try: s.sendto(b'?',(t,7777))\n"
        "    except OSError: pass\n",
    )
    time.sleep(0.2)
    for value in (*states[1:], states[0], dataclasses.replace(states[1], rules=_other(LAN_RULES))):
        await bring(target, value)
    flood.kill()
    flood.wait()
    sent = (await target.counters())["rej_other"]
    assert sent > 1000
    assert server.asked == 0


def _other(rules: Rules) -> Rules:
    return dataclasses.replace(rules, garden_ports=(443, 8443))


@pytest.mark.parametrize("golden", sorted(p.name for p in Path("tests/golden/enforce").glob("*.nft")))
async def test_every_golden_text_is_taken_by_nft(lab: Lab, target: NftablesTarget, golden: str) -> None:
    text = Path("tests/golden/enforce", golden).read_text()
    if "add table" not in text:
        text = base_text(RULES) + text
        text = text.replace("delete element", "add element")  # a check alone has nothing to delete
    lab.run("router", "nft", "--check", "-f", "-", input=text)
    assert await target.read() is None


def _sees_page(lab: Lab) -> bool:
    try:
        return lab.ask("bad", "tcp", WEB4, 443).startswith("page")
    except OSError:
        return False  # begun before the rules were back: its connection was forgotten in the middle


async def _settles(check: object, timeout: float = 5.0) -> None:
    assert callable(check)
    async with asyncio.timeout(timeout):
        while not check():
            await asyncio.sleep(0.02)
