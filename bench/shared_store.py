# SPDX-License-Identifier: Apache-2.0
"""The shared store: how long a change takes from edge to edge, and what accounting costs with it and without.

    python bench/shared_store.py [--changes 200] [--looks 6] [--edges 16]

A PostgreSQL of Debian on this machine, its fsync off; every edge is the stores and the replicator of one, all in one
process. A change is a snooze; it has arrived when the rooms of the other edge would be told. By looking alone: the
others do not listen, as behind a pooler. Accounting: Starts one after the other, each durable; rounds with and without
take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog

from edged.state.sessions import Status
from edged.state.shared.rows import Row, named
from edged.state.shared.target import parse_target
from edged.values import Secret
from tests.loopback.postgres import PASSWORD, Postgres
from tests.loopback.test_shared_store import SHARED_KEY, Edge, until

ROUNDS, STARTS = 9, 500


class Witness(Edge):
    """An edge that notes when it is told of each snooze."""

    async def _learned(self, rows: Sequence[Row]) -> None:
        now = time.perf_counter()
        self.heard.update({row.name: now for row in rows if row.kind == "snooze"})

    heard: dict[str, float]


async def edge(server: Postgres, folder: Path, name: str, *, shares: bool = True) -> Witness:
    one = Witness(folder / name, parse_target(server.url("postgres"), Secret(PASSWORD)), name, SHARED_KEY, "")
    one.heard = {}
    await one.database.open()
    if shares:
        await one.replicator.open()
        one.start()
        await until(lambda: one.standing.connected)
    return one


def spread(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    middle, late = statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3
    print(
        f"{name:<28} median {middle:8.0f} ms   p99 {late:8.0f}   worst {ordered[-1] * 1e3:8.0f}   of {len(ordered)}",
        flush=True,
    )


def all_heard(others: Sequence[Witness], key: str) -> bool:
    return all(key in other.heard for other in others)


def all_sent(one: Witness, count: int) -> bool:
    return one.standing.waiting == 0 and one.standing.sent >= count


async def latency(sender: Witness, others: list[Witness], count: int, pause: float, name: str) -> None:
    took: list[float] = []
    for number in range(count):
        await asyncio.sleep(random.uniform(0.0, pause))
        subscriber = f"{name} {number}"
        begun = time.perf_counter()
        await sender.words.snooze(subscriber, time.time() + 3600.0)
        key = named(subscriber)
        await until(partial(all_heard, others, key), 60.0)
        took += [other.heard[key] - begun for other in others]
    spread(name, took)


async def accounting(on: Witness, off: Witness) -> None:
    cpu: dict[bool, list[float]] = {True: [], False: []}
    wall: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * ROUNDS):
        shares = number % 2 == 0
        store, used = (on if shares else off).sessions, time.process_time()
        for start in range(STARTS):
            begun = time.perf_counter()
            await store.record(
                Status.START, nas="n", session=f"{number}-{start}", at=time.time(), login=f"l{start}", ipv4="100.64.0.1"
            )
            wall[shares].append(time.perf_counter() - begun)
        if shares:  # what is sent later belongs to it
            await until(partial(all_sent, on, (number // 2 + 1) * STARTS), 60.0)
        cpu[shares].append((time.process_time() - used) / STARTS)
    for what, figures in (("CPU of a Start", cpu), ("until it is durable", wall)):
        with_, without = (statistics.median(figures[shares]) * 1e6 for shares in (True, False))
        print(f"{what:<28} with {with_:6.0f} µs   without {without:6.0f}   ratio {with_ / without:.2f}", flush=True)


async def measure(server: Postgres, folder: Path, given: argparse.Namespace) -> None:
    sender = await edge(server, folder, "sender")
    others = [await edge(server, folder, f"e{number}") for number in range(given.edges)]
    await latency(sender, others[:1], given.changes, 0.3, "told by notification")
    for other in others:
        await other.client._connection.execute("UNLISTEN *")  # noqa: SLF001  # as a pooler leaves it
    await latency(sender, others, given.looks, 10.0, "by looking alone")
    for other in others:
        await other.stop()
    on, off = await edge(server, folder, "on"), await edge(server, folder, "off", shares=False)
    await sender.stop()
    await accounting(on, off)
    await on.stop()
    for one in (sender, *others, on, off):
        await one.database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--looks", type=int, default=6)
    parser.add_argument("--edges", type=int, default=16)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "cluster")
        server.start()
        try:
            asyncio.run(measure(server, Path(folder), given))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
