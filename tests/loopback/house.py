# SPDX-License-Identifier: Apache-2.0
"""A whole house at work in the test's own process, what it remembers from before, and questions to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from edged.config.loading import load
from edged.daemon import House
from edged.model import Snapshot, Subscriber
from edged.ops.control import call
from edged.state.snapshots import SnapshotFiles

Facts = dict[str, Any]

ONE_LIST = """\
site: tower-12
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
subscribers: {{networks: ["127.0.0.0/8"]}}
enforce: []
ops: {{socket: {directory}/control.sock}}
"""
"""A house that has billing's list and nothing else to do."""
EVERY_ROOM = """\
site: tower-12
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
subscribers: {{networks: ["127.0.0.0/8"], exempt: ["127.0.0.53"]}}
portal:
  url: https://localhost
  addresses: ["127.0.0.1"]
  listen: {{http: ["127.0.0.1:0"], https: ["127.0.0.1:0"]}}
garden: {{names: [customer.example.net]}}
dns: {{listen: ["127.0.0.1:0"]}}
radius:
  auth: ["127.0.0.1:0"]
  acct: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["127.0.0.0/8"], secret: a-secret-of-a-test}}]
mpsk: {{networks: {{Residence: {{blocked: {{vlan: 666}}}}}}}}
"""
"""Of a house in which every room has work; ``mode``, ``enforce`` and ``ops`` are still to be said."""


def written(directory: Path, configuration: str, *listed: Subscriber, **values: str) -> House:
    """The house of ``configuration``, not opened yet; ``listed``, if anybody, is its last good list."""
    path = directory / "edged.yaml"
    path.write_text(configuration.format(directory=directory, **values))
    if listed:
        (directory / "state").mkdir(exist_ok=True)
        SnapshotFiles(directory / "state").save(Snapshot("8812.aa", "8812", 1_800_000_000.0, listed, known=100))
    return House(load(path))


@asynccontextmanager
async def at_work(house: House) -> AsyncIterator[House]:
    """``house``, opened and with every room at work until the test is done; none may end by itself."""
    await house.open()
    running = asyncio.create_task(house.run())
    try:
        while not house.is_running():
            await asyncio.sleep(0)
            assert not running.done()
        yield house
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await house.close()


async def ask(house: House, command: str, **arguments: Any) -> Facts:
    """The answer over the control socket. ``Refused``."""
    answer: Facts = await asyncio.to_thread(call, house.control.path, command, **arguments)
    return answer
