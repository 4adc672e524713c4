# SPDX-License-Identifier: Apache-2.0
"""The synthetic root zone: settings in, every answer that edged gives by itself out, built once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def nowhere(ttl: int, zone: bytes = ROOT, ede: Ede | None = None) -> Host:
    """A name that does not exist."""
    return Host({}, (reply.negative(Rcode.NXDOMAIN, zone, ttl, ede), ()), ttl)


def empty(ttl: int, zone: bytes = ROOT, ede: Ede | None = None) -> Host:
    """A name that exists and has nothing, ANY included."""
    return Host({}, (reply.negative(Rcode.NOERROR, zone, ttl, ede), ()), ttl)


def apex(ttl: int, zone: bytes = ROOT, server: bytes = ROOT) -> Host:
    """The top of a zone: SOA and NS, and no address (RFC 6303, section 3)."""
    by_type: dict[int, Held] = {
        Type.SOA: (Body(ancount=1, sections=reply.soa(zone, ttl)), ()),
        Type.NS: (reply.single(Type.NS, ttl, server), ()),
        Type.ANY: (reply.hinfo(ttl), ()),
    }
    return Host(by_type, (reply.negative(Rcode.NOERROR, zone, ttl, None), ()), ttl)


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
    nothing: Host
    """A name that exists, because names below it do."""
    apex: Host
    reverse: SuffixMap[Host]
    """The names of the portal's addresses."""
    everywhere: SuffixMap[tuple[Special, Host]]
    """The special names that are ours for subscribers who are not blocked, too."""
    special: SuffixMap[tuple[Special, Host]]
    tops: frozenset[bytes]
    """Top-level domains of all names that have an answer: NXDOMAIN there would end those, too (RFC 8020)."""
    probes: frozenset[bytes]
    records: SuffixMap[Host]
    garden: SuffixSet

    def names(self) -> set[bytes]:
        """Every name with a rule of its own; the rule may hold for the names below it, too."""
        maps = (self.reverse, self.everywhere, self.special, self.records, self.garden)
        own = {self.portal_name} if self.portal_name else set()
        return own.union(self.probes, *(held.names() for held in maps))


def compile_zone(
    settings: DnsSettings, garden: GardenSettings, portal_host: str, portal_addresses: tuple[IpAddress, ...]
) -> Zone:
    """The zone of this configuration."""
    # 0 is mishandled by some customer routers and multiplies the queries
    ttl = max(1, int(settings.ttl))
    portal_name = names.lower(names.to_wire(portal_host)) if portal_host else b""
    pointers = tuple(a.reverse_pointer for a in portal_addresses if portal_host)
    special = _special(ttl, pointers)
    known = (portal_host, *PROBE_HOSTS, *garden.records, *garden.all_names(), *(row.base for row in NAMES))
    return Zone(
        ttl=ttl,
        portal_name=portal_name,
        portal=host(portal_addresses, ttl),
        sinkhole=host(portal_addresses, ttl, forged=True),
        probe=host(portal_addresses, min(ttl, PROBE_TTL), forged=True),
        nowhere=nowhere(ttl, ede=Ede.BLOCKED),
        nothing=empty(ttl, ede=Ede.BLOCKED),
        apex=apex(ttl, server=portal_name or ROOT),
        reverse=SuffixMap((name, _pointer(name, portal_name, ttl, special)) for name in pointers),
        everywhere=SuffixMap(_entries((row for row in NAMES if row.everyone), ttl)),
        special=special,
        tops=frozenset(map(_top, known)),
        probes=frozenset(names.to_wire(name) for name in PROBE_HOSTS),
        records=SuffixMap((name, host(addresses, ttl)) for name, addresses in garden.records.items()),
        garden=SuffixSet(garden.all_names()),
    )


Entry = tuple[str, tuple[Special, Host]]


def _entries(rows: Iterable[Special], ttl: int) -> Iterator[Entry]:
    """Each row as a SuffixMap has it; a zone of its own has an apex apart from what is below."""
    for row in rows:
        zone = names.to_wire(row.zone)
        below = nowhere(ttl, zone, row.ede) if row.rcode is Rcode.NXDOMAIN else empty(ttl, zone, row.ede)
        if not row.own_zone:
            yield row.name, (row, host(row.addresses, ttl) if row.addresses else below)
            continue
        top = apex(ttl, zone, zone)
        held = {**host(row.addresses, ttl).by_type, **top.by_type, Type.DS: _above(row.base, ttl)}
        if row.rcode is Rcode.NOERROR:
            # the zone is there to say that there is nothing, whatever is asked
            del held[Type.ANY]
        yield row.base, (row, Host(held, top.other, ttl))
        yield f"*.{row.base}", (row, below)


def _above(name: str, ttl: int) -> Held:
    """No DS: the answer of the zone above ``name`` (RFC 4035, section 3.1.4.1)."""
    zone = next((z for z in ("in-addr.arpa", "ip6.arpa") if name.endswith(f".{z}")), ".")
    return reply.negative(Rcode.NOERROR, names.to_wire(zone), ttl, None), ()


def _special(ttl: int, pointers: Iterable[str]) -> SuffixMap[tuple[Special, Host]]:
    """The special names, and the names between two of them or above one of ``pointers``: those exist, and are empty."""
    held = SuffixMap(_entries(NAMES, ttl))
    between: dict[str, tuple[Special, Host]] = {}
    for name in (*pointers, *(row.base for row in NAMES)):
        parent = name
        while (parent := parent.partition(".")[2]) and (found := held.find(names.to_wire(parent))):
            row = found[0]
            between.setdefault(parent, (row, empty(ttl, names.to_wire(row.zone), row.ede)))
    # of two entries for one name the first counts, and an apex is more than empty
    return SuffixMap((*_entries(NAMES, ttl), *between.items()))


def _pointer(name: str, target: bytes, ttl: int, special: SuffixMap[tuple[Special, Host]]) -> Host:
    """The reverse name of an address of the portal: the PTR, and nothing of another type."""
    found = special.find(names.to_wire(name))
    zone = names.to_wire(found[0].zone) if found else ROOT
    by_type: dict[int, Held] = {Type.PTR: (reply.single(Type.PTR, ttl, target), ()), Type.ANY: (reply.hinfo(ttl), ())}
    return Host(by_type, (reply.negative(Rcode.NOERROR, zone, ttl, None), ()), ttl)


def _top(text: str) -> bytes:
    """The top-level domain of ``text`` (a SuffixMap's spelling), lower-case wire octets; the root has none."""
    wire = names.lower(names.to_wire(text.removeprefix("*").removeprefix(".")))
    while wire[0] and wire[1 + wire[0]]:
        wire = names.parent(wire)
    return wire
