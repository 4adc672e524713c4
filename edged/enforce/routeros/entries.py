# SPDX-License-Identifier: Apache-2.0
"""Printed rows of the address lists in, what is ours and what is not out; elements as addresses. Pure.

Seconds are those of a clock that never goes back, passed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from edged.enforce.routeros import commands
from edged.enforce.routeros.commands import Command
from edged.enforce.routeros.layout import ADDRESS_LISTS, CARRIED, LEARNED, TAG, Layout, is_ours
from edged.enforce.sets import SETS, Element, Elements, SetName
from edged.values import BITS, IpAddress, Prefix, host_prefix, parse_address, parse_prefix

PROPERTIES = ".id,list,address,comment,timeout,disabled"
"""What is read of an entry."""

K = TypeVar("K")
Printed = Mapping[str, str]
"""One row as the router prints it."""


@dataclass(slots=True)
class Entry:
    """One entry of ours."""

    id: str
    """Empty: a script added it, and it was not read back yet."""
    ends: float = math.inf
    """Infinite: it is permanent."""
    is_disabled: bool = False


@dataclass(slots=True)
class Mirror:
    """What the router's three lists hold, as far as we know."""

    ours: dict[SetName, dict[Element, Entry]] = field(default_factory=lambda: {name: {} for name in CARRIED})
    learned: dict[IpAddress, Entry] = field(default_factory=dict)
    foreign: dict[SetName, dict[Element, bool]] = field(default_factory=lambda: {name: {} for name in CARRIED})
    """Entries of others in our lists, and whether they count."""
    connection: int = 0
    """The one for which the ids are true."""
    surplus: list[Command] = field(default_factory=list)
    """What takes those away that are ours and that nobody can want: a second one of its like, a range."""

    def elements(self, name: SetName, covered: Elements, now: float) -> Elements:
        """What is in force of a set: ours, and what is ``covered`` by somebody else's entry."""
        ours = self.ours[name]
        there = {element for element, entry in ours.items() if entry.ends > now and not entry.is_disabled}
        foreign = self.foreign[name]
        return frozenset(there | {element for element in covered if element in foreign})

    def prefixes(self, version: int) -> Iterable[Prefix]:
        """The blocked prefixes of one family, ours and others'."""
        name = SetName(f"blocked{version}n")
        return (element for element in (*self.ours[name], *self.foreign[name]) if isinstance(element, Prefix))

    def is_open(self, address: IpAddress, until: float) -> bool:
        """True when the garden is open for ``address`` until then: learned, or written down by anybody."""
        entry = self.learned.get(address)
        if entry is not None:
            return entry.ends >= until and not entry.is_disabled
        name, host = SetName(f"gnet{address.version}"), host_prefix(address)
        ours = self.ours[name].get(host)
        return (ours is not None and not ours.is_disabled) or self.foreign[name].get(host, False)

    def forget_learned(self, now: float) -> None:
        """Let those go whose time is up."""
        for address in [a for a, entry in self.learned.items() if entry.ends <= now]:
            del self.learned[address]

    @property
    def count(self) -> int:
        """How many entries are ours."""
        return sum(map(len, self.ours.values())) + len(self.learned)


def take(mirror: Mirror, version: int, rows: Iterable[Printed], layout: Layout, now: float) -> None:
    """Add the rows of one family's menu to ``mirror``."""
    names = set(layout.names)
    for row in rows:
        listed, comment = row.get("list", ""), row.get("comment", "")
        if listed not in names:
            continue
        name, element = _place(layout, listed, row.get("address", ""), version)
        disabled = row.get("disabled", "false") in {"true", "yes"}
        if is_ours(comment):
            left = commands.seconds(row.get("timeout", ""))
            entry = Entry(row.get(".id", ""), math.inf if left is None else now + left, disabled)
            gone = entry if name is None else _keep(mirror, name, element, entry, is_learned=comment == LEARNED)
            if gone is not None:
                mirror.surplus.append(commands.remove(ADDRESS_LISTS[version], gone.id))
        elif name is not None:
            mirror.foreign[name][element] = mirror.foreign[name].get(element, False) or not disabled


def _keep(mirror: Mirror, name: SetName, element: Element, entry: Entry, *, is_learned: bool) -> Entry | None:
    """Which entry is one too many: of two alike, the one that is disabled; and what nobody learns, or not for good."""
    if not is_learned:
        return _one_of(mirror.ours[name], element, entry)
    prefix = prefix_of(SETS[name].version, element)
    if entry.ends == math.inf or not name.value.startswith("gnet"):
        return entry
    return _one_of(mirror.learned, parse_address(str(prefix)), entry) if prefix.is_host else entry


def _one_of(entries: dict[K, Entry], key: K, entry: Entry) -> Entry | None:
    before = entries.setdefault(key, entry)
    if before is entry:
        return None
    if before.is_disabled and not entry.is_disabled:
        entries[key] = entry
        return before
    return entry


def _place(layout: Layout, listed: str, address: str, version: int) -> tuple[SetName | None, Element]:
    """The set that an address of a list belongs to, and what it is there; None: it is in no set of that list.

    So are a range, a name, and what belongs to the other family.
    """
    try:
        prefix = parse_prefix(address)
    except ValueError:
        return None, 0
    if prefix.version != version:
        return None, 0
    if listed == layout.garden:
        return SetName(f"gnet{version}"), prefix
    if listed == layout.blocked and not prefix.is_host:
        return SetName(f"blocked{version}n"), prefix
    if not prefix.is_host:
        return None, 0
    return SetName(f"blocked{version}h" if listed == layout.blocked else f"portal{version}"), prefix.network


def prefix_of(version: int, element: Element) -> Prefix:
    """A host's number as a prefix; a prefix as it is. ValueError for a MAC."""
    if isinstance(element, int):
        return Prefix(version, element, BITS[version])
    if isinstance(element, Prefix):
        return element
    raise ValueError("an address list holds no MAC")


def spelled(prefix: Prefix) -> str:
    """As RouterOS prints it: a host of IPv4 without a length, one of IPv6 with /128."""
    return f"{prefix}/128" if prefix.is_host and prefix.version == 6 else str(prefix)


def entry_command(layout: Layout, name: SetName, element: Element) -> Command:
    """The command that adds an element: for a while where it is of a blocked line and lives in memory."""
    version, listed = SETS[name].version, layout.list_of(name)
    arguments = {"list": listed, "address": spelled(prefix_of(version, element)), "comment": TAG}
    if layout.lease and listed == layout.blocked:
        arguments["timeout"] = commands.interval(layout.lease)
    return commands.add(ADDRESS_LISTS[version], arguments)


def learned_command(layout: Layout, address: IpAddress, life: float) -> Command:
    """The command that opens the garden for an address, for ``life`` seconds."""
    host = spelled(Prefix(address.version, int(address), BITS[address.version]))
    arguments = {"list": layout.garden, "address": host, "comment": LEARNED, "timeout": commands.interval(life)}
    return commands.add(ADDRESS_LISTS[address.version], arguments)
