"""A long answer of a router, and the memory that it takes while it is read: a router that runs edged has little."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.enforce.routeros.commands import Command
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.routeros import Router

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


def test_each_row_of_a_long_answer_is_held_once_and_shares_what_all_have_in_common(port: int) -> None:
    given = {"host": "127.0.0.1", "port": port, "user": "edged", "password": "secret", "tls": False}
    router = Router(RouterosSettings.model_validate(given))
    command = Command("/ip/firewall/address-list", "print", {".proplist": ".id,list,address,comment,disabled"})
    connection = router.connect()
    tracemalloc.start()
    try:
        rows = router.ask(connection, command).rows
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        router.close()

    assert len(rows) == ENTRIES
    assert {row["list"] for row in rows} == {"foreign"}
    assert len({id(row["list"]) for row in rows}) == 1
    # 1,375 while the library kept every row itself
    assert peak / ENTRIES < 600
    assert peak < 1.2 * kept
