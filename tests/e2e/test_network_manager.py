"""NetworkManager's own connectivity check on a subscriber's line: the real program, unpacked from Debian's package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import lab as places
from tests.e2e import network_manager
from tests.e2e.edge import BLOCKED, Edge
from tests.e2e.lab import BAD4, until
from tests.e2e.network_manager import NetworkManager

_why = places.available() or network_manager.available()
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(_why), reason=_why or "ready")]

URI = "http://network-test.debian.org/nm"
"""As Debian's package network-manager-config-connectivity-debian has it."""
INTERVAL = 1


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with Edge(prefix=f"edged-n{os.getpid()}") as built:
        built.wait_for("the block is in force", lambda: built.access(BAD4) == "blocked")
        yield built


def test_it_finds_the_portal_while_blocked_the_internet_when_freed_and_less_when_edged_is_away(
    edge: Edge, tmp_path: Path
) -> None:
    with NetworkManager(edge.lab, "bad", tmp_path / "nm", URI, INTERVAL) as client:
        until("a blocked line is a portal", lambda: client.connectivity() == "portal", timeout=15.0)

        edge.tell({**BLOCKED, "state": "active"})
        until("a freed line is online", lambda: client.connectivity() == "full", timeout=30.0)

        edge.tell(BLOCKED)
        until("a line blocked again is a portal", lambda: client.connectivity() == "portal", timeout=30.0)

        edge.kill()
        until("without the redirector it is limited", lambda: client.connectivity() == "limited", timeout=40.0)
