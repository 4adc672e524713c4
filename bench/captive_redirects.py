"""Redirects of new connections against nginx's `return 302`, in one interleaved run.

    PYTHONPATH=. .venv/bin/python bench/captive_redirects.py [rounds] [--quiet]

Every request comes on a connection of its own, because edged closes each answer under a foreign name; nginx does so
with `keepalive_timeout 0`. Each server in its own process on CPU 0 (nginx with one worker), the load on CPU 1 by
bench/tcp_load.c; they take turns of a second. The CPU figure is what the scheduler accounts to the server. edged runs
twice: as it is, and with a task and aiohttp's protocol for every connection.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dns_answers import TICK, Server, blocked, free_port, hundred_thousand, pinned  # noqa: E402  # after the path
from edged.captive.doors.service import Unanswered  # noqa: E402
from edged.captive.selfsigned import self_signed  # noqa: E402
from edged.captive.service import CaptiveService  # noqa: E402
from edged.captive.settings import PortalSettings  # noqa: E402

HOST = "portal.example.net"
OUTSTANDING = 64
CLIENTS = 50_000
LEISURE = 2000
"""New connections a second while latency is measured."""
PROBE = (
    b"GET /hotspot-detect.html HTTP/1.1\r\nHost: captive.apple.com\r\n"
    b"User-Agent: CaptiveNetworkSupport-443.120.2 wispr\r\nAccept: */*\r\nConnection: close\r\n\r\n"
)
PAGE_LOAD = (
    b"GET /news/today?edition=eu HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; "
    b"rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/"
    b"avif,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\n\r\n"
)
# its server for all names refuses a client without one, so a full handshake has a port of its own
NGINX = """daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.error;
worker_rlimit_nofile {limit};
events {{ worker_connections 32768; }}
http {{
  access_log off; keepalive_timeout 0; server_tokens off; client_header_timeout 10s;
  server {{ listen 127.0.0.1:{port} backlog=4096; return 302 https://portal.example.net/; }}
  server {{ listen 127.0.0.1:{tls} ssl backlog=4096 default_server; ssl_reject_handshake on; }}
  server {{
    listen 127.0.0.1:{own} ssl; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem; ssl_session_cache off;
    return 200 "a page\\n";
  }}
}}
"""


async def serve(port: int, folder: Path, *, by_task: bool) -> None:
    """edged's own service on ``port`` and, with TLS, the next one; 100,000 blocked subscribers from 127.1.0.0 on."""
    listen = {"http": [f"127.0.0.1:{port}"], "https": [f"127.0.0.1:{port + 1}"]}
    certificate = {"chain": str(folder / "chain.pem"), "key": str(folder / "key.pem")}
    settings = PortalSettings.model_validate({"url": f"https://{HOST}", "listen": listen, "certificate": certificate})
    service = CaptiveService(settings, current=blocked(*hundred_thousand()), link_key=bytes(32))
    await service.start()
    if by_task and service._doors is not None:  # noqa: SLF001
        service._doors.at_once = lambda *_: Unanswered.SEAT  # noqa: SLF001
    await service.run()


def servers(folder: Path) -> list[Server]:
    """edged, edged by tasks, nginx; not started."""
    own = [sys.executable, str(ROOT / "bench" / "captive_redirects.py"), "--serve", "{port}", "--folder", "{folder}"]
    chain, key = self_signed(HOST, [ip_address("127.0.0.1")], time.time())
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    nginx = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", "{folder}", "-c", "{folder}/nginx.conf"]
    return [Server("edged", own), Server("edged by tasks", [*own, "--by-task"]), Server("nginx", nginx)]


def start(server: Server, folder: Path) -> None:
    """Start ``server`` and wait until it accepts."""
    port, limit = free_port(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    (folder / "nginx.conf").write_text(
        NGINX.format(port=port, tls=port + 1, own=port + 2, folder=folder, limit=limit), "ascii"
    )
    server.start(port, folder)
    for _ in range(400):
        try:
            for each in (port, port + 1):
                socket.create_connection(("127.0.0.1", each)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{server.name} does not listen:\n" + (folder / f"{server.name}.log").read_text("utf-8"))


def build(folder: Path) -> Path:
    """The load generator, compiled."""
    load = folder / "tcp_load"
    subprocess.run(["cc", "-O2", "-o", str(load), str(ROOT / "bench" / "tcp_load.c")], check=True)
    return load


def loaded(
    load: Path, port: int, question: bytes, seconds: int, *, rate: int = 0, clients: int = CLIENTS
) -> list[float]:
    """Answered, failed, octets of an answer, median, 99th percentile and worst latency in us."""
    outstanding = 8192 if rate else OUTSTANDING
    figures = (port, seconds, outstanding, rate, clients)
    command = [*pinned(1), str(load), "127.0.0.1", *map(str, figures)]
    return [
        float(word) for word in subprocess.run(command, input=question, capture_output=True, check=True).stdout.split()
    ]


def saturated(server: Server, *, load: Path, port: int, question: bytes, clients: int = CLIENTS) -> None:
    """One turn of a second in a closed loop."""
    before = server.seconds()
    answered, failed, *_ = loaded(load, server.port + port, question, 1, clients=clients)
    server.note("rate", answered)
    server.note("cost", 1e6 * (server.seconds() - before) / answered)
    server.note("failed", failed)


def at_leisure(server: Server, *, load: Path, port: int, question: bytes) -> None:
    """One turn of two seconds at a steady rate."""
    answered, failed, _, median, late, worst = loaded(load, server.port + port, question, 2, rate=LEISURE)
    for figure, value in (("median", median), ("p99", late), ("worst", worst), ("failed", failed)):
        server.note(figure, value)
    server.note("failed", max(0.0, 2 * LEISURE * 0.99 - answered))


def busy() -> float:
    """CPU seconds that all of the machine has worked so far."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    return sum(int(fields[at]) for at in (1, 2, 3, 6, 7, 8)) / TICK


def undisturbed(turn: Callable[[Server], None], server: Server) -> None:
    """``turn`` again, at most 30 times, while other processes used more than a tenth of a core during it."""
    for _ in range(30):
        kept = {figure: list(values) for figure, values in server.figures.items()}
        began, machine, own = time.monotonic(), busy(), server.seconds()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        turn(server)
        load = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = server.seconds() - own + load.ru_utime - children.ru_utime + load.ru_stime - children.ru_stime
        if (busy() - machine - ours) / (time.monotonic() - began) < 0.1:
            return
        server.figures = kept
    raise SystemExit("this machine is never quiet; without --quiet the figures are those of a busy one")


UNITS = {"rate": "a second", "cost": "CPU us"}


def compare(title: str, held: list[Server], rounds: int, turn: Callable[[Server], None], *figures: str) -> None:
    """Take turns and print the medians, each beside its ratio to nginx's."""
    for server in held:
        server.figures.clear()
    for number in range(rounds):
        for server in held if number % 2 else reversed(held):
            turn(server)
    print(f"{title}; {rounds} rounds, medians")
    peer = held[-1]
    for server in held:
        print(f"  {server.name:14}", end="")
        for figure in figures:
            value = server.median(figure)
            ratio = value / max(peer.median(figure), 1e-9)
            print(f" {figure} {value:9,.1f} {UNITS.get(figure, 'us')}, of {peer.name}'s {ratio:5.2f};", end="")
        print(f" {sum(server.figures['failed']):.0f} failed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    parser.add_argument("--serve", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--by-task", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="take a turn again when others used the processor")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve, arguments.folder, by_task=arguments.by_task))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held = servers(folder)
        try:
            for server in held:
                start(server, folder)
            load = build(folder)
            for title, question, clients in (
                (f"a connectivity check, {CLIENTS:,} clients", PROBE, CLIENTS),
                (f"a page load, {CLIENTS:,} clients", PAGE_LOAD, CLIENTS),
                ("a connectivity check, all from one client", PROBE, 1),
            ):
                turn = partial(saturated, load=load, port=0, question=question, clients=clients)
                turn = partial(undisturbed, turn) if arguments.quiet else turn
                compare(title, held, arguments.rounds, turn, "rate", "cost")
            turn = partial(at_leisure, load=load, port=0, question=PROBE)
            turn = partial(undisturbed, turn) if arguments.quiet else turn
            compare(f"{LEISURE:,} new connections a second", held, arguments.rounds, turn, "median", "p99", "worst")
        finally:
            for server in held:
                server.stop()


if __name__ == "__main__":
    main()
