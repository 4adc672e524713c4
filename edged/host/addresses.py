# SPDX-License-Identifier: Apache-2.0
"""This host's own addresses, gateways and neighbours, asked of iproute2. I/O."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple

import structlog

from edged.config.schema import Config
from edged.values import IpAddress, MacAddress, Prefix, host_prefix, parse_address, parse_mac, parse_prefix

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
        rows = asked(question)
        if rows is None:
            return None
        for row in rows:
            found.update(info["local"] for info in row.get("addr_info", ()) if "local" in info)
            if row.get("dst") == "default" and "gateway" in row:
                found.add(row["gateway"])
    addresses = (parse_address(text) for text in sorted(found))
    return tuple(host_prefix(a) for a in addresses if not (a.is_loopback or a.is_link_local))


def asked(question: tuple[str, ...]) -> list[dict[str, Any]] | None:
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


class Neighbour(NamedTuple):
    """Somebody on one of the router's own links."""

    address: IpAddress
    mac: MacAddress
    interface: str


class Neighbourhood:
    """Everybody on the router's own links, at one look."""

    __slots__ = ("_holders", "_links", "admitted", "rows")

    def __init__(self, rows: Iterable[Neighbour] = (), links: Mapping[str, Sequence[Prefix]] | None = None) -> None:
        """``links``: the networks of some interfaces."""
        self.rows = tuple(rows)
        self._links = links or {}
        self._holders: dict[IpAddress, set[Neighbour]] = {}
        for one in self.rows if self._links else ():
            self._holders.setdefault(one.address, set()).add(one)
        there = (one for one in self.rows if one.interface in self._links)
        self.admitted = {one.address: one.mac for one in there if self.admits(one)}
        """Those at the interfaces whose networks are known."""

    def judges(self, interface: str) -> bool:
        """True where the networks of ``interface`` are known."""
        return interface in self._links

    def admits(self, one: Neighbour) -> bool:
        """True for an address of a network that its interface has, and that nobody else has at another one.

        Whoever is there can claim any address in a frame: one from elsewhere is not theirs.
        """
        if any(other.interface != one.interface for other in self._holders.get(one.address, ())):
            return False
        return any(link.contains(host_prefix(one.address)) for link in self._links.get(one.interface, ()))


def neighbourhood(interfaces: Collection[str] = ()) -> Neighbourhood | None:
    """As it is now, with the networks of ``interfaces``; None when ``ip`` cannot say."""
    found: list[Neighbour] = []
    # the networks first: whoever is there by then is judged by them
    links = _links(interfaces) if interfaces else {}
    rows = asked(("neigh", "show", "nud", "all"))
    if links is None or rows is None:
        return None
    for row in rows:
        try:
            found.append(Neighbour(parse_address(row["dst"]), parse_mac(row["lladdr"]), row["dev"]))
        except (KeyError, ValueError):
            continue  # incomplete, or no Ethernet
    return Neighbourhood(found, links)


def _links(interfaces: Collection[str]) -> dict[str, list[Prefix]] | None:
    """The networks of each of ``interfaces``, by its addresses; without the link-local ones, in which everybody is."""
    found: dict[str, list[Prefix]] = {}
    rows = asked(("address", "show"))
    if rows is None:
        return None
    for row in rows:
        if row.get("ifname") in interfaces:
            texts = (f"{one['local']}/{one['prefixlen']}" for one in row.get("addr_info", ()) if "local" in one)
            networks = (ip_network(text, strict=False) for text in texts)
            found[row["ifname"]] = [parse_prefix(str(n)) for n in networks if not n.is_link_local]
    return found


def own_addresses(config: Config, before: tuple[Prefix, ...] = ()) -> tuple[Prefix, ...]:
    """What billing can never block: this host, its gateways, the portal, the resolvers, what its pair shares.

    ``before``: what it was, for when ``ip`` cannot say what it is.
    """
    configured = [*config.portal.addresses, *config.pair.addresses, *(u.address for u in config.dns.upstreams)]
    own = own_prefixes()
    always = (host_prefix(a) for a in configured if not (a.is_loopback or a.is_link_local))
    return tuple(dict.fromkeys((*(before if own is None else own), *always)))
