# SPDX-License-Identifier: Apache-2.0
"""Two routers that both run edged and keepalived between a street and an internet (pairs.py). Needs root.

keepalived has the configuration and the health check that are shipped, with the addresses of each edge.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.ops.control import Refused, call
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
)

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config/keepalived"
WAN = {"first": ("203.0.113.2", "2001:db8::2"), "second": ("203.0.113.3", "2001:db8::3")}
SHARED = (ROUTER4, ROUTER6, "203.0.113.1", "2001:db8::1", PORTAL4, PORTAL6)
"""What keepalived moves, but for the link-local one."""

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

    def alarms(self) -> set[str]:
        """The codes of its alarms."""
        return {alarm["code"] for alarm in self.facts("status")["alarms"]}

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

    def counts_as_well(self) -> bool:
        """True while keepalived gives this host its whole priority."""
        said = (self.directory / "keepalived.log").read_text()
        return said.count("effective priority from 250 to 240") == said.count("effective priority from 240 to 250")

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
        # the process that speaks VRRP; the other one sees it end, and ends: one killed beside it would leave a zombie,
        # which the next start takes for a keepalived that runs
        os.kill(int((self.directory / "vrrp.pid").read_text()), signal.SIGKILL)
        self.router.wait(5.0)

    def hand_over(self) -> None:
        """End keepalived as systemd would: it says that it goes."""
        assert self.router is not None
        self.router.terminate()
        self.router.wait(10.0)

    def holds(self) -> bool:
        """True while the shared addresses are here, all of them."""
        return self._shared() == {*SHARED, "fe80::1"}

    def holds_none(self) -> bool:
        """True while none of them is here."""
        return not self._shared()

    def _shared(self) -> set[str]:
        rows = json.loads(self.lab.run(self.name, "ip", "-j", "address", "show").stdout)
        return {*SHARED, "fe80::1"} & {info["local"] for row in rows for info in row["addr_info"] if "local" in info}

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
