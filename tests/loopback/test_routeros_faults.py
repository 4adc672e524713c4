# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong with a router, the next reconcile puts it right: the target against the stand-in."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from edged.errors import UpstreamError
from tests.e2e.enforce_contract import RULES, subscriber, wanted
from tests.routeros.background import Background, running
from tests.routeros.faults import FAULTS
from tests.routeros.server import router
from tests.routeros_lab import (
    FEW,
    LISTS,
    MORE,
    bring,
    comments,
    foreign,
    impatient,
    listed,
    others,
    target,
)


@pytest.fixture
def at() -> Iterator[Background]:
    with running(router()) as background:
        yield background


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
