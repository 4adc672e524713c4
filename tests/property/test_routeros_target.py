# SPDX-License-Identifier: Apache-2.0
"""Whatever rules a RouterOS menu holds: ours come to be right and in their place, and others stay as they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.enforce.routeros.commands import Command
from edged.enforce.routeros.entries import Mirror, entry_command, take
from edged.enforce.routeros.layout import FILTER, NAT, Layout, is_ours
from edged.enforce.routeros.order import HOOKS, Accepted, accept, next_round
from edged.enforce.routeros.rows import Row, menus
from edged.enforce.sets import SetName
from edged.enforce.targets.routeros.rules import MOST_ROUNDS
from edged.values import Prefix
from tests.e2e.enforce_contract import RULES
from tests.routeros.console import Console
from tests.routeros.sentences import Command as Sent
from tests.routeros.sentences import TrapError

LAYOUT = Layout("edged-blocked", "edged-garden", "edged-portal", lease=3600.0)
MENUS = (NAT[4], NAT[6], FILTER[4], FILTER[6])
CHAINS = ("forward", "dstnat", "srcnat", "input", "edged-out")


def execute(console: Console, command: Command) -> str:
    outcome = console.execute(Sent(command.menu, command.verb, dict(command.arguments)))
    return str(outcome.replies[-1].pairs.get("ret", ""))


def settle(console: Console, menu: str, rows: tuple[Row, ...], accepted: Accepted) -> int:
    """How many rounds it took."""
    for number in range(MOST_ROUNDS):
        there = console.items(menu)
        round_ = next_round(menu, there, rows, accepted)
        if round_.is_empty:
            return number
        written = {execute(console, row.command(menu)): row for row in round_.adds}
        for command in (*round_.removes, *round_.moves):
            execute(console, command)
        accept(menu, console.items(menu), written, accepted)
    raise AssertionError("it does not settle")


FOREIGN = st.tuples(
    st.sampled_from(CHAINS),
    st.sampled_from(["", "edged2", "by hand", "defconf: fasttrack"]),
    st.sampled_from(["accept", "drop", "passthrough"]),
)
EDITS = st.one_of(
    st.tuples(st.just("remove"), st.integers(0, 60)),
    st.tuples(st.just("disable"), st.integers(0, 60)),
    st.tuples(st.just("move"), st.integers(0, 60), st.integers(0, 60)),
    st.tuples(st.just("set"), st.integers(0, 60), st.sampled_from(["dst-port", "src-address-list", "action"])),
    st.tuples(st.just("foreign"), FOREIGN, st.integers(0, 60)),
    st.tuples(st.just("copy"), st.integers(0, 60)),
    st.tuples(st.just("restart")),
)
VALUES = {"dst-port": "81", "src-address-list": "another", "action": "accept"}


def edit(console: Console, menu: str, step: tuple[object, ...]) -> None:
    """What a hand does; a hand's mistakes change nothing."""
    items = console.items(menu)

    def item(at: object) -> str:
        return items[int(str(at)) % len(items)][".id"] if items else "*0"

    try:
        match step:
            case ("remove" | "disable" as verb, at):
                execute(console, Command(menu, str(verb), {".id": item(at)}))
            case ("move", at, to):
                execute(console, Command(menu, "move", {"numbers": item(at), "destination": item(to)}))
            case ("set", at, name):
                execute(console, Command(menu, "set", {".id": item(at), str(name): VALUES[str(name)]}))
            case ("copy", at):
                execute(console, Command(menu, "add", {"copy-from": item(at)}))
            case ("foreign", (chain, comment, action), at):
                given_ = {"chain": str(chain), "comment": str(comment), "action": str(action)}
                place = {"place-before": item(at)} if items else {}
                execute(console, Command(menu, "add", {k: v for k, v in (given_ | place).items() if v}))
    except TrapError:
        pass


def others(console: Console, menu: str) -> list[dict[str, str]]:
    return [row for row in console.items(menu) if not is_ours(row.get("comment", ""))]


@settings(max_examples=settings().max_examples)
@given(st.sampled_from(MENUS), st.lists(EDITS, max_size=12), st.lists(EDITS, max_size=12))
def test_whatever_a_hand_did_ours_are_right_and_first_again_and_what_is_not_ours_is_as_it_was(
    menu: str, before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    console, accepted = Console(), dict[tuple[str, str], frozenset[tuple[str, str]]]()
    rows = menus(RULES, LAYOUT)[menu]
    for steps in (before, after):
        for step in steps:
            if step == ("restart",):
                accepted.clear()
            edit(console, menu, step)
        foreign = others(console, menu)

        settle(console, menu, rows, accepted)

        assert settle(console, menu, rows, accepted) == 0
        assert others(console, menu) == foreign, "in their order, with their ids"
        there = console.items(menu)
        ours = [row for row in there if is_ours(row.get("comment", ""))]
        assert {row["comment"] for row in ours} == {row.comment for row in rows}
        assert all(row["disabled"] == "false" for row in ours)
        for chain in {row["chain"] for row in ours}:
            names = [row.get("comment", "") for row in there if row["chain"] == chain]
            wanted = [row.comment for row in rows if row.fields["chain"] == chain]
            assert [name for name in names if is_ours(name)] == wanted
            if chain in HOOKS:
                assert names[: len(wanted)] == wanted


@given(st.sets(st.integers(0, 2**32 - 1), max_size=30), st.sets(st.integers(0, 2**56 - 1), max_size=30))
def test_every_address_that_is_added_is_read_back(hosts: set[int], delegated: set[int]) -> None:
    console, mirror = Console(), Mirror()
    prefixes = {Prefix(6, number << 72, 56) for number in delegated}
    for name, elements in ((SetName.BLOCKED_HOSTS_4, hosts), (SetName.BLOCKED_PREFIXES_6, prefixes)):
        for element in elements:
            execute(console, entry_command(LAYOUT, name, element))

    for version, menu in ((4, "/ip/firewall/address-list"), (6, "/ipv6/firewall/address-list")):
        take(mirror, version, console.items(menu), LAYOUT, now=0.0)

    assert set(mirror.ours[SetName.BLOCKED_HOSTS_4]) == hosts
    assert set(mirror.ours[SetName.BLOCKED_PREFIXES_6]) == prefixes
    assert all(entry.ends == 3600.0 for entries in mirror.ours.values() for entry in entries.values())
