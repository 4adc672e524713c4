# SPDX-License-Identifier: Apache-2.0
"""The command at a real terminal: it repaints, pages, colours, says what it waits for; and in a pipe none of that."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main
from edged.ops.control import ControlServer

ROOT = Path(__file__).resolve().parents[2]
STATUS = {
    "schema": 1, "site": "tower-12", "verdict": "1 thing needs you", "mode": "enforce", "version": "0.1.0",
    "uptime_s": 4.0, "loaded_at": 1_800_000_000.0,
    "subscribers": {"known": 3, "states": {"blocked": 1}, "reasons": {},
                    "access": {"blocked": 1, "pass": 0, "drain": 0}},
    "parts": [{"name": "dns", "state": "WARN", "fact": "no answer from upstream 192.0.2.1"}],
    "alarms": [{"code": "upstreams-silent", "sentence": "192.0.2.1 is silent.", "try": "edged doctor"}],
}  # fmt: skip
WELL = STATUS | {"verdict": "all well", "alarms": []}
PLAN = {"site": "tower-12", "verdict": "1 of 1 targets would change", "settled": False, "who": [],
        "targets": [{"name": "nftables", "summary": "+1 -0", "text": "add element …"}]}  # fmt: skip


class Desk:
    """A daemon's control socket with set answers, and whoever asks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.answers: dict[str, Any] = {"status": STATUS, "plan": PLAN}
        self.delay = 0.0
        self.asked = 0
        self.server = ControlServer(directory / "s", {name: self._answering(name) for name in self.answers})
        (directory / "e.yaml").write_text(f"ops: {{socket: {directory}/s}}\n")

    def _answering(self, name: str) -> Any:
        async def answer(_request: dict[str, Any], _tell: object) -> Any:
            self.asked += 1
            await asyncio.sleep(self.delay)
            return self.answers[name]

        return answer

    def start(self, *arguments: str, terminal: bool = True, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
        """The command, and where its two streams can be read."""
        ours, theirs = pty.openpty() if terminal else os.pipe()
        known = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm", "COLUMNS": "80"}
        process = subprocess.Popen(
            [sys.executable, "-m", "edged.cli", *arguments, "-c", str(self.directory / "e.yaml")],
            cwd=ROOT, env=known | environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        return process, ours

    async def said(self, *arguments: str, terminal: bool = True, **environment: str) -> tuple[int, str]:
        """Exit status and all that was printed."""
        process, ours = self.start(*arguments, terminal=terminal, **environment)
        text = await asyncio.to_thread(everything, ours)
        return await asyncio.to_thread(process.wait, 30), text


def everything(descriptor: int) -> str:
    found = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # what a terminal says when its last writer is gone
            piece = b""
        if not piece:
            os.close(descriptor)
            return found.decode().replace("\r\n", "\n")
        found += piece


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    await desk.server.start()
    yield desk
    await desk.server.stop()


async def test_a_terminal_has_colours_and_a_pipe_has_the_same_words_without(desk: Desk) -> None:
    status, coloured = await desk.said("status")
    _, plain = await desk.said("status", terminal=False)

    assert status == 0
    assert "\033[33mWARN\033[0m" in coloured
    assert coloured.replace("\033[33m", "").replace("\033[0m", "") == plain
    assert (await desk.said("status", "--no-color"))[1] == plain


async def test_the_pager_gets_a_plan_at_a_terminal_alone(desk: Desk) -> None:
    pager = desk.directory / "pager"
    pager.write_text(f'#!/bin/sh\necho "$LESS"; cat > {desk.directory}/paged\n')
    pager.chmod(0o755)

    assert await desk.said("plan", PAGER=str(pager)) == (0, "FIRX\n")
    assert "1 of 1 targets would change" in (desk.directory / "paged").read_text("utf-8")
    for environment, terminal in (({"PAGER": "/nonexistent"}, True), ({"PAGER": str(pager)}, False)):
        _, text = await desk.said("plan", terminal=terminal, **environment)
        assert text.startswith("tower-12: 1 of 1 targets would change")


async def test_what_takes_more_than_a_second_says_so_on_a_terminal_and_takes_it_back(desk: Desk) -> None:
    desk.delay = 1.4

    _, text = await desk.said("status", NO_COLOR="1")
    # on a busy host it takes two
    assert re.match(r"(asking edged … \d s\033\[K\r)+\033\[Ktower-12: 1 thing needs you", text), text


async def test_watch_repaints_until_ctrl_c_and_outlives_the_daemon(desk: Desk) -> None:
    process, ours = desk.start("status", "--watch")
    shown = b""
    while b"does not answer" not in shown:
        shown += await asyncio.to_thread(os.read, ours, 65536)
        if desk.asked == 1 and b"Ctrl-C" in shown:
            await desk.server.stop()
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(everything, ours)

    assert await asyncio.to_thread(process.wait, 30) == 0
    assert shown.count(b"\033[H") >= 2
    assert shown.index(b"1 thing needs you") < shown.index(b"does not answer")


@pytest.mark.parametrize("arguments", [["--watch"], ["--watch", "--json"], ["--watch", "--healthy"]])
async def test_watch_wants_a_terminal_and_nothing_else(desk: Desk, arguments: list[str]) -> None:
    status, text = await desk.said("status", *arguments, terminal=arguments != ["--watch"])

    assert (status, text.startswith("edged: --watch repaints a terminal")) == (2, True)


async def test_scripts_learn_from_the_status_whether_all_is_well_and_whether_something_would_change(desk: Desk) -> None:
    async def status(*arguments: str) -> int:
        return await asyncio.to_thread(main, [*arguments, "-c", str(desk.directory / "e.yaml")])

    assert await status("status", "--healthy") == await status("plan", "--exit-code", "--json") == 1
    assert await status("status") == await status("plan") == 0
    desk.answers |= {"status": WELL, "plan": PLAN | {"settled": True}}
    assert await status("status", "--healthy", "--json") == await status("plan", "--exit-code") == 0
