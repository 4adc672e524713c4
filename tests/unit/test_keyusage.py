# SPDX-License-Identifier: Apache-2.0
"""``edged keys`` at a terminal: what changes many keys asks first, and does it for the number alone."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from edged.commands import keyusage
from edged.ops.control import Refused


class Terminal(io.StringIO):
    """Where a person types, or reads."""

    def isatty(self) -> bool:
        return True


class Daemon:
    """Asks how many, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        self.heard.append(request.get("count"))
        if "count" not in request:
            return {"asks": 37, "sentence": "37 passphrases would be changed"}
        return {"sentence": "done"}


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> Terminal:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    return said


def test_who_types_the_number_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said, daemon = at_a_terminal(monkeypatch, "37\n"), Daemon()

    assert keyusage.asked({"action": "rotate", "site": "building-7"}, daemon) == {"sentence": "done"}

    assert daemon.heard == [None, 37]
    assert said.getvalue() == "37 passphrases would be changed. Type 37 to go on: "


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "yes\n", "36\n"])
def test_whatever_else_is_typed_changes_nothing(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch, typed)
    daemon = Daemon()

    with pytest.raises(Refused, match="nothing was changed"):
        keyusage.asked({"action": "rotate", "site": "building-7"}, daemon)

    assert daemon.heard == [None]


def test_what_is_not_asked_about_is_done_at_once() -> None:
    daemon = Daemon()

    assert keyusage.asked({"action": "rotate", "count": 1}, daemon) == {"sentence": "done"}
    assert daemon.heard == [1]
