# SPDX-License-Identifier: Apache-2.0
"""The values of a probe: who plays the phone, what the configuration promises, what was found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from edged.captive.capport import capport_options
from edged.config.schema import Config
from edged.values import Prefix, host_prefix, parse_address

Facts = Mapping[str, Any]
"""What ``edged.phone`` saw of one order; ``outcome`` is always there."""
Seen = Mapping[str, Facts]
"""By the name of the order, ``STEP/FAMILY``."""
Order = dict[str, Any]
FAMILIES = (4, 6)
FOREIGN = "example.com"
"""A name that nobody's garden holds (RFC 2606)."""
PUBLIC = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
"""A public resolver that devices have in their settings; it answers DNS, TLS, DNS over TLS and QUIC."""


class State(StrEnum):
    """How one step went."""

    PASS = "PASS"  # noqa: S105  # a word of the report, not a password
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Finding:
    """One step: what was seen, and where it failed what it means and how to mend it."""

    step: str
    """``dns``, ``check-apple`` and so on."""
    family: int
    """4 or 6; 0: of both."""
    state: State
    seen: str
    means: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Phone:
    """Who is played, and what it was told about its surroundings."""

    mac: str
    addresses: Mapping[int, str]
    """By family; a family without one is not tried."""
    fallback: Mapping[int, str] = field(default_factory=dict)
    """This host's own gateways there."""
    leases: bool = False
    """True: its addresses come from DHCP and router advertisements."""
    gateways: Mapping[int, str] = field(default_factory=dict)
    macs: Mapping[int, str] = field(default_factory=dict)
    """Of the gateways."""
    resolvers: Mapping[int, str] = field(default_factory=dict)
    public: Mapping[int, str] = field(default_factory=lambda: PUBLIC)
    foreign: str = FOREIGN

    @property
    def families(self) -> tuple[int, ...]:
        """The families that can be tried: an address, and somebody to send to."""
        return tuple(f for f in FAMILIES if f in self.addresses and f in self.macs)

    def resolver(self, family: int) -> str:
        """Whom it asks: the resolver that it was given, else the public one."""
        return self.resolvers.get(family) or self.public[family]

    @property
    def named(self) -> str:
        """Its addresses, for the headline."""
        return " and ".join(self.addresses[f] for f in FAMILIES if f in self.addresses) or self.mac


@dataclass(frozen=True, slots=True)
class Expected:
    """What the configuration promises a blocked line."""

    site: str
    watching: bool
    portal: Mapping[int, tuple[str, ...]]
    """By family."""
    host: str
    url: str
    port: int
    """Of the page's URL."""
    api: str
    """The URI that DHCP and router advertisements may name; empty: the page's URL cannot stand there."""
    forward: str
    """reject or drop; empty: the target's own rules decide."""
    foreign_tls: str
    garden: str
    """One name of the garden; empty: it has none."""
    garden_port: int
    garden_networks: tuple[Prefix, ...]
    served: tuple[Prefix, ...]
    exempt: tuple[Prefix, ...]

    @property
    def every_portal(self) -> tuple[str, ...]:
        """The page's addresses of both families."""
        return self.portal[4] + self.portal[6]

    def opens(self, address: str) -> bool:
        """True when the garden holds ``address`` whatever its name is."""
        own = host_prefix(parse_address(address))
        return any(network.contains(own) for network in self.garden_networks)


@dataclass(frozen=True, slots=True)
class Trial:
    """Everything there is to judge by: who is played, the promise, what DNS said, what the web did."""

    phone: Phone
    expected: Expected
    names: Seen = field(default_factory=dict)
    web: Seen = field(default_factory=dict)

    def told(self, name: str, family: int) -> tuple[str, ...]:
        """What the phone was told that ``name`` is."""
        return tuple(self.names.get(f"name:{name}/{family}", {}).get("addresses", ()))


def expected(config: Config) -> Expected:
    """The promise of ``config``; ValueError: there is no page, so there is nothing to try."""
    portal, garden = config.portal, config.garden
    if not portal.url or not portal.addresses:
        raise ValueError("portal.url and portal.addresses are missing: a blocked line has no page to meet")
    ports = garden.ports
    names = [name for name in (*garden.names, *garden.all_names()) if name[0] not in "*."]
    bare = [name[1:] for name in garden.all_names() if name.startswith(".")]
    try:
        api = capport_options(portal.url).uri
    except ValueError:
        api = ""
    return Expected(
        site=config.site,
        watching=config.mode == "watch",
        portal={f: tuple(str(a) for a in portal.addresses if a.version == f) for f in FAMILIES},
        host=portal.host,
        url=portal.url,
        port=urlsplit(portal.url).port or 443,
        api=api,
        forward=_forward(config),
        foreign_tls=portal.foreign_tls,
        garden=next(iter((*names, *bare)), "") if ports else "",
        garden_port=443 if 443 in ports else next(iter(ports), 0),
        garden_networks=garden.networks,
        served=config.subscribers.networks,
        exempt=config.subscribers.exempt,
    )


def _forward(config: Config) -> str:
    """What the first target that says so does with the rest of a blocked line's traffic."""
    for target in config.enforce:
        said = target.nftables or target.routeros
        if target.routeros is not None and target.routeros.rules == "leave":
            continue
        if said is not None:
            return said.forward
    return ""
