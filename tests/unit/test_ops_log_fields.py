# SPDX-License-Identifier: Apache-2.0
"""The allow-list of log fields against what the rooms log; how a log is written: tests/loopback/test_ops_logs.py."""

from __future__ import annotations

import ast
from pathlib import Path

from edged.ops.logs import ALLOWED

ROOT = Path(__file__).resolve().parents[2]


def test_every_field_that_a_room_logs_is_on_the_list() -> None:
    missing = set()
    for path in sorted((ROOT / "edged").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "log":
                missing |= {(path.name, word.arg) for word in node.keywords if word.arg not in ALLOWED}

    assert not missing, "these would silently be left out"
