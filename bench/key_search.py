# SPDX-License-Identifier: Apache-2.0
"""Which key made this handshake: edged, edged without its compiled part, and FreeRADIUS's rlm_dpsk, in one run.

From the request to the reply over UDP on loopback, the handshake of a device that nobody has seen before. The key is
the last of the list, or none is. rlm_dpsk derives every PMK of its file again for each request: it has few rounds.
`make freeradius` unpacks it into .run/freeradius.

    python bench/key_search.py [--rounds 21] [--peer-rounds 2] [--sizes 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import structlog

from edged.model import Key
from edged.mpsk.keyring import assemble
from edged.mpsk.service import MpskService
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import pmk_of
from edged.native import keysearch
from edged.native.keysearch import CHECKS, MISS, NAME, Challenge, Compiled, Portable
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import Attribute
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.hiding import hide_password
from edged.radius.packet import Code, Packet
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import LOCAL, KeyStore, StoredKey
from edged.state.sealing import Seal
from edged.values import IpAddress, MacAddress, Secret
from tests.mpsk_world import SECRET, SSID, handshake_request, request

ESTIMATE = 21e6
"""Candidates a second of WPA2-PSK that the ports of this machine's core (Zen 4, AVX-512, 3.6 GHz) allow: 170 cycles."""
IMPORTED = 10_000
PROBES, SEARCHES, SECONDS = 1000, (0, 5, 10), 10.0
"""Other requests a second, searches a second beside them, and for how long."""
PATIENCE = 200
"""Times that a question is asked, three seconds apart: rlm_dpsk takes half a minute, and more on a busy machine."""
RADIUSD = Path(".run/freeradius/usr/sbin/freeradius")


def passphrase(number: int) -> str:
    return f"resident-{number:07d}-key"


def pmks(count: int) -> bytes:
    return b"".join(sha256(i.to_bytes(4, "big")).digest() for i in range(count))


# --------------------------------------------------------------------------------------- the search alone


def loops() -> None:
    """Candidates a second on one core, the best of five."""
    print(f"{'candidates/s':12}" + "".join(f"{suite:>14}" for suite in CHECKS))
    for name in (*keysearch.kernels(), "twin"):
        count = 20_000 if name == "twin" else 200_000
        octets = pmks(count)
        searched = Portable(octets) if name == "twin" else Compiled.of(octets, name)
        cells = {}
        for suite in CHECKS:
            context = (bytes(70), bytes(25), bytes(90)) if suite == "ft-psk" else (bytes(100),)
            kck, mic = CHECKS[suite]
            frame = bytes({"ft-psk": 256, NAME: 12}.get(suite, 121))
            last = mic(kck(context, octets[-32:]), frame)
            best = float("inf")
            for made, place in (*((bytes(16), MISS),) * 5, (last, count - 1)):
                begun = time.perf_counter()
                if searched.search(Challenge(suite, context, frame, made)) != place:
                    raise SystemExit(f"{name} finds the wrong key of {suite}")
                best = min(best, time.perf_counter() - begun)
            cells[suite] = count / best
        print(f"{name:12}" + "".join(f"{rate:14,.0f}" for rate in cells.values()), end="")
        print(f"   {cells['psk-sha1'] / ESTIMATE:.2f} of the port bound" if name == "avx512" else "")


# --------------------------------------------------------------------------------------------- the servers


def account(_packet: Packet, _client: ClientSettings, _source: IpAddress) -> Awaitable[bool]:
    raise NotImplementedError


def local_key(number: int) -> StoredKey:
    """A key whose PMK nothing was derived for: the last one alone is asked for, and has its own."""
    key = Key(f"r-{number:07d}", SSID, Secret(passphrase(number)))
    return StoredKey(LOCAL, key, Secret(sha256(number.to_bytes(4, "big")).digest()))


async def serve(port: int, count: int, home: Path) -> None:
    """The key server and the RADIUS service in this process. 10,000 keys are imported, others put in directly."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # it shares our stdout
    networks = MpskSettings.model_validate({"networks": {SSID: {"devices_per_key": 1_000_000}}})
    database = Database(home / "edged.sqlite")
    await database.open()
    store = KeyStore(database, Seal(Secret(bytes(32))))
    current = Current(View(compile_table(None, SubscribersSettings())))
    keys = MpskService(networks, store=store, current=current)
    await keys.start()
    running = asyncio.create_task(keys.run())
    begun, worked = time.perf_counter(), time.process_time()
    if count != IMPORTED:
        stored = [local_key(number) for number in range(count - 1)]
        last = local_key(count - 1).key
        stored.append(StoredKey(LOCAL, last, pmk_of(last.passphrase, SSID)))
        begun, worked = time.perf_counter(), time.process_time()
        await keys._assemble(assemble(stored, (), (SSID,), time.time()))  # noqa: SLF001  # a million through SQLite: minutes
    elif not keys.ring.keys:
        rows = "".join(f"r-{number:07d},{SSID},{passphrase(number)}\n" for number in range(count))
        added, problems = await keys.key_list.import_csv(f"id,ssid,passphrase\n{rows}")
        if problems or added != count:
            raise SystemExit(f"not imported: {problems[:1]}")
        while keys.counters.pmks_pending:
            await asyncio.sleep(0.01)
    taken, worked = time.perf_counter() - begun, time.process_time() - worked
    settings = RadiusSettings.model_validate(
        {
            "auth": [f"127.0.0.1:{port}"],
            "clients": [{"name": "bench", "networks": ["127.0.0.0/8"], "secret": SECRET}],
        }
    )
    service = RadiusService(settings, authorize=keys.authorize, account=account)
    await service.start()
    print(f"{taken:10.2f}{worked:8.2f}", flush=True)
    await asyncio.gather(running, service.run())


@contextmanager
def edged(count: int, home: Path, *, compiled: bool) -> Iterator[tuple[int, int, str]]:
    """Its port and process, and the seconds until its keys were ready: by the clock, and of the processor."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", str(port), str(count), str(home)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "EDGED_NATIVE": "1" if compiled else "0", "PYTHONPATH": "."},
    ) as process:  # fmt: skip
        try:
            yield port, process.pid, process.stdout.readline().rstrip() if process.stdout else ""
        finally:
            process.kill()


FREERADIUS = """
name = freeradius
prefix = {root}/usr
libdir = {root}/usr/lib/freeradius
logdir = {home}
run_dir = {home}
raddbdir = {home}
max_request_time = 600
cleanup_delay = 2
hostname_lookups = no
log {{
    destination = files
    file = {home}/radius.log
}}
security {{
    reject_delay = 0
}}
thread pool {{
    start_servers = 2
    max_servers = 4
}}
modules {{
    dpsk {{
        cache_size = 1024
        cache_lifetime = 86400
        filename = {home}/psk.csv
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
        if (&Called-Station-Id =~ /^(..)-(..)-(..)-(..)-(..)-(..):(.*)$/) {{
            update request {{
                &Called-Station-MAC := "0x%{{1}}%{{2}}%{{3}}%{{4}}%{{5}}%{{6}}"
                &Called-Station-SSID := "%{{7}}"
            }}
        }}
        dpsk
    }}
    authenticate {{
        Auth-Type dpsk {{
            dpsk
        }}
    }}
}}
"""


@contextmanager
def freeradius(count: int, home: Path) -> Iterator[tuple[int, int]]:
    """Its port and process."""
    root, port = RADIUSD.resolve().parents[2], free_port()
    text = FREERADIUS.format(root=root, home=home, port=port, secret=SECRET.reveal_text())
    (home / "radiusd.conf").write_text(text)
    (home / "psk.csv").write_text("".join(f"r-{number:07d},{passphrase(number)}\n" for number in range(count)))
    (home / "radiusd.conf").chmod(0o640)
    with subprocess.Popen(
        [RADIUSD, "-f", "-d", home, "-D", root / "usr/share/freeradius", "-n", "radiusd"],
        env={"LD_LIBRARY_PATH": str(root / "usr/lib/freeradius")},
    ) as process:
        log = home / "radius.log"
        try:
            while "Ready to process" not in (log.read_text("utf-8") if log.exists() else ""):
                if process.poll() is not None:
                    raise SystemExit("FreeRADIUS did not start")
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.kill()


# ---------------------------------------------------------------------------------------------- the clients


def cpu_seconds(pid: int) -> float:
    """Of all threads of a process and of its children, as the scheduler accounts them."""
    seconds = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        seconds += int((thread / "schedstat").read_text().split()[0]) / 1e9
        seconds += sum(cpu_seconds(int(child)) for child in (thread / "children").read_text().split())
    return seconds


class Cost(NamedTuple):
    """Milliseconds of a question: by the clock (the median), and of the server's processor (the average)."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:11,.2f}{self.cpu:11,.2f}"


@dataclass
class Nas:
    """One access point: a question and its answer at a time."""

    port: int
    pid: int
    """Of the server."""
    number: int = 0

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", self.port))
        self.socket.settimeout(3)  # as access points do, which then ask again

    def signed(self, packet: Packet, identifier: int) -> tuple[bytes, bytes]:
        """The octets and the authenticator."""
        authenticator = os.urandom(16)
        clear = next(a.value for a in packet.attributes if a.type == 2)
        hidden = Attribute(2, hide_password(Secret(clear), SECRET, authenticator))
        attributes = tuple(hidden if a.type == 2 else a for a in packet.attributes)
        return sign_request(Packet(packet.code, identifier, authenticator, attributes), SECRET), authenticator

    def ask(self, pmk: bytes, mac: MacAddress | None = None) -> tuple[float, bool]:
        """Seconds, and whether it was accepted. A device that nobody has seen before, unless ``mac`` says which."""
        self.number += 1
        mac = mac or MacAddress(f"06:00:{':'.join(f'{o:02x}' for o in os.urandom(4))}")
        asked = handshake_request(pmk, mac, attempt=str(self.number))
        octets, authenticator = self.signed(asked, self.number % 256)
        begun = time.perf_counter()
        reply = b""
        for _ in range(PATIENCE):
            self.socket.send(octets)
            with suppress(TimeoutError):
                reply = self.socket.recv(4096)
                break
        taken = time.perf_counter() - begun
        if not reply_is_authentic(reply, authenticator, SECRET):
            raise SystemExit("a reply was not authentic")
        return taken, reply[0] == Code.ACCESS_ACCEPT

    def median(self, pmk: bytes, rounds: int, *, accepted: bool, mac: MacAddress | None = None) -> Cost:
        """Of so many questions, each of which must have that answer."""
        before, times = cpu_seconds(self.pid), []
        for _ in range(rounds):
            taken, was = self.ask(pmk, mac)
            if was is not accepted:
                raise SystemExit(f"port {self.port} says {'accept' if was else 'reject'}")
            times.append(taken)
        return Cost(statistics.median(times) * 1e3, (cpu_seconds(self.pid) - before) / rounds * 1e3)


async def beside(port: int, *, searches: int) -> tuple[float, float, float]:
    """p50, p99 and the worst of other requests, in seconds, while so many keys a second are searched for in vain."""
    loop, times = asyncio.get_running_loop(), []
    sent: dict[int, float] = {}

    class Probes(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _addr: object) -> None:
            times.append(time.perf_counter() - sent.pop(data[1], time.perf_counter()))

    probes, _ = await loop.create_datagram_endpoint(Probes, remote_addr=("127.0.0.1", port))
    searching, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port))
    nas = Nas(port, os.getpid())
    unknown = [nas.signed(request(), number)[0] for number in range(256)]
    every = PROBES // searches if searches else 0
    wrong = [
        nas.signed(handshake_request(bytes(32), MacAddress(f"0a:00:00:00:{n // 256:02x}:{n % 256:02x}")), n % 256)[0]
        for n in range(searches * int(SECONDS))
    ]
    begun = time.perf_counter()
    for number in range(int(PROBES * SECONDS)):
        await asyncio.sleep(max(0.0, begun + number / PROBES - time.perf_counter()))
        if every and number % every == 0 and wrong:
            searching.sendto(wrong.pop())
        sent[number % 256] = time.perf_counter()
        probes.sendto(unknown[number % 256])
    await asyncio.sleep(0.5)
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100], times[-1]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --------------------------------------------------------------------------------------------------- the run


def measured(count: int, rounds: int, home: Path, *, compiled: bool) -> tuple[Cost, Cost]:
    """Hit and miss, printed with what else there is to know of this server."""
    name = "edged" if compiled else "edged, twin"
    right = pmk_of(Secret(passphrase(count - 1)), SSID).reveal()
    with edged(count, home, compiled=compiled) as (port, pid, ready):
        nas = Nas(port, pid)
        nas.median(bytes(32), 3, accepted=False)
        hit = nas.median(right, rounds, accepted=True)
        miss = nas.median(bytes(32), rounds, accepted=False)
        known = nas.median(right, 200, accepted=True, mac=MacAddress("02:00:00:00:00:07"))
        print(f"{name:12}{count:10,}{hit}{miss}{known}{ready}", flush=True)
        if count == 100_000:
            for searches in SEARCHES:
                p50, p99, worst = asyncio.run(beside(port, searches=searches))
                print(
                    f"  others, {searches} searches/s beside: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f},"
                    f" worst {worst * 1e3:.2f}", flush=True,
                )  # fmt: skip
    return hit, miss


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", nargs=3)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--peer-rounds", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    given = parser.parse_args()
    if given.serve:
        port, count, home = given.serve
        asyncio.run(serve(int(port), int(count), Path(home)))
        return
    loops()
    print(f"\n{'ms':12}{'keys':>10}" + "".join(f"{what:>11}{'CPU':>11}" for what in ("hit", "miss", "known")), end="")
    print(f"{'ready s':>10}{'CPU s':>8}")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ours = {}
        for count in given.sizes:
            (home / str(count)).mkdir()
            for compiled in (True, False):
                if compiled or count <= IMPORTED:
                    ours[count, compiled] = measured(count, given.rounds, home / str(count), compiled=compiled)
        if not RADIUSD.exists() or not given.peer_rounds or IMPORTED not in given.sizes:
            print("rlm_dpsk: not asked (make freeradius unpacks it)")
            return
        with freeradius(IMPORTED, home) as (port, pid):
            nas, right = Nas(port, pid), pmk_of(Secret(passphrase(IMPORTED - 1)), SSID).reveal()
            hit = nas.median(right, given.peer_rounds, accepted=True)
            miss = nas.median(bytes(32), given.peer_rounds, accepted=False)
            known = MacAddress("02:00:00:00:00:07")
            nas.ask(right, known)
            cached = nas.median(right, 50, accepted=True, mac=known)
        print(f"{'rlm_dpsk':12}{IMPORTED:10,}{hit}{miss}{cached}")
        for compiled, title in ((True, "compiled"), (False, "twin")):
            mine = ours[IMPORTED, compiled]
            print(
                f"times faster, {title}: hit {hit.wall / mine[0].wall:,.0f} (CPU {hit.cpu / mine[0].cpu:,.0f}),"
                f" miss {miss.wall / mine[1].wall:,.0f} (CPU {miss.cpu / mine[1].cpu:,.0f})"
            )


if __name__ == "__main__":
    main()
