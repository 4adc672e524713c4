# SPDX-License-Identifier: Apache-2.0
"""Devices sent away over real sockets: from memory, after silence, after a restart, by CoA where there is one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from edged import arrows
from edged.arrows import Disconnects, Keeper
from edged.errors import UpstreamError
from edged.model import Key, Snapshot, State, Subscriber
from edged.mpsk import disconnect
from edged.mpsk.disconnect import Disconnections, End, Silence
from edged.mpsk.memory import Stale
from edged.mpsk.service import MpskService
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import Attribute, Attributes, attribute, integer, text, values
from edged.radius.authenticator import request_is_authentic, sign_reply
from edged.radius.clients import Clients
from edged.radius.packet import Answer, Code, Packet, decode
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.current import Current
from edged.state.database import Database
from edged.state.grants import KEEP_GRANTS, GrantRow, GrantStore
from edged.state.keys import KeyStore
from edged.state.sealing import Seal
from edged.values import IpAddress, MacAddress, Secret, parse_address, parse_prefix
from tests.mpsk_world import (
    HOME,
    MAC,
    PASSPHRASE,
    SECRET,
    SSID,
    client,
    handshake_request,
    mpsk_settings,
    rechecked,
    request,
    stored,
)

QUICK = (0.05,)
Script = Callable[[Packet, int], tuple[Code, Attributes] | None]
"""Request and how many came before it -> what to answer."""


def always(code: Code, *attributes: Attribute) -> Script:
    return lambda _request, _before: (code, attributes)


ACK, GONE = always(Code.DISCONNECT_ACK), always(Code.DISCONNECT_NAK, attribute("Error-Cause", 503))


class AccessPoint(asyncio.DatagramProtocol):
    """A NAS's side of RFC 5176 that keeps what it hears and answers from a script."""

    def __init__(self, script: Script = ACK) -> None:
        self.script = script
        self.heard: list[Packet] = []
        self.at: list[float] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert request_is_authentic(data, SECRET)
        packet = decode(data)
        answer = self.script(packet, len(self.heard))
        self.heard.append(packet)
        self.at.append(time.time())
        if answer is not None:
            self.transport.sendto(sign_reply(answer[0], answer[1], packet, SECRET), addr)


def nas(port: int, **more: Any) -> ClientSettings:
    settings = {"name": "building-7", "networks": ["127.0.0.0/8"], "secret": SECRET, "disconnect": {"port": port}}
    return ClientSettings.model_validate(settings | more)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(*rooms: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(room.run()) for room in rooms]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


@asynccontextmanager
async def house(path: Path) -> AsyncIterator[tuple[MpskService, Current, Keeper]]:
    database = Database(path / "edged.db")
    await database.open()
    current = Current()
    mpsk = MpskService(
        mpsk_settings(blocked={"vlan": 666}), store=KeyStore(database, Seal(Secret(bytes(32)))), current=current
    )
    keeper = Keeper(mpsk, GrantStore(database))
    await mpsk.start()
    await mpsk.replace_billing([Key("k-501", SSID, Secret(PASSPHRASE), "1001", vlan=112, devices=(MAC,))])
    try:
        yield mpsk, current, keeper
    finally:
        await mpsk.stop()
        await keeper.tend()
        await database.close()


def ask(mpsk: MpskService, dialect: str = "auto", *more: Attribute) -> str:
    answer = mpsk.authorize(request(MAC, *more), client(dialect=dialect), HOME)
    assert isinstance(answer, Answer)
    plain = tuple(a for a in answer.attributes if isinstance(a, Attribute))
    return text(plain, "Tunnel-Private-Group-Id")


def suspend(current: Current, *subscribers: str) -> None:
    listed = tuple(Subscriber(name, State.BLOCKED, "unpaid") for name in subscribers)
    current.publish(View(compile_table(Snapshot("2", "2", 0.0, listed), SubscribersSettings())))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrows, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(disconnect, "MARGIN", 0.1)
    monkeypatch.setattr(disconnect, "SILENT_WAITS", (0.1, 0.2))


async def test_a_device_that_comes_back_from_memory_is_sent_away_again_when_that_has_ended() -> None:
    queue = [Stale(HOME, "building-7", MAC, SSID, "revoked", cached_until=time.time() + 0.5)]
    disconnections = Disconnections()
    async with AccessPoint() as point:
        work = Disconnects(
            lambda: [[queue.pop()]] if queue else [], lambda: [nas(point.port)], disconnections=disconnections
        )
        async with at_work(work):
            await until(lambda: disconnections.ends[End.LEFT])

    assert len(point.heard) == 2
    assert point.at[1] - point.at[0] >= 0.3
    assert disconnections.waiting == 0


async def test_a_request_that_was_lost_is_not_sent_again_once_the_device_has_asked_again() -> None:
    asked = False

    def lost(_request: Packet, _before: int) -> None:
        nonlocal asked
        asked = True

    async with AccessPoint(lost) as point:
        queue = [Stale(HOME, "building-7", MAC, SSID, "vlan")]
        rooms = Disconnects(
            lambda: [[queue.pop() for _ in range(len(queue))]], lambda: [nas(point.port)],
            is_gone=lambda _: asked, waits=(0.05,) * 5,
        )  # fmt: skip
        async with at_work(rooms):
            await until(lambda: rooms.disconnections.ends[End.ASKED])

    assert len(point.heard) == 1
    assert not rooms.disconnections.silent, "an access point that asks is not silent"


async def test_a_device_that_has_asked_again_is_not_sent_away_again(tmp_path: Path) -> None:
    async with AccessPoint() as point, house(tmp_path) as (mpsk, current, _):
        clients = [nas(point.port)]
        assert ask(mpsk) == "112"
        async with at_work(Disconnects.of(mpsk, lambda: clients)):
            suspend(current, "1001")
            await until(lambda: point.heard)
            assert ask(mpsk) == "666"
            disconnections = mpsk.grants.disconnections
            # hostapd's half minute need not be waited for: the device was seen
            assert disconnections.waiting == 1
            suspend(current)
            await until(lambda: len(point.heard) == 2)
            assert ask(mpsk) == "112"


async def test_whose_device_was_sent_away_and_how_that_ended_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []
    async with AccessPoint(always(Code.COA_ACK)) as point, house(tmp_path) as (mpsk, current, _):
        ask(mpsk, "cisco-ipsk", attribute("Cisco-AVPair", b"audit-session-id=0A07000100000013"))
        work = Disconnects.of(
            mpsk, lambda: [nas(point.port)], note=lambda device, whose, end: told.append((device.mac, whose, end))
        )
        async with at_work(work):
            suspend(current, "1001")
            await until(lambda: bool(told))

    assert told == [(MAC, "1001", "left")]


async def test_the_event_timestamp_is_that_of_the_attempt_and_the_session_the_access_points_own(tmp_path: Path) -> None:
    async with AccessPoint(GONE) as point, house(tmp_path) as (mpsk, current, _):
        ask(mpsk, "auto", attribute("NAS-Identifier", "ap-lobby-1"))
        async with at_work(Disconnects.of(mpsk, lambda: [nas(point.port)])):
            suspend(current, "1001")
            await until(lambda: point.heard)

    (packet,) = point.heard
    assert [a.type for a in packet.attributes] == [80, 31, 32, 55]
    assert text(packet.attributes, "NAS-Identifier") == "ap-lobby-1"
    assert abs((integer(packet.attributes, "Event-Timestamp") or 0) - time.time()) < 5


async def test_cisco_lets_the_device_ask_again_and_without_coa_it_is_disconnected(tmp_path: Path) -> None:
    def no_coa(packet: Packet, _before: int) -> tuple[Code, Attributes]:
        if packet.code is Code.COA_REQUEST:
            return Code.COA_NAK, (attribute("Error-Cause", 405),)
        return Code.DISCONNECT_ACK, ()

    audit = attribute("Cisco-AVPair", b"audit-session-id=0A07000100000013")
    for script, codes in ((always(Code.COA_ACK), [43]), (no_coa, [43, 40])):
        folder = tmp_path / str(len(codes))
        folder.mkdir()
        async with AccessPoint(script) as point, house(folder) as (mpsk, current, _):
            ask(mpsk, "cisco-ipsk", audit)
            async with at_work(Disconnects.of(mpsk, lambda port=point.port: [nas(port)])):  # type: ignore[misc]
                suspend(current, "1001")
                await until(lambda at=mpsk.grants.disconnections: at.ends[End.LEFT])  # type: ignore[misc]

        assert [int(packet.code) for packet in point.heard] == codes
        pairs = values(point.heard[0].attributes, "Cisco-AVPair")
        assert pairs == (b"audit-session-id=0A07000100000013", b"subscriber:command=reauthenticate")
        assert values(point.heard[-1].attributes, "Cisco-AVPair")[:1] == pairs[:1]


async def test_a_silent_access_point_is_asked_again_and_again_and_left_alone_between() -> None:
    def late(_packet: Packet, before: int) -> tuple[Code, Attributes] | None:
        return (Code.DISCONNECT_ACK, ()) if before >= 3 else None

    queue = [Stale(HOME, "building-7", MAC, SSID, "revoked")]
    disconnections = Disconnections()
    async with AccessPoint(late) as point:
        work = Disconnects(
            lambda: [[queue.pop()]] if queue else [],
            lambda: [nas(point.port)],
            disconnections=disconnections,
            waits=QUICK,
        )
        async with at_work(work):
            await until(lambda: len(point.heard) == 2)
            assert disconnections.waiting == 1
            assert HOME in disconnections.silent
            await until(lambda: disconnections.ends[End.LEFT])

    assert not disconnections.silent
    gaps = [later - earlier for earlier, later in zip(point.at, point.at[1:], strict=False)]
    assert gaps[0] >= 0.14
    assert gaps[1] >= 0.24


async def test_after_an_hour_of_silence_nobody_is_told_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "GIVE_UP", 0.3)
    macs = [MacAddress(f"02:00:5e:10:01:{n:02x}") for n in range(100)]
    queue = [Stale(HOME, "building-7", mac, SSID, "revoked") for mac in macs]
    disconnections = Disconnections()
    async with AccessPoint(lambda _packet, _before: None) as point:
        taken = lambda: [[queue.pop() for _ in range(len(queue))]]  # noqa: E731
        work = Disconnects(taken, lambda: [nas(point.port)], disconnections=disconnections, waits=QUICK)
        async with at_work(work):
            await until(lambda: disconnections.ends[End.UNHEARD] == len(macs))

    assert disconnections.waiting == 0
    # one round of those at work at once, not one of every device
    assert len(point.heard) <= 5 * arrows.AT_ONCE


async def test_a_site_of_two_clients_is_told_with_the_secret_of_the_one_that_has_the_access_point() -> None:
    queue = [Stale(HOME, "building-7", MAC, SSID, "revoked")]
    disconnections = Disconnections()
    async with AccessPoint() as point:
        mine = nas(point.port)
        annexe = mine.model_copy(update={"networks": (parse_prefix("10.7.1.0/24"),), "secret": Secret("of-the-annexe")})
        work = Disconnects(
            lambda: [[queue.pop()]] if queue else [], lambda: [annexe, mine], disconnections=disconnections, waits=QUICK
        )
        async with at_work(work):
            await until(lambda: disconnections.ends[End.LEFT])


async def test_a_silent_access_point_does_not_keep_others_waiting() -> None:
    other: IpAddress = parse_address("127.0.0.2")
    queue = [Stale(other, "building-7", MAC, SSID, "revoked") for _ in range(3 * arrows.AT_ONCE)]
    queue.append(Stale(HOME, "building-7", MAC, SSID, "revoked"))
    async with AccessPoint() as point:
        taken = lambda: [[queue.pop(0) for _ in range(len(queue))]]  # noqa: E731
        async with at_work(Disconnects(taken, lambda: [nas(point.port)], waits=(0.3,))):
            began = time.time()
            await until(lambda: point.heard)

    assert time.time() - began < 1.0


async def test_who_roams_by_fast_transition_is_sent_away_from_every_access_point_that_was_heard(tmp_path: Path) -> None:
    """One address is in use here: the access point that asked is another, which is silent."""
    key = stored("k-501", passphrase=Secret(PASSPHRASE))
    assert key.pmk is not None
    gone: IpAddress = parse_address("127.0.0.9")
    for suite, count in (("ft-psk", 1), ("psk-sha1", 0)):
        folder = tmp_path / suite
        folder.mkdir()
        async with AccessPoint() as point, house(folder) as (mpsk, current, _):
            await mpsk.derive()
            settings = nas(point.port)
            clients = Clients(RadiusSettings(clients=(settings,)))
            for host in (str(HOME), str(gone)):
                source = clients.find(host, time.time())
                assert source is not None
                source.heard.verified(access=True, signed=True)
            answer = mpsk.authorize(handshake_request(key.pmk.reveal(), suite=suite), client(), gone)
            assert isinstance(answer, Answer)
            assert answer.code is Code.ACCESS_ACCEPT
            async with at_work(Disconnects.of(mpsk, lambda settings=settings: [settings], clients)):  # type: ignore[misc]
                suspend(current, "1001")
                await until(lambda mpsk=mpsk: mpsk.grants.disconnections.waiting)  # type: ignore[misc]
                await until(lambda mpsk=mpsk: mpsk.grants.disconnections.silent)  # type: ignore[misc]

        assert len(point.heard) == count
        for packet in point.heard:
            assert [a.type for a in packet.attributes] == [80, 31, 55], "another's name it would refuse"


def heard_at(count: int) -> list[IpAddress]:
    return [parse_address(f"127.1.{n >> 8}.{n & 255}") for n in range(count)]


async def test_a_thousand_who_roamed_are_looked_for_a_few_at_a_time_and_keep_no_disconnect_waiting() -> None:
    """At 500 access points, all of them silent: who stands where is known is told at once all the same."""
    macs = [MacAddress(f"02:00:5e:10:{n >> 8:02x}:{n & 255:02x}") for n in range(1000)]
    elsewhere: IpAddress = parse_address("127.0.0.2")
    queue = [Stale(elsewhere, "building-7", mac, SSID, "blocked", roams=True) for mac in macs]
    queue.append(Stale(HOME, "building-7", MAC, SSID, "blocked"))
    disconnections = Disconnections()
    disconnections.silent[elsewhere] = Silence(until=time.time() + 60)
    others = heard_at(500)
    async with AccessPoint() as point:
        taken = lambda: [[queue.pop() for _ in range(len(queue))]]  # noqa: E731
        work = Disconnects(
            taken, lambda: [nas(point.port)], nases=lambda _: others, disconnections=disconnections, waits=(0.3,)
        )
        async with at_work(work):
            began = time.time()
            await until(lambda: point.heard)
            assert time.time() - began < 0.25, "the looks have lines of their own"
            looking = [task for task in asyncio.all_tasks() if task.get_name() == "disconnect-moved"]
            assert len(looking) == arrows.LOOKERS


async def test_where_it_is_back_it_is_left_alone_and_an_answer_ends_a_silence() -> None:
    device = Stale(parse_address("127.0.0.2"), "building-7", MAC, SSID, "vlan", roams=True)
    for back, count in ((HOME, 0), (device.nas, 1)):
        queue = [device]
        disconnections = Disconnections()
        disconnections.silent[device.nas] = Silence(until=time.time() + 60)
        disconnections.silent[HOME] = Silence(times=3)
        asked: list[IpAddress] = []

        def is_on(_device: Stale, nas: IpAddress, back: IpAddress = back, asked: list[IpAddress] = asked) -> bool:
            asked.append(nas)
            return nas == back

        async with AccessPoint(GONE) as point:
            work = Disconnects(
                lambda queue=queue: [[queue.pop()]] if queue else [],  # type: ignore[misc]
                lambda point=point: [nas(point.port)],  # type: ignore[misc]
                nases=lambda _: [HOME, device.nas], is_on=is_on, disconnections=disconnections,
            )  # fmt: skip
            async with at_work(work):
                await until(lambda asked=asked: asked)  # type: ignore[misc]
                await until(lambda: not any(t.get_name() == "disconnect-moved" for t in asyncio.all_tasks()))

        assert len(point.heard) == count
        assert (HOME in disconnections.silent) is not bool(count)


async def test_two_radios_with_one_mac_address_and_one_key_are_both_sent_away(tmp_path: Path) -> None:
    """The one that joined last is at an access point that is silent here."""
    last: IpAddress = parse_address("127.0.0.9")
    async with AccessPoint() as point, house(tmp_path) as (mpsk, current, _):
        for source in (HOME, last):
            answer = mpsk.authorize(request(MAC), client(), source)
            assert isinstance(answer, Answer)
        async with at_work(Disconnects.of(mpsk, lambda: [nas(point.port)])):
            suspend(current, "1001")
            await until(lambda: point.heard)

    assert len(point.heard) == 1
    assert text(point.heard[0].attributes, "Calling-Station-Id") == MAC.upper().replace(":", "-")


async def test_a_client_that_takes_no_disconnect_costs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as (mpsk, current, _):
        ask(mpsk)
        async with at_work(Disconnects.of(mpsk, lambda: [client()])):
            suspend(current, "1001")
            await until(lambda: not mpsk.grants._leaving and not len(mpsk.grants))


async def test_who_is_on_the_blocked_vlan_and_cannot_be_sent_away_is_led_to_the_page_all_the_same(
    tmp_path: Path,
) -> None:
    refuses = always(Code.DISCONNECT_NAK, attribute("Error-Cause", 405))
    async with AccessPoint(refuses) as point:
        for name, settings in (("mute", client()), ("refuses", nas(point.port))):
            folder = tmp_path / name
            folder.mkdir()
            async with house(folder) as (mpsk, current, keeper):
                await keeper.tend()
                suspend(current, "1001")
                assert ask(mpsk) == "666"
                assert set(mpsk.grants.moves.taken()) == {MAC}
                async with at_work(Disconnects.of(mpsk, lambda settings=settings: [settings])):  # type: ignore[misc]
                    await mpsk.replace_billing([])
                    await until(lambda at=mpsk.grants: not len(at) and not at._leaving)  # type: ignore[misc]
                assert mpsk.grants.moves.taken() == {}, "it is on that VLAN still"
            async with house(folder) as (mpsk, _, keeper):
                await mpsk.replace_billing([])
                await keeper.tend()
                assert [stale.mac for stale in rechecked(mpsk.recheck())] == [MAC], "a restart tries again"


# --- a restart -------------------------------------------------------------------------------------


async def test_a_device_let_on_before_a_restart_is_sent_away_after_it(tmp_path: Path) -> None:
    async with AccessPoint(GONE) as point:
        async with house(tmp_path) as (mpsk, _, keeper):
            await keeper.tend()
            ask(mpsk, "auto", attribute("NAS-Identifier", "ap-lobby-1"))
            await keeper.tend()
        async with (
            house(tmp_path) as (mpsk, current, keeper),
            at_work(keeper, Disconnects.of(mpsk, lambda: [nas(point.port)])),
        ):
            await until(lambda: len(mpsk.grants))
            assert point.heard == [], "nothing has changed for it yet"
            suspend(current, "1001")
            await until(lambda: point.heard)

    assert text(point.heard[0].attributes, "NAS-Identifier") == "ap-lobby-1"
    assert text(point.heard[0].attributes, "Calling-Station-Id") == MAC.upper().replace(":", "-")


async def test_who_was_to_leave_when_edged_stopped_is_sent_away_when_it_starts(tmp_path: Path) -> None:
    async with house(tmp_path) as (mpsk, current, keeper):
        await keeper.tend()
        ask(mpsk)
        suspend(current, "1001")
        assert len(rechecked(mpsk.recheck())) == 1
    async with (
        AccessPoint() as point,
        house(tmp_path) as (mpsk, _, keeper),
        at_work(keeper, Disconnects.of(mpsk, lambda: [nas(point.port)])),
    ):
        await until(lambda: point.heard)


async def test_without_its_keys_a_restart_sends_nobody_away(tmp_path: Path) -> None:
    async with house(tmp_path) as (mpsk, _, keeper):
        await keeper.tend()
        ask(mpsk)
    database = Database(tmp_path / "edged.db")
    await database.open()
    mpsk = MpskService(mpsk_settings(), store=KeyStore(database, Seal(Secret(b"\1" * 32))), current=Current())
    with pytest.raises(UpstreamError):
        await mpsk.start()

    await Keeper(mpsk, GrantStore(database)).tend()

    assert len(mpsk.grants) == 0
    assert rechecked(mpsk.recheck()) == []
    await mpsk.stop()
    await database.close()


async def test_a_database_that_fails_costs_no_grant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as (mpsk, _, keeper):
        await keeper.tend()
        ask(mpsk)
        with monkeypatch.context() as broken:

            async def fails(*_: object) -> None:
                raise UpstreamError("database: disk full")

            broken.setattr(GrantStore, "save", fails)
            await keeper.tend()
            await keeper.tend()
        await keeper.tend()
        rows = await GrantStore(mpsk._store._database).load(time.time(), 10)

    assert [row.mac for row in rows] == [MAC]


async def test_old_grants_and_those_beyond_the_bound_are_forgotten(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.db")
    await database.open()
    store, now = GrantStore(database), time.time()
    rows = [
        GrantRow(SSID, MacAddress(f"02:00:5e:10:00:{n:02x}"), "b-7", "hostapd", "127.0.0.1", b"", "", "", 9, None,
                 None, now - n * KEEP_GRANTS / 10, "")
        for n in range(12)
    ]  # fmt: skip

    await store.save(rows, [])

    kept = await store.load(now, 5)
    assert [row.mac for row in kept] == [row.mac for row in reversed(rows[:5])]
    assert await store.load(now, 100) == kept
    await store.save([], [(SSID, rows[0].mac)])
    assert len(await store.load(now, 100)) == 4
    await database.close()
