# SPDX-License-Identifier: Apache-2.0
"""The command behind ``make test-wifi`` where there is no guest to be had: what cannot prove must not look green."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(cache: Path, *arguments: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tests/wifi/run.py"), *arguments], check=False, capture_output=True, text=True,
        timeout=30, env={**os.environ, "WIFI_CACHE": str(cache), "CI": ci},
    )  # fmt: skip


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_a_guest_it_says_what_is_missing_and_fails_where_a_machine_looks(
    tmp_path: Path, ci: str, status: int
) -> None:
    done = run(tmp_path, ci=ci)

    assert (done.returncode, "tests/wifi did not run: no " in done.stdout) == (status, True)
    assert "make wifi-guest" in done.stdout


@pytest.mark.parametrize(
    ("kernel", "status"),
    [
        ("echo Kernel panic; exit 0", 124),
        ("out=$(echo \"$@\" | sed 's/.*GUEST_OUT=//; s/ .*//'); echo 1 > $out/status", 1),
        ("out=$(echo \"$@\" | sed 's/.*GUEST_OUT=//; s/ .*//'); echo 0 > $out/status", 0),
    ],
)
def test_a_guest_that_dies_or_whose_tests_fail_is_a_failure(tmp_path: Path, kernel: str, status: int) -> None:
    program = tmp_path / "linux"
    program.write_text(f"#!/bin/sh\n{kernel}\n")
    program.chmod(0o755)
    (tmp_path / "hostapd-2.11").mkdir()
    (tmp_path / "hostapd-2.11" / "hostapd").touch()

    done = run(tmp_path, str(ROOT / "tests/wifi/test_bound.py"))

    assert done.returncode == status, done.stdout + done.stderr
    assert ("the guest died or took too long" in done.stdout) == (status == 124)
