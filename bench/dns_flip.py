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
from ipaddress import ip_address
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dns_answers import OUTSTANDING, REPEATED, SUBSCRIBERS, build, free_port, messages, pinned, query  # noqa: E402
from edged.dns.service import DnsService  # noqa: E402  # after the path
from edged.dns.settings import DnsSettings  # noqa: E402
from edged.model import Snapshot, State, Subscriber  # noqa: E402
from edged.policy.access import View  # noqa: E402
from edged.policy.settings import GardenSettings, SubscribersSettings  # noqa: E402
from edged.policy.table import changed, compile_table  # noqa: E402
from edged.state.current import Current  # noqa: E402
from edged.values import Prefix, parse_prefix  # noqa: E402

PROBE = "127.0.0.9"
PAUSE = 0.25


def probed(state: State) -> Subscriber:
    return Subscriber("probe", state, addresses=(parse_prefix(PROBE),))


async def serve(port: int, changes: int) -> None:
    """The service; prints the moment of every change."""
    others = (Subscriber(str(i), State.BLOCKED, addresses=(Prefix(4, 0x64400000 + i, 32),)) for i in range(SUBSCRIBERS))
    load = Subscriber("load", State.BLOCKED, addresses=(parse_prefix("127.0.0.1"),))
    served = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8", "100.64.0.0/10"]})
    table = compile_table(Snapshot("bench", "1", 0.0, (load, probed(State.BLOCKED), *others)), served)
    current = Current(View(table))
    most = {"per_subscriber": 1_000_000_000, "per_prefix": 1_000_000_000}

    async def admit(_: object) -> None:
        return

    service = DnsService(
        DnsSettings.model_validate({"listen": [f"127.0.0.1:{port}"], "limit": most}),
        GardenSettings(),
        portal_host="portal.example.net",
        portal_addresses=(ip_address("203.0.113.10"),),
        current=current,
        admit=admit,
    )
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
                loading = [*pinned(1), str(load), "127.0.0.1", str(port), str(seconds), str(OUTSTANDING)]
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
