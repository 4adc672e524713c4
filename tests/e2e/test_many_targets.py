# SPDX-License-Identifier: Apache-2.0
"""The daemon with three targets at once: this host's nftables, a RouterOS router and a BNG, both stand-ins.

Whatever one of them does, the others and whoever asks are served as before; and it catches up when it is back.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest

from edged.ops.control import call
from edged.radius.attributes import attribute
from edged.radius.authenticator import sign_request
from edged.radius.packet import Code, Packet
from edged.values import Secret
from tests.bng_world import SECRET, Bng, Line
from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED, CONFIG, GARDEN_HOST, Edge
from tests.e2e.lab import BAD4, BAD_PREFIX6, GARDEN4, WEB4
from tests.routeros.background import Background
from tests.routeros.server import router
from tests.routeros_lab import listed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

NFTABLES, ROUTER, BNG = "nftables", "127.0.0.2", "127.0.0.1"
PASSWORD = "geheim-7Q"
OTHER_HOST = "www.example.org"
"""A second name of the garden: it is asked for while a target is away."""
TARGETS = f"""\
enforce:
  - nftables: {{{{interfaces: [lan0]}}}}
  - routeros: {{{{host: {ROUTER}, user: edged, password: {PASSWORD}, tls: false, timeout: 2s}}}}
  - radius: {{{{nas: {BNG}, secret: {SECRET.reveal_text()}}}}}
"""
OWING: dict[str, Any] = BLOCKED | {"logins": ["anna"]}
ANOTHER: dict[str, Any] = {"id": "1002", "state": "blocked", "addresses": ["100.64.2.2"]}
SOON = 3.0
"""Seconds in which a word is in force where all is well; a router that hangs is given up after four."""


class ManyTargets(Edge):
    """The edge, its router and its BNG on the router's loopback."""

    template = (
        CONFIG.replace("enforce:\n  - nftables: {{interfaces: [lan0]}}\n", TARGETS)
        .replace("names: [{garden}]", f"names: [{{garden}}, {OTHER_HOST}]")
        .replace("ops:\n", "ops:\n  log: {{level: debug}}\n")
    )

    def _start_billing(self) -> None:
        self.bng = Bng(sessions={"s-1": Line("anna", BAD4)})
        server = router(password=PASSWORD)
        server.host, server.port = ROUTER, 8728
        self.at = Background(server)
        with self.lab.inside("router"):
            self.at.start()
        self.at.wait_for(self.bng.open(3799))
        super()._start_billing()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.at.do(self.bng.transport.close)
        self.at.stop()

    def begins_a_session(self) -> None:
        given = (
            attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "s-1"), attribute("User-Name", "anna"),
            attribute("Framed-IP-Address", IPv4Address(BAD4)),
        )  # fmt: skip
        octets = sign_request(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given), Secret(b"lab-radius-secret"))
        with self.lab.inside("router"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
            nas.connect(("127.0.0.1", 1813))
            nas.settimeout(5.0)
            nas.send(octets)
            nas.recv(4096)

    # --- what each holds ---------------------------------------------------------------------------

    def in_nftables(self, name: str, element: str) -> bool:
        # before the first list there is no table
        return element in self.lab.run("router", "nft", "list", "set", "inet", "edged", name, check=False).stdout

    def blocked(self, name: str) -> bool:
        """Whether a target blocks the bad subscriber."""
        match name:
            case "nftables":
                return self.in_nftables("blocked4h", BAD4)
            case "127.0.0.2":
                return listed(self.at) >= {BAD4, BAD_PREFIX6}
            case _:
                return self.bng.lists() == {"s-1": "edged-blocked"}

    def is_open(self, name: str) -> bool:
        match name:
            case "127.0.0.2":
                return not listed(self.at) & {BAD4, BAD_PREFIX6}
            case "127.0.0.1":
                return self.bng.lists() == {"s-1": "edged-open"}
            case _:
                return not self.blocked(name)

    def others_open(self, *names: str) -> None:
        """The bad subscriber is soon open there."""
        assert self.wait_for(f"{names} open", lambda: all(map(self.is_open, names)), timeout=10.0) < SOON

    def ask(self, command: str, **more: Any) -> Any:
        """What the daemon answers to a command, without the time that a process takes to start."""
        return call(self.directory / "control.sock", command, **more)

    def states(self) -> dict[str, str]:
        """Each target's state, as a monitor reads it."""
        status = json.loads(self.router_get("http://127.0.0.1:9300/status"))
        parts = {part["name"]: part["state"] for part in status["parts"]}
        return {name: parts[name] for name in (NFTABLES, ROUTER, BNG)}

    def ups(self) -> dict[str, float]:
        lines = self.router_get("http://127.0.0.1:9300/metrics").splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("edged_target_up{"))
        return {name: float(values[f'edged_target_up{{target="{name}"}}']) for name in (NFTABLES, ROUTER, BNG)}


@pytest.fixture(scope="module")
def whole() -> Iterator[ManyTargets]:
    with ManyTargets(prefix=f"edged-m{os.getpid()}") as built:
        built.begins_a_session()
        yield built


@pytest.fixture
def edge(whole: ManyTargets) -> ManyTargets:
    """The bad subscriber is blocked everywhere, and all three are well."""
    whole.at.do(whole.at.server.faults.clear)
    whole.tell(OWING)
    whole.wait_for("all block", lambda: all(map(whole.blocked, (NFTABLES, ROUTER, BNG))), timeout=15.0)
    whole.wait_for("all are well", lambda: whole.states() == dict.fromkeys((NFTABLES, ROUTER, BNG), "OK"), timeout=15.0)
    return whole


def in_time(call: Any, seconds: float = SOON) -> Any:
    begun = time.monotonic()
    answer = call()
    assert time.monotonic() - begun < seconds
    return answer


def test_a_block_a_garden_name_and_a_payment_reach_every_target(edge: ManyTargets) -> None:
    assert edge.dig("bad", GARDEN_HOST) == [GARDEN4]
    assert edge.in_nftables("garden4", GARDEN4)
    assert GARDEN4 in listed(edge.at, "edged-garden")
    assert edge.ups() == {NFTABLES: 1, ROUTER: 1, BNG: 1}
    assert all(place["blocked"] for place in edge.facts("explain", BAD4)["in_place"])

    edge.tell()
    edge.others_open(NFTABLES, ROUTER, BNG)


def test_a_router_that_hangs_delays_nobody_shows_and_catches_up(edge: ManyTargets) -> None:
    edge.at.do(lambda: edge.at.server.faults.add("half-open"))
    edge.tell(ANOTHER)
    edge.others_open(NFTABLES, BNG)
    assert in_time(lambda: edge.dig("bad", OTHER_HOST)) == [WEB4]
    assert edge.in_nftables("garden4", WEB4)
    edge.wait_for("it shows", lambda: edge.states() == {NFTABLES: "OK", ROUTER: "FAIL", BNG: "OK"}, timeout=10.0)
    assert edge.ups() == {NFTABLES: 1, ROUTER: 0, BNG: 1}
    needs = {alarm["code"]: alarm["sentence"] for alarm in in_time(lambda: edge.ask("status"))["alarms"]}
    assert needs["target-failing"].startswith(ROUTER)
    plan = in_time(lambda: edge.ask("plan"))
    assert [target["name"] for target in plan["targets"] if target["summary"].startswith("not read")] == [ROUTER]
    assert in_time(lambda: edge.ask("explain", subject=BAD4))["access"] == "drain"
    assert edge.blocked(ROUTER), "nothing changes there"

    edge.at.do(edge.at.server.faults.clear)
    edge.wait_for("it catches up", lambda: listed(edge.at) == {"100.64.2.2"}, timeout=20.0)
    edge.wait_for("with the garden", lambda: WEB4 in listed(edge.at, "edged-garden"), timeout=20.0)


def test_a_slow_router_delays_nobody(edge: ManyTargets) -> None:
    edge.at.server.late = 0.4
    edge.at.do(lambda: edge.at.server.faults.add("late"))
    edge.tell()
    edge.others_open(NFTABLES, BNG)
    assert in_time(lambda: edge.dig("bad", GARDEN_HOST)) == [GARDEN4]
    in_time(edge.states)
    assert edge.blocked(ROUTER)
    edge.wait_for("it catches up", lambda: edge.is_open(ROUTER), timeout=20.0)
    edge.at.do(edge.at.server.faults.clear)


def test_with_all_others_away_this_host_enforces_and_they_catch_up(edge: ManyTargets) -> None:
    edge.bng.silent = True
    edge.at.wait_for(edge.at.server.power_off())
    edge.tell()
    edge.others_open(NFTABLES)
    assert in_time(lambda: edge.dig("bad", GARDEN_HOST)) == [GARDEN4]
    edge.bng.silent = False
    edge.at.wait_for(edge.at.server.power_on())
    edge.wait_for("both catch up", lambda: edge.is_open(BNG) and edge.is_open(ROUTER), timeout=40.0)


def test_no_secret_and_no_name_of_a_site_is_in_a_log_a_plan_or_a_figure(edge: ManyTargets) -> None:
    edge.at.do(lambda: edge.at.server.faults.add("login-refused"))
    edge.at.do(edge.at.server.cut)
    edge.tell()
    edge.wait_for("it shows", lambda: edge.states()[ROUTER] == "FAIL", timeout=15.0)
    said = edge.log.read_text() + edge.command("plan").stdout + edge.command("status", "--json").stdout
    said += edge.router_get("http://127.0.0.1:9300/metrics") + edge.router_get("http://127.0.0.1:9300/status")
    edge.at.do(edge.at.server.faults.clear)
    assert "the login of edged was refused" in said
    for secret in (PASSWORD, SECRET.reveal_text(), OTHER_HOST):
        assert secret not in said
