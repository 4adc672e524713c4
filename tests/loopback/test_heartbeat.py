"""Signs of life: given by a loop that turns, withheld by one that does not, and who held it up is written down."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edged.host.heartbeat import Heartbeat


def hold_the_loop_up(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_stuck_loop_is_named_with_file_and_function_before_systemd_ends_it_and_told_once() -> None:
    with capture_logs() as logs:
        heart = asyncio.create_task(Heartbeat(lambda: True, 0.2).run())
        await asyncio.sleep(0.1)
        assert not logs
        hold_the_loop_up(0.7)
        await asyncio.sleep(0.1)
        heart.cancel()

    (entry,) = logs
    assert entry["event"] == "loop-stuck"
    # within the second half of what systemd allows: 0.4 s in all
    assert 0.2 <= entry["seconds"] < 0.4
    innermost, *callers = entry["where"].split(" < ")
    assert innermost.startswith("test_heartbeat.py:")
    assert innermost.endswith(" hold_the_loop_up")
    assert any(c.startswith("test_heartbeat.py:") for c in callers)
    assert "0.7" not in entry["where"], "no value is in it"


async def test_no_sign_is_given_while_a_room_has_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = True
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        loop = asyncio.get_running_loop()
        with capture_logs() as logs:
            heart = asyncio.create_task(Heartbeat(lambda: works, 0.05).run())
            for _ in range(3):
                assert await asyncio.wait_for(loop.sock_recv(systemd, 99), 5) == b"WATCHDOG=1"
            works = False
            while not any(entry["event"] == "watchdog-unfed" for entry in logs):
                await asyncio.sleep(0.01)
            while True:
                try:
                    systemd.recv(99)  # given before
                except BlockingIOError:
                    break
            while sum(entry["event"] == "watchdog-unfed" for entry in logs) < 4:
                await asyncio.sleep(0.01)
            with pytest.raises(BlockingIOError):
                systemd.recv(99)
            heart.cancel()
