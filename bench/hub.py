# SPDX-License-Identifier: Apache-2.0
"""Many edges at one hub: the daemon as it runs, billing beside it, edges that read, and nginx with the same pages.

    .venv/bin/python bench/hub.py [--edges 200] [--whole 8] [--listed 150000] [--keys 20000] [--parts rest payment ...]

The hub is `edged run` with `hub:`, a process of its own on CPU 0; billing, the edges and the load are on CPU 1, so what
the edges need for themselves is not the hub's. `--whole` edges are complete (bench/hub_edges.py says what the others
leave out). CPU is what the kernel accounts to the hub's process. A change begins with the webhook's POST.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import hashlib
import hmac
import http.client
import json
import math
import multiprocessing
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import hub_edges, hub_feed  # noqa: E402  # after the path
from bench.dns_answers import free_port, pinned  # noqa: E402
from edged.billing import signing  # noqa: E402
from edged.state.files import secret_file  # noqa: E402

KEY = "a-bearer-key-of-the-bench"
SECRET = "a-webhook-secret-of-the-bench"
PATIENCE = 900.0
"""Seconds after which the measurement has failed."""
TICK = os.sysconf("SC_CLK_TCK")
PINNED = pinned(0)
SPAWN = multiprocessing.get_context("spawn")
PARTS = ("rest", "payment", "stream", "reports", "restart", "churn", "kill", "nginx")
CONFIG = """\
site: hub
mode: watch
state: {{directory: {folder}/state}}
billing:
  source: rest
  url: http://127.0.0.1:{feed}
  poll: {{changes: 30s, full: 1h}}
  guard:
    first: accept
    blocked: {{share: 100%, count: 1000000, window: 1h}}
    vanished: {{share: 100%, count: 1000000, window: 1h}}
  webhook: {{listen: "127.0.0.1:{hook}", path: /hooks, secret: {secret}}}
hub: {{listen: "127.0.0.1:{hub}", keys: [{key}]}}
ops: {{listen: "127.0.0.1:{metrics}", socket: {folder}/control.sock}}
"""
NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 2048; }}
http {{
  access_log off; default_type application/json; keepalive_requests 1000000; sendfile on; tcp_nopush on;
  open_file_cache max=256 inactive=600s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    if ($http_authorization != "Bearer {key}") {{ return 401; }}
    location /edged/ {{ root {folder}; gzip_static on; try_files $uri$arg_page$arg_since.json =404; }}
  }}
}}
"""


def sure(is_so: object, what: str) -> None:
    """End the measurement where it would measure something else."""
    if not is_so:
        raise SystemExit(f"not so: {what}")


@dataclass
class Process:
    """What the kernel says of one."""

    popen: subprocess.Popen[bytes]
    before: float = 0.0

    def seconds(self) -> float:
        """CPU time so far, all threads and what it started."""
        pids = [self.popen.pid, *_children(self.popen.pid)]
        return sum(_seconds(pid) for pid in pids)

    def memory(self) -> tuple[float, float, float]:
        """Resident, proportional and peak resident memory in MB."""
        text = Path(f"/proc/{self.popen.pid}/smaps_rollup").read_text("ascii")
        text += Path(f"/proc/{self.popen.pid}/status").read_text("ascii")
        fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
        rss, pss, peak = (int(fields[name]) * 1024 / 1e6 for name in ("Rss", "Pss", "VmHWM"))
        return rss, pss, peak

    def forget_peak(self) -> None:
        """Count the peak of memory from now on."""
        Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:
        return []


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


@dataclass
class Scene:
    """The hub, billing, and the edges."""

    given: argparse.Namespace
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    hub: Process = field(init=False)
    pipes: list[Any] = field(default_factory=list)
    log: list[hub_edges.Line] = field(default_factory=list)
    flipped: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Everything, from nothing to nothing."""
        self.ports = {name: free_port() for name in ("feed", "hook", "hub", "metrics", "nginx")}
        self.folder.joinpath("state").mkdir()
        (self.folder / "edged.yaml").write_text(
            CONFIG.format(folder=self.folder, key=KEY, secret=SECRET, **self.ports), "utf-8"
        )
        ready = SPAWN.Event()
        arguments = (self.given.listed, self.given.keys, self.ports["feed"], ready)
        processes = [SPAWN.Process(target=hub_feed.serve, args=arguments, daemon=True)]
        processes[0].start()
        sure(ready.wait(120), "billing serves")
        self.start_hub()
        try:
            for company in self._companies():
                ours, theirs = SPAWN.Pipe()
                processes.append(SPAWN.Process(target=hub_edges.serve, args=(company, theirs), daemon=True))
                processes[-1].start()
                self.pipes.append(ours)
            yield
        finally:
            self.hub.popen.kill()
            self.hub.popen.wait()
            for process in processes:
                process.kill()

    def _companies(self) -> Iterator[hub_edges.Company]:
        public = base64.b64encode(signing.public_key(secret_file(self.folder / "state" / "hub.key"))).decode()
        url = f"http://127.0.0.1:{self.ports['hub']}/edged"
        whole, edges = self.given.whole, self.given.edges
        (self.folder / "edges").mkdir()
        shares = [(first, min(first + 4, whole), True) for first in range(0, whole, 4)]
        shares += [(first, min(first + 48, edges), False) for first in range(whole, edges, 48)]
        for first, end, complete in shares:
            yield hub_edges.Company(url, KEY, public, first, end - first, whole=complete, folder=self.folder / "edges")

    def start_hub(self) -> None:
        """Until it listens."""
        with (self.folder / "hub.log").open("ab") as log:
            command = [*PINNED, sys.executable, "-m", "edged.cli", "run", "-c", str(self.folder / "edged.yaml")]
            self.hub = Process(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))

    def listed(self) -> int:
        """How many subscribers the hub lists now; -1: none yet."""
        if self.hub.popen.poll() is not None:
            raise SystemExit((self.folder / "hub.log").read_text("utf-8"))
        with contextlib.suppress(OSError):
            answer, _ = ask(self.ports["hub"], "GET", "/edged/keys?page=1000")
            head, _ = ask(self.ports["hub"], "HEAD", "/edged/subscribers")
            if answer.status == head.status == 200:
                return int(head.headers["X-Total-Count"])
        return -1

    def tell(self, word: str) -> list[Any]:
        """Every process of edges does ``word``; their answers."""
        for pipe in self.pipes:
            pipe.send(word)
        return [pipe.recv() for pipe in self.pipes if pipe.poll(PATIENCE)]

    def lines(self) -> list[hub_edges.Line]:
        """All that edges came to know, so far."""
        for lines in self.tell("lines"):
            self.log += lines
        return self.log

    def counts(self) -> tuple[int, int]:
        """Answers and octets that edges had."""
        answers, octets = zip(*self.tell("counts"), strict=True)
        return sum(answers), sum(octets)

    def when(self, began: float, what: Iterable[str]) -> list[float]:
        """Seconds from ``began`` until each edge first had one of ``what``, sorted; waits for all."""
        wanted = set(what)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            first: dict[int, float] = {}
            for edge, at, said, _ in self.lines():
                if at >= began and said in wanted:
                    first.setdefault(edge, at - began)
            if len(first) == self.given.edges:
                return sorted(first.values())
            time.sleep(0.5)
        raise SystemExit(f"not so: every edge has {wanted} within {PATIENCE:.0f} s")

    def pay(self, count: int = 1) -> tuple[str, float]:
        """Somebody pays at billing, and billing says so: who, and when."""
        name = str(100_000 + self.flipped)
        self.flipped += count
        body = json.dumps({"subscribers": [name], "blocked": False}).encode()
        ask(self.ports["feed"], "POST", "/flip", body)
        began = time.monotonic()
        post = {"id": str(uuid.uuid4()), "at": datetime.now(UTC).isoformat(), "subscribers": [name], "keys": []}
        body = json.dumps(post).encode()
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        answer, _ = ask(self.ports["hook"], "POST", "/hooks", body, {"X-Edged-Signature": f"sha256={digest}"})
        sure(answer.status == 202, f"the webhook takes the post ({answer.status})")
        return name, began

    def arrivals(self, paid: dict[str, float]) -> list[dict[int, float]]:
        """For each who paid, seconds until each edge knew; waits for all."""
        until = time.monotonic() + 120
        known: dict[str, dict[int, float]] = {}
        while time.monotonic() < until:
            known = {name: {} for name in paid}
            for edge, at, _, ids in self.lines():
                for name in ids:
                    if name in known and at >= paid[name]:
                        known[name].setdefault(edge, at - paid[name])
            if all(len(edges) == self.given.edges for edges in known.values()):
                return list(known.values())
            time.sleep(0.5)
        missing = {name: self.given.edges - len(edges) for name, edges in known.items()}
        raise SystemExit(f"not so: every edge knows who has paid; edges that do not: {missing}")


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """One question on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body or None, {"Authorization": f"Bearer {KEY}"} | (headers or {}))
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def spread(values: Iterable[float]) -> str:
    """Median, 99th percentile and last."""
    values = sorted(values)
    return (
        f"median {statistics.median(values):7.2f} s, p99 {values[max(0, math.ceil(len(values) * 0.99) - 1)]:7.2f} s,"
        f" last {values[-1]:7.2f} s"
    )


class Meter:
    """What the hub needed between two moments."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.counts, self.cpu, self.at = scene.counts(), scene.hub.seconds(), time.monotonic()

    def said(self) -> str:
        took, cpu = time.monotonic() - self.at, self.scene.hub.seconds() - self.cpu
        answers, octets = (now - before for now, before in zip(self.scene.counts(), self.counts, strict=True))
        each = f", {1e6 * cpu / answers:,.0f} us an answer" if answers else ""
        return (
            f"{took:6.1f} s, hub {cpu:6.2f} s of CPU ({100 * cpu / took:4.1f} % of a core),"
            f" {answers:,} answers ({answers / took:,.0f}/s{each}), {octets / 1e6:,.1f} MB"
        )


def memory(scene: Scene, when: str) -> None:
    rss, pss, peak = scene.hub.memory()
    print(f"hub's memory {when}: resident {rss:.0f} MB, proportional {pss:.0f}, peak {peak:.0f}", flush=True)


def wait(limit: float, what: str, is_so: Callable[[], bool]) -> None:
    """Until it is so; within ``limit`` seconds."""
    until = time.monotonic() + limit
    while not is_so():
        sure(time.monotonic() < until, what)
        time.sleep(0.1)


def herd(scene: Scene, name: str) -> None:
    """All edges read everything, from the same moment on."""
    scene.hub.forget_peak()
    meter, began = Meter(scene), time.monotonic()
    scene.tell("start")
    times = scene.when(began, ["whole"])
    print(f"{name}: {spread(times)}\n  {meter.said()}")
    memory(scene, "then")


def rest(scene: Scene) -> None:
    settle()
    meter = Meter(scene)
    time.sleep(scene.given.seconds)
    print(f"nothing changes, {scene.given.edges} wait: {meter.said()}")
    memory(scene, f"with {scene.given.edges} waiting")


def settle() -> None:
    """Until nobody has anything to read: edges follow an answer within a second and a half."""
    time.sleep(3)


def payment(scene: Scene) -> None:
    """One, and again when all is quiet."""
    took, cpu = [], []
    for _ in range(scene.given.payments):
        settle()
        before = scene.hub.seconds()
        name, began = scene.pay()
        took += scene.arrivals({name: began})
        settle()
        cpu.append(scene.hub.seconds() - before)
    print(f"a payment, {len(took)} times:")
    by_kind(scene, took)
    print(f"  the last edge of each, median {statistics.median(max(times.values()) for times in took):.2f} s")
    print(f"  hub's CPU for one, with the questions that follow: median {statistics.median(cpu):.2f} s", flush=True)


def by_kind(scene: Scene, took: list[dict[int, float]]) -> None:
    """Whole edges, which keep the list, and the others."""
    for kind, complete in (("thin", False), ("whole", True)):
        times = [at for each in took for edge, at in each.items() if (edge < scene.given.whole) is complete]
        if times:
            print(f"  {kind:5} edges: {spread(times)}")


def stream(scene: Scene) -> None:
    """Ten a second."""
    settle()
    meter = Meter(scene)
    paid: dict[str, float] = {}
    began = time.monotonic()
    for n in range(10 * scene.given.stream):
        time.sleep(max(0.0, began + n / 10 - time.monotonic()))
        name, at = scene.pay()
        paid[name] = at
    print(f"ten payments a second for {scene.given.stream} s: {meter.said()}")
    by_kind(scene, scene.arrivals(paid))
    sys.stdout.flush()


def reports(scene: Scene) -> None:
    settle()
    before, began = scene.hub.seconds(), time.monotonic()
    sent = sum(sum(scene.tell("report")) for _ in range(10))
    cpu = scene.hub.seconds() - before
    print(f"reports: {sent:,} in {time.monotonic() - began:.1f} s, {1e6 * cpu / sent:,.0f} us of the hub's CPU each")


def restart(scene: Scene) -> None:
    scene.tell("stop")
    herd(scene, "all edges restart")


def churn(scene: Scene) -> None:
    """All restart while payments go on: a list becomes another again and again while it is read."""
    scene.tell("stop")
    meter, began, paid = Meter(scene), time.monotonic(), 0
    scene.tell("start")
    until = began + PATIENCE
    while time.monotonic() < until:
        for _ in range(20):
            paid += 1
            time.sleep(max(0.0, began + paid / 10 - time.monotonic()))
            scene.pay()
        read = {edge for edge, at, said, _ in scene.lines() if at >= began and said == "whole"}
        if len(read) == scene.given.edges:
            break
    failed = [said for _, at, what, said in scene.log if at >= began and what == "failed"]
    print(f"all edges restart while ten pay each second: {spread(scene.when(began, ['whole']))}\n  {meter.said()}")
    print(f"  readings that failed: {len(failed)} {failed[:1]}", flush=True)


def kill(scene: Scene) -> None:
    settle()
    scene.hub.popen.kill()
    scene.hub.popen.wait()
    gone = time.monotonic()
    scene.start_hub()
    wait(120, "the hub is back", lambda: scene.listed() >= 0)
    back = time.monotonic()
    meter = Meter(scene)
    times = scene.when(back, ["same", "whole", "changes"])
    print(f"hub killed: it answers after {back - gone:.1f} s; from then until each edge is current: {spread(times)}")
    print(f"  {meter.said()}", flush=True)


# --- nginx ----------------------------------------------------------------------------------------


def pages(scene: Scene) -> tuple[list[str], str, dict[str, tuple[bytes, bool]]]:
    """Addresses of the whole list and of a difference, and every body as the hub sends it."""
    port, paths, bodies = scene.ports["hub"], [], {}
    following = "/edged/subscribers?page=1"
    revision = ""
    while following:
        answer, octets = ask(port, "GET", following, headers={"Accept-Encoding": "gzip"})
        sure(answer.status == 200, f"the hub serves {following}")
        coded = answer.headers.get("Content-Encoding") == "gzip"
        document = json.loads(gzip.decompress(octets) if coded else octets)
        revision = document["revision"]
        bodies[following], following = (octets, coded), document.get("next", "")
        paths.append(list(bodies)[-1])
        following = f"/edged{following}" if following else ""
    scene.pay()
    time.sleep(2)
    since = f"/edged/subscribers?since={revision}"
    answer, octets = ask(port, "GET", since, headers={"Accept-Encoding": "gzip"})
    sure(answer.status == 200, "the hub serves a difference")
    bodies[since] = octets, answer.headers.get("Content-Encoding") == "gzip"
    return paths, since, bodies


@dataclass
class Load:
    """Connections that ask the same addresses again and again."""

    port: int
    paths: list[str]
    connections: int
    answers: int = 0
    octets: int = 0

    def run(self, seconds: float) -> float:
        """Ask for so long; the seconds that it took."""
        self.answers = self.octets = 0
        with selectors.DefaultSelector() as selector:
            socks = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(self.connections)]
            for n, sock in enumerate(socks):
                sock.settimeout(0)
                selector.register(sock, selectors.EVENT_READ, [n, 0, b""])
                self._ask(sock, n)
            buffer = memoryview(bytearray(1 << 20))
            began = time.monotonic()
            while time.monotonic() < began + seconds:
                for key, _ in selector.select(1):
                    self._read(key.fileobj, key.data, buffer)
            took = time.monotonic() - began
            for sock in socks:
                sock.close()
        return took

    def _ask(self, sock: Any, number: int) -> None:
        path = self.paths[number % len(self.paths)]
        sock.send(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            "Accept-Encoding: gzip\r\nAccept: application/json\r\n\r\n".encode()
        )

    def _read(self, sock: Any, state: list[Any], buffer: memoryview) -> None:
        """``state``: which address, octets of the body that are missing, the header so far."""
        got = sock.recv_into(buffer)
        sure(got, "the server keeps its connection")
        if state[1]:
            state[1] -= got
        else:
            state[2] += bytes(buffer[:got])
            head, end, body = state[2].partition(b"\r\n\r\n")
            if not end:
                return
            sure(head.startswith(b"HTTP/1.1 200"), f"200, not {head[:40]!r}")
            found = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
            state[1], state[2] = int(found[1]) - len(body) if found else 0, b""
            self.octets += int(found[1]) if found else 0
        if state[1] == 0:
            self.answers += 1
            state[0] += 1
            self._ask(sock, state[0])


def nginx(scene: Scene) -> None:
    """The same bodies, in turn from the hub and from nginx."""
    scene.tell("stop")
    paths, since, bodies = pages(scene)
    root = scene.folder / "nginx"
    (root / "edged").mkdir(parents=True)
    root.chmod(0o755)
    scene.folder.chmod(0o755)
    for path, (octets, coded) in bodies.items():
        name, _, query = path.removeprefix("/edged/").partition("?")
        value = query.rpartition("=")[2]
        file = root / "edged" / f"{name}{value}.json"
        file.write_bytes(gzip.decompress(octets) if coded else octets)
        if coded:
            Path(f"{file}.gz").write_bytes(octets)
    port = scene.ports["nginx"]
    (root / "nginx.conf").write_text(NGINX.format(folder=root, port=port, key=KEY), "ascii")
    command = [*PINNED, shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(root / "nginx.conf")]
    peer = Process(subprocess.Popen(command, stderr=subprocess.DEVNULL))
    try:
        wait(10, "nginx serves", lambda: _serves(port, since))
        for name, asked in (("a page of the whole list", paths), ("a small difference", [since])):
            compare(scene, name, {"hub": (scene.hub, Load(scene.ports["hub"], asked, 16)),
                                  "nginx": (peer, Load(port, asked, 16))})  # fmt: skip
    finally:
        peer.popen.terminate()
        peer.popen.wait()


def _serves(port: int, path: str) -> bool:
    try:
        return ask(port, "GET", path)[0].status == 200
    except OSError:
        return False


def compare(scene: Scene, name: str, servers: dict[str, tuple[Process, Load]]) -> None:
    figures: dict[str, list[tuple[float, float, float]]] = {each: [] for each in servers}
    for _ in range(scene.given.rounds):
        for each, (process, load) in servers.items():
            before = process.seconds()
            took = load.run(2.0)
            cpu = process.seconds() - before
            figures[each].append((load.answers / took, 1e6 * cpu / load.answers, load.octets / took / 1e6))
    for each, found in figures.items():
        rate, cost, octets = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name}, {each:5}: {rate:8,.0f} answers/s, {cost:7,.1f} us of CPU an answer, {octets:,.0f} MB/s")
    pairs = list(zip(*figures.values(), strict=True))
    ratios = [statistics.median(ours[n] / theirs[n] for ours, theirs in pairs) for n in (0, 1)]
    print(f"{name}, hub / nginx: {ratios[0]:.3f} of its answers/s, {ratios[1]:.1f} times its CPU", flush=True)


ACTS: dict[str, Callable[[Scene], None]] = {
    "rest": rest, "payment": payment, "stream": stream, "reports": reports, "restart": restart, "churn": churn,
    "kill": kill, "nginx": nginx,
}  # fmt: skip


def main() -> None:
    """Print the figures of bench/README.md and docs/fleet.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("edges", 200), ("whole", 8), ("listed", 150_000), ("keys", 20_000), ("seconds", 60),
                        ("payments", 20), ("stream", 30), ("rounds", 5)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    os.environ["MALLOC_ARENA_MAX"] = "2"  # as the unit has it
    if 1 in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory(prefix="edged-hub-") as folder:
        scene = Scene(given, Path(folder))
        began = time.monotonic()
        with scene.running():
            wait(120, "the hub serves", lambda: scene.listed() == given.listed)
            took = time.monotonic() - began
            print(f"{given.listed:,} listed, {given.keys:,} keys; the hub serves after {took:.1f} s")
            memory(scene, "with its lists, and no edge")
            herd(scene, "all edges start, no page is made yet")
            for part in given.parts:
                ACTS[part](scene)


if __name__ == "__main__":
    main()
