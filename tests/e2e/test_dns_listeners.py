"""The listening sockets of DNS on a router whose addresses change, asked from the subscribers' side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import dns.message
import pytest

from edged.dns.listeners import service as listeners_service
from edged.dns.listeners.service import Listeners
from edged.values import parse_endpoint
from tests.e2e import lab as places
from tests.e2e.lab import LAN, PORTAL4, PORTAL6, ROUTER4, ROUTER6, Lab, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

LATER4, LATER6 = "100.64.0.2", "2001:db8:100::2"
WILDCARDS = {"0.0.0.0", "[::]"}
QUERY = dns.message.make_query("www.example.com", "A").to_wire()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(prefix=f"edged-l{os.getpid()}") as built:
        server(built)
        yield built


def server(lab: Lab, *listen: str) -> subprocess.Popen[str]:
    """The DNS room on the router; it has said what it has to say."""
    command = [sys.executable, "-m", "tests.e2e.dns_server", *(listen or ("0.0.0.0:53", "[::]:53"))]
    child = lab.popen("router", *command)
    assert child.stdout is not None
    for line in child.stdout:
        if "dns-listening" not in line:
            child.said = line  # type: ignore[attr-defined]
            break
    return child


def sockets(lab: Lab) -> list[str]:
    """The local address of each UDP socket on port 53 of the router, sorted."""
    lines = lab.run("router", "ss", "-Hulna", "sport = :53").stdout.splitlines()
    return sorted(line.split()[3].rpartition(":")[0].partition("%")[0] for line in lines)


def spelled(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def change(lab: Lab, what: str, *addresses: str, device: str = LAN) -> None:
    """``add`` or ``delete`` host addresses."""
    batch = "".join(
        f"address {what} {a}/{128 if ':' in a else 32} dev {device}{' nodad' if ':' in a and what == 'add' else ''}\n"
        for a in addresses
    )
    lab.run("router", "ip", "-batch", "-", input=batch)


def answer(lab: Lab, address: str) -> dns.message.Message:
    """What comes back from exactly ``address``: the socket is connected, so the kernel drops all else."""
    with lab.socket("bad", "udp", address, 53, timeout=3.0) as client:
        client.send(QUERY)
        return dns.message.from_wire(client.recv(512))


@pytest.fixture
def later(lab: Lab) -> Iterator[tuple[str, str]]:
    """Two addresses that come during the test."""
    change(lab, "add", LATER4, LATER6)
    yield LATER4, LATER6
    lab.run("router", "ip", "address", "delete", f"{LATER4}/32", "dev", LAN, check=False)
    lab.run("router", "ip", "address", "delete", f"{LATER6}/128", "dev", LAN, check=False)
    until("its socket is gone", lambda: LATER4 not in sockets(lab))


@pytest.mark.parametrize("address", [ROUTER4, ROUTER6, PORTAL4, PORTAL6])
def test_the_reply_leaves_from_the_address_asked_and_each_has_a_socket(lab: Lab, address: str) -> None:
    until("a socket of its own", lambda: spelled(address) in sockets(lab))

    assert answer(lab, address).answer
    short = lab.run("bad", "dig", f"@{address}", "+short", "+tries=1", "+time=3", "www.example.com", "A").stdout
    stream = lab.run("bad", "dig", f"@{address}", "+short", "+tcp", "+tries=1", "+time=3", "www.example.com").stdout
    assert short == stream == "203.0.113.10\n"


def test_one_socket_for_each_address_and_one_for_all_others(lab: Lab) -> None:
    expected = {"127.0.0.1", "[::1]", *WILDCARDS, *map(spelled, (ROUTER4, ROUTER6, PORTAL4, PORTAL6))}

    until("they are open", lambda: expected <= set(sockets(lab)))

    # and the router's two on the other side; link-local ones stay with the wildcard
    assert sockets(lab) == sorted([*expected, "203.0.113.1", "[2001:db8::1]"])
    assert lab.run("router", "dig", "@127.0.0.77", "+tries=1", "+time=3", "example.com").returncode == 0


def test_a_link_local_address_answers_through_the_wildcard(lab: Lab) -> None:
    shown = lab.run("router", "ip", "-6", "-o", "address", "show", "dev", LAN, "scope", "link").stdout
    found = re.search(r"inet6 (fe80:[0-9a-f:]+)/", shown)
    assert found is not None

    with lab.inside("bad"):
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        zone = socket.if_nametoindex("eth0")
    with client:
        client.settimeout(3.0)
        client.connect((found[1], 53, 0, zone))
        client.send(QUERY)
        assert client.recv(512)[:2] == QUERY[:2]


def test_an_address_added_later_answers_at_once_and_gets_its_own_socket(lab: Lab, later: tuple[str, str]) -> None:
    for address in later:
        assert answer(lab, address).answer, "the wildcard has it until we have heard"

    for address in later:
        until("a socket of its own", lambda address=address: spelled(address) in sockets(lab))
        assert answer(lab, address).answer


def test_an_address_that_goes_leaves_no_socket_and_may_come_back(lab: Lab, later: tuple[str, str]) -> None:
    before = set(sockets(lab)) - set(map(spelled, later))
    for _ in range(3):
        until("they are open", lambda: set(map(spelled, later)) <= set(sockets(lab)))
        change(lab, "delete", *later)
        until("they are closed", lambda: set(sockets(lab)) == before)
        change(lab, "add", *later)

    for address in later:
        assert answer(lab, address).answer
    assert answer(lab, ROUTER4).answer


def test_an_address_waits_for_duplicate_detection_before_it_gets_a_socket(lab: Lab) -> None:
    tested = "2001:db8:100::3"
    lab.run("router", "sysctl", "-qw", f"net.ipv6.conf.{LAN}.accept_dad=1", f"net.ipv6.conf.{LAN}.dad_transmits=1")
    try:
        lab.run("router", "ip", "address", "add", f"{tested}/128", "dev", LAN)
        assert "tentative" in lab.run("router", "ip", "-6", "address", "show", "to", tested).stdout

        until("it is proved unique", lambda: spelled(tested) in sockets(lab), timeout=10.0)

        assert answer(lab, tested).answer
    finally:
        lab.run("router", "ip", "address", "delete", f"{tested}/128", "dev", LAN)
        lab.run("router", "sysctl", "-qw", f"net.ipv6.conf.{LAN}.accept_dad=0")


def test_no_query_is_lost_while_addresses_come_and_go(lab: Lab) -> None:
    asked, failures, ended = 0, list[str](), threading.Event()

    def ask() -> None:
        nonlocal asked
        targets = [lab.socket("bad", "udp", address, 53, timeout=5.0) for address in (ROUTER4, ROUTER6, PORTAL4)]
        while not ended.is_set():
            for client in targets:
                client.send(QUERY)
                try:
                    client.recv(512)
                except OSError as error:
                    failures.append(f"{client.getpeername()[0]} after {asked}: {error}")
                    return
                asked += 1
            time.sleep(0.001)  # some thousands a second: a flood is not what this is about
        for client in targets:
            client.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for round_ in range(12):
            coming = [f"100.64.9.{n}" for n in range(1, 30)] + [f"2001:db8:100:9::{n:x}" for n in range(1, 30)]
            change(lab, "add", *coming)
            for address in coming[round_ :: len(coming) // 4]:
                assert answer(lab, address).answer
            change(lab, "delete", *coming)
    finally:
        ended.set()
        asking.join(30.0)

    assert not failures
    assert asked > 100
    until("nothing is left of them", lambda: not [s for s in sockets(lab) if "100.64.9." in s or "100:9:" in s])


def test_addresses_beyond_the_bound_are_served_by_the_wildcard(lab: Lab) -> None:
    many = [f"100.64.{20 + n // 250}.{1 + n % 250}" for n in range(300)]
    change(lab, "add", *many)
    try:
        until("as many as there may be", lambda: sum("." in s for s in sockets(lab)) == 256 + 1)
        time.sleep(0.3)

        assert sum("." in s for s in sockets(lab)) == 256 + 1
        assert answer(lab, many[0]).answer
        assert answer(lab, many[-1]).answer
        assert spelled(many[-1]) not in sockets(lab)
        # one that goes makes room for another
        change(lab, "delete", *many[:100])
        until("the last has its own", lambda: spelled(many[-1]) in sockets(lab))
        assert answer(lab, many[-1]).answer
        change(lab, "add", *many[:100])
    finally:
        change(lab, "delete", *many)
    until("they are closed", lambda: not [s for s in sockets(lab) if s.startswith("100.64.2")])
    assert answer(lab, ROUTER4).answer


@pytest.mark.parametrize("listen", ["0.0.0.0:53", "[::]:53", f"{ROUTER4}:53", f"[{ROUTER6}]:53", "127.0.0.77:53"])
def test_a_second_daemon_on_the_port_is_refused(lab: Lab, listen: str) -> None:
    second = server(lab, listen)

    assert second.wait(10.0) == 1
    assert f"{listen} (UDP) is in use" in second.said  # type: ignore[attr-defined]
    assert answer(lab, ROUTER4).answer, "and the first notices nothing"


def test_news_that_did_not_fit_is_made_up_for_by_a_new_list(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners_service, "_NEWS", 1)
    many = [f"100.64.{30 + n // 100}.{1 + n % 100}" for n in range(200)]
    held: dict[socket.socket, str] = {}

    async def follow() -> None:
        def opened(sock: socket.socket) -> None:
            held[sock] = sock.getsockname()[0]

        listeners = Listeners([parse_endpoint("0.0.0.0:5300")], opened, held.__delitem__)
        listeners.bind()
        running = asyncio.create_task(listeners.run())
        await asyncio.sleep(0.05)
        # the loop stands still meanwhile: nobody reads the news
        change(lab, "add", *many)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if set(many) <= set(held.values()):
                break
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        seen.update(held.values())
        listeners.close()

    seen: set[str] = set()
    try:
        with lab.inside("router"):
            asyncio.run(follow())
    finally:
        change(lab, "delete", *many)

    assert {*many, "0.0.0.0", ROUTER4, PORTAL4} <= seen
    assert not held, "each that was opened was closed"
