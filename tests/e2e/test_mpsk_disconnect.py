# SPDX-License-Identifier: Apache-2.0
"""hostapd 2.10 takes our Disconnect-Requests, in a network namespace of its own; a wire stands for the air.

Its Dynamic Authorization Server is the one of its Wi-Fi networks. A station is anybody whose EAPOL-Start it heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged import arrows
from edged.arrows import Disconnects
from edged.mpsk.disconnect import Disconnections, End
from edged.mpsk.memory import Stale
from edged.radius.attributes import Attribute, Attributes, attribute
from edged.radius.client import Outcome, Result, change, disconnect
from edged.radius.settings import ClientSettings
from edged.values import Endpoint, MacAddress, Secret, parse_mac
from tests.e2e import lab
from tests.mpsk_world import HOME, SECRET, SSID

HOSTAPD = shutil.which("hostapd") or "/usr/sbin/hostapd"
REASON = lab.available() or ("" if Path(HOSTAPD).exists() else "needs hostapd (apt install hostapd)")
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(REASON), reason=REASON)]

NAME, RADIO, STATION = f"dialects-{os.getpid()}", "radio0", "station0"
IDENTIFIER = "ap-lobby-1"
DAS = Endpoint(HOME, 3799)
CONFIGURATION = f"""
interface={RADIO}
driver=wired
ieee8021x=1
use_pae_group_addr=1
own_ip_addr=127.0.0.1
nas_identifier={IDENTIFIER}
auth_server_addr=127.0.0.1
auth_server_port=1812
auth_server_shared_secret={SECRET.reveal_text()}
radius_das_port=3799
radius_das_client=127.0.0.1 {SECRET.reveal_text()}
radius_das_require_event_timestamp=1
radius_das_require_message_authenticator=1
radius_das_time_window=300
"""
EAPOL_START = "0180c2000003 {mac} 888e 01010000"
_HEARD = "IEEE 802.1X: received EAPOL-Start from STA"
ABSENT = MacAddress("02:00:5e:10:00:99")
Inside = Callable[[Coroutine[Any, Any, Any]], Any]


class Point:
    """hostapd at work, and the way into its namespace."""

    def __init__(self, log: Path) -> None:
        self.log = log

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{NAME}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            lab._setns(there)
            yield
        finally:
            lab._setns(here)
            os.close(here)
            os.close(there)

    def ask(self, what: Coroutine[Any, Any, Result]) -> Result:
        with self.inside():
            return asyncio.run(what)

    def join(self) -> MacAddress:
        """A station that hostapd knows from now on."""
        with self.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((STATION, 0))
            mac = wire.getsockname()[4]
            seen = self.log.read_text().count(_HEARD)
            wire.send(bytes.fromhex(EAPOL_START.format(mac=mac.hex())))
        self.until(
            lambda: self.log.read_text().count("EAPOL-Start") > 0 or self.log.read_text().count("New STA") > seen
        )
        return parse_mac(mac.hex())

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.02)


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Point]:
    (tmp_path / "hostapd.conf").write_text(CONFIGURATION)
    at = Point(tmp_path / "hostapd.log")
    subprocess.run(["ip", "netns", "add", NAME], check=True)
    try:
        for words in (
            "link set lo up",
            f"link add {RADIO} type veth peer name {STATION}",
            f"link set {RADIO} up",
            f"link set {STATION} up",
        ):
            subprocess.run(["ip", "-n", NAME, *words.split()], check=True)
        with at.log.open("w") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", NAME, HOSTAPD, "-d", str(tmp_path / "hostapd.conf")], stdout=log, stderr=log
            )
        try:
            at.until(lambda: "AP-ENABLED" in at.log.read_text())
            yield at
        finally:
            process.terminate()
            process.wait(10)
    finally:
        subprocess.run(["ip", "netns", "del", NAME], check=True)


def named(mac: MacAddress, *more: Attribute, at: float | None = None) -> Attributes:
    stamp = attribute("Event-Timestamp", int(at if at is not None else time.time()))
    return (attribute("Calling-Station-Id", mac.upper().replace(":", "-")), stamp, *more)


ITSELF = attribute("NAS-Identifier", IDENTIFIER)


def test_a_station_is_sent_away_and_an_absent_one_is_not_found(point: Point) -> None:
    mac = point.join()

    assert point.ask(disconnect(DAS, SECRET, named(mac, ITSELF))) == Result(Outcome.ACK)
    assert point.ask(disconnect(DAS, SECRET, named(ABSENT, ITSELF))) == Result(Outcome.NAK, 503)
    assert f"deauthenticate STA {mac}" in point.log.read_text()


def test_what_it_does_not_know_is_refused_by_its_cause(point: Point) -> None:
    mac = point.join()

    unknown = point.ask(disconnect(DAS, SECRET, named(mac, attribute("NAS-Port", 1))))
    other = point.ask(disconnect(DAS, SECRET, named(mac, attribute("NAS-Identifier", "another"))))
    coa = point.ask(change(DAS, SECRET, named(mac, ITSELF)))

    assert unknown == Result(Outcome.NAK, 401)
    assert other == Result(Outcome.NAK, 403)
    # its CoA is for Hotspot 2.0 alone: without those attributes one is missing
    assert coa == Result(Outcome.NAK, 402)


def test_an_old_a_missing_and_a_forged_request_get_no_answer(point: Point) -> None:
    mac = point.join()
    quick = (0.5,)

    old = point.ask(disconnect(DAS, SECRET, named(mac, ITSELF, at=time.time() - 1000), waits=quick))
    bare = point.ask(disconnect(DAS, SECRET, named(mac, ITSELF)[:1], waits=quick))
    forged = point.ask(disconnect(DAS, Secret("another-secret"), named(mac, ITSELF), waits=quick))

    assert {old, bare, forged} == {Result(Outcome.TIMEOUT)}
    assert "deauthenticate STA" not in point.log.read_text()


def test_what_edged_sends_by_itself_is_taken(point: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session as learned from the Access-Request, once more when hostapd has forgotten, and the end is told."""
    monkeypatch.setattr(arrows, "LOOK_EVERY_S", 0.02)
    mac = point.join()
    settings = {"name": "ap", "networks": ["127.0.0.1"], "secret": SECRET, "disconnect": {}}
    client = ClientSettings.model_validate(settings)
    session = (attribute("Calling-Station-Id", mac.upper().replace(":", "-")), ITSELF)
    queue = [
        Stale(HOME, "ap", mac, SSID, "revoked", session, cached_until=time.time() - 1.5),
        Stale(HOME, "ap", ABSENT, SSID, "revoked", (attribute("Calling-Station-Id", ABSENT.upper()), ITSELF)),
    ]
    disconnections = Disconnections()

    async def work() -> Result:
        taken = lambda: [[queue.pop() for _ in range(len(queue))]]  # noqa: E731
        running = asyncio.create_task(Disconnects(taken, lambda: [client], disconnections=disconnections).run())
        async with asyncio.timeout(10):
            while sum(disconnections.ends.values()) < 2:
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return Result(Outcome.ACK)

    point.ask(work())

    assert (disconnections.ends[End.LEFT], disconnections.ends[End.GONE]) == (1, 1)
    assert point.log.read_text().count(f"deauthenticate STA {mac}") == 2
