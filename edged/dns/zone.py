# SPDX-License-Identifier: Apache-2.0
"""The synthetic root zone: settings in, every answer that edged gives by itself out, built once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from edged.dns import names, reply
from edged.dns.codes import Ede, Rcode, Type
from edged.dns.names import ROOT, SuffixMap, SuffixSet
from edged.dns.reply import Body
from edged.dns.settings import DnsSettings
from edged.dns.special import NAMES, Special
from edged.policy.probes import PROBE_HOSTS
from edged.policy.settings import GardenSettings
from edged.values import IpAddress

PROBE_TTL = 5
"""Seconds: the first check after a payment must see the true host."""


Held = tuple[Body, tuple[IpAddress, ...]]
"""An answer, and the addresses in it."""


class Host(NamedTuple):
    """A name of the zone: what it answers by type."""

    by_type: dict[int, Held]
    other: Held
    """For every type that is not listed."""
    ttl: int


def host(addresses: Iterable[IpAddress], ttl: int, zone: bytes = ROOT, *, forged: bool = False) -> Host:
    """A name with ``addresses``; a family that has none, and every other type, is NODATA (never NXDOMAIN)."""
    held = tuple(addresses)
    nodata = reply.negative(Rcode.NOERROR, zone, ttl, Ede.BLOCKED if forged else None)
    by_type: dict[int, Held] = {Type.ANY: (reply.hinfo(ttl), ())}
    for version, qtype in ((4, Type.A), (6, Type.AAAA)):
        family = tuple(a for a in held if a.version == version)
        if family:
            by_type[qtype] = reply.positive(family, ttl, Ede.FORGED if forged else None), family
    return Host(by_type, (nodata, ()), ttl)


def nowhere(ttl: int, zone: bytes = ROOT) -> Host:
    """A name that does not exist."""
    return Host({}, (reply.negative(Rcode.NXDOMAIN, zone, ttl), ()), ttl)


def empty(ttl: int, zone: bytes = ROOT) -> Host:
    """A name that exists and has nothing, ANY included."""
    return Host({}, (reply.negative(Rcode.NOERROR, zone, ttl), ()), ttl)


def apex(ttl: int, portal_name: bytes) -> Host:
    """The root itself: SOA and NS, and no address."""
    by_type: dict[int, Held] = {
        Type.SOA: (Body(ancount=1, sections=reply.soa(ROOT, ttl)), ()),
        Type.NS: (reply.single(Type.NS, ttl, portal_name or ROOT), ()),
        Type.ANY: (reply.hinfo(ttl), ()),
    }
    return Host(by_type, (reply.negative(Rcode.NOERROR, ROOT, ttl, None), ()), ttl)


@dataclass(frozen=True, slots=True)
class Zone:
    """Every answer of our own."""

    ttl: int
    portal_name: bytes
    """Lower-case wire octets; empty: there is no page."""
    portal: Host
    """The page's own name: the same for everybody."""
    sinkhole: Host
    """Any other name, for a blocked subscriber."""
    probe: Host
    nowhere: Host
    apex: Host
    reverse: dict[bytes, Body]
    """PTR answers for the portal's addresses."""
    everywhere: SuffixMap[tuple[Special, Host]]
    """The special names that are ours for subscribers who are not blocked, too."""
    special: SuffixMap[tuple[Special, Host]]
    probes: frozenset[bytes]
    records: SuffixMap[Host]
    garden: SuffixSet

    def names(self) -> set[bytes]:
        """Every name with a rule of its own; the rule may hold for the names below it, too."""
        maps = (self.everywhere, self.special, self.records, self.garden)
        own = {self.portal_name} if self.portal_name else set()
        return own.union(self.reverse, self.probes, *(held.names() for held in maps))


def compile_zone(
    settings: DnsSettings, garden: GardenSettings, portal_host: str, portal_addresses: tuple[IpAddress, ...]
) -> Zone:
    """The zone of this configuration."""
    # 0 is mishandled by some customer routers and multiplies the queries
    ttl = max(1, int(settings.ttl))
    portal_name = names.lower(names.to_wire(portal_host)) if portal_host else b""
    pointer = reply.single(Type.PTR, ttl, portal_name)
    return Zone(
        ttl=ttl,
        portal_name=portal_name,
        portal=host(portal_addresses, ttl),
        sinkhole=host(portal_addresses, ttl, forged=True),
        probe=host(portal_addresses, min(ttl, PROBE_TTL), forged=True),
        nowhere=nowhere(ttl),
        apex=apex(ttl, portal_name),
        reverse={names.to_wire(a.reverse_pointer): pointer for a in portal_addresses if portal_name},
        everywhere=SuffixMap((row.name, (row, _special_host(row, ttl))) for row in NAMES if row.everyone),
        special=SuffixMap((row.name, (row, _special_host(row, ttl))) for row in NAMES),
        probes=frozenset(names.to_wire(name) for name in PROBE_HOSTS),
        records=SuffixMap((name, host(addresses, ttl)) for name, addresses in garden.records.items()),
        garden=SuffixSet(garden.all_names()),
    )


def _special_host(row: Special, ttl: int) -> Host:
    apex = names.lower(names.to_wire(row.zone))
    if row.rcode is Rcode.NXDOMAIN:
        return nowhere(ttl, apex)
    return host(row.addresses, ttl, apex) if row.addresses else empty(ttl, apex)
