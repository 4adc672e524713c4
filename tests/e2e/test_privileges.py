"""Only the process that enforces holds CAP_NET_ADMIN: looked at from outside, and tried from within."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import lab as places
from tests.e2e.edge import ROOT, Edge
from tests.e2e.lab import BAD4, RESOLVER4, Lab, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

UNIT = ROOT / "systemd" / "edged.service"
NET_ADMIN = 1 << 12
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_READ = "dac_read_search"
"""Beyond the unit's: this tree may be somebody's alone."""


def as_the_unit() -> tuple[str, ...]:
    """What gives a program the user and the capabilities that systemd/edged.service gives."""
    found = re.search(r"^AmbientCapabilities=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found
    names = ",".join(f"+{name}" for name in (*found[1].lower().replace("cap_", "").split(), _READ))
    return (
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
        f"--bounding-set=-all,{names}", f"--inh-caps=-all,{names}", f"--ambient-caps=-all,{names}",
    )  # fmt: skip


def sets_of(status: str) -> dict[str, int]:
    return {name: int(value, 16) for name, value in re.findall(r"^(Cap\w+):\s*([0-9a-f]+)$", status, re.MULTILINE)}


def family_of(pid: int) -> list[int]:
    """``pid`` and everything that it has started, and so on."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(each for path in listed for child in path.read_text().split() for each in family_of(int(child)))]


def is_gone(pid: int) -> bool:
    """Also when nobody has asked yet how it ended."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


class UnitEdge(Edge):
    """The daemon as the unit runs it: its user, its capabilities, its filter of system calls."""

    as_whom = (*as_the_unit(), sys.executable, str(ROOT / "tests" / "e2e" / "unit_filter.py"), str(UNIT))

    def start(self) -> None:
        for path in (self.directory, *self.directory.rglob("*")):
            shutil.chown(path, 65534, 65534)
        super().start()

    def keeper(self) -> int:
        """The process that holds the capability."""
        assert self.daemon is not None
        (found,) = [
            pid
            for pid in family_of(self.daemon.pid)[1:]
            if "edged.enforce.kernel.service" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        return found

    def blocks(self) -> bool:
        """True when the packet filter itself says so."""
        facts = self.facts("explain", BAD4)
        return bool(facts["in_place"]) and all(place["blocked"] for place in facts["in_place"])


@pytest.fixture(scope="module")
def edge() -> Iterator[UnitEdge]:
    with UnitEdge(prefix=f"edged-p{os.getpid()}") as built:
        yield built


def test_the_daemon_enforces_and_neither_it_nor_its_threads_and_children_may(edge: UnitEdge) -> None:
    edge.wait_for("the block is in force", edge.blocks, timeout=10.0)
    assert edge.daemon is not None
    keeper = edge.keeper()
    threads = [
        task for pid in family_of(edge.daemon.pid) if pid != keeper for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    assert len(threads) > 1

    for task in threads:
        sets = sets_of((task / "status").read_text())
        # without CAP_SETPCAP the bounding set stays, and no new privilege is ever given
        assert not any(sets[name] & NET_ADMIN for name in SETS if name != "CapBnd"), task
        assert sets["CapEff"] & 1 << 10, "a reload binds ports below 1024"
        assert re.search(r"^NoNewPrivs:\t1$", (task / "status").read_text(), re.MULTILINE)
        assert re.search(r"^Seccomp:\t2$", (task / "status").read_text(), re.MULTILINE)
    edge.wait_for("keys are searched", lambda: "event=pmks-derived" in edge.log.read_text(), timeout=10.0)
    for task in Path(f"/proc/{keeper}/task").iterdir():
        sets = sets_of((task / "status").read_text())
        assert {sets[name] for name in SETS if name != "CapBnd"} == {NET_ADMIN}, task
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # systemd's SIGTERM is for all processes of the unit
        os.kill(keeper, number)
    assert edge.blocks()
    buffers = edge.lab.run("router", "ss", "-lunm", "sport = :5300 or sport = :1812").stdout
    assert set(re.findall(r"rb(\d+)", buffers)) == {"8388608", "2097152"}, "the buffers are asked for through it"


def test_when_the_process_with_the_capability_dies_edged_ends_and_a_new_start_enforces(edge: UnitEdge) -> None:
    assert edge.daemon is not None
    edge.wait_for("the block is in force", edge.blocks, timeout=10.0)
    keeper = edge.keeper()
    begun = time.monotonic()
    os.kill(keeper, signal.SIGKILL)

    assert edge.daemon.wait(10.0) == os.EX_TEMPFAIL
    assert time.monotonic() - begun < 5.0
    edge.daemon = None
    assert "event=kernel-process-gone" in edge.log.read_text()
    assert BAD4 in edge.lab.run("router", "nft", "list", "table", "inet", "edged").stdout, "what is enforced stays"
    assert edge.dig("good", "example.com", "A", RESOLVER4)
    edge.start()
    edge.wait_for("the block is known to be in force", edge.blocks, timeout=10.0)


def test_the_process_with_the_capability_ends_with_the_daemon_however_that_ends(edge: UnitEdge) -> None:
    for end in (edge.stop, edge.kill):
        if edge.daemon is None:
            edge.start()
        keeper = edge.keeper()
        end()

        until("it has gone", lambda gone=keeper: is_gone(gone), timeout=5.0)
        assert BAD4 in edge.lab.run("router", "nft", "list", "table", "inet", "edged").stdout


FOREIGN = """
table inet theirs {
  set known { type ipv4_addr; elements = { 192.0.2.1 }; }
  chain input { type filter hook input priority 5; policy accept; ip saddr @known drop; }
}
table ip nat {
  chain post { type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }
}
table inet edged2 {
  set blocked4h { type ipv4_addr; }
}
"""
REFUSED = {
    "one octet": "too short", "a head alone": "ends too early", "garbage": "refused",
    "no such request": "no request 99",
    "nft's own words": "no request 102", "another set": "200 is above", "words in an interface": "not an interface",
    "half of a request": "ends too early", "everybody's connections": "not a prefix", "too much at once": "cut off",
    "a file that is not there": "no file", "no socket to widen": "EBADF", "a terabyte": "too long",
    "nine requests": "more than it says", "a pipe that nobody fills": "no file", "a folder": "no file",
    "many files": "cut off", "a stream to widen": "EPERM", "a folder to widen": "ENOTSOCK",
}  # fmt: skip


def surroundings(lab: Lab) -> list[list[str]]:
    """What others own: tables, addresses, routes, interfaces, one sysctl."""
    commands = (
        *(("nft", "-s", "list", "table", *name) for name in (("inet", "theirs"), ("ip", "nat"), ("inet", "edged2"))),
        ("ip", "-o", "address"), ("ip", "route"), ("ip", "-6", "route"),
        ("sysctl", "net.ipv4.conf.lan0.forwarding"),
    )  # fmt: skip
    # a link-local address that the kernel still tries is nobody's doing
    said = [lab.run("router", *command).stdout.splitlines() for command in commands]
    links = json.loads(lab.run("router", "ip", "-j", "link").stdout)
    said.append([f"{link['ifname']} {link['mtu']} {link['address']} {'UP' in link['flags']}" for link in links])
    return [[line for line in lines if "fe80" not in line and "tentative" not in line] for lines in said]


@pytest.mark.parametrize("who", ["the unit's user", "root"])
def test_a_main_process_that_was_taken_over_changes_nothing_foreign(who: str) -> None:
    with Lab(prefix=f"edged-i{os.getpid()}") as lab:
        lab.run("router", "nft", "-f", "-", input=FOREIGN)
        before = surroundings(lab)
        words = as_the_unit() if who != "root" else ()
        done = lab.run(
            "router", *words, "env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.e2e.intruder", timeout=60
        )
        found: dict[str, Any] = json.loads(done.stdout)
        after = surroundings(lab)
        ours = lab.run("router", "nft", "-t", "list", "table", "inet", "edged").stdout

    assert after == before
    assert "set blocked4h" in ours, "what is ours it may"
    for status in (found["status"], found["child"]):
        sets = sets_of(status)
        held = {name for name in SETS if sets[name] & NET_ADMIN}
        assert held == ({"CapBnd"} if words else set()), "root has CAP_SETPCAP, and the bounding set is cut as well"
    sets = sets_of(found["other"])
    assert {sets[name] for name in SETS if name != "CapBnd" or not words} == {NET_ADMIN}
    if words:
        # root may write sysctls and look into others, whatever its capabilities
        assert found["alone"].pop("sysctl") == found["alone"].pop("the other's memory") == "EACCES"
        assert set(found["alone"].values()) == {"EPERM"}
    asked = found["asked"]
    for attempt, why in REFUSED.items():
        assert why in asked.pop(attempt), attempt
    assert asked.pop("widened to") == str(2 << 20)
    assert set(asked.values()) == {"done"}
    assert len(asked) == 4
    assert found["ended"] is None, "nothing of it ended the process that enforces"
    assert is_gone(found["pid"])
