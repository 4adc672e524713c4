# SPDX-License-Identifier: Apache-2.0
"""This host's own addresses, gateways and neighbours, asked of iproute2. I/O."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import structlog

from edged.config.schema import Config
from edged.values import IpAddress, MacAddress, Prefix, host_prefix, parse_address, parse_mac

log = structlog.get_logger(__name__)

_QUESTIONS = (
    ("address", "show"),
    ("-4", "route", "show", "table", "all"),
    ("-6", "route", "show", "table", "all"),
)
_SECONDS = 2.0


def own_prefixes() -> tuple[Prefix, ...] | None:
    """Every address and gateway of this host but loopback and link-local ones; None when ``ip`` cannot say."""
    found: set[str] = set()
    for question in _QUESTIONS:
        rows = _asked(question)
        if rows is None:
            return None
        for row in rows:
            found.update(info["local"] for info in row.get("addr_info", ()) if "local" in info)
            if row.get("dst") == "default" and "gateway" in row:
                found.add(row["gateway"])
    addresses = (parse_address(text) for text in sorted(found))
    return tuple(host_prefix(a) for a in addresses if not (a.is_loopback or a.is_link_local))


def _asked(question: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """The rows of one ``ip -j``; None when it fails."""
    try:
        output = subprocess.run(  # noqa: S603  # a fixed program with fixed arguments
            ["ip", "-j", *question],  # noqa: S607  # iproute2 lives in /sbin or /bin by distribution
            capture_output=True, check=True, timeout=_SECONDS,
        ).stdout  # fmt: skip
        rows: list[dict[str, Any]] = json.loads(output or b"[]")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("host-addresses-unknown", error=type(error).__name__)
        return None
    return rows


def neighbours() -> dict[IpAddress, MacAddress]:
    """Address to MAC of everybody on the router's own links; empty when ``ip`` cannot say."""
    found: dict[IpAddress, MacAddress] = {}
    for row in _asked(("neigh", "show", "nud", "all")) or ():
        try:
            found[parse_address(row["dst"])] = parse_mac(row["lladdr"])
        except (KeyError, ValueError):
            continue  # incomplete, or no Ethernet
    return found


def own_addresses(config: Config, before: tuple[Prefix, ...] = ()) -> tuple[Prefix, ...]:
    """What billing can never block: this host, its gateways, the portal, the resolvers.

    ``before``: what it was, for when ``ip`` cannot say what it is.
    """
    configured = [*config.portal.addresses, *(u.address for u in config.dns.upstreams)]
    own = own_prefixes()
    always = (host_prefix(a) for a in configured if not a.is_loopback)
    return tuple(dict.fromkeys((*(before if own is None else own), *always)))
