# SPDX-License-Identifier: Apache-2.0
"""The daemon and a device that billing does not list: let onto the VLAN of the blocked, led, let go, found again."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.config.loading import load
from edged.daemon import House
from edged.host.nearby import Nearby, NewNeighbour
from edged.model import Access, Key
from edged.moving import AT_ONCE, BURST, Moving
from edged.mpsk.moves import Moves
from edged.mpsk.wpa import pmk_of
from edged.ops import text
from edged.ops.alarms import alarms
from edged.ops.control import call
from edged.policy.moved import Holder, Moved
from edged.radius.authenticator import sign_request
from edged.radius.packet import Packet
from edged.values import MacAddress, Secret, parse_address
from tests.loopback.house import at_work, written
from tests.mpsk_world import MAC, OTHER_MAC, SSID, handshake_request

SECRET = Secret("a-secret-of-building-7")
CONFIGURATION = """\
site: tower-12
mode: {mode}
state: {{directory: {directory}/state}}
subscribers: {{networks: ["100.64.0.0/10"]}}
billing: {{source: file, path: {directory}/billing.json, guard: {{first: accept}}}}
radius:
  auth: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["127.0.0.1/32"], secret: a-secret-of-building-7}}]
mpsk: {{networks: {{Residence: {{blocked: {{vlan: 666, interface: nowhere0}}}}}}}}
ops: {{socket: {directory}/control.sock}}
"""
ANA_KEY = Key("k-7f3", SSID, Secret("maple-heron-cello-77"), subscriber="ana", vlan=112)
BOB_KEY = Key("k-8a1", SSID, Secret("copper-otter-violin-42"), subscriber="bob", vlan=113)


def billing(directory: Path, **states: str) -> None:
    """Billing's list: nobody has an address or a device."""
    listed = [{"id": name, "state": state, "reason": "unpaid"} for name, state in states.items()]
    (directory / "billing.json").write_text(json.dumps({"subscribers": listed, "known": 100}))


@asynccontextmanager
async def running(directory: Path, mode: str = "enforce") -> AsyncIterator[House]:
    with capture_logs():
        async with at_work(written(directory, CONFIGURATION, mode=mode)) as house, asyncio.timeout(20.0):
            yield house


@asynccontextmanager
async def building(directory: Path, mode: str = "enforce", **states: str) -> AsyncIterator[House]:
    billing(directory, **states)
    async with running(directory, mode) as house:
        await told(house, "sync")
        await house.mpsk.replace_billing([ANA_KEY, BOB_KEY])
        while house.mpsk.ring.pending:
            await asyncio.sleep(0.01)
        yield house


async def told(house: House, command: str, **request: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await asyncio.to_thread(call, house.control.path, command, who="desk", **request)
    return answer


async def joins(house: House, key: Key, mac: MacAddress = MAC) -> str | None:
    """A handshake over the wire; the VLAN of the Accept."""
    assert house.radius is not None
    given = handshake_request(pmk_of(key.passphrase, SSID).reveal(), mac, attempt=str(time.monotonic()))
    octets = sign_request(Packet(given.code, 7, bytes(16), tuple(a for a in given.attributes if a.type != 2)), SECRET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.settimeout(5.0)
        nas.bind(("127.0.0.1", 0))
        nas.sendto(octets, ("127.0.0.1", dict(house.radius.endpoints)["auth"].port))
        await asyncio.to_thread(nas.recv, 4096)
    last = house.mpsk.explain_device(mac)
    assert last is not None
    return str(last.vlan) if last.accepted else None


async def until_there(house: House, holder: Holder | None, mac: MacAddress = MAC) -> None:
    version = house.current.version
    while house.current.view.learned.moved.holders.get(mac) != holder:
        version = await house.current.wait(version)


def access(house: House, mac: MacAddress = MAC) -> Access:
    return house.acting.view.decide_device(mac, time.time()).access


BY_ANAS, BY_BOBS = Holder("ana", "k-7f3"), Holder("bob", "k-8a1")


async def test_whoever_is_let_onto_the_blocked_vlan_is_blocked_within_a_second_until_they_have_paid(
    tmp_path: Path,
) -> None:
    async with building(tmp_path, ana="blocked", bob="active") as house:
        assert await joins(house, ANA_KEY) == "666"
        async with asyncio.timeout(1.0):
            await until_there(house, BY_ANAS)
        assert access(house) is Access.BLOCKED

        billing(tmp_path, ana="active", bob="active")
        await told(house, "sync")
        assert access(house) is Access.OPEN, "paid, and not moved back yet"
        assert await joins(house, ANA_KEY) == "112"
        await until_there(house, None)


async def test_a_device_that_goes_over_to_a_paying_residents_key_is_that_residents(tmp_path: Path) -> None:
    async with building(tmp_path, ana="blocked", bob="active") as house:
        await joins(house, ANA_KEY)
        await joins(house, ANA_KEY, OTHER_MAC)
        await until_there(house, BY_ANAS, OTHER_MAC)

        assert await joins(house, BOB_KEY) == "113", "where it was put before is no reason to put it there"

        await until_there(house, None)
        assert (access(house), access(house, OTHER_MAC)) == (Access.OPEN, Access.BLOCKED)


async def test_after_a_restart_it_is_known_before_a_packet_filter_is_compared_with_anything(tmp_path: Path) -> None:
    async with building(tmp_path, ana="blocked") as house:
        await joins(house, ANA_KEY)
        await until_there(house, BY_ANAS)

    path = tmp_path / "edged.yaml"
    with capture_logs():
        house = House(load(path))
        seen: list[Moved] = []

        async def start() -> None:
            seen.append(house.current.view.learned.moved)

        house.enforce.start = start  # type: ignore[method-assign]  # when it is called is what is asked
        await house.open()
        await house.close()
    assert seen[0].holders == {MAC: BY_ANAS}


async def test_explain_says_with_which_key_it_is_there_and_no_alarm_says_that_nothing_is_enforced(
    tmp_path: Path,
) -> None:
    async with building(tmp_path, ana="blocked", bob="blocked", mia="blocked") as house:
        await joins(house, ANA_KEY)
        await until_there(house, BY_ANAS)

        for subject in (MAC, "ana"):
            shown = " ".join(text.explain(await told(house, "explain", subject=subject)).split())
            assert "is BLOCKED for unpaid" in shown
            assert f"{MAC} is on the blocked VLAN with key k-7f3" in shown
        ended = Key("k-9c2", SSID, Secret("silver-otter-piano-19"), subscriber="mia", expires=time.time() - 60)
        await house.mpsk.replace_billing([ANA_KEY, BOB_KEY, ended])
        found = [alarm for alarm in alarms(house, time.time()) if alarm.code == "lines-unknown"]
        assert [alarm.sentence.partition("for example")[2] for alarm in found] == [
            " mia: nothing is enforced on them."
        ], "Bob has a good key, whatever devices come with it"  # fmt: skip


async def test_while_watching_nobody_is_moved(tmp_path: Path) -> None:
    async with building(tmp_path, mode="watch", ana="blocked") as house:
        assert await joins(house, ANA_KEY) == "112"

        assert not house.current.view.learned.moved


async def test_a_crowd_is_taken_in_pieces_and_one_device_at_once(tmp_path: Path) -> None:
    billing(tmp_path, ana="blocked")
    async with running(tmp_path) as house:
        moves = Moves()
        moving = asyncio.create_task(Moving(moves, house.writer).run())
        crowd = {MacAddress(f"02:00:5e:20:{n >> 8:02x}:{n & 255:02x}"): BY_ANAS for n in range(3 * AT_ONCE)}
        sizes: list[int] = []
        version = house.current.version
        moves._changes |= crowd
        moves.wake()
        while len(house.current.view.learned.moved) < len(crowd):
            version = await house.current.wait(version)
            sizes.append(len(house.current.view.learned.moved))

        assert sizes[:3] == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE]
        moving.cancel()
        with suppress(asyncio.CancelledError):
            await moving


class Told(Nearby):
    """A kernel that has met one neighbour on the loopback interface each time it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def heard(self) -> list[NewNeighbour]:
        self.count += 1
        return [
            NewNeighbour(parse_address(f"127.6.{self.count >> 8}.{self.count & 255}"), MAC, socket.if_nametoindex("lo"))
        ]


async def test_a_device_that_claims_address_after_address_changes_the_policy_now_and_then_and_all_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.loopback.test_moved_devices.CONFIGURATION", CONFIGURATION.replace("nowhere0", "lo"))
    billing(tmp_path, ana="blocked")
    async with running(tmp_path) as house:
        house.writer.move({MAC: BY_ANAS})
        await house.writer.meet_neighbours()
        moving, nearby, before = Moving(Moves(), house.writer), Told(), house.current.version
        for _ in range(300):
            moving._hear(nearby)
        known = house.current.view.learned.moved.addresses
        assert (house.current.version, len(known)) == (before + BURST, BURST), "the first of them at once"

        version = before
        while len(house.current.view.learned.moved.addresses) < 300:
            version = await house.current.wait(version)
        assert house.current.version <= before + BURST + 3
        nearby.close()


async def test_where_the_kernel_tells_nothing_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf() -> Nearby:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr("edged.moving.Nearby", deaf)
    billing(tmp_path, ana="blocked")
    async with running(tmp_path) as house:
        with capture_logs() as logs:
            house.writer.move({MAC: BY_ANAS})
            for _ in range(3):
                house.moving._listen(wanted=True)
        assert [line["event"] for line in logs].count("neighbours-not-heard") == 1


async def test_however_often_another_look_is_due_half_of_the_time_is_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing(tmp_path, ana="blocked")
    async with running(tmp_path) as house:
        began, ended = list[float](), list[float]()

        async def takes_long() -> None:
            began.append(time.monotonic())
            house.moving._look.set()
            await asyncio.sleep(0.3)
            ended.append(time.monotonic())

        monkeypatch.setattr(house.writer, "meet_neighbours", takes_long)
        house.moving._look.set()
        while len(began) < 3:
            await asyncio.sleep(0.01)

        assert all(later - earlier > 0.25 for earlier, later in zip(ended, began[1:], strict=False))
