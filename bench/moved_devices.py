# SPDX-License-Identifier: Apache-2.0
"""How long the event loop is held by devices on the VLAN of the blocked: one more, a crowd, their addresses.

python bench/moved_devices.py [DEVICES [SUBSCRIBERS]]
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from edged.config.schema import Config
from edged.enforce.desired import Instant, desired, desired_after
from edged.enforce.diff import Actual, diff
from edged.enforce.rules import Rules
from edged.model import Snapshot, State, Subscriber
from edged.moving import AT_ONCE
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.memory import Grant
from edged.mpsk.moves import Moves
from edged.mpsk.question import Question
from edged.policy.access import View
from edged.policy.moved import Holder
from edged.state.database import Database
from edged.state.overrides import OverrideStore
from edged.values import IpAddress, MacAddress
from edged.writer import Writer
from tests.mpsk_world import HOME, SSID, many, ring_of

CONFIG = Config.model_validate({"subscribers": {"networks": ["100.64.0.0/10"]}})
ROUNDS = 50


def mac(number: int) -> MacAddress:
    return MacAddress(":".join(f"{octet:02x}" for octet in (0x02_00_5E << 24 | number).to_bytes(6)))


def held(what: Callable[[int], object], rounds: int = ROUNDS) -> str:
    """The median and the longest of ``rounds``, milliseconds."""
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        what(number)
        times.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(times):7.2f} ms, longest {max(times):.2f}"


async def main(devices: int, subscribers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "edged.sqlite")
        await database.open()
        writer = Writer(CONFIG, OverrideStore(database))
        listed = tuple(Subscriber(str(n), State.BLOCKED) for n in range(subscribers))
        await writer.publish(Snapshot("1", "1", 0.0, listed))
        crowd = {mac(n): Holder(str(n % subscribers), "k-1") for n in range(devices)}
        print(f"{devices:,} devices of {subscribers:,} blocked subscribers")
        names = list(crowd.items())
        pieces = [dict(names[at : at + AT_ONCE]) for at in range(0, devices, AT_ONCE)]
        print(f"a crowd, a piece of {AT_ONCE}     {held(lambda n: writer.move(pieces[n]), len(pieces))}")
        addresses: dict[IpAddress, MacAddress] = {IPv4Address(0x64400000 + n): name for n, name in enumerate(crowd)}
        moved = writer.current.view.learned.moved
        print(f"a look finds all addresses {held(lambda _: moved.located(addresses), 5)}")
        view = writer.current.view
        writer.current.publish(View(view.table, replace(view.learned, moved=moved.located(addresses))), frozenset())
        gc.collect()
        gc.freeze()
        print(f"one comes                  {held(lambda n: writer.move({mac(devices + n): Holder('7', 'k')}))}")
        print(f"one goes                   {held(lambda n: writer.move({mac(devices + n): None}))}")
        turning = writer.current.view.learned.moved
        print(f"one turns up               {held(lambda n: turning.met({IPv4Address(n): mac(n)}))}")
        before, then = desired(writer.current.view, Rules(), 1.0), Instant(writer.current.view, 1.0)
        writer.move({mac(devices): Holder("7", "k")})
        now = Instant(writer.current.view, 1.0)
        print(f"the sets after one         {held(lambda _: desired_after(before, then, now, {'7'}))}")
        after = desired_after(before, then, now, {"7"})
        print(f"what is to be changed      {held(lambda _: diff(after, Actual(Rules(), before.sets)))}")
        followed(devices)
        await database.close()


def followed(devices: int) -> None:
    """The key list is another one."""
    keys, moves = many(10_000, subscriber="7"), Moves()
    question = Question(mac(0), SSID, "building-7", DIALECTS["hostapd"])
    for number in range(devices):
        key = keys[number % len(keys)]
        place = (SSID, mac(number))
        moves.granted(place, Grant(replace(question, mac=place[1]), HOME, key, 666, key.name, blocked=True))
    steps = moves.follow(ring_of(*keys))
    print(f"a step over another list   {held(lambda _: next(steps, None))}")


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:] or ["10000", "100000"])))
