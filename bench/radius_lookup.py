# SPDX-License-Identifier: Apache-2.0
"""RADIUS requests: edged's whole key server against Debian's FreeRADIUS with ``files``, in one run.

Both know 10,000 MACs, verify the Message-Authenticator of each request and answer with Tunnel-Password, the VLAN trio
and a Message-Authenticator. The load is bench/radius_load.c, one access point with 32 requests outstanding, or one;
rounds alternate, CPU time is what the scheduler accounts to the process. FreeRADIUS has its default pool of threads.
edged runs twice, with its compiled part and without; what FreeRADIUS `files` has no like of is measured of edged alone.

    PYTHONPATH=. python bench/radius_lookup.py [--rounds 7] [--seconds 1]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

from edged.arrows import Accounting
from edged.model import Key
from edged.mpsk.eapol import parse_message_2
from edged.mpsk.service import MpskService
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import Handshake, challenge_of, mic_of
from edged.policy.access import View
from edged.policy.sessions import Roster
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import Attribute, Attributes, attribute, long_extended
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.hiding import hide_password
from edged.radius.packet import Code, Packet, decode
from edged.radius.service import RadiusService
from edged.radius.settings import RadiusSettings
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import KeyStore
from edged.state.sealing import Seal
from edged.state.sessions import SessionStore
from edged.values import Secret, mac_octets, parse_mac

ROOT = Path(__file__).resolve().parent.parent
SECRET = Secret("edged-bench-secret-0001")
MACS = 10_000
STATIONS = 1000
"""Devices whose key is a PMK, so that none has to be derived: they bring a handshake."""
WINDOW = 32
PACKETS = 20_480  # a multiple of 256: every identifier returns with another authenticator
MAC_TEXTS = [f"02{number:010x}" for number in range(MACS)]
STATION_TEXTS = [f"06{number:010x}" for number in range(STATIONS)]
BSSID = "34-EF-B6-AF-48-9E"
RSNE = bytes.fromhex("30140100000fac040100000fac040100000fac020000")


def passphrase(number: int) -> str:
    return f"resident-{number:05d}-key"


def pmk(number: int) -> bytes:
    return sha256(f"station {number}".encode()).digest()


def vlan(number: int) -> int:
    return 100 + number % 3000


# --------------------------------------------------------------------------------------------- the servers


async def key_server(home: Path) -> tuple[MpskService, Database]:
    """The real one: keys sealed in SQLite, each registered for one MAC."""
    networks = MpskSettings.model_validate({"networks": {"Residence": {}}})
    database = Database(home / "edged.sqlite")
    await database.open()
    current = Current(View(compile_table(None, SubscribersSettings())))
    service = MpskService(networks, store=KeyStore(database, Seal(Secret(bytes(32)))), current=current)
    keys = [
        Key(mac, "Residence", Secret(passphrase(number)), vlan=vlan(number), devices=(parse_mac(mac),))
        for number, mac in enumerate(MAC_TEXTS)
    ]
    # a key of 64 hexadecimal digits is the PMK: deriving 10,000 takes half a minute, and a look-up by MAC needs none
    stations = [
        Key(mac, "Residence", Secret(pmk(number).hex()), vlan=vlan(number), devices=(parse_mac(mac),))
        for number, mac in enumerate(STATION_TEXTS)
    ]
    await service.replace_billing(stations)
    await service.derive()
    await service.replace_billing([*keys, *stations])
    return service, database


async def serve_edged(auth: int, acct: int, home: Path) -> None:
    settings = RadiusSettings.model_validate(
        {
            "auth": [f"127.0.0.1:{auth}"],
            "acct": [f"127.0.0.1:{acct}"],
            "clients": [{"name": "bench", "networks": ["127.0.0.0/8"], "secret": SECRET}],
        }
    )
    keys, database = await key_server(home)
    accounting = Accounting(SessionStore(database), Roster(), lambda _: None)
    service = RadiusService(settings, authorize=keys.authorize, account=accounting.account)
    await service.start()
    gc.collect()
    gc.freeze()  # as the daemon does
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


# ---------------------------------------------------------------------------------------------- the requests


class Prepared(NamedTuple):
    """Requests signed in advance, and the file that the load generator reads."""

    octets: list[bytes]
    path: Path


def dashed(mac: str) -> str:
    return "-".join(mac[at : at + 2] for at in range(0, 12, 2)).upper()


def by_mac(mac: str, authenticator: bytes) -> Attributes:
    return (
        attribute("User-Name", mac),
        Attribute(2, hide_password(Secret(mac), SECRET, authenticator)),
        attribute("Called-Station-Id", f"{BSSID}:Residence"),
        attribute("NAS-Port-Type", 19),
        attribute("Calling-Station-Id", dashed(mac)),
        attribute("Connect-Info", "CONNECT 11Mbps 802.11b"),
    )


def look_up(random: Random, _number: int, authenticator: bytes) -> Attributes:
    return by_mac(random.choice(MAC_TEXTS), authenticator)


def never_the_same(random: Random, number: int, authenticator: bytes) -> Attributes:
    """An access point that puts something new into every request."""
    return (*look_up(random, number, authenticator), attribute("Acct-Session-Id", f"{number:016X}"))


def proxied(random: Random, number: int, authenticator: bytes) -> Attributes:
    return (*look_up(random, number, authenticator), Attribute(33, number.to_bytes(4, "big")))


def handshake(random: Random, _number: int, authenticator: bytes) -> Attributes:
    """hostapd's mode 3: message 2 of a known device."""
    number = random.randrange(STATIONS)
    mac, anonce, snonce = STATION_TEXTS[number], random.randbytes(32), random.randbytes(32)
    body = b"\x02\x01\x0a\0\0" + bytes(7) + b"\x01" + snonce + bytes(48) + len(RSNE).to_bytes(2, "big") + RSNE
    frame = b"\x01\x03" + len(body).to_bytes(2, "big") + body
    addresses = mac_octets(parse_mac(BSSID)), mac_octets(parse_mac(mac))
    challenge = challenge_of(Handshake(*addresses, anonce, parse_message_2(frame), b"Residence"))
    if challenge is None:
        raise SystemExit("no challenge")
    frame = frame[:81] + mic_of(challenge, pmk(number)) + frame[97:]
    return (
        *by_mac(mac, authenticator),
        *long_extended("FreeRADIUS-802.1X-Anonce", anonce),
        *long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", frame),
    )


def session(random: Random, _number: int, _authenticator: bytes) -> Attributes:
    """An interim report of one of 1,000 sessions."""
    number = random.randrange(STATIONS)
    return (
        attribute("Acct-Status-Type", 3),
        attribute("Acct-Session-Id", f"{number:016X}"),
        attribute("User-Name", STATION_TEXTS[number]),
        attribute("Calling-Station-Id", dashed(STATION_TEXTS[number])),
        attribute("Acct-Session-Time", 600),
        attribute("Acct-Input-Octets", random.randrange(1 << 31)),
        attribute("Acct-Output-Octets", random.randrange(1 << 31)),
    )


Build = Callable[[Random, int, bytes], Attributes]


def prepare(home: Path, build: Build, code: Code = Code.ACCESS_REQUEST) -> Prepared:
    random = Random(1)
    octets = []
    for number in range(PACKETS):
        authenticator = random.randbytes(16)
        packet = Packet(code, number & 0xFF, authenticator, build(random, number, authenticator))
        octets.append(sign_request(packet, SECRET))
    path = home / f"requests-{build.__name__}"
    path.write_bytes(b"".join(len(one).to_bytes(2, "big") + one for one in octets))
    return Prepared(octets, path)


# ------------------------------------------------------------------------------------------------ the run


class Round(NamedTuple):
    rate: float
    """Replies a second."""
    cpu: float
    """The server's own CPU, microseconds a request."""
    p50: float
    """Microseconds."""
    p99: float
    lost: int


class Server:
    """One process under load."""

    def __init__(self, name: str, auth: int, acct: int, command: Sequence[str], **environment: str) -> None:
        self.name, self.ports = name, {Code.ACCESS_REQUEST: auth, Code.ACCOUNTING_REQUEST: acct}
        self.process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)

    def seconds(self) -> float:
        """CPU time of the process so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self, request: bytes) -> None:
        """Until it answers its first request; at most a minute."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", self.ports[Code.ACCESS_REQUEST]))
            for _ in range(300):
                with suppress(OSError):
                    sock.send(request)
                    reply = decode(sock.recv(4096))
                    print(f"{self.name}: {reply.code.name}, {len(reply.attributes)} attributes")
                    return
                time.sleep(0.1)
        raise SystemExit(f"{self.name} did not start")

    def turn(self, load: Path, prepared: Prepared, code: Code, window: int, seconds: float) -> Round:
        samples = load.with_name("samples")
        command = [str(load), str(self.ports[code]), str(seconds), str(window), str(samples)]
        before = self.seconds()
        with prepared.path.open("rb") as requests:
            out = subprocess.run(command, stdin=requests, capture_output=True, check=True).stdout
        used = self.seconds() - before
        done, other, lost, p50, p99 = map(int, out.split())
        if other:
            raise SystemExit(f"{self.name}: {other} of {done} replies are of another kind")
        if not done:
            return Round(0.0, math.inf, math.inf, math.inf, lost)
        verify(prepared, samples.read_bytes())
        return Round(done / seconds, used / done * 1e6, p50 / 1000, p99 / 1000, lost)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def verify(prepared: Prepared, samples: bytes) -> None:
    """Every sampled reply answers its request."""
    position = 0
    while position < len(samples):
        number, length = (
            int.from_bytes(samples[position : position + 4]),
            int.from_bytes(samples[position + 4 : position + 6]),
        )
        reply = samples[position + 6 : position + 6 + length]
        if not reply_is_authentic(reply, prepared.octets[number][4:20], SECRET):
            raise SystemExit("a reply was not authentic")
        position += 6 + length


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compare(title: str, servers: Sequence[Server], rounds: int, turn: Callable[[Server], Round]) -> None:
    done: dict[str, list[Round]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 else reversed(servers):
            done[server.name].append(turn(server))
    print(f"\n{title}; medians of {rounds} rounds\n{'':22} requests/s   (best)  CPU us   p50 us   p99 us  lost")
    for name, mine in done.items():
        rate, cpu, p50, p99 = (statistics.median(figure) for figure in list(zip(*mine, strict=True))[:4])
        best, lost = max(one.rate for one in mine), sum(one.lost for one in mine)
        print(f"{name:22} {rate:10,.0f} {best:8,.0f} {cpu:7.1f} {p50:8.0f} {p99:8.0f} {lost:5}")
    if "freeradius" in done:
        pairs = list(zip(done["edged"], done["freeradius"], strict=True))
        ratios = [statistics.median(ours[i] / theirs[i] for ours, theirs in pairs) for i in range(4)]
        print(
            "edged / freeradius, median of pairs: requests/s {:.2f}, CPU {:.2f}, p50 {:.2f}, p99 {:.2f}".format(*ratios)
        )


def started(home: Path) -> list[Server]:
    servers = []
    for name, native in (("edged", "1"), ("edged, not compiled", "0")):
        auth, acct, folder = free_port(), free_port(), home / f"edged-{native}"
        folder.mkdir()
        command = [sys.executable, __file__, "--serve", str(auth), str(acct), str(folder)]
        servers.append(Server(name, auth, acct, command, EDGED_NATIVE=native))
    if (binary := shutil.which("freeradius") or shutil.which("radiusd")) is None:
        print("freeradius is not installed: edged alone")
        return servers
    port = free_port()
    write_freeradius(home, port)
    return [*servers, Server("freeradius", port, 0, [binary, "-f", "-d", str(home)])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="", help="part of the title of what to measure")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        auth, acct, folder = options.serve
        asyncio.run(serve_edged(int(auth), int(acct), Path(folder)))
        return
    with tempfile.TemporaryDirectory(prefix="radius-bench-") as name:
        home = Path(name)
        load = home / "radius_load"
        subprocess.run(["cc", "-O2", "-o", str(load), str(ROOT / "bench" / "radius_load.c")], check=True)
        servers = started(home)
        ours = servers[:2]
        try:
            plain = prepare(home, look_up)
            for server in servers:
                server.wait(plain.octets[0])
            access, account = Code.ACCESS_REQUEST, Code.ACCOUNTING_REQUEST
            for title, held, prepared, code, window in (
                ("MAC look-up, 32 outstanding", servers, plain, access, WINDOW),
                ("MAC look-up, 1 outstanding", servers, plain, access, 1),
                ("MAC look-up, no two alike, 32 outstanding", servers, prepare(home, never_the_same), access, WINDOW),
                ("MAC look-up through a proxy, 32 outstanding", servers, prepare(home, proxied), access, WINDOW),
                ("handshake of a known device, 32 outstanding", ours, prepare(home, handshake), access, WINDOW),
                ("accounting, durable, 32 outstanding", ours, prepare(home, session, account), account, WINDOW),
            ):

                def turn(server: Server, given: Prepared = prepared, kind: Code = code, out: int = window) -> Round:
                    return server.turn(load, given, kind, out, options.seconds)

                if options.only not in title:
                    continue
                for server in held:  # what is learned and remembered is learned now
                    turn(server)
                compare(title, held, options.rounds, turn)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
