# SPDX-License-Identifier: Apache-2.0
"""Clients by longest prefix, strangers, counters and the address that a reply leaves from."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from edged.pktinfo import IP_PKTINFO, IPV6_PKTINFO, reply_from
from edged.radius.clients import MAX_ARRIVALS, MAX_SOURCES, Clients
from edged.radius.counters import Counters, Discard, Report
from edged.radius.settings import RadiusSettings


def _settings(**networks: str) -> RadiusSettings:
    clients: list[dict[str, Any]] = [
        {"name": name, "networks": [network], "secret": "testing123"} for name, network in networks.items()
    ]
    return RadiusSettings.model_validate({"clients": clients})


def _name(clients: Clients, host: str) -> str | None:
    source = clients.find(host, 0.0)
    return None if source is None else source.client.name


def test_the_longest_prefix_chooses_the_client() -> None:
    clients = Clients(_settings(wide="10.0.0.0/8", building="10.7.0.0/24", one="10.7.0.9", six="2001:db8::/32"))
    assert _name(clients, "10.1.1.1") == "wide"
    assert _name(clients, "10.7.0.1") == "building"
    assert _name(clients, "10.7.0.9") == "one"
    assert _name(clients, "2001:db8::5") == "six"
    assert _name(clients, "192.0.2.1") is None


def test_a_link_local_source_is_found_without_its_zone() -> None:
    assert _name(Clients(_settings(lan="fe80::/64")), "fe80::1%lo") == "lan"


def test_strangers_are_remembered_with_count_and_times_the_latest_first() -> None:
    clients = Clients(_settings(ap="10.0.0.1"))
    for now, host in ((1.0, "192.0.2.1"), (2.0, "192.0.2.2"), (3.0, "192.0.2.1")):
        clients.find(host, now)
    seen = [(str(it.address), it.count, it.first_seen, it.last_seen) for it in clients.arrivals()]
    assert seen == [("192.0.2.1", 2, 1.0, 3.0), ("192.0.2.2", 1, 2.0, 2.0)]


def test_a_flood_of_strangers_keeps_the_latest() -> None:
    clients = Clients(_settings(ap="10.0.0.1"))
    for last in range(256):
        clients.find(f"192.0.2.{last}", 1.0)
    assert len(clients.arrivals()) == MAX_ARRIVALS
    assert str(clients.arrivals()[0].address) == "192.0.2.255"


def test_a_reload_changes_who_is_known() -> None:
    clients = Clients(_settings(old="10.0.0.0/8"))
    assert _name(clients, "10.0.0.1") == "old"
    clients.find("192.0.2.1", 1.0)
    clients.find("198.51.100.1", 1.0)
    clients.replace(_settings(new="192.0.2.0/24"))
    assert _name(clients, "10.0.0.1") is None
    assert _name(clients, "192.0.2.1") == "new"
    assert {str(it.address) for it in clients.arrivals()} == {"198.51.100.1", "10.0.0.1"}


def test_more_sources_than_are_kept_ready_are_still_found() -> None:
    clients = Clients(_settings(wide="10.0.0.0/8"))
    hosts = [f"10.{number >> 8}.{number & 255}.1" for number in range(MAX_SOURCES + 2)]
    assert {_name(clients, host) for host in hosts} == {"wide"}


def test_a_report_tells_what_is_new_and_what_an_operator_can_mend() -> None:
    counters = Counters()
    counters.discard(Discard.UNKNOWN_CLIENT, "192.0.2.1")
    counters.discard(Discard.UNKNOWN_CLIENT, "192.0.2.2")
    counters.discard(Discard.IN_PROGRESS, "ap")
    assert counters.report() == (Report(Discard.UNKNOWN_CLIENT, 2, "192.0.2.2"),)
    assert counters.report() == ()
    counters.discard(Discard.OVERLOAD, "ap")
    assert counters.report() == (Report(Discard.OVERLOAD, 1, "ap"),)


def test_a_reply_leaves_from_the_ipv4_address_asked() -> None:
    asked = struct.pack("=i4s4s", 3, socket.inet_aton("127.0.0.2"), socket.inet_aton("127.0.0.255"))
    ((level, kind, data),) = reply_from([(socket.IPPROTO_IP, IP_PKTINFO, asked)])
    assert (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO)
    assert data == struct.pack("=i4s4s", 0, socket.inet_aton("127.0.0.2"), bytes(4))


@pytest.mark.parametrize(("host", "interface"), [("2001:db8::1", 0), ("fe80::1", 3), ("febf::1", 3), ("fec0::1", 0)])
def test_only_a_link_local_reply_is_bound_to_its_interface(host: str, interface: int) -> None:
    address = socket.inet_pton(socket.AF_INET6, host)
    asked = (socket.IPPROTO_IPV6, IPV6_PKTINFO, struct.pack("=16sI", address, 3))
    assert reply_from([asked]) == ((*asked[:2], struct.pack("=16sI", address, interface)),)


def test_without_the_address_asked_the_kernel_chooses() -> None:
    assert reply_from([]) == ()
    assert reply_from([(socket.IPPROTO_IP, IP_PKTINFO, b"\0"), (socket.SOL_SOCKET, 1, b"")]) == ()
