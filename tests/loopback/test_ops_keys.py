# SPDX-License-Identifier: Apache-2.0
"""``edged keys`` asked of a whole house over its control socket: what is answered, kept, audited and refused."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.cli import main
from edged.config.loading import load
from edged.daemon import House
from edged.model import Key
from edged.ops.alarms import alarms
from edged.ops.control import Refused, call
from edged.values import Secret

CONFIGURATION = """\
site: tower-12
state: {{directory: {directory}/state}}
subscribers: {{networks: ["127.0.0.0/8"]}}
radius:
  auth: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["127.0.0.1/32"], secret: a-secret-of-building-7}}]
mpsk: {{networks: {{Residence: {{rotate_overlap: 7d}}, Garden: {{}}}}}}
enforce: []
ops: {{socket: {directory}/control.sock}}
"""
MAC = "02:00:5e:10:00:01"
Facts = dict[str, Any]


async def opened(directory: Path) -> tuple[House, asyncio.Task[None]]:
    path = directory / "edged.yaml"
    path.write_text(CONFIGURATION.format(directory=directory))
    house = House(load(path))
    await house.open()
    return house, asyncio.create_task(house.run())


async def closed(house: House, running: asyncio.Task[None]) -> None:
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await house.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    with capture_logs():  # standard output is the command's here
        house, running = await opened(tmp_path)
        yield house
        await closed(house, running)


async def ask(house: House, action: str, **arguments: Any) -> Facts:
    answer: Facts = await asyncio.to_thread(
        call, house.control.path, "keys", **{"action": action, "who": "desk"} | arguments
    )
    return answer


async def refusal(house: House, action: str, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(Refused) as raised:
        await ask(house, action, **arguments)
    return str(raised.value), raised.value.status


async def typed(house: House, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """As typed on the command line: status, standard output and standard error."""
    status = await asyncio.to_thread(main, ["keys", *words, "-c", house.loaded.document.path])
    return status, *capsys.readouterr()


async def audited(house: House) -> list[tuple[str, str]]:
    rows = await house.database.read("SELECT action, subject, who FROM audit ORDER BY rowid")
    assert {who for *_, who in rows} <= {"desk"}
    return [(action, subject) for action, subject, _ in rows]


async def states(house: House) -> dict[str, str]:
    return {row["id"]: row["state"] for row in (await ask(house, "list"))["keys"]}


async def test_every_act_on_a_key_leaves_its_line_in_the_audit(house: House) -> None:
    await ask(house, "add", ssid="Residence", id="k-1")
    await ask(house, "generate", ssids=["Residence"], count=2, prefix="flat-", wait=True)
    await ask(house, "import", csv="id,ssid\nk-9,Residence\n")
    await ask(house, "export", reveal=True, origin="local")
    await ask(house, "show", id="k-1")
    await ask(house, "rotate", ids=["k-1"])
    await ask(house, "rotate", ids=["k-1"], undo=True)
    await ask(house, "expire", ids=["k-1"], ends=time.time() + 3600)
    await ask(house, "allow", id="k-1", devices=[MAC])
    await ask(house, "forget", id="k-1", devices=[MAC])
    await ask(house, "revoke", ids=["k-1"])
    await ask(house, "revoke", ids=["k-1"], undo=True)
    await ask(house, "reseal")

    assert await audited(house) == [
        ("add key", "k-1"), ("generate key", "flat-1"), ("generate key", "flat-2"), ("import keys", "1"),
        ("export every local key with passphrases", "4"),
        ("show key", "k-1"), ("rotate key", "k-1"), ("undo rotation", "k-1"),
        ("expire key", "k-1"), (f"allow device {MAC}", "k-1"), (f"forget device {MAC}", "k-1"), ("revoke key", "k-1"),
        ("restore key", "k-1"), ("reseal keys", "5"),
    ]  # fmt: skip


async def test_units_of_a_list_get_keys_and_the_export_gives_them_back(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = tmp_path / "units.txt"
    units.write_text("\ufeffFlat 1\n\nFlat 2\n", "utf-8")

    status, out, _ = await typed(
        house, capsys, "generate", "--ssid", "Residence", "--ssid", "Garden", "--units", str(units), "--site",
        "building-7", "--prefix", "b7-", "--vlan-from", "101", "--style", "random", "--word", "--rate", "100M/20M",
        "--wait",
    )  # fmt: skip

    assert (status, out.splitlines()[0]) == (0, "4 keys (b7-flat-1 … b7-flat-2.garden) were made.")
    _, plain, _ = await typed(house, capsys, "export")
    _, full, _ = await typed(house, capsys, "export", "--reveal", "--site", "building-7")
    rows = list(csv.DictReader(io.StringIO(full)))
    assert [(r["id"], r["label"], r["vlan"], r["rate"]) for r in rows if r["ssid"] == "Residence"] == [
        ("b7-flat-1", "Flat 1", "101", "100000000/20000000"),
        ("b7-flat-2", "Flat 2", "102", "100000000/20000000"),
    ]
    by_id = {r["id"]: r["passphrase"] for r in rows}
    assert by_id["b7-flat-1"] == by_id["b7-flat-1.garden"] != by_id["b7-flat-2"]
    assert not [each for each in by_id.values() if each in plain]


async def test_an_export_into_a_file_is_for_its_owner_alone(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(house, "add", ssid="Residence", id="k-1")
    out = tmp_path / "keys.csv"
    out.write_text("an older one")
    out.chmod(0o644)

    status, said, _ = await typed(house, capsys, "export", "--reveal", "--out", str(out))

    assert (status, said) == (0, f"1 key was written to {out}, with its passphrase in clear\n")
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_text().startswith("id,ssid,passphrase,")
    _, facts, _ = await typed(house, capsys, "export", "--out", str(out), "--json")
    assert json.loads(facts) == {
        "schema": 1, "count": 1, "file": str(out),
        "sentence": f"1 key was written to {out}, without its passphrase: --reveal",
    }  # fmt: skip
    assert out.read_text().startswith("id,ssid,subscriber,")
    assert (await typed(house, capsys, "export", "--out", str(tmp_path / "no" / "keys.csv")))[0] == 1


async def test_a_list_can_be_narrowed_and_says_how_many_there_are(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(house, "add", ssid="Residence", id="k-1", site="building-7", subscriber="2001")
    await ask(house, "add", ssid="Garden", id="k-2", site="building-8")
    await ask(house, "revoke", ids=["k-2"])

    for chosen, ids in (
        (("--site", "building-7"), ["k-1"]), (("--ssid", "Garden"), ["k-2"]), (("--state", "revoked"), ["k-2"]),
        (("--subscriber", "2001"), ["k-1"]), (("--origin", "billing"), []), ((), ["k-2", "k-1"]),
    ):  # fmt: skip
        status, out, _ = await typed(house, capsys, "list", *chosen, "--json")
        answer = json.loads(out)
        assert (status, [row["id"] for row in answer["keys"]]) == (0, ids)
        assert answer["count"] == ("2 keys" if len(ids) == 2 else f"{len(ids)} of 2 keys")
    assert (await typed(house, capsys, "list", "--site", "building-7"))[1].endswith("\n\n1 of 2 keys\n")
    assert (await typed(house, capsys, "list", "--site", "x"))[1] == "There are no such keys (0 of 2 keys).\n"


async def test_a_passphrase_goes_to_a_terminal_or_to_who_asks_for_it_twice(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(house, "add", ssid="Residence", id="k-1", passphrase="silver-badger-trumpet-7")

    status, out, err = await typed(house, capsys, "show", "k-1")
    assert (status, out) == (2, "")
    assert "--reveal" in err
    assert (await typed(house, capsys, "show", "k-1", "--reveal"))[:2] == (0, "silver-badger-trumpet-7\n")


async def test_showing_a_rotated_key_says_both_passphrases_the_one_in_use_first(house: House) -> None:
    await ask(house, "add", ssid="Residence", id="k-1", passphrase="silver-badger-trumpet-7")

    prepared = await ask(house, "rotate", ids=["k-1"], passphrase="copper-otter-violin-42", at=time.time() + 86400)
    first, second = (await ask(house, "show", id="k-1"))["sentence"].splitlines()

    assert "The new one begins at" in prepared["sentence"]
    assert (first, second.split("  ")[0]) == ("silver-badger-trumpet-7", "copper-otter-violin-42")
    assert "good from" in second
    await ask(house, "rotate", ids=["k-1"], undo=True)
    rotated = await ask(house, "rotate", ids=["k-1"], passphrase="copper-otter-violin-42", overlap=3600.0)
    first, second = (await ask(house, "show", id="k-1"))["sentence"].splitlines()
    assert (first, second.split("  ")[0]) == ("copper-otter-violin-42", "silver-badger-trumpet-7")
    assert "the one before, good until" in second
    assert "Undo:  edged keys rotate --undo k-1" in rotated["sentence"]


async def test_rotating_a_whole_site_asks_first_and_a_script_says_the_number(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(house, "generate", ssids=["Residence"], count=3, site="building-7", prefix="flat-")
    await house.mpsk.replace_billing([Key("k-501", "Residence", Secret("copper-otter-violin-42"), site="building-7")])

    status, out, err = await typed(house, capsys, "rotate", "--site", "building-7")
    assert (status, out) == (1, "")
    assert err == "edged: 3 passphrases would be changed; a script says so with --yes 3\n"
    assert await refusal(house, "rotate", site="building-7", count=4) == (
        "there are 3 keys, not 4; nothing was changed",
        1,
    )
    assert (await audited(house))[-1][0] == "generate key"

    status, out, _ = await typed(house, capsys, "rotate", "--site", "building-7", "--yes", "3", "--now")
    assert status == 0
    assert out.startswith(
        "flat-1, flat-2 and flat-3 have a new passphrase:  edged keys show ID\nThe old one has ended;"
    )
    assert (await states(house))["k-501"] in {"good", "deriving"}


async def test_the_rotation_of_a_whole_site_can_be_undone_at_once(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(house, "generate", ssids=["Residence"], count=3, site="building-7", prefix="flat-")
    await ask(house, "add", ssid="Residence", id="k-1", site="building-7")
    before = {s.key.id: s.key.passphrase for s in await house.keys.all()}
    await ask(house, "rotate", ids=["flat-1", "flat-2", "flat-3"])
    assert await refusal(house, "rotate", ids=["flat-1", "flat-2"], undo=True, count=3) == (
        "there are 2 keys, not 3; nothing was changed",
        1,
    )

    status, out, _ = await typed(house, capsys, "rotate", "--undo", "--site", "building-7", "--yes", "3")

    assert status == 0
    assert out.startswith("flat-1, flat-2 and flat-3 have the passphrase of before again.\nThe newer one is good until")
    assert {s.key.id: s.key.passphrase for s in await house.keys.all() if s.key.id in before} == before
    assert await refusal(house, "rotate", site="nowhere", undo=True) == (
        "no local key of these has a passphrase of before that is good.  edged keys list",
        1,
    )


async def test_the_undo_of_the_first_listed_device_is_one_that_works(house: House) -> None:
    await ask(house, "add", ssid="Residence", id="k-1")

    alone = await ask(house, "allow", id="k-1", devices=[MAC], only=True)
    more = await ask(house, "allow", id="k-1", devices=["02:00:5e:10:00:02"])

    assert "good for 1 listed device alone" in alone["sentence"]
    assert alone["sentence"].endswith("Undo:  edged keys allow k-1 --any")
    assert more["sentence"].endswith("Undo:  edged keys forget k-1 02:00:5e:10:00:02")


async def test_who_may_come_back_is_told_what_changes_the_passphrase(house: House) -> None:
    await ask(house, "add", ssid="Residence", id="k-1")
    await house.mpsk.replace_billing([Key("k-501", "Residence", Secret("copper-otter-violin-42"))])
    said = []
    for key_id, mac in (("k-1", MAC), ("k-501", "02:00:5e:10:00:02")):
        await ask(house, "allow", id=key_id, devices=[mac])
        said.append((await ask(house, "forget", id=key_id, devices=[mac]))["sentence"].splitlines()[1])

    assert said == [
        "Who knows the passphrase can come back:  edged keys rotate --now k-1",
        "Who knows the passphrase can come back; another one comes from billing.",
    ]


async def test_with_wait_an_import_returns_when_every_pmk_is_derived_and_says_how_far_it_is(house: House) -> None:
    told: list[tuple[str, int, int | None]] = []
    rows = "".join(f"k-{n},Residence\n" for n in range(150))

    await asyncio.to_thread(
        call, house.control.path, "keys", tell=lambda *fact: told.append(fact),
        action="import", csv="id,ssid\n" + rows, wait=True, who="desk",
    )  # fmt: skip

    assert not house.mpsk.ring.pending
    assert set((await states(house)).values()) == {"good"}
    assert told
    assert {(what, of) for what, _, of in told} == {("deriving PMKs", 150)}


@pytest.mark.parametrize(
    ("action", "arguments", "said", "status"),
    [
        ("rotate", {"ids": ["nobody"]}, "nobody: no such key; expected an id of edged keys list", 1),
        ("rotate", {"ids": ["k-501"]}, "billing's change in billing", 1),
        ("rotate", {"ids": ["k-1"], "passphrase": "password"}, "passphrase: shorter than 12 characters", 1),
        ("rotate", {"ids": ["k-1", "k-2"], "passphrase": "silver-badger-trumpet-7"}, "one key to give it to", 1),
        ("rotate", {"ids": ["k-1"], "passphrase": "copper-otter-violin-42"}, "that of k-501 (billing)", 1),
        ("rotate", {"ids": ["k-1"], "at": 5.0}, "--at lies in the past", 2),
        ("rotate", {"ids": ["k-1"], "overlap": 1e9}, "at most 90d", 2),
        ("rotate", {}, "which keys?", 2),
        ("rotate", {"site": "nowhere"}, "no local key of these", 1),
        ("rotate", {"ids": ["k-1"], "undo": True}, "its passphrase of before has ended", 1),
        ("revoke", {"ids": ["k-1"], "undo": True}, "not revoked", 1),
        ("revoke", {"ids": ["k-501"]}, "billing's change in billing", 1),
        ("expire", {"ids": ["k-1"], "ends": 5.0}, "edged keys revoke ID ends a key now", 2),
        ("rotate", {"ids": ["k-1"], "at": float("nan")}, "at: a time between 1970 and 3000", 2),
        ("expire", {"ids": ["k-1"], "ends": float("inf")}, "ends: a time between 1970 and 3000", 2),
        ("add", {"ssid": "Residence", "begins": float("nan")}, "begins: a time between 1970 and 3000", 2),
        ("allow", {"id": "k-1", "devices": ["02:00"]}, "02:00", 2),
        ("allow", {"id": "k-1"}, "which device?", 2),
        ("allow", {"id": "k-1", "any": True, "devices": [MAC]}, "no MAC", 2),
        ("forget", {"id": "k-1", "devices": [MAC]}, "is no device of this key", 1),
        ("generate", {"ssids": ["Residence"]}, "--count 40, or --units FILE", 2),
        ("generate", {"ssids": ["Nowhere"], "count": 1}, "one of Residence, Garden", 1),
        ("generate", {"ssids": ["Residence"], "count": 0}, "--count is 1 to", 2),
        ("generate", {"ssids": ["Residence"], "count": 1, "rate": "fast"}, "100M/20M", 2),
        ("add", {"ssid": "Residence", "id": "k-1~old"}, "an id without ~old", 1),
        ("add", {"ssid": "Residence", "device_limit": 0}, "--device-limit 0 is too few", 2),
        ("add", {"ssid": "Residence", "vlan": 4095}, "--vlan 4095 is no VLAN; 1 to 4094 are", 2),
        ("add", {"ssid": "Residence", "ends": 5.0}, "--until lies in the past", 2),
        ("add", {"ssid": "Residence", "begins": 4e9, "ends": 4e9}, "--until is not after --from", 2),
        ("generate", {"ssids": ["Residence"], "count": 2, "ends": 5.0}, "--until lies in the past", 2),
        ("show", {"id": "nobody"}, 'there is no key "nobody".  edged keys list', 1),
        ("xyzzy", {}, 'keys has no action "xyzzy"', 2),
    ],
)  # fmt: skip
async def test_what_is_refused_names_the_next_step_and_changes_nothing(
    action: str, arguments: Facts, said: str, status: int, house: House
) -> None:
    await ask(house, "add", ssid="Residence", id="k-1")
    await ask(house, "add", ssid="Residence", id="k-2")
    await house.mpsk.replace_billing([Key("k-501", "Residence", Secret("copper-otter-violin-42"))])
    before = await house.keys.all()

    sentence, found = await refusal(house, action, **arguments)

    assert said in sentence
    assert found == status
    assert [(s.key, s.revoked) for s in await house.keys.all()] == [(s.key, s.revoked) for s in before]


async def test_a_passphrase_in_both_origins_is_shown_in_the_list(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(house, "add", ssid="Residence", id="mine", passphrase="copper-otter-violin-42")
    await house.mpsk.replace_billing(
        [
            Key("k-501", "Residence", Secret("copper-otter-violin-42")),
            Key("k-502", "Residence", Secret("copper-otter-violin-42")),
            Key("k-503", "Residence", Secret("password")),
        ]
    )

    _, out, _ = await typed(house, capsys, "list")

    explained = [
        (await asyncio.to_thread(call, house.control.path, "explain", subject=key_id))["headline"]
        for key_id in ("mine", "k-503")
    ]
    assert explained[0].endswith("is not-unique (billing's k-501 has its passphrase)")
    assert explained[1].endswith("(weak)")
    assert "not-unique (k-501)" in out
    assert "k-502 of billing's list is left out: k-501 has its passphrase." in out
    assert "1 passphrase of billing's is weak:  edged keys list --state weak" in out


async def test_a_key_that_begins_later_is_not_said_to_be_good(house: House) -> None:
    added = await ask(house, "add", ssid="Residence", id="k-1", begins=4e9)
    made = await ask(house, "generate", ssids=["Residence"], count=1, prefix="flat-")

    assert added["sentence"].startswith("k-1 is good on Residence from 2096-10-02 07:06 UTC on.")
    assert made["sentence"] == "flat-1 was made.\nIts passphrase:  edged keys show flat-1"


async def test_what_was_done_with_a_key_is_in_its_explanation(house: House) -> None:
    await ask(house, "add", ssid="Residence", id="k-1")
    await ask(house, "rotate", ids=["k-1"])

    facts = await asyncio.to_thread(call, house.control.path, "explain", subject="k-1")

    assert "the passphrase of before is good too" in facts["headline"]
    assert {row["what"] for row in facts["recently"]} == {"rotate key by desk", "add key by desk"}


async def test_a_reseal_under_the_running_daemon_changes_nothing_for_anybody(house: House, tmp_path: Path) -> None:
    await ask(house, "generate", ssids=["Residence"], count=30, wait=True)
    old, before = (tmp_path / "state" / "sealing.key").read_text(), dict(house.mpsk.ring.keys)

    said = await ask(house, "reseal")

    assert said["count"] == 30
    assert "the old one opens nothing any more" in " ".join(said["sentence"].split())
    assert (tmp_path / "state" / "sealing.key").read_text() != old
    await house.mpsk.load()
    assert house.mpsk.ring.keys == before
    assert not house.mpsk.ring.pending, "nothing is derived again"


async def test_a_change_of_the_sealing_key_that_a_crash_cut_off_goes_on_at_the_next_start(tmp_path: Path) -> None:
    house, running = await opened(tmp_path)
    await ask(house, "generate", ssids=["Residence"], count=3)
    before = await house.keys.all()
    house.sealing.begin()  # the new key is on disk, and no row is sealed with it
    await closed(house, running)

    house, running = await opened(tmp_path)
    try:
        assert not house.sealing.is_changing
        assert not house.warnings
        assert [(s.key, s.created) for s in await house.keys.all()] == [(s.key, s.created) for s in before]
    finally:
        await closed(house, running)


async def test_a_lost_sealing_key_stays_an_alarm_while_any_key_does_not_open(tmp_path: Path) -> None:
    def raised(house: House) -> dict[str, str]:
        return {alarm.code: alarm.sentence for alarm in alarms(house, time.time())}

    house, running = await opened(tmp_path)
    await ask(house, "generate", ssids=["Residence"], count=3)
    await closed(house, running)
    (tmp_path / "state" / "sealing.key").unlink()

    house, running = await opened(tmp_path)
    assert "no stored key opens" in raised(house)["state-damaged"]
    await house.mpsk.replace_billing([Key("k-501", "Residence", Secret("copper-otter-violin-42"))])
    await closed(house, running)

    house, running = await opened(tmp_path)
    assert "3 keys do not open" in raised(house)["state-damaged"]
    assert "edged.sqlite from backup" in raised(house)["state-damaged"]
    await closed(house, running)


async def test_from_credentials_a_reseal_waits_for_the_operators_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "sealing.key").write_text("a" * 64)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    house, running = await opened(tmp_path)
    await ask(house, "generate", ssids=["Residence"], count=3)
    sentence, status = await refusal(house, "reseal")
    await closed(house, running)
    assert status == 1
    assert "first give the new one as sealing.key" in sentence
    assert not (tmp_path / "state" / "sealing.key").exists()

    (credentials / "sealing.key").write_text("b" * 64)
    (credentials / "sealing.key.old").write_text("a" * 64)
    house, running = await opened(tmp_path)
    try:
        assert (await ask(house, "reseal"))["count"] == 3
    finally:
        await closed(house, running)

    (credentials / "sealing.key.old").unlink()
    house, running = await opened(tmp_path)
    try:
        assert len(await house.keys.all()) == 3
        assert not house.warnings
    finally:
        await closed(house, running)
