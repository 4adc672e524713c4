"""Some 200 hostile readings as data: tests/vectors/billing_guard.yaml, whose head explains the notation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edged.billing.ground import Ground
from edged.billing.guard import Accepted, enforceable, judge, lifts, remember
from edged.billing.reading import make_snapshot
from edged.billing.settings import GuardSettings, WidestSettings
from edged.fields import parse_duration
from edged.model import Key, Snapshot, State, Subscriber
from edged.state.database import Database
from edged.state.guard_memory import GuardMemory, GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from edged.values import MacAddress, Prefix, Secret, parse_prefix
from edged.yamltext import load_text

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "billing_guard.yaml"
OWN = tuple(map(parse_prefix, ("203.0.113.10", "100.64.0.0/28", "2001:db8::10")))
START = 1_795_000_000.0
PROVENANCE = re.compile(
    r"\b(a2 [A-Z]|b0\.[1-6]\b|I\d+\b|F\d+\b|billing 5\.\d+\b|billing 6\.\d\b|design \d\b|feed\b|0008\b|0017\b)"
)

TABLE: dict[str, list[dict[str, Any]]] = load_text(VECTORS.read_text("utf-8"))
ROWS = [row for rows in TABLE.values() for row in rows]

_ITEM = re.compile(r"([a-z]*)(\d+)(?:-(\d+))?(?:>(\d+))?(!?)")


def spans(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """``1-3 + a7>1!``: id, number, number whose lines they have, without any lines."""
    for item in filter(None, (part.strip() for part in str(text).split("+"))):
        match = _ITEM.fullmatch(item)
        assert match, f"{item!r} is no span of ids"
        prefix, first, last, shift, bare = match.groups()
        for n in range(int(first), int(last or first) + 1):
            yield f"{prefix}{n}", n, n + int(shift or 0), bool(bare)


def ids(text: str) -> set[str]:
    return {name for name, *_ in spans(text)}


@cache
def lines(n: int) -> dict[str, Any]:
    v6 = (0x20010DB81000 << 80) + (n << 72)
    return {
        "addresses": (Prefix(4, 0x64460000 + n, 32), Prefix(6, v6, 56)),
        "logins": (f"s{n}@fibre",),
    }


def person(entry: dict[str, Any]) -> Subscriber:
    """One written out: ``addresses`` as text, ``many`` as ``NETWORK xCOUNT``, ``devices`` by their number."""
    addresses = list(map(parse_prefix, entry.get("addresses", ())))
    if "many" in entry:
        network, count = entry["many"].split(" x")
        first = parse_prefix(network)
        step = 1 << ((32 if first.version == 4 else 128) - first.length)
        addresses += [first._replace(network=first.network + n * step) for n in range(int(count))]
    devices = tuple(MacAddress(f"02:00:5e:10:{n >> 8:02x}:{n & 255:02x}") for n in range(entry.get("devices", 0)))
    return Subscriber(
        str(entry["id"]), State(entry["state"]), addresses=tuple(addresses), devices=devices,
        logins=tuple(entry.get("logins", ())),
    )  # fmt: skip


def keys(text: str | None, spec: dict[str, Any]) -> tuple[Key, ...] | None:
    if text is None or text == "none":
        return None
    vlans, dates, owners = spec.get("vlan", 0), spec.get("expires", 0.0), spec.get("owner", 0)
    return tuple(
        Key(f"k{name}", "Residence", Secret(f"passphrase-{of}"), subscriber=str(n + owners), vlan=n % 4000 + 1 + vlans,
            expires=dates)
        for name, n, of, _ in spans(text)
    )  # fmt: skip


def snapshot(spec: dict[str, Any], row: dict[str, Any], at: float) -> Snapshot:
    people = [
        Subscriber(name, state, **({} if bare else lines(of)))
        for state in State
        for name, _, of, bare in spans(spec.get(state.value, ""))
    ]
    people += map(person, spec.get("also", ()))
    if spec.get("order") == "reversed":
        people.reverse()
    known = spec.get("known", row.get("known", 1000))
    keyed = keys(spec.get("keys", row.get("good", {}).get("keys")), spec)
    return make_snapshot(tuple(people), keyed, revision="", known=None if known == "none" else known, read_at=at)


def settings_of(row: dict[str, Any]) -> GuardSettings:
    given = row.get("settings", {})
    default: dict[str, Any] = {
        "blocked": {"share": "3%", "count": 200, "window": "24h"},
        "vanished": {"share": "30%", "count": 2000, "window": "1h"},
    }
    merged = {name: default[name] | given.get(name, {}) for name in default}
    return GuardSettings.model_validate({**given, **merged})


def memory_of(row: dict[str, Any], good: Snapshot | None) -> GuardMemory:
    given: Any = row.get("memory", {})
    if given == "none":
        return GuardMemory()
    memory = remember(good, GuardMemory()) if good is not None else GuardMemory()
    for name, value in given.items():
        if name in {"blocked", "vanished", "moved"}:
            events: Any = {who: START - ago(age) for span, age in value.items() for who in ids(span)}
            memory = replace(memory, **{name: events})
        elif name == "keys_gone":
            memory = replace(memory, keys_gone=tuple((START - ago(age), n) for age, n in value.items()))
        else:
            memory = replace(memory, **{name: value})
    return memory


def ago(text: str) -> float:
    """A duration; with a minus it lies on the other side."""
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)


@dataclass
class Edge:
    """An edge that follows the guard in the order of the service."""

    row: dict[str, Any]
    directory: Path
    settings: GuardSettings
    good: Snapshot | None
    memory: GuardMemory
    held: Snapshot | None = None
    ground: Ground = field(default_factory=lambda: Ground(WidestSettings(), OWN))

    @property
    def blocked(self) -> set[str]:
        """Who is cut off: blocked, with a line of theirs left that may be."""
        if self.good is None:
            return set()
        return {s.id for s in enforceable(self.good, self.ground).subscribers if s.state is State.BLOCKED}

    async def event(self, what: str) -> None:
        match what:
            case "restart":
                await self.restart()
            case "accept":
                assert self.held is not None
                self.good, self.memory, self.held = self.held, remember(self.held, self.memory), None
            case "lose-list":
                self.good = None
            case "lose-memory":
                self.memory = GuardMemory()
            case _:
                raise AssertionError(what)

    async def restart(self) -> None:
        database, files = Database(self.directory / "edged.sqlite"), SnapshotFiles(self.directory)
        await database.open()
        store = GuardMemoryStore(database)
        await store.save(self.memory)
        if self.good is not None:
            files.save(self.good)
        self.memory, self.good = await store.load(), SnapshotFiles(self.directory).load().snapshot
        await database.close()

    def hear(self, reading: Snapshot, now: float) -> dict[str, list[int]]:
        verdict = judge(reading, self.good, self.memory, self.settings, ground=self.ground, now=now)
        if isinstance(verdict, Accepted):
            self.good, self.memory, self.held = reading, verdict.memory, None
            return {}
        self.held = reading
        if self.good is not None:
            self.good = lifts(self.good, reading) or self.good
        return {reason.rule.value: [reason.count, reason.limit] for reason in verdict.reasons}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_hostile_reading(row: dict[str, Any], tmp_path: Path) -> None:
    good = snapshot(row["good"], row, START) if "good" in row else None
    edge = Edge(row, tmp_path, settings_of(row), good, memory_of(row, good))
    steps = row.get("steps") or [row]
    for number, step in enumerate(steps, 1):
        for what in step.get("before", "").split():
            await edge.event(what)
        now = START + ago(step.get("at", "0s"))
        reading = snapshot(step["reading"], row, now)
        before = edge.blocked
        words = {s.id for s in reading.subscribers if s.state is not State.BLOCKED}

        reasons = edge.hear(reading, now)

        where = f"step {number}"
        assert reasons == step.get("held", {}), where
        if "leaves" in step:
            assert edge.blocked == ids(step["leaves"]), where
        elif step.get("held"):
            assert edge.blocked == before - words, f"{where}: a held reading closes no line and opens those it names"
        else:
            assert edge.blocked == {s.id for s in reading.subscribers if s.state is State.BLOCKED}, where
        assert not edge.blocked & words, f"{where}: a word that somebody is not blocked waits for nobody"


def test_every_row_has_a_name_of_its_own_and_says_why_it_is_there() -> None:
    names = [row["name"] for row in ROWS]

    assert len(ROWS) >= 200
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert PROVENANCE.search(row["why"]), row
        assert set(row) <= {
            "name", "why", "settings", "known", "memory", "good", "reading", "held", "leaves", "steps", "before", "at",
        }, row  # fmt: skip
        for step in row.get("steps", ()):
            assert set(step) <= {"at", "before", "reading", "held", "leaves"}, row
