"""A billing system in memory, its day, and everything that may be wrong with what it answers.

``Billing`` is the truth: who is active, reminded, blocked, since when. ``Desk`` is one connection to it and fulfils
``Source`` with the semantics of docs/feed.md: full lists name only those not plainly active, changes since a revision
name in ``removed`` who is active again, one alone is answered with ``active``. Faults belong to spans of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from edged.billing.lists import active_again
from edged.billing.reading import Direct, Progress, Reading, make_snapshot, silent
from edged.errors import UpstreamError
from edged.model import OnlineSession, State, Subscriber
from edged.values import Prefix

PEOPLE = 400
BLOCKED_AT_FIRST = 60
NOTICED_AT_FIRST = 12
FEWEST_BLOCKED = 48


def line_of(number: int) -> tuple[Prefix, ...]:
    """An address and a delegated prefix."""
    return Prefix(4, 0x64460000 + number, 32), Prefix(6, (0x20010DB81000 << 80) + (number << 72), 56)


OWNER = {prefix: str(number) for number in range(PEOPLE + 1) for prefix in line_of(number)}


@dataclass
class Billing:
    """The truth and its history."""

    random: Random
    time: Callable[[], float]
    state: dict[str, State] = field(default_factory=dict)
    history: list[tuple[float, dict[str, State]]] = field(default_factory=list)
    """One entry a revision: since when, and everybody's state."""
    changed: dict[str, float] = field(default_factory=dict)
    """When a subscriber's state last changed."""
    last_blocked: dict[str, float] = field(default_factory=dict)
    """Until when a subscriber was last truly blocked; absent: never, infinity: now."""

    def __post_init__(self) -> None:
        names = [str(n) for n in range(PEOPLE)]
        self.state = dict.fromkeys(names, State.ACTIVE)
        chosen = self.random.sample(names, BLOCKED_AT_FIRST + NOTICED_AT_FIRST)
        self.state |= dict.fromkeys(chosen[:BLOCKED_AT_FIRST], State.BLOCKED)
        self.state |= dict.fromkeys(chosen[BLOCKED_AT_FIRST:], State.NOTICE)
        self.last_blocked = dict.fromkeys(chosen[:BLOCKED_AT_FIRST], float("inf"))
        self._note()

    def _note(self) -> None:
        self.history.append((self.time(), dict(self.state)))

    @property
    def revision(self) -> int:
        return len(self.history) - 1

    def move(self, who: str, state: State) -> None:
        """``who`` is ``state`` from now on."""
        if self.state[who] is State.BLOCKED:
            self.last_blocked[who] = self.time()
        if state is State.BLOCKED:
            self.last_blocked[who] = float("inf")
        self.state[who] = state
        self.changed[who] = self.time()
        self._note()

    def step(self) -> tuple[str, State] | None:
        """One ordinary thing happens: a reminder, a block, a payment."""
        was, becomes = self.random.choices(
            [
                (State.ACTIVE, State.NOTICE),
                (State.NOTICE, State.BLOCKED),
                (State.ACTIVE, State.BLOCKED),
                (State.BLOCKED, State.ACTIVE),
                (State.NOTICE, State.ACTIVE),
                (State.BLOCKED, State.NOTICE),
            ],
            [3, 2, 2, 5, 1, 1],
        )[0]
        candidates = [who for who, state in self.state.items() if state is was]
        # the list stays longer than what the guard lets move: a slip of the whole list is never a small one
        if not candidates or (was is State.BLOCKED and len(candidates) <= FEWEST_BLOCKED):
            return None
        who = self.random.choice(candidates)
        self.move(who, becomes)
        return who, becomes

    def blocked(self) -> set[str]:
        return {who for who, state in self.state.items() if state is State.BLOCKED}

    def truly_blocked_since(self, who: str, since: float) -> bool:
        """Whether ``who`` was truly blocked at any time from ``since`` on."""
        return self.last_blocked.get(who, float("-inf")) >= since


STRUCTURAL = (
    "timeout", "refused", "html", "twice", "slow", "empty", "short", "old", "stuck", "everybody", "renamed", "slipped",
    "bare", "known-high", "known-low", "forgetful", "frees", "one-fails", "one-lags",
)  # fmt: skip
"""No reading of these names as blocked who is active, but by more than the guard lets through (everybody, renamed,
slipped) or because it is old."""
LIES = ("lies", "all-lies")
"""Active subscribers are named as blocked: some few for the whole span, or others each time."""
SILENT = {"timeout", "refused", "html", "twice"}
DELTA_ALONE = {"forgetful", "frees"}
ONE_ALONE = {"one-fails", "one-lags"}

Row = tuple[str, State, tuple[Prefix, ...]]


@dataclass
class Fault:
    """One fault, from ``begins`` to ``ends`` (virtual seconds)."""

    kind: str
    begins: float
    ends: float
    size: float
    """0 to 1: how bad."""
    revision: int = -1
    """The old one that is served; -1: not chosen yet."""
    liars: tuple[str, ...] = ()


@dataclass
class Answer:
    """What one look came to, for the checkers."""

    began: float
    ended: float
    true: bool
    """Complete, of the moment it began, and built upon nothing that was not."""
    failed: bool = False


class Desk(Direct):
    """One process's connection; ``Source``."""

    name = "billing.example.net"
    every: float | None = None
    trouble: str = ""

    def __init__(self, billing: Billing, faults: list[Fault], random: Random, wall: Callable[[], float]) -> None:
        self._billing, self._faults, self._random, self._wall = billing, faults, random, wall
        self.answers: list[Answer] = []
        self.asking = 0
        self.began: list[float] = []
        self._misled = -1.0
        """When a single answer was last wrong: until everything is read anew, changes do not mend it."""

    def active(self) -> dict[str, Fault]:
        now = self._billing.time()
        return {fault.kind: fault for fault in self._faults if fault.begins <= now < fault.ends}

    async def _travel(self, faults: dict[str, Fault], longest: float) -> None:
        await asyncio.sleep(self._random.uniform(0.01, 90.0 if "slow" in faults else longest))
        for kind in ("timeout", "refused", "html", "twice"):
            if kind in faults and self._random.random() < 0.5 + faults[kind].size:
                if kind == "timeout":
                    await asyncio.sleep(30)
                raise UpstreamError(f"{self.name}: {kind}")

    async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
        began = self._billing.time()
        self.began.append(began)
        try:
            reading, true = await self._read(previous)
        except UpstreamError:
            self.answers.append(Answer(began, self._billing.time(), true=False, failed=True))
            raise
        if previous is None and began > self._misled:
            self._misled = -1.0
        self.answers.append(Answer(began, self._billing.time(), true=true and self._misled < 0))
        told("subscribers", 1, 1)
        return reading

    async def _read(self, previous: Reading | None) -> tuple[Reading | None, bool]:
        billing = self._billing
        faults = self.active()
        revision, state = billing.revision, billing.history[-1][1]
        if "old" in faults or "stuck" in faults:
            fault = faults.get("old") or faults["stuck"]
            if fault.revision < 0:  # stuck: the one of now for the whole span; old: one of the last three hours
                oldest = next(
                    n for n, (at, _) in enumerate(billing.history) if at >= billing.time() - 3 * 3600.0 or n == revision
                )
                fault.revision = revision if fault.kind == "stuck" else self._random.randint(oldest, revision)
            revision, state = fault.revision, billing.history[fault.revision][1]
        await self._travel(faults, 1.5)
        bent = faults.keys() - SILENT - ONE_ALONE - {"slow"}
        if previous is None or not previous.marks:
            rows = self._bend(
                [(who, it, line_of(int(who))) for who, it in state.items() if it is not State.ACTIVE], faults
            )
            bent -= DELTA_ALONE
            return self._reading(
                tuple(Subscriber(w, s, addresses=a) for w, s, a in rows), revision, bent, faults
            ), not bent
        return self._delta(previous, revision, state, bent, faults)

    def _delta(
        self, previous: Reading, revision: int, state: dict[str, State], bent: set[str], faults: dict[str, Fault]
    ) -> tuple[Reading | None, bool]:
        known_to = int(previous.marks["revision"])
        before = self._billing.history[min(known_to, len(self._billing.history) - 1)][1]
        changes = {} if before is state else {who: it for who, it in state.items() if it is not before[who]}
        if "forgetful" in faults:
            changes = {who: it for who, it in changes.items() if self._random.random() < 0.5}
        # one changed row with a neighbour's line is a lie that nobody can see: a slip is a fault of whole exports
        seen = {kind: fault for kind, fault in faults.items() if kind not in {"slipped", "renamed"}}
        rows = self._bend([(who, it, line_of(int(who))) for who, it in changes.items() if it is not State.ACTIVE], seen)
        removed = [who for who, it in changes.items() if it is State.ACTIVE]
        if "frees" in faults and self._random.random() < 0.3:
            removed += self._random.sample(sorted(state), 3)
        true = not bent and previous.marks["true"] == "yes"
        if not rows and not removed and known_to == revision:
            return None, true
        entries = {s.id: s for s in previous.snapshot.subscribers}
        entries |= {who: active_again(who) for who in removed}
        entries |= {who: Subscriber(who, it, addresses=addresses) for who, it, addresses in rows}
        if previous.marks["true"] != "yes":
            bent = {*bent, "base"}
        return self._reading(tuple(entries.values()), revision, bent, faults), true

    def _bend(self, rows: list[Row], faults: dict[str, Fault]) -> list[Row]:
        """``rows`` as the faults of the moment make them."""
        state = self._billing.state
        if "everybody" in faults:
            rows = [(who, State.BLOCKED, line_of(int(who))) for who in state]
        if "empty" in faults:
            rows = []
        if "short" in faults:
            rows = rows[: int(len(rows) * faults["short"].size)]
        if "renamed" in faults:
            rows = [(f"x{who}", it, lines) for who, it, lines in rows]
        if "slipped" in faults:
            rows = [(who, it, line_of((int(who.lstrip("x")) + 1) % PEOPLE)) for who, it, _ in rows]
        if "bare" in faults:
            rows = [(who, it, ()) for who, it, _ in rows]
        for kind in LIES:
            if kind in faults:
                fault = faults[kind]
                if not fault.liars or kind == "all-lies":
                    fault.liars = tuple(self._random.sample(sorted(state), 1 + int(fault.size * 30)))
                named = {who for who, *_ in rows}
                rows = rows + [(w, State.BLOCKED, line_of(int(w))) for w in fault.liars if w not in named]
        return rows

    def _reading(
        self, people: tuple[Subscriber, ...], revision: int, bent: set[str], faults: dict[str, Fault]
    ) -> Reading:
        known = PEOPLE * 100 if "known-high" in faults else 3 if "known-low" in faults else PEOPLE
        snapshot = make_snapshot(people, None, revision=str(revision), known=known, read_at=self._wall())
        return Reading(snapshot, {"revision": str(revision), "true": "no" if bent else "yes"})

    async def read_one(self, subscriber: str) -> Subscriber | None:
        faults = self.active()
        state = self._billing.state.get(subscriber)
        if "one-lags" in faults and len(self._billing.history) > 1:
            at = max(0, self._billing.revision - int(1 + 10 * faults["one-lags"].size))
            state = self._billing.history[at][1].get(subscriber)
        await self._travel(faults, 0.3)
        if "one-fails" in faults:
            raise UpstreamError(f"{self.name}: 500")
        if state is not self._billing.state.get(subscriber):
            self._misled = self._billing.time()
        return None if state is None else Subscriber(subscriber, state, addresses=line_of(int(subscriber)))

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        return None

    async def close(self) -> None:
        return None


def faults_of_a_day(random: Random, kinds: tuple[str, ...], seconds: float, count: int) -> list[Fault]:
    """``count`` faults, most of them short, overlapping as they fall."""
    faults = []
    for _ in range(count):
        begins = random.uniform(600.0, seconds)
        length = random.choice([20.0, 60.0, 300.0, 1200.0, 3600.0])
        faults.append(Fault(random.choice(kinds), begins, min(seconds, begins + length), random.random()))
    return faults


def without(faults: list[Fault], kinds: set[str]) -> list[Fault]:
    return [replace(fault) for fault in faults if fault.kind not in kinds]
