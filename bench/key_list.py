# SPDX-License-Identifier: Apache-2.0
"""The key list at work while the loop goes on: import, rotation and reseal of many keys, and how long a tick waits.

python bench/key_list.py [KEYS]

A task sleeps for a millisecond again and again beside each act; what it waits longer is the loop held up. PMKs are put
there without deriving them: deriving is bench/key_search.py's. Each act is run once, on a database in a new directory.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from edged.mpsk.keylist.choice import Choice
from edged.mpsk.service import MpskService
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import KeyStore
from edged.state.sealing_key import SealingKey
from tests.mpsk_world import SSID, fake_pmk, mpsk_settings


class Ticks:
    """How late a millisecond's sleep returns."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.collected: list[float] = []
        self._begun = 0.0
        gc.callbacks.append(self._collection)

    def _collection(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
        else:
            self.collected.append(time.perf_counter() - self._begun)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.001)
            self.late.append(loop.time() - before - 0.001)

    async def during(self, name: str, act: Awaitable[Any]) -> Any:
        self.late, self.collected = [], []
        begun, used = time.perf_counter(), time.process_time()
        result = await act
        took, used = time.perf_counter() - begun, time.process_time() - used
        late = sorted(self.late) or [0.0]
        print(
            f"{name:<12} {took:6.2f} s ({used:5.2f} s of CPU)   a tick is late by {late[len(late) // 2] * 1e3:.1f} ms"
            f" (median), {late[int(len(late) * 0.99)] * 1e3:.1f} (p99), {late[-1] * 1e3:.1f} (worst;"
            f" longest garbage collection {max(self.collected, default=0.0) * 1e3:.1f})",
            flush=True,
        )
        return result


async def measure(count: int, directory: Path) -> None:
    database = Database(directory / "edged.sqlite")
    await database.open()
    place = SealingKey(directory)
    store = KeyStore(database, place.seal())
    service = MpskService(mpsk_settings(), store=store, current=Current())
    await service.start()
    # with many keys the search worker is made; what that costs is not looked at here
    await service.key_list.import_csv("ssid\n" + f"{SSID}\n" * 500)
    await asyncio.sleep(2.0)
    gc.collect()
    gc.freeze()  # as the daemon does
    ticks = Ticks()
    ticking = asyncio.create_task(ticks.run())
    rows = "".join(f"flat-{n},{SSID},Flat {n},copper-{n:06}-otter-violin\n" for n in range(count))
    added, problems = await ticks.during("import", service.key_list.import_csv("id,ssid,label,passphrase\n" + rows))
    print(f"{added:,} keys are in the store")
    if problems:
        raise SystemExit(f"not imported: {problems[0]}")
    pmks = [(stored, fake_pmk(stored.key.id)) for stored in service.ring.keys.values()]
    await ticks.during("keep PMKs", store.save_pmks(pmks))
    await ticks.during("load", service.load())
    await ticks.during("rotate one", service.key_list.rotate(["flat-7"]))
    ids = await service.key_list.rotatable(Choice(ssid=SSID))
    await ticks.during("rotate all", service.key_list.rotate(ids))
    resealed = await ticks.during("reseal", service.key_list.reseal(place))
    print(f"resealed {resealed.count:,} rows")
    ticking.cancel()
    await service.stop()
    await database.close()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory() as made:
        asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, Path(made)))
