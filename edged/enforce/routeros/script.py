# SPDX-License-Identifier: Apache-2.0
"""What a router should have in, the whole script that gives it, or takes it away, out. Pure. RouterOS: "Scripting".

One pair of braces around all of it: ``:error`` ends a script that is pasted, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edged.enforce.ranges import outermost
from edged.enforce.routeros.access import (
    nobody_part,
    radius_entries,
    radius_needs_secret,
    radius_part,
    service_part,
    user_needs_password,
    user_part,
)
from edged.enforce.routeros.commands import literal
from edged.enforce.routeros.dhcp import NETWORKS, dhcp_part
from edged.enforce.routeros.entries import spelled
from edged.enforce.routeros.layout import ADDRESS_LISTS, FILTER, IN, NAT, OUT, TAG, Layout
from edged.enforce.routeros.rows import Row, menus
from edged.enforce.routeros.sections import SCRIPT_TAG, Kept, block, lists_part, rules_part, where_it_is
from edged.enforce.rules import Rules
from edged.values import Prefix, host_prefix


class Part(StrEnum):
    """What a script may be asked for alone."""

    RULES = "rules"
    """Rules and lists."""
    ACCESS = "access"
    DHCP = "dhcp"


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """How a target through the API gets in."""

    user: str
    host: str
    tls: bool
    port: int


@dataclass(frozen=True, slots=True)
class CoaAccess:
    """How a target through RADIUS gets in."""

    port: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """What one router should have."""

    router: str
    layout: Layout
    rules: Rules
    access: ApiAccess | CoaAccess
    sources: tuple[Prefix, ...] = ()
    """From where edged comes, as the router sees it."""
    names: tuple[str, ...] = ()
    """Garden names that the router resolves itself; only where no API carries what edged learns."""
    uri: bytes = b""
    """Of the captive portal API; empty: it is named nowhere."""
    networks: tuple[Prefix, ...] = ()
    """Of subscribers."""
    notes: tuple[str, ...] = ()
    """What the operator should know, at the head."""
    parts: tuple[Part, ...] = tuple(Part)

    @property
    def is_adopted(self) -> bool:
        """True when a target through the API takes the rules for its own and keeps them."""
        return isinstance(self.access, ApiAccess) and self.layout.rules


NO_IPV6 = "  the router has no IPv6 {}: that family is neither steered nor refused here"
NO_NAT6 = "  the router has no IPv6 NAT: that family is refused, never steered"
NO_DHCP = "  the router has no DHCP server: option 114 was not set"


def preparing(wanted: Preparation) -> str:
    """The script that prepares a router, from nothing as from whatever an older one left."""
    lines = [f"# Prepares the router {literal(wanted.router)} for edged. Running it again changes nothing."]
    lines += [f"# {literal(note)[1:-1]}" for note in wanted.notes]
    lines += ["{", *_secrets(wanted)]
    lines += _parts(wanted)
    return "\n".join([*lines, ':put "prepared for edged"', "}", ""])


def removing(wanted: Preparation) -> str:
    """The script that takes away what any script of ours, or a target of edged's, has put on a router."""
    lines = [
        f"# Takes away from the router {literal(wanted.router)} what edged has put there. Stop edged first.",
        "# The services api and api-ssl, their certificates and /radius incoming stay as they are.",
        "{",
    ]
    if Part.RULES in wanted.parts:
        no_rows, no_entries = dict.fromkeys((*NAT.values(), *FILTER.values()), ()), dict.fromkeys(ADDRESS_LISTS, ())
        lines += _rules(no_rows, no_entries, Kept(TAG, wanted.layout.names), tells=False)
    if Part.ACCESS in wanted.parts:
        lines += [block(nobody_part(), "users"), block(radius_entries(()), "RADIUS servers")]
    if Part.DHCP in wanted.parts:
        lines.append(where_it_is(NETWORKS, dhcp_part(b"", ())))
    return "\n".join([*lines, ':put "what was edged\'s is gone"', "}", ""])


def _secrets(wanted: Preparation) -> Iterator[str]:
    if Part.ACCESS not in wanted.parts:
        return
    name, what = ("password", "the user's") if isinstance(wanted.access, ApiAccess) else ("secret", "the shared")
    yield f"# {what} {name}, as in edged's configuration; a backslash goes before each of these in it: \\ \" $"
    yield f':local {name} ""'
    if isinstance(wanted.access, ApiAccess):
        yield user_needs_password(wanted.access.user)
    else:
        yield radius_needs_secret(wanted.sources)


def _parts(wanted: Preparation) -> Iterator[str]:
    if Part.RULES in wanted.parts:
        kept = Kept(SCRIPT_TAG, wanted.layout.names)
        if isinstance(wanted.access, ApiAccess):
            kept = Kept(TAG, wanted.layout.names, wanted.layout.blocked, wanted.layout.garden)
        yield from _rules(_rows(wanted), _entries(wanted), kept, tells=True)
    if Part.ACCESS in wanted.parts:
        access, sources = wanted.access, wanted.sources
        if isinstance(access, ApiAccess):
            yield block(user_part(access.user, sources), "the user")
            api = service_part(tls=access.tls, port=access.port, host=access.host, sources=sources)
            yield block(api, "the API")
            yield block(radius_entries(()), "RADIUS servers of an older script")
        else:
            yield block(radius_part(sources, access.port), "CoA and Disconnect")
            yield block(nobody_part(), "users of an older script")
    if Part.DHCP in wanted.parts:
        body = dhcp_part(wanted.uri, wanted.networks)
        yield f"# DHCPv4 option 114 (RFC 8910)\n{where_it_is(NETWORKS, body, NO_DHCP)}"


# --- rules and lists -------------------------------------------------------------------------------

Commented = Sequence[tuple[str, Row]]


def _rules(
    rows: Mapping[str, Commented], entries: Mapping[int, Sequence[tuple[str, str]]], kept: Kept, *, tells: bool
) -> Iterator[str]:
    """Lists before rules, so that the first jump finds its garden; NAT before the filter that refuses the rest.

    ``tells``: what a router has not is told.
    """
    for version, menu in ADDRESS_LISTS.items():
        yield _of(version, menu, lists_part(menu, kept, entries[version]), "lists", tells=tells)
    for nat_or_filter, title in ((NAT, "NAT"), (FILTER, "filter")):
        for version, menu in nat_or_filter.items():
            yield _of(version, menu, rules_part(menu, rows[menu]), title, tells=tells)


def _of(version: int, menu: str, body: str, title: str, *, tells: bool) -> str:
    """IPv6 may be missing: RouterOS 6 has no NAT there, or the package is not installed."""
    if version == 4:
        return block(body, f"IPv4 {title}")
    otherwise = NO_NAT6 if menu == NAT[6] else NO_IPV6.format(title)
    return f"# IPv6 {title}\n{where_it_is(menu, body, otherwise if tells else '')}"


def _rows(wanted: Preparation) -> dict[str, Commented]:
    """The target's own rows; bearing another tag, in chains of their own, where no target keeps them."""
    found = menus(wanted.rules, replace(wanted.layout, rules=True))
    if wanted.is_adopted:
        return {menu: [(row.comment, row) for row in rows] for menu, rows in found.items()}
    return {menu: [(f"{SCRIPT_TAG}: {row.key}", _apart(row)) for row in rows] for menu, rows in found.items()}


_CHAINS = {OUT: f"{SCRIPT_TAG}-out", IN: f"{SCRIPT_TAG}-in"}


def _apart(row: Row) -> Row:
    fields = {
        name: _CHAINS.get(value, value) if name in {"chain", "jump-target"} else value
        for name, value in row.fields.items()
    }
    return replace(row, fields=fields)


def _entries(wanted: Preparation) -> dict[int, list[tuple[str, str]]]:
    """The lists that only the configuration changes, each address as the router prints it."""
    portals = [(wanted.layout.portal, host_prefix(address)) for address in wanted.rules.portals]
    networks = wanted.rules.garden_networks
    # as the target wants them: what lies in another network needs no entry
    garden = [
        (wanted.layout.garden, p) for v in ADDRESS_LISTS for p in outermost(q for q in networks if q.version == v)
    ]
    names = [(wanted.layout.garden, name) for name in wanted.names]
    return {
        version: [*((name, spelled(p)) for name, p in (*portals, *garden) if p.version == version), *names]
        for version in ADDRESS_LISTS
    }
