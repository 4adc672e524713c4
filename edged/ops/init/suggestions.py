# SPDX-License-Identifier: Apache-2.0
"""What this host shows that an answer to ``edged init`` could be: interfaces, networks, addresses, a name. I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass

from edged.ops.doctor.looking import Unknown, links, own_routes, placed_addresses, ways_out
from edged.ops.doctor.values import Route
from edged.ops.init.configuration import Answers
from edged.values import parse_address, parse_prefix

_NOT_SUBSCRIBERS = tuple(map(parse_prefix, ("fe80::/10", "ff00::/8", "169.254.0.0/16", "127.0.0.0/8")))
_PRIVATE = tuple(map(parse_prefix, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))

_INSIDE = (parse_prefix("100.64.0.0/10"), *_PRIVATE)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found; anything may be empty, and a default of the manual's stands in."""

    links: tuple[str, ...] = ()
    """Those that route: up, and no port of a bridge."""
    out: frozenset[str] = frozenset()
    """Where the default routes lead."""
    placed: tuple[tuple[str, str], ...] = ()
    """Interfaces, each with an address of it."""
    routes: tuple[Route, ...] = ()
    name: str = ""

    @property
    def addresses(self) -> frozenset[str]:
        """Of every interface."""
        return frozenset(address for _, address in self.placed)

    def interfaces(self, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        """The first one that does not lead out, rather one with addresses that providers give to subscribers."""
        inside = [name for name in self.links if name not in self.out]
        likely = {r.interface for r in self.routes if any(n.contains(r.network) for n in _INSIDE)}
        return tuple(sorted(inside, key=lambda name: name not in likely)[:1]) or otherwise

    def networks(self, answers: Answers) -> tuple[str, ...]:
        """What is routed to the interfaces of ``answers``."""
        found = [
            str(route.network) for route in self.routes
            if route.interface in answers.interfaces and not any(n.contains(route.network) for n in _NOT_SUBSCRIBERS)
        ]  # fmt: skip
        return tuple(found[:8]) if answers.target == "nftables" and found else answers.networks

    def portal_addresses(self, answers: Answers) -> tuple[str, ...]:
        """One of each family that devices take: of the loopback interface rather than another, of no subscribers'."""
        found: dict[int, str] = {}
        taken = (*map(parse_prefix, answers.networks), *_PRIVATE)
        for _, text in sorted(self.placed, key=lambda one: one[0] != "lo"):
            address, own = parse_address(text), parse_prefix(text)
            if not (address.is_loopback or address.is_link_local or any(p.contains(own) for p in taken)):
                found.setdefault(address.version, text)
        return tuple(found[version] for version in sorted(found)) or answers.addresses

    def portal(self, otherwise: str) -> str:
        """A name in the domain of this host."""
        domain = self.name.partition(".")[2]
        return f"portal.{domain}" if domain else otherwise


def shown() -> Shown:
    """What there is now; whatever cannot be found out is left empty."""
    name = os.uname().nodename
    try:
        up = tuple(one.name for one in links() if one.is_up and not one.master and one.name != "lo")
        return Shown(up, ways_out(), placed_addresses(), own_routes(), name)
    except Unknown:
        return Shown(name=name)
