# SPDX-License-Identifier: Apache-2.0
"""The key list behind the real key server: what each act means for devices that are on and for those that ask."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.model import Key
from edged.mpsk.desk import REST
from edged.mpsk.keylist.choice import Choice
from edged.mpsk.keylist.making import Order, Style
from edged.mpsk.keylist.revisions import Revised
from edged.mpsk.outcome import Reason
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import pmk_of
from edged.radius.attributes import Attribute
from edged.radius.packet import Answer, Code
from edged.state.database import Database
from edged.state.keys import BILLING, LOCAL, KeyId, KeyStore
from edged.state.sealing_key import SealingKey
from edged.values import MacAddress, Secret
from tests.loopback.test_mpsk import House, code, house, until
from tests.mpsk_world import (
    DAY,
    MAC,
    NOW,
    OTHER_MAC,
    PASSPHRASE,
    SSID,
    client,
    handshake_request,
    mpsk_settings,
    network,
    rechecked,
    request,
)

OLD, NEW = Secret(PASSPHRASE), Secret("silver-badger-trumpet-7")
THIRD_MAC = MacAddress("02:00:5e:10:00:03")


async def settled(at: House) -> None:
    await until(lambda: not at.service.counters.pmks_pending and not at.service.ring.pending)


async def made(at: House, key_id: str = "k-1", passphrase: Secret = OLD, **fields: Any) -> None:
    assert await at.service.key_list.add(Key(key_id, SSID, passphrase, **fields)) == key_id
    await settled(at)


async def tried(at: House, passphrase: Secret, mac: MacAddress = MAC, attempt: str = "1") -> Answer | None:
    """A device that types ``passphrase``."""
    return await at.ask(handshake_request(pmk_of(passphrase, SSID).reveal(), mac=mac, attempt=attempt))


async def opens(at: House, passphrase: Secret, mac: MacAddress = MAC, attempt: str = "1") -> bool:
    return code(await tried(at, passphrase, mac, attempt)) is Code.ACCESS_ACCEPT


def vlan(answer: Answer | None) -> bytes:
    """Of an accept: Tunnel-Private-Group-ID."""
    return told(answer, 81)


def told(answer: Answer | None, number: int) -> bytes:
    assert answer is not None
    return b"".join(a.value for a in answer.attributes if isinstance(a, Attribute) and a.type == number)


def done(revised: Revised) -> tuple[str, ...]:
    assert not revised.problems
    return revised.ids


async def turn_to(at: House, moment: float) -> None:
    """The clock stands at ``moment``, and what begins or ends there has."""
    at.clock[0] = moment
    await at.service._recompile()


def sent_away(at: House) -> list[tuple[MacAddress, str]]:
    return [(stale.mac, stale.reason) for stale in rechecked(at.service.recheck())]


# --- rotation ------------------------------------------------------------------------------------


async def test_while_two_passphrases_are_good_nobody_is_sent_away_and_then_the_old_one_ends(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        assert await opens(at, OLD)

        done(await at.service.key_list.rotate(["k-1"], passphrase=NEW))
        await settled(at)

        assert sent_away(at) == []
        assert await opens(at, OLD, attempt="2")
        assert await opens(at, NEW, OTHER_MAC)
        await turn_to(at, NOW + 7 * DAY - 1)
        assert await opens(at, OLD, attempt="3")
        await turn_to(at, NOW + 7 * DAY)
        assert sent_away(at) == [(MAC, "revoked")]
        assert not await opens(at, OLD, attempt="4")
        assert await opens(at, NEW, MAC, attempt="5")


async def test_a_leaked_passphrase_is_refused_at_once_and_its_devices_are_sent_away(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        assert await opens(at, OLD)

        done(await at.service.key_list.rotate(["k-1"], passphrase=NEW, leaked=True))
        await settled(at)

        assert sent_away(at) == [(MAC, "revoked")]
        assert not await opens(at, OLD, attempt="2")
        assert await opens(at, NEW, attempt="3")


async def test_a_prepared_passphrase_is_derived_ahead_and_good_from_its_moment_on(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)

        done(await at.service.key_list.rotate(["k-1"], passphrase=NEW, at=NOW + DAY, overlap=60.0))
        await settled(at)

        stored = at.service.ring.keys[KeyId(LOCAL, "k-1")]
        assert stored.pmk == pmk_of(NEW, SSID)
        assert (await opens(at, OLD), await opens(at, NEW, OTHER_MAC)) == (True, False)
        await turn_to(at, NOW + DAY)
        assert (await opens(at, OLD, attempt="2"), await opens(at, NEW, OTHER_MAC, "2")) == (True, True)
        await turn_to(at, NOW + DAY + 60)
        assert not await opens(at, OLD, attempt="3")


async def test_an_undone_rotation_sends_nobody_away(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        done(await at.service.key_list.rotate(["k-1"], passphrase=NEW))
        await settled(at)
        assert await opens(at, OLD)
        assert await opens(at, NEW, OTHER_MAC)

        done(await at.service.key_list.undo_rotation(["k-1"]))

        assert sent_away(at) == []
        assert at.service.key_list.reveal("k-1")[0].passphrase == OLD
        assert await opens(at, OLD, attempt="2")
        assert await opens(at, NEW, OTHER_MAC, "2")


async def test_the_devices_of_both_passphrases_count_against_one_limit(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at, device_limit=2)
        assert await opens(at, OLD)
        done(await at.service.key_list.rotate(["k-1"], passphrase=NEW))
        await settled(at)
        assert await opens(at, NEW, OTHER_MAC)

        assert not await opens(at, NEW, THIRD_MAC)
        assert not await opens(at, OLD, THIRD_MAC, "2")
        assert at.service.explain_device(THIRD_MAC).reason == "device-limit"  # type: ignore[union-attr]


# --- ends ----------------------------------------------------------------------------------------


async def test_a_revocation_sends_devices_away_and_its_undo_lets_them_back(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        assert await opens(at, OLD)

        done(await at.service.key_list.revoke(["k-1"]))
        assert sent_away(at) == [(MAC, "revoked")]
        assert not await opens(at, OLD, attempt="2")

        done(await at.service.key_list.restore(["k-1"]))
        assert await opens(at, OLD, attempt="3")


async def test_a_key_given_an_end_says_it_in_the_accept_and_ends_then(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        assert await opens(at, OLD)

        done(await at.service.key_list.expire(["k-1"], NOW + 60))

        assert told(await tried(at, OLD, attempt="2"), 27) == (60).to_bytes(4, "big")
        await turn_to(at, NOW + 60)
        assert sent_away(at) == [(MAC, "expired")]
        assert not await opens(at, OLD, attempt="3")


# --- two origins ---------------------------------------------------------------------------------


async def test_of_one_passphrase_in_both_origins_billings_key_wins_and_the_local_one_is_named(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at, "mine", vlan=112)
        assert await opens(at, OLD)

        with capture_logs() as logs:
            await at.service.replace_billing([Key("k-501", SSID, OLD, "1001", vlan=501)])
        await settled(at)

        assert [(e["key"], e["same_as"]) for e in logs if e["event"] == "key-set-aside"] == [("mine", "k-501")]
        facts = {f.id: (f.origin, f.standing, f.same_as) for f in at.service.key_facts()}
        assert facts == {"k-501": (BILLING, "good", ""), "mine": (LOCAL, "not-unique", "k-501")}
        assert sent_away(at) == [(MAC, "not-unique")]
        assert b"501" in vlan(await tried(at, OLD, attempt="2"))

        await at.service.replace_billing([])
        assert b"112" in vlan(await tried(at, OLD, attempt="3"))


async def test_a_local_key_of_another_site_is_not_set_aside(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at, "mine", site="building-7")

        await at.service.replace_billing([Key("k-501", SSID, OLD, site="building-8")])

        assert {f.standing for f in at.service.key_facts()} <= {"good", "deriving"}


async def test_billings_key_sets_a_local_one_aside_only_while_it_is_good_itself(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at, "mine", vlan=112)
        coming = Key("k-501", SSID, OLD, not_before=NOW + 60, expires=NOW + 120, vlan=501)
        await at.service.replace_billing([coming])
        await settled(at)

        found = []
        for attempt, moment in enumerate((NOW, NOW + 60, NOW + 120)):
            await turn_to(at, moment)
            found.append(vlan(await tried(at, OLD, attempt=str(attempt))))

        assert [b"112" in found[0], b"501" in found[1], b"112" in found[2]] == [True, True, True]


async def test_billings_weak_passphrases_are_taken_and_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        with capture_logs() as logs:
            await at.service.replace_billing([Key("k-1", SSID, Secret("password")), Key("k-2", SSID, OLD)])
            await at.service.replace_billing([Key("k-1", SSID, Secret("password")), Key("k-2", SSID, OLD)])
        await settled(at)

        assert await opens(at, Secret("password"))
        assert [(e["count"], e["key"]) for e in logs if e["event"] == "keys-weak"] == [(1, "k-1")]
        assert [f.id for f in at.service.key_facts() if f.weak] == ["k-1"]
        assert "password" not in repr(logs)


async def test_a_local_key_that_was_set_aside_before_its_pmk_was_there_gets_it_when_billings_ends_by_itself(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as at:
        await at.store.add_local([Key("mine", SSID, OLD)], NOW)
        await at.service.replace_billing([Key("theirs", SSID, OLD, expires=NOW + 60)])
        await settled(at)
        mine = KeyId(LOCAL, "mine")
        assert at.service.ring.keys[mine].shadowed_by == "theirs"
        assert at.service.ring.keys[mine].pmk is None

        at.clock[0] = NOW + 61

        await until(lambda: at.service.ring.keys[mine].pmk is not None)
        assert await opens(at, OLD)


async def test_a_key_that_billing_lists_with_anothers_passphrase_is_left_out_by_name(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([Key("k-2", SSID, OLD)])

        await at.service.replace_billing([Key("k-1", SSID, OLD, site="building-7"), Key("k-2", SSID, OLD)])

        assert at.service.key_list.left_out == (("k-1", "k-2"),), "who had it before keeps it"
        assert [f.id for f in at.service.key_facts()] == ["k-2"]


# --- devices -------------------------------------------------------------------------------------


async def test_a_full_key_gives_the_oldest_devices_place_to_a_new_one_where_the_network_says_so(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, mpsk_settings(devices_full="replace-oldest", devices_per_key=2)) as at:
        await made(at)
        for mac in (MAC, OTHER_MAC):
            at.clock[0] += 60
            assert await opens(at, OLD, mac)
        await at.service.flush()

        at.clock[0] += 60
        assert await opens(at, OLD, THIRD_MAC)

        assert sent_away(at) == [(MAC, "device-limit")]
        assert set(at.service.key_facts()[0].devices) == {OTHER_MAC, THIRD_MAC}
        await at.service.flush()
        assert {s.mac for s in await at.store.devices(at.clock[0])} == {OTHER_MAC, THIRD_MAC}
        # two devices on one place must not chase each other
        assert not await opens(at, OLD, MAC, "2")
        assert sent_away(at) == []
        at.clock[0] += REST
        assert await opens(at, OLD, MAC, "3")
        assert sent_away(at) == [(OTHER_MAC, "device-limit")]


async def test_a_device_that_has_its_place_keeps_it_on_a_full_key(tmp_path: Path) -> None:
    async with house(tmp_path, mpsk_settings(devices_full="replace-oldest", devices_per_key=2)) as at:
        await made(at)
        for attempt in ("1", "2"):
            assert await opens(at, OLD, MAC, attempt)
            assert await opens(at, OLD, OTHER_MAC, attempt)

        assert sent_away(at) == []


async def test_a_displaced_device_stays_so_while_the_keyring_is_made_anew(tmp_path: Path) -> None:
    async with house(tmp_path, mpsk_settings(devices_full="replace-oldest", devices_per_key=1)) as at:
        await made(at)
        assert await opens(at, OLD)
        await at.service.flush()
        loading = asyncio.create_task(at.service.load())
        await asyncio.sleep(0)

        assert await opens(at, OLD, OTHER_MAC)
        await loading

        assert at.service.key_facts()[0].devices == (OTHER_MAC,)


async def test_a_device_registered_ahead_is_let_on_by_its_mac_and_forgotten_again(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        assert code(await at.ask(request(MAC))) is Code.ACCESS_REJECT

        assert await at.service.key_list.allow("k-1", [MAC], alone=False) == []

        assert code(await at.ask(request(MAC))) is Code.ACCESS_ACCEPT
        assert await opens(at, OLD, OTHER_MAC), "any other device that knows the passphrase too"
        assert await at.service.key_list.forget("k-1", MAC) == []
        assert sent_away(at) == [(MAC, "revoked")]
        assert code(await at.ask(request(MAC))) is Code.ACCESS_REJECT
        await at.service.flush()
    async with house(tmp_path) as at:
        assert code(await at.ask(request(MAC))) is Code.ACCESS_REJECT


async def test_a_registered_device_outlives_a_restart_and_works_for_billings_keys(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.service.replace_billing([Key("k-501", SSID, OLD)])
        assert await at.service.key_list.allow("k-501", [MAC], alone=False) == []

    async with house(tmp_path) as at:
        assert code(await at.ask(request(MAC))) is Code.ACCESS_ACCEPT


async def test_a_key_can_be_narrowed_to_listed_devices_and_opened_again(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at)
        key_list = at.service.key_list
        assert await key_list.allow("k-1", [MAC], alone=True) == []
        assert (await opens(at, OLD, MAC), await opens(at, OLD, OTHER_MAC)) == (True, False)
        assert await key_list.allow("k-1", [OTHER_MAC], alone=False) == []
        assert await opens(at, OLD, OTHER_MAC, "2")

        assert await key_list.forget("k-1", MAC) == []
        (problem,) = await key_list.forget("k-1", OTHER_MAC)
        assert "good for any" in problem.found
        assert not await opens(at, OLD, MAC, "3")
        done(await key_list.allow_any("k-1"))
        assert await opens(at, OLD, MAC, "4")


async def test_what_cannot_be_registered_is_said(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await made(at, device_limit=1)
        await at.service.replace_billing([Key("k-501", SSID, NEW, devices=(MAC,))])
        key_list = at.service.key_list
        assert await key_list.allow("k-1", [MAC], alone=False) == []

        problems = [
            *await key_list.allow("nobody", [MAC], alone=False),
            *await key_list.allow("k-501", [OTHER_MAC], alone=False),
            *await key_list.allow("k-1", [OTHER_MAC], alone=False),
            *await key_list.forget("k-1", OTHER_MAC),
            *await key_list.forget("k-501", MAC),
        ]

        assert [p.found for p in problems] == [
            "no such key", "billing's key", "full: 1 devices", f"{OTHER_MAC} is no device of this key", "billing's key",
        ]  # fmt: skip


# --- networks ------------------------------------------------------------------------------------


async def test_a_network_has_a_vlan_and_a_rate_for_keys_that_name_none(tmp_path: Path) -> None:
    settings = mpsk_settings(vlan=100, rate="8M/2M")
    async with house(tmp_path, settings) as at:
        await made(at, "plain")
        await made(at, "own", NEW, vlan=112)

        assert b"100" in vlan(await tried(at, OLD))
        assert b"112" in vlan(await tried(at, NEW, OTHER_MAC))
        registered = await at.service.key_list.allow("plain", [THIRD_MAC], alone=False)
        assert registered == []
        answer = await at.ask(request(THIRD_MAC), client(dialect="mikrotik"))
        assert answer
        assert b"2000000/8000000" in told(answer, 26)
        at.service.reconfigure(MpskSettings(networks={SSID: network(vlan=101)}))
        assert (MAC, "vlan") in sent_away(at)


@pytest.mark.parametrize("unknown", ["reject", {"vlan": 999}])
async def test_a_device_without_a_key_gets_the_networks_answer_before_the_handshake_and_a_reject_in_it(
    unknown: Any, tmp_path: Path
) -> None:
    async with house(tmp_path, mpsk_settings(unknown=unknown)) as at:
        await made(at)

        bound = await at.ask(request(OTHER_MAC))
        assert code(bound) is (Code.ACCESS_REJECT if unknown == "reject" else Code.ACCESS_ACCEPT)
        assert (b"999" in vlan(bound)) is (unknown != "reject")
        # during the handshake the access point needs a key, and there is none that this device knows
        assert not await opens(at, NEW, THIRD_MAC)
        assert at.service.explain_device(THIRD_MAC).reason == Reason.NO_MATCH.value  # type: ignore[union-attr]


async def test_a_unit_on_two_networks_types_one_passphrase(tmp_path: Path) -> None:
    both = MpskSettings(networks={SSID: network(), "Garden": network()})
    async with house(tmp_path, both) as at:
        keys, problems = await at.service.key_list.generate(Order((SSID, "Garden"), ("12",), prefix="flat-"))
        assert not problems
        await settled(at)

        for ssid in (SSID, "Garden"):
            pmk = pmk_of(keys[0].passphrase, ssid).reveal()
            assert at.service.ring.keys[KeyId(LOCAL, "flat-12" if ssid == SSID else "flat-12.garden")].pmk == Secret(
                pmk
            )
        done(await at.service.key_list.rotate(["flat-12.garden"], style=Style("random")))
        shown = [at.service.key_list.reveal(key_id)[0].passphrase for key_id in ("flat-12", "flat-12.garden")]
        assert shown[0] == shown[1] != keys[0].passphrase


# --- CSV -----------------------------------------------------------------------------------------


async def test_what_was_exported_with_passphrases_makes_the_same_keys_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with house(tmp_path / "a") as at:
        await made(at, label="=HYPERLINK(1)", site="building-7", vlan=112, expires=NOW + DAY, devices=(MAC,))
        await made(at, "k-2", NEW)
        done(await at.service.key_list.rotate(["k-2"]))
        await at.service.replace_billing([Key("k-501", SSID, Secret("a-passphrase-of-billing"))])
        plain, _ = await at.service.key_list.export_csv(Choice(origin=LOCAL), passphrases=False)
        text, count = await at.service.key_list.export_csv(Choice(origin=LOCAL), passphrases=True)
        before = {
            f.id: replace(f, created=0.0, previous_until=0.0) for f in at.service.key_facts() if f.id in "k-1 k-2"
        }
        shown = {key_id: at.service.key_list.reveal(key_id)[0].passphrase for key_id in before}

    assert count == 2
    assert OLD.reveal_text() not in plain
    assert "passphrase" not in plain
    assert "'=HYPERLINK" in text
    assert "~old" not in text
    async with house(tmp_path / "b") as at:
        assert await at.service.key_list.import_csv(text) == (2, [])
        await settled(at)
        after = {f.id: replace(f, created=0.0) for f in at.service.key_facts()}
        assert {k: replace(f, standing="good") for k, f in after.items()} == {
            k: replace(f, standing="good") for k, f in before.items()
        }
        assert {key_id: at.service.key_list.reveal(key_id)[0].passphrase for key_id in after} == shown


# --- the sealing key, and the loop ---------------------------------------------------------------


async def test_after_a_reseal_and_a_restart_nothing_is_derived_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "edged.db")
    await database.open()
    place = SealingKey(tmp_path)
    store = KeyStore(database, place.seal())
    await store.add_local([Key("k-1", SSID, OLD)], NOW)
    await store.save_pmks([(s, pmk_of(OLD, SSID)) for s in await store.all()])

    await store.reseal(place)

    (key,) = await KeyStore(database, SealingKey(tmp_path).seal()).all()
    assert key.pmk == pmk_of(OLD, SSID)
    await database.close()


async def test_ten_thousand_keys_are_imported_while_the_loop_goes_on(tmp_path: Path) -> None:
    rows = "".join(f"flat-{n},Residence,Flat {n},copper-{n:05}-otter-violin\n" for n in range(10_000))
    async with house(tmp_path) as at:
        # PMKs take seconds without the C file; what is looked at here is the list
        at.service.reconfigure(MpskSettings(networks={SSID: network()}))
        gaps: list[float] = []

        async def tick() -> None:
            loop = asyncio.get_running_loop()
            while True:
                before = loop.time()
                await asyncio.sleep(0.001)
                gaps.append(loop.time() - before - 0.001)

        ticking = asyncio.create_task(tick())
        count, problems = await at.service.key_list.import_csv("id,ssid,label,passphrase\n" + rows)
        ticking.cancel()

        assert (count, problems) == (10_000, [])
        # the figures themselves are bench/key_list.py's; this machine may be busy with something else
        assert sorted(gaps)[len(gaps) // 2] < 0.02
        assert max(gaps) < 1.0
