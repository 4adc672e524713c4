"""DNS over TCP with idle connections open, against Debian's dnsmasq and unbound in one run.

    .venv/bin/python bench/dns_tcp.py [rounds]

How long a new client and a UDP client wait while others hold connections and say nothing, how many of those silence a
server, and answers a second over TCP. Each server on CPU 0, the clients on CPU 1; they take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dns_answers import blocked, free_port, pinned, sinkhole_on  # noqa: E402  # after the path
from edged.model import State, Subscriber  # noqa: E402
from edged.policy.settings import GardenSettings  # noqa: E402
from edged.values import Prefix  # noqa: E402

QUERY = bytes.fromhex("000101000001000000000000 0377777707657861 6d706c6503636f6d 0000010001")
HOLDERS = 125
"""Clients among whom the idle connections are spread, 127.0.1.1 and on."""
LADDER = (0, 10, 20, 30, 50, 100, 150, 300, 500, 1000, 4000)
PATIENCE = 3.0
"""Seconds after which a stub has given up."""
ASKED = 40
_IP_BIND_ADDRESS_NO_PORT = 24


@dataclass
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]
    udp: dict[int, list[float]] = field(default_factory=dict)
    tcp: dict[int, list[float]] = field(default_factory=dict)
    silent: list[int] = field(default_factory=list)
    """The fewest idle connections with which a new client got nothing, by round."""
    rates: list[float] = field(default_factory=list)


async def serve(port: int) -> None:
    """edged's own service; the clients are blocked subscribers."""
    lines = [Subscriber(str(n), State.BLOCKED, addresses=(Prefix(4, 0x7F000100 + n, 32),)) for n in range(256)]
    lines.append(Subscriber("client", State.BLOCKED, addresses=(Prefix(4, 0x7F000000, 24),)))
    service = sinkhole_on(port, blocked(*lines), GardenSettings())
    await service.start()
    await service.run()


def unbound_conf(folder: Path, port: int) -> Path:
    path = folder / "unbound.conf"
    path.write_text(
        f'server:\n  interface: 127.0.0.1@{port}\n  access-control: 127.0.0.0/8 allow\n  chroot: ""\n  username: ""\n'
        f'  directory: "{folder}"\n  pidfile: ""\n  use-syslog: no\n  num-threads: 1\n  do-daemonize: no\n'
        '  local-zone: "." redirect\n  local-data: ". A 203.0.113.10"\n  local-data: ". AAAA 2001:db8::10"\n',
        "ascii",
    )
    return path


def start(folder: Path) -> list[Server]:
    ours, dnsmasq, unbound = (free_port() for _ in range(3))
    commands = {
        "edged": (ours, [sys.executable, __file__, "--serve", str(ours)]),
        "dnsmasq": (
            dnsmasq,
            [shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", "--keep-in-foreground", f"--port={dnsmasq}",
             "--listen-address=127.0.0.1", "--bind-interfaces", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
             "--address=/#/203.0.113.10", "--local=/#/", "--pid-file="],
        ),
        "unbound": (
            unbound,
            [shutil.which("unbound") or "/usr/sbin/unbound", "-d", "-c", str(unbound_conf(folder, unbound))],
        ),
    }  # fmt: skip
    return [
        Server(name, port, subprocess.Popen([*pinned(0), *command], stderr=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL))
        for name, (port, command) in commands.items()
    ]  # fmt: skip


def ask_udp(server: Server, patience: float = PATIENCE) -> float | None:
    """Seconds until the answer; None: there was none."""
    begun = time.perf_counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(("127.0.0.1", server.port))
            sock.send(QUERY)
            sock.recv(512)
        except OSError:
            return None
    return time.perf_counter() - begun


def ask_tcp(server: Server, patience: float = PATIENCE) -> float | None:
    """The same of a new client over TCP."""
    begun = time.perf_counter()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(("127.0.0.1", server.port))
            sock.send(len(QUERY).to_bytes(2) + QUERY)
            if not sock.recv(512):
                return None
        except OSError:
            return None
    return time.perf_counter() - begun


@contextlib.contextmanager
def idle(server: Server, count: int, clients: int) -> Iterator[None]:
    """``count`` connections of ``clients`` addresses that say nothing; where the server takes no more, they wait."""
    held: list[socket.socket] = []
    try:
        for n in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(sock)
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.1.{1 + n % clients}", 0))
            sock.connect_ex(("127.0.0.1", server.port))
            if n % 50 == 49:
                time.sleep(0.02)
        time.sleep(0.3)
        yield
    finally:
        for sock in held:
            sock.close()


def recover(server: Server) -> None:
    for _ in range(200):
        if ask_tcp(server, 0.5) is not None:
            return
        time.sleep(0.2)
    raise SystemExit(f"{server.name} answers no more over TCP")


def climb(server: Server, clients: int) -> None:
    """Up the ladder until a new client gets no answer."""
    for count in LADDER:
        with idle(server, count, clients):
            first = [ask_tcp(server) for _ in range(2)]
            if None not in first:
                server.tcp.setdefault(count, []).extend(t for _ in range(ASKED) if (t := ask_tcp(server)) is not None)
            server.udp.setdefault(count, []).extend(t for _ in range(ASKED) if (t := ask_udp(server)) is not None)
        if None in first:
            server.silent.append(count)
            recover(server)
            return
        recover(server)


def show(title: str, servers: list[Server]) -> None:
    print(f"\n{title}: median us of a UDP query / of a new TCP client (times as long as with none)")
    print(f"  {'idle':>5}  " + "".join(f"{server.name:^32}" for server in servers))
    for count in LADDER:
        cells = []
        for server in servers:
            if not server.tcp.get(count):
                cells.append(f"{'silent' if server.silent and count >= min(server.silent) else '':^32}")
                continue
            pair = []
            for times in (server.udp, server.tcp):
                now, calm = statistics.median(times[count]), statistics.median(times[0])
                pair.append(f"{1e6 * now:6.0f} ({now / calm:4.1f})")
            cells.append(f"{' / '.join(pair):^32}")
        print(f"  {count:5}  " + "".join(cells))


def dnsperf(server: Server, data: Path) -> None:
    said = subprocess.run(
        [*pinned(1), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(data), "-l", "2", "-m", "tcp",
         "-c", "10", "-T", "1", "-q", "200"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    match = re.search(r"Queries per second:\s+([\d.]+)", said)
    server.rates.append(float(match[1]) if match else 0.0)


def compare(servers: list[Server], rounds: int, data: Path) -> None:
    for clients in (HOLDERS, 1):
        for server in servers:
            server.udp, server.tcp, server.silent = {}, {}, []
        for _ in range(rounds):
            for server in servers:
                climb(server, clients)
        show(f"idle connections of {clients} clients" if clients > 1 else "idle connections of one client", servers)
    for _ in range(rounds):
        for server in servers:
            recover(server)
            dnsperf(server, data)
    print("\nanswers a second over 10 TCP connections, 200 outstanding, medians")
    for server in servers:
        print(f"  {server.name:8} {statistics.median(server.rates):9,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--serve", type=int)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "queries"
        data.write_text("".join(f"www.host{i:04d}.example.com A\n" for i in range(5000)), "ascii")
        servers = start(Path(name))
        try:
            for server in servers:
                recover(server)
            compare(servers, arguments.rounds, data)
        finally:
            for server in servers:
                server.process.terminate()
            for server in servers:
                server.process.wait()


if __name__ == "__main__":
    main()
