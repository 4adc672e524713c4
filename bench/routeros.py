# SPDX-License-Identifier: Apache-2.0
"""Time to bring a RouterOS router from nothing to so many blocked lines, and to change one, and edged's memory for it.

Against the stand-in of tests/routeros with the time that public reports say a router takes: never measured on one.

python bench/routeros.py [LINES] [LATENCY ...]
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from edged.enforce.desired import Desired, desired
from edged.enforce.diff import diff
from edged.enforce.rules import rules_of
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.routeros.target import RouterosTarget
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import Prefix

SETTINGS = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10", "2001:db8::/32"]})
RULES = rules_of(portals=[ip_address("203.0.113.10"), ip_address("2001:db8::10")])
FIRST4, FIRST6 = int(IPv4Address("100.64.0.0")), int(IPv6Address("2001:db8:4000::"))
NOW = 1_700_000_000.0


def wanted(first: int, last: int) -> Desired:
    """One IPv4 address a line; a tenth of them has a delegated /56 instead."""
    lines = tuple(
        Subscriber(
            str(n),
            State.BLOCKED,
            addresses=(Prefix(6, FIRST6 + (n << 72), 56) if n % 10 == 9 else Prefix(4, FIRST4 + n, 32),),
        )
        for n in range(first, last)
    )
    return desired(View(compile_table(Snapshot("s", "1", NOW, lines), SETTINGS)), RULES, NOW)


@contextmanager
def standing_in(latency: str, *more: str) -> Iterator[int]:
    """The port of a stand-in that is a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.routeros.serve", "--latency", latency, *more],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield int(json.loads(process.stdout.readline())["port"] if process.stdout else 0)
        finally:
            process.terminate()


async def bring(target: RouterosTarget, value: Desired) -> None:
    for _ in range(1000):
        plan = diff(value, await target.read(), target.carries)
        if plan.empty or await target.apply(value, plan):
            return


async def took(what: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await what()
    return time.perf_counter() - start


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


async def measure(lines: int, latency: str) -> None:
    with standing_in(latency) as port:
        given = {"host": "127.0.0.1", "user": "edged", "password": "secret", "tls": False, "port": port}
        target = RouterosTarget(RouterosSettings.model_validate(given))
        await target.start(RULES)
        whole, fewer = wanted(0, lines), wanted(1, lines)
        before = resident_mb()
        print(f"{latency}: {lines:,} lines")
        admitted: list[float] = []
        start, blocked = time.perf_counter(), list[float]()
        read_back = target._entries.learn_ids  # noqa: SLF001  # it begins when all are there

        async def learn_ids() -> None:
            blocked.append(time.perf_counter() - start)
            await read_back()

        target._entries.learn_ids = learn_ids  # type: ignore[method-assign]  # noqa: SLF001
        filling = asyncio.create_task(took(lambda: bring(target, whole)))
        number = 0
        while not filling.done():
            await asyncio.sleep(1.0)
            if await target_is_read(target):
                number += 1
                entry = (ip_address(f"198.51.{number // 250}.{number % 250 + 1}"), 60.0)
                admitted.append(await took(lambda entry=entry: target.admit([entry])))  # type: ignore[misc]
        whole_s = await filling
        print(f"  from nothing until all are blocked {blocked[-1]:8.2f} s")
        print(f"  and read back                      {whole_s:8.2f} s")
        admitted.sort()
        print(f"  garden opened meanwhile, median    {admitted[len(admitted) // 2] * 1000:8.0f} ms, worst"
              f" {admitted[-1] * 1000:.0f} ms of {len(admitted)}")  # fmt: skip
        print(f"  nothing to change                  {await took(lambda: bring(target, whole)) * 1000:8.1f} ms")
        lifted = sorted([await took(lambda v=v: bring(target, v)) for v in (fewer, whole) * 10])  # type: ignore[misc]
        print(f"  one line, median                   {lifted[10] * 1000:8.1f} ms, worst {lifted[-1] * 1000:.1f} ms")
        opened = await took(lambda: target.admit([(ip_address("203.0.113.99"), 60.0)]))
        print(f"  a garden address                   {opened * 1000:8.1f} ms")
        await target.close()
        print(f"  read whole after a lost connection {await took(target.read) * 1000:8.0f} ms")
        print(f"  memory for it                      {resident_mb() - before:8.1f} MB")
        await target.close()


async def measure_tracked(connections: int) -> None:
    """What it costs to read all that a router tracks, as a change of many lines does."""
    with standing_in("none", "--connections", str(connections)) as port:
        given = {"host": "127.0.0.1", "user": "edged", "password": "secret", "tls": False, "port": port}
        target = RouterosTarget(RouterosSettings.model_validate(given))
        await target.start(RULES)
        await bring(target, wanted(0, 1))
        before = resident_mb()
        took_s = await took(lambda: bring(target, wanted(0, 50)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(f"50 lines, {connections:,} tracked connections {took_s:8.2f} s")
        print(f"  memory for it at its peak          {peak - before:8.0f} MB")
        await target.close()


async def target_is_read(target: RouterosTarget) -> bool:
    try:
        await target.admit([])
    except Exception:  # noqa: BLE001  # not yet
        return False
    return True


async def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for latency in sys.argv[2:] or ["none", "rb5009"]:
        await measure(lines, latency)
    await measure_tracked(100_000)


if __name__ == "__main__":
    asyncio.run(main())
