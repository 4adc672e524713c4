# SPDX-License-Identifier: Apache-2.0
"""Scripts of ``edged routeros script`` and the stand-in that takes them, for the tests that have both."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from edged.enforce.routeros.layout import Layout
from edged.enforce.routeros.script import ApiAccess, CoaAccess, Preparation, preparing
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES
from tests.routeros.console import Backup, Console

PASSWORD = 'ge"h$e\\im'
FILLED = ':local {} "ge\\"h\\$e\\\\im"'
"""As the operator writes it into the first lines."""
RULE_MENUS = ("/ip/firewall/nat", "/ip/firewall/filter", "/ipv6/firewall/nat", "/ipv6/firewall/filter")
LIST_MENUS = ("/ip/firewall/address-list", "/ipv6/firewall/address-list")
OTHERS = ("/user", "/user/group", "/radius", "/ip/dhcp-server/option", "/ip/dhcp-server/network")
SERVICE = ("/ip/service", "/certificate", "/radius/incoming")

API = Preparation(
    "192.0.2.1",
    Layout("edged-blocked", "edged-garden", "edged-portal"),
    RULES,
    ApiAccess("edged", "192.0.2.1", tls=True, port=8729),
    (parse_prefix("192.0.2.10"),),
    uri=b"https://portal.example.net/.well-known/captive-portal",
    networks=(parse_prefix("100.64.0.0/10"), parse_prefix("2001:db8:100::/40")),
)
COA = Preparation(
    "192.0.2.5",
    Layout("edged-blocked", "edged-garden", "edged-portal"),
    RULES,
    CoaAccess(3799),
    (parse_prefix("192.0.2.10"),),
    names=("customer.example.net",),
    uri=API.uri,
    networks=API.networks,
)


def filled(script: str) -> str:
    """With the secret written in."""
    for name in ("password", "secret"):
        script = script.replace(f':local {name} ""', FILLED.format(name))
    return script


def prepared(wanted: Preparation, console: Console) -> str:
    """What the router says to the script."""
    return console.script(filled(preparing(wanted)))


@cache
def _made(wanted: Preparation, version: str) -> Backup:
    console = furnished(version)
    prepared(wanted, console)
    return console.backup()


def made(wanted: Preparation, version: str = "7.18.2") -> Console:
    """A router in use that the script has prepared."""
    console = Console(version, clock=lambda: 0.0)
    console.restore(_made(wanted, version))
    return console


def written(console: Console, script: str) -> list[str]:
    """The menus that a script writes to, once for each item."""
    told: list[str] = []
    before = [(menu, list(table.rows)) for menu, table in console.tables.items()]
    console.listeners.append(lambda menu, _values: told.append(menu))
    console.script(script)
    console.listeners.pop()
    # a move is told to nobody
    return told + [
        menu for menu, order in before if menu in console.tables and list(console.tables[menu].rows) != order
    ]


def furnished(version: str = "7.18.2") -> Console:
    """A router in use: rules, lists, users, DHCP and RADIUS of others."""
    console = Console(version, clock=lambda: 0.0)
    hand = console.hand
    hand("/ip/firewall/filter/add", chain="input", action="accept", protocol="icmp")
    hand("/ip/firewall/filter/add", chain="forward", action="fasttrack-connection", comment="defconf: fasttrack")
    hand("/ip/firewall/filter/add", chain="forward", action="accept", connection_state="established,related")
    hand("/ip/firewall/nat/add", chain="srcnat", action="masquerade", comment="edged-like, and not edged's")
    hand(
        "/ip/firewall/nat/add", chain="dstnat", action="dst-nat", to_addresses="10.0.0.9", protocol="tcp", dst_port="22"
    )
    hand("/ipv6/firewall/filter/add", chain="forward", action="drop", in_interface="wan")
    hand("/ip/firewall/address-list/add", list="edged-blocked", address="192.0.2.77", comment="by hand")
    hand("/ip/firewall/address-list/add", list="bogons", address="10.0.0.0/8")
    hand("/user/add", name="noc", group="full", password="x")
    hand("/radius/add", address="192.0.2.200", service="ppp", secret="billing")
    hand("/ip/dhcp-server/option/add", name="ntp", code="42", value="0xC0000201")
    hand("/ip/dhcp-server/network/add", address="100.64.0.0/22", gateway="100.64.0.1", dhcp_option="ntp")
    hand("/ip/dhcp-server/network/add", address="192.168.88.0/24", gateway="192.168.88.1")
    return console


def rules_of(console: Console, *, ours: bool = True) -> dict[str, list[tuple[str, ...]]]:
    """The rules of each chain in their order; all of them, or those of others."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for menu in RULE_MENUS:
        for item in console.items(menu) if menu in console.tables else ():
            if ours or not item.get("comment", "").startswith(("edged: ", "edged-script: ")):
                found.setdefault(f"{menu} {item['chain']}", []).append(_said(item))
    return found


def items_of(console: Console, *menus: str, without: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The items of menus, in no order; without those that bear one of some comments."""
    return sorted(
        (menu, *_said(item))
        for menu in menus
        if menu in console.tables
        for item in console.items(menu)
        if item.get("comment", "") not in without
    )


def _said(item: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in sorted(item.items()) if name not in {".id", "creation-time"})


def state(console: Console) -> tuple[Any, ...]:
    """All that a script decides."""
    return rules_of(console), items_of(console, *LIST_MENUS), items_of(console, *OTHERS)


def foreign(console: Console) -> tuple[Any, ...]:
    """All that is not ours."""
    ours = ("edged", "edged-script", "edged: learned")
    networks = [item | {"dhcp-option": ""} for item in console.items("/ip/dhcp-server/network")]
    options = [item for item in console.items("/ip/dhcp-server/option") if item["name"] != "edged-captive-portal"]
    return (
        rules_of(console, ours=False),
        items_of(console, *LIST_MENUS, "/user", "/user/group", "/radius", without=ours),
        networks,
        options,
    )


def comments(console: Console, menu: str, chain: str) -> Iterator[str]:
    """Of a chain, in its order."""
    return (item.get("comment", "") for item in console.items(menu) if item["chain"] == chain)
