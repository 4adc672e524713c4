"""Restart edged under load beside a stand-in of systemd, and count what became of every question. A program.

It wants a network namespace of its own (``unshare --net``) and root: the ports are the real ones. ``--forget`` plays a
service manager without a file descriptor store, ``--kill`` ends edged without a word. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import Any

from edged.radius.attributes import attribute
from edged.radius.authenticator import sign_request
from edged.radius.packet import Code, Packet
from edged.values import Secret

ROOT = Path(__file__).resolve().parents[2]
SECRET = Secret("edged-test-secret-0001")
HOST = "portal.example.net"
HERE, BLOCKED, PAYS, LINES = "192.0.2.1", "127.0.2", "127.0.3", 50
"""Lines of a street: the limits for one of them are not what is tried here."""
UPSTREAM, UPSTREAM_SECONDS = ("127.0.0.99", 5399), 0.05
PAGE, FARAWAY = socket.inet_aton(HERE), socket.inet_aton("198.51.100.1")
"""What the blocked are told, and what the upstream says."""
PATIENCE = 20.0
"""Seconds that a client waits; it asks once."""
CONFIG = """\
site: restarts
mode: enforce
enforce: []
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
subscribers: {{networks: ["127.0.0.0/8"]}}
portal:
  url: https://{host}
  addresses: ["{here}"]
  listen: {{http: ["0.0.0.0:80"], https: ["0.0.0.0:443"]}}
  brands: {{default: {{name: Example ISP, phone: "+1 555 0100"}}}}
dns:
  listen: ["0.0.0.0:53", "[::]:53", "{here}:5353"]
  upstreams: ["{upstream[0]}:{upstream[1]}"]
radius:
  auth: ["0.0.0.0:1812"]
  acct: ["0.0.0.0:1813"]
  clients: [{{name: ap, networks: ["127.0.0.0/8"], secret: {secret}}}]
ops: {{socket: {directory}/control.sock}}
"""


def billing() -> str:
    """Every line of the blocked."""
    lines = [
        {"id": str(n), "state": "blocked", "reason": "unpaid", "addresses": [line(BLOCKED, n)]} for n in range(LINES)
    ]
    return json.dumps({"revision": "1", "known": 1000, "subscribers": lines})


def line(street: str, number: int) -> str:
    """The address of one of them."""
    return f"{street}.{1 + number % LINES}"


class Manager:
    """systemd as far as it matters here: it hears, it keeps descriptors, it starts and ends one service."""

    def __init__(self, directory: Path, command: list[str], *, keeps: bool = True) -> None:
        self._command, self._keeps = command, keeps
        self.stored: dict[str, int] = {}
        self.heard: list[str] = []
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._path))
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def _hear(self) -> None:
        message, rights, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
        fds = array("i", b"".join(data for _, kind, data in rights if kind == socket.SCM_RIGHTS)).tolist()
        fields = dict(line.split("=", 1) for line in message.decode().splitlines())
        self.heard += fields
        if fields.get("FDSTORE") == "1" and self._keeps and fds:
            self.stored[fields["FDNAME"]] = fcntl(fds[0], F_DUPFD_CLOEXEC, 200)
        if fields.get("FDSTOREREMOVE") == "1" and fields["FDNAME"] in self.stored:
            os.close(self.stored.pop(fields["FDNAME"]))
        for fd in fds:  # a barrier ends here
            os.close(fd)
        if fields.get("READY") == "1":
            self.ready.set()

    async def start(self) -> None:
        """Start the service with what is kept, and wait until it is ready."""
        self.ready.clear()
        names = list(self.stored)
        environment = {**os.environ, "NOTIFY_SOCKET": str(self._path)}
        if names:
            environment |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        # the process that is to be the service alone knows its own number
        place = (
            "import ctypes,os,sys\n"
            "fds=[int(f) for f in sys.argv[1].split(',') if f]\n"
            "for i,f in enumerate(fds): os.dup2(f,3+i); os.close(f)\n"
            "os.environ['LISTEN_PID']=str(os.getpid())\n"
            # MemoryDenyWriteExecute= (PR_SET_MDWE, Linux 6.3) and NoNewPrivileges= of the unit
            "ctypes.CDLL(None).prctl(65,1,0,0,0); ctypes.CDLL(None).prctl(38,1,0,0,0)\n"
            "os.execv(sys.argv[2],sys.argv[2:])\n"
        )
        numbers = ",".join(str(self.stored[name]) for name in names)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", place, numbers, *self._command,
            cwd=ROOT, env=environment, pass_fds=tuple(self.stored.values()), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(30):
            await self.ready.wait()

    async def end(self, number: int = signal.SIGTERM) -> None:
        """End the service; what is kept stays."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        await self.process.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for fd in self.stored.values():
            os.close(fd)


class Tally:
    """What became of the questions of one kind."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.worst = 0.0

    async def ask(self, question: Callable[[], Awaitable[bool]]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                end = "answered" if await question() else "wrong"
        except ConnectionRefusedError:
            end = "refused"
        except TimeoutError:
            end = "silence"
        except (OSError, EOFError, ssl.SSLError):
            end = "cut"
        self.ends[end] += 1
        if end == "answered":
            self.worst = max(self.worst, time.monotonic() - began)


class Datagrams(asyncio.DatagramProtocol):
    """One socket of a client, connected: an ICMP error is heard."""

    def __init__(self) -> None:
        self.came = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        if not self.came.done():
            self.came.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.came.done():
            self.came.set_exception(exc)


async def exchange(server: tuple[str, int], source: str, octets: bytes) -> bytes:
    """One datagram there, one back, from a port of its own."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, local_addr=(source, 0), remote_addr=server
    )
    try:
        transport.sendto(octets)
        answer: bytes = await protocol.came
        return answer
    finally:
        transport.close()


def query(number: int) -> bytes:
    name = b"\x03www\x07example\x03com\x00"
    return number.to_bytes(2, "big") + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"


def dns(server: str, street: str, port: int = 53) -> Callable[[int], Awaitable[bool]]:
    async def ask(number: int) -> bool:
        asked = query(number)
        answer = await exchange((server, port), line(street, number), asked)
        return answer[:2] == asked[:2] and answer.endswith(PAGE if street == BLOCKED else FARAWAY)

    return ask


async def dns_tcp(number: int) -> bool:
    reader, writer = await asyncio.open_connection(HERE, 53, local_addr=(line(BLOCKED, number), 0))
    try:
        asked = query(number)
        writer.write(len(asked).to_bytes(2, "big") + asked)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        return answer[:2] == asked[:2] and answer.endswith(PAGE)
    finally:
        writer.close()


async def http(number: int) -> bool:
    reader, writer = await asyncio.open_connection(HERE, 80, local_addr=(line(BLOCKED, number), 0))
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
        return (await reader.read()).startswith(b"HTTP/1.1 302")
    finally:
        writer.close()


async def https(number: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        HERE, 443, local_addr=(line(BLOCKED, number), 0), ssl=context, server_hostname=HOST
    )
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()


async def radius_auth(number: int) -> bool:
    asked = sign_request(Packet(Code.STATUS_SERVER, number & 255, os.urandom(16)), SECRET)
    return (await exchange((HERE, 1812), line(PAYS, number), asked))[0] == Code.ACCESS_ACCEPT


async def radius_acct(number: int) -> bool:
    attributes = (
        attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", f"s{number}"),
        attribute("User-Name", "ana"), attribute("Calling-Station-Id", "02-00-5E-10-00-09"),
    )  # fmt: skip
    asked = sign_request(Packet(Code.ACCOUNTING_REQUEST, number & 255, bytes(16), attributes), SECRET)
    return (await exchange((HERE, 1813), line(PAYS, number), asked))[0] == Code.ACCOUNTING_RESPONSE


KINDS: dict[str, tuple[int, Callable[[int], Awaitable[bool]]]] = {
    "dns blocked": (400, dns(HERE, BLOCKED)),
    "dns blocked, wildcard": (100, dns("127.0.0.77", BLOCKED)),
    "dns blocked, one address": (100, dns(HERE, BLOCKED, 5353)),
    "dns relayed": (200, dns(HERE, PAYS)),
    "dns tcp": (100, dns_tcp),
    "http": (50, http),
    "https": (20, https),
    "radius auth": (100, radius_auth),
    "radius acct": (50, radius_acct),
}
"""Questions a second, and how one is asked."""


class Upstream(asyncio.DatagramProtocol):
    """A resolver that takes its time: at every moment some questions are under way."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = data.index(b"\0", 12) + 5
        answer = data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + data[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + FARAWAY
        asyncio.get_running_loop().call_later(UPSTREAM_SECONDS, self.transport.sendto, answer, addr)


async def load(tally: Tally, rate: int, ask: Callable[[int], Awaitable[bool]], over: asyncio.Event) -> None:
    """Ask at a steady pace, whoever answers; the end waits for the last answer."""
    loop, begun, number = asyncio.get_running_loop(), asyncio.get_running_loop().time(), 0
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            number += 1
            group.create_task(tally.ask(lambda n=number: ask(n)))  # type: ignore[misc]
            await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))


def queued() -> tuple[int, int]:
    """Octets that wait at port 53 in the kernel, and datagrams that it dropped there."""
    octets = drops = 0
    for line in Path("/proc/self/net/udp").read_text("ascii").splitlines()[1:]:
        words = line.split()
        if words[1].endswith(":0035"):
            octets, drops = octets + int(words[4].split(":")[1], 16), drops + int(words[-1])
    return octets, drops


async def watch(most: list[int], over: asyncio.Event) -> None:
    while not over.is_set():
        most[:] = [max(old, new) for old, new in zip(most, queued(), strict=True)]
        await asyncio.sleep(0.02)


async def main(arguments: argparse.Namespace) -> None:
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
    subprocess.run(("ip", "address", "add", f"{HERE}/32", "dev", "lo"), check=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "billing.yaml").write_text(billing())
        config = directory / "edged.yaml"
        config.write_text(
            CONFIG.format(directory=directory, host=HOST, here=HERE, upstream=UPSTREAM, secret=SECRET.reveal().decode())
        )
        await asyncio.get_running_loop().create_datagram_endpoint(Upstream, local_addr=UPSTREAM)
        command = [sys.executable, "-m", "edged.cli", "run", "-c", str(config)]
        manager = Manager(directory, command, keeps=not arguments.forget)
        await manager.start()
        async with asyncio.timeout(30):  # until billing has been read for the first time
            while not await dns(HERE, BLOCKED)(1):
                await asyncio.sleep(0.05)
        tallies = {kind: Tally() for kind in KINDS}
        over, most, away = asyncio.Event(), [0, 0], []
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(most, over))
            for kind, (rate, ask) in KINDS.items():
                group.create_task(load(tallies[kind], max(1, rate * arguments.share // 100), ask, over))
            for _ in range(arguments.times):
                await asyncio.sleep(arguments.between)
                began = time.monotonic()
                await manager.end(signal.SIGKILL if arguments.kill else signal.SIGTERM)
                ended = time.monotonic()
                await manager.start()
                away.append([round(ended - began, 3), round(time.monotonic() - ended, 3)])
            await asyncio.sleep(arguments.between)
            over.set()
        stored = sorted(manager.stored)
        await manager.end()
        manager.close()
    facts = {kind: {**tally.ends, "worst_s": round(tally.worst, 2)} for kind, tally in tallies.items()}
    json.dump(
        {"kinds": facts, "away_s": away, "queued_octets": most[0], "dropped": most[1], "stored": stored}, sys.stdout
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forget", action="store_true")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--between", type=float, default=1.0)
    parser.add_argument("--share", type=int, default=100, help="percent of the load")
    asyncio.run(main(parser.parse_args()))
