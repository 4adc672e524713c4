# SPDX-License-Identifier: Apache-2.0
"""The one writer: billing's list, edged's own words, sessions and neighbours into one view, whichever comes first."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edged.config.schema import Config
from edged.host.addresses import Neighbour
from edged.model import Access, OnlineSession, Snapshot, State, Subscriber
from edged.policy.access import DRAIN_S, Override
from edged.policy.moved import Holder
from edged.policy.table import compile_table
from edged.state.database import Database
from edged.state.overrides import OverrideStore
from edged.values import parse_address, parse_mac, parse_prefix
from edged.writer import BLIND, LARGE, Writer

ANA4, BEN4, MIA4 = "100.64.1.7", "100.64.1.8", "100.64.1.9"
ANA6 = "2001:db8:100:700::/56"
MAC, OTHER_MAC = "02:00:5e:10:00:01", "02:00:5e:10:00:02"


def configuration(**more: Any) -> Config:
    return Config.model_validate({"subscribers": {"networks": ["100.64.0.0/16", "2001:db8:100::/40"]}} | more)


def one(
    name: str,
    *addresses: str,
    state: State = State.BLOCKED,
    logins: tuple[str, ...] = (),
    devices: tuple[str, ...] = (),
) -> Subscriber:
    lines = tuple(map(parse_prefix, addresses))
    return Subscriber(
        name, state, "unpaid", addresses=lines, logins=logins, devices=tuple(map(parse_mac, devices))
    )  # fmt: skip


def listed(*subscribers: Subscriber, name: str = "8812.aa") -> Snapshot:
    return Snapshot(name, "8812", 0.0, subscribers, known=100)


def session(login: str, *addresses: str, subscriber: str = "", since: float = 0.0) -> OnlineSession:
    return OnlineSession(login, tuple(map(parse_prefix, addresses)), since, subscriber)


@dataclass
class Desk:
    """A writer on a real database."""

    writer: Writer
    overrides: OverrideStore

    def access(self, address: str) -> Access:
        return self.writer.current.view.decide(parse_address(address), time.time()).access

    def online(self, login: str, *addresses: str, since: float = 0.0, subscriber: str = "") -> None:
        """A report of a NAS or of billing, and what the house does with it."""
        report = session(login, *addresses, subscriber=subscriber, since=since) if addresses else None
        self.writer.heard(self.writer.roster.report(("radius", login), report))

    @property
    def version(self) -> int:
        return self.writer.current.version

    def named(self, version: int) -> set[str] | None:
        """Who may have changed since ``version``, as every room is told."""
        changed = self.writer.current.changed_since(version)
        return None if changed is None else set(changed)


@asynccontextmanager
async def desk(directory: Path, config: Config | None = None) -> AsyncIterator[Desk]:
    database = Database(directory / "edged.sqlite")
    await database.open()
    overrides = OverrideStore(database)
    try:
        yield Desk(Writer(config or configuration(), overrides), overrides)
    finally:
        await database.close()


def neighbourhood(
    directory: Path, monkeypatch: pytest.MonkeyPatch, rows: str, *, seconds: float = 0.0, links: str = "[]"
) -> None:
    """An ``ip`` that has these neighbours and addresses, and takes its time to say so."""
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    said = f"case $2 in address) cat <<'END'\n{links}\nEND\n;; *) cat <<'END'\n{rows}\nEND\n;; esac"
    (programs / "ip").write_text(f"#!/bin/sh\nsleep {seconds}\n{said}\n")
    (programs / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


def neighbour(address: str, mac: str, interface: str = "lan0") -> str:
    return f'{{"dst": "{address}", "dev": "{interface}", "lladdr": "{mac}", "state": ["REACHABLE"]}}'


# --- lists -----------------------------------------------------------------------------------------


async def test_before_there_is_a_list_nobody_is_blocked_and_no_list_is_claimed(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        assert d.access(ANA4) is Access.OPEN
        assert d.access("192.0.2.1") is Access.STRANGER
        assert d.writer.current.view.table.snapshot_id == ""

        await d.overrides.put(Override("ana", True, time.time() + 60, "abuse", "desk", time.time()))
        await d.writer.relearn()
        d.writer.publish_nobody()

        assert d.writer.current.view.table.snapshot_id == "none", "that nobody is blocked is certain now"
        assert d.access(ANA4) is Access.OPEN
        assert set(d.writer.current.view.learned.overrides) == {"ana"}


async def test_a_list_is_in_force_for_everybody_and_lines_that_it_opens_drain(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("ana", ANA4, ANA6), one("ben", BEN4)))
        version = d.version
        assert (d.access(ANA4), d.access("2001:db8:100:7ab::1"), d.access(MIA4)) == (
            Access.BLOCKED, Access.BLOCKED, Access.OPEN,
        )  # fmt: skip

        await d.writer.publish(listed(one("ben", BEN4), name="8813.bb"))

        assert d.named(version) is None, "anybody may have changed"
        assert (d.access(ANA4), d.access(BEN4)) == (Access.DRAIN, Access.BLOCKED)
        ends = dict(d.writer.current.view.learned.drains.items())
        assert ends[parse_prefix(ANA4)] == pytest.approx(time.time() + DRAIN_S, abs=5)


async def test_a_word_changes_its_subscriber_alone_to_what_the_whole_list_would_make_of_them(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        before = (one("ana", ANA4, logins=("ana@fibre",)), one("ben", BEN4))
        await d.writer.publish(listed(*before))
        version = d.version
        word = one("ana", MIA4, state=State.ACTIVE, logins=("ana@home",))
        whole = listed(word, before[1], name="8812.cc")

        await d.writer.publish(whole, (word,))

        assert d.named(version) == {"ana"}
        table, anew = d.writer.current.view.table, compile_table(whole, configuration().subscribers)
        assert dict(table.addresses.items()) == dict(anew.addresses.items())
        assert (table.logins, table.subscribers, table.snapshot_id) == (anew.logins, anew.subscribers, "8812.cc")
        assert (d.access(ANA4), d.access(MIA4), d.access(BEN4)) == (Access.DRAIN, Access.OPEN, Access.BLOCKED)


async def test_a_reload_brings_other_networks_and_keeps_the_list_and_all_that_was_learned(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("ana", "10.0.0.7", logins=("ana",)), one("ben", BEN4)))
        await d.writer.publish(listed(one("ana", "10.0.0.7", logins=("ana",)), name="8813.bb"))
        d.online("ana", MIA4)
        version = d.version
        assert (d.access("10.0.0.7"), d.access(BEN4), d.access(MIA4)) == (
            Access.STRANGER, Access.DRAIN, Access.BLOCKED,
        )  # fmt: skip

        d.writer.configure(configuration(subscribers={"networks": ["10.0.0.0/8", "100.64.0.0/16"]}))

        assert (d.access("10.0.0.7"), d.access(BEN4), d.access(MIA4)) == (
            Access.BLOCKED, Access.DRAIN, Access.BLOCKED,
        )  # fmt: skip
        assert d.named(version) is None


async def test_in_watch_mode_all_is_computed_and_nobody_is_acted_upon(tmp_path: Path) -> None:
    async with desk(tmp_path, configuration(mode="watch")) as d:
        await d.writer.publish(listed(one("ana", ANA4)))
        acting = d.writer.acting
        now, address = time.time(), parse_address(ANA4)
        assert d.access(ANA4) is Access.BLOCKED
        assert acting.view.decide(address, now).access is Access.OPEN
        assert acting.view.decide(parse_address("192.0.2.1"), now).access is Access.STRANGER

        d.writer.configure(configuration(mode="enforce"))
        assert acting.view is d.writer.current.view

        d.writer.configure(configuration(mode="watch"))
        assert acting.view.decide(address, now).access is Access.OPEN


async def test_a_large_list_that_is_compiled_in_a_thread_has_the_networks_of_a_reload_that_came_in_between(
    tmp_path: Path,
) -> None:
    others = (one(f"n{n}", f"100.64.{10 + n // 250}.{n % 250}") for n in range(LARGE))
    async with desk(tmp_path) as d:
        publishing = asyncio.create_task(d.writer.publish(listed(*others, one("ana", "10.0.0.7"))))
        await asyncio.sleep(0)
        assert d.writer.current.view.table.snapshot_id == "", "it takes a while"

        d.writer.configure(configuration(subscribers={"networks": ["100.64.0.0/16", "10.0.0.0/8"]}))
        await publishing

        assert (d.access("10.0.0.7"), d.access("100.64.10.1")) == (Access.BLOCKED, Access.BLOCKED)


async def test_what_comes_while_a_list_is_made_ready_is_in_force_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, "[]", seconds=0.3)
    async with desk(tmp_path) as d:
        d.online("mia", "100.64.1.20")
        people = (one("ana", logins=("ana",)), one("ben", BEN4), one("mia", logins=("mia",), devices=(MAC,)))
        publishing = asyncio.create_task(d.writer.publish(listed(*people)))
        await asyncio.sleep(0.1)
        assert d.writer.current.view.table.snapshot_id == "", "it waits for the neighbours"

        d.online("ana", ANA4)
        d.online("mia")
        await d.overrides.put(Override("ben", False, time.time() + 60, "promised", "desk", time.time()))
        await d.writer.relearn()
        await publishing

        assert d.access(ANA4) is Access.BLOCKED, "a session that began"
        assert d.access("100.64.1.20") is Access.OPEN, "a session that ended"
        assert d.access(BEN4) is Access.OPEN, "an operator's word"


# --- edged's own words -----------------------------------------------------------------------------


async def test_the_databases_words_are_in_force_and_name_those_alone_whose_word_changed(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("ana", ANA4), one("ben", BEN4), one("mia", MIA4)))
        now = time.time()
        await d.overrides.put(Override("ana", False, now + 60, "promised", "desk", now))
        await d.writer.relearn()
        version = d.version
        assert (d.access(ANA4), d.access(BEN4)) == (Access.OPEN, Access.BLOCKED)

        await d.overrides.start_pass("ben", now, now + 60)
        await d.writer.relearn()

        assert d.named(version) == {"ben"}
        assert (d.access(ANA4), d.access(BEN4), d.access(MIA4)) == (Access.OPEN, Access.PASS, Access.BLOCKED)

        version = d.version
        await d.overrides.end("ana", who="desk", why="a mistake", at=now)
        await d.writer.relearn()

        assert d.named(version) == {"ana"}
        assert d.access(ANA4) is Access.BLOCKED


async def test_looking_at_the_database_again_changes_nothing_where_nothing_has_changed(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        now = time.time()
        await d.overrides.put(Override("ana", True, now + 60, "abuse", "desk", now))
        await d.writer.relearn()
        version, view = d.version, d.writer.current.view

        await d.writer.relearn()

        assert d.version == version
        assert d.writer.current.view is view


# --- sessions --------------------------------------------------------------------------------------


async def test_a_session_is_a_line_of_whom_the_list_names_and_they_are_named_by_billings_id(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1001", logins=("ana@fibre", "ana@dsl")), one("1002", BEN4)))
        version = d.version

        d.online("ana@fibre", ANA4, ANA6)

        assert d.named(version) == {"1001"}
        assert (d.access(ANA4), d.access("2001:db8:100:7ab::1")) == (Access.BLOCKED, Access.BLOCKED)
        version = d.version
        d.online("somebody@else", MIA4)
        assert (d.version, d.access(MIA4)) == (version, Access.OPEN), "nobody's whom the list names"

        d.online("ana@fibre")
        assert d.named(version) == {"1001"}
        assert d.access(ANA4) is Access.OPEN


async def test_others_have_their_turn_while_a_long_list_of_sessions_is_taken(tmp_path: Path) -> None:
    everybody = tuple(session(f"user{n}", str(parse_address("100.65.0.0") + n)) for n in range(5000))
    everybody += (session("ana", ANA4),)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1001", logins=("ana",))))
        turning = asyncio.create_task(others())
        await d.writer.follow("billing", everybody, keep=False)
        turning.cancel()
        assert turns > 20
        assert d.access(ANA4) is Access.BLOCKED

        await d.writer.follow("billing", everybody[:-1], keep=True)
        assert d.access(ANA4) is Access.BLOCKED
        await d.writer.follow("billing", everybody[:-1], keep=False)
        assert d.access(ANA4) is Access.OPEN


async def test_sessions_from_before_the_list_are_lines_of_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.online("ana", ANA4)
        d.online("", MIA4, subscriber="mia")
        assert d.access(ANA4) is Access.OPEN

        await d.writer.publish(listed(one("1001", logins=("ana",)), one("mia"), one("ben")))

        assert (d.access(ANA4), d.access(MIA4)) == (Access.BLOCKED, Access.BLOCKED)


async def test_a_word_that_brings_a_login_brings_the_address_of_its_session_and_one_that_takes_it_takes_it(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        d.online("ana", ANA4)
        d.online("ben", BEN4)
        await d.writer.publish(listed(one("1002", logins=("ben",))))
        word = one("1001", logins=("ana",))

        await d.writer.publish(listed(one("1002", logins=("ben",)), word, name="8812.bb"), (word,))
        assert (d.access(ANA4), d.access(BEN4)) == (Access.BLOCKED, Access.BLOCKED)

        word = one("1001")
        await d.writer.publish(listed(one("1002", logins=("ben",)), word, name="8812.cc"), (word,))
        assert (d.access(ANA4), d.access(BEN4)) == (Access.OPEN, Access.BLOCKED)


async def test_a_login_that_two_subscribers_claim_brings_its_address_to_the_better_treated(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        both = listed(one("bad", logins=("shared",)), one("good", logins=("shared",), state=State.ACTIVE))
        await d.writer.publish(both)

        d.online("shared", ANA4)
        for _ in range(2):
            assert d.access(ANA4) is Access.OPEN
            assert d.writer.current.view.learned.online.lines == {"good": (parse_prefix(ANA4),)}
            await d.writer.publish(both)


async def test_an_address_that_may_never_be_blocked_is_not_because_a_session_has_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.writer.lines_to_block = lambda lines: tuple(line for line in lines if line != parse_prefix(MIA4))
        d.online("ana", MIA4)
        await d.writer.publish(listed(one("1001", logins=("ana",))))
        assert d.access(MIA4) is Access.OPEN

        d.online("ana", MIA4, ANA4, since=1.0)

        assert (d.access(MIA4), d.access(ANA4)) == (Access.OPEN, Access.BLOCKED)


# --- snoozes ---------------------------------------------------------------------------------------


async def test_a_reminder_that_was_put_away_is_known_to_every_room_and_names_whose_it_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1", ANA4, state=State.NOTICE), one("2", BEN4, state=State.NOTICE)))
        before = d.version
        await d.overrides.snooze("1", time.time() + 60)
        await d.writer.relearn()

        decided = [d.writer.acting.view.decide(parse_address(a), time.time()) for a in (ANA4, BEN4)]
        assert [one.reminds for one in decided] == [False, True]
        assert d.named(before) == {"1"}
        await d.writer.relearn()
        assert d.version == before + 1, "nothing new, nothing published"


# --- neighbours ------------------------------------------------------------------------------------


async def test_who_is_known_by_device_alone_is_blocked_with_the_list_on_the_address_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, MAC)}, {neighbour(BEN4, OTHER_MAC)}]")
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1001", devices=(MAC,))))

        assert (d.access(ANA4), d.access(BEN4)) == (Access.BLOCKED, Access.OPEN)
        assert list(d.writer.current.view.learned.neighbours) == [parse_address(ANA4)], "nobody else is remembered"


async def test_a_word_on_a_device_finds_its_address_and_one_on_a_line_keeps_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, MAC)}]")
    async with desk(tmp_path) as d:
        await d.writer.publish(listed())
        by_device = one("1001", devices=(MAC,))
        await d.writer.publish(listed(by_device, name="8812.bb"), (by_device,))
        assert d.access(ANA4) is Access.BLOCKED

        by_line = one("1002", BEN4)
        await d.writer.publish(listed(by_device, by_line, name="8812.cc"), (by_line,))

        assert (d.access(ANA4), d.access(BEN4)) == (Access.BLOCKED, Access.BLOCKED)


async def test_what_comes_while_neighbours_are_asked_for_is_not_undone_by_the_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, MAC)}]", seconds=0.2)
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1003", "10.0.0.7", logins=("mia",))))
        word = one("1001", devices=(MAC,))
        publishing = asyncio.create_task(d.writer.publish(listed(word, name="8812.bb"), (word,)))
        await asyncio.sleep(0.05)

        d.writer.configure(configuration(subscribers={"networks": ["100.64.0.0/16", "10.0.0.0/8"]}))
        d.online("mia", MIA4)
        await publishing

        assert (d.access(ANA4), d.access("10.0.0.7"), d.access(MIA4)) == (Access.BLOCKED,) * 3


async def test_a_device_is_followed_to_its_next_address_and_a_look_that_finds_nothing_new_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, MAC)}]")
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1001", devices=(MAC,)), one("1002", BEN4)))
        version = d.version
        await d.writer.meet_neighbours()
        assert d.version == version

        neighbourhood(tmp_path, monkeypatch, f"[{neighbour(MIA4, MAC)}]")
        await d.writer.meet_neighbours()

        assert (d.access(ANA4), d.access(MIA4)) == (Access.OPEN, Access.BLOCKED)
        assert d.named(version) == set(), "the packet filter knows the device itself"


async def test_a_look_at_neighbours_that_a_list_overtook_leaves_that_lists_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, MAC)}]")
    async with desk(tmp_path) as d:
        await d.writer.publish(listed(one("1001", devices=(MAC,))))
        neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, MAC)}, {neighbour(BEN4, OTHER_MAC)}]", seconds=0.3)
        looking = asyncio.create_task(d.writer.meet_neighbours())
        await asyncio.sleep(0.1)
        neighbourhood(tmp_path, monkeypatch, f"[{neighbour(BEN4, OTHER_MAC)}]")

        await d.writer.publish(listed(one("1002", devices=(OTHER_MAC,)), name="8813.bb"))
        await looking

        assert (d.access(ANA4), d.access(BEN4)) == (Access.OPEN, Access.BLOCKED)


# --- the VLAN of the blocked -----------------------------------------------------------------------

VLAN = {
    "mpsk": {"networks": {"Residence": {"blocked": {"vlan": 666}}}},
    "enforce": [{"nftables": {"interfaces": ["lan0", "lan0.666"]}}],
}
LINKS = """[
  {"ifname": "lan0", "addr_info": [{"local": "100.64.1.1", "prefixlen": 24}]},
  {"ifname": "lan0.666", "addr_info": [
    {"local": "100.64.6.1", "prefixlen": 24}, {"local": "2001:db8:100:666::1", "prefixlen": 64},
    {"local": "fe80::1", "prefixlen": 64}]},
  {"ifname": "lan0.114"}
]"""
THERE4, THERE6 = "100.64.6.7", "2001:db8:100:666::7"
PHONE, TABLET = parse_mac(MAC), parse_mac(OTHER_MAC)
BY_KEY = Holder("1001", "k-1")


async def test_whoever_is_put_on_the_vlan_of_the_blocked_is_blocked_at_once_and_at_their_address_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ", ".join(neighbour(a, MAC, "lan0.666") for a in (THERE4, THERE6, "fe80::7"))
    neighbourhood(tmp_path, monkeypatch, f"[{rows}]", links=LINKS)
    async with desk(tmp_path, configuration(**VLAN)) as d:
        await d.writer.publish(listed(one("1001"), one("1002", BEN4)))
        version = d.version

        d.writer.move({PHONE: BY_KEY})
        view = d.writer.acting.view
        assert view.decide_device(PHONE, time.time()).access is Access.BLOCKED
        assert d.named(version) == {"1001"}, "the packet filter looks at them alone"
        assert d.access(THERE4) is Access.OPEN
        await d.writer.meet_neighbours()
        assert (d.access(THERE4), d.access(THERE6)) == (Access.BLOCKED, Access.BLOCKED)

        await d.writer.publish(listed(one("1001", state=State.ACTIVE), name="8813.aa"))
        assert d.access(THERE4) is Access.OPEN
        await d.writer.publish(listed(one("1001"), name="8814.aa"))
        assert d.access(THERE4) is Access.BLOCKED, "a list of billing's changes nothing of where it is"
        version = d.version
        d.writer.move({PHONE: None})
        assert d.access(THERE4) is Access.OPEN
        assert d.named(version) == {"1001"}
        d.writer.move({PHONE: None})
        assert d.version == version + 1, "nothing new, nothing published"


@pytest.mark.parametrize(
    ("rows", "blocked"),
    [
        ([(THERE4, MAC, "lan0.666")], [THERE4]),
        # the same MAC address with somebody else: on a cable, on another VLAN
        ([(ANA4, MAC, "lan0")], []),
        ([(THERE4, MAC, "lan0.114")], []),
        # another's address claimed from the VLAN: of another network, or one that another has elsewhere
        ([(ANA4, MAC, "lan0.666")], []),
        ([("10.0.0.7", MAC, "lan0.666")], []),
        ([(THERE4, MAC, "lan0.666"), (THERE4, OTHER_MAC, "lan0")], []),
        # somebody who is there and whom edged did not put there
        ([(THERE4, OTHER_MAC, "lan0.666")], []),
    ],
)
async def test_nobody_elsewhere_is_blocked_for_a_device_on_the_vlan_of_the_blocked(
    rows: list[tuple[str, str, str]], blocked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{', '.join(neighbour(*row) for row in rows)}]", links=LINKS)
    async with desk(tmp_path, configuration(**VLAN)) as d:
        await d.writer.publish(listed(one("1001")))
        d.writer.move({PHONE: BY_KEY})
        await d.writer.meet_neighbours()

        assert [a for a in (THERE4, ANA4) if d.access(a) is Access.BLOCKED] == blocked


async def test_a_device_that_turns_up_is_judged_by_the_last_look_without_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, f"[{neighbour(ANA4, OTHER_MAC)}]", links=LINKS)
    async with desk(tmp_path, configuration(**VLAN)) as d:
        await d.writer.publish(listed(one("1001")))
        d.writer.move({PHONE: BY_KEY})
        seen = Neighbour(parse_address(THERE4), PHONE, "lan0.666")
        assert not d.writer.meet([seen]), "no look yet: nobody knows which networks are there"
        assert d.access(THERE4) is Access.OPEN
        await d.writer.meet_neighbours()

        for elsewhere in ("lan0", "lan0.114"):
            assert d.writer.meet([seen._replace(interface=elsewhere)]), "another look would tell no more"
        assert d.writer.meet([seen._replace(address=parse_address(ANA4)), seen._replace(mac=TABLET)])
        assert (d.access(THERE4), d.access(ANA4)) == (Access.OPEN, Access.OPEN)
        assert d.writer.meet([seen])
        assert d.access(THERE4) is Access.BLOCKED


async def test_a_look_that_fails_opens_nobody_and_what_was_seen_long_ago_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = f"[{neighbour(ANA4, OTHER_MAC)}, {neighbour(THERE4, MAC, 'lan0.666')}]"
    neighbourhood(tmp_path, monkeypatch, rows, links=LINKS)
    async with desk(tmp_path, configuration(**VLAN)) as d:
        await d.writer.publish(listed(one("1001"), one("1002", devices=(TABLET,))))
        d.writer.move({PHONE: BY_KEY})
        await d.writer.meet_neighbours()
        assert (d.access(ANA4), d.access(THERE4)) == (Access.BLOCKED, Access.BLOCKED)

        neighbourhood(tmp_path, monkeypatch, "no answer")
        for _ in range(BLIND):
            await d.writer.meet_neighbours()
        assert (d.access(ANA4), d.access(THERE4)) == (Access.BLOCKED, Access.BLOCKED)

        await d.writer.meet_neighbours()
        assert (d.access(ANA4), d.access(THERE4)) == (Access.OPEN, Access.OPEN)


async def test_who_turns_up_while_the_table_is_read_is_not_forgotten_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhood(tmp_path, monkeypatch, "[]", links=LINKS)
    async with desk(tmp_path, configuration(**VLAN)) as d:
        await d.writer.publish(listed(one("1001")))
        d.writer.move({PHONE: BY_KEY})
        await d.writer.meet_neighbours()
        neighbourhood(tmp_path, monkeypatch, "[]", links=LINKS, seconds=0.2)
        looking = asyncio.create_task(d.writer.meet_neighbours())
        await asyncio.sleep(0.05)
        d.writer.meet([Neighbour(parse_address(THERE4), PHONE, "lan0.666")])
        await looking
        assert d.access(THERE4) is Access.BLOCKED

        await d.writer.meet_neighbours()
        assert d.access(THERE4) is Access.OPEN, "it is not there any more"


async def test_while_watching_nobody_is_on_the_vlan_of_the_blocked(tmp_path: Path) -> None:
    async with desk(tmp_path, configuration(mode="watch", **VLAN)) as d:
        await d.writer.publish(listed(one("1001")))

        d.writer.move({PHONE: BY_KEY})

        assert not d.writer.current.view.learned.moved
