# SPDX-License-Identifier: Apache-2.0
"""What status, explain, plan and the words say of a whole house: a held reading, a lost target, the garden, undoing."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main
from edged.daemon import House
from edged.enforce.targets.memory import MemoryTarget
from edged.model import Key, State
from edged.ops.control import Refused, Tell
from edged.values import Secret, parse_address
from tests.loopback.dns_upstream import Upstream
from tests.loopback.test_ops_dashboard import LUIS, MIA, asked_dns, house_in, listed, reading, subscriber, until


async def _untold(*_: Any) -> None:
    """Nobody listens to how far it is."""


async def ask(house: House, command: str, **request: Any) -> dict[str, Any]:
    tell: Tell = _untold  # type: ignore[assignment]  # none of these commands tells anything
    answer: dict[str, Any] = await house.answers.commands()[command](request, tell)
    return answer


async def held_in(house: House, directory: Path) -> str:
    """A reading that would block 400 and leave Luis out waits: its id."""
    rows = "\n".join(
        f'  - {{id: "{30_000 + n}", state: blocked, reason: new, addresses: ["127.9.{n // 256}.{n % 256}"]}}'
        for n in range(400)
    )
    (directory / "billing.yaml").write_text(f"known: 4000\nsubscribers:\n{rows}\n")
    assert house.billing is not None
    said = (await house.billing.sync()).text
    held = house.billing.held
    assert held is not None
    assert f"edged plan --snapshot {held.id}" in said
    return held.id


async def test_a_held_reading_can_be_looked_at_before_it_is_accepted_and_nothing_changes(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        held, before = await held_in(house, tmp_path), house.current.view
        facts = await ask(house, "plan", snapshot=held)

        assert facts["verdict"] == f"reading {held} waits; in force it would block 400 subscribers and open 2"
        signs = {row["subscriber"]: row["sign"] for row in facts["who"]}
        assert (signs["1003"], signs["30399"], len(signs)) == ("-", "+", 402)
        assert {row["why"] for row in facts["who"]} == {"new", "open again"}
        assert [(t["name"], t["add"], t["remove"]) for t in facts["targets"]] == [("memory", 400, 3)]
        assert house.current.view is before
        with pytest.raises(Refused, match=f"edged plan --snapshot {held}"):
            await ask(house, "plan", snapshot="another")
        with pytest.raises(Refused, match="one at a time"):
            await ask(house, "plan", snapshot=held, empty=True)


async def test_what_would_be_lifted_can_be_seen_before_edged_leaves(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        facts = await ask(house, "plan", empty=True)
        again = await ask(house, "plan")
        with pytest.raises(Refused, match="no reading is held"):
            await ask(house, "plan", snapshot="8812.aa")

    assert facts["verdict"].startswith(
        "were nobody blocked, 2 subscribers would be opened; stopping edged opens nobody"
    )
    assert [row["sign"] + row["subscriber"] for row in facts["who"]] == ["-1002", "-1003"]
    assert again["settled"], "it was a question"


async def test_who_is_lifted_while_a_target_is_lost_is_named_until_it_is_back(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, reading(house) as reader:
        target = house.enforce._targets["memory"]
        assert isinstance(target, MemoryTarget)
        target.broken = True
        house.enforce._wake_all()
        await until(lambda: house.enforce.status()["memory"].error)
        await house.writer.publish(listed(LUIS, MIA, subscriber(5), name="8813.bb"))
        await until(lambda: house.recorder.held_back("memory"))
        facts = await house.answers.status_facts()

        assert facts["verdict"].endswith("; 1 subscriber may still be blocked by mistake")
        (alarm,) = (a for a in facts["alarms"] if a["code"] == "target-failing")
        assert "1 subscriber lifted since then may still be blocked behind it: 1002." in alarm["sentence"]
        (part,) = (p for p in facts["parts"] if p["name"] == "memory")
        assert "; held 2 then, 2 wanted now" in part["fact"]
        assert 'href="/list/waiting?target=memory">1 subscriber may' in (await reader.get("/"))[1]
        assert "memory,1002," in (await reader.get("/list/waiting.csv"))[1]
        # where nobody has to log in, how many is enough
        _, public, _ = await reader.get("/status")
        assert "1 subscriber lifted since then may still be blocked behind it." in public
        assert "1002" not in public
        line = await ask(house, "explain", subject="127.0.0.3")
        assert line["in_place"][0]["state"].startswith("unknown for ")
        target.broken = False
        house.enforce._wake_all()
        await until(lambda: house.enforce.status()["memory"].ok)
        assert not house.recorder.held_back("memory")
        assert "1002" not in (await reader.get("/list/waiting.csv"))[1]


async def test_how_long_an_answer_took_is_in_the_figures_and_in_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.ops.record.recorder.SAMPLE_S", 0.02)
    async with house_in(tmp_path) as house, reading(house) as reader:
        for _ in range(3):
            await asyncio.to_thread(asked_dns, house)
        await until(lambda: sum(house.recorder.bins[-1].took.values()) == 3)
        _, metrics, _ = await reader.get("/metrics")
        (part,) = (p for p in (await house.answers.status_facts())["parts"] if p["name"] == "dns")

    assert 'edged_dns_answer_seconds_bucket{le="+Inf"} 3.0' in metrics
    assert ", p99 " in part["fact"]


async def test_a_pass_is_ended_and_every_word_says_how_it_is_undone(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        said = await ask(house, "pass", subscriber="1002", why="on the phone", who="anna", seconds=600.0)
        assert said["sentence"].endswith("Undo:  edged pass 1002 --end --why …")
        line = await ask(house, "explain", subject="127.0.0.2")
        assert line["access"] == "pass"
        ended = await ask(house, "pass", subscriber="1002", why="they hung up", who="anna", end=True)
        assert ended["sentence"] == "the pass of 1002 has ended; here the line is blocked."
        line = await ask(house, "explain", subject="1002")
        assert [row["what"] for row in line["recently"]][:2] == [
            "end pass by anna: they hung up",
            "pass by anna: on the phone",
        ]
        assert "edged pass 1002" in line["lifts"]
        with pytest.raises(Refused, match='no pass is running for "1002"'):
            await ask(house, "pass", subscriber="1002", why="again", who="anna", end=True)
        blocked = await ask(house, "block", subscriber="1004", why="infected", who="anna")
        assert ": 1 prefix.\nUndo:  edged block 1004 --end" in blocked["sentence"]
        opened = await ask(house, "unblock", subscriber="1003", why="friday", who="anna")
        assert opened["sentence"].endswith("Undo:  edged unblock 1003 --end --why …")
        assert house.current.view.decide_id("1004", time.time()).access == State.BLOCKED.value


async def test_a_stranger_is_shown_where_the_served_networks_stand(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        facts = await ask(house, "explain", subject="198.51.100.77")

    assert facts["headline"] == "198.51.100.77 is a STRANGER: no network in subscribers.networks holds it"
    assert (
        facts["who"][1]
        == f'{tmp_path}/edged.yaml:4  subscribers: {{networks: ["127.0.0.0/8"], exempt: ["127.0.0.53"]}}'
    )


async def test_of_a_garden_name_the_entry_the_last_answer_and_what_is_open_for_it_are_told(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house, Upstream("customer.example.net. 300 A 93.184.215.14") as upstream:
        nobody = await ask(house, "explain", subject="127.0.0.2", name="customer.example.net")
        path = tmp_path / "edged.yaml"
        listen = 'dns: {listen: ["127.0.0.1:0"]'
        path.write_text(path.read_text().replace(listen, f'{listen}, upstreams: ["{upstream.endpoint}"]'))
        await house.reload()
        assert house.reload_state.ok, house.reload_state.problems
        await asyncio.to_thread(asked_dns, house, b"\x08customer\x07example\x03net\x00")
        shut = await ask(house, "explain", subject="127.0.0.2", name="customer.example.net")
        # the targets of this house are not those that its DNS was made with
        await house.enforce.admit([(parse_address("93.184.215.14"), 60.0)])
        facts = await ask(house, "explain", subject="127.0.0.2", name="https://customer.example.net/pay?id=1")
        never = await ask(house, "explain", subject="127.0.0.2", name="www.example.org")

    assert nobody["gets"][0]["answer"].endswith("; no answer: dns.upstreams is empty")
    assert shut["gets"][0]["answer"].endswith("; in the firewall: 0 of 1")
    assert facts["headline"] == "customer.example.net is REACHABLE for 127.0.0.2"
    assert re.fullmatch(
        r"garden: garden name customer\.example\.net; last answer 1 address, [\d.]+ s ago; in the firewall: 1 of 1",
        facts["gets"][0]["answer"],
    )
    assert [row["protocol"] for row in facts["gets"]] == ["DNS", "web"]
    assert never["headline"] == "www.example.org is NOT reachable for 127.0.0.2"


async def test_a_blocked_residents_devices_are_told_which_network_they_get(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        await house.mpsk.replace_billing([Key("k-501", "Residence", Secret("copper-otter-violin-42"), "1002")])
        blocked = await ask(house, "explain", subject="127.0.0.2")
        other = await ask(house, "explain", subject="127.0.0.3")

    assert {"protocol": "Wi-Fi", "answer": "VLAN 666 on Residence"} in blocked["gets"]
    assert "Wi-Fi" not in {row["protocol"] for row in other["gets"]}


async def test_check_says_what_runs_otherwise_than_the_file_and_no_secret_leaves_the_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edged.yaml"

    async def running() -> Any:
        capsys.readouterr()
        await asyncio.to_thread(main, ["check", "-c", str(path), "--json"])
        return json.loads(capsys.readouterr().out)["meaning"].get("running")

    async with house_in(tmp_path) as house:
        same = await running()
        path.write_text(path.read_text().replace("customer.example.net", "other.example.net"))
        other = await running()
        await house.reload()
        again = await running()
        path.write_text(path.read_text().replace("mode: enforce", "mode: watch"))
        restart = await running()
        assert "a-secret-of-a-test" not in str(await ask(house, "settings"))
    away = await running()

    assert (same, again, away) == ("as this file says", "as this file says", None)
    assert other == "differs from this file in garden.names; edged reload takes it into force"
    assert restart == "differs from this file in mode; systemctl restart edged takes it into force"
