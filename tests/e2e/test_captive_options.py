# SPDX-License-Identifier: Apache-2.0
"""A real DHCP server, given the lines of the manual, tells a client where the captive portal API is."""

from __future__ import annotations

import re
import shutil
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.captive.capport import capport_options
from tests.e2e.lab import LAN, Lab, available

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.dhcp6 import DUID_LL, DHCP6_InfoRequest, DHCP6_Reply, DHCP6OptClientId, DHCP6OptOptReq

URI = capport_options("https://portal.example.net").uri.encode()
MANUAL = (Path(__file__).parents[2] / "docs" / "captive-api.md").read_text("utf-8")
LINES = re.findall(r"^dhcp-option=.*$", MANUAL, re.MULTILINE)

pytestmark = [
    pytest.mark.skipif(bool(available()), reason=available()),
    pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs dnsmasq"),
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    config = tmp_path / "dnsmasq.conf"
    config.write_text(
        f"port=0\ninterface={LAN}\nbind-dynamic\nleasefile-ro\nuser=root\nno-ping\n"
        "dhcp-range=100.64.0.100,100.64.0.200,10m\ndhcp-range=2001:db8:100::,static,64\n" + "\n".join(LINES) + "\n"
    )
    with Lab(prefix="edged-capport") as made:
        # the lab gives addresses of full length; a DHCP server wants the network it is on
        made.run("router", "ip", "address", "add", "100.64.0.2/24", "dev", LAN)
        made.run("router", "ip", "-6", "address", "add", "2001:db8:100::2/64", "dev", LAN)
        server = made.popen("router", "dnsmasq", "--no-daemon", f"--conf-file={config}")
        try:
            yield made
        finally:
            server.terminate()
            said, _ = server.communicate(timeout=10)
            print(said)


def link_of(lab: Lab) -> str:
    """The client's interface."""
    names: list[str] = re.findall(r"^\d+: ([^:@]+)", lab.run("bad", "ip", "-o", "link").stdout, re.MULTILINE)
    return next(name for name in names if name != "lo")


def asked(sock: socket.socket, octets: bytes, to: tuple[str | int, ...]) -> bytes:
    """The first answer; the question is repeated while the server starts."""
    sock.settimeout(0.5)
    ends = time.monotonic() + 15
    while time.monotonic() < ends:
        sock.sendto(octets, to)
        try:
            return sock.recv(4096)
        except TimeoutError:
            continue
    raise AssertionError("the server does not answer")


def test_the_manual_has_one_line_a_family() -> None:
    assert len(LINES) == 2


def test_a_dhcpv4_client_that_asks_for_option_114_is_told_the_uri(lab: Lab) -> None:
    mac = bytes.fromhex("02005e100001")
    discover = BOOTP(chaddr=mac + bytes(10), xid=7, flags=0x8000) / DHCP(
        options=[("message-type", "discover"), ("param_req_list", [1, 3, 114]), "end"]
    )
    with lab.inside("bad"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link_of(lab).encode())
        sock.bind(("", 68))
        offer = BOOTP(asked(sock, bytes(discover), ("255.255.255.255", 67)))

    options: dict[object, object] = dict(option for option in offer[DHCP].options if isinstance(option, tuple))
    assert options["captive-portal"] == URI


def test_a_dhcpv6_client_that_asks_for_option_103_is_told_the_uri(lab: Lab) -> None:
    request = (
        DHCP6_InfoRequest(trid=7)
        / DHCP6OptClientId(duid=DUID_LL(lladdr="02:00:5e:10:00:01"))
        / DHCP6OptOptReq(reqopts=[103])
    )
    with lab.inside("bad"), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        index = socket.if_nametoindex(link_of(lab))
        sock.bind(("::", 546))
        reply = DHCP6_Reply(asked(sock, bytes(request), ("ff02::1:2", 547, 0, index)))

    option = reply.payload
    found = []
    while option and option.name != "NoPayload":
        found.append(getattr(option, "URI", None))
        option = option.payload
    assert URI in found
