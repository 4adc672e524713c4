# SPDX-License-Identifier: Apache-2.0
"""What this host shows that an answer to ``edged init`` could be: interfaces, networks, addresses, a name. I/O."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from edged.ops.doctor.looking import Unknown, addresses, links, own_routes, ways_out
from edged.ops.doctor.values import Route
from edged.ops.initial import Answers
from edged.values import parse_address, parse_prefix

_NOT_SUBSCRIBERS = tuple(map(parse_prefix, ("fe80::/10", "ff00::/8", "169.254.0.0/16", "127.0.0.0/8")))
_PRIVATE = tuple(map(parse_prefix, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found; anything may be empty, and a default of the manual's stands in."""

    links: tuple[str, ...] = ()
    """Those that route: up, and no port of a bridge."""
    out: frozenset[str] = frozenset()
    """Where the default routes lead."""
    addresses: frozenset[str] = frozenset()
    routes: tuple[Route, ...] = ()
    name: str = ""

    def interfaces(self, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        """The first one that does not lead out."""
        inside = tuple(name for name in self.links if name not in self.out)
        return inside[:1] or otherwise

    def networks(self, answers: Answers) -> tuple[str, ...]:
        """What is routed to the interfaces of ``answers``."""
        found = [
            str(route.network) for route in self.routes
            if route.interface in answers.interfaces and not any(n.contains(route.network) for n in _NOT_SUBSCRIBERS)
        ]  # fmt: skip
        return tuple(found[:8]) if answers.target == "nftables" and found else answers.networks

    def portal_addresses(self, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        """One of each family that devices take."""
        found: dict[int, str] = {}
        for text in sorted(self.addresses):
            address, own = parse_address(text), parse_prefix(text)
            if not (address.is_loopback or address.is_link_local or any(p.contains(own) for p in _PRIVATE)):
                found.setdefault(address.version, text)
        return tuple(found[version] for version in sorted(found)) or otherwise

    def portal(self, otherwise: str) -> str:
        """A name in the domain of this host."""
        domain = self.name.partition(".")[2]
        return f"portal.{domain}" if domain else otherwise


def shown() -> Shown:
    """What there is now; whatever cannot be found out is left empty."""
    found = Shown(name=os.uname().nodename)
    with suppress(Unknown):
        up = tuple(one.name for one in links() if one.is_up and not one.master and one.name != "lo")
        found = Shown(up, frozenset(), addresses(), own_routes(), found.name)
        found = Shown(up, ways_out(), found.addresses, found.routes, found.name)
    return found
