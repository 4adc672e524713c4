"""The sinkhole beside BIND, which serves the root zone with a wildcard: the same packets to both.

A difference that dns_bind_differences.yaml does not list fails, and so does a listed one that no longer occurs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from edged.dns import names
from edged.dns.service import DnsService
from edged.dns.settings import DnsSettings
from edged.model import Access
from edged.policy.settings import GardenSettings
from edged.state.current import Current
from tests.dns_lab import PORTAL_ADDRESSES, PORTAL_HOST, view_of
from tests.dns_rows import octets_of, rows

DIFFERENCES = rows("dns_bind_differences")
PACKETS = rows("dns_malformed")

NAMED = "/usr/sbin/named"
CONFIGURATION = """
options {{
  directory "{folder}"; pid-file none; session-keyfile none; managed-keys-directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }}; allow-transfer {{ none; }};
  dnssec-validation no; minimal-responses yes; notify no; version none; hostname none; server-id none;
  max-udp-size 1232; edns-udp-size 1232;
}};
controls {{ }};
view in IN {{ zone "." {{ type primary; file "root.zone"; }}; }};
view ch CH {{ match-clients {{ any; }}; recursion no; }};
"""
ZONE = """$TTL 10
@ SOA . . 1 3600 600 86400 10
@ NS portal.example.net.
* A 203.0.113.10
* AAAA 2001:db8::10
"""

NAMES = (
    ".", "com", "qzvkjxwpf", "www.example.com", "wWw.eXaMple.COM", "_sip._tcp.example.com", r"\000\255\046.example",
    ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61)), ".".join("a" * 127),
    "portal.example.net", "captive.apple.com",
    "localhost", "a.localhost", "x.invalid", "printer.local", "nas.home.arpa", "x.onion", "_dns.resolver.arpa",
    "resolver.arpa", "ipv4only.arpa", "use-application-dns.net", "mask.icloud.com", "wpad.example.com", "dns.google",
    "arpa", "in-addr.arpa", "8.8.in-addr.arpa", "8.8.8.8.in-addr.arpa", "192.in-addr.arpa",
    "10.in-addr.arpa", "4.3.2.10.in-addr.arpa", "10.113.0.203.in-addr.arpa", "1.1.64.100.in-addr.arpa",
    "1.0.0.d.f.ip6.arpa", "notwpad.example.com",
)  # fmt: skip
TYPES = (
    "A", "NS", "CNAME", "SOA", "PTR", "HINFO", "MX", "TXT", "AAAA", "SRV", "NAPTR", "DNAME", "DS", "RRSIG", "NSEC",
    "DNSKEY", "SVCB", "HTTPS", "CAA", "ANY", "TYPE0", "TYPE200", "MAILB", "TYPE65280", "TKEY", "TSIG", "IXFR", "AXFR",
)  # fmt: skip
CLASSES = {"IN": 1, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255, "0": 0}
COOKIE = "000a 0008 0102030405060708"
FORGED = "000a 0018 0102030405060708 0100000065000000 1122334455667788"
EDNS = {
    "none": None,
    "bare": "04d0 0000 0000",
    "size 0": "0000 0000 0000",
    "size 65535": "ffff 0000 0000",
    "DO": "04d0 0000 8000",
    "unknown flags": "04d0 0000 7fff",
    "version 1": "04d0 0001 0000",
    "version 255, DO": "04d0 00ff 8000",
    "upper RCODE set": "04d0 1700 0000",
    "unknown option": "04d0 0000 0000 | 0064 0002 abcd",
    "NSID": "04d0 0000 0000 | 0003 0000",
    "client subnet": "04d0 0000 0000 | 0008 0007 0001 18 00 c00002",
    "client cookie": f"04d0 0000 0000 | {COOKIE}",
    "forged server cookie": f"04d0 0000 0000 | {FORGED}",
    "TCP keepalive": "04d0 0000 0000 | 000b 0000",
    "padding": "04d0 0000 0000 | 000c 0004 00000000",
}
HEADERS = {
    "RD": 0x0100, "nothing": 0, "RD CD": 0x0110, "RD AD": 0x0120, "RD Z": 0x0140, "RD TC": 0x0300, "RD AA": 0x0500,
    "RD RA": 0x0180, "RD and an RCODE": 0x010F, "all but QR": 0x07FF,
}  # fmt: skip
IDENT, FENCE = 0x1234, bytes.fromhex("feed 0000 0001 0000 0000 0000 | 00 0006 0001".replace("|", ""))


class Case(NamedTuple):
    """One packet, and by which words a row of differences may mean it."""

    octets: bytes
    name: str = ""
    type: str = ""
    qclass: str = "IN"
    edns: str = "none"
    header: str = "RD"
    packet: str = ""
    transport: str = "UDP"

    def __str__(self) -> str:
        return " ".join(filter(None, self[1:]))


def question(name: str, rtype: str, qclass: str, edns: str, header: str) -> Case:
    opt = EDNS[edns]
    octets = (
        IDENT.to_bytes(2) + HEADERS[header].to_bytes(2) + bytes.fromhex("0001 0000 0000") + bytes((0, opt is not None))
    )
    octets += names.to_wire(name) + dns.rdatatype.from_text(rtype).to_bytes(2) + CLASSES[qclass].to_bytes(2)
    if opt is not None:
        head, _, options = opt.partition("|")
        rdata = bytes.fromhex(options)
        octets += bytes.fromhex("00 0029" + head) + len(rdata).to_bytes(2) + rdata
    return Case(octets, name if len(name) < 100 else f"{len(name.split('.'))} labels", rtype, qclass, edns, header)


def cases() -> Iterator[Case]:
    """Names by types; class, OPT and header around a few of them; the odd packets."""
    for name, rtype in itertools.product(NAMES, TYPES):
        yield question(name, rtype, "IN", "none", "RD")
    for name, rtype, qclass, edns in itertools.product(("www.example.com", "."), ("A", "TXT"), CLASSES, EDNS):
        yield question(name, rtype, qclass, edns, "RD")
    for rtype, edns, header in itertools.product(("A", "HTTPS", "ANY"), ("none", "DO", "client cookie"), HEADERS):
        yield question("www.example.com", rtype, "IN", edns, header)
    yield question("version.bind", "TXT", "CH", "none", "RD")
    yield question("id.server", "TXT", "CH", "none", "RD")
    for row in PACKETS:
        yield Case(octets_of(row["query"]), qclass="", edns="", header="", packet=row["what"])


def over_tcp(case: Case) -> bool:
    """True for what is asked over TCP, too: the transfers, the OPT, and all odd packets."""
    return bool(case.packet) or case.type in {"AXFR", "IXFR", "ANY"} or case.edns != "none"


@contextlib.asynccontextmanager
async def edged() -> AsyncIterator[DnsService]:
    """The service, which holds all of loopback for blocked."""
    settings = DnsSettings.model_validate({
        "listen": ["127.0.0.1:0"], "ttl": "10s", "limit": {"per_subscriber": 10**6},
    })  # fmt: skip

    async def admit(_: object) -> None:
        return

    service = DnsService(
        settings, GardenSettings(), portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES,
        current=Current(view_of(Access.BLOCKED, "127.0.0.0/8")), admit=admit,
    )  # fmt: skip
    await service.start()
    running = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await service.stop()


@contextlib.contextmanager
def bind(folder: Path) -> Iterator[int]:
    """BIND from ``folder`` alone. The port."""
    if not Path(NAMED).exists():
        pytest.fail(f"{NAMED} is missing: apt-get install bind9")
    # a copy: AppArmor confines the installed path to the folders of the distribution
    named = shutil.copy(NAMED, folder / "named")
    (folder / "root.zone").write_text(ZONE, "ascii")
    for _ in range(5):
        port = random.randint(20_000, 32_000)
        (folder / "named.conf").write_text(CONFIGURATION.format(folder=folder, port=port), "ascii")
        log = (folder / "log").open("wb")
        process = subprocess.Popen([named, "-g", "-n", "1", "-c", folder / "named.conf"], stderr=log, stdout=log)
        try:
            if serves(process, port):
                yield port
                return
        finally:
            process.terminate()
            process.wait(10)
            log.close()
    pytest.fail((folder / "log").read_text("utf-8", "replace"))


def serves(process: subprocess.Popen[bytes], port: int) -> bool:
    """True once it answers; False when it ended, or does not within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                sock.send(FENCE)
                return bool(sock.recv(4096)) and process.poll() is None
    return False


def ask_udp(octets: bytes, sock: socket.socket) -> bytes | None:
    """The reply; None when the query behind it is answered and it is not."""
    sock.send(octets)
    sock.send(FENCE)
    got = None
    while (reply := sock.recv(4096))[:2] != FENCE[:2]:
        got = reply
    return got


def ask_tcp(octets: bytes, port: int) -> bytes | None:
    """As over UDP; None also when the stream ends without it."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(len(octets).to_bytes(2) + octets + len(FENCE).to_bytes(2) + FENCE)
        stream, got = sock.makefile("rb"), None
        with contextlib.suppress(ConnectionResetError):
            while len(head := stream.read(2)) == 2:
                reply = stream.read(int.from_bytes(head))
                if reply[:2] == FENCE[:2]:
                    break
                got = reply
    return got


def ask_all(port: int) -> dict[Case, bytes | None]:
    """Every case, over UDP and where it matters over TCP."""
    found: dict[Case, bytes | None] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", port))
        for case in cases():
            found[case] = ask_udp(case.octets, sock)
            if over_tcp(case):
                found[case._replace(transport="TCP")] = ask_tcp(case.octets, port)
    return found


def described(octets: bytes | None) -> dict[str, str]:
    """What is compared of a reply, each field as text."""
    if octets is None:
        return {"reply": "none"}
    reply = dns.message.from_wire(octets, continue_on_error=True)
    ede = sorted(str(int(o.code)) for o in reply.options if isinstance(o, dns.edns.EDEOption))
    options = sorted(f"{int(o.otype)}:{len(o.to_wire() or b'')}" for o in reply.options if o.otype != dns.edns.EDE)
    return {
        "reply": "one",
        "id": f"{reply.id:04x}",
        "opcode": dns.opcode.to_text(reply.opcode()),
        "rcode": dns.rcode.to_text(reply.rcode()),
        "flags": dns.flags.to_text(reply.flags),
        "zero": str(octets[3] >> 6 & 1),
        "question": " ".join(rrset.to_text() for rrset in reply.question) or "-",
        "answer": records(reply, reply.answer),
        "authority": ", ".join(f"{r.name} {dns.rdatatype.to_text(r.rdtype)}".lower() for r in reply.authority) or "-",
        "negative life": " ".join(f"{r.ttl} {r[0].minimum}" for r in reply.authority if r.rdtype == dns.rdatatype.SOA),
        "additional": records(reply, reply.additional),
        "opt": f"{reply.payload} {reply.ednsflags:08x}" if reply.edns >= 0 else "-",
        "options": " ".join(options) or "-",
        "ede": " ".join(ede) or "-",
        "unread": " ".join(type(e.exception).__name__ for e in reply.errors) or "-",
    }


def records(reply: dns.message.Message, rrsets: list[Any]) -> str:
    """The records in an order of their own; @ is the name that was asked."""
    lines = sorted(line for rrset in rrsets for line in rrset.to_text().lower().splitlines())
    asked = reply.question[0].name.to_text().lower() + " " if reply.question else "\0"
    return ", ".join("@ " + line.removeprefix(asked) if line.startswith(asked) else line for line in lines) or "-"


def means(row: dict[str, Any], case: Case) -> bool:
    """True when every word of the row's ``when`` fits the case."""
    chosen = {field: value if isinstance(value, list) else [value] for field, value in row["when"].items()}
    return all(getattr(case, field) in map(str, values) for field, values in chosen.items())


def covered(row: dict[str, Any], field: str, ours: str, theirs: str) -> Iterator[tuple[str, int]]:
    """The pairs of the row that hold these two values; ``any`` stands for whatever it is."""
    for index, (bind_said, edged_said) in enumerate(row["fields"].get(field, ())):
        if bind_said in {"any", theirs} and edged_said in {"any", ours}:
            yield field, index


def differences(
    ours: dict[Case, bytes | None], theirs: dict[Case, bytes | None]
) -> Iterator[tuple[Case, str, str, str]]:
    """Case, field, edged's value, BIND's value."""
    for case, octets in ours.items():
        mine, his = described(octets), described(theirs[case])
        for field in sorted(mine.keys() & his.keys()):
            if mine[field] != his[field]:
                yield case, field, mine[field], his[field]


async def test_every_difference_from_bind_is_listed_with_its_reason_and_every_one_listed_occurs(tmp_path: Path) -> None:
    with bind(tmp_path) as theirs:
        async with edged() as ours:
            port = ours.endpoints[0].port
            of_edged, of_bind = await asyncio.to_thread(ask_all, port), await asyncio.to_thread(ask_all, theirs)

    used: set[tuple[int, str, int]] = set()
    unlisted = []
    for case, field, mine, his in differences(of_edged, of_bind):
        pairs = {
            (i, *pair)
            for i, row in enumerate(DIFFERENCES)
            if means(row, case)
            for pair in covered(row, field, mine, his)
        }
        used |= pairs
        if not pairs:
            unlisted.append(f"{case}: {field}: BIND {his!r}, edged {mine!r}")
    unused = [
        f"{row['what']}: {field}: {pair}"
        for i, row in enumerate(DIFFERENCES)
        for field, pairs in row["fields"].items()
        for index, pair in enumerate(pairs)
        if (i, field, index) not in used
    ]

    assert len(of_edged) > 1000
    assert not unlisted, "\n".join(unlisted)
    assert not unused, "\n".join(unused)


def test_every_difference_says_why() -> None:
    assert all(len(row["reason"]) > 20 for row in DIFFERENCES)
    assert len({row["what"] for row in DIFFERENCES}) == len(DIFFERENCES)


async def test_a_query_from_port_0_is_dropped_and_counted() -> None:
    async with edged() as service:
        port = service.endpoints[0].port
        datagram = struct.pack("!4H", 0, port, 8 + len(FENCE), 0) + FENCE
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            raw.sendto(datagram, ("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", port))
            assert await asyncio.to_thread(ask_udp, FENCE[:2] + b"\x80" + FENCE[3:], sock) is None

        assert service.counters.dropped["port"] == 1
        assert service.counters.dropped["response"] == 1
        assert sum(service.counters.answers.values()) == 1
