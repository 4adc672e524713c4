"""A resident is suspended and pays: billing, RADIUS, Disconnect, the VLAN, the page, and all the way back.

The access point is played: ``radclient`` asks and accounts, a listener here takes Disconnect-Requests (RFC 5176), and
the device is a network namespace. A VLAN is a cable of its own between the two, plugged in as the Access-Accept said:
not every kernel that tests run on knows 802.1Q. Everything else is edged itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import re
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest

from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED, GARDEN_HOST, Edge
from tests.e2e.lab import BAD_MAC, PORTAL4, PORTAL6, RESOLVER6, ROUTER4, WEB4

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

SECRET = b"lab-radius-secret"
OWN_VLAN, BLOCKED_VLAN = 114, 666
GATEWAYS = {OWN_VLAN: "100.66.114.1", BLOCKED_VLAN: "100.66.6.1"}
HOMES = {OWN_VLAN: "100.66.114.7", BLOCKED_VLAN: "100.66.6.7"}
KEY: dict[str, Any] = {
    "id": "k-502", "subscriber": "1001", "ssid": "Residence", "site": "building-7", "vlan": OWN_VLAN,
    "passphrase": "maple-heron-cello-77", "devices": [BAD_MAC], "label": "Apartment 301",
}  # fmt: skip
ANA = {name: value for name, value in BLOCKED.items() if name != "addresses"}
STATION = BAD_MAC.upper().replace(":", "-")


class Building(Edge):
    """The edge of a building: both VLANs end here, and its access point takes Disconnect-Requests."""

    reject = False
    """The network's ``blocked`` says reject."""

    def configure(self, mode: str | None = None) -> None:
        super().configure(mode)
        text = self.config.read_text()
        changes = {
            "interfaces: [lan0]": f"interfaces: [lan0, vlan{OWN_VLAN}, vlan{BLOCKED_VLAN}]",
            f"secret: !file {self.directory}/radius.secret}}": (
                f"secret: !file {self.directory}/radius.secret, disconnect: {{port: 3799}}}}"
            ),
        }
        if self.reject:
            changes["{blocked: {vlan: 666}}"] = "{blocked: reject}"
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text)

    def __enter__(self) -> Self:
        super().__enter__()
        for vlan, gateway in GATEWAYS.items():
            end = ("peer", "name", f"air{vlan}", "netns", self.lab.name("bad"), "address", BAD_MAC)
            self.lab.run("router", "ip", "link", "add", f"vlan{vlan}", "type", "veth", *end)
            self.lab.run("router", "ip", "address", "add", f"{gateway}/24", "dev", f"vlan{vlan}")
            self.lab.run("router", "ip", "link", "set", f"vlan{vlan}", "up")
        self.lab.run("bad", "ip", "address", "flush", "dev", "eth0")
        return self

    def join(self, vlan: int) -> None:
        """The access point puts the device into ``vlan``; the address is what a DHCP server there would give."""
        for other in GATEWAYS:
            self.lab.run("bad", "ip", "link", "set", f"air{other}", "down")
            self.lab.run("bad", "ip", "address", "flush", "dev", f"air{other}")
        self.lab.run("bad", "ip", "address", "add", f"{HOMES[vlan]}/24", "dev", f"air{vlan}")
        self.lab.run("bad", "ip", "link", "set", f"air{vlan}", "up")
        self.lab.run("bad", "ip", "route", "replace", "default", "via", GATEWAYS[vlan])

    def ask(self) -> str:
        """What the access point gets for the device before its handshake."""
        name = BAD_MAC.replace(":", "")
        pairs = [
            f'User-Name="{name}"', f'User-Password="{name}"', f'Calling-Station-Id="{STATION}"',
            'Called-Station-Id="02-00-5E-00-00-01:Residence"', "NAS-Port-Type=19", "Message-Authenticator=0x00",
        ]  # fmt: skip
        return self._radclient("1812", "auth", pairs)

    def account(self, status: str, *pairs: str) -> None:
        """One report on the device's session; the name is what the Accept gave."""
        given = [
            f"Acct-Status-Type={status}", 'Acct-Session-Id="air-1"', 'User-Name="key:billing:k-502"',
            'NAS-Identifier="b7-1"', f'Calling-Station-Id="{STATION}"', "NAS-Port-Type=19",
            'Called-Station-Id="02-00-5E-00-00-01:Residence"', *pairs,
        ]  # fmt: skip
        assert "Accounting-Response" in self._radclient("1813", "acct", given)

    def _radclient(self, port: str, kind: str, pairs: list[str]) -> str:
        done: subprocess.CompletedProcess[str] = self.lab.run(
            "router", "radclient", "-x", "-t", "3", "-r", "1", f"127.0.0.1:{port}", kind, SECRET.decode(),
            check=False, input=",".join(pairs),
        )  # fmt: skip
        return done.stdout + done.stderr

    def vlan(self) -> int | None:
        """The VLAN of the device by its next request; None: it is refused."""
        answer = self.ask()
        found = re.search(r'Tunnel-Private-Group-Id:\d+ = "(\d+)"', answer)
        assert ("Received Access-Accept" in answer) == (found is not None), answer
        return int(found[1]) if found else None

    def reaches_the_internet(self) -> bool:
        return "the internet" in self.curl("bad", "http://example.com/", "-4", timeout=1.0).stdout

    def kept(self) -> list[tuple[str, int]]:
        """Devices with their VLANs, as a restart would find them."""
        with closing(sqlite3.connect(f"file:{self.directory}/state/edged.sqlite?mode=ro", uri=True)) as database:
            return database.execute("SELECT mac, vlan FROM grants").fetchall()

    def devices(self) -> list[dict[str, Any]]:
        """Who is online by ``edged keys devices``."""
        done = self.command("keys", "devices", "--online", "--json")
        found: list[dict[str, Any]] = json.loads(done.stdout)["devices"]
        return found


class DisconnectListener:
    """The access point's port 3799: takes signed Disconnect-Requests, acknowledges them, remembers when they came."""

    def __init__(self, edge: Edge) -> None:
        self.came: queue.Queue[tuple[float, bytes]] = queue.Queue()
        with edge.lab.inside("router"):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 3799))
        self._socket.settimeout(0.1)
        self._running = True
        self._thread = threading.Thread(target=self._serve, name="access-point", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._running = False
        self._thread.join(5.0)
        self._socket.close()

    def _serve(self) -> None:
        while self._running:
            with suppress(TimeoutError):
                request, peer = self._socket.recvfrom(4096)
                blank = request[:4] + bytes(16) + request[20:]
                if not hmac.compare_digest(hashlib.md5(blank + SECRET).digest(), request[4:20]):
                    continue
                self.came.put((time.monotonic(), request))
                head = bytes([41, request[1]]) + (20).to_bytes(2, "big")
                self._socket.sendto(head + hashlib.md5(head + request[4:20] + SECRET).digest(), peer)

    def wait(self, since: float, timeout: float) -> float:
        """Seconds from ``since`` to the next Disconnect-Request, which must name the device."""
        at, request = self.came.get(timeout=timeout)
        assert request[0] == 40
        assert STATION.encode() in request
        return at - since

    def quiet(self) -> None:
        """Nothing more came."""
        assert self.came.empty()


@pytest.fixture(scope="module")
def whole() -> Iterator[Building]:
    with Building(prefix=f"residents-{os.getpid()}") as built:
        yield built


@pytest.fixture
def air(whole: Building) -> Iterator[DisconnectListener]:
    listener = DisconnectListener(whole)
    yield listener
    listener.close()


def settled(building: Building) -> None:
    """The resident has paid, and is on the Wi-Fi in their own VLAN."""
    building.tell({**ANA, "state": "active"}, keys=[KEY])
    building.wait_for("the own VLAN", lambda: building.vlan() == OWN_VLAN, timeout=10.0)
    building.join(OWN_VLAN)
    building.wait_for("the internet", building.reaches_the_internet, timeout=10.0)


LINES: dict[str, dict[str, Any]] = {
    "addresses": {"addresses": [HOMES[BLOCKED_VLAN]]},
    "devices": {"devices": [BAD_MAC]},
    # billing lists neither: that edged put the device there is all that is known
    "key": {},
}


@pytest.mark.parametrize("known_by", LINES)
def test_a_suspended_resident_is_on_the_pay_page_in_two_seconds_and_back_in_two_after_payment(
    whole: Building, air: DisconnectListener, known_by: str, record_property: Any
) -> None:
    settled(whole)
    whole.account("Start")
    assert [(d["mac"], d["key"], d["label"], d["client"]) for d in whole.devices()] == [
        (BAD_MAC, "k-502", "Apartment 301", "building-7")
    ]
    line = LINES[known_by]

    changed = time.monotonic()
    whole.tell({**ANA, **line}, keys=[KEY])
    to_block = air.wait(changed, 5.0)
    whole.account("Stop", "Acct-Terminate-Cause=6")

    assert to_block < 2.0
    assert whole.devices() == []
    assert whole.vlan() == BLOCKED_VLAN
    whole.join(BLOCKED_VLAN)
    whole.wait_for(
        "the pay page",
        lambda: "North Fibre" in whole.curl("bad", "http://example.com/", "-4", "-L").stdout,
        timeout=10.0,
    )
    assert whole.dig("bad", "example.com") == [PORTAL4]
    assert "the customer portal" in whole.curl("bad", f"https://{GARDEN_HOST}/", "-4").stdout
    assert not whole.reaches_the_internet()
    air.quiet()

    paid = time.monotonic()
    whole.tell({**ANA, **line, "state": "active"}, keys=[KEY])
    to_open = air.wait(paid, 5.0)

    assert to_open < 2.0
    assert whole.vlan() == OWN_VLAN
    whole.join(OWN_VLAN)
    whole.wait_for("the internet", whole.reaches_the_internet, timeout=10.0)
    assert whole.dig("bad", "example.com") == [WEB4]
    air.quiet()
    record_property("seconds", f"blocked {to_block:.2f}, open {to_open:.2f}")
    print(f"feed to Disconnect: blocked {to_block:.2f} s, open {to_open:.2f} s ({known_by})")


HOME6, GATEWAY6 = "2001:db8:100:666::7", "2001:db8:100:666::1"
CABLE4 = "100.64.1.77"


@pytest.fixture
def moved(whole: Building, air: DisconnectListener) -> Iterator[Building]:
    """The resident is suspended and edged has let their device onto the VLAN of the blocked; billing lists no line."""
    settled(whole)
    whole.lab.run("router", "ip", "address", "replace", f"{GATEWAY6}/64", "dev", f"vlan{BLOCKED_VLAN}", "nodad")
    changed = time.monotonic()
    whole.tell(ANA, keys=[KEY])
    air.wait(changed, 5.0)
    assert whole.vlan() == BLOCKED_VLAN
    # nobody remembers it from an earlier stay
    whole.lab.run("router", "ip", "neigh", "flush", "dev", f"vlan{BLOCKED_VLAN}")
    yield whole
    whole.tell({**ANA, "state": "active"}, keys=[KEY])
    whole.wait_for("the own VLAN", lambda: whole.vlan() == OWN_VLAN, timeout=10.0)
    whole.lab.run("bad", "ip", "address", "flush", "dev", "eth0")


def test_a_device_that_is_known_by_its_key_alone_meets_the_page_with_its_first_request_in_both_families(
    moved: Building,
) -> None:
    def held() -> bool:
        return BAD_MAC in moved.lab.run("router", "nft", "list", "set", "inet", "edged", "blockedw").stdout

    took = moved.wait_for("its MAC address in the packet filter", held, timeout=1.0)
    print(f"Accept to packet filter: {took:.3f} s at most")
    moved.join(BLOCKED_VLAN)
    device = f"air{BLOCKED_VLAN}"
    moved.lab.run("bad", "ip", "address", "add", f"{HOME6}/64", "dev", device, "nodad")
    moved.lab.run("bad", "ip", "-6", "route", "replace", "default", "via", GATEWAY6, "dev", device)

    assert moved.dig("bad", "example.com") == [PORTAL4]
    assert "North Fibre" in moved.curl("bad", "http://example.com/", "-4", "-L").stdout
    assert moved.dig("bad", "example.com", "AAAA", RESOLVER6) == [PORTAL6]
    assert "North Fibre" in moved.curl("bad", "http://example.com/", "-6", "-L").stdout

    for subject in (HOMES[BLOCKED_VLAN], HOME6, BAD_MAC):
        said = " ".join(moved.command("explain", subject).stdout.split())
        assert "is BLOCKED for unpaid" in said, said
        assert f"{BAD_MAC} is on the blocked VLAN with key k-502" in said
        assert "WRONG" not in said


def test_the_mac_address_of_a_moved_device_is_not_cut_off_on_a_cable_or_on_another_vlan(moved: Building) -> None:
    moved.join(BLOCKED_VLAN)
    moved.wait_for("the page", lambda: moved.dig("bad", "example.com") == [PORTAL4], timeout=5.0)

    moved.join(OWN_VLAN)
    assert moved.reaches_the_internet()
    assert moved.dig("bad", "example.com") == [WEB4]

    for vlan in GATEWAYS:
        moved.lab.run("bad", "ip", "link", "set", f"air{vlan}", "down")
    moved.lab.run("bad", "ip", "address", "replace", f"{CABLE4}/10", "dev", "eth0")
    moved.lab.run("bad", "ip", "route", "replace", "default", "via", ROUTER4)
    assert moved.lab.run("bad", "cat", "/sys/class/net/eth0/address").stdout.strip() == BAD_MAC
    assert moved.reaches_the_internet()
    assert moved.access(CABLE4) == "open"


def test_a_moved_device_is_led_to_the_page_after_a_crash_of_edged_and_meanwhile_nothing_opens(moved: Building) -> None:
    moved.join(BLOCKED_VLAN)
    moved.wait_for("the page", lambda: moved.dig("bad", "example.com") == [PORTAL4], timeout=5.0)
    moved.wait_for("the grant on disk", lambda: moved.kept() == [(BAD_MAC, BLOCKED_VLAN)], timeout=5.0)

    moved.kill()
    assert not moved.reaches_the_internet()
    moved.start()

    assert moved.dig("bad", "example.com") == [PORTAL4]
    assert "North Fibre" in moved.curl("bad", "http://example.com/", "-4", "-L").stdout
    assert not moved.reaches_the_internet()


def test_with_reject_the_device_is_sent_away_and_refused_until_payment(
    whole: Building, air: DisconnectListener
) -> None:
    whole.reject = True
    whole.configure()
    try:
        assert whole.command("reload").returncode == 0
        settled(whole)

        changed = time.monotonic()
        whole.tell(ANA, keys=[KEY])

        assert air.wait(changed, 5.0) < 2.0
        assert whole.vlan() is None
        assert "reason blocked" in " ".join(whole.command("explain", BAD_MAC).stdout.split())

        whole.tell({**ANA, "state": "active"}, keys=[KEY])
        whole.wait_for("it is let on again", lambda: whole.vlan() == OWN_VLAN, timeout=5.0)
        air.quiet()
    finally:
        whole.reject = False
        whole.configure()
        assert whole.command("reload").returncode == 0


def test_a_key_with_an_end_has_it_in_the_accept_and_its_device_is_sent_away_then(
    whole: Building, air: DisconnectListener
) -> None:
    settled(whole)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=9)
    ends = time.monotonic() + (end - datetime.now(UTC)).total_seconds()
    whole.tell({**ANA, "state": "active"}, keys=[{**KEY, "expires": end.isoformat()}])

    def timeout() -> int:
        found = re.search(r"Session-Timeout = (\d+)", whole.ask())
        return int(found[1]) if found else 0

    whole.wait_for("the end is known", lambda: timeout() > 0, timeout=5.0)
    left, given = ends - time.monotonic(), timeout()
    assert left - 2 <= given <= left + 1

    late = air.wait(ends, 15.0)

    assert -0.1 <= late < 2.0
    assert whole.vlan() is None
    print(f"end of the key to Disconnect: {late:.2f} s")
