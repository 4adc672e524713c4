"""How soon a change of state shows in the answers while the server is under full load.

    PYTHONPATH=. .venv/bin/python bench/dns_flip.py [changes]

edged on CPU 0 with 100,000 blocked subscribers, bench/dns_load.c on CPU 1 with 128 queries outstanding. A subscriber
who asks every millisecond from an address of their own is blocked and unblocked; a change counts from the publication
of the policy to the first answer that shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dns_answers import (  # noqa: E402  # after the path
    OUTSTANDING,
    REPEATED,
    blocked,
    build,
    free_port,
    hundred_thousand,
    messages,
    pinned,
    query,
    sinkhole_on,
)
from edged.model import State, Subscriber  # noqa: E402
from edged.policy.access import View  # noqa: E402
from edged.policy.settings import GardenSettings  # noqa: E402
from edged.policy.table import changed  # noqa: E402
from edged.values import parse_prefix  # noqa: E402

PROBE = "127.0.0.9"
PAUSE = 0.25


def probed(state: State) -> Subscriber:
    return Subscriber("probe", state, addresses=(parse_prefix(PROBE),))


async def serve(port: int, changes: int) -> None:
    """The service; prints the moment of every change."""
    load = Subscriber("load", State.BLOCKED, addresses=(parse_prefix("127.0.0.1"),))
    current = blocked(load, probed(State.BLOCKED), *hundred_thousand())
    service = sinkhole_on(port, current, GardenSettings())
    await service.start()
    running = asyncio.create_task(service.run())
    await asyncio.sleep(1.5)
    for number in range(changes):
        state = State.BLOCKED if number % 2 else State.ACTIVE
        table = changed(current.view.table, (probed(state),), snapshot_id=str(number))
        print("published", time.time(), flush=True)
        current.publish(View(table), frozenset({"probe"}))
        await asyncio.sleep(PAUSE)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await service.stop()


def changes_seen(port: int, until: float) -> list[float]:
    """Moments at which the answer to the probe became another."""
    seen: list[float] = []
    before: bytes | None = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((PROBE, 0))
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.05)
        while time.time() < until:
            sock.send(query(1))
            try:
                reply = sock.recv(512)
            except OSError:
                continue
            # blocked: an address; open: SERVFAIL, for there is no upstream
            kind = reply[3:4]
            if before is not None and kind != before:
                seen.append(time.time())
            before = kind
            time.sleep(0.001)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("changes", nargs="?", type=int, default=80)
    parser.add_argument("--serve", type=int)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve, arguments.changes))
        return
    for name, native in (("compiled", "1"), ("Python", "0")):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            data = messages(Path(folder) / "messages", REPEATED, edns=False)
            load = build(Path(folder))
            seconds = 1.5 + arguments.changes * PAUSE
            command = [*pinned(0), sys.executable, __file__, str(arguments.changes), "--serve", str(port)]
            with (
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, text=True, env={**os.environ, "EDGED_NATIVE": native}
                ) as server,
                data.open("rb") as queries,
            ):
                time.sleep(1.0)
                loading = [*pinned(1), str(load), "127.0.0.1", str(port), str(seconds), str(OUTSTANDING), "1"]
                with subprocess.Popen(loading, stdin=queries, stdout=subprocess.PIPE) as generator:
                    seen = changes_seen(port, time.time() + seconds)
                    loaded, _ = generator.communicate()
                said, _ = server.communicate()
        moments = [float(line.split()[1]) for line in said.split("\n") if line.startswith("published ")]
        waits = [1e3 * min((s - m for s in seen if s >= m), default=float("inf")) for m in moments[:-1]]
        rate = int(loaded.split()[0]) / seconds
        print(
            f"{name:9} {rate:9,.0f} answers/s beside {len(waits)} changes: {statistics.median(waits):.1f} ms median, "
            f"{max(waits):.1f} ms worst"
        )


if __name__ == "__main__":
    main()
