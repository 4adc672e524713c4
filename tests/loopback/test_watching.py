# SPDX-License-Identifier: Apache-2.0
"""What the mode means for a router: memory stands in while watching, what an earlier run blocked is lifted."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged import watching
from edged.config.loading import load
from edged.config.schema import Config
from edged.enforce.diff import diff
from edged.enforce.rules import rules_of
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.routeros.target import RouterosTarget
from edged.errors import Problem
from edged.ops.offline import offline_plan
from edged.values import parse_prefix
from edged.watching import Lifting, targets
from tests.e2e.enforce_contract import RULES, subscriber, wanted
from tests.routeros.background import Background, running
from tests.routeros.server import router
from tests.routeros_lab import bring, listed, target

VALUE = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56"))


@pytest.fixture
def at() -> Iterator[Background]:
    with running(router()) as background:
        yield background


def config(tmp_path: Path, port: int, mode: str, entry: str = "", more: str = "") -> Config:
    path = tmp_path / "edged.yaml"
    given = f"host: 127.0.0.1, port: {port}, user: edged, password: secret, tls: false{more}"
    path.write_text(f"mode: {mode}\nenforce: [{{routeros: {{{given}}}}}{entry}]\n")
    return load(str(path)).config


def test_every_entry_has_a_target_of_its_name_and_memory_while_watching(tmp_path: Path) -> None:
    enforcing = targets(config(tmp_path, 8728, "enforce", ", {nftables: {}}, {nftables: {}}"))
    watching = targets(config(tmp_path, 8728, "watch", ", {nftables: {}}"))

    assert list(enforcing) == list(watching) == ["127.0.0.1", "nftables"]
    assert isinstance(enforcing["127.0.0.1"], RouterosTarget)
    assert all(isinstance(stand_in, MemoryTarget) for stand_in in watching.values())
    stand_in = watching["127.0.0.1"]
    text = stand_in.render(VALUE, diff(VALUE, None, stand_in.carries))
    assert "/ipv6/firewall/address-list/add list=edged-blocked address=2001:db8:100:700::/56" in text
    assert stand_in.carries == enforcing["127.0.0.1"].carries


def test_the_plan_without_a_daemon_is_for_the_same_targets(tmp_path: Path) -> None:
    path = tmp_path / "edged.yaml"
    routers = "".join(
        f"  - routeros: {{host: 127.0.0.1, user: edged, password: secret, rules: leave, garden_list: {name}}}\n"
        for name in ("first", "second")
    )
    path.write_text(
        f"state: {{directory: {tmp_path}/state}}\ngarden: {{networks: [203.0.113.20]}}\n"
        f"enforce:\n{routers}  - nftables: {{}}\n"
    )

    planned = offline_plan(path)["targets"]
    made = targets(load(str(path)).config)

    assert [one["name"] for one in planned] == list(made) == ["127.0.0.1", "nftables"]
    assert "list=first" in planned[0]["text"]
    value = wanted(rules=rules_of(portals=(), garden_networks=(parse_prefix("192.0.2.1"),)))
    assert "list=first" in made["127.0.0.1"].render(value, diff(value, None, made["127.0.0.1"].carries))


async def test_what_an_earlier_run_blocked_on_a_router_is_lifted(at: Background, tmp_path: Path) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, VALUE)
    assert len(listed(at)) == 2

    assert await lifted(config(tmp_path, at.server.port, "enforce")) == ()
    assert len(listed(at)) == 2
    assert await lifted(config(tmp_path, at.server.port, "watch")) == ()
    assert listed(at) == set()


async def lifted(config: Config) -> tuple[Problem, ...]:
    """What is still in force once the start goes on."""
    lifting = Lifting()
    await lifting.start(config)
    found = lifting.problems
    await lifting.stop()
    return found


async def test_a_router_that_cannot_be_asked_is_told_of(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (problem,) = await lifted(config(tmp_path, port, "watch"))

    assert problem.warning
    assert problem.found.startswith("127.0.0.1 cannot be asked (cannot be reached: Connection refused)")


@pytest.mark.parametrize("trouble", ["half-open", "read-only"])
async def test_a_router_that_is_hung_or_refuses_holds_up_no_start_and_is_lifted_when_it_is_well(
    at: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(watching, "LIFT_WAIT", 0.3)
    monkeypatch.setattr(watching, "LIFT_AGAIN", 0.05)
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, VALUE)
    at.do(lambda: at.server.faults.add(trouble))
    lifting = Lifting()
    begun = time.monotonic()

    await lifting.start(config(tmp_path, at.server.port, "watch", more=", timeout: 1s"))

    assert time.monotonic() - begun < 1.0
    await until(lambda: lifting.problems)
    assert len(listed(at)) == 2
    at.do(at.server.faults.clear)
    await until(lambda: not lifting.problems)
    assert listed(at) == set()
    await lifting.stop()


async def test_edged_ends_while_a_router_is_being_lifted(
    at: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LIFT_WAIT", 0.1)
    at.do(lambda: at.server.faults.add("half-open"))
    lifting = Lifting()
    await lifting.start(config(tmp_path, at.server.port, "watch"))

    begun = time.monotonic()
    await lifting.stop()
    await until(lambda: not any(thread.name.startswith("routeros") for thread in threading.enumerate()))
    assert time.monotonic() - begun < 1.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():
            await asyncio.sleep(0.01)
