# SPDX-License-Identifier: Apache-2.0
"""Against the stand-in of a RouterOS router, whatever went wrong: a reconcile reaches the list and the next is empty.

What is not ours is as it was. The reconciler here is the simplest that there is, over librouteros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import librouteros
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from librouteros.exceptions import LibRouterosError, TrapError
from librouteros.query import Key

from tests.routeros.background import Background, running
from tests.routeros.console import Backup, Console
from tests.routeros.faults import FAULTS
from tests.routeros.sentences import Pairs
from tests.routeros.server import PASSWORD, router

LIST = "/ip/firewall/address-list"
BLOCKED, OURS = "blocked", "edged: "
WAITS = {"silence", "deaf", "slow", "half-open", "late"}
"""Faults that a client has to wait for."""
SECONDS = 0.15
"""How long a client waits that a fault is played to."""
PATIENCE = 10.0
"""How long it waits when nothing is wrong; this machine may have much to do."""
QUICK = sorted(set(FAULTS) - WAITS - {"other-certificate", "foreign-tag"})
"""librouteros reads no tags."""
ADDRESSES = [f"192.0.2.{number}" for number in range(12)]


@contextmanager
def connected(at: Background, patience: float) -> Iterator[Any]:
    api = librouteros.connect("127.0.0.1", "edged", PASSWORD, port=at.server.port, timeout=patience, encoding="utf-8")
    try:
        yield api
    finally:
        api.close()


def reconcile(
    at: Background,
    desired: set[str],
    *,
    timeout: str = "",
    patience: float = PATIENCE,
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """How many entries were added and removed; ``meanwhile`` happens between the reading and the writing."""
    changes = 0
    with connected(at, patience) as api:
        path = api.path(LIST)
        item, address, comment = Key(".id"), Key("address"), Key("comment")
        rows = list(path.select(item, address, comment).where(Key("list") == BLOCKED))
        ours = {row["address"]: row[".id"] for row in rows if str(row.get("comment", "")).startswith(OURS)}
        taken = {row["address"] for row in rows}
        meanwhile()
        for wanted in sorted(desired - taken):
            more = {"timeout": timeout} if timeout else {}
            changes += _done(partial(path.add, list=BLOCKED, address=wanted, comment=f"{OURS}x", **more), "already")
        for gone in sorted(ours.keys() - desired):
            changes += _done(partial(path.remove, ours[gone]), "no such item")
    return changes


def _done(change: Callable[[], object], harmless: str) -> bool:
    """Whether anything was changed; what somebody else did before us is no failure."""
    try:
        change()
    except TrapError as error:
        if harmless not in error.message:
            raise
        return False
    return True


def foreign(console: Console) -> list[Pairs]:
    """What is not ours, with its ids."""
    return [row for row in console.items(LIST) if not row.get("comment", "").startswith(OURS)]


def blocked(console: Console) -> set[str]:
    return {row["address"] for row in console.items(LIST) if row["list"] == BLOCKED}


def with_strangers() -> Any:
    server = router()
    for number, name in ((1, BLOCKED), (2, "other"), (3, "other")):
        server.console.hand(f"{LIST}/add", list=name, address=f"192.0.2.{number}", comment="the operator's")
    return server


def prove(at: Background, desired: set[str], strangers: list[Pairs]) -> None:
    """Faults have stopped: once more, and then nothing is left to do."""
    reconcile(at, desired)

    assert at.do(lambda: blocked(at.server.console)) >= desired
    ours = [row for row in at.do(lambda: at.server.console.items(LIST)) if row.get("comment", "").startswith(OURS)]
    assert {row["address"] for row in ours} <= desired
    assert reconcile(at, desired) == 0
    assert at.do(lambda: foreign(at.server.console)) == strangers


class Attempt(NamedTuple):
    """One reconcile that may fail."""

    desired: set[str]
    spared: int
    """Commands before anything goes wrong: login, print, and some of the plan."""
    turns: list[str]
    accident: str
    """What happens to the router after it."""


wanted_sets = st.sets(st.sampled_from(ADDRESSES))
attempts_at = st.builds(
    Attempt, wanted_sets, st.integers(0, 8), st.lists(st.sampled_from(["", *QUICK]), max_size=4),
    st.sampled_from(["", "reboot", "restore", "cleared"]),
)  # fmt: skip


@given(st.lists(attempts_at, max_size=5), wanted_sets)
@settings(max_examples=settings().max_examples * 2)
def test_after_any_faults_a_reconcile_reaches_the_list_and_the_next_changes_nothing(
    house: Background, attempts: list[Attempt], desired: set[str]
) -> None:
    at = house
    at.do(lambda: renew(at))
    strangers, kept = at.do(lambda: (foreign(at.server.console), at.server.console.backup()))

    for attempt in attempts:
        at.do(partial(at.server.turns.extend, [""] * attempt.spared + attempt.turns))
        if "session-limit" in attempt.turns:
            at.do(lambda: at.server.faults.add("session-limit"))
        with suppress(LibRouterosError, OSError):
            reconcile(at, attempt.desired)
        at.do(at.server.turns.clear)
        at.do(at.server.faults.clear)
        at.do(partial(befall, at, attempt.accident, kept))

    prove(at, desired, strangers)


def befall(at: Background, accident: str, kept: Backup) -> None:
    """What happens to a router between two reconciles."""
    console = at.server.console
    match accident:
        case "reboot":
            at.server.reboot()
        case "restore":
            at.server.cut()
            console.restore(kept)
        case "cleared":
            gone = [row[".id"] for row in console.items(LIST) if row.get("comment", "").startswith(OURS)]
            if gone:
                console.hand(f"{LIST}/remove", id=",".join(gone))


@pytest.fixture(scope="module")
def house() -> Iterator[Background]:
    with running(with_strangers()) as background:
        yield background


def renew(at: Background) -> None:
    """The router as it came, for the next example."""
    at.server.cut()
    at.server.console = with_strangers().console


@pytest.mark.parametrize("fault", sorted(WAITS))
def test_a_router_that_keeps_one_waiting_is_asked_again(fault: str) -> None:
    for turn in range(3):
        with running(with_strangers()) as at:
            strangers = foreign(at.server.console)
            # login, print, add, add
            at.do(partial(at.server.turns.extend, [""] * (turn + 1) + [fault]))
            with pytest.raises((LibRouterosError, OSError)):
                reconcile(at, {"192.0.2.5", "192.0.2.6"}, patience=SECONDS)
            prove(at, {"192.0.2.6", "192.0.2.7"}, strangers)


def test_a_connection_may_end_after_any_octet_of_the_replies() -> None:
    with running(with_strangers()) as at:
        strangers = foreign(at.server.console)
        at.do(lambda: setattr(at.server, "cut_at", 1 << 30))
        reconcile(at, set(ADDRESSES[4:8]))
        ended = 0
        for octets in range(1, 400):
            before, after = (set(ADDRESSES[4:8]), set(ADDRESSES[6:10]))[:: 1 if octets % 2 else -1]
            assert at.do(lambda: blocked(at.server.console)) >= before
            at.do(partial(setattr, at.server, "cut_at", octets))
            try:
                reconcile(at, after)
            except (LibRouterosError, OSError):
                ended += 1
            else:
                break
            finally:
                at.do(lambda: setattr(at.server, "cut_at", None))
            prove(at, after, strangers)

        assert ended > 100, "the last that was tried is longer than all replies of a reconcile"
        assert ended < 399


def test_what_a_hand_an_accident_or_time_did_is_put_right() -> None:
    now = 1000.0
    server = with_strangers()
    server.console = Console(clock=lambda: now)
    server.console.hand("/user/add", name="edged", password=PASSWORD, group="full")
    server.console.hand(f"{LIST}/add", list=BLOCKED, address="192.0.2.1", comment="the operator's")
    with running(server) as at:
        desired = {"192.0.2.1", "192.0.2.5", "192.0.2.6"}
        console = server.console
        strangers = foreign(console)
        kept = console.backup()

        assert reconcile(at, desired, timeout="10m") == 2, "an address that the operator blocks is blocked"
        now += 601
        assert reconcile(at, desired, timeout="10m") == 2, "a lease that nobody renewed has ended"
        at.do(server.reboot)
        assert reconcile(at, desired) == 2
        at.do(server.reboot)
        assert reconcile(at, desired) == 0, "what is permanent outlives a reboot"
        mine = next(row[".id"] for row in console.items(LIST) if row["address"] == "192.0.2.5")
        at.do(lambda: console.hand(f"{LIST}/remove", id=mine))
        assert reconcile(at, desired) == 1
        at.do(server.cut)
        at.do(lambda: console.restore(kept))
        assert reconcile(at, desired) == 2
        prove(at, desired, strangers)


def test_what_somebody_did_between_reading_and_writing_is_no_failure(house: Background) -> None:
    at = house
    at.do(lambda: renew(at))
    console = at.server.console
    reconcile(at, {"192.0.2.5"})

    def operator() -> None:
        mine = next(row[".id"] for row in console.items(LIST) if row["address"] == "192.0.2.5")
        console.hand(f"{LIST}/remove", id=mine)
        console.hand(f"{LIST}/add", list=BLOCKED, address="192.0.2.6", comment="the operator's, too")

    assert reconcile(at, {"192.0.2.6"}, meanwhile=lambda: at.do(operator)) == 0
    prove(at, {"192.0.2.6"}, at.do(lambda: foreign(console)))
