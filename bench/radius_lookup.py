# SPDX-License-Identifier: Apache-2.0
"""MAC look-ups over RADIUS: edged's whole key server against Debian's FreeRADIUS with ``files``, in one run.

Both know 10,000 MACs, verify the Message-Authenticator of each request and answer with Tunnel-Password, the
VLAN trio and a Message-Authenticator. A closed loop keeps 32 requests outstanding; rounds alternate.

    python bench/radius_lookup.py [--rounds 4] [--seconds 2.5]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from edged.model import Key
from edged.mpsk.service import MpskService
from edged.mpsk.settings import MpskSettings
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import Attribute, attribute
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.hiding import hide_password
from edged.radius.packet import Code, Packet, decode
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import KeyStore
from edged.state.sealing import Seal
from edged.values import IpAddress, Secret, parse_mac

SECRET = Secret("edged-bench-secret-0001")
MACS = 10_000
WINDOW = 32
PACKETS = 20_480  # a multiple of 256: every identifier returns with another authenticator
MAC_TEXTS = [f"02{number:010x}" for number in range(MACS)]


def passphrase(number: int) -> str:
    return f"resident-{number:05d}-key"


def vlan(number: int) -> int:
    return 100 + number % 3000


# --------------------------------------------------------------------------------------------- the servers


async def key_server(home: Path) -> MpskService:
    """The real one: 10,000 keys sealed in SQLite, each registered for one MAC."""
    networks = MpskSettings.model_validate({"networks": {"Residence": {}}})
    database = Database(home / "edged.sqlite")
    await database.open()
    current = Current(View(compile_table(None, SubscribersSettings())))
    service = MpskService(networks, store=KeyStore(database, Seal(Secret(bytes(32)))), current=current)
    await service.replace_billing(
        [
            Key(mac, "Residence", Secret(passphrase(number)), vlan=vlan(number), devices=(parse_mac(mac),))
            for number, mac in enumerate(MAC_TEXTS)
        ]
    )
    # not run(): deriving 10,000 PMKs takes half a minute, and a look-up by MAC needs none
    return service


def account(_packet: Packet, _client: ClientSettings, _source: IpAddress) -> Awaitable[bool]:
    raise NotImplementedError


async def serve_edged(port: int, home: Path) -> None:
    settings = RadiusSettings.model_validate(
        {
            "auth": [f"127.0.0.1:{port}"],
            "clients": [{"name": "bench", "networks": ["127.0.0.0/8"], "secret": SECRET}],
        }
    )
    keys = await key_server(home)
    service = RadiusService(settings, authorize=keys.authorize, account=account)
    await service.start()
    await service.run()


FREERADIUS_CONFIG = """
name = freeradius
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {home}
run_dir = {home}
raddbdir = {home}
max_requests = 16384
max_request_time = 30
cleanup_delay = 5
hostname_lookups = no
log {{
    destination = files
    file = {home}/radius.log
    auth = no
}}
security {{
    max_attributes = 200
    reject_delay = 0
    status_server = yes
}}
thread pool {{
    start_servers = 5
    max_servers = 32
    min_spare_servers = 3
    max_spare_servers = 10
    max_requests_per_server = 0
}}
modules {{
    files {{
        filename = {home}/users
        key = "%{{User-Name}}"
    }}
}}
client bench {{
    ipaddr = 127.0.0.1
    secret = {secret}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        files
    }}
}}
"""

FREERADIUS_USER = """{mac} Auth-Type := Accept
    Message-Authenticator = 0x00,
    Tunnel-Password = "{passphrase}",
    Tunnel-Type = VLAN,
    Tunnel-Medium-Type = IEEE-802,
    Tunnel-Private-Group-Id = "{vlan}"

"""


def write_freeradius(home: Path, port: int) -> None:
    config = FREERADIUS_CONFIG.format(home=home, port=port, secret=SECRET.reveal_text())
    users = "".join(
        FREERADIUS_USER.format(mac=mac, passphrase=passphrase(number), vlan=vlan(number))
        for number, mac in enumerate(MAC_TEXTS)
    )
    for name, content in (("radiusd.conf", config), ("users", users)):
        (home / name).write_text(content)
        (home / name).chmod(0o640)


# -------------------------------------------------------------------------------------- the load generator


class Request(NamedTuple):
    octets: bytes
    authenticator: bytes


def requests() -> list[Request]:
    """Signed in advance, so that the generator does nothing but send and receive while it measures."""
    random = Random(1)
    built = []
    for number in range(PACKETS):
        mac = random.choice(MAC_TEXTS)
        authenticator = random.randbytes(16)
        dashed = "-".join(mac[at : at + 2] for at in range(0, 12, 2)).upper()
        packet = Packet(
            Code.ACCESS_REQUEST,
            number & 0xFF,
            authenticator,
            (
                attribute("User-Name", mac),
                Attribute(2, hide_password(Secret(mac), SECRET, authenticator)),
                attribute("Called-Station-Id", "34-EF-B6-AF-48-9E:Residence"),
                attribute("NAS-Port-Type", 19),
                attribute("Calling-Station-Id", dashed),
                attribute("Connect-Info", "CONNECT 11Mbps 802.11b"),
            ),
        )
        built.append(Request(sign_request(packet, SECRET), authenticator))
    return built


@dataclass(frozen=True, slots=True)
class Round:
    rate: float
    """Replies a second."""
    cpu: float
    """The server's own CPU, microseconds a request."""
    p50: float
    """Microseconds."""
    p99: float
    lost: int


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Generator:
    """One NAS with a window of outstanding requests."""

    def __init__(self, port: int, prepared: list[Request]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(0)
        self.prepared = prepared
        self.next = 0
        self.sent_at: dict[int, float] = {}
        self.samples: list[tuple[bytes, bytes]] = []

    def send(self) -> None:
        request = self.prepared[self.next % PACKETS]
        self.sent_at[request.octets[1]] = time.perf_counter()
        self.socket.send(request.octets)
        self.next += 1

    def receive(self, latencies: list[float]) -> int:
        """Take every reply that has come; each makes room for one more request."""
        taken = 0
        while True:
            try:
                reply = self.socket.recv(4096)
            except BlockingIOError:
                return taken
            sent = self.sent_at.pop(reply[1], None)
            if sent is None:
                continue
            latencies.append(time.perf_counter() - sent)
            if reply[0] != Code.ACCESS_ACCEPT:
                raise SystemExit("a request was not accepted")
            if len(latencies) % 64 == 0:
                behind = (self.next - 1 - reply[1]) & 0xFF
                self.samples.append((reply, self.prepared[(self.next - 1 - behind) % PACKETS].authenticator))
            taken += 1
            self.send()

    def run(self, seconds: float, pid: int) -> Round:
        latencies: list[float] = []
        lost = 0
        self.sent_at.clear()
        for _ in range(WINDOW):
            self.send()
        started, cpu = time.perf_counter(), cpu_seconds(pid)
        while time.perf_counter() - started < seconds:
            if not select.select([self.socket], [], [], 0.25)[0]:
                lost += len(self.sent_at)
                self.sent_at.clear()
                for _ in range(WINDOW):
                    self.send()
            self.receive(latencies)
        elapsed, used = time.perf_counter() - started, cpu_seconds(pid) - cpu
        latencies.sort()
        for reply, authenticator in self.samples:
            if not reply_is_authentic(reply, authenticator, SECRET):
                raise SystemExit("a reply was not authentic")
        self.samples.clear()
        self.drain()
        done = len(latencies)
        micro = 1e6
        return Round(
            done / elapsed,
            used / done * micro,
            latencies[done // 2] * micro,
            latencies[done * 99 // 100] * micro,
            lost,
        )

    def drain(self) -> None:
        """Let the last replies of a round arrive, so that the next one starts clean."""
        while select.select([self.socket], [], [], 0.05)[0]:
            self.socket.recv(4096)


# ------------------------------------------------------------------------------------------------ the run


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(generator: Generator, name: str) -> None:
    """Until the server answers its first request; at most ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            generator.send()
            if select.select([generator.socket], [], [], 0.1)[0]:
                reply = decode(generator.socket.recv(4096))
                print(f"{name}: {reply.code.name}, {len(reply.attributes)} attributes")
                generator.drain()
                return
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit(f"{name} did not start")


def report(rounds: dict[str, list[Round]]) -> None:
    def median(name: str, field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in rounds[name]))

    print("\nserver       requests/s   (best) CPU us/req   p50 us   p99 us  lost")
    for name, mine in rounds.items():
        best = max(one.rate for one in mine)
        print(
            f"{name:12} {median(name, 'rate'):10,.0f} {best:8,.0f} {median(name, 'cpu'):10.1f} "
            f"{median(name, 'p50'):8.0f} {median(name, 'p99'):8.0f} {sum(one.lost for one in mine):5}"
        )
    if len(rounds) == 2:
        pairs = list(zip(rounds["edged"], rounds["freeradius"], strict=True))
        rate = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
        cpu = statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)
        print(f"\nedged / freeradius (median of pairs): {rate:.2f} x requests/s, {cpu:.2f} x CPU per request")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve_edged(int(options.serve[0]), Path(options.serve[1])))
        return
    ports = {"edged": free_port(), "freeradius": free_port()}
    with tempfile.TemporaryDirectory(prefix="radius-bench-") as home:
        write_freeradius(Path(home), ports["freeradius"])
        commands = {"edged": [sys.executable, __file__, "--serve", str(ports["edged"]), home]}
        if (binary := shutil.which("freeradius") or shutil.which("radiusd")) is not None:
            commands["freeradius"] = [binary, "-f", "-d", home]
        else:
            print("freeradius is not installed: edged alone")
        servers = {name: subprocess.Popen(command) for name, command in commands.items()}
        try:
            prepared = requests()
            generators = {name: Generator(ports[name], prepared) for name in servers}
            for name, generator in generators.items():
                wait_for(generator, name)
            rounds: dict[str, list[Round]] = {name: [] for name in servers}
            for _ in range(options.rounds):
                for name, generator in generators.items():
                    rounds[name].append(generator.run(options.seconds, servers[name].pid))
            report(rounds)
        finally:
            for server in servers.values():
                server.terminate()
            for server in servers.values():
                server.wait(5)


if __name__ == "__main__":
    main()
