"""The sinkhole against Debian's dnsmasq in one interleaved run: answers a second and CPU per answer.

    .venv/bin/python bench/dns_answers.py [rounds]

Each server on CPU 0 in its own process, dnsperf on CPU 1; they take turns of one second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
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
SUBSCRIBERS = 20_000
GARDEN_NAMES = 500
REPEATED, UNIQUE = 10_000, 400_000


@dataclass
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    lost: int = 0

    def ticks(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


async def serve(port: int) -> None:
    """edged's own service: everything blocked, a real table of subscribers, a real garden."""
    others = (Subscriber(str(i), State.BLOCKED, addresses=(Prefix(4, 0x64400000 + i, 32),)) for i in range(SUBSCRIBERS))
    client = Subscriber("client", State.BLOCKED, addresses=(parse_prefix("127.0.0.1"),))
    served = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8", "100.64.0.0/10"]})
    table = compile_table(Snapshot("bench", "1", 0.0, (client, *others)), served)
    listen = {"listen": [f"127.0.0.1:{port}"], "limit": {"per_subscriber": 100_000_000}}
    garden = {"names": [f"*.garden{i}.example" for i in range(GARDEN_NAMES)]}

    async def admit(_: object) -> None:
        return

    service = DnsService(
        DnsSettings.model_validate(listen),
        GardenSettings.model_validate(garden),
        portal_host="portal.example.net",
        portal_addresses=(ip_address("203.0.113.10"), ip_address("2001:db8::10")),
        current=Current(View(table)),
        admit=admit,
    )
    await service.start()
    await service.run()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def pinned(cpu: int) -> list[str]:
    usable = shutil.which("taskset") and cpu in os.sched_getaffinity(0)
    return ["taskset", "-c", str(cpu)] if usable else []


def start() -> list[Server]:
    ours, theirs = free_port(), free_port()
    dnsmasq = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
    commands = {
        "edged": (ours, [sys.executable, __file__, "--serve", str(ours)]),
        "dnsmasq": (
            theirs,
            [dnsmasq, "--keep-in-foreground", f"--port={theirs}", "--listen-address=127.0.0.1",
             "--bind-interfaces", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
             "--address=/#/1.2.3.4",
             "--address=/#/2001:db8::10", "--local=/#/", "--pid-file="],
        ),
    }  # fmt: skip
    return [
        Server(
            name,
            port,
            subprocess.Popen([*pinned(0), *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL),
        )
        for name, (port, command) in commands.items()
    ]


def wait_for(server: Server) -> None:
    query = bytes.fromhex("000101000001000000000000 0377777707657861 6d706c6503636f6d 0000010001")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        for _ in range(100):
            try:
                sock.sendto(query, ("127.0.0.1", server.port))
                sock.recv(512)
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise SystemExit(f"{server.name} does not answer")


def queries(path: Path, count: int) -> Path:
    types = ["A"] * 13 + ["AAAA"] * 5 + ["HTTPS"] * 2
    path.write_text("".join(f"www.host{i:06d}.example.com {types[i % 20]}\n" for i in range(count)), "ascii")
    return path


def turn(server: Server, data: Path, *options: str) -> None:
    before = server.ticks()
    result = subprocess.run(
        [*pinned(1), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(data), "-l", "1",
         "-c", "8", "-T", "1", "-q", "100", *options],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spent = (server.ticks() - before) / TICK
    completed = int(found(r"Queries completed:\s+(\d+)", result.stdout))
    server.lost += int(found(r"Queries lost:\s+(\d+)", result.stdout))
    server.rates.append(float(found(r"Queries per second:\s+([\d.]+)", result.stdout)))
    server.costs.append(1e6 * spent / completed)
    server.latencies.append(1e6 * float(found(r"Average Latency \(s\):\s+([\d.]+)", result.stdout)))


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"dnsperf said nothing that matches {pattern}:\n{text}")
    return match[1]


def compare(title: str, servers: list[Server], data: Path, rounds: int, *options: str) -> None:
    for server in servers:
        server.rates.clear()
        server.costs.clear()
        server.latencies.clear()
        server.lost = 0
    for number in range(rounds):
        for server in servers if number % 2 else reversed(servers):
            turn(server, data, *options)
    print(f"{title}; {rounds} rounds of a second each, medians")
    for server in servers:
        rate, cost = statistics.median(server.rates), statistics.median(server.costs)
        latency = statistics.median(server.latencies)
        print(
            f"  {server.name:8} {rate:9,.0f} answers/s {cost:6.2f} us CPU each {latency:6.0f} us latency",
            end="",
        )
        print(f", {server.lost} lost" if server.lost else "")
    ours, theirs = servers
    cost = statistics.median(ours.costs) / statistics.median(theirs.costs)
    rate = statistics.median(ours.rates) / statistics.median(theirs.rates)
    print(f"  ratio    {rate:9.2f}            {cost:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument("--serve", type=int)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    servers = start()
    try:
        for server in servers:
            wait_for(server)
        with tempfile.TemporaryDirectory() as folder:
            repeated = queries(Path(folder) / "repeated", REPEATED)
            unique = queries(Path(folder) / "unique", UNIQUE)
            compare(f"{REPEATED:,} names over and over", servers, repeated, arguments.rounds)
            compare(
                f"{REPEATED:,} names over and over, EDNS",
                servers,
                repeated,
                max(1, arguments.rounds // 2),
                "-e",
            )
            compare("every name new", servers, unique, arguments.rounds)
    finally:
        for server in servers:
            server.process.terminate()
        for server in servers:
            server.process.wait()


if __name__ == "__main__":
    main()
