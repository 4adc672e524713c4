# SPDX-License-Identifier: Apache-2.0
"""These tests run inside the guest that ``tests/wifi/run.py`` boots: here they say so and are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wifi.air import AccessPoint
from tests.wifi.residence import Residence

INSIDE = Path("/run/out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("WIFI_GUEST"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs simulated radios: make test-wifi"))


@pytest.fixture(scope="module")
def residence(request: pytest.FixtureRequest) -> Iterator[Residence]:
    """The building of this file; its ``NETWORK``, if it has one, is what ``mpsk.networks`` says of the SSID."""
    with Residence(getattr(request.module, "NETWORK", Residence.network)) as built:
        yield built
        built.recorder.write()


@pytest.fixture
def point(residence: Residence) -> AccessPoint:
    """hostapd 2.11, which asks during the handshake."""
    return residence.point(version="2.11", mode=3)


@pytest.fixture(autouse=True)
def _clear(residence: Residence) -> Iterator[None]:
    """Every test begins with nothing in the air."""
    yield
    residence.clear()


@pytest.fixture(scope="session", autouse=True)
def _logs() -> Iterator[None]:
    """What hostapd and wpa_supplicant said, in memory while they run, and in the folder of results afterwards."""
    if not os.environ.get("WIFI_GUEST"):
        yield
        return
    logs = Path("/run/logs")
    logs.mkdir()
    yield
    shutil.copytree(
        logs,
        INSIDE / "logs",
        dirs_exist_ok=True,
        ignore=lambda at, names: [n for n in names if (Path(at) / n).is_socket()],
    )
