"""A new client among thousands that hold connections and say nothing, or half of it, against nginx in one run.

    PYTHONPATH=. .venv/bin/python bench/captive_crowd.py [connections ...]

A third of them idle, a third with half a request head, a third with half a ClientHello, each from an address of its own
in 127.0.0.0/8, opened again as soon as the server ends them (edged does after 5 and 10 s). Meanwhile new clients, one
at a time: connect, ask, read to the end. Each server on CPU 0, the crowd and the clients on CPU 1; nginx with one
worker and worker_connections 32768. What is held is counted in the server: neither can hold more than its limit of
descriptors (`ulimit -Hn`), and the crowd is in three processes because of its own.
"""

from __future__ import annotations

import argparse
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.captive_redirects import PROBE, servers, start  # noqa: E402  # after the path
from bench.captive_tls import hello  # noqa: E402
from bench.dns_answers import Server, pinned  # noqa: E402

LADDER = (0, 10_000, 19_000, 20_000)
KINDS = {"idle": (0, b""), "half a head": (0, PROBE[:60]), "half a hello": (1, hello("www.example.com")[:200])}
"""To which port, the first octets."""
ASKED = 800
PAUSE = 0.015
"""Seconds between two of them: together they last longer than edged's patience, so that all ends fall among them."""
PATIENCE = 3.0
"""Seconds after which a new client has given up."""
_IP_BIND_ADDRESS_NO_PORT = 24


def dialled(port: int, number: int) -> socket.socket:
    """A connection on its way, from the address of that number."""
    sock = socket.socket()
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((socket.inet_ntoa((0x7F010000 + number).to_bytes(4)), 0))
    sock.connect_ex(("127.0.0.1", port))
    return sock


def hold(port: int, kind: str, count: int) -> None:
    """Hold ``count`` connections of a kind, for ever."""
    offset, octets = KINDS[kind]
    first = 100_000 * (1 + list(KINDS).index(kind))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    epoll, held = select.epoll(), {}

    def begin(number: int) -> None:
        sock = dialled(port + offset, first + number)
        held[sock.fileno()] = sock, number
        epoll.register(sock, select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)

    for number in range(count):
        begin(number)
        if number % 100 == 99:
            time.sleep(0.02)  # slower than a backlog fills
    while True:
        for descriptor, events in epoll.poll():
            sock, number = held[descriptor]
            if events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                del held[descriptor]
                sock.close()
                begin(number)
            elif octets:
                sock.send(octets)
                epoll.modify(descriptor, select.EPOLLRDHUP | select.EPOLLET)


def asked(port: int, question: bytes, number: int) -> float:
    """Milliseconds until a new client has its whole answer; the patience when it has none."""
    began = time.perf_counter()
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.bind((socket.inet_ntoa((0x7F010000 + number).to_bytes(4)), 0))
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(question)
            answer = b""
            while octets := sock.recv(4096):
                answer += octets
        except OSError:
            answer = b""
    return 1e3 * (time.perf_counter() - began) if answer else 1e3 * PATIENCE


def memory(server: Server) -> float:
    """Resident MB of the server."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def held_by(server: Server) -> int:
    """Descriptors that are open in the server."""
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def beside(server: Server, count: int) -> str:
    """One row: ``count`` connections, and how new clients fare."""
    command = [*pinned(1), sys.executable, __file__, "--hold", str(server.port)]
    alone, before = held_by(server), memory(server)
    crowd = [subprocess.Popen([*command, kind, str(count // len(KINDS))]) for kind in KINDS] if count else []
    try:
        until = time.monotonic() + 30
        while held_by(server) - alone < 0.99 * count and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(2.0)
        most = held_by(server) - alone
        asking = {"redirect": (0, PROBE), "alert": (1, hello("www.example.com"))}
        times: dict[str, list[float]] = {name: [] for name in asking}
        began, spent = time.monotonic(), server.seconds()
        for number in range(ASKED):
            time.sleep(PAUSE)
            name = list(asking)[number % 2]
            offset, question = asking[name]
            times[name].append(asked(server.port + offset, question, 1000 + number))
        resident, busy = memory(server), (server.seconds() - spent) / (time.monotonic() - began)
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    row = f"  {server.name:6} {count:6,} wanted, {most:6,} held, {resident:6.1f} MB (+{resident - before:.1f}),"
    row += f" CPU {100 * busy:.0f} %;"
    for name, taken in times.items():
        late = statistics.quantiles(taken, n=100)[98]
        silent = sum(each >= 1e3 * PATIENCE for each in taken)
        row += f" {name} {statistics.median(taken):.2f} ms, p99 {late:.1f}, worst {max(taken):.1f}, {silent} silent;"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("connections", nargs="*", type=int, default=LADDER)
    parser.add_argument("--hold", nargs=3)
    arguments = parser.parse_args()
    if arguments.hold:
        port, kind, count = arguments.hold
        hold(int(port), kind, int(count))
        return
    print(f"limit of descriptors: {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,}")
    for count in arguments.connections:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            edged, _, nginx = servers(folder)
            for server in (edged, nginx):
                start(server, folder)
                try:
                    print(beside(server, count), flush=True)
                finally:
                    server.stop()


if __name__ == "__main__":
    main()
