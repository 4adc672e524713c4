# SPDX-License-Identifier: Apache-2.0
"""The sets of our table as a table: name, family, hash or interval, and why it exists. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from edged.values import BITS, MacAddress, Prefix

Element = int | Prefix | MacAddress
"""A host as its integer, a prefix, or a MAC address, as the set's kind says."""


class Kind(StrEnum):
    """What one element of a set is, and how the packet filter stores it."""

    HOST = "host"
    """A single address in a hash set: one change costs microseconds at any size."""
    PREFIX = "prefix"
    """Prefixes in an interval set: one change costs the whole set, so it is refilled in one transaction."""
    MAC = "mac"
    """Hardware addresses in a hash set."""


class SetName(StrEnum):
    """The sets that the policy fills; the learned garden is not among them, it fills and empties itself."""

    BLOCKED_HOSTS_4 = "blocked4h"
    BLOCKED_HOSTS_6 = "blocked6h"
    BLOCKED_PREFIXES_4 = "blocked4n"
    BLOCKED_PREFIXES_6 = "blocked6n"
    BLOCKED_MACS = "blockedm"
    MOVED_MACS = "blockedw"
    NOTICE_HOSTS_4 = "notice4h"
    NOTICE_HOSTS_6 = "notice6h"
    NOTICE_PREFIXES_4 = "notice4n"
    NOTICE_PREFIXES_6 = "notice6n"
    NOTICE_MACS = "noticem"
    EXEMPT_4 = "exempt4"
    EXEMPT_6 = "exempt6"
    SERVED_4 = "served4"
    SERVED_6 = "served6"
    GARDEN_NETWORKS_4 = "gnet4"
    GARDEN_NETWORKS_6 = "gnet6"
    PORTAL_4 = "portal4"
    PORTAL_6 = "portal6"


@dataclass(frozen=True, slots=True)
class SetSpec:
    """One row: how a set is declared."""

    version: int
    """4, 6, or 0 for hardware addresses."""
    kind: Kind
    blocked: bool = False
    """True: who is in it is cut off, so a change of it flushes their connections."""


SETS: dict[SetName, SetSpec] = {
    # nearly every subscriber is a single IPv4 address: hash, so that blocking one costs nothing
    SetName.BLOCKED_HOSTS_4: SetSpec(4, Kind.HOST, blocked=True),
    SetName.BLOCKED_HOSTS_6: SetSpec(6, Kind.HOST, blocked=True),
    # delegated prefixes and business lines
    SetName.BLOCKED_PREFIXES_4: SetSpec(4, Kind.PREFIX, blocked=True),
    SetName.BLOCKED_PREFIXES_6: SetSpec(6, Kind.PREFIX, blocked=True),
    # subscribers on our own layer 2; a PPP interface has none
    SetName.BLOCKED_MACS: SetSpec(0, Kind.MAC, blocked=True),
    # devices that edged put on the Wi-Fi's VLAN of the blocked: they count on its interfaces alone
    SetName.MOVED_MACS: SetSpec(0, Kind.MAC, blocked=True),
    # open lines whose reminder is due: the same three kinds, and nothing but new flows to port 80 is led away
    SetName.NOTICE_HOSTS_4: SetSpec(4, Kind.HOST),
    SetName.NOTICE_HOSTS_6: SetSpec(6, Kind.HOST),
    SetName.NOTICE_PREFIXES_4: SetSpec(4, Kind.PREFIX),
    SetName.NOTICE_PREFIXES_6: SetSpec(6, Kind.PREFIX),
    SetName.NOTICE_MACS: SetSpec(0, Kind.MAC),
    # looked at before everything that could block: also before a blocked MAC
    SetName.EXEMPT_4: SetSpec(4, Kind.PREFIX),
    SetName.EXEMPT_6: SetSpec(6, Kind.PREFIX),
    # a blocked MAC counts only with an address that is ours to serve
    SetName.SERVED_4: SetSpec(4, Kind.PREFIX),
    SetName.SERVED_6: SetSpec(6, Kind.PREFIX),
    # the garden that the operator wrote down as networks
    SetName.GARDEN_NETWORKS_4: SetSpec(4, Kind.PREFIX),
    SetName.GARDEN_NETWORKS_6: SetSpec(6, Kind.PREFIX),
    # the page itself: reached by everyone, from wherever it is routed
    SetName.PORTAL_4: SetSpec(4, Kind.HOST),
    SetName.PORTAL_6: SetSpec(6, Kind.HOST),
}

GARDEN_SET = {4: "garden4", 6: "garden6"}
"""The learned garden per IP version: addresses from DNS answers, each with its own time to live."""
ASIDE_SET = {4: "aside4", 6: "aside6"}
"""Pairs of a reminded line's address and a destination that the reminder leaves alone for a while, per IP version."""
ALIVE_SET = "alive"
"""Holds TCP for as long as edged lives, a few seconds at a time: no reminder leads anywhere without it."""

ALL_SETS = frozenset(SetName)
"""What a target can hold that leaves nothing out."""

Elements = AbstractSet[Element]
"""Never changed once it is made."""
Sets = Mapping[SetName, Elements]


def element_texts(name: SetName, elements: Iterable[Element]) -> Iterator[str]:
    """The elements of set ``name`` as text, in numeric order."""
    version = SETS[name].version
    for element in sorted(elements):
        yield str(Prefix(version, element, BITS[version])) if isinstance(element, int) else str(element)
