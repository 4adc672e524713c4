# SPDX-License-Identifier: Apache-2.0
"""edged's target and the stand-in of a RouterOS router, for the tests that have both."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from edged.enforce.desired import Desired
from edged.enforce.diff import Plan, diff
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.routeros.target import RouterosTarget
from tests.routeros.background import Background

LISTS = ("/ip/firewall/address-list", "/ipv6/firewall/address-list")
RULES = ("/ip/firewall/nat", "/ip/firewall/filter", "/ipv6/firewall/nat", "/ipv6/firewall/filter")
MOST = 40
"""Calls that one reconcile may take: a slice each."""


def settings(at: Background, **more: Any) -> RouterosSettings:
    tls = more.pop("tls", False)
    port = at.server.ssl_port if tls else at.server.port
    given = {"host": "127.0.0.1", "user": "edged", "password": "secret", "tls": tls, "port": port, "timeout": "1s"}
    return RouterosSettings.model_validate(given | more)


@asynccontextmanager
async def target(
    at: Background, *, clock: Callable[[], float] = time.monotonic, **more: Any
) -> AsyncIterator[RouterosTarget]:
    made = RouterosTarget(settings(at, **more), clock=clock)
    try:
        yield made
    finally:
        await made.close()


@contextmanager
def impatient(ours: RouterosTarget, seconds: float = 0.2) -> Iterator[None]:
    """Silence ends a call after so long, which no configuration may say: for what is not answered on purpose.

    What shall be answered is asked with the patience of ``settings``, however much else this machine has to do.
    """
    thread = ours._thread
    patient = thread._settings
    thread._settings = thread.router._settings = patient.model_copy(update={"timeout": seconds})
    try:
        yield
    finally:
        thread._settings = thread.router._settings = patient


async def bring(ours: RouterosTarget, wanted: Desired) -> Plan:
    """Make the router what ``wanted`` says; the first plan that it took. UpstreamError when it fails."""
    first: Plan | None = None
    for _ in range(MOST):
        plan = diff(wanted, await ours.read(), ours.carries)
        first = first or plan
        if plan.empty or await ours.apply(wanted, plan):
            return first
    raise AssertionError("a reconcile that does not end")


def listed(
    at: Background, name: str = "edged-blocked", *, enabled: bool = True, menus: tuple[str, ...] = LISTS
) -> set[str]:
    """The addresses of a list, both families."""
    rows = at.do(lambda: [row for menu in menus for row in at.server.console.items(menu)])
    return {row["address"] for row in rows if row["list"] == name and (row["disabled"] == "false") is enabled}


def comments(at: Background, menu: str, chain: str = "") -> list[str]:
    """The comments of a menu's rules in their order."""
    rows = at.do(lambda: at.server.console.items(menu))
    return [row.get("comment", "") for row in rows if chain in {"", row["chain"]}]


def authority(at: Background, folder: Path) -> Path:
    """A file with the certificate of who signed the router's."""
    path = folder / "authority.pem"
    path.write_bytes(at.server.certificates.pem)
    return path
