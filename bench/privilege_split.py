# SPDX-License-Identifier: Apache-2.0
"""What it costs that only one small process may change the kernel's tables. Needs root.

The same changes in a namespace, in turn: by this process with a socket for each, as every process had it before, and
through the other process, as the daemon has it. Then what the other process weighs.

python -m bench.privilege_split [ELEMENTS ...]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Awaitable
from ipaddress import IPv4Address
from pathlib import Path

from edged.enforce.desired import Desired
from edged.enforce.diff import diff
from edged.enforce.kernel.client import Privileged
from edged.enforce.rules import rules_of
from edged.enforce.sets import SetName
from edged.enforce.targets.nftables import NftablesTarget
from edged.values import Prefix
from tests.e2e.lab import Lab

ROUNDS = 60
RULES = rules_of(portals=[IPv4Address("203.0.113.10")])
FIRST = int(IPv4Address("100.64.0.0"))


def desired(hosts: int, prefixes: int = 0) -> Desired:
    sets = dict.fromkeys(SetName, frozenset())
    listed = frozenset(Prefix(6, (0x20010DB840 << 88) + (n << 72), 56) for n in range(prefixes))
    blocked = {SetName.BLOCKED_HOSTS_4: frozenset(range(FIRST, FIRST + hosts)), SetName.BLOCKED_PREFIXES_6: listed}
    return Desired(RULES, {**sets, **blocked})


async def timed(what: Awaitable[object]) -> float:
    begun = time.perf_counter()
    await what
    return (time.perf_counter() - begun) * 1000


async def brought(target: NftablesTarget, wanted: Desired) -> float:
    """Milliseconds of the change alone."""
    plan = diff(wanted, await target.read())
    return await timed(target.apply(wanted, plan))


async def singly(ways: dict[str, NftablesTarget]) -> None:
    spent: dict[str, list[float]] = {
        f"{what}, {way}": [] for what in ("block", "unblock", "admit", "look") for way in ways
    }
    await brought(ways["here"], desired(1000))
    for number in range(ROUNDS):
        for way, target in ways.items():
            spent[f"unblock, {way}"].append(await brought(target, desired(999)))
            spent[f"block, {way}"].append(await brought(target, desired(1000)))
            address = IPv4Address("203.0.113.0") + number
            spent[f"admit, {way}"].append(await timed(target.admit([(address, 30.0)])))
            spent[f"look, {way}"].append(await timed(target.read()))
    for what, times in spent.items():
        print(
            f"{what:24} median {statistics.median(times):7.2f} ms, p90 {statistics.quantiles(times, n=10)[-1]:7.2f} ms"
        )


async def together(ways: dict[str, NftablesTarget], count: int) -> None:
    rounds = 5 if count <= 20_000 else 2
    for of, sizes in (("hosts", (count, 0)), ("hosts and /56s", (count, count))):
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, target in ways.items():
                spent[way] += [await brought(target, desired(*sizes)), await brought(target, desired(0))]
        for way, times in spent.items():
            print(
                f"{count:,} {of} come and go, {way:24} median {statistics.median(times):7.1f} ms, worst {max(times):7.1f} ms"
            )


def weight(pid: int) -> str:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in text)}
    return f"resident {sizes['Rss']:.1f} MB, its share {sizes['Pss']:.1f} MB, its own {sizes['Private_Dirty']:.1f} MB"


async def measure(counts: list[int]) -> None:
    begun = time.perf_counter()
    with contextlib.closing(Privileged()) as process:
        ways = {"here": NftablesTarget(), "through the other": NftablesTarget(process)}
        await ways["through the other"].read()
        print(
            f"from its start to its first answer {(time.perf_counter() - begun) * 1000:.0f} ms; {weight(process.pid)}"
        )
        await singly(ways)
        for count in counts:
            await together(ways, count)
            print(f"after {count:,}: {weight(process.pid)}")


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or [10_000]
    with Lab(prefix=f"edged-b{os.getpid()}") as lab, lab.inside("router"):
        asyncio.run(measure(counts))


if __name__ == "__main__":
    main()
