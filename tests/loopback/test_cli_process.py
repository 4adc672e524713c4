# SPDX-License-Identifier: Apache-2.0
"""The command as a process of its own: pipes whose reader is gone, and a user without a name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "config/example/edged.yaml"


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["keys", "--help"], [], ["check", "-c", EXAMPLE]])
def test_a_reader_that_went_away_is_no_reason_to_say_anything(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edged.cli", *arguments],
            cwd=ROOT, check=False, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30,
        )  # fmt: skip
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_line_of_a_long_answer_can_be_had_through_head() -> None:
    line = f"set -o pipefail; {sys.executable} -m edged.cli schema | head -1"

    done = subprocess.run(["bash", "-c", line], cwd=ROOT, check=False, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_without_any_standard_output_the_command_still_ends_by_its_status() -> None:
    line = f"{sys.executable} -m edged.cli check -c {EXAMPLE} >&-"

    done = subprocess.run(["bash", "-c", line], cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True, timeout=30)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_room_would_log_is_no_part_of_a_command_s_answer(tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text("dns: {upstreams: ['127.0.0.1:9']}\n", "utf-8")  # nobody answers there, which the resolver logs

    done = subprocess.run(
        [sys.executable, "-m", "edged.cli", "doctor", "upstreams", "--json", "-c", config],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert [check["grade"] for check in json.loads(done.stdout)["checks"]] == ["FAIL"]
    assert done.stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_may_ask_too() -> None:
    nameless = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "")
    script = (
        # all that is imported late, while the program may still be read
        "import getpass, os, pwd, sys, edged.config.document, edged.cli;"
        "os.setgroups([]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321);"
        "sys.exit(edged.cli.main(['sync']))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env={**os.environ, **nameless}, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert done.returncode == 69
    assert "Traceback" not in done.stderr
