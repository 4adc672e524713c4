# SPDX-License-Identifier: Apache-2.0
"""hostapd itself as the NAS of a whole edged: Accounting-On, EAP, and an edge with two addresses. Needs root.

hostapd has a wired driver, so no radio is needed for its RADIUS client; who plugs in is a raw socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import lab as places
from tests.e2e.lab import until

NEEDED = ("hostapd", "radclient", "ip")
MISSING = [program for program in NEEDED if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
REASON = f"not installed: {', '.join(MISSING)}" if MISSING else places.available()
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(REASON), reason=REASON or "ready")]

ROOT = Path(__file__).resolve().parents[2]
EDGE, SECOND, NAS = "192.0.2.1", "192.0.2.99", "192.0.2.7"
MAC = "02:00:5e:10:00:09"
SECRET = "the-secret-of-b7"

EDGED = """\
site: lab
mode: watch
state: {{directory: {directory}/state}}
radius:
  auth: ["0.0.0.0:1812"]
  acct: ["0.0.0.0:1813"]
  clients:
    - {{name: building-7, networks: ["192.0.2.7/32"], secret: {secret}}}
mpsk:
  networks:
    Residence: {{blocked: {{vlan: 666}}}}
ops: {{listen: "127.0.0.1:9300", socket: {directory}/control.sock}}
"""
HOSTAPD = """\
interface=port0
driver=wired
logger_stdout=-1
logger_stdout_level=0
ieee8021x=1
eap_reauth_period=0
use_pae_group_addr=0
own_ip_addr=192.0.2.7
nas_identifier=b7-1
auth_server_addr={edge}
auth_server_port=1812
auth_server_shared_secret={secret}
acct_server_addr={edge}
acct_server_port=1813
acct_server_shared_secret={secret}
"""


class Place:
    """An edge and an access point on one cable, and a port of the access point."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.edge, self.nas = (f"edged-radsec{os.getpid()}-{name}" for name in ("edge", "nas"))
        self._children: list[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        for name in (self.edge, self.nas):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip(*f"link add eth0 netns {self.edge} type veth peer name eth0 netns {self.nas}".split())
        _ip(*f"link add port0 netns {self.nas} type veth peer name plug0 netns {self.nas}".split())
        for name, device, *addresses in (
            (self.edge, "eth0", EDGE, SECOND),
            (self.nas, "eth0", NAS),
            (self.nas, "port0"),
            (self.nas, "plug0"),
        ):
            for address in addresses:
                _ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            _ip("-n", name, "link", "set", device, "up")

    def start(self, name: str, log: str, *command: str) -> Callable[[], str]:
        """A program in one of the namespaces; what it has said so far."""
        path = self.directory / log
        with path.open("wb") as output:
            self._children.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", name, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    cwd=ROOT,
                )
            )  # fmt: skip
        return lambda: path.read_text("utf-8", "replace")

    def edged(self, name: str, *arguments: str) -> str:
        """What one ``edged`` command says."""
        command = [sys.executable, "-m", "edged.cli", name, "-c", str(self.directory / "edged.yaml"), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT).stdout

    def radclient(self, address: str, kind: str, attributes: str) -> subprocess.CompletedProcess[str]:
        port = 1813 if kind == "acct" else 1812
        command = ["ip", "netns", "exec", self.nas, "radclient", "-x", "-r", "1", "-t", "2"]
        return subprocess.run(
            [*command, f"{address}:{port}", kind, SECRET],
            check=False, input=attributes, capture_output=True, text=True, timeout=30,
        )  # fmt: skip

    def close(self) -> None:
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(10.0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5.0)
        for name in (self.edge, self.nas):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("hostapd")
    (directory / "edged.yaml").write_text(EDGED.format(directory=directory, secret=SECRET))
    (directory / "hostapd.conf").write_text(HOSTAPD.format(edge=EDGE, secret=SECRET))
    place = Place(directory)
    try:
        place.build()
        said = place.start(
            place.edge, "edged.log", sys.executable, "-m", "edged.cli", "run", "-c", str(directory / "edged.yaml")
        )
        until("edged answers", lambda: "radius" in place.edged("status"), timeout=20.0)
        assert "radius-listening" in said()
        yield place
    finally:
        place.close()


class Plug:
    """Somebody at the access point's port who speaks 802.1X by hand."""

    def __init__(self, place: Place) -> None:
        with _inside(place.nas):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x888E))
            self._socket.bind(("plug0", 0x888E))
        self._socket.settimeout(0.2)

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: int, body: bytes = b"") -> None:
        frame = bytes.fromhex("0180c2000003" + MAC.replace(":", "")) + b"\x88\x8e\x01"
        self._socket.send(frame + bytes((kind,)) + len(body).to_bytes(2, "big") + body)

    def identify(self, name: bytes, timeout: float = 10.0) -> bool:
        """Start, and answer the question for an identity; False: nobody asked."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.send(1)
            try:
                frame = self._socket.recv(2048)
            except TimeoutError:
                continue
            eap = frame[18:]
            if frame[15] == 0 and len(eap) > 4 and (eap[0], eap[4]) == (1, 1):
                self.send(0, bytes((2, eap[1])) + (5 + len(name)).to_bytes(2, "big") + b"\x01" + name)
                return True
        return False


@contextlib.contextmanager
def _inside(name: str) -> Iterator[None]:
    """The calling thread in the namespace: sockets made meanwhile stay there."""
    prefix, _, namespace = name.rpartition("-")
    with places.Lab(prefix=prefix).inside(namespace):
        yield


def test_hostapd_reports_that_it_started_and_takes_our_answer_for_authentic(place: Place) -> None:
    said = place.start(place.nas, "hostapd.log", "hostapd", "-dd", "-K", str(place.directory / "hostapd.conf"))
    until("hostapd sent Accounting-On", lambda: "code=4 (Accounting-Request)" in said(), timeout=10.0)
    until("and got its answer", lambda: "code=5 (Accounting-Response)" in said(), timeout=10.0)
    assert "did not have correct" not in said()

    plug = Plug(place)
    try:
        assert plug.identify(b"bob"), said()
    finally:
        plug.close()
    until("hostapd has its answer", lambda: f"RADIUS packet matching with station {MAC}" in said(), timeout=10.0)
    assert "code=1 (Access-Request)" in said()
    assert "code=3 (Access-Reject)" in said()
    assert said().count("Received RADIUS packet matched with a pending request") >= 2
    assert "did not have correct" not in said(), "it checks authenticator and Message-Authenticator of every reply"

    explained = place.edged("explain", NAS)
    assert f"{NAS} is an access point (NAS) of building-7" in explained
    assert "signs (Message-Authenticator)" in explained


@pytest.mark.parametrize("address", [EDGE, SECOND])
@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (
            "auth",
            f"User-Name=02005e100009,User-Password=02005e100009,Called-Station-Id={MAC}:Residence,Message-Authenticator=0x00",
        ),
        ("status", "Message-Authenticator=0x00"),
        ("acct", "Acct-Status-Type=Start,Acct-Session-Id=1,User-Name=bob"),
    ],
)
def test_an_edge_with_two_addresses_answers_from_the_one_that_was_asked(
    place: Place, address: str, kind: str, attributes: str
) -> None:
    done = place.radclient(address, kind, attributes)

    assert f"from {address}:" in done.stdout, done.stdout + done.stderr


def test_an_unknown_access_point_stands_in_status_and_on_the_status_page(place: Place) -> None:
    _ip("-n", place.nas, "address", "add", "192.0.2.8/24", "dev", "eth0")
    with _inside(place.nas), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("192.0.2.8", 0))
        stranger.sendto(b"\x01\x01\x00\x14" + bytes(16), (EDGE, 1812))
    until("it is listed", lambda: "192.0.2.8" in place.edged("status"), timeout=5.0)

    (row,) = json.loads(place.edged("status", "--json"))["nases"]["strangers"]
    assert (row["address"], row["count"]) == ("192.0.2.8", 1)
    page = subprocess.run(
        ["ip", "netns", "exec", place.edge, "curl", "-sS", "-m", "5", "http://127.0.0.1:9300/status"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "192.0.2.8" in page.stdout
