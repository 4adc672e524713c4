# SPDX-License-Identifier: Apache-2.0
"""edged's target and the stand-in of a RouterOS router, for the tests that have both."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from edged.enforce.desired import Desired
from edged.enforce.diff import Plan, diff
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.routeros.target import RouterosTarget
from tests.e2e.enforce_contract import subscriber, wanted
from tests.routeros.background import Background

LISTS = ("/ip/firewall/address-list", "/ipv6/firewall/address-list")
LIST = LISTS[0]
CONNECTIONS = "/ip/firewall/connection"
RULES = ("/ip/firewall/nat", "/ip/firewall/filter", "/ipv6/firewall/nat", "/ipv6/firewall/filter")
MOST = 40
"""Calls that one reconcile may take: a slice each."""
FEW = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56"), subscriber("2", "100.64.2.0/24"))
MORE = wanted(*(subscriber(str(n), f"100.64.1.{n}", f"2001:db8:100:{n:x}00::1") for n in range(1, 60)))
FEW_LISTED = {"100.64.1.7", "2001:db8:100:700::/56", "100.64.2.0/24"}
WEB = ip_address("203.0.113.99")


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


def foreign(at: Background) -> None:
    """What others have on the router."""
    hand = at.server.console.hand
    hand(f"{LIST}/add", list="edged-blocked", address="192.0.2.77", comment="by hand")
    hand(f"{LIST}/add", list="bogons", address="10.0.0.0/8")
    hand("/ip/firewall/filter/add", chain="forward", action="fasttrack-connection", comment="defconf: fasttrack")
    hand("/ip/firewall/filter/add", chain="input", action="drop")
    hand("/ip/firewall/nat/add", chain="srcnat", action="masquerade", comment="edged-like, and not edged's")


def others(at: Background) -> list[tuple[str, ...]]:
    """All that is not ours, without ids."""
    menus = (*LISTS, "/ip/firewall/filter", "/ip/firewall/nat")
    rows = at.do(lambda: [(menu, row) for menu in menus for row in at.server.console.items(menu)])
    return [
        (menu, *(f"{k}={v}" for k, v in sorted(row.items()) if k not in {".id", "creation-time"}))
        for menu, row in rows
        if row.get("comment", "") != "edged" and not row.get("comment", "").startswith("edged: ")
    ]


def items_of(at: Background) -> list[dict[str, str]]:
    return at.server.console.items(LIST)


def item(at: Background, address: str, menu: str = LIST) -> str:
    return next(row[".id"] for row in at.server.console.items(menu) if row["address"] == address)


def track(at: Background, *sources: str, joins: bool = False) -> None:
    pairs = {"protocol": "udp", "dst-address": "198.51.100.1", "src-port": "4000", "dst-port": "53"}
    at.do(lambda: at.server.console.track(CONNECTIONS, [pairs | {"src-address": it} for it in sources], joins=joins))


def tracked(at: Background) -> list[str]:
    return [row["src-address"] for row in at.do(lambda: at.server.console.items(CONNECTIONS))]
