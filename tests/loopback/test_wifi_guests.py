# SPDX-License-Identifier: Apache-2.0
"""``tests/wifi/run.py`` with a script for a kernel: how guests end."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.lab import until
from tests.wifi.run import HERE, LOST, ROOT

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="guests run on x86-64 alone")
WAITS = 'echo $$ > "$out/pid"; exec sleep 60'
STUBBORN = f"trap '' TERM; {WAITS}"


@contextmanager
def running(cache: Path, kernel: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """run.py with that kernel, a shell script in which ``out`` is the folder of results."""
    for name in ("linux", "hostapd-2.11/hostapd"):
        (cache / name).parent.mkdir(exist_ok=True)
        (cache / name).write_text(
            f'#!/bin/sh\nfor word in "$@"; do case $word in GUEST_OUT=*) out=${{word#*=}} ;; esac; done\n{kernel}\n'
        )
        (cache / name).chmod(0o755)
    environment = {**os.environ, "WIFI_CACHE": str(cache), "CI": "true"}
    with subprocess.Popen(
        [sys.executable, str(HERE / "run.py"), *arguments], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("by", "kernel"), [(signal.SIGINT, STUBBORN), (signal.SIGTERM, STUBBORN), (signal.SIGKILL, WAITS)]
)
def test_no_guest_outlives_a_run_that_was_interrupted(tmp_path: Path, by: signal.Signals, kernel: str) -> None:
    file = tmp_path / "out/test_bound/pid"
    with running(tmp_path, kernel, "tests/wifi/test_bound.py") as process:
        until("the guest runs", lambda: file.exists() and file.read_text().strip(), timeout=20.0)
        guest = int(file.read_text())
        assert alive(guest)

        process.send_signal(by)
        said = process.communicate(timeout=20.0)[0]

        until("the guest has ended", lambda: not alive(guest), timeout=10.0)
    assert (process.returncode, "interrupted" in said) == ((-by, False) if by == signal.SIGKILL else (130, True))


@pytest.mark.parametrize(
    ("kernel", "status"),
    [
        ('echo 0 > "$out/status"', 0),
        # -k chose nothing of one file
        ('case $out in *bound) echo 5 ;; *) echo 0 ;; esac > "$out/status"', 0),
        ('echo 5 > "$out/status"', 5),
        ('case $out in *bound) echo 1 ;; *) echo 0 ;; esac > "$out/status"', 1),
        ("exit 0", LOST),
        ('case $out in *bound) : ;; *) echo 0 ;; esac > "$out/status"', LOST),
    ],
)
def test_the_worst_guest_decides(tmp_path: Path, kernel: str, status: int) -> None:
    with running(tmp_path, f"echo said; {kernel}", "tests/wifi/test_bound.py", "tests/wifi/test_roaming.py") as process:
        said = process.communicate(timeout=20.0)[0]

    assert process.returncode == status
    assert said.count("said\n") == 2
    assert ("died or took too long" in said) == (status == LOST)


def test_a_guest_has_the_files_that_it_needs_a_folder_for_its_memory_and_a_home_that_it_may_write(
    tmp_path: Path,
) -> None:
    has = 'ulimit -Sn; readlink -f "$TMPDIR"; readlink -f "$HOME"; echo 0 > "$out/status"'
    with running(tmp_path, has, "tests/wifi/test_bound.py") as process:
        said = process.communicate(timeout=20.0)[0].splitlines()

    assert int(said[1]) >= 4096
    assert said[2] in {"/dev/shm", str(tmp_path)}  # noqa: S108
    assert said[3] == str(tmp_path / "out/test_bound")
