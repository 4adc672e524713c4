# SPDX-License-Identifier: Apache-2.0
"""What the dashboard costs with 100,000 subscribers, half of them blocked: seconds a page, and how long the loop waits.

PYTHONPATH=. .venv/bin/python bench/dashboard.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from edged.config.loading import load
from edged.daemon import House
from edged.model import Snapshot, State, Subscriber
from edged.values import Prefix

COUNT = 100_000
CONFIGURATION = """\
site: bench
state: {{directory: {directory}/state}}
subscribers: {{networks: ["100.64.0.0/10"]}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""


def snapshot(name: str, blocked: int) -> Snapshot:
    states = (State.BLOCKED if number < blocked else State.NOTICE for number in range(COUNT))
    return Snapshot(
        name, name, 1.8e9,
        tuple(
            Subscriber(str(number), state, "unpaid", 1.7e9, (Prefix(4, 0x64400000 + number, 32),))
            for number, state in enumerate(states)
        ),
        known=COUNT,
    )  # fmt: skip


class Waits:
    """How long the loop let somebody wait who wanted to run each millisecond."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - before - 0.001)


async def measured(waits: Waits, what: str, act: Callable[[], Awaitable[object]]) -> None:
    await asyncio.sleep(0.1)
    waits.longest = 0.0
    begun, busy = time.perf_counter(), time.thread_time()
    await act()
    spent, busy = time.perf_counter() - begun, time.thread_time() - busy
    print(
        f"{what:<42} {spent * 1000:7.0f} ms, of them {busy * 1000:5.1f} ms of CPU on the loop;"
        f" it waited {waits.longest * 1000:5.1f} ms at most"
    )


async def get(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    octets = 0
    while piece := await reader.read(65536):
        octets += len(piece)
    writer.close()
    return octets


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edged.yaml"
        path.write_text(CONFIGURATION.format(directory=folder))
        house = House(load(path))
        await house.open()
        running, waits = asyncio.create_task(house.run()), Waits()
        waiting = asyncio.create_task(waits.run())
        await house.writer.publish(snapshot("1", COUNT // 2))
        await asyncio.sleep(2)
        port = house.ops.endpoint.port if house.ops.endpoint is not None else 0

        async def recorded() -> None:
            while house.recorder.bins[-1].blocked != COUNT // 2 - 10_000:
                await asyncio.sleep(0.001)

        second = snapshot("2", COUNT // 2 - 10_000)
        await measured(waits, "nothing", lambda: asyncio.sleep(1))
        await measured(waits, "the first page after a new list", lambda: get(port, "/"))
        await measured(waits, "a page within two seconds", lambda: get(port, "/"))
        await asyncio.sleep(2.1)
        await measured(waits, "a page later, same list", lambda: get(port, "/"))
        await measured(waits, "/metrics", lambda: get(port, "/metrics"))
        await measured(waits, "a page of the list of 50,000 blocked", lambda: get(port, "/list/blocked?page=400"))
        await measured(waits, "all 50,000 as CSV", lambda: get(port, "/list/blocked.csv"))
        await measured(waits, "a list of which 10,000 changed, published", lambda: house.writer.publish(second))
        await measured(waits, "and recorded", recorded)
        for task in (running, waiting):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await house.close()


if __name__ == "__main__":
    asyncio.run(main())
