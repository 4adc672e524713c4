# SPDX-License-Identifier: Apache-2.0
"""Completion in the shells themselves, of ids that a control socket tells. zsh and fish where there are any."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.ops.control import ControlServer

EVIL = "mallory;$(touch pwned)`touch pwned`'\"\\ ~*#!{a,b}"
NAMES = [["20417", "blocked unpaid"], ["20881", "notice: quota"], ["02:00:5e", "an id with colons"],
         [EVIL, "as billing names them"], ["evil\x1b[2J", "clears the screen"], ["pär", "a name"]]  # fmt: skip
SHELLS = ["bash", *(shell for shell in ("zsh", "fish") if shutil.which(shell))]
ASK = {
    # what readline and the completion of each shell do at a press of Tab
    "bash": (
        'source <(edged completion bash); COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; '
        'IFS=" " read -ra COMP_WORDS <<< "${1//:/ : }"; [[ $1 == *" " ]] && COMP_WORDS+=(""); '
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _edged edged; printf "%s\\n" "${COMPREPLY[@]}"'
    ),
    "zsh": (
        "autoload -Uz compinit && compinit -u -D; source <(edged completion zsh); "
        "_describe() { print -l -- ${${(P)2}%%:*} }; _files() { print files }; "
        "words=(${(s: :)1}); [[ $1 == *' ' ]] && words+=(''); CURRENT=$#words; _edged"
    ),
    "fish": "edged completion fish | source; complete -C $argv[1] | string split -f1 \\t",
}


@pytest.fixture
async def config(tmp_path: Path) -> AsyncIterator[Path]:
    async def names(request: dict[str, Any], _tell: object) -> dict[str, Any]:
        return {"names": [name for name in NAMES if name[0].startswith(request["beginning"])]}

    server = ControlServer(tmp_path / "control.sock", {"names": names})
    await server.start()
    config = tmp_path / "e.yaml"
    config.write_text(f"ops: {{socket: {tmp_path}/control.sock}}\n")
    command = tmp_path / "bin" / "edged"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m edged.cli "$@"\n')
    command.chmod(0o755)
    yield config
    await server.stop()


async def completed(shell: str, config: Path, line: str) -> list[str]:
    """The words that the shell offers where ``line`` ends."""
    return sorted((await asked(shell, config, line)).split())


async def asked(shell: str, config: Path, line: str) -> str:
    """What the shell offers where ``line`` ends."""
    flags = {"bash": ["--norc", "-c", ASK["bash"], "bash"], "zsh": ["-f", "-c", ASK["zsh"], "zsh"],
             "fish": ["--no-config", "-c", ASK["fish"]]}[shell]  # fmt: skip
    here = Path(__file__).resolve().parents[2]
    environment = {"PATH": f"{config.parent / 'bin'}:/usr/bin:/bin", "HOME": str(config.parent), "TERM": "dumb",
                   "PYTHONPATH": str(here)}  # fmt: skip
    done = await asyncio.to_thread(
        subprocess.run, [shell, *flags, line],
        cwd=config.parent, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_shell_completes_commands_options_and_what_the_daemon_knows(shell: str, config: Path) -> None:
    assert await completed(shell, config, "edged expl") == ["explain"]
    assert await completed(shell, config, "edged keys rot") == ["rotate"]
    assert await completed(shell, config, f"edged -c {config} block 20") == ["20417", "20881"]
    assert await completed(shell, config, "edged status --hea") == ["--healthy"]


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_shell_offers_nothing_of_a_daemon_that_is_away(shell: str, config: Path) -> None:
    (config.parent / "control.sock").unlink()

    assert await completed(shell, config, f"edged -c {config} block 20") == []


async def test_bash_completes_names_with_colons_and_files(config: Path) -> None:
    assert await completed("bash", config, f"edged -c {config} block 02:0") == ["00:5e"]
    assert await completed("bash", config, "edged -c e.ya") == ["e.yaml"]


async def test_what_bash_puts_on_the_line_is_the_id_itself_whatever_it_is_and_enter_runs_nothing_of_it(
    config: Path,
) -> None:
    (word,) = (await asked("bash", config, f"edged -c {config} block mall")).splitlines()
    entered = ["bash", "--norc", "-c", f"printf %s {word}"]
    ran = await asyncio.to_thread(
        subprocess.run, entered, cwd=config.parent, capture_output=True, text=True, check=True
    )

    assert ran.stdout == EVIL
    assert not (config.parent / "pwned").exists()
    assert await completed("bash", config, f"edged -c {config} block evil") == []
    assert await completed("bash", config, f"edged -c {config} block pä") == ["pär"]
    assert (await asked("bash", config, f"edged -c {config} block mallory\\;\\$")).splitlines() == [word]
