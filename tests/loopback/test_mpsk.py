# SPDX-License-Identifier: Apache-2.0
"""The key server behind the real RADIUS service, on real sockets and SQLite; radclient is the judge."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.errors import Problem
from edged.model import Key, Snapshot, State, Subscriber
from edged.mpsk import client as searching
from edged.mpsk import service as serving
from edged.mpsk.client import MAX_OF_SITE, MAX_WAITING
from edged.mpsk.keyring import Pool, compile_keyring
from edged.mpsk.outcome import Reason
from edged.mpsk.service import MpskService
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import pmk_of, pmks_of
from edged.native import keysearch
from edged.native.keysearch import CHECKS
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.packet import Answer, Code, Packet
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import LOCAL, KeyId, KeyStore, StoredKey
from edged.state.sealing import Seal
from edged.values import IpAddress, MacAddress, Secret
from tests.mpsk_world import (
    HOME,
    MAC,
    NOW,
    OTHER_MAC,
    PASSPHRASE,
    SECRET,
    SSID,
    VECTORS,
    client,
    fake_pmk,
    handshake_request,
    many,
    message_2,
    mpsk_settings,
    network,
    rechecked,
    request,
)  # fmt: skip
from tests.native import kernel

RADCLIENT = shutil.which("radclient")
needs_radclient = pytest.mark.skipif(RADCLIENT is None, reason="Debian's freeradius-utils is not installed")
SEAL = Seal(Secret(b"s" * 32))
KEY = Key("k-501", SSID, Secret(PASSPHRASE), "1001", vlan=112)
PMK = pmk_of(KEY.passphrase, SSID).reveal()
TWINS = ["compiled", "twin"]
PATIENCE = searching.PATIENCE


@pytest.fixture(autouse=True, params=TWINS)
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here runs with the compiled search and with its twin."""
    name: str = request.param
    # a machine that is busy with other tests is no reason to give a search up
    monkeypatch.setattr(searching, "PATIENCE", 60.0)
    monkeypatch.setattr(keysearch, "KERNEL", "" if name == "twin" else kernel(next(iter(keysearch.kernels()), "plain")))
    return name


only_twin = pytest.mark.parametrize("twin", ["twin"], indirect=True)
only_compiled = pytest.mark.parametrize("twin", ["compiled"], indirect=True)


@pytest.fixture
def off_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """No search is short enough for the event loop."""
    monkeypatch.setattr(serving, "INLINE", 0.0)


@dataclass
class House:
    """The service with what it stands on."""

    service: MpskService
    store: KeyStore
    database: Database
    current: Current
    clock: list[float]

    async def ask(self, packet: Packet, at: ClientSettings | None = None) -> Answer | None:
        asked = self.service.authorize(packet, at or client(), HOME)
        return await asked if isinstance(asked, Awaitable) else asked

    def block(self, *subscribers: str) -> None:
        listed = tuple(Subscriber(name, State.BLOCKED, "unpaid") for name in subscribers)
        self.current.publish(View(compile_table(Snapshot("s", "1", NOW, listed), SubscribersSettings())))


@asynccontextmanager
async def house(path: Path, settings: MpskSettings | None = None) -> AsyncIterator[House]:
    database = Database(path / "edged.db")
    await database.open()
    store, current, clock = KeyStore(database, SEAL), Current(), [NOW]
    service = MpskService(
        settings or mpsk_settings(blocked={"vlan": 666}), store=store, current=current, clock=lambda: clock[0]
    )
    await service.start()
    running = asyncio.create_task(service.run())
    try:
        yield House(service, store, database, current, clock)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await service.stop()
        await database.close()


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def code(answer: Answer | None) -> Code | None:
    return answer.code if answer else None


async def put(store: KeyStore, keys: list[StoredKey]) -> None:
    """Keys with the PMKs they have, so that nothing need be derived."""
    await store.add_local([s.key for s in keys], NOW)
    await store.save_pmks([(s, s.pmk) for s in keys if s.pmk])


async def test_a_key_of_billing_is_good_a_moment_after_it_arrives(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([KEY])
        await until(lambda: not at.service.counters.pmks_pending)

        assert code(await at.ask(handshake_request(PMK))) is Code.ACCESS_ACCEPT
        assert at.service.counters.accepts == 1


async def test_pmks_and_devices_outlive_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([KEY])
        await until(lambda: not at.service.counters.pmks_pending)
        await at.ask(handshake_request(PMK))

    async with house(tmp_path) as at:
        assert at.service.counters.pmks_pending == 0
        assert code(await at.ask(handshake_request(PMK, attempt="2"))) is Code.ACCESS_ACCEPT
        assert at.service.counters.searches == 0
        assert at.service.key_facts()[0].devices == (MAC,)


async def test_a_learned_device_is_on_disk_within_a_second_or_two(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([KEY])
        await until(lambda: not at.service.counters.pmks_pending)
        await at.ask(handshake_request(PMK))

        async with asyncio.timeout(5):
            while not await at.store.devices(NOW):
                await asyncio.sleep(0.1)


@only_compiled
async def test_a_long_search_leaves_the_loop_free_and_needs_no_process(tmp_path: Path) -> None:
    *keys, wanted = many(5000)
    assert wanted.pmk is not None
    filler = keysearch.prepared(b"".join(key.pmk.reveal() for key in keys if key.pmk) * 100)
    async with house(tmp_path) as at:
        # half a million keys, 40 ms: made by hand, since to make them in earnest takes seconds
        ring = compile_keyring((*keys, wanted), (), (SSID,), NOW)
        pools = (Pool(tuple(keys) * 100, filler), *ring._live[SSID, ""])
        at.service._desk.ring = replace(ring, _live={(SSID, ""): pools})

        waiting = asyncio.create_task(at.ask(handshake_request(wanted.pmk.reveal())))
        await until(lambda: at.service._searcher._running)
        known = await at.ask(request(), client("building-8"))
        still_searching = not waiting.done()

        assert still_searching
        assert code(known) is Code.ACCESS_REJECT
        assert code(await waiting) is Code.ACCESS_ACCEPT
        assert at.service._searcher._pool is None


@only_twin
@pytest.mark.usefixtures("off_loop")
async def test_many_keys_are_searched_in_the_worker_while_the_loop_stays_free(tmp_path: Path) -> None:
    keys = many(1500)
    wanted = keys[-1]
    assert wanted.pmk is not None
    async with house(tmp_path) as at:
        await put(at.store, keys)
        await at.service.reload_keys()
        await at.ask(handshake_request(bytes(32)))  # the worker has started
        pool = at.service._searcher._pool
        assert pool is not None
        workers = list(pool._processes)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            waiting = asyncio.create_task(at.ask(handshake_request(wanted.pmk.reveal())))
            await asyncio.sleep(0.1)
            still_searching = not waiting.done()
            known = await at.ask(request(), client("building-8"))
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)

        assert still_searching
        assert code(known) is Code.ACCESS_REJECT
        assert code(await waiting) is Code.ACCESS_ACCEPT
        assert at.service.ring.learned[SSID, MAC].key == wanted.name


async def test_a_search_that_is_expected_to_be_short_is_done_at_once_and_a_long_one_off_the_loop(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as at:
        assert at.service._desk.seconds_each.keys() == CHECKS.keys()
        assert all(0.0 < seconds < 0.001 for seconds in at.service._desk.seconds_each.values()), "measured at the start"
        await put(at.store, many(100))
        await at.service.reload_keys()
        for each, at_once in ((serving.INLINE / 101, True), (serving.INLINE / 99, False)):
            at.service._desk.seconds_each = dict.fromkeys(CHECKS, each)

            asked = at.service.authorize(handshake_request(bytes(32), attempt=str(each)), client(), HOME)

            assert isinstance(asked, Answer) is at_once
            assert code(await asked if isinstance(asked, Awaitable) else asked) is Code.ACCESS_REJECT


@pytest.mark.usefixtures("off_loop")
async def test_retransmissions_join_the_search_that_runs(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()

        answers = await asyncio.gather(*(at.ask(handshake_request(bytes(32))) for _ in range(5)))

        assert {code(a) for a in answers} == {Code.ACCESS_REJECT}
        assert (at.service.counters.searches, at.service.counters.joined) == (1, 4)


@pytest.mark.usefixtures("off_loop")
async def test_one_handshake_asked_a_hundred_times_at_once_holds_few_places(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()

        answers = await asyncio.gather(*(at.ask(handshake_request(bytes(32))) for _ in range(100)))

        assert sum(a is None for a in answers) == 100 - 1 - searching.MAX_JOINED
        assert at.service.counters.searches == 1
        assert await at.ask(handshake_request(bytes(32), attempt="2")) is not None


@pytest.mark.usefixtures("off_loop")
async def test_a_flood_of_unknown_devices_is_bounded_and_silent_beyond(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()
        flood = [handshake_request(bytes(32), MacAddress(f"02:00:00:00:00:{i:02x}")) for i in range(MAX_WAITING + 8)]
        others = [handshake_request(bytes(32), MacAddress(f"02:00:00:00:01:{i:02x}")) for i in range(MAX_WAITING)]

        answers = await asyncio.gather(
            *(at.ask(packet) for packet in flood), *(at.ask(packet, client("building-8")) for packet in others)
        )

        silent = [a is None for a in answers]
        assert sum(silent[: len(flood)]) == len(flood) - MAX_OF_SITE
        assert sum(silent[len(flood) :]) == len(others) - (MAX_WAITING - MAX_OF_SITE), "the other site has its share"
        assert at.service.counters.discards[Reason.OVERLOADED] == sum(silent)


@pytest.mark.usefixtures("off_loop")
async def test_a_cancelled_request_does_not_end_the_search_of_another(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()
        first = asyncio.create_task(at.ask(handshake_request(bytes(32))))
        await asyncio.sleep(0)
        second = asyncio.create_task(at.ask(handshake_request(bytes(32))))
        await asyncio.sleep(0)

        first.cancel()

        assert code(await second) is Code.ACCESS_REJECT


@only_twin
@pytest.mark.usefixtures("off_loop")
async def test_a_worker_that_dies_costs_no_answer(tmp_path: Path) -> None:
    keys = many(600)
    assert keys[-1].pmk is not None
    with capture_logs() as logs:
        async with house(tmp_path) as at:
            await put(at.store, keys)
            await at.service.reload_keys()
            await at.ask(handshake_request(bytes(32)))
            pool = at.service._searcher._pool
            assert pool is not None
            for process in pool._processes.values():
                process.kill()

            assert code(await at.ask(handshake_request(keys[-1].pmk.reveal()))) is Code.ACCESS_ACCEPT
            assert code(await at.ask(handshake_request(bytes(32), OTHER_MAC))) is Code.ACCESS_REJECT
    assert "search-worker-lost" in [entry["event"] for entry in logs]


@pytest.mark.usefixtures("off_loop")
async def test_a_search_that_takes_too_long_is_given_up_in_silence_and_no_fault_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()
        await at.ask(handshake_request(bytes(32)))  # a worker has started
        monkeypatch.setattr(searching, "PATIENCE", 0.0)

        assert await at.ask(handshake_request(bytes(32), attempt="2")) is None

        last = at.service.explain_device(MAC)
        assert last is not None
        assert last.reason == "overloaded"
        assert at.service.counters.rejects[Reason.NO_MATCH] == 1


@only_twin
@pytest.mark.usefixtures("off_loop")
async def test_a_worker_that_hangs_costs_no_more_than_the_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()
        await at.ask(handshake_request(bytes(32)))
        pool = at.service._searcher._pool
        assert pool is not None
        monkeypatch.setattr(searching, "PATIENCE", 0.1)
        workers = list(pool._processes)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            assert await at.ask(handshake_request(bytes(32), attempt="2")) is None
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)
        assert not at.service._searcher._running


@only_compiled
@pytest.mark.usefixtures("off_loop")
async def test_no_answer_comes_later_than_an_access_point_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.5 seconds after the request it has no use for one; the radio and the way back want their share."""
    ended = threading.Event()
    monkeypatch.setattr(searching, "PATIENCE", PATIENCE)
    monkeypatch.setattr(searching, "search_until", lambda *_: ended.wait(30.0) and None)
    async with house(tmp_path) as at:
        await put(at.store, many(1500))
        await at.service.reload_keys()
        begun = asyncio.get_running_loop().time()
        try:
            first, joined = await asyncio.gather(*(at.ask(handshake_request(bytes(32))) for _ in range(2)))
        finally:
            ended.set()

        assert (first, joined) == (None, None)
        assert asyncio.get_running_loop().time() < begun + 2.4


async def test_after_a_restart_nothing_is_derived_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[int] = []

    def counting(wanted: Sequence[tuple[Secret, str]]) -> list[Secret]:
        derived.append(len(wanted))
        return pmks_of(wanted)

    monkeypatch.setattr(serving, "pmks_of", counting)
    with capture_logs() as logs:
        async with house(tmp_path) as at:
            await at.service.replace_billing(
                [replace(KEY, id=f"k-{n}", passphrase=Secret(f"passphrase-{n}")) for n in range(40)]
            )
            await until(lambda: not at.service.counters.pmks_pending)
        assert sum(derived) == 40
        async with house(tmp_path) as at:
            await at.service.replace_billing(
                [replace(KEY, id=f"k-{n}", passphrase=Secret(f"passphrase-{n}")) for n in range(41)]
            )
            await until(lambda: not at.service.counters.pmks_pending)
    assert sum(derived) == 41
    progress = [entry for entry in logs if entry["event"] == "pmks-derived"]
    assert sum(entry["count"] for entry in progress) == 41
    assert [entry["pending"] for entry in progress][-1] == 0


async def test_a_revoked_key_is_rejected_on_the_next_request_and_its_device_named(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        added = await at.service.key_list.add(Key("", SSID, Secret("")))
        assert isinstance(added, str)
        passphrase = at.service.key_list.reveal(added)[0].passphrase
        assert passphrase is not None
        await until(lambda: not at.service.counters.pmks_pending)
        pmk = pmk_of(passphrase, SSID).reveal()
        assert code(await at.ask(handshake_request(pmk))) is Code.ACCESS_ACCEPT

        assert (await at.service.key_list.revoke([added])).ids == (added,)

        assert [(s.mac, s.reason) for s in rechecked(at.service.recheck())] == [(MAC, "revoked")]
        assert code(await at.ask(handshake_request(pmk, attempt="2"))) is Code.ACCESS_REJECT
        last = at.service.explain_device(MAC)
        assert last is not None
        assert (last.reason, last.key) == ("revoked", KeyId(LOCAL, added))
        assert not (await at.service.key_list.revoke([added])).ids


async def test_suspending_a_subscriber_moves_their_devices(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([KEY])
        await until(lambda: not at.service.counters.pmks_pending)
        await at.ask(handshake_request(PMK))

        at.block("1001")

        assert [(s.client, s.mac, s.reason) for s in rechecked(at.service.recheck())] == [("building-7", MAC, "vlan")]
        await at.ask(handshake_request(PMK, attempt="2"))
        last = at.service.explain_device(MAC)
        assert last is not None
        assert (last.vlan, last.reason) == (666, "blocked")


async def test_a_key_that_ends_is_no_longer_a_candidate(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([replace(KEY, expires=NOW + 10)])
        await until(lambda: not at.service.counters.pmks_pending)

        at.clock[0] = NOW + 11

        assert code(await at.ask(handshake_request(PMK))) is Code.ACCESS_REJECT
        await until(lambda: at.service.ring.next_change > at.clock[0])
        assert at.service.key_facts()[0].standing == "expired"


async def test_a_site_is_the_name_of_the_radius_client(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([replace(KEY, site="building-7")])
        await until(lambda: not at.service.counters.pmks_pending)

        assert code(await at.ask(handshake_request(PMK), client("building-8"))) is Code.ACCESS_REJECT
        assert code(await at.ask(handshake_request(PMK), client("building-7"))) is Code.ACCESS_ACCEPT


async def test_a_new_network_of_a_reload_gets_its_pmks(tmp_path: Path) -> None:
    async with house(tmp_path, MpskSettings()) as at:
        await at.service.replace_billing([KEY])
        assert code(await at.ask(handshake_request(PMK))) is Code.ACCESS_REJECT

        at.service.reconfigure(MpskSettings(networks={SSID: network()}))
        await until(lambda: at.service.ring.keys[KeyId("billing", "k-501")].pmk is not None)

        assert code(await at.ask(handshake_request(PMK))) is Code.ACCESS_ACCEPT


async def test_what_is_wrong_with_a_new_key_is_said_and_nothing_is_added(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([KEY])
        wrong = [
            Key("", "Elsewhere", Secret(PASSPHRASE)),
            Key("", SSID, Secret("password")),
            Key("", SSID, KEY.passphrase),
        ]

        problems = [await at.service.key_list.add(key) for key in wrong]

        assert [p.key for p in problems if isinstance(p, Problem)] == ["ssid", "passphrase", "passphrase"]
        assert PASSPHRASE not in repr(problems)
        assert len(at.service.key_facts()) == 1


async def test_keys_are_imported_whole_or_not_at_all(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        count, problems = await at.service.key_list.import_csv("ssid,label\nResidence,Flat 1\nElsewhere,Flat 2\n")
        assert (count, [(p.key, p.line) for p in problems]) == (0, [("ssid", 3)])

        count, problems = await at.service.key_list.import_csv(
            "id,ssid,label\na,Residence,Flat 1\nb,Residence,Flat 2\n"
        )

        assert (count, problems) == (2, [])
        listed = at.service.key_facts()
        assert [(f.id, f.label) for f in listed] == [("a", "Flat 1"), ("b", "Flat 2")]
        assert at.service.key_list.reveal("a")


async def test_neither_passphrase_nor_pmk_is_anywhere_on_disk_or_in_the_log(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with house(tmp_path) as at:
            await at.service.replace_billing([KEY, replace(KEY, id="twin")])
            await at.service.key_list.add(Key("mine", SSID, Secret("")))
            await until(lambda: not at.service.counters.pmks_pending)
            made = at.service.key_list.reveal("mine")[0].passphrase
            assert made is not None
            await at.ask(handshake_request(PMK))
            await at.ask(handshake_request(bytes(32), OTHER_MAC))
            await at.service.key_list.revoke(["mine"])
            seen = [repr(at.service.key_facts()), repr(at.service.counters), repr(at.service.ring), repr(logs)]
            seen.append(repr(at.service.explain_device(MAC)))
    octets = b"".join(path.read_bytes() for path in tmp_path.iterdir()) + "".join(seen).encode()

    for secret in (KEY.passphrase, made, pmk_of(made, SSID), Secret(PMK)):
        assert secret.reveal() not in octets
        assert secret.reveal().hex().encode() not in octets
    assert "key-not-unique" in repr(logs)


async def radclient(port: int, attributes: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(RADCLIENT), "-x", "-r", "1", "-t", "3", f"127.0.0.1:{port}", "auth", SECRET.reveal_text(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(attributes.encode())
    return output.decode()


@asynccontextmanager
async def served(at: House) -> AsyncIterator[int]:
    """The port of a RADIUS service that asks the key server."""

    async def account(_packet: Packet, _client: ClientSettings, _source: IpAddress) -> bool:
        return True

    settings = RadiusSettings.model_validate({"auth": ["127.0.0.1:0"], "clients": [client()]})
    radius = RadiusService(settings, authorize=at.service.authorize, account=account)
    await radius.start()
    running = asyncio.create_task(radius.run())
    try:
        yield radius.endpoints[0][1].port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await radius.stop()


def described(pmk: bytes, mac: MacAddress = MAC) -> str:
    anonce, frame = message_2(pmk, mac)
    return (
        f'User-Name = "{mac.replace(":", "")}"\nUser-Password = "{mac.replace(":", "")}"\n'
        f'Called-Station-Id = "34-EF-B6-AF-48-9E:{SSID}"\n'
        f'Calling-Station-Id = "{mac.upper().replace(":", "-")}"\n'
        f"FreeRADIUS-802.1X-Anonce = 0x{anonce.hex()}\nFreeRADIUS-802.1X-EAPoL-Key-Msg = 0x{frame.hex()}\n"
        "Message-Authenticator = 0x00\n"
    )


@needs_radclient
async def test_radclient_asks_with_a_handshake_and_reads_passphrase_and_vlan(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([KEY])
        await put(at.store, many(600))
        await at.service.reload_keys()
        await until(lambda: not at.service.counters.pmks_pending)
        async with served(at) as port:
            accepted = await radclient(port, described(PMK))
            refused = await radclient(port, described(fake_pmk("wrong").reveal(), OTHER_MAC))

    assert "Received Access-Accept" in accepted
    assert f'Tunnel-Password:0 = "{PASSPHRASE}"' in accepted
    assert 'Tunnel-Private-Group-Id:0 = "112"' in accepted
    assert "Tunnel-Type:0 = VLAN" in accepted
    assert "Tunnel-Medium-Type:0 = IEEE-802" in accepted
    assert "Received Access-Reject" in refused
    assert "Tunnel-Password" not in refused


@needs_radclient
async def test_radclient_authenticates_by_mac_and_reads_the_registered_key(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([replace(KEY, devices=(MAC,))])
        async with served(at) as port:
            mine = await radclient(
                port, "\n".join(described(PMK).splitlines()[:4]) + "\nMessage-Authenticator = 0x00\n"
            )

    assert f'Tunnel-Password:0 = "{PASSPHRASE}"' in mine


def test_the_vectors_are_those_of_the_reference() -> None:
    assert len(VECTORS["handshakes"]) == 5
    assert len(VECTORS["golden"]["packets"]) == 16


@only_twin
async def test_the_search_worker_does_not_outlive_a_killed_daemon(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, time\n"
        "from edged.mpsk.client import Searcher\n"
        "def main():\n"
        "    s = Searcher(); s.start(); s._pool.submit(int).result()\n"
        "    print(*s._pool._processes, flush=True); time.sleep(60)\n"
        "if __name__ == '__main__': main()\n"
    )
    (tmp_path / "holder.py").write_text(script)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "holder.py"), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
        env={**os.environ, "EDGED_NATIVE": "0", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert holder.stdout
    worker = int(await holder.stdout.readline())
    holder.kill()
    await holder.wait()

    for _ in range(100):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return  # gone, and waiting for whoever adopts it
        await asyncio.sleep(0.05)
    raise AssertionError("the worker lives on")
