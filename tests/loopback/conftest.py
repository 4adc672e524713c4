# SPDX-License-Identifier: Apache-2.0
"""What every loopback test shares: one process."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _logs_of_all_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload sets the logs of its process up, and that is the process of every other test."""
    monkeypatch.setattr("edged.ops.logs.configure", lambda *_: None)
