# SPDX-License-Identifier: Apache-2.0
"""A whole edge with many subscribers: a full reading until it is enforced, and payments until the line works. Root.

python bench/payday.py [SUBSCRIBERS] [CHANGES]

The real daemon in a namespace, a billing system beside it that serves docs/feed.md, a subscriber in another namespace
who asks a public resolver again and again: it is answered by edged while blocked and by the resolver while not, so a
change of its answer is the change in the kernel's sets. A change begins with the webhook's POST.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.e2e.edge import BLOCKED, CONFIG, Edge
from tests.e2e.lab import BAD4, BAD_PREFIX6, PORTAL4, RESOLVER4

PAGE = 5000
FIRST4, FIRST6 = int(IPv4Address("100.96.0.0")), int(IPv6Address("2001:db8:4000::"))
SECRET = "bench-hook-secret"  # of a namespace
PAYDAY = (
    CONFIG.replace("poll: {{changes: 300ms, full: 5s}}", "poll: {{changes: 10m, full: 1h}}")
    .replace(
        "  guard: {guard}\n",
        "  guard: {guard}\n"
        '  webhook: {{listen: "127.0.0.1:9301", path: /hooks, secret: !file {directory}/hook.secret}}\n',
    )
    .replace("2001:db8:100::/40", "2001:db8::/32")
)
QUERY = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"


def subscriber(number: int) -> dict[str, Any]:
    """One blocked household: an IPv4 address, a delegated /56, and what the page shows."""
    four, six = IPv4Address(FIRST4 + number), IPv6Address(FIRST6 + (number << 72))
    return {
        "id": str(100_000 + number), "state": "blocked", "reason": "unpaid", "since": "2026-11-20T06:00:00Z",
        "addresses": [str(four), f"{six}/56"],
        "name": f"Subscriber {number}", "amount_due": "49.90", "currency": "EUR", "due": "2026-11-01",
        "pay_url": f"https://customer.example.net/pay/{number:x}", "brand": "north", "language": "es",
    }  # fmt: skip


def serve(count: int, ready: Any) -> None:
    """The billing system: a list of ``count``, and subscriber 1001, whom ``POST /flip`` blocks or activates."""
    one = dict(BLOCKED)
    objects = [subscriber(n) for n in range(count)]
    pages = [objects[first : first + PAGE] for first in range(0, count, PAGE)] or [[]]
    bodies = [json.dumps(page)[1:-1].encode() for page in pages]

    async def listed(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers={"X-Total-Count": str(count + 1)})
        if "since" in request.query:
            return web.json_response(
                {"revision": "1", "total": 0, "known": 1_000_000, "subscribers": [], "removed": []}
            )
        page = int(request.query.get("page", "0"))
        head = json.dumps({"revision": "1", "total": count + 1, "known": 1_000_000})[:-1].encode()
        last = page + 1 == len(bodies)
        more = b"" if last else f', "next": "/subscribers?page={page + 1}"'.encode()
        own = b", " + json.dumps(one).encode() if last else b""
        return web.Response(body=head + more + b', "subscribers": [' + bodies[page] + own + b"]}")

    async def single(_request: web.Request) -> web.Response:
        return web.json_response(one)

    async def flip(request: web.Request) -> web.Response:
        one["state"] = (await request.json())["state"]
        return web.Response()

    async def main() -> None:
        application = web.Application()
        application.router.add_get("/subscribers", listed)
        application.router.add_get("/subscribers/{id}", single)
        application.router.add_post("/flip", flip)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 9400).start()
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(main())


class Crowd(Edge):
    """The lab's edge with a large billing system."""

    template = PAYDAY

    def __init__(self, count: int) -> None:
        super().__init__(prefix=f"edged-b{os.getpid()}")
        self.count = count
        self.began = self.enforced = 0.0
        self.server: multiprocessing.Process | None = None

    def _write_files(self) -> None:
        super()._write_files()
        (self.directory / "hook.secret").write_text(SECRET)
        (self.directory / "hook.secret").chmod(0o600)

    def _start_billing(self) -> None:
        with self.lab.inside("router"):
            ready = multiprocessing.Event()
            self.server = multiprocessing.Process(target=serve, args=(self.count, ready), daemon=True)
            self.server.start()
        sure(ready.wait(60), "billing serves")

    def start(self) -> None:
        self.began = time.perf_counter()
        super().start()
        self.wait_for("enforced", lambda: blocked_in_kernel(self), timeout=120)
        self.enforced = time.perf_counter()

    def post(self, path: str, port: int, body: bytes, headers: dict[str, str]) -> int:
        """The status of one POST from the router."""
        with self.lab.inside("router"), socket.create_connection(("127.0.0.1", port), 5) as connection:
            lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            return int(connection.makefile("rb").readline().split()[1])

    def told(self) -> int:
        """The webhook's status for: look at subscriber 1001."""
        at = datetime.now(UTC).isoformat()
        body = json.dumps({"id": str(uuid.uuid4()), "at": at, "subscribers": ["1001"], "keys": []}).encode()
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        return self.post("/hooks", 9301, body, {"X-Edged-Signature": f"sha256={digest}"})

    def answer(self) -> bytes:
        """The address that the subscriber's resolver gives now, from a fresh port."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.02)
            client.sendto(QUERY, (RESOLVER4, 53))
            try:
                return client.recv(512)[-4:]
            except TimeoutError:
                return b""

    def memory(self) -> list[tuple[str, float, float]]:
        """Resident memory and its peak in MB, of the daemon and of its search process."""
        if self.daemon is None:
            return []
        children = subprocess.run(["pgrep", "-P", str(self.daemon.pid)], capture_output=True, text=True, check=False)
        found = []
        for name, pid in [("daemon", self.daemon.pid), *(("child", int(pid)) for pid in children.stdout.split())]:
            status = Path(f"/proc/{pid}/status").read_text("utf-8")
            fields = dict(line.split(":", 1) for line in status.splitlines())
            found.append((name, int(fields["VmRSS"].split()[0]) / 1e3, int(fields["VmHWM"].split()[0]) / 1e3))
        return found


def blocked_in_kernel(crowd: Crowd) -> bool:
    """Asked of the kernel: the single subscriber is in the sets in both families."""
    found = [
        crowd.lab.run("router", "nft", "get", "element", "inet", "edged", name, f"{{ {line} }}", check=False).returncode
        for name, line in (("blocked4h", BAD4), ("blocked6n", BAD_PREFIX6))
    ]
    return found == [0, 0]


def sure(is_so: bool, what: str) -> None:  # noqa: FBT001  reads as a sentence
    """End the measurement where it would measure something else."""
    if not is_so:
        raise SystemExit(f"not so: {what}")


def change(crowd: Crowd, state: str) -> float:
    """Seconds from the webhook's POST until the subscriber's resolver answers as it should in ``state``."""
    body = json.dumps({"state": state}).encode()
    sure(crowd.post("/flip", 9400, body, {}) == 200, "billing has taken the new state")
    time.sleep(1.1)  # one subscriber is asked about once a second at the most
    began = time.perf_counter()
    sure(crowd.told() == 202, "the webhook has taken the post")
    with crowd.lab.inside("bad"):
        while (crowd.answer() == socket.inet_aton(PORTAL4)) is (state == "active"):
            sure(time.perf_counter() - began < 10, "the change comes within ten seconds")
    took = time.perf_counter() - began
    sure(blocked_in_kernel(crowd) is (state == "blocked"), f"the kernel's sets are those of {state}")
    return took


def report(crowd: Crowd, when: str) -> None:
    print(
        f"  memory {when}: " + ", ".join(f"{name} {now:.0f} MB (peak {peak:.0f})" for name, now, peak in crowd.memory())
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    changes = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    os.environ["MALLOC_ARENA_MAX"] = "2"  # as the unit has it
    with Crowd(count) as crowd:
        print(f"{count:,} subscribers with a host and a /56 each")
        print(f"  from the start of the daemon until enforced  {crowd.enforced - crowd.began:6.2f} s")
        report(crowd, "then")
        began = time.perf_counter()
        sure(crowd.command("sync").returncode == 0, "edged sync is done")
        print(f"  a full reading more, which changes nothing   {time.perf_counter() - began:6.2f} s")
        took: dict[str, list[float]] = {"active": [], "blocked": []}
        for number in range(changes):
            state = ("active", "blocked")[number % 2]
            took[state].append(change(crowd, state))
        for state, times in took.items() if changes else ():
            ordered = sorted(times)
            median, most = statistics.median(ordered), ordered[max(0, math.ceil(len(ordered) * 0.99) - 1)]
            print(
                f"  webhook until {state:8} {median * 1e3:6.1f} ms median, {most * 1e3:6.1f} ms p99,"
                f" {ordered[-1] * 1e3:6.1f} ms worst of {len(ordered)}"
            )
        report(crowd, "at the end")


if __name__ == "__main__":
    main()
