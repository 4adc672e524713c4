# SPDX-License-Identifier: Apache-2.0
"""Whatever three edges do while some are apart: once they have met, each has what one edge alone would have.

Over a real PostgreSQL. The judge is the same stores on a SQLite file that nobody shares, to which everything was done
in the order in which it happened.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.model import Key
from edged.state.keys import KeyId, Sighting, StoredKey
from edged.state.overrides import AuditRow, Kind
from edged.state.shared.target import parse_target
from edged.values import MacAddress, Secret, parse_address
from tests.loopback.postgres import PASSWORD, Postgres
from tests.loopback.test_shared_store import SHARED_KEY, Edge, cluster, promise

__all__ = ["cluster"]

BEGIN = float(int(time.time()) - 86400)
"""A day ago: the shared clock sets back what is from ahead of it."""
EDGES = 3
PEOPLE = ("8812", "8813")
MACS = (MacAddress("02:00:00:00:00:01"), MacAddress("02:00:00:00:00:02"))
KEYS = ("local-1", "local-2")

Step = tuple[str, str, int]
"""What is done, to whom, and a choice within it."""
STEPS = st.one_of(
    st.tuples(st.sampled_from(("put", "end", "pass", "end pass", "snooze", "note")), st.sampled_from(PEOPLE),
              st.integers(0, 1)),
    st.tuples(st.sampled_from(("see", "forget")), st.sampled_from(MACS), st.integers(0, 1)),
    st.tuples(st.just("account"), st.sampled_from(MACS), st.integers(1, 3)),
    st.tuples(st.sampled_from(("label", "revoke", "restore")), st.sampled_from(KEYS), st.integers(0, 1)),
    st.tuples(st.just("sign"), st.sampled_from(("192.0.2.1", "2001:db8::1")), st.just(0)),
)  # fmt: skip
DAY = st.lists(st.tuples(st.integers(0, EDGES - 1), st.one_of(STEPS, st.just("meet"))), max_size=24)


class Clock:
    """The one that all go by; each look is a moment later."""

    def __init__(self) -> None:
        self._ticks = itertools.count()

    def __call__(self) -> float:
        return BEGIN + next(self._ticks) / 16


async def do(edge: Edge, step: Step, at: float) -> None:
    what, who, choice = step
    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "put": lambda: edge.words.put(promise(who, at, blocked=bool(choice)), Kind.BLOCK if choice else Kind.PROMISE),
        "end": lambda: edge.words.end(who, who="ada", why="paid", at=at),
        "pass": lambda: edge.words.start_pass(who, at, at + 600.0),
        "end pass": lambda: edge.words.end_pass(who, who="ada", why="enough", at=at),
        "snooze": lambda: edge.words.snooze(who, at + 60.0),
        "note": lambda: edge.words.note(AuditRow(at, "ada", "look", who, "")),
        "see": lambda: edge.keys.learn([Sighting("Residence", MacAddress(who), KeyId("local", KEYS[choice]), at)]),
        "forget": lambda: edge.keys.learn([], [("Residence", MacAddress(who))]),
        "account": lambda: edge.sessions.record(
            choice, nas="n", session=who, at=at, login="ana", mac=who, ipv4=f"100.64.0.{choice}"
        ),
        "sign": lambda: edge.signers.save([parse_address(who)]),
    }
    if what in steps:
        await steps[what]()
        return

    def revise(standing: Any) -> tuple[list[StoredKey], None]:
        known = next(s for s in standing if s.key.id == who)
        label = f"{choice} at {at}" if what == "label" else known.key.label
        revoked = {"revoke": at, "restore": 0.0}.get(what, known.revoked)
        fresh = Key(id=who, ssid="Residence", passphrase=known.key.passphrase, subscriber="8812", label=label)
        return [StoredKey("local", fresh, None, known.created, revoked)], None

    await edge.keys.revise(revise)


async def known(edge: Edge) -> dict[str, Any]:
    """All that edges tell each other; a passphrase by itself, since every file seals it in its own way."""
    read = edge.database.read
    return {
        "overrides": sorted(await read("SELECT subscriber, blocked, until, reason, why, who, at, kind FROM overrides")),
        "passes": sorted(await read("SELECT subscriber, at, ends, who FROM passes")),
        "snoozes": sorted(await read("SELECT subscriber, until FROM snoozes")),
        "audit": sorted(await read("SELECT at, who, action, subject, why FROM audit")),
        "devices": sorted(await read("SELECT ssid, mac, origin, key, first_seen, last_seen FROM devices")),
        "sessions": sorted(await read("SELECT nas, session, started, updated, stopped, ipv4, login FROM sessions")),
        "signers": sorted(await edge.signers.load(), key=str),
        "keys": sorted((s.key.id, s.key.label, s.revoked, s.key.passphrase.reveal()) for s in await edge.keys.all()),
    }


def without_first_seen(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"devices": [(*row[:4], row[5]) for row in facts["devices"]]}


async def lived(cluster: Postgres, store: str, path: Path, day: list[tuple[int, Step | str]], *, always: bool) -> None:
    """``always``: after every step all meet, as they do while nothing is cut."""
    clock = Clock()
    target = parse_target(cluster.url(store), Secret(PASSWORD))
    edges = [Edge(path / f"e{n}", target, f"e{n}", SHARED_KEY, "", clock=clock) for n in range(EDGES)]
    alone = Edge(path / "alone", target, "alone", SHARED_KEY, "", clock=clock)
    for edge in (*edges, alone):
        await edge.database.open()
        if edge is not alone:
            await edge.near.open(lambda: None)
    try:
        made = [Key(id=k, ssid="Residence", passphrase=Secret(f"{k} passphrase"), subscriber="8812") for k in KEYS]
        for edge in (edges[0], alone):
            await edge.keys.add_local(made, BEGIN - 10.0)
        await meet(edges)
        for number, step in day:
            at = clock()
            if isinstance(step, str):
                await edges[number].once()
                continue
            await do(edges[number], step, at)
            if always:
                await do(alone, step, at)
                await meet(edges)
        await meet(edges)
        first, *others = [await known(edge) for edge in edges]
        assert all(other == first for other in others)
        if always:
            # an edge alone forgets with a device when it was first seen; others may bring it along
            assert without_first_seen(first) == without_first_seen(await known(alone))
        assert [k[3] for k in first["keys"]] == [f"{k} passphrase".encode() for k in KEYS], "a wrong key"
        assert [await edge.near.count_waiting() for edge in edges] == [0] * EDGES
    finally:
        for edge in (*edges, alone):
            await edge.client.close()
            await edge.database.close()


async def meet(edges: list[Edge]) -> None:
    """Until nobody has anything to say: who was first has not heard the last."""
    for edge in (*edges, *edges):
        await edge.once()


_number = itertools.count()


def run(cluster: Postgres, tmp_path: Path, day: list[tuple[int, Step | str]], *, always: bool) -> None:
    number = next(_number)
    store, path = f"merges{number}", tmp_path / str(number)
    path.mkdir()
    cluster.sql(f"CREATE DATABASE {store}")
    asyncio.run(lived(cluster, store, path, day, always=always))
    cluster.sql(f"DROP DATABASE {store} WITH (FORCE)")


OFTEN = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@OFTEN
@given(day=DAY)
def test_edges_that_were_apart_come_to_the_same_and_no_key_is_a_wrong_one(
    cluster: Postgres, tmp_path: Path, day: list[tuple[int, Step | str]]
) -> None:
    run(cluster, tmp_path, day, always=False)


@OFTEN
@given(day=DAY.map(lambda day: day[:10]))
def test_edges_that_share_know_what_one_edge_alone_would(
    cluster: Postgres, tmp_path: Path, day: list[tuple[int, Step | str]]
) -> None:
    run(cluster, tmp_path, day, always=True)
