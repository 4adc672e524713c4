# SPDX-License-Identifier: Apache-2.0
"""Memory of edged as a router's container has it: one RouterOS router as target, 10,000 blocked lines, an hour of work.

Against the stand-in of tests/routeros, in a process of its own, with no latency: never measured on RouterOS.

python bench/container_memory.py [BLOCKED] [KNOWN] [--image ROOT]

A billing system that serves docs/feed.md in a process of its own lists ``KNOWN`` subscribers, of whom ``BLOCKED`` are
blocked; each has an address, a tenth a delegated /56 as well. *Peak* is the kernel's VmHWM of edged's process.
``--image``: the folder root-ARCH of `make image`, run as the image says (root); else this interpreter and this tree.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from aiohttp import web

from edged.ops.control import Refused, call

ROOT = Path(__file__).resolve().parents[1]
PAGE = 1000
FIRST4, FIRST6 = int(IPv4Address("100.64.0.0")), int(IPv6Address("2001:db8::"))
READINGS, CHANGES, ROUNDS, POLL_S = 6, 10, 72, 1.0
"""An hour: a full reading each ten minutes; polls that bring ten payments or blocks each. In little more than a minute,
so that the router is read as a whole once."""
IMAGE_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "FROZENLIST_NO_EXTENSIONS": "1",
    "LANG": "C.UTF-8",
}
"""As config/container/image.py has it."""
CONFIG = """\
site: tower-12
state: {{directory: {state}}}
billing:
  source: rest
  url: http://127.0.0.1:{feed}
  key: a-key-of-a-bench
  poll: {{changes: 1s, full: 1h}}
  guard: {{first: accept, blocked: {{share: 100%, count: 1000000, window: 1h}}}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8::/32"]}}
portal:
  url: https://portal.example.net
  addresses: ["192.0.2.10"]
  listen: {{http: ["127.0.0.1:0"], https: ["127.0.0.1:0"]}}
garden: {{names: [customer.example.net, "*.example-pay.com"], presets: [stripe, paypal]}}
dns: {{listen: ["127.0.0.1:0"], upstreams: ["127.0.0.1"]}}
enforce:
  - routeros: {{host: 127.0.0.1, port: {router}, user: edged, password: secret, tls: false, rate: 10000}}
ops: {{listen: "127.0.0.1:0", socket: {socket}/control.sock}}
"""


def subscriber(number: int, state: str) -> dict[str, Any]:
    """One household, with what the page shows of it."""
    addresses = [str(IPv4Address(FIRST4 + number))]
    if number % 10 == 0:
        addresses.append(f"{IPv6Address(FIRST6 + (number << 72))}/56")
    return {
        "id": str(100_000 + number), "state": state, "reason": "unpaid", "since": "2026-11-20T06:00:00Z",
        "addresses": addresses, "name": f"Subscriber {number}", "amount_due": "49.90", "currency": "EUR",
        "due": "2026-11-01", "pay_url": f"https://customer.example.net/pay/{number:x}", "language": "es",
    }  # fmt: skip


def serve(blocked: int, known: int, port: Any) -> None:
    """The billing system; each ``since`` is answered with ten lines that have paid or are blocked again.

    Where ``known`` is more than ``blocked`` everybody is listed, as some systems do; else who is blocked alone.
    """
    state = ["blocked" if number < blocked else "active" for number in range(known)]
    revision = 1

    def listed() -> list[int]:
        return [number for number, of in enumerate(state) if of == "blocked" or known > blocked]

    def reply(numbers: list[int], total: int, **more: Any) -> web.Response:
        objects = [subscriber(number, state[number]) for number in numbers]
        head = {"revision": str(revision), "total": total, "known": known}
        return web.json_response({**head, "subscribers": objects, **more})

    async def answer(request: web.Request) -> web.Response:
        nonlocal revision
        if request.method == "HEAD":
            return web.Response(headers={"X-Total-Count": str(len(listed()))})
        if "since" in request.query:
            revision += 1
            some = [(revision // 2 * CHANGES + n) % blocked for n in range(CHANGES)]
            for number in some:
                # those who have paid are blocked again by the next one
                state[number] = "blocked" if revision % 2 else "active"
            gone = [number for number in some if state[number] == "active" and known == blocked]
            changed = [number for number in some if number not in gone]
            return reply(changed, len(changed), removed=[str(100_000 + number) for number in gone])
        first, those = int(request.query.get("first", "0")), listed()
        more = {} if first + PAGE >= len(those) else {"next": f"/subscribers?first={first + PAGE}"}
        return reply(those[first : first + PAGE], len(those), **more)

    application = web.Application()
    application.router.add_get("/subscribers", answer)

    async def main() -> None:
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def standing_in() -> Iterator[int]:
    """The port of a router."""
    arguments = [sys.executable, "-m", "tests.routeros.serve"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            yield int(json.loads(process.stdout.readline())["port"] if process.stdout else 0)
        finally:
            process.terminate()


@contextmanager
def billing(blocked: int, known: int) -> Iterator[int]:
    """The port of a billing system."""
    port: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(blocked, known, port), daemon=True)
    process.start()
    try:
        yield int(port.get(timeout=60))
    finally:
        process.terminate()
        process.join()


class Running:
    """A daemon that runs: what it takes, and what it has done."""

    def __init__(self, pid: int, socket: Path) -> None:
        self.pid, self.socket = pid, socket

    def facts(self) -> dict[str, float]:
        """What is resident now, and the most that ever was; MB of a million octets."""
        lines = Path(f"/proc/{self.pid}/status").read_text("utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        resident, peak = (int(fields[name].split()[0]) * 1.024e-3 for name in ("VmRSS", "VmHWM"))
        return {"resident_mb": round(resident, 1), "peak_mb": round(peak, 1)}

    def is_enforced(self, least: int) -> bool:
        """The router has all that it should have, and that is at least so many addresses and prefixes."""
        try:
            facts = call(self.socket, "status")
        except Refused:
            return False
        for part in facts["parts"]:
            if part["name"] == "127.0.0.1" and part["state"] == "OK":
                actual, _, rest = part["fact"].replace(",", "").partition(" of ")
                return int(actual) == int(rest.split()[0]) >= least
        return False

    def wait(self, least: int, seconds: float) -> None:
        """Until the router has what it should have."""
        until = time.monotonic() + seconds
        while not self.is_enforced(least):
            if not Path(f"/proc/{self.pid}/status").exists() or time.monotonic() > until:
                raise SystemExit("not so: the router has what it should have")
            time.sleep(0.2)


@contextmanager
def here(folder: Path) -> Iterator[Running]:
    """This tree, by this interpreter; ``folder`` has its configuration."""
    command = [sys.executable, "-m", "edged.cli", "run", "-c", str(folder / "edged.yaml")]
    with _running(command, {**os.environ, **IMAGE_ENVIRONMENT, "PYTHONPATH": str(ROOT)}) as pid:
        yield Running(pid, folder / "control.sock")


@contextmanager
def in_image(root: Path, folder: Path) -> Iterator[Running]:
    """The image's own, in mounts of its own: /etc/edged is ``folder``, its state and socket are there too. Root."""
    script = (
        "set -e; mount --bind $2 $1/etc/edged; mount --bind $2 $1/var/lib/edged; mount -t proc proc $1/proc;"
        " mount -t tmpfs tmpfs $1/run; exec chroot $1 /usr/bin/python3.11 -I -S /usr/lib/edged/entry.py"
        " run -c /etc/edged/edged.yaml"
    )
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(root), str(folder)]
    with _running(command, {"PATH": os.environ["PATH"], **IMAGE_ENVIRONMENT}) as pid:
        yield Running(pid, Path(f"/proc/{pid}/root/run/edged/control.sock"))


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def measure(blocked: int, known: int, image: Path | None) -> Iterator[tuple[str, dict[str, float]]]:
    """After the first reading has reached the router, and after an hour of work."""
    with tempfile.TemporaryDirectory() as name, billing(blocked, known) as feed, standing_in() as router:
        folder = Path(name)
        state, socket = (folder / "state", folder) if image is None else ("/var/lib/edged/state", "/run/edged")
        (folder / "edged.yaml").write_text(CONFIG.format(state=state, socket=socket, feed=feed, router=router))
        with here(folder) if image is None else in_image(image, folder) as edged:
            edged.wait(blocked * 9 // 10, 300.0)
            yield f"the first {blocked:,} of {known:,}", edged.facts()
            for _ in range(READINGS):
                time.sleep(ROUNDS / READINGS * POLL_S)
                call(edged.socket, "sync", who="bench")
                edged.wait(blocked // 2, 300.0)
            yield "an hour of changes and readings", edged.facts()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("blocked", type=int, nargs="?", default=10_000)
    arguments.add_argument("known", type=int, nargs="?", default=0)
    arguments.add_argument("--image", type=Path)
    given = arguments.parse_args()
    for after, facts in measure(given.blocked, given.known or given.blocked, given.image and given.image.resolve()):
        print(f"{after:<36} {facts['resident_mb']:6.1f} MB, peak {facts['peak_mb']:6.1f} MB", flush=True)


if __name__ == "__main__":
    main()
