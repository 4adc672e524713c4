"""What the manual shows of a terminal is typed into edged, in order, against a whole house: its answers look the same.

The same words, columns and fields; numbers, times and drawn ids are others. The day of the manual is 2026-11-25.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.manual.commands import commands
from edged.cli import main
from edged.daemon import House
from tests.loopback.house import at_work, written
from tests.manual_terminal import lacking, sessions

THE_DAY = date(2026, 11, 25)
CONFIGURATION = """\
site: tower-12
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8:100::/40"]}}
portal: {{url: "https://portal.example.net", addresses: ["203.0.113.10"], pass: {{}}}}
mpsk: {{networks: {{Residence: {{}}}}}}
radius:
  auth: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["10.7.0.0/24"], secret: "a secret of the tests"}}]
ops: {{socket: {directory}/control.sock}}
"""
BLOCKED = "{{id: '{}', state: blocked, reason: unpaid, brand: north, addresses: ['{}', '2001:db8:100:{:x}00::/56']}}"
KEYS = """\
  {id: k-501, ssid: Residence, site: building-7, passphrase: bado-kefi-sumo-teri-47, subscriber: '2001',
   label: Flat 12, vlan: 112},
  {id: k-502, ssid: Residence, site: elsewhere, passphrase: lupa-rino-dasa-meku-81, subscriber: '20881'}"""
LINES = ("20417", "100.64.7.9"), ("20552", "100.64.7.10"), ("20881", "100.64.7.11"), ("30006", "100.64.7.12")


def billing(path: Path, *lines: tuple[str, str]) -> None:
    """The list of the manual's edge, and more."""
    listed = ",\n  ".join(BLOCKED.format(*line, number) for number, line in enumerate((*LINES, *lines)))
    path.write_text(f"known: 4120\nsubscribers: [\n  {listed}]\nkeys: [\n{KEYS}]\n")


def others(first: int, last: int) -> list[tuple[str, str]]:
    return [(str(31000 + n), f"100.65.{n // 200}.{n % 200 + 1}") for n in range(first, last)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "state").mkdir()
    billing(tmp_path / "billing.yaml", ("30005", "100.64.7.13"))
    with capture_logs():
        async with at_work(written(tmp_path, CONFIGURATION)) as house:
            while house.current.view.decide_id("20417", 0.0).subscriber is None:
                await asyncio.sleep(0.02)
            yield house


# --- the manual --------------------------------------------------------------------------------------


def today(command: str) -> str:
    """The same command as many days from now as it is from the day of the manual."""
    shift = datetime.now(UTC).date() - THE_DAY
    return re.sub(r"\d{4}-\d\d-\d\d", lambda day: str(date.fromisoformat(day[0]) + shift), command)


def fields(value: Any, at: str = "") -> set[str]:
    """Paths of the fields of an object; of a list, those of its entries."""
    if isinstance(value, dict):
        return {f"{at}.{name}" for name in value}.union(*(fields(one, f"{at}.{name}") for name, one in value.items()))
    return set().union(*(fields(one, f"{at}[]") for one in value)) if isinstance(value, list) else set()


async def typed(
    house: House, command: str, capsys: pytest.CaptureFixture[str], *, patience: int = 100
) -> tuple[int, str]:
    words = [*shlex.split(command)[1:], "-c", house.loaded.document.path]
    status = await asyncio.to_thread(main, words)
    captured = capsys.readouterr()
    said = captured.out + captured.err
    if "deriving" in said and patience:  # a PMK takes a moment
        await asyncio.sleep(0.05)
        return await typed(house, command, capsys, patience=patience - 1)
    return status, said


# --- everyday.md -----------------------------------------------------------------------------------------


async def test_the_commands_of_the_help_desk_answer_as_its_page_shows(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [step for step in sessions("everyday.md") if not re.search(OF_A_DEVICE, step[0])]
    differing = []
    for command, answer in shown:
        if command.startswith("edged pass"):  # of a line that no operator's word has opened
            await typed(house, "edged unblock 20417 --end --why 'another day'", capsys)
        if command == "edged sync":
            said = await read_anew(house, tmp_path, capsys, too_many="HELD" in answer)
        else:
            _, said = await typed(house, today(command), capsys)
        differing += [(command, line, said) for line in missing(command, answer, said)]

    assert len(shown) > 15
    assert differing == []


async def read_anew(house: House, folder: Path, capsys: pytest.CaptureFixture[str], *, too_many: bool) -> str:
    """What ``edged sync`` says of a changed list, unless edged has found the change by itself just then."""
    said = ""
    for first in range(0, 30, 3):
        billing(folder / "billing.yaml", *others(first, first + (153 if too_many else 3)))
        _, said = await typed(house, "edged sync", capsys)
        if "nothing changed" not in said:
            break
    return said


OF_A_DEVICE = r"(?:[0-9a-f]{2}:){5}"
"""What has never asked for the Wi-Fi here has no answer."""
OF_A_TARGET = re.compile(r"\.(?:in_place|targets)\[\]|^in place|^recently|reasons\.quota$")
"""Nothing is enforced here, which takes root; nothing befell the line before; and nobody has used a quota up."""


def missing(command: str, answer: str, said: str) -> set[str]:
    """What the manual shows and the answer has not."""
    if "--json" in command:
        absent = fields(json.loads(answer)) - fields(json.loads(said))
    elif command.startswith(("edged explain", "edged log")):  # another line, another life: its parts
        absent = parts(answer) - parts(said)
    else:
        absent = lacking(answer, said)
    return {one for one in absent if not OF_A_TARGET.search(one)}


def parts(answer: str) -> set[str]:
    return {match[0] for line in answer.splitlines() if (match := re.match(r"[a-z]+(?: [a-z]+)?(?=  )", line))}


# --- reference/commands.md -------------------------------------------------------------------------------

NO_QUESTION = {"run", "hub", "init", "probe", "routeros", "doctor", "check"}
"""They ask no daemon, or need a router, a line or root."""
ALONE = {"schema", "completion"}


async def test_every_example_of_the_command_reference_is_understood_by_a_running_edge(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = [re.split(r" [|>] ", example)[0] for command in commands() for example in command.examples]
    answered = 0
    for example in examples:
        _, command, *words = shlex.split(today(example))
        if command not in NO_QUESTION and "--watch" not in words:
            words += [] if command in ALONE else ["-c", house.loaded.document.path]
            words += ["--reveal"] if "sheet" in words else []  # here the output is no terminal
            status = await asyncio.to_thread(main, [command, *words])
            assert status in {0, 1}, (example, capsys.readouterr())
            answered += status == 0
    assert answered > 15
