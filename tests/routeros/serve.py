"""The stand-in as a program: ``python -m tests.routeros.serve --port 8728 --ssl-port 8729``.

It prints one JSON object with its ports when it listens, and serves until it is ended. A line on its standard input is
done: ``fault NAME``, ``mend``, ``reboot``, ``cut``, ``/ip/firewall/address-list/add list=a address=192.0.2.1``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import nullcontext
from ipaddress import IPv4Address
from pathlib import Path

from tests.routeros.faults import FAULTS
from tests.routeros.latency import LATENCIES
from tests.routeros.rest import RestFront, serve_rest
from tests.routeros.sentences import TrapError
from tests.routeros.server import PASSWORD, RouterServer, router, serve

FOREIGN = IPv4Address("198.18.0.0")
"""Where the entries of ``--entries`` begin (RFC 2544's range)."""


def made(given: argparse.Namespace) -> RouterServer:
    """The router that the arguments ask for."""
    server = router(given.version, user=given.user, password=given.password)
    server.host, server.port, server.ssl_port = given.host, given.port, given.ssl_port
    server.latency = LATENCIES[given.latency]
    server.faults |= set(given.fault)
    for number in range(given.entries):
        server.console.hand("/ip/firewall/address-list/add", list="foreign", address=str(FOREIGN + number))
    server.console.track("/ip/firewall/connection", (_connection(number) for number in range(given.connections)))
    return server


def _connection(number: int) -> dict[str, str]:
    ends = {"src-address": str(FOREIGN + number), "dst-address": "203.0.113.80"}
    replies = {f"reply-{end}": address for end, address in zip(ends, reversed(ends.values()), strict=True)}
    return {"protocol": "tcp", "src-port": str(1024 + number % 60_000), "dst-port": "443", **ends, **replies}


def done(server: RouterServer, line: str) -> str:
    """What a line of the standard input came to."""
    match line.split():
        case ["fault", name] if name in FAULTS:
            server.faults.add(name)
        case ["mend"]:
            server.faults.clear()
        case ["reboot"]:
            server.reboot()
        case ["cut"]:
            server.cut()
        case [command, *arguments] if command.startswith("/"):
            try:
                return server.console.hand(command, **dict(pair.split("=", 1) for pair in arguments)) or "done"
            except (TrapError, ValueError) as error:
                return f"trap: {error}"
        case _:
            return f"unknown: {line.strip()}"
    return "done"


async def _lines(server: RouterServer) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(done(server, line.decode()), flush=True)


async def _main(given: argparse.Namespace) -> None:
    server = made(given)
    async with serve(server), serve_rest(server) if given.rest else nullcontext() as front:
        if given.authority:
            given.authority.write_bytes(server.certificates.pem)
        ports = {"port": server.port, "ssl_port": server.ssl_port}
        if isinstance(front, RestFront):
            ports |= {"rest_port": front.port, "rest_ssl_port": front.ssl_port}
        print(json.dumps(ports), flush=True)
        if given.lines:
            await _lines(server)
        else:
            await asyncio.Event().wait()


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--ssl-port", type=int, default=0)
    arguments.add_argument("--version", default="7.18.2")
    arguments.add_argument("--user", default="edged")
    arguments.add_argument("--password", default=PASSWORD)
    arguments.add_argument("--latency", choices=sorted(LATENCIES), default="none")
    arguments.add_argument("--fault", choices=sorted(FAULTS), action="append", default=[])
    arguments.add_argument("--entries", type=int, default=0, help="foreign entries that are there already")
    arguments.add_argument("--connections", type=int, default=0, help="of others, that it tracks")
    arguments.add_argument("--rest", action="store_true", help="answer its REST API too, on ports of its own")
    arguments.add_argument("--authority", type=Path, help="where to write what a client must trust")
    arguments.add_argument("--lines", action="store_true", help="do what the standard input says, and end with it")
    return arguments.parse_args()


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))
