# SPDX-License-Identifier: Apache-2.0
"""Rules and edits, or what a plan makes of them, in; the text of one nft transaction (and of ``edged plan``) out. Pure.

The table is never deleted: adding what exists changes nothing, chains are refilled within the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from edged.enforce.edits import Edit, Timed, Verb, whole
from edged.enforce.rules import Portal, Rules
from edged.enforce.sets import ALIVE_SET, ASIDE_SET, GARDEN_SET, SETS, Kind, SetName, element_texts
from edged.values import INTERFACE

if TYPE_CHECKING:  # as in edits
    from edged.enforce.desired import Desired
    from edged.enforce.diff import Plan

TABLE = "inet edged"
COUNTERS = ("dns", "http", "https", "notice", "quic", "dot", "garden", "rej_tcp", "rej_other", "inbound")
"""Flows for the first four (a NAT chain sees the first packet alone), packets for the others."""
GARDEN_SIZE = 65536
"""Learned addresses per family: a hostile garden zone may not fill the kernel's memory."""
ASIDE_SIZE = 65536
"""Destinations that are left alone, per family, of all lines together."""
EARLIER_THAN_US = -110
"""Our place in nat prerouting: before everybody's -100 (dstnat), so that a port forward cannot win."""

_FAMILY = {4: ("ipv4", "ip"), 6: ("ipv6", "ip6")}
_TYPE = {4: "ipv4_addr", 6: "ipv6_addr", 0: "ether_addr"}
_ICMP_ERRORS = "destination-unreachable, time-exceeded, parameter-problem"
_ND = "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert"
_NTP = "udp length 56"
"""A client's packet without extensions (RFC 5905, 7.3): 48 octets and the UDP header."""

# chains that hook into the kernel, then ours in the order in which they are read
_HOOKS = {
    "prerouting": f"type nat hook prerouting priority {EARLIER_THAN_US}; policy accept;",
    "forward": "type filter hook forward priority -10; policy accept;",
}


def base_text(rules: Rules) -> str:
    """The table with its sets, counters, chains and rules; safe to apply over a table that is in use."""
    chains = {
        "prerouting": _from(rules.interfaces, "iifname", "lines"),
        "lines": [*_ladder(rules, "door", "steer"), *_notice_ladder(rules), "goto door"],
        "steer": _steer(rules),
        "sinkhole": _sinkhole(rules),
        "web": _web(rules),
        "remind": _remind(rules),
        "door": _door(rules),
        "forward": [
            *_from(rules.interfaces, "iifname", "outbound"),
            *_from(rules.interfaces, "oifname", "inbound"),
        ],
        "outbound": _ladder(rules, "", "gate"),
        "inbound": [f"{_FAMILY[v][1]} daddr @blocked{v}{kind} goto gate_in" for v in (4, 6) for kind in "hn"],
        "gate": _gate(rules),
        "gate_in": _gate_in(rules),
    }
    lines = [f"add table {TABLE}"]
    lines += [f"add set {TABLE} {name} {{ {_declaration(name)} }}" for name in SetName]
    lines += [
        f"add set {TABLE} {name} {{ type {_TYPE[version]}; flags timeout; size {GARDEN_SIZE}; }}"
        for version, name in GARDEN_SET.items()
    ]
    lines += [
        f"add set {TABLE} ntp{v} {{ type {_TYPE[v]}; flags dynamic,timeout; timeout 1m; size {GARDEN_SIZE}; }}"
        for v in (4, 6)
    ]
    lines += [
        f"add set {TABLE} {name} {{ type {_TYPE[v]} . {_TYPE[v]}; flags timeout; size {ASIDE_SIZE}; }}"
        for v, name in ASIDE_SET.items()
    ]
    lines += [f"add set {TABLE} {ALIVE_SET} {{ type inet_proto; flags timeout; }}"]
    lines += [f"add counter {TABLE} {name}" for name in COUNTERS]
    for name in chains:
        hook = f" {{ {_HOOKS[name]} }}" if name in _HOOKS else ""
        lines += [f"add chain {TABLE} {name}{hook}", f"flush chain {TABLE} {name}"]
    lines += [f"add rule {TABLE} {name} {rule}" for name, chain in chains.items() for rule in chain]
    return "\n".join(lines) + "\n"


def change_text(desired: Desired, plan: Plan) -> str:
    """The one transaction that carries ``plan`` out; empty for an empty plan."""
    return script_text(desired.rules if plan.base else None, whole(desired, plan))


def script_text(rules: Rules | None, edits: Iterable[Edit]) -> str:
    """The one transaction that writes ``rules`` (None: leaves them) and then makes ``edits``."""
    return (base_text(rules) if rules is not None else "") + "".join(map(_edit_text, edits))


def _edit_text(edit: Edit) -> str:
    if isinstance(edit, Timed):
        return _timed(edit)
    if edit.verb is Verb.FLUSH:
        return f"flush set {TABLE} {edit.name}\n"
    if not edit.elements:
        return ""
    elements = ", ".join(element_texts(edit.name, edit.elements))
    return f"{edit.verb.name.lower()} element {TABLE} {edit.name} {{ {elements} }}\n"


def _timed(edit: Timed) -> str:
    keys = [_key_text(edit.name, key) for key, _ in edit.entries]
    timed = ", ".join(
        f"{key} timeout {life // 1000}s{life % 1000}ms" for key, (_, life) in zip(keys, edit.entries, strict=True)
    )
    add = f"add element {TABLE} {edit.name} {{ {timed} }}\n"
    delete = f"delete element {TABLE} {edit.name} {{ {', '.join(keys)} }}\n"
    return add + (delete + add) * edit.replace + delete * edit.over


def _key_text(name: str, key: bytes) -> str:
    if name == ALIVE_SET:
        return "tcp"
    middle = len(key) // 2
    parts = (key[:middle], key[middle:]) if name in ASIDE_SET.values() else (key,)
    return " . ".join(str(ip_address(part)) for part in parts)


def _declaration(name: SetName) -> str:
    spec = SETS[name]
    return f"type {_TYPE[spec.version]};" + (" flags interval;" if spec.kind is Kind.PREFIX else "")


def _from(interfaces: tuple[str, ...], key: str, chain: str) -> list[str]:
    """One rule per interface: a set of names cannot hold ``ppp*`` on every version of nft."""
    return [f"{_at(key, name)} jump {chain}" for name in interfaces] or [f"jump {chain}"]


def _at(key: str, interface: str) -> str:
    """The match of one interface, or of all whose names begin so."""
    if not INTERFACE.fullmatch(interface):
        raise ValueError(f"{interface!r} is not an interface name")
    return f'{key} "{interface}"'


def _ladder(rules: Rules, open_chain: str, blocked_chain: str) -> list[str]:
    """The order of ``policy.access``: exempt first, then the blocked; a MAC only with a served address.

    A device that edged put on the VLAN of the blocked is looked for there alone.
    """
    leave = f"goto {open_chain}" if open_chain else "return"
    exempt = [f"{_FAMILY[v][1]} saddr @exempt{v} {leave}" for v in (4, 6)]
    moved = [
        f"{_at('iifname', name)} {_FAMILY[v][1]} saddr @served{v}"
        f" ether saddr @{SetName.MOVED_MACS} goto {blocked_chain}"
        for name in rules.blocked_vlans
        for v in (4, 6)
    ]
    return [*exempt, *_goes("blocked", blocked_chain), *moved]


def _goes(sets: str, chain: str) -> list[str]:
    """Whoever is in the address, prefix or MAC sets that begin with ``sets`` goes to ``chain``."""
    rules = [f"{_FAMILY[v][1]} saddr @{sets}{v}{kind} goto {chain}" for v in (4, 6) for kind in "hn"]
    return rules + [f"{_FAMILY[v][1]} saddr @served{v} ether saddr @{sets}m goto {chain}" for v in (4, 6)]


def _notice_ladder(rules: Rules) -> list[str]:
    """After the blocked: lines whose reminder is due, and of them the web alone, while there is an edged to show it."""
    if not _reminders(rules):
        return []
    # the set of who is alive holds TCP alone, so all else leaves with the first rule
    return [f"meta l4proto != @{ALIVE_SET} goto door", "tcp dport != 80 goto door", *_goes("notice", "remind")]


def _reminders(rules: Rules) -> list[str]:
    """A new flow to port 80 goes to the redirector; in the families that have one."""
    if not rules.reminds:
        return []
    portals = [p for p in (rules.portal4, rules.portal6) if p]
    return [r for p in portals for r in _dnat(p, 'tcp dport 80 counter name "notice"', p.http)]


def _remind(rules: Rules) -> list[str]:
    """A reminder is for the foreign web alone: our own hosts, the garden and what was put aside go their way."""
    reminders = _reminders(rules)
    if not reminders:
        return []
    ways = [
        f"{_FAMILY[v][1]} daddr @{name}{v} goto door" for v in (4, 6) for name in ("portal", "exempt", "gnet", "garden")
    ]
    ways += [f"{_FAMILY[v][1]} saddr . {_FAMILY[v][1]} daddr @{ASIDE_SET[v]} goto door" for v in (4, 6)]
    return [*ways, *reminders]


def _garden(rules: Rules, side: str, port: str, verdict: str) -> Iterator[str]:
    """The learned and the written garden, on the garden's ports alone; no port, no garden."""
    if not rules.garden_ports:
        return
    ports = f"meta l4proto {{ tcp, udp }} th {port} {{ {', '.join(map(str, rules.garden_ports))} }}"
    for v in (4, 6):
        for name in (GARDEN_SET[v], f"gnet{v}"):
            yield f"{ports} {_FAMILY[v][1]} {side} @{name} {verdict}"


def _steer(rules: Rules) -> list[str]:
    """A blocked line's new flows. DNS before the garden: a resolver inside the garden is caught too."""
    return [
        'meta l4proto { tcp, udp } th dport 53 counter name "dns" goto sinkhole',
        *(f"{_FAMILY[v][1]} daddr @portal{v} goto web" for v in (4, 6)),
        *_garden(rules, "daddr", "dport", "return"),
        "goto web",
    ]


def _dnat(portal: Portal | None, match: str, port: int) -> list[str]:
    if portal is None or not port:
        return []
    nfproto, family = _FAMILY[portal.address.version]
    address = f"[{portal.address}]" if portal.address.version == 6 else str(portal.address)
    return [f"meta nfproto {nfproto} {match} dnat {family} to {address}:{port}"]


def _sinkhole(rules: Rules) -> list[str]:
    portals = (rules.portal4, rules.portal6)
    return [r for p in portals if p for proto in ("udp", "tcp") for r in _dnat(p, f"meta l4proto {proto}", p.dns)]


def _web(rules: Rules) -> list[str]:
    portals = [p for p in (rules.portal4, rules.portal6) if p]
    http = [r for p in portals for r in _dnat(p, 'tcp dport 80 counter name "http"', p.http)]
    return http + [r for p in portals for r in _dnat(p, 'tcp dport 443 counter name "https"', p.https)]


def _door(rules: Rules) -> list[str]:
    """Everyone we serve reaches the portal's own addresses on the usual ports, wherever the listeners are."""
    lines: list[str] = []
    for portal in (rules.portal4, rules.portal6):
        if portal is None:
            continue
        v = portal.address.version
        family = _FAMILY[v][1]
        own = f"{family} saddr @served{v} {family} daddr @portal{v}"
        for match, usual, port in (
            ("udp dport 53", 53, portal.dns),
            ("tcp dport 53", 53, portal.dns),
            ("tcp dport 80", 80, portal.http),
            ("tcp dport 443", 443, portal.https),
        ):
            if port != usual:
                lines += _dnat(portal, f"{own} {match}", port)
    return lines


def _portal_ports(rules: Rules) -> str:
    portals = [p for p in (rules.portal4, rules.portal6) if p]
    ports = {53, 80, 443, *(port for p in portals for port in (p.dns, p.http, p.https) if port)}
    return ", ".join(map(str, sorted(ports)))


def _common(rules: Rules, side: str, port: str) -> list[str]:
    """What passes both ways on a blocked line: the garden, a page on another host, errors that TCP needs."""
    portal_ports = f"meta l4proto {{ tcp, udp }} th {port} {{ {_portal_ports(rules)} }}"
    return [
        *_garden(rules, side, port, 'counter name "garden" accept'),
        *(f"{_FAMILY[v][1]} {side} @portal{v} {portal_ports} accept" for v in (4, 6)),
        f"icmpv6 type {{ {_ND} }} accept",
        f"ct state related icmp type {{ {_ICMP_ERRORS} }} accept",
        f"ct state related icmpv6 type {{ {_ICMP_ERRORS}, packet-too-big }} accept",
    ]


def _gate(rules: Rules) -> list[str]:
    """A blocked line's packets outwards. A refusal is an answer at once, unless the operator wants silence.

    The time stays readable (RFC 8908 wants it): a phone with a wrong clock cannot check the certificate of
    the page it should pay on. Plain client packets alone, eight a minute and line: too little for a tunnel.
    """
    drop = rules.forward == "drop"
    reset = "drop" if drop else "reject with tcp reset"
    unreachable = "drop" if drop else "reject with icmpx port-unreachable"
    prohibited = "drop" if drop else "reject with icmpx admin-prohibited"
    return [
        *_common(rules, "daddr", "dport"),
        *(
            f"meta nfproto {_FAMILY[v][0]} udp dport 123 {_NTP}"
            f" update @ntp{v} {{ {line} limit rate 8/minute burst 8 packets }} accept"
            for v, line in ((4, "ip saddr"), (6, "ip6 saddr & ffff:ffff:ffff:ffff::"))
        ),
        f'udp dport 443 counter name "quic" {unreachable}',
        f'tcp dport 853 counter name "dot" {reset}',
        f'udp dport 853 counter name "dot" {unreachable}',
        f'meta l4proto tcp counter name "rej_tcp" {reset}',
        f'counter name "rej_other" {prohibited}',
    ]


def _gate_in(rules: Rules) -> list[str]:
    """Packets towards a blocked line: answers of what it may reach, and nothing else."""
    return [
        *_common(rules, "saddr", "sport"),
        f"udp sport 123 {_NTP} ct state established accept",
        'counter name "inbound" drop',
    ]
