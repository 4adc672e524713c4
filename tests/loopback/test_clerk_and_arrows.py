# SPDX-License-Identifier: Apache-2.0
"""What joins the rooms: the page's buttons to the database, accounting to the database, stale devices off the air."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

import pytest

from edged.arrows import Accounting, Disconnects
from edged.billing.reading import with_words
from edged.billing.service import BillingService
from edged.billing.settings import BillingSettings
from edged.billing.sources.rest import RestSource
from edged.captive.settings import PassSettings
from edged.clerk import Clerk
from edged.enforce.rules import Rules
from edged.enforce.service import EnforceService
from edged.enforce.targets.memory import MemoryTarget
from edged.errors import UpstreamError, WireError
from edged.model import Access, Key, Snapshot, State, Subscriber
from edged.mpsk.memory import Stale
from edged.mpsk.service import MpskService
from edged.policy.access import Learned, Override, View
from edged.policy.sessions import Roster
from edged.policy.settings import NoticeSettings, SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import Attribute, attribute, text
from edged.radius.authenticator import reply_is_authentic, request_is_authentic, sign_reply, sign_request
from edged.radius.packet import Answer, Code, Packet, decode
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.current import Current
from edged.state.database import Database
from edged.state.guard_memory import GuardMemoryStore
from edged.state.keys import KeyStore
from edged.state.overrides import OverrideStore
from edged.state.sealing import Seal
from edged.state.sessions import SessionStore
from edged.state.snapshots import SnapshotFiles
from edged.values import IpAddress, MacAddress, Secret, parse_address, parse_prefix
from tests.loopback.feed_server import Feed, FeedServer, serve
from tests.mpsk_world import HOME, MAC, SSID, mpsk_settings, rechecked, request

SECRET = Secret("edged-test-secret-0001")
THREE_A_DAY = PassSettings(per_day=3)
DAY = 86400.0


@asynccontextmanager
async def database_in(directory: Path) -> AsyncIterator[Database]:
    opened = Database(directory / "edged.sqlite")
    await opened.open()
    # another process at the lock is met at once
    await opened.run(lambda connection: connection.execute("PRAGMA busy_timeout = 50"))
    try:
        yield opened
    finally:
        await opened.close()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Somebody else holds the write lock."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


# --- the clerk -------------------------------------------------------------------------------------


@dataclass
class Line:
    """One blocked subscriber's line, with what the daemon does after each word that is learned."""

    overrides: OverrideStore
    clerk: Clerk
    view: View = field(
        default_factory=lambda: View(
            compile_table(
                Snapshot("1", "1", 0.0, (Subscriber("1001", State.BLOCKED, "unpaid"),)), SubscribersSettings()
            )
        )
    )

    async def relearn(self) -> None:
        now = time.time()
        overrides, passes = await self.overrides.alive(now), await self.overrides.passes(now)
        learned = Learned(overrides, passes, snoozes=await self.overrides.snoozes(now))
        self.view = View(self.view.table, learned)

    @property
    def access(self) -> Access:
        return self.view.decide_id("1001", time.time()).access


@asynccontextmanager
async def line_in(directory: Path, passes: PassSettings | None = THREE_A_DAY) -> AsyncIterator[Line]:
    async with database_in(directory) as database:
        overrides = OverrideStore(database)

        async def relearn() -> None:
            await line.relearn()

        line = Line(overrides, Clerk(overrides, None, relearn))
        await line.clerk.open(passes)
        await line.relearn()
        yield line


async def test_a_pass_opens_the_line_at_once_and_is_counted(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        assert (line.access, line.clerk.passes_left("1001")) == (Access.BLOCKED, 3)

        assert await line.clerk.start_pass("1001")

        assert (line.access, line.clerk.passes_left("1001")) == (Access.PASS, 2)
        ends = line.view.learned.passes["1001"]
        assert 890.0 < ends - time.time() <= 900.0


async def test_the_passes_of_a_day_are_all_there_are_and_each_subscriber_has_their_own(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        assert [await line.clerk.start_pass("1001") for _ in range(5)] == [True, True, True, False, False]

        assert line.clerk.passes_left("1001") == 0
        assert line.clerk.passes_left("1002") == 3
        assert len(await line.overrides.recent("1001", limit=50)) == 3


async def test_a_restart_gives_nobody_a_new_pass_and_takes_none_that_runs(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        for _ in range(2):
            await line.clerk.start_pass("1001")

    async with line_in(tmp_path) as line:
        assert (line.access, line.clerk.passes_left("1001")) == (Access.PASS, 1)
        assert [await line.clerk.start_pass("1001") for _ in range(2)] == [True, False]


async def test_a_pass_of_more_than_a_day_ago_is_not_counted_any_more(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        now = time.time()
        await line.overrides.start_pass("1001", now - DAY - 1, now - DAY + 899)
        await line.overrides.start_pass("1001", now - DAY + 60, now - DAY + 960)

    async with line_in(tmp_path) as line:
        assert line.clerk.passes_left("1001") == 2


async def test_two_presses_at_once_count_twice_and_never_more_than_there_are(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        assert await asyncio.gather(*(line.clerk.start_pass("1001") for _ in range(2))) == [True, True]
        assert line.clerk.passes_left("1001") == 1

        pressed = await asyncio.gather(*(line.clerk.start_pass("1001") for _ in range(10)))

        assert sorted(pressed) == [False] * 9 + [True]
        assert len((await line.overrides.pass_starts(0.0))["1001"]) == 3


async def test_a_press_that_could_not_be_kept_opens_nothing_and_costs_nothing(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        overrides = OverrideStore(database)
        heard: list[str] = []

        async def relearn() -> None:
            heard.append("relearn")

        clerk = Clerk(overrides, None, relearn)
        await clerk.open(THREE_A_DAY)
        with locked(database), pytest.raises(UpstreamError, match="locked"):
            await clerk.start_pass("1001")

        assert not heard
        assert clerk.passes_left("1001") == 3
        assert await clerk.start_pass("1001")
        assert clerk.passes_left("1001") == 2


async def test_without_passes_there_is_no_button_and_no_press(tmp_path: Path) -> None:
    async with line_in(tmp_path, None) as line:
        assert line.clerk.passes_left("1001") is None
        assert not await line.clerk.start_pass("1001")
        assert line.access is Access.BLOCKED


async def test_a_reload_changes_how_many_passes_there_are(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        await line.clerk.start_pass("1001")

        line.clerk.settings = PassSettings(per_day=1)

        assert line.clerk.passes_left("1001") == 0
        assert not await line.clerk.start_pass("1001")


async def test_an_operators_block_is_not_opened_by_a_pass(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        now = time.time()
        await line.overrides.put(Override("1001", blocked=True, until=now + 60, why="abuse", who="noc", at=now))

        assert await line.clerk.start_pass("1001")

        assert line.access is Access.BLOCKED


async def test_a_tap_puts_the_reminder_away_for_its_time_and_a_restart_keeps_it(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        line.clerk.notice = NoticeSettings.model_validate({"snooze": "1m", "every": "10m"})
        for id_, seen, length in (("1001", True, 600.0), ("1002", False, 60.0)):
            await line.clerk.put_away(id_, seen=seen)
            assert length - 10.0 < line.view.learned.snoozes[id_] - time.time() <= length

    async with line_in(tmp_path) as line:
        assert set(line.view.learned.snoozes) == {"1001", "1002"}
        assert line.access is Access.BLOCKED, "a snooze opens nothing"


async def test_a_tap_is_over_when_the_packet_filter_has_let_the_line_go(tmp_path: Path) -> None:
    notice = Subscriber("1001", State.NOTICE, addresses=(parse_prefix("100.64.1.7"),))
    served = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10"]})
    current = Current(View(compile_table(Snapshot("1", "1", 0.0, (notice,)), served)))
    address, web, target = parse_address("100.64.1.7"), parse_address("203.0.113.80"), MemoryTarget()
    enforce = EnforceService({"memory": target}, Rules(reminds=True), current=current)
    async with database_in(tmp_path) as database:
        overrides = OverrideStore(database)

        async def relearn() -> None:
            snoozes = await overrides.snoozes(time.time())
            current.publish(View(current.view.table, Learned(snoozes=snoozes)), frozenset(snoozes))

        clerk = Clerk(overrides, None, relearn, enforce=enforce)
        run = asyncio.create_task(enforce.run())
        await until(lambda: target.reminds(address, web))

        await clerk.put_away("1001", seen=True)

        assert not target.reminds(address, web)
        assert await clerk.set_aside(address, web)
        assert not await Clerk(overrides, None, relearn).set_aside(address, web)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await enforce.stop()


async def test_asking_billing_again_opens_the_line_of_who_has_paid(tmp_path: Path) -> None:
    blocked = [{"id": name, "state": "blocked"} for name in ("1001", "1002")]
    published: list[Snapshot] = []

    async def publish(snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        published.append(snapshot if words is None else with_words(published[-1], words))

    async def relearn() -> None:
        pass

    def blocked_now() -> set[str]:
        return {s.id for s in published[-1].subscribers if s.state is State.BLOCKED}

    async with database_in(tmp_path) as database, serve(FeedServer(Feed(list(blocked), known=100))) as server:
        source = RestSource(server.url, None)
        billing = BillingService(
            BillingSettings.model_validate({"source": "rest", "url": server.url, "guard": {"first": "accept"}}),
            source=source,
            guard_memory=GuardMemoryStore(database),
            snapshots=SnapshotFiles(tmp_path),
            own=(),
            publish=publish,
        )
        await billing.load()
        await billing.sync()
        assert blocked_now() == {"1001", "1002"}
        server.feed = Feed(blocked[1:], known=100, active={"1001"})

        await Clerk(OverrideStore(database), billing, relearn).check("1001")

        assert blocked_now() == {"1002"}
        await billing.stop()


async def test_without_billing_asking_again_changes_nothing(tmp_path: Path) -> None:
    async with line_in(tmp_path) as line:
        await line.clerk.check("1001")

        assert line.access is Access.BLOCKED


# --- accounting ------------------------------------------------------------------------------------


def nas(port: int = 3799, **more: Any) -> ClientSettings:
    return ClientSettings.model_validate(
        {"name": "building-7", "networks": ["127.0.0.0/8"], "secret": SECRET, "disconnect": {"port": port}, **more}
    )


def accounting(sessions: SessionStore) -> Accounting:
    """One whose sessions concern nobody."""
    return Accounting(sessions, Roster(), lambda _: None)


def report(status: int, session: str = "s-1", *more: Attribute) -> Packet:
    given = (
        attribute("Acct-Status-Type", status),
        attribute("Acct-Session-Id", session),
        attribute("User-Name", "ana@fibre"),
        attribute("Calling-Station-Id", MAC.upper().replace(":", "-")),
        *more,
    )
    return Packet(Code.ACCOUNTING_REQUEST, 7, bytes(16), given)


def on_disk(path: Path) -> list[tuple[Any, ...]]:
    """What another process reads there now."""
    with closing(sqlite3.connect(path)) as other:
        return other.execute("SELECT nas, session, login, mac, ipv4, stopped IS NULL FROM sessions").fetchall()


async def test_accounting_is_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        account = accounting(SessionStore(database)).account

        assert (
            await account(report(1, "s-1", attribute("Framed-IP-Address", IPv4Address("100.64.1.7"))), nas(), HOME)
            is True
        )

        assert on_disk(database.path) == [("127.0.0.1", "s-1", "ana@fibre", MAC, "100.64.1.7", 1)]


async def test_what_cannot_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        account = accounting(SessionStore(database)).account

        with locked(database):
            assert await account(report(1), nas(), HOME) is False

        assert on_disk(database.path) == []
        assert await account(report(1), nas(), HOME) is True
    assert await account(report(1, "s-2"), nas(), HOME) is False, "the database is closed"


async def test_a_nas_is_known_by_its_address_and_its_identifier_where_it_has_one(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        account = accounting(SessionStore(database)).account

        await account(report(1, "s-1", attribute("NAS-Identifier", "ap-12")), nas(), HOME)
        await account(report(1, "s-1"), nas(), parse_address("2001:db8:7::1"))

        assert sorted(row[0] for row in on_disk(database.path)) == ["2001:db8:7::1", "ap-12@127.0.0.1"]


async def test_a_report_that_came_late_is_dated_back_by_its_delay(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        sessions = SessionStore(database)

        await accounting(sessions).account(report(1, "s-1", attribute("Acct-Delay-Time", 300)), nas(), HOME)

        (session,) = await sessions.open()
        assert 299.0 < time.time() - session.updated < 302.0


async def test_a_start_that_is_sent_again_after_the_stop_of_a_short_session_wakes_nothing(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        sessions = SessionStore(database)
        account = accounting(sessions).account
        await account(report(1), nas(), HOME)
        await account(report(2), nas(), HOME)

        await asyncio.sleep(1.2)  # its delay is told in whole seconds
        await account(report(1, "s-1", attribute("Acct-Delay-Time", 1)), nas(), HOME)

        assert await sessions.open() == []


@pytest.mark.parametrize("station", ["ana@fibre", "not a MAC", "x" * 200, ""])
async def test_a_station_that_is_no_mac_address_is_kept_as_it_is_spelt_and_bounded(
    station: str, tmp_path: Path
) -> None:
    packet = Packet(
        Code.ACCOUNTING_REQUEST, 7, bytes(16),
        (attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "s"), attribute("Calling-Station-Id", station)),
    )  # fmt: skip
    async with database_in(tmp_path) as database:
        assert await accounting(SessionStore(database)).account(packet, nas(), HOME)

        assert [row[3] for row in on_disk(database.path)] == [station[:64]]


async def test_a_status_of_no_session_is_acknowledged_and_not_kept(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        assert await accounting(SessionStore(database)).account(report(9), nas(), HOME) is True

        assert on_disk(database.path) == []


async def test_a_report_that_rfc_2866_does_not_allow_is_the_peers_fault(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        account = accounting(SessionStore(database)).account

        with pytest.raises(WireError):
            await account(Packet(Code.ACCOUNTING_REQUEST, 7, bytes(16), ()), nas(), HOME)


async def test_over_the_wire_the_answer_comes_once_the_session_is_kept_and_not_before(tmp_path: Path) -> None:
    settings = RadiusSettings.model_validate({"acct": ["127.0.0.1:0"], "clients": [nas()]})

    async def nobody(_packet: Packet, _client: ClientSettings, _source: IpAddress) -> Answer | None:
        return None

    async with database_in(tmp_path) as database:
        service = RadiusService(settings, authorize=nobody, account=accounting(SessionStore(database)).account)
        await service.start()
        running = asyncio.create_task(service.run())
        (_, endpoint), *_ = service.endpoints
        octets = sign_request(report(1), SECRET)
        async with AccessPoint() as station:
            with locked(database):
                station.send(octets, endpoint.port)
                await asyncio.sleep(0.2)
                assert station.heard == []
            station.send(octets, endpoint.port)
            await until(lambda: bool(station.heard))

        assert on_disk(database.path)[0][:2] == ("127.0.0.1", "s-1")
        assert reply_is_authentic(station.heard[0], decode(octets).authenticator, SECRET)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await service.stop()


@dataclass
class Told:
    """Accounting, and what the policy is told of it."""

    accounting: Accounting
    roster: Roster
    concerned: list[set[str]]

    def lines(self, login: str = "ana@fibre") -> list[str]:
        return [str(prefix) for prefix in self.roster.lines_of("", [login])]


def told(sessions: SessionStore) -> Told:
    roster, concerned = Roster(), list[set[str]]()
    return Told(Accounting(sessions, roster, concerned.append), roster, concerned)


FRAMED4 = attribute("Framed-IP-Address", IPv4Address("100.64.1.7"))


async def test_what_a_nas_reports_is_told_to_the_policy_in_both_families_until_it_ends(tmp_path: Path) -> None:
    prefix = attribute("Delegated-IPv6-Prefix", parse_prefix("2001:db8:100:700::/56"))
    link = attribute("Framed-IPv6-Prefix", parse_prefix("2001:db8:1::/64"))
    async with database_in(tmp_path) as database:
        desk = told(SessionStore(database))

        await desk.accounting.account(report(1, "s-1", FRAMED4, prefix, link), nas(), HOME)
        assert desk.lines() == ["100.64.1.7", "2001:db8:1::/64", "2001:db8:100:700::/56"]
        await desk.accounting.account(report(2, "s-1"), nas(), HOME)

        assert desk.lines() == []
        assert desk.concerned == [{"ana@fibre"}, {"ana@fibre"}]


async def test_a_site_ends_no_session_of_another_that_comes_from_the_same_address_with_its_own_certificate(
    tmp_path: Path,
) -> None:
    name = attribute("NAS-Identifier", "b7-1")
    mine, neighbour = (nas(name=f"building-{n}", certificate=f"b{n}.example.net") for n in (7, 8))
    async with database_in(tmp_path) as database:
        desk = told(SessionStore(database))
        await desk.accounting.account(report(1, "s-1", FRAMED4, name), mine, HOME)

        for status in (2, 7, 8):
            await desk.accounting.account(report(status, "s-1", name), neighbour, HOME)

        assert desk.lines() == ["100.64.1.7"]
        await desk.accounting.account(report(8, "", name), mine, HOME)
        assert desk.lines() == []


async def test_a_single_ipv6_address_counts_where_the_nas_gives_no_prefix(tmp_path: Path) -> None:
    single = attribute("Framed-IPv6-Address", parse_address("2001:db8:1::7"))
    async with database_in(tmp_path) as database:
        desk = told(SessionStore(database))

        await desk.accounting.account(report(1, "s-1", single), nas(), HOME)

        assert desk.lines() == ["2001:db8:1::7"]


async def test_two_nases_that_name_their_sessions_alike_have_two_sessions(tmp_path: Path) -> None:
    other = attribute("Framed-IP-Address", IPv4Address("100.64.1.8"))
    async with database_in(tmp_path) as database:
        desk = told(SessionStore(database))
        await desk.accounting.account(report(1, "s-1", FRAMED4, attribute("NAS-Identifier", "ap-1")), nas(), HOME)
        await desk.accounting.account(report(1, "s-1", other, attribute("NAS-Identifier", "ap-2")), nas(), HOME)

        await desk.accounting.account(report(2, "s-1", attribute("NAS-Identifier", "ap-1")), nas(), HOME)

        assert desk.lines() == ["100.64.1.8"]


async def test_a_restart_knows_who_is_online_and_who_has_been_silent_for_long_is_not(tmp_path: Path) -> None:
    two_days_ago = time.time() - 2 * DAY
    async with database_in(tmp_path) as database:
        store = SessionStore(database)
        for status, at in ((1, two_days_ago), (3, two_days_ago + 300)):
            await store.record(status, nas="ap-1", session="s-1", login="ben", ipv4="100.64.1.8", at=at)
        await store.record(1, nas="ap-1", session="s-2", login="ana@fibre", ipv4="100.64.1.7", at=time.time())
        desk = told(SessionStore(database))

        await desk.accounting.open()
        assert (desk.lines(), desk.lines("ben")) == (["100.64.1.7"], ["100.64.1.8"])
        await desk.accounting.end_silent()

        assert (desk.lines(), desk.lines("ben")) == (["100.64.1.7"], [])
        assert desk.concerned == [{"ana@fibre", "ben"}, {"ben"}]


async def test_counters_beyond_what_the_database_holds_are_a_lie_and_cost_no_record(tmp_path: Path) -> None:
    lies = [
        attribute(f"Acct-{way}-{unit}", 2**32 - 1) for way in ("Input", "Output") for unit in ("Octets", "Gigawords")
    ]
    async with database_in(tmp_path) as database:
        store = SessionStore(database)

        assert await accounting(store).account(report(3, "s-1", *lies), nas(), HOME)

        (session,) = await store.open()
        assert (session.octets_in, session.octets_out) == (2**63 - 1, 2**63 - 1)


async def test_a_session_first_heard_of_while_it_runs_began_when_the_nas_says(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        store = SessionStore(database)

        await accounting(store).account(report(3, "s-1", attribute("Acct-Session-Time", 3600)), nas(), HOME)

        (session,) = await store.open()
        assert session.updated - session.started == pytest.approx(3600)


# --- stale devices ---------------------------------------------------------------------------------


class AccessPoint(asyncio.DatagramProtocol):
    """A UDP socket that keeps what it hears, and acknowledges every authentic Disconnect-Request (RFC 5176)."""

    def __init__(self, answer: Code | None = Code.DISCONNECT_ACK) -> None:
        self.heard: list[bytes] = []
        self.port = 0
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def send(self, octets: bytes, port: int) -> None:
        assert self._transport is not None
        self._transport.sendto(octets, ("127.0.0.1", port))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)
        packet = decode(data)
        if self._answer is not None and packet.code is Code.DISCONNECT_REQUEST and request_is_authentic(data, SECRET):
            assert self._transport is not None
            self._transport.sendto(sign_reply(self._answer, (), packet, SECRET), addr)

    @property
    def stations(self) -> list[str]:
        """Who was to be sent away, one each request."""
        packets = [decode(octets) for octets in self.heard]
        assert all(request_is_authentic(octets, SECRET) for octets in self.heard)
        assert {packet.code for packet in packets} <= {Code.DISCONNECT_REQUEST}
        return [text(packet.attributes, "Calling-Station-Id") for packet in packets]


@asynccontextmanager
async def sending_away(stale: Callable[[], Iterable[list[Stale]]], *clients: ClientSettings) -> AsyncIterator[None]:
    running = asyncio.create_task(Disconnects(stale, lambda: clients).run())
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_suspended_residents_device_is_sent_away_once_by_the_access_point_that_let_it_on(
    tmp_path: Path,
) -> None:
    async with database_in(tmp_path) as database, AccessPoint() as point:
        current = Current()
        keys = KeyStore(database, Seal(Secret(bytes(32))))
        mpsk = MpskService(mpsk_settings(blocked={"vlan": 666}), store=keys, current=current)
        await mpsk.start()
        passphrase = Secret("copper-otter-violin-42")
        await mpsk.replace_billing([Key("k-501", SSID, passphrase, "1001", vlan=112, devices=(MAC,))])
        await mpsk.derive()
        client = nas(point.port)
        answer = mpsk.authorize(request(MAC), client, HOME)
        assert isinstance(answer, Answer)
        assert answer.code is Code.ACCESS_ACCEPT

        async with sending_away(mpsk.recheck, client):
            await asyncio.sleep(1.1)
            assert point.heard == [], "nothing has changed for it yet"
            blocked = Snapshot("2", "2", 0.0, (Subscriber("1001", State.BLOCKED, "unpaid"),))
            current.publish(View(compile_table(blocked, SubscribersSettings())))
            await until(lambda: bool(point.heard), 2.5)

        assert rechecked(mpsk.recheck()) == [], "it is named once"
        assert point.stations == [MAC.upper().replace(":", "-")]
        await mpsk.stop()


async def test_only_clients_that_take_a_disconnect_are_asked_and_many_devices_are_asked_about_at_once() -> None:
    macs = [f"02:00:5e:10:01:{number:02x}" for number in range(50)]
    queue = [
        Stale(HOME, "nobody", MAC, SSID, "vlan"),
        Stale(HOME, "no-disconnect", MAC, SSID, "vlan"),
        *(Stale(HOME, "building-7", MacAddress(mac), SSID, "revoked") for mac in macs),
    ]

    def stale() -> list[list[Stale]]:
        found, queue[:] = list(queue), []
        return [found]

    async with AccessPoint() as point:
        async with sending_away(stale, nas(point.port), nas(point.port, name="no-disconnect", disconnect=None)):
            await until(lambda: len(point.heard) == len(macs), 4.0)
            assert not queue

        assert sorted(point.stations) == [mac.upper().replace(":", "-") for mac in macs]


async def test_an_access_point_that_refuses_or_is_silent_ends_nothing() -> None:
    queue = [Stale(HOME, "refuses", MAC, SSID, "vlan"), Stale(HOME, "silent", MAC, SSID, "vlan")]

    async with AccessPoint(Code.DISCONNECT_NAK) as refusing, AccessPoint(None) as silent:
        async with sending_away(
            lambda: [[queue.pop()]] if queue else [],
            nas(refusing.port, name="refuses"),
            nas(silent.port, name="silent", networks=["10.0.0.0/8"]),
        ):
            await until(lambda: len(refusing.heard) == 1 and len(silent.heard) >= 2, 6.0)

        assert len(set(silent.heard)) == 1, "a retransmission is the same request"
