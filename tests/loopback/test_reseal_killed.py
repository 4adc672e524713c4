# SPDX-License-Identifier: Apache-2.0
"""A change of the sealing key that kill -9 cuts off before any of its writes: the store opens, and the change goes on.

The child counts what it is about to write (SQL statements, files, renames, fsyncs) and kills itself before the n-th.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edged.model import Key
from edged.state import keys as key_store
from edged.state.database import Database
from edged.state.keys import KeyStore, Resealed, StoredKey
from edged.state.sealing_key import SealingKey
from edged.values import Secret
from tests.mpsk_world import NOW, SSID, fake_pmk

COUNT = 12
CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from edged.state import keys
from edged.state.database import Database
from edged.state.keys import KeyStore
from edged.state.sealing_key import SealingKey

keys.RESEAL_BATCH = 4
directory, credentials, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
done = 0

def about_to_write(what):
    global done
    done += 1
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(function):
    def call(*arguments, **more):
        about_to_write(function.__name__)
        return function(*arguments, **more)
    return call

for name in ("fsync", "replace", "rename", "unlink", "open", "write"):
    setattr(os, name, watched(getattr(os, name)))

async def main():
    database = Database(directory / "edged.sqlite")
    await database.open()
    await database.run(lambda connection: connection.set_trace_callback(about_to_write))
    place = SealingKey(directory, credentials if credentials.exists() else None)
    await KeyStore(database, place.seal()).reseal(place)

asyncio.run(main())
print("done", done)
os._exit(0)
"""


async def opened(directory: Path, credentials: Path | None = None) -> tuple[Database, KeyStore]:
    database = Database(directory / "edged.sqlite")
    await database.open()
    return database, KeyStore(database, SealingKey(directory, credentials).seal())


async def filled(directory: Path, credentials: Path | None = None) -> list[StoredKey]:
    database, store = await opened(directory, credentials)
    await store.add_local([Key(f"k-{n}", SSID, Secret(f"copper-otter-violin-{n:02}")) for n in range(COUNT)], NOW)
    await store.save_pmks([(s, fake_pmk(s.key.id)) for s in await store.all()])
    before = await store.all()
    await database.close()
    return before


def killed(directory: Path, credentials: Path, before_write: int) -> bool:
    """True when the child was killed; False when it had fewer writes to make and is done."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, directory, credentials, str(before_write)],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    if child.returncode == -signal.SIGKILL:
        return True
    assert child.stdout.startswith("done"), child.stderr
    return False


@pytest.mark.parametrize("given", [False, True], ids=["in the state directory", "from credentials"])
async def test_a_reseal_killed_before_any_of_its_writes_leaves_a_store_that_opens(given: bool, tmp_path: Path) -> None:
    writes = 0
    while True:
        writes += 1
        directory = tmp_path / f"before-{writes}"
        directory.mkdir()
        folder = directory / "credentials"
        if given:
            folder.mkdir()
            (folder / "sealing.key").write_text("a" * 64)
        credentials = folder if given else None
        before = await filled(directory, credentials)
        if given:
            (folder / "sealing.key").write_text("b" * 64)
            (folder / "sealing.key.old").write_text("a" * 64)

        was_killed = killed(directory, folder, writes)

        database, store = await opened(directory, credentials)
        assert await store.all() == before
        assert not store.damaged
        place = SealingKey(directory, credentials)
        assert await store.reseal(place) == Resealed(COUNT), "the change goes on"
        assert not place.is_changing
        await database.close()
        if given:
            (folder / "sealing.key.old").unlink()
        database, store = await opened(directory, credentials)
        assert await store.all() == before
        await database.close()
        if not was_killed:
            break

    assert writes > COUNT, "every row is a write of its own"
    assert key_store.RESEAL_BATCH > 1
