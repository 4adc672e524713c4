"""A long answer of a router, and the memory that it takes while it is read: a router that runs edged has little."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.enforce.routeros.layout import layout_of
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.routeros.entries import RouterEntries
from edged.enforce.targets.routeros.thread import RouterThread

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = 4000


@pytest.fixture
def port() -> Iterator[int]:
    """Of a stand-in in a process of its own, whose memory is not ours."""
    arguments = [sys.executable, "-m", "tests.routeros.serve", "--entries", str(ENTRIES)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["port"]
        process.terminate()


async def test_a_long_list_is_never_there_as_a_whole(port: int) -> None:
    given = {"host": "127.0.0.1", "port": port, "user": "edged", "password": "secret", "tls": False, "list": "foreign"}
    settings = RouterosSettings.model_validate(given)
    thread = RouterThread(settings, lost=lambda: None)
    entries = RouterEntries(thread, layout_of(settings), time.monotonic)
    await thread.connect()
    tracemalloc.start()
    try:
        mirror = await entries.read()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        thread.close()

    assert sum(map(len, mirror.foreign.values())) == ENTRIES
    # 1,375 octets a row while the library kept every row itself
    assert peak - kept < 100 * ENTRIES
