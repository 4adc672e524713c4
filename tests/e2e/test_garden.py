"""Every failure that gardens filled from DNS have in the field, on a real daemon, real nftables sets and real packets.

One test for each row of the table of failures; the name of a test says what must not happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest

from edged.enforce.service import EnforceService
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.nftables import NftablesTarget
from edged.state.current import Current
from edged.values import parse_address
from tests.e2e import lab as places
from tests.e2e.edge import Edge
from tests.e2e.enforce_contract import RULES, view_of
from tests.e2e.enforce_contract import subscriber as somebody
from tests.e2e.lab import BAD4, GARDEN4, GARDEN6, PORTAL4, PORTAL6, RESOLVER4, RESOLVER6, Lab

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

UPSTREAM_PORT = 5354
OPEN_PORT = 8443
"""Where every host of the internet listens; for a blocked line it is refused unless the garden opens it."""
NETS = "198.51.100.0/24", "2001:db8:2::/48"
"""Whole networks of hosts that listen."""
BROWSERS = 120
"""Seconds that a browser keeps a name, whatever its TTL."""

Record = tuple[str, int, str, str]
Table = dict[str, list[Record] | Callable[[], list[Record]]]


def host(number: int) -> str:
    return f"198.51.100.{number}"


def host6(number: int) -> str:
    return f"2001:db8:2::{number:x}"


class Authority:
    """A resolver on both families that answers by ``table`` (name to records), and chases aliases only if told."""

    def __init__(self, lab: Lab) -> None:
        self.table: Table = {}
        self.asked: list[tuple[str, str]] = []
        self.chases = True
        self._running = True
        self._sockets = []
        with lab.inside("internet"):
            for family, address in ((socket.AF_INET, RESOLVER4), (socket.AF_INET6, RESOLVER6)):
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.bind((address, UPSTREAM_PORT))
                sock.settimeout(0.1)
                self._sockets.append(sock)
        self._threads = [threading.Thread(target=self._serve, args=(s,), daemon=True) for s in self._sockets]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._running = False
        for thread in self._threads:
            thread.join(5.0)
        for sock in self._sockets:
            sock.close()

    def count(self, name: str) -> int:
        return sum(asked == name for asked, _ in self.asked)

    def _serve(self, sock: socket.socket) -> None:
        while self._running:
            with contextlib.suppress(TimeoutError):
                octets, peer = sock.recvfrom(4096)
                sock.sendto(self._answer(dns.message.from_wire(octets)), peer)

    def _answer(self, query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name, rtype = question.name.to_text().lower().rstrip("."), question.rdtype.name
        self.asked.append((name, rtype))
        owner = name
        for _ in range(8):
            held = self._records(owner)
            alias = [r for r in held if r[2] == "CNAME" and rtype != "CNAME"]
            for at, ttl, kind, rdata in alias or [r for r in held if r[2] == rtype]:
                response.answer.append(
                    dns.rrset.from_text(question.name if at == name else f"{at}.", ttl, "IN", kind, rdata)
                )
            if not alias or not self.chases:
                break
            owner = alias[0][3].rstrip(".")
        if not response.answer:
            soa = dns.rrset.from_text("example.", 5, "IN", "SOA", "ns.example. h.example. 1 2 3 4 5")
            response.authority.append(soa)
            response.set_rcode(dns.rcode.NOERROR if name in self.table else dns.rcode.NXDOMAIN)
        return response.to_wire()

    def _records(self, name: str) -> list[Record]:
        held = self.table.get(name, [])
        return held() if callable(held) else held


def both(name: str, number: int, ttl: int = 60) -> list[Record]:
    return [(name, ttl, "A", host(number)), (name, ttl, "AAAA", host6(number))]


GARDEN_NAMES = ["exact.example", '"*.star.example"', ".both.example"]


class Garden(Edge):
    """An edge whose upstream is ours, with a garden of every kind of entry."""

    authority: Authority

    def configure(self, mode: str | None = None) -> None:
        super().configure(mode)
        self.garden(*GARDEN_NAMES)

    def garden(self, *names: str, records: str = "{}") -> None:
        """Write the configuration with these names."""
        text = self.config.read_text()
        head, rest = text.split("garden:\n")
        rest = rest[rest.index("dns:\n") :]
        upstreams = f'upstreams: ["{RESOLVER4}:{UPSTREAM_PORT}", "[{RESOLVER6}]:{UPSTREAM_PORT}"]'
        rest = "\n".join(f"  {upstreams}" if "upstreams:" in line else line for line in rest.split("\n"))
        listed = "".join(f"    - {name}\n" for name in names)
        self.config.write_text(
            f"{head}garden:\n  names:\n{listed}  records: {records}\n"
            f'  networks: ["198.51.100.128/28", "2001:db8:2:80::/64"]\n  ports: [443, {OPEN_PORT}]\n{rest}'
        )

    def start(self) -> None:
        if not hasattr(self, "authority"):
            self._build()
        super().start()

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "authority"):
            self.authority.close()
        super().__exit__()

    def _build(self) -> None:
        for version, net, router in (("-4", NETS[0], GARDEN4), ("-6", NETS[1], GARDEN6)):
            self.lab.run("router", "ip", version, "route", "add", net, "via", router)
            self.lab.run("internet", "ip", version, "route", "add", "local", net, "dev", "lo")
        self.lab.serve("internet", "anybody", [("tcp", "::", OPEN_PORT)])
        self.authority = Authority(self.lab)
        self.authority.table |= {"exact.example": both("exact.example", 1), "both.example": both("both.example", 2)}

    # --- what a blocked line meets -----------------------------------------------------------------

    def reaches(self, address: str) -> bool:
        """Whether a blocked subscriber's first packet gets through, at once."""
        try:
            return self.lab.ask("bad", "tcp", address, OPEN_PORT, timeout=2.0).startswith("anybody")
        except OSError:
            return False

    def resolves(self, name: str, kind: str = "A") -> list[str]:
        """What it is told."""
        return sorted(self.dig("bad", name, kind))

    def elements(self, version: int) -> dict[str, float]:
        """The set of one family in the kernel: address to seconds left; empty when there is no such set."""
        done = self.lab.run("router", "nft", "-j", "list", "set", "inet", "edged", f"garden{version}", check=False)
        found: dict[str, Any] = next(
            (row["set"] for row in json.loads(done.stdout or '{"nftables": []}')["nftables"] if "set" in row), {}
        )
        return {e["elem"]["val"]: e["elem"]["expires"] for e in found.get("elem", [])}


@pytest.fixture(scope="module")
def whole() -> Iterator[Garden]:
    with Garden(prefix=f"edged-g{os.getpid()}") as built:
        built.wait_for("the block is in force", lambda: built.resolves("example.com") == [PORTAL4], timeout=10.0)
        built.wait_for("and in the kernel", lambda: all(p["blocked"] for p in _in_place(built)), timeout=10.0)
        yield built


def _in_place(edge: Edge) -> list[dict[str, Any]]:
    facts = edge.facts("explain", BAD4)
    return facts["in_place"] if facts["in_place"] and facts["access"] == "blocked" else [{"blocked": False}]


@pytest.fixture
def edge(whole: Garden) -> Iterator[Garden]:
    yield whole
    whole.authority.chases = True


def taken(edge: Garden, *names: str, records: str = "{}") -> None:
    """Reload with these garden names."""
    edge.garden(*names, records=records)
    done = edge.command("reload")
    assert done.returncode == 0, done.stdout + done.stderr


# --- the rows --------------------------------------------------------------------------------------


def test_a_cached_answer_does_not_leave_its_address_out_of_the_set(edge: Garden) -> None:
    name = "cached.star.example"
    edge.authority.table[name] = both(name, 10, ttl=3600)
    assert edge.resolves(name) == [host(10)]
    asked = edge.authority.count(name)
    edge.lab.run("router", "nft", "delete", "element", "inet", "edged", "garden4", f"{{ {host(10)} }}")
    assert not edge.reaches(host(10))

    def again() -> bool:
        return edge.resolves(name) == [host(10)] and edge.reaches(host(10))

    edge.wait_for("a cached answer puts it back", again, timeout=20.0)

    assert edge.authority.count(name) == asked, "all of these were answered from the cache"


def test_an_address_never_leaves_the_set_before_its_answer_ends(edge: Garden) -> None:
    for ttl in (1, 30, 300, 86400):
        name = f"lives{ttl}.star.example"
        edge.authority.table[name] = both(name, 11, ttl)
        for kind, version, address in (("A", 4, host(11)), ("AAAA", 6, host6(11))):
            out = edge.lab.run("bad", "dig", "+noall", "+answer", f"@{RESOLVER4}", name, kind).stdout.split()
            assert edge.elements(version)[address] >= int(out[1]) + BROWSERS


def test_the_set_is_not_filled_from_another_lookup_than_the_clients(edge: Garden) -> None:
    name, turn = "rotates.star.example", iter(range(20, 60))
    edge.authority.table[name] = lambda: both(name, next(turn), ttl=0)

    for kind, version in (("A", 4), ("AAAA", 6)) * 4:
        told = edge.resolves(name, kind)
        assert len(told) == 1
        assert told[0] in edge.elements(version)
        assert edge.reaches(told[0]), "the very address that this client was told"


def test_the_first_connection_after_an_answer_is_not_refused(edge: Garden) -> None:
    for number in range(60, 90):
        name = f"n{number}.star.example"
        edge.authority.table[name] = both(name, number)
        kind, address = ("A", host(number)) if number % 2 else ("AAAA", host6(number))
        assert not edge.reaches(address)
        query = dns.message.make_query(name, kind).to_wire()
        with edge.lab.socket("bad", "udp", RESOLVER4, 53) as client:
            client.send(query)
            reply = dns.message.from_wire(client.recv(4096))
        # nothing between the reply and the first packet
        assert edge.reaches(address), name
        assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == [address]


@pytest.mark.parametrize("chases", [True, False], ids=["upstream follows", "we follow"])
def test_an_alias_out_of_the_garden_is_not_a_dead_end(edge: Garden, chases: bool) -> None:
    edge.authority.chases = chases
    name, number = f"alias{chases:d}.star.example", 90 + chases
    edge.authority.table |= {
        name: [(name, 300, "CNAME", "a.cdn.foreign.")],
        "a.cdn.foreign": [("a.cdn.foreign", 300, "CNAME", f"b{chases:d}.cdn.foreign.")],
        f"b{chases:d}.cdn.foreign": both(f"b{chases:d}.cdn.foreign", number),
    }

    assert edge.resolves(name) == [host(number)]
    assert edge.resolves(name, "AAAA") == [host6(number)]
    assert edge.reaches(host(number))
    assert edge.reaches(host6(number))


def test_no_client_can_come_to_ask_for_the_target_of_an_alias(edge: Garden) -> None:
    name = "head.star.example"
    edge.authority.table |= {
        name: [(name, 3600, "CNAME", "tail.cdn.foreign.")],
        "tail.cdn.foreign": [*both("tail.cdn.foreign", 93, ttl=5), ("tail.cdn.foreign", 5, "MX", "5 mx.cdn.foreign.")],
    }

    for chases in (True, False):
        edge.authority.chases = chases
        for kind in ("A", "AAAA", "CNAME", "DNAME", "ANY", "HTTPS", "SVCB", "MX", "TXT", "SRV", "NS", "SOA", "TYPE999"):
            out = edge.lab.run("bad", "dig", "+noall", "+answer", "+authority", f"@{RESOLVER4}", name, kind).stdout
            assert "cdn" not in out, kind
    fields = edge.lab.run("bad", "dig", "+noall", "+answer", f"@{RESOLVER4}", name).stdout.split()
    assert int(fields[1]) <= 5, "the short tail counts, not the long head"
    assert edge.resolves("tail.cdn.foreign") == [PORTAL4], "whoever asks for it is not in the garden"


def test_the_ipv6_set_is_not_forgotten(edge: Garden) -> None:
    name = "six.star.example"
    edge.authority.table[name] = [(name, 60, "AAAA", host6(94))]

    assert edge.resolves(name) == []
    assert edge.resolves(name, "AAAA") == [host6(94)]
    assert host6(94) in edge.elements(6)
    assert edge.reaches(host6(94))
    assert not edge.reaches(host6(95))


def test_without_the_privilege_edged_does_not_start_in_silence(edge: Garden) -> None:
    edge.stop()
    try:
        done = edge.lab.run(
            "router", "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
            sys.executable, "-m", "edged.cli", "run", "-c", str(edge.config), check=False,
        )  # fmt: skip
    finally:
        edge.start()

    assert done.returncode == 78
    assert "CAP_NET_ADMIN" in done.stderr


def test_a_set_that_cannot_be_written_is_not_silent(edge: Garden) -> None:
    number = iter(range(100, 120))

    def alarmed() -> bool:
        # until the daemon mends it, there is no set at all
        edge.lab.run("router", "nft", "delete", "table", "inet", "edged", check=False)
        name = f"lost{next(number)}.star.example"
        edge.authority.table[name] = both(name, 96)
        with edge.lab.socket("bad", "udp", PORTAL4, 5300) as client:
            client.send(dns.message.make_query(name, "A").to_wire())
            assert dns.message.from_wire(client.recv(4096)).answer, "a late rule is better than no answer"
        return any(a["code"] == "garden-not-admitted" for a in edge.facts("status")["alarms"])

    edge.wait_for("the alarm", alarmed, timeout=10.0)

    metrics = edge.router_get("http://127.0.0.1:9300/metrics").splitlines()
    failures = next(line for line in metrics if line.startswith("edged_dns_admit_failures_total"))
    assert float(failures.split()[1]) >= 1
    assert 'edged_alarm{code="garden-not-admitted"} 1.0' in metrics
    edge.wait_for("the table is back", lambda: edge.resolves("example.com") == [PORTAL4], timeout=15.0)


def test_not_one_of_several_addresses_and_targets_is_left_out(edge: Garden) -> None:
    name = "many.star.example"
    edge.authority.table[name] = [r for number in range(200, 220) for r in both(name, number)]

    # a busy host's authority may be late once
    edge.wait_for("every address", lambda: len(edge.resolves(name)) == 20 == len(edge.resolves(name, "AAAA")))
    v4, v6 = edge.resolves(name), edge.resolves(name, "AAAA")

    assert len(v4) == len(v6) == 20
    assert set(v4) <= edge.elements(4).keys()
    assert set(v6) <= edge.elements(6).keys()

    async def two_targets() -> None:
        memory, kernel = MemoryTarget(), NftablesTarget()
        enforce = EnforceService(
            {"memory": memory, "nftables": kernel}, RULES, current=Current(view_of(somebody("1", BAD4)))
        )
        running = asyncio.create_task(enforce.run())
        async with asyncio.timeout(10):
            while not all(h.ok for h in enforce.status().values()):
                await asyncio.sleep(0.02)
        await enforce.admit([(parse_address(a), 60.0) for a in (*v4, *v6)])
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert all(memory.admits(parse_address(a)) for a in (*v4, *v6))

    # another namespace, where nobody owns the table
    with edge.lab.inside("good"):
        asyncio.run(two_targets())
    for version, told in ((4, v4), (6, v6)):
        out = edge.lab.run("good", "nft", "list", "set", "inet", "edged", f"garden{version}").stdout
        assert all(address in out for address in told)
    edge.lab.run("good", "nft", "flush", "ruleset")


def test_the_set_is_not_empty_for_a_device_that_never_asks_us(edge: Garden) -> None:
    edge.authority.table |= {
        "quiet.example": both("quiet.example", 120, ttl=1),
        "apex.example": both("apex.example", 121, ttl=1),
        "below.star.example": both("below.star.example", 122),
    }
    taken(edge, *GARDEN_NAMES, "quiet.example", ".apex.example")
    try:
        for number in (120, 121):
            edge.wait_for("resolved ahead", lambda n=number: edge.reaches(host(n)) and edge.reaches(host6(n)))  # type: ignore[misc]
        assert edge.elements(4)[host(120)] >= 60 + BROWSERS, "until the next round and longer"
        edge.lab.run("router", "nft", "delete", "table", "inet", "edged")
        edge.wait_for(
            "and again when somebody took the table away", lambda: host(120) in edge.elements(4), timeout=20.0
        )
        assert not edge.reaches(host(122)), "what lies below a wildcard opens when it is asked for"
    finally:
        taken(edge, *GARDEN_NAMES)


def test_plain_networks_beside_names_are_not_refused(edge: Garden) -> None:
    for open_, closed in ((host(130), host(150)), ("2001:db8:2:80::7", "2001:db8:2:81::7")):
        assert edge.reaches(open_)
        assert not edge.reaches(closed)


def test_a_garden_name_does_not_open_the_router_itself(edge: Garden) -> None:
    name, own4, own6 = "self.star.example", ("203.0.113.1", "100.64.0.1"), ("2001:db8::1", "2001:db8:100::1")
    edge.authority.table[name] = [
        *both(name, 190), *((name, 60, "A", a) for a in own4), *((name, 60, "AAAA", a) for a in own6),
    ]  # fmt: skip

    assert edge.resolves(name) == [host(190)]
    assert edge.resolves(name, "AAAA") == [host6(190)]
    assert not edge.elements(4).keys() & set(own4)
    assert not edge.elements(6).keys() & set(own6)


@pytest.mark.parametrize(
    ("name", "is_open"),
    [
        ("star.example", False), ("a.star.example", True), ("a.b.star.example", True), ("xstar.example", False),
        ("both.example", True), ("a.both.example", True), ("a.b.both.example", True), ("notboth.example", False),
        ("exact.example", True), ("a.exact.example", False),
    ],
)  # fmt: skip
def test_a_wildcard_means_neither_more_nor_less_than_the_manual_says(edge: Garden, name: str, is_open: bool) -> None:
    edge.authority.table.setdefault(name, both(name, 160))

    told = edge.resolves(name), edge.resolves(name, "AAAA")

    if is_open:
        assert told not in (([PORTAL4], [PORTAL6]), ([], []))
        assert all(edge.reaches(address) for addresses in told for address in addresses)
    else:
        assert told == ([PORTAL4], [PORTAL6])


def test_a_changed_garden_does_not_wait_for_another_reload(edge: Garden) -> None:
    edge.authority.table["later.example"] = both("later.example", 170)
    generation = edge.facts("status")["loaded_at"]
    assert edge.resolves("later.example") == [PORTAL4]

    taken(edge, *GARDEN_NAMES, "later.example")
    assert edge.resolves("later.example") == [host(170)], "the first answer after the reload"
    assert edge.reaches(host(170))
    assert edge.facts("status")["loaded_at"] > generation

    taken(edge, *GARDEN_NAMES)
    assert edge.resolves("later.example") == [PORTAL4]


def test_a_hundred_thousand_names_do_not_crash_anything(edge: Garden) -> None:
    names = [f"h{i}.pay{i % 997}.example" for i in range(50_000)]
    names += [f'"*.w{i}.example"' for i in range(25_000)] + [f".d{i}.example" for i in range(25_000)]
    wanted = {"h49999.pay149.example": 180, "a.b.w24999.example": 181, "d24999.example": 182, "x.d0.example": 183}
    for name, number in wanted.items():
        edge.authority.table[name] = both(name, number)
    taken(edge, *GARDEN_NAMES, *names)
    try:
        for name, number in wanted.items():
            assert edge.resolves(name) == [host(number)]
            assert edge.resolves(name, "AAAA") == [host6(number)]
            assert edge.reaches(host(number))
        assert edge.resolves("w24999.example") == [PORTAL4]
        begun = time.monotonic()
        assert edge.facts("status")["alarms"] is not None
        assert time.monotonic() - begun < 20.0
    finally:
        taken(edge, *GARDEN_NAMES)
