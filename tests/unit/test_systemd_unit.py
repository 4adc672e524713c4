"""The unit as it is shipped: how much it leaves open, by systemd's own measure, and that systemd understands it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "edged.service"
THRESHOLD = 20
"""Tenths: 2.0 of 10, lower is better."""


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *words], check=False, capture_output=True, text=True)


def exposure(unit: Path) -> float:
    found = re.search(r"exposure level for .*: ([\d.]+)", analyze("security", "--offline=true", str(unit)).stdout)
    assert found
    return float(found[1])


def test_the_units_exposure_is_two_or_better() -> None:
    done = analyze("security", "--offline=true", f"--threshold={THRESHOLD}", str(UNIT))

    assert done.returncode == 0, done.stdout
    assert exposure(UNIT) <= THRESHOLD / 10


def test_the_measure_falls_when_a_protection_is_taken_out(tmp_path: Path) -> None:
    weaker = tmp_path / "edged.service"
    weaker.write_text(re.sub(r"^(RestrictNamespaces|SystemCallFilter)=.*\n", "", UNIT.read_text(), flags=re.MULTILINE))

    assert exposure(weaker) > THRESHOLD / 10


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "edged.service"
    # the program itself need not be there
    unit.write_text(UNIT.read_text().replace("/usr/bin/edged", "/bin/true"))

    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))

    assert not done.stderr
    assert done.returncode == 0
