"""TLS clients against nginx, in one interleaved run: foreign names turned away, and handshakes on the portal's own.

    PYTHONPATH=. .venv/bin/python bench/captive_tls.py [rounds] [--quiet]

A foreign name gets an alert before any cryptography; nginx does so with `ssl_reject_handshake`. The load is
bench/tcp_load.c with a ClientHello as Python's own client makes it. The handshakes are full ones with the same P-256
certificate, one after another by `openssl s_time -new`, whose own work bounds their rate: the CPU figure is the one to
read. Each server on CPU 0, the load on CPU 1.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import ssl
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.captive_redirects import at_leisure, build, compare, saturated, servers, start, undisturbed  # noqa: E402  # after the path
from bench.dns_answers import Server, pinned  # noqa: E402

SECONDS = 2


def hello(name: str) -> bytes:
    """The ClientHello of Python's client for ``name``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def handshakes(server: Server) -> None:
    """One turn of full handshakes, one after another."""
    before, port = server.seconds(), server.port + (2 if server.name == "nginx" else 1)
    command = [
        *pinned(1),
        "openssl",
        "s_time",
        "-connect",
        f"127.0.0.1:{port}",
        "-new",
        "-time",
        str(SECONDS),
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+) connections in (\d+) real seconds", out)
    if found is None:
        raise SystemExit(f"openssl said nothing of connections:\n{out}")
    done = int(found[1])
    server.note("rate", done / int(found[2]))
    server.note("cost", 1e6 * (server.seconds() - before) / done)
    server.note("failed", 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    parser.add_argument("--quiet", action="store_true", help="take a turn again when others used the processor")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        edged, _, nginx = servers(folder)
        held = [edged, nginx]
        try:
            for server in held:
                start(server, folder)
            load, question = build(folder), hello("www.example.com")
            alerts = partial(saturated, load=load, port=1, question=question)
            leisure = partial(at_leisure, load=load, port=1, question=question)
            for title, turn, *figures in (
                ("alerts to a foreign name", alerts, "rate", "cost"),
                ("2,000 of them a second", leisure, "median", "p99", "worst"),
                ("full handshakes on the portal's own name", handshakes, "rate", "cost"),
            ):
                compare(title, held, rounds, partial(undisturbed, turn) if arguments.quiet else turn, *figures)
        finally:
            for server in held:
                server.stop()


if __name__ == "__main__":
    main()
