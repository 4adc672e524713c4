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
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from edged.enforce.desired import Desired
from edged.enforce.diff import diff
from edged.enforce.kernel.client import Here, Privileged
from edged.enforce.kernel.requests import Kernel, Simple
from edged.enforce.rules import rules_of
from edged.enforce.sets import Elements, SetName
from edged.enforce.targets.nftables import NftablesTarget
from edged.values import Prefix
from tests.e2e.lab import Lab

ROUNDS = 6
RULES = rules_of(portals=[IPv4Address("203.0.113.10")])
FIRST, FIRST6 = int(IPv4Address("100.64.0.0")), int(IPv6Address("2001:db8:4000::"))


def desired(hosts: int, prefixes: int = 0) -> Desired:
    sets: dict[SetName, Elements] = dict.fromkeys(SetName, frozenset())
    sets[SetName.BLOCKED_HOSTS_4] = frozenset(range(FIRST, FIRST + hosts))
    sets[SetName.BLOCKED_PREFIXES_6] = frozenset(Prefix(6, FIRST6 + (n << 72), 56) for n in range(prefixes))
    return Desired(RULES, sets)


async def timed(what: Awaitable[object]) -> float:
    begun = time.perf_counter()
    await what
    return (time.perf_counter() - begun) * 1000


async def brought(target: NftablesTarget, wanted: Desired) -> float:
    """Milliseconds of the change alone."""
    plan = diff(wanted, await target.read())
    return await timed(target.apply(wanted, plan))


def said(what: str, way: str, times: list[float]) -> None:
    print(f"{what:32} {way:18} median {statistics.median(times):8.2f} ms, worst {max(times):8.2f} ms", flush=True)


async def singly(ways: dict[str, Kernel]) -> None:
    """In turn, some rounds each, with a target that remembers nothing of what the other wrote."""
    spent: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS):
        for way, kernel in ways.items():
            target = NftablesTarget(kernel)
            await brought(target, desired(1000))
            for again in range(10):
                address = IPv4Address("203.0.113.0") + number * 10 + again
                for what, took in (
                    ("unblock one", await brought(target, desired(999))),
                    ("block one", await brought(target, desired(1000))),
                    ("open the garden for one address", await timed(target.admit([(address, 30.0)]))),
                    ("look whether somebody wrote", await timed(target.read())),
                ):
                    spent.setdefault((what, way), []).append(took)
    for (what, way), times in sorted(spent.items()):
        said(what, way, times)


async def together(ways: dict[str, Kernel], count: int) -> None:
    for of, sizes in (("hosts", (count, 0)), ("hosts and /56s", (count, count))):
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(5 if count <= 20_000 else 2):
            for way, kernel in ways.items():
                target = NftablesTarget(kernel)
                spent[way] += [await brought(target, desired(*sizes)), await brought(target, desired(0))]
        for way, times in spent.items():
            said(f"{count:,} {of}", way, times)


def weight(pid: int) -> str:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in text)}
    return f"resident {sizes['Rss']:.1f} MB, its share {sizes['Pss']:.1f} MB, its own {sizes['Private_Dirty']:.1f} MB"


async def measure(counts: list[int]) -> None:
    begun = time.perf_counter()
    with contextlib.closing(Privileged()) as process:
        ways: dict[str, Kernel] = {"here": Here(), "through the other": process}
        await process.ask(Simple.GENERATION)
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
