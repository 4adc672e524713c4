"""`edged probe` from a port of the subscribers' bridge, of a line that is blocked, open, dead or hindered."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edged.captive.capport import capport_options
from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED, GARDEN_HOST, PORTAL_HOST, Edge
from tests.e2e.lab import (
    BAD4,
    BAD6,
    BAD_MAC,
    LAN,
    PORTAL4,
    RESOLVER4,
    RESOLVER6,
    ROUTER4,
    ROUTER6,
    Lab,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

PHONE4, PHONE6 = "100.64.1.77", "2001:db8:100:700::77"
OPEN4, OPEN6 = "100.64.1.78", "2001:db8:100:900::78"
LEASED4 = "100.64.1.79"
PHONE_MAC = "02:00:5e:10:00:77"
LINE = {**BLOCKED, "addresses": [BAD4, PHONE4, LEASED4, "2001:db8:100:700::/56"]}
CLIENTS = ("apple", "android", "chrome", "windows", "firefox", "networkmanager", "kindle", "nintendo", "roku", "steam")


class PhoneLab(Lab):
    """The lab, and one port of the bridge more: its host has no address there, like the engineer's laptop."""

    subscribers = ("bad", "good", "phone")

    def _connect(self) -> None:
        super()._connect()
        self._cable("phone", "router", "p-phone", None)
        self._ip("router", "link", "set", "p-phone", "master", LAN, "up")
        self._ip("phone", "link", "set", "eth0", "up")


class PhoneEdge(Edge):
    """An edge with that port."""

    lab_class = PhoneLab

    def probe(
        self, *arguments: str, where: str = "phone", via: str = "eth0", check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """The command, on the engineer's laptop."""
        return self.lab.run(
            where, sys.executable, "-m", "edged.cli", "probe", "-c", str(self.config), "--via", via,
            "--public", RESOLVER4, RESOLVER6, "--foreign", "www.example.org", "--ca", str(self.directory / "ca.pem"),
            *arguments, check=check, timeout=40.0,
        )  # fmt: skip

    def report(self, *arguments: str) -> dict[str, Any]:
        """Its facts, from an address of either family."""
        done = self.probe("--json", "--gateway", ROUTER4, ROUTER6, "--resolver", RESOLVER4, RESOLVER6, *arguments)
        assert done.returncode in {0, 1}, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == any(step["state"] == "fail" for step in facts["steps"])
        assert facts["seconds"] < 10.0
        return facts


@pytest.fixture(scope="module")
def edge() -> Iterator[PhoneEdge]:
    with PhoneEdge(prefix=f"edged-p{os.getpid()}") as built:
        built.tell(LINE)
        built.wait_for("the line is blocked", lambda: _is_blocked(built), timeout=10.0)
        yield built


def _is_blocked(edge: Edge) -> bool:
    facts = edge.facts("explain", PHONE4)
    return facts["access"] == "blocked" and all(place["blocked"] for place in facts["in_place"])


def steps(facts: dict[str, Any], state: str) -> dict[str, str]:
    return {f"{s['step']}/{s['family']}": s["seen"] for s in facts["steps"] if s["state"] == state}


def test_a_blocked_line_passes_every_step_and_the_capture_holds_the_phones_frames_alone(edge: PhoneEdge) -> None:
    path = edge.directory / "probe.pcap"
    neighbour = edge.lab.popen("bad", sys.executable, "-c", _TALK)
    facts = edge.report("--as", PHONE4, PHONE6, PHONE_MAC, "--capture", str(path))
    assert neighbour.poll() is None
    neighbour.kill()

    assert steps(facts, "fail") == {}
    assert facts["standing"] == "blocked"
    passed = steps(facts, "pass")
    link = {"address", "gateway"}
    names = {"dns", "dns-tcp", "public-dns", "garden-dns"}
    web = {*(f"check-{c}" for c in CLIENTS), "tls", "http-direct", "tls-direct", "quic", "dot", "garden", "page", "api"}
    assert passed.keys() == {f"{step}/{family}" for step in link | names | web for family in (4, 6)}
    assert passed["check-apple/6"] == f"302 to https://{PORTAL_HOST}/"
    assert passed["tls-direct/4"] == f"{RESOLVER4} ends it with TLS alert 80"
    assert steps(facts, "skip").keys() == {"dhcp/4", "dhcp/6", "router/6"}
    assert facts["shows"]["iPhone, iPad"] == "the sign-in sheet opens"
    assert facts["frames_sent"] < 400
    _holds_the_phones_frames_alone(edge, str(path))


def _holds_the_phones_frames_alone(edge: PhoneEdge, path: str) -> None:
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    ours = edge.lab.run("phone", sys.executable, "-c", _COUNT, path, PHONE_MAC).stdout.split()
    assert int(ours[0]) > 300
    assert ours[1] == "0", "frames of others"
    assert int(ours[2]) > 3, "whoever asks for the address is told"


_TALK = f"""
import socket, struct, time
mac, own, target = bytes.fromhex("{BAD_MAC}".replace(":", "")), socket.inet_aton("{BAD4}"), socket.inet_aton("{PHONE4}")
ask = b"\\xff" * 6 + mac + struct.pack("!5H", 0x0806, 1, 0x0800, 0x0604, 1) + mac + own + bytes(6) + target
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as talker:
    talker.bind(("eth0", 0))
    while True:
        talker.send(ask)
        time.sleep(0.05)
"""
"""Asks everybody for the phone's address, all the time."""
_COUNT = """
import struct, sys
octets, mac = open(sys.argv[1], "rb").read(), bytes.fromhex(sys.argv[2].replace(":", ""))
at, ours, others, told = 24, 0, 0, 0
while at < len(octets):
    length = struct.unpack_from("<I", octets, at + 8)[0]
    frame = octets[at + 16 : at + 16 + length]
    told += frame[6:12] == mac and frame[12:14] == b"\\x08\\x06" and frame[21] == 2
    ours, others = (ours + 1, others) if mac in (frame[:6], frame[6:12]) else (ours, others + 1)
    at += 16 + length
print(ours, others, told)
"""
"""Reads pcap without any library: frames from or to the MAC address, others, and its answers by ARP."""


def test_an_open_line_is_called_open_and_no_device_would_show_the_page(edge: PhoneEdge) -> None:
    facts = edge.report("--as", OPEN4, OPEN6)

    assert facts["standing"] == "open"
    assert "is OPEN: it gets the Internet" in facts["headline"]
    failed = steps(facts, "fail")
    assert {"dns/4", "public-dns/6", "tls/4", "api/4"} <= failed.keys()
    assert failed["check-chrome/4"] == "204, the vendor's own success"
    assert facts["shows"]["Chrome, Edge"] == "an error page and no tab"
    assert {"garden/4", "page/4"} <= steps(facts, "pass").keys()


def test_when_edged_was_killed_a_blocked_line_gets_nothing_and_the_probe_says_where_it_ends(edge: PhoneEdge) -> None:
    edge.kill()
    try:
        facts = edge.report("--as", PHONE4, PHONE6)
    finally:
        edge.start()

    assert facts["standing"] == "dead"
    failed = steps(facts, "fail")
    assert failed["dns/4"] == f"A: {RESOLVER4} refused it at once (port-unreachable)"
    assert failed["tls-direct/6"] == f"{RESOLVER6} port 443 refused the connection"
    # what the kernel holds stays in force
    assert {"quic/4", "dot/6", "gateway/4"} <= steps(facts, "pass").keys()
    assert facts["shows"]["Android"].startswith("no Internet, and no page")


@contextmanager
def _firewall(edge: Edge, rule: str) -> Iterator[None]:
    """An input chain of somebody else that drops what ``rule`` matches."""
    text = f"table inet other {{ chain input {{ type filter hook input priority 0; {rule} drop; }}; }}"
    edge.lab.run("router", "nft", text)
    try:
        yield
    finally:
        edge.lab.run("router", "nft", "delete table inet other")


def test_a_firewall_that_drops_is_named_by_the_very_steps_that_it_hinders(edge: PhoneEdge) -> None:
    with _firewall(edge, "tcp dport 8443"):
        facts = edge.report("--as", PHONE4)

    assert facts["standing"] == "faulty"
    failed = steps(facts, "fail")
    assert failed.keys() == {"tls/4", "tls-direct/4", "page/4"}
    assert failed["page/4"] == f"no answer from {PORTAL_HOST} ({PORTAL4})"
    fixes = {s["fix"] for s in facts["steps"] if s["state"] == "fail"}
    assert all("accept ct status dnat" in fix for fix in fixes)
    assert facts["shows"]["Mac"] == "the sign-in window opens, and fails to load (page)"


@contextmanager
def _announced(edge: Edge, uri: str) -> Iterator[None]:
    """A DHCP server and router advertisements on the router, which name the captive portal API."""
    config = edge.directory / "dhcp.conf"
    config.write_text(
        f"port=0\ninterface={LAN}\nbind-dynamic\nleasefile-ro\nuser=root\nno-ping\nenable-ra\n"
        f"dhcp-range={LEASED4},{LEASED4},255.192.0.0,10m\ndhcp-option=6,{RESOLVER4}\ndhcp-option=114,{uri}\n"
        "dhcp-range=2001:db8:100:700::,ra-stateless,64\n"
        f"dhcp-option=option6:dns-server,[{RESOLVER6}]\ndhcp-option=option6:103,{uri}\n"
    )
    edge.lab.run("router", "ip", "address", "add", "2001:db8:100:700::1/64", "dev", LAN, "nodad")
    server = edge.lab.popen("router", "dnsmasq", "--no-daemon", f"--conf-file={config}")
    assert server.stdout is not None
    # it says so once it listens
    assert any("router advertisement on" in line for line in iter(server.stdout.readline, ""))
    try:
        yield
    finally:
        server.terminate()
        server.communicate(timeout=10)
        edge.lab.run("router", "ip", "address", "del", "2001:db8:100:700::1/64", "dev", LAN)


def test_a_mac_address_alone_gets_its_addresses_and_the_captive_portal_uri_is_checked(edge: PhoneEdge) -> None:
    right = capport_options(f"https://{PORTAL_HOST}").uri
    with _announced(edge, right):
        done = edge.probe("--json", "--as", PHONE_MAC, check=True)

    facts = json.loads(done.stdout)
    assert facts["addresses"] == [LEASED4, "2001:db8:100:700:0:5eff:fe10:77"]
    assert steps(facts, "fail") == {}
    passed = steps(facts, "pass")
    assert passed["dhcp/4"] == f"DHCP names {right}"
    assert passed["dhcp/6"] == f"DHCPv6 names {right}"
    assert passed["gateway/4"].startswith(f"{ROUTER4} is ")
    assert passed["gateway/6"].startswith("fe80::")
    assert passed["dns/4"].startswith(f"{RESOLVER4} says")
    assert passed["dns/6"].startswith(f"{RESOLVER6} says")
    assert steps(facts, "skip").keys() == {"router/6"}


def test_an_address_that_somebody_has_is_left_to_them(edge: PhoneEdge) -> None:
    assert edge.dig("bad", "www.example.org") == [PORTAL4]
    facts = edge.report("--as", BAD4, BAD6)

    assert steps(facts, "fail") == {"address/4": f"{BAD_MAC} has {BAD4}", "address/6": f"{BAD_MAC} has {BAD6}"}
    assert facts["frames_sent"] <= 6
    assert BAD_MAC in edge.lab.run("router", "ip", "neigh", "show", BAD4).stdout


def test_on_the_router_itself_it_says_how_to_make_a_port_and_that_works(edge: PhoneEdge) -> None:
    refused = edge.probe("--as", PHONE4, where="router", via=LAN)

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "never\nthrough edged" in refused.stderr
    for line in refused.stderr.splitlines():
        if line.startswith("  ip link"):
            edge.lab.run("router", *line.split())
    try:
        done = edge.probe("--json", "--as", PHONE4, "--gateway", ROUTER4, where="router", via="probe0", check=True)
    finally:
        edge.lab.run("router", "ip", "link", "delete", "probe0")
    assert json.loads(done.stdout)["standing"] == "blocked"


def test_the_hosts_own_address_is_refused(edge: PhoneEdge) -> None:
    done = edge.probe("--as", BAD4, where="bad")

    assert done.returncode == 1
    assert "is this host's own address" in done.stderr


def test_without_the_capability_it_says_what_is_missing(edge: PhoneEdge) -> None:
    done = edge.lab.run(
        "phone", "setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", sys.executable, "-m", "edged.cli",
        "probe", "-c", str(edge.config), "--via", "eth0", "--as", PHONE4, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "CAP_NET_RAW" in done.stderr


# --- edged doctor, on the router of the same lab ----------------------------------------------------


def doctor(edge: PhoneEdge, *arguments: str) -> tuple[dict[str, dict[str, Any]], int]:
    """Every check's finding by its name, and the exit status."""
    done = edge.lab.run(
        "router", "env", f"SSL_CERT_FILE={edge.directory / 'ca.pem'}",
        sys.executable, "-m", "edged.cli", "doctor", "-c", str(edge.config), "--json", *arguments,
        check=False, timeout=40.0,
    )  # fmt: skip
    facts = json.loads(done.stdout)
    assert facts["seconds"] < 10.0
    return {found["check"]: found for found in facts["checks"]}, done.returncode


def test_the_doctor_finds_nothing_that_fails_on_a_healthy_edge(edge: PhoneEdge) -> None:
    found, status = doctor(edge)

    assert status == 0
    grades = {check: finding["grade"] for check, finding in found.items()}
    # no name of the lab can be called, and whether anybody keeps the clock is the machine's own affair
    assert grades.pop("config") == "WARN"
    assert grades.pop("clock") in {"OK", "WARN"}
    assert found["routes"]["seen"] == "there is no default route of IPv4"
    assert {check for check, grade in grades.items() if grade != "OK"} <= {"routes", "bridge", "hub", "shared-store"}
    assert found["ports"]["seen"] == "1812, 1813, 5300, 8080, 8443, 9300 are ours"
    assert found["targets"]["seen"].startswith("nftables 4 of 4")
    assert found["upstreams"]["seen"].startswith("2 of 2 answer")
    assert found["garden"]["seen"].startswith("1 of 1 names have an address")
    assert found["sinkhole"]["seen"] == "a made-up blocked subscriber gets our address, v4 and v6"
    assert found["page"]["seen"].startswith("302 then 200 over TLS, unpaid/en, ")
    assert found["phones"]["seen"].startswith("iPhone and Mac, Android, ")
    assert found["backup"]["seen"] == "no locally made keys; nothing to export"


def test_the_doctor_says_of_a_running_edge_what_keeps_the_blocked_from_their_page(edge: PhoneEdge) -> None:
    right = edge.config.read_text()
    edge.config.write_text(right.replace('exempt: ["100.64.0.53"]', 'exempt: ["100.64.0.0/10"]'))
    aside = ("add table ip raw", "add chain ip raw pre { type filter hook prerouting priority -300; }",
             "add rule ip raw pre ip saddr 100.64.0.0/10 notrack",
             "add table inet deaf", "add chain inet deaf in { type filter hook input priority 0; }",
             "add rule inet deaf in tcp dport 8443 drop")  # fmt: skip
    edge.lab.run("router", "ip", "-6", "route", "add", "2001:db8:300::/48", "dev", LAN)
    edge.lab.run("router", "nft", "-f", "-", input="\n".join(aside))
    report = edge.directory / "report.txt"
    try:
        assert edge.command("reload").returncode == 0
        found, status = doctor(edge, "--report", str(report))
        edge.lab.run("router", "nft", "delete table ip raw")
        routed, _ = doctor(edge, "bypass")
    finally:
        edge.config.write_text(right)
        assert edge.command("reload").returncode == 0
        edge.lab.run("router", "nft", "delete table inet deaf")
        edge.lab.run("router", "ip", "-6", "route", "del", "2001:db8:300::/48", "dev", LAN)

    assert status == 1
    failed = {check: finding["seen"] for check, finding in found.items() if finding["grade"] == "FAIL"}
    assert failed == {
        "sinkhole": "nobody in 100.64.0.0/10 can be blocked",
        "page": "0.0.0.0:8443 TLS: no answer",
        "bypass": "a rule of chain ip raw pre says notrack",
    }
    assert routed["bypass"]["seen"] == f"2001:db8:300::/48 is at {LAN}, and in no network of subscribers"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    shared = report.read_text()
    for private in (LAN, "100.64.", PORTAL_HOST, GARDEN_HOST, RESOLVER4, "north", "lab-feed-key", str(edge.directory)):
        assert private not in shared.partition("1 findings")[2], private
    assert "FAIL  page" in shared


def test_the_doctor_tells_a_daemon_that_hangs_from_one_that_is_not_there(edge: PhoneEdge) -> None:
    assert edge.daemon is not None
    edge.daemon.send_signal(signal.SIGSTOP)
    try:
        found, status = doctor(edge)
    finally:
        edge.daemon.send_signal(signal.SIGCONT)

    assert status == 1
    assert {check for check, finding in found.items() if finding["grade"] == "FAIL"} == {"edged"}
    assert found["edged"]["seen"] == f"it runs (pid {edge.daemon.pid}), and does not answer within four seconds"
    assert found["ports"]["seen"].endswith(" are ours")
    assert "edged probe" in found["sinkhole"]["seen"]


def test_the_doctor_names_each_fault_of_a_host_with_many_and_how_to_mend_it(edge: PhoneEdge) -> None:
    right = edge.config.read_text()
    wrong = right.replace("interfaces: [lan0]", "interfaces: [lan0, p-bad, lan9]")
    wrong = wrong.replace(f'upstreams: ["{RESOLVER4}", ', 'upstreams: ["203.0.113.99", ')
    wrong = wrong.replace("portal.pem", "nowhere.pem")
    wrong = wrong.replace(f"  names: [{GARDEN_HOST}", f"  names: [{GARDEN_HOST}, gone.example.net")
    squatter = (
        "import socket, time\nheld = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "held.bind(('0.0.0.0', 5300))\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    edge.stop()
    other = edge.lab.popen("router", sys.executable, "-c", squatter)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    ip = ("ip", "address")
    edge.lab.run("router", *ip, "del", f"{PORTAL4}/32", "dev", "lo")
    edge.lab.run("router", "sysctl", "-q", "-w", "net.ipv4.conf.lan0.rp_filter=1", "net.ipv6.conf.all.forwarding=0")
    edge.config.write_text(wrong)
    try:
        with _firewall(edge, "ct state established accept; iif lo accept; tcp dport 9"):
            edge.lab.run("router", "nft", "chain inet other input { policy drop; }")
            found, status = doctor(edge)
            only, _ = doctor(edge, "interfaces")
    finally:
        edge.config.write_text(right)
        edge.lab.run("router", "sysctl", "-q", "-w", "net.ipv4.conf.lan0.rp_filter=0", "net.ipv6.conf.all.forwarding=1")
        edge.lab.run("router", *ip, "add", f"{PORTAL4}/32", "dev", "lo")
        other.kill()
        edge.start()

    assert status == 1
    failed = {check: finding["seen"] for check, finding in found.items() if finding["grade"] == "FAIL"}
    assert failed == {
        "edged": "the daemon does not answer on its control socket (not running?)",
        "ports": f"dns.listen: 0.0.0.0:5300/udp is held by {failed['ports'].split()[-3]} (pid {other.pid})",
        "interfaces": "there is no interface lan9",
        "routes": "this host does not route IPv6 (net.ipv6.conf.all.forwarding is 0)",
        "chains": "chain inet other input drops by default",
        "portal": f"{PORTAL4} is no address of this host",
    }
    assert found["upstreams"]["seen"] == "203.0.113.99:53: no answer"
    assert found["rp-filter"]["seen"].startswith("lan0 strict")
    assert found["garden"]["seen"].startswith("1 of 2 names have an address; not gone.example.net: ")
    assert found["certificate"]["grade"] == "WARN"
    assert found["billing"]["grade"] == "OK", "it is asked by itself where no edged runs"
    assert all(finding["fix"] for finding in found.values() if finding["grade"] in {"FAIL", "WARN"})
    assert {finding["grade"] for check, finding in found.items() if check in {"guard", "targets", "radius"}} == {"SKIP"}
    assert list(only) == ["interfaces"]
