"""The sinkhole against dnsmasq, unbound and BIND in one interleaved run: CPU per answer, answers a second, latency.

    PYTHONPATH=. .venv/bin/python bench/dns_answers.py [rounds]

Each server in its own process on CPU 0, the load on CPU 1; they take turns of a second. The CPU figure is what the
scheduler accounts to the server. The load is bench/dns_load.c, which sends batches (128 queries outstanding); latency
is dnsperf's at 2,000 queries a second. edged runs twice: with the compiled path and without.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edged.dns.service import DnsService  # noqa: E402  # after the path
from edged.dns.settings import DnsSettings  # noqa: E402
from edged.model import Snapshot, State, Subscriber  # noqa: E402
from edged.policy.access import View  # noqa: E402
from edged.policy.settings import GardenSettings, SubscribersSettings  # noqa: E402
from edged.policy.table import compile_table  # noqa: E402
from edged.state.current import Current  # noqa: E402
from edged.values import Prefix, parse_prefix  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
SUBSCRIBERS = 100_000
GARDEN_NAMES = 500
REPEATED, UNIQUE = 10_000, 400_000
OUTSTANDING = 128
CLIENTS = 1000
QTYPES = [1] * 13 + [28] * 5 + [65] * 2
"""65 % A, 25 % AAAA, 10 % HTTPS."""
OPT = bytes.fromhex("00 0029 04d0 00000000 0000")


@dataclass
class Server:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    pid: int = 0
    stop: Callable[[], object] = field(default=lambda: None)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def start(self, port: int, folder: Path) -> None:
        self.port = port
        command = [part.format(port=port, folder=folder) for part in self.command]
        with (folder / f"{self.name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*pinned(0), *command], stdout=log, stderr=log, env={**os.environ, **self.environment}
            )
        self.pid, self.stop = process.pid, lambda: end(process)

    def seconds(self) -> float:
        """CPU time of the process so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def median(self, figure: str) -> float:
        return statistics.median(self.figures[figure])


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def sinkhole_on(port: int, current: Current, garden: GardenSettings) -> DnsService:
    """edged's own service without limits worth the name, and with garden sets that take anything."""
    most = {"per_subscriber": 1_000_000_000, "per_prefix": 1_000_000_000}

    async def admit(_: object) -> None:
        return

    return DnsService(
        DnsSettings.model_validate({"listen": [f"127.0.0.1:{port}"], "limit": most}),
        garden,
        portal_host="portal.example.net",
        portal_addresses=(ip_address("203.0.113.10"), ip_address("2001:db8::10")),
        current=current,
        admit=admit,
    )


def blocked(*lines: Subscriber) -> Current:
    """A policy under which these lines are all there are, somewhere in 127.0.0.0/8."""
    served = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8"]})
    return Current(View(compile_table(Snapshot("bench", "1", 0.0, lines), served)))


def hundred_thousand() -> tuple[Subscriber, ...]:
    """Blocked subscribers from 127.1.0.0 on."""
    each = ((str(number), (Prefix(4, 0x7F010000 + number, 32),)) for number in range(SUBSCRIBERS))
    return tuple(Subscriber(name, State.BLOCKED, addresses=addresses) for name, addresses in each)


async def serve(port: int) -> None:
    """Everything blocked, a real table of subscribers, a real garden."""
    client = Subscriber("client", State.BLOCKED, addresses=(parse_prefix("127.0.0.1"),))
    garden = GardenSettings.model_validate({"names": [f"*.garden{i}.example" for i in range(GARDEN_NAMES)]})
    service = sinkhole_on(port, blocked(client, *hundred_thousand()), garden)
    await service.start()
    await service.run()


UNBOUND = """server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
  local-zone: "." redirect
  local-data: ". 5 IN A 203.0.113.10"
  local-data: ". 5 IN AAAA 2001:db8::10"
"""
NAMED = """options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; pid-file none; session-keyfile none; }};
controls {{ }};
zone "." {{ type primary; file "{folder}/root.zone"; }};
"""
ROOT_ZONE = """$TTL 5
. SOA . . 1 3600 600 86400 5
. NS ns.
* A 203.0.113.10
* AAAA 2001:db8::10
"""


def servers() -> list[Server]:
    own = [sys.executable, __file__, "--serve", "{port}"]
    dnsmasq = [
        shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", "--keep-in-foreground", "--port={port}",
        "--listen-address=127.0.0.1", "--bind-interfaces", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
        "--address=/#/203.0.113.10", "--address=/#/2001:db8::10", "--local=/#/", "--pid-file=",
    ]  # fmt: skip
    return [
        Server("edged", own),
        Server("edged, Python", own, {"EDGED_NATIVE": "0"}),
        Server("dnsmasq", dnsmasq),
        Server("unbound", [shutil.which("unbound") or "/usr/sbin/unbound", "-d", "-c", "{folder}/unbound.conf"]),
        Server("BIND", [shutil.which("named") or "/usr/sbin/named", "-f", "-n", "1", "-c", "{folder}/named.conf"]),
    ]


def free_port() -> int:
    """A port that is free for UDP and TCP, below those that the kernel gives to clients."""
    for port in random.sample(range(20_000, 30_000), 100):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
        ):
            try:
                datagrams.bind(("127.0.0.1", port))
                streams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit("no free port")


def pinned(cpu: int) -> list[str]:
    usable = shutil.which("taskset") and cpu in os.sched_getaffinity(0)
    return ["taskset", "-c", str(cpu)] if usable else []


def start(server: Server, folder: Path) -> None:
    port = free_port()
    (folder / "unbound.conf").write_text(UNBOUND.format(port=port, folder=folder), "ascii")
    (folder / "named.conf").write_text(NAMED.format(port=port, folder=folder), "ascii")
    (folder / "root.zone").write_text(ROOT_ZONE, "ascii")
    server.start(port, folder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        for _ in range(200):
            try:
                sock.sendto(query(0), ("127.0.0.1", port))
                sock.recv(512)
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise SystemExit(f"{server.name} does not answer:\n" + (folder / f"{server.name}.log").read_text("utf-8"))


def query(number: int, *, edns: bool = False) -> bytes:
    labels = (b"www", b"host%06d" % number, b"example", b"com")
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    head = struct.pack("!6H", number & 0xFFFF, 0x0100, 1, 0, 0, int(edns))
    return head + name + struct.pack("!2H", QTYPES[number % len(QTYPES)], 1) + (OPT if edns else b"")


def messages(path: Path, count: int, *, edns: bool) -> Path:
    with path.open("wb") as file:
        for number in range(count):
            octets = query(number, edns=edns)
            file.write(len(octets).to_bytes(2) + octets)
    return path


def build(folder: Path) -> Path:
    load = folder / "dns_load"
    subprocess.run(["cc", "-O2", "-o", str(load), str(ROOT / "bench" / "dns_load.c")], check=True)
    return load


def saturate(server: Server, load: Path, data: Path, clients: int) -> None:
    before = server.seconds()
    with data.open("rb") as queries:
        command = [
            *pinned(1),
            str(load),
            "127.0.0.1",
            str(server.port),
            "1",
            str(max(OUTSTANDING, clients)),
            str(clients),
        ]
        out = subprocess.run(command, stdin=queries, capture_output=True, check=True).stdout
    done, lost = map(int, out.split())
    server.note("cost", 1e6 * (server.seconds() - before) / done)
    server.note("rate", done)
    server.note("lost", lost)


def at_leisure(server: Server, names: Path) -> None:
    command = [
        *pinned(1), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(names), "-l", "2", "-c", "8",
        "-T", "1", "-Q", "2000",
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Average Latency \(s\):\s+([\d.]+)", out)
    if found is None:
        raise SystemExit(f"dnsperf said nothing of latency:\n{out}")
    server.note("latency", 1e6 * float(found[1]))


def compare(title: str, held: list[Server], rounds: int, turn: Callable[[Server], None], *figures: str) -> None:
    for server in held:
        server.figures.clear()
    for number in range(rounds):
        for server in held if number % 2 else reversed(held):
            turn(server)
    print(f"{title}; {rounds} rounds, medians")
    peer = next(s for s in held if s.name == "dnsmasq")
    for server in held:
        print(f"  {server.name:14}", end="")
        for figure in figures:
            value = server.median(figure)
            unit = "answers/s" if figure == "rate" else "us"
            print(f" {figure} {value:10,.2f} {unit}, of dnsmasq {value / peer.median(figure):5.2f};", end="")
        lost = sum(server.figures.get("lost", ()))
        print(f" {lost:.0f} lost" if lost else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    parser.add_argument("--serve", type=int)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    held = servers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            for server in held:
                start(server, folder)
            load = build(folder)
            names = folder / "names"
            names.write_text("".join(f"www.host{i:06d}.example.com A\n" for i in range(REPEATED)), "ascii")
            for title, count, edns, clients in (
                (f"{REPEATED:,} names over and over", REPEATED, False, 1),
                (f"{REPEATED:,} names over and over, EDNS", REPEATED, True, 1),
                (f"{REPEATED:,} names over and over, {CLIENTS:,} clients", REPEATED, False, CLIENTS),
                ("every name new", UNIQUE, False, 1),
            ):
                data = messages(folder / "messages", count, edns=edns)
                turn = partial(saturate, load=load, data=data, clients=clients)
                compare(title, held, arguments.rounds, turn, "cost", "rate")
            compare("2,000 queries a second", held, arguments.rounds, partial(at_leisure, names=names), "latency")
        finally:
            for server in held:
                server.stop()


if __name__ == "__main__":
    main()
