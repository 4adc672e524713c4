# SPDX-License-Identifier: Apache-2.0
"""What ``edged status`` says of billing and its sessions, and which alarms a whole house raises."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.billing.sources.file import FileSource
from edged.billing.status import Outcome
from edged.config import load
from edged.daemon import House
from edged.model import OnlineSession, Snapshot, State, Subscriber
from edged.native import keysearch
from edged.ops.alarms import alarms
from edged.ops.parts import Part, parts
from edged.state.snapshots import SnapshotFiles
from edged.values import parse_prefix

CONFIGURATION = """\
site: tower-12
mode: {mode}
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, stale: {{after: 6h}}}}
subscribers: {{networks: ["127.0.0.0/8"]}}
enforce: [nftables: {{interfaces: [lo]}}]
ops: {{socket: {directory}/control.sock}}
"""


def one(name: str, *addresses: str, logins: tuple[str, ...] = ()) -> Subscriber:
    return Subscriber(name, State.BLOCKED, "unpaid", 0.0, tuple(map(parse_prefix, addresses)), logins=logins)


@asynccontextmanager
async def house_in(directory: Path, *listed: Subscriber, age: float = 60.0, more: str = "") -> AsyncIterator[House]:
    """A house in watch mode whose last good list is so many seconds old."""
    path = directory / "edged.yaml"
    path.write_text(CONFIGURATION.format(directory=directory, mode="watch") + more)
    (directory / "state").mkdir()
    if listed:
        SnapshotFiles(directory / "state").save(Snapshot("8812.aa", "8812", time.time() - age, listed, known=100))
    house = House(load(path))
    await house.open()
    try:
        yield house
    finally:
        await house.close()


def part(house: House, name: str) -> Part:
    return next(part for part in parts(house, time.time()) if part.name == name)


def raised(house: House) -> dict[str, str]:
    return {alarm.code: alarm.sentence for alarm in alarms(house, time.time())}


async def test_a_held_reading_is_a_warning_with_its_alarm_and_its_command(tmp_path: Path) -> None:
    (tmp_path / "billing.yaml").write_text("subscribers: [{id: '1001', state: blocked, addresses: [127.0.0.2]}]\n")
    async with house_in(tmp_path) as house:
        assert house.billing is not None
        assert part(house, "billing").state == "WARN", "nothing was read yet"
        assert (await house.billing.sync()).outcome is Outcome.HELD

        assert part(house, "billing").state == "WARN"
        (alarm,) = (alarm for alarm in alarms(house, time.time()) if alarm.code == "billing-held")
        assert "A reading of 1 subscribers, 1 blocked, waits: the first list ever" in alarm.sentence
        assert "edged sync --accept " in alarm.command


async def test_what_billing_cannot_say_beside_the_list_is_a_warning_in_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileSource, "trouble", "pages show no amount: the API key may not view invoices")
    (tmp_path / "billing.yaml").write_text("subscribers: []\n")
    async with house_in(tmp_path) as house:
        assert house.billing is not None
        await house.billing.sync()

        billing = part(house, "billing")

        assert billing.state == "WARN"
        assert billing.fact.endswith("; pages show no amount: the API key may not view invoices")


async def test_billing_that_is_silent_for_long_is_one_alarm_and_not_two(tmp_path: Path) -> None:
    async with house_in(tmp_path, one("1001", "127.0.0.2"), age=7 * 3600.0) as house:
        assert house.billing is not None
        house.billing._running_from += 7 * 3600.0
        assert part(house, "billing").state == "FAIL"
        assert raised(house)["billing-stale"].startswith("Billing has been silent for 7")

        await house.billing.sync()  # there is no file

        assert {code for code in raised(house) if code.startswith("billing")} == {"billing-stale"}


async def test_a_failure_of_billing_that_is_not_silent_for_long_is_its_own_alarm(tmp_path: Path) -> None:
    async with house_in(tmp_path, one("1001", "127.0.0.2")) as house:
        assert house.billing is not None
        await house.billing.sync()

        assert {code for code in raised(house) if code.startswith("billing")} == {"billing-unreachable"}
        assert "The last good list" in raised(house)["billing-unreachable"]


async def test_sessions_are_counted_where_there_are_any_and_their_failing_is_an_alarm(tmp_path: Path) -> None:
    async with house_in(tmp_path, one("1001", "127.0.0.2")) as house:
        assert "known" not in part(house, "billing").fact
        for number in range(2):
            house.roster.report(("radius", number), OnlineSession(f"login-{number}", (), 0.0))
            assert ("1 session known", "2 sessions known")[number] in part(house, "billing").fact
        assert "sessions-unknown" not in raised(house)

        assert house.office.online is not None
        house.office.online.error = "billing: no answer within 10 s"

        assert "no answer within 10 s" in raised(house)["sessions-unknown"]


async def test_a_reading_that_is_refused_for_somebodys_row_names_them_to_the_operator_alone(tmp_path: Path) -> None:
    row = '{id: mallory-8813, state: blocked, addresses: ["100.64.7.999"]}'
    (tmp_path / "billing.yaml").write_text(f"subscribers: [{row}]\n")
    async with house_in(tmp_path, one("1003", "127.0.0.2")) as house:
        assert house.billing is not None
        await house.billing.sync()
        public, own = json.dumps(await house.answers.public_facts()), json.dumps(await house.answers.status_facts())

    assert "billing-unreachable" in public
    for name in ("mallory-8813", "100.64.7.999"):
        assert name in own
        assert name not in public


async def test_a_command_that_an_alarm_names_is_one_command_whatever_billing_calls_somebody(tmp_path: Path) -> None:
    evil = "$(reboot); echo 'x"
    async with house_in(tmp_path, one(evil, "192.0.2.7"), one("1003", "127.0.0.2")) as house:
        (alarm,) = (alarm for alarm in alarms(house, time.time()) if alarm.code == "lines-unknown")

        assert shlex.split(alarm.command) == ["edged", "explain", evil]


async def test_whoever_is_blocked_and_offline_is_no_alarm_while_sessions_are_reported(tmp_path: Path) -> None:
    async with house_in(
        tmp_path, one("1001", logins=("ana",)), one("1002", "192.0.2.7"), one("1003", "127.0.0.2")
    ) as house:
        assert raised(house)["lines-unknown"].startswith("2 blocked subscribers have no device and no address")
        house.writer.heard(house.roster.report(("radius", 1), OnlineSession("somebody", (), 0.0)))

        assert raised(house)["lines-unknown"].startswith("1 blocked subscriber has")
        assert "1002" in raised(house)["lines-unknown"]


async def test_what_two_subscribers_claim_is_an_alarm_of_its_own_for_addresses_and_for_names(tmp_path: Path) -> None:
    async with house_in(tmp_path, one("1001", "127.0.0.2"), one("1002", "127.0.0.3")) as house:
        assert not {code for code in raised(house) if code.endswith("contested")}

        await house.writer.publish(Snapshot("a", "", 0.0, (one("1", "127.0.0.2"), one("2", "127.0.0.2"))))
        assert {code for code in raised(house) if code.endswith("contested")} == {"addresses-contested"}
        assert "127.0.0.2" in raised(house)["addresses-contested"]

        await house.writer.publish(Snapshot("b", "", 0.0, (one("1", logins=("ana",)), one("2", logins=("ana",)))))
        assert {code for code in raised(house) if code.endswith("contested")} == {"names-contested"}
        assert "1 device or login stands" in raised(house)["names-contested"]


@pytest.mark.parametrize(("ago", "alarm"), [(599.0, True), (601.0, False)])
async def test_a_garden_that_was_not_opened_is_an_alarm_for_ten_minutes(
    tmp_path: Path, ago: float, alarm: bool
) -> None:
    async with house_in(tmp_path, one("1001", "127.0.0.2")) as house:
        assert "garden-not-admitted" not in raised(house)
        house.enforce.counters.admit_failed_at = now = time.time() - ago

        assert any(a.code == "garden-not-admitted" for a in alarms(house, now + ago)) is alarm


async def test_watching_says_so_and_what_it_would_hold(tmp_path: Path) -> None:
    async with house_in(tmp_path, one("1001", "127.0.0.2")) as house:
        assert (part(house, "nftables").state, part(house, "nftables").fact) == ("WATCH", "would hold 0")
        assert "target-failing" not in raised(house)


async def test_upstreams_that_do_not_answer_are_a_warning_by_name_and_an_alarm_when_none_is_left(
    tmp_path: Path,
) -> None:
    dns = 'dns: {listen: ["127.0.0.1:0"], upstreams: ["192.0.2.1", {address: "192.0.2.2", tls: dns.example.net}]}\n'
    portal = 'portal: {url: https://portal.example.net, addresses: ["203.0.113.10"]}\n'
    async with house_in(tmp_path, more=dns + portal) as house:
        assert part(house, "dns").state == "OK"
        first, second = house.dns.resolver.health
        first.in_a_row = 3
        assert part(house, "dns").state == "WARN"
        assert "; no answer from upstream 192.0.2.1:53" in part(house, "dns").fact
        assert "upstreams-silent" not in raised(house)

        second.in_a_row = 3
        assert "192.0.2.1:53, 192.0.2.2:853 (dns.example.net)" in raised(house)["upstreams-silent"]


RADIUS = """\
radius: {auth: ["127.0.0.1:0"], clients: [{name: building-7, networks: [127.0.0.0/8], secret: edged-test-secret-0001}]}
mpsk: {networks: {Residence: {}}}
"""


async def test_the_radius_part_says_what_searches_keys_and_how_long_derivation_will_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house_in(tmp_path, more=RADIUS) as house:
        monkeypatch.setattr(keysearch, "KERNEL", "avx2")
        assert part(house, "radius").fact.endswith("; keys searched compiled (avx2)")
        house.mpsk.counters.pmks_pending, house.mpsk.counters.pmks_seconds = 5000, 42.0
        assert "; 5,000 PMKs still to derive, about 42 s;" in part(house, "radius").fact

        monkeypatch.setattr(keysearch, "KERNEL", "")
        assert part(house, "radius").fact.endswith("; keys searched without the compiled part")
