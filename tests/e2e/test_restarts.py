"""A restart loses no query and no page: edged is restarted under load beside a stand-in of systemd (restarts.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def restarted(*options: str) -> dict[str, Any]:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.e2e.restarts", *options],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=100,
    )  # fmt: skip
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_a_restart_under_load_loses_no_question_and_refuses_no_connection() -> None:
    facts = restarted("--times", "2", "--between", "0.6", "--share", "40")

    for kind, ends in facts["kinds"].items():
        ends.pop("worst_s")
        assert set(ends) == {"answered"}, (kind, ends)
        assert ends["answered"] > 10, kind
    assert facts["queued_octets"] > 0, "nobody asked while it was away"
    assert facts["dropped"] == 0
    assert len(facts["stored"]) == 10
