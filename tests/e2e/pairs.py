# SPDX-License-Identifier: Apache-2.0
"""Two edges behind one address, with real keepalived and the files that are shipped for it; needs root.

``python -m tests.e2e.pairs`` fails over in every way under load and prints the table of docs/pairs.md;
tests/e2e/test_pairs.py asserts what must hold of it on a busy machine too.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edged.ops.control import Refused, call
from tests.e2e.edge import BLOCKED, KEYS
from tests.e2e.lab import (
    BAD4,
    BAD6,
    GARDEN4,
    GARDEN6,
    GOOD4,
    GOOD6,
    PORTAL4,
    PORTAL6,
    RESOLVER4,
    RESOLVER6,
    ROUTER4,
    ROUTER6,
    WEB4,
    WEB6,
    Lab,
    _end,
    _ip_batch,
    until,
)
from tests.e2e.pair_load import Load, listening

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config/keepalived"
WAN = {"first": ("203.0.113.2", "2001:db8::2"), "second": ("203.0.113.3", "2001:db8::3")}
SHARED = (ROUTER4, ROUTER6, "203.0.113.1", "2001:db8::1", PORTAL4, PORTAL6)
"""What keepalived moves, but for the link-local one."""
SETTLE = 1.5
"""Seconds of load after everything is as it should be."""

CONFIG = """\
site: {name}
mode: enforce
state: {{directory: {directory}/state}}
billing: {{source: file, path: {billing}, guard: {{first: accept}}}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8:100::/40"]}}
portal:
  url: https://portal.example.net
  addresses: ["203.0.113.10", "2001:db8::10"]
  listen: {{http: ["0.0.0.0:8080", "[2001:db8::10]:8080"], https: ["203.0.113.10:8443", "[::]:8443"]}}
dns:
  listen: ["203.0.113.10:5300", "[::]:5300"]
  upstreams: ["203.0.113.53"]
radius:
  auth: ["203.0.113.10:1812"]
  acct: ["0.0.0.0:1813"]
  clients: [{{name: building-7, networks: ["203.0.113.0/24"], secret: lab-radius-secret}}]
mpsk: {{networks: {{Residence: {{}}}}}}
enforce: [nftables: {{interfaces: [lan0]}}]
pair: {{addresses: {shared}}}
ops: {{listen: "127.0.0.1:9300", socket: {directory}/control.sock}}
"""


class PairLab(Lab):
    """Two routers between a street and an internet, each side a switch in a namespace of its own."""

    subscribers = ("line",)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace of the lab."""
        return ("line", "switch", "first", "second", "internet")

    def _build(self) -> None:
        _ip_batch([f"netns add {self.name(namespace)}" for namespace in self.namespaces])
        self._commands = {namespace: ["link set lo up"] for namespace in self.namespaces}
        for bridge in ("lan", "wan"):
            self._ip("switch", "link", "add", bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
            self._ip("switch", "link", "set", bridge, "up")
        cables = [("line", "eth0", "lan"), ("internet", "eth0", "wan")]
        cables += [(edge, f"{side}0", side) for edge in WAN for side in ("lan", "wan")]
        for end, device, bridge in cables:
            port = f"{end}-{bridge}"
            _ip_batch(
                [f"link add {device} netns {self.name(end)} type veth peer name {port} netns {self.name('switch')}"]
            )
            self._ip("switch", "link", "set", port, "master", bridge, "up")
        self._address("line", "eth0", *(f"{a}/10" for a in (BAD4, GOOD4)), *(f"{a}/40" for a in (BAD6, GOOD6)))
        self._ip("line", "route", "add", "default", "via", ROUTER4)
        self._ip("line", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
        for number, (edge, (v4, v6)) in enumerate(WAN.items(), 2):
            self._address(edge, "lan0", f"100.64.0.{number}/10", f"2001:db8:100::{number}/40")
            self._address(edge, "wan0", f"{v4}/24", f"{v6}/64")
        there = ((RESOLVER4, RESOLVER6), (WEB4, WEB6), (GARDEN4, GARDEN6))
        self._address("internet", "eth0", *(a for v4, v6 in there for a in (f"{v4}/24", f"{v6}/64")))
        self._ip("internet", "route", "add", "100.64.0.0/10", "via", "203.0.113.1")
        self._ip("internet", "route", "add", "2001:db8:100::/40", "via", "2001:db8::1")
        for namespace, commands in self._commands.items():
            with self.inside(namespace):
                settings = [("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0")]
                if namespace in WAN:
                    settings += [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]
                for name, value in settings:
                    Path("/proc/sys/net", name).write_text(value)
                _ip_batch(commands)


@dataclass
class Member:
    """One edge of the pair: its edged and its keepalived."""

    lab: PairLab
    name: str
    directory: Path
    daemon: subprocess.Popen[str] | None = None
    router: subprocess.Popen[str] | None = None
    """keepalived, which makes this host the master or the backup."""

    @property
    def other(self) -> str:
        """The name of the other edge."""
        return "second" if self.name == "first" else "first"

    def configure(self, billing: Path) -> None:
        """Write both programs' configuration: keepalived's is the shipped one with this edge's addresses."""
        self.directory.mkdir()
        shared = json.dumps(SHARED)
        (self.directory / "edged.yaml").write_text(
            CONFIG.format(name=self.name, directory=self.directory, billing=billing, shared=shared)
        )
        (self.directory / "edged.yaml").chmod(0o600)
        text = (SHIPPED / "keepalived.conf").read_text()
        for old, new in (
            (r"unicast_src_ip \S+", f"unicast_src_ip {WAN[self.name][0]}"),
            (r"(unicast_peer \{\s+)\S+", rf"\g<1>{WAN[self.other][0]}"),
            ("/usr/lib/edged/edged-healthy", str(self.directory.parent / "edged-healthy")),
        ):
            text, found = re.subn(old, new, text)
            assert found == 1, old
        (self.directory / "keepalived.conf").write_text(text)

    def start(self) -> None:
        """Start edged; ``answers`` says when it is there."""
        with (self.directory / "edged.log").open("a") as log:
            self.daemon = subprocess.Popen(
                [
                    "ip", "netns", "exec", self.lab.name(self.name),
                    sys.executable, "-m", "edged.cli", "run", "-c", str(self.directory / "edged.yaml"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, text=True,
            )  # fmt: skip

    def facts(self, command: str, **given: Any) -> dict[str, Any]:
        """What ``edged NAME --json`` prints there."""
        answer: dict[str, Any] = call(self.directory / "control.sock", command, **given)
        return answer

    def enforces(self) -> bool:
        """True once the blocked line is blocked in this host's kernel."""
        try:
            facts = self.facts("explain", subject=BAD4, name=None)
        except Refused:
            return False
        return facts["access"] == "blocked" and all(place["blocked"] for place in facts["in_place"])

    def healthy(self) -> bool:
        """What keepalived's check says."""
        return self.lab.run(self.name, str(SHIPPED / "edged-healthy"), check=False).returncode == 0

    def signal(self, number: int) -> None:
        """A signal to edged; one that ends it is waited for."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            self.daemon.wait(10.0)

    def route(self) -> None:
        """Start keepalived."""
        with (self.directory / "keepalived.log").open("a") as log:
            self.router = subprocess.Popen(
                [
                    "ip", "netns", "exec", self.lab.name(self.name), "keepalived", "-P", "-n", "-l", "-D", "-G", "-R",
                    "-f", str(self.directory / "keepalived.conf"),
                    "-p", str(self.directory / "parent.pid"), "-r", str(self.directory / "vrrp.pid"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
            )  # fmt: skip

    def crash_router(self) -> None:
        """End keepalived as a crash would: it lets go of no address and tells nobody."""
        assert self.router is not None
        child = int((self.directory / "vrrp.pid").read_text())
        os.kill(child, signal.SIGKILL)
        self.router.kill()
        self.router.wait(5.0)

    def hand_over(self) -> None:
        """End keepalived as systemd would: it says that it goes."""
        assert self.router is not None
        self.router.terminate()
        self.router.wait(10.0)

    def holds(self) -> bool:
        """True while the shared addresses are here, all of them."""
        rows = json.loads(self.lab.run(self.name, "ip", "-j", "address", "show").stdout)
        here = {info["local"] for row in rows for info in row["addr_info"] if "local" in info}
        return {*SHARED, "fe80::1"} <= here

    def holds_none(self) -> bool:
        """True while none of them is here."""
        rows = json.loads(self.lab.run(self.name, "ip", "-j", "address", "show").stdout)
        return not {*SHARED, "fe80::1"} & {i["local"] for row in rows for i in row["addr_info"] if "local" in i}

    def ruleset(self) -> str:
        """Our table as nft lists it, without what traffic counts and without lives that run out."""
        text = self.lab.run(self.name, "nft", "-s", "list", "table", "inet", "edged").stdout
        return re.sub(r" (timeout|expires) [0-9dhms]+", "", text)

    def end(self) -> None:
        """End both programs, however they are."""
        for child in (self.router, self.daemon):
            if child is not None and child.poll() is None:
                child.send_signal(signal.SIGCONT)
                _end(child)


@dataclass
class Pair:
    """The lab with both edges serving, the first one master. ``rows`` is what each fail-over cost."""

    lab: PairLab = field(default_factory=lambda: PairLab(prefix=f"edged-p{os.getpid()}"))
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="edged-pair-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)  # the health check runs as nobody
        (folder / "edged-healthy").write_bytes((SHIPPED / "edged-healthy").read_bytes())
        (folder / "edged-healthy").chmod(0o755)
        billing = folder / "billing.json"
        billing.write_text(json.dumps({"subscribers": [BLOCKED], "keys": KEYS, "known": 4120}))
        self.lab.__enter__()
        self.members = {name: Member(self.lab, name, folder / name) for name in WAN}
        try:
            listening(self.lab)
            for member in self.members.values():
                member.configure(billing)
                member.start()
            for member in self.members.values():
                until(f"{member.name} enforces", member.enforces, timeout=30.0)
            first, second = self.members.values()
            first.route()
            until("the first is master", first.holds, timeout=10.0)
            second.route()
            self.load = Load(self.lab)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for member in self.members.values():
                member.end()
        finally:
            self.lab.__exit__()
            if os.environ.get("KEEP"):
                os.system("cp -r %s %s" % (self._folder.name, os.environ["KEEP"]))
            self._folder.cleanup()

    @property
    def master(self) -> Member:
        """The one edge that has the addresses; AssertionError where it is not exactly one."""
        (one,) = (member for member in self.members.values() if member.holds())
        return one

    def backup(self, of: Member) -> Member:
        """The other one."""
        return self.members[of.other]

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """What was asked from now until the load has run on for a while after the block."""
        begun = time.monotonic()
        yield
        time.sleep(SETTLE)
        end = time.monotonic()
        self.rows[name] = {kind: (begun, end, tally) for kind, tally in self.load.tallies.items()}

    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """For each fail-over and each kind what became of it; after the load has ended."""
        return {
            name: {kind: tally.between(begin, end) for kind, (begin, end, tally) in kinds.items()}
            for name, kinds in self.rows.items()
        }


def kill_daemon(pair: Pair) -> None:
    """edged of the master is killed; it comes back, and is the backup."""
    old = pair.master
    with pair.measured("edged killed"):
        old.signal(signal.SIGKILL)
        until("the other is master", lambda: old.holds_none() and pair.backup(old).holds(), timeout=15.0)
    _back(pair, old, old.start)


def stop_daemon(pair: Pair) -> None:
    """edged of the master hangs; it goes on, and is the backup."""
    old = pair.master
    with pair.measured("edged hangs"):
        old.signal(signal.SIGSTOP)
        until("the other is master", lambda: old.holds_none() and pair.backup(old).holds(), timeout=15.0)
    _back(pair, old, lambda: old.signal(signal.SIGCONT))


def kill_keepalived(pair: Pair) -> None:
    """keepalived of the master is killed: its addresses stay where they are until it comes back."""
    old = pair.master
    with pair.measured("keepalived killed"):
        old.crash_router()
        until("the other is master", pair.backup(old).holds, timeout=15.0)
    assert old.holds(), "nobody took them from the host that is not the master any more"
    _back(pair, old, old.route)


def cut_off(pair: Pair) -> None:
    """The master loses both its links at once, as by a power cut."""
    old = pair.master
    ports = [f"{old.name}-lan", f"{old.name}-wan"]
    with pair.measured("links down"):
        for port in ports:
            pair.lab.run("switch", "ip", "link", "set", port, "down")
        until("the other is master", pair.backup(old).holds, timeout=15.0)

    def plug() -> None:
        for port in ports:
            pair.lab.run("switch", "ip", "link", "set", port, "up")

    _back(pair, old, plug)


def hand_over(pair: Pair) -> None:
    """An upgrade of the master: keepalived is stopped first, then edged; both come back."""
    old = pair.master
    with pair.measured("handed over"):
        old.hand_over()
        until("the other is master", lambda: old.holds_none() and pair.backup(old).holds(), timeout=15.0)
    with pair.measured("backup restarted"):
        old.signal(signal.SIGTERM)
        old.start()
        until("it enforces", old.enforces, timeout=30.0)
    _back(pair, old, old.route)


def partition(pair: Pair) -> None:
    """Neither hears the other: both are master, until they hear each other again."""
    with pair.measured("both master"):
        for member in pair.members.values():
            rules = "add table inet deaf; add chain inet deaf in { type filter hook input priority -300; }"
            pair.lab.run(member.name, "nft", f"{rules}; add rule inet deaf in meta l4proto 112 drop")
        for member in pair.members.values():
            until("both are master", member.holds, timeout=15.0)
    with pair.measured("one master again"):
        for member in pair.members.values():
            pair.lab.run(member.name, "nft", "delete", "table", "inet", "deaf")
        until("one is master", lambda: sum(m.holds() for m in pair.members.values()) == 1, timeout=15.0)


FAILURES = (kill_daemon, stop_daemon, kill_keepalived, cut_off, hand_over, partition)


def _back(pair: Pair, member: Member, how: Any) -> None:
    """``member`` is well again, and nothing moves for that."""
    how()
    until("it is well again, and is the backup", lambda: member.healthy() and member.holds_none(), timeout=30.0)
    until("it enforces", member.enforces, timeout=10.0)
    time.sleep(SETTLE)  # adverts and health checks would have moved it by now
    assert pair.master is pair.backup(member)


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The figures in Markdown: a row for each failure and kind."""
    rows = ["| failure | asked | of | lost | late | wrong | longest s without |", "|---|---|---|---|---|---|---|"]
    for name, kinds in figures.items():
        for kind, f in kinds.items():
            rows.append(
                f"| {name} | {kind} | {f['asked']} | {f['lost']} | {f['late']} | {f['wrong']} | {f['gap_s']:.2f} |"
            )
    return "\n".join(rows)


def main() -> None:
    """Every failure once; the table on standard output."""
    with Pair() as pair:
        pair.load.start()
        with pair.measured("nothing"):
            pass
        for failure in FAILURES:
            failure(pair)
        pair.load.end()
        print(table(pair.figures()))  # noqa: T201
        print("connections cut:", pair.load.cut or "none")  # noqa: T201


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
