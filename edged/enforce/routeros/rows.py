# SPDX-License-Identifier: Apache-2.0
"""``Rules`` and a ``Layout`` in, the rows of RouterOS' nat and filter menus out, in their order. Pure.

Fields and values: the console schema (7.9 to 7.24) and the manuals "NAT" and "Filter". IPv6 spells ``to-address``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edged.enforce.routeros.commands import Command, add
from edged.enforce.routeros.entries import spelled
from edged.enforce.routeros.layout import FILTER, IN, NAT, OUT, TAG, Layout
from edged.enforce.rules import Portal, Rules
from edged.values import host_prefix

Fields = Mapping[str, str]

_TO = {4: "to-addresses", 6: "to-address"}
_ICMP = {4: "icmp", 6: "icmpv6"}
_NTP = {4: "76", 6: "96"}
"""Octets of an NTP packet without extensions (RFC 5905, 7.3): 48, and the headers of UDP and IP."""
_WELL_KNOWN = {"dns": 53, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Row:
    """One rule; ``key`` names it in its comment."""

    key: str
    fields: Fields
    is_optional: bool = False
    """True: a router that does not take it gets all others."""

    @property
    def comment(self) -> str:
        """By which it is found again."""
        return f"{TAG}: {self.key}"

    @property
    def text(self) -> str:
        """All that it says."""
        return " ".join((self.key, *(f"{name}={value}" for name, value in self.fields.items())))

    def command(self, menu: str) -> Command:
        """What adds it."""
        return add(menu, {**self.fields, "comment": self.comment})


def menus(rules: Rules, layout: Layout) -> dict[str, tuple[Row, ...]]:
    """The rows of each menu; none where the rules are the operator's own."""
    if not layout.rules:
        return dict.fromkeys((*NAT.values(), *FILTER.values()), ())
    portals = {4: rules.portal4, 6: rules.portal6}
    nat = {NAT[version]: tuple(_nat(version, portals[version], rules, layout)) for version in (4, 6)}
    return nat | {FILTER[version]: tuple(_filter(version, rules, layout)) for version in (4, 6)}


def _nat(version: int, portal: Portal | None, rules: Rules, layout: Layout) -> Iterator[Row]:
    """DNS before the garden, so that a resolver inside the garden is steered too; then the web outside it."""
    if portal is None:
        return
    ports = {"dns": portal.dns, "http": portal.http, "https": portal.https}
    steered = [(service, protocol) for service in ("dns", "http", "https") for protocol in _protocols(service)]
    for service, protocol in steered:
        if not ports[service]:
            continue  # nothing listens there, so nothing is steered there
        port = _WELL_KNOWN[service]
        to = {"action": "dst-nat", _TO[version]: str(portal.address), "to-ports": str(ports[service])}
        matches = {"src-address-list": layout.blocked, "protocol": protocol, "dst-port": str(port)}
        if service != "dns" and port in rules.garden_ports:
            matches["dst-address-list"] = f"!{layout.garden}"
        yield Row(f"steer {service} {protocol}", {"chain": "dstnat", **matches, **to})
    for service, protocol in steered:
        if ports[service] not in {0, _WELL_KNOWN[service]}:
            # whoever asks the portal itself finds the listeners where they are
            to = {"action": "dst-nat", _TO[version]: str(portal.address), "to-ports": str(ports[service])}
            here = {"dst-address": spelled(host_prefix(portal.address)), "dst-port": str(_WELL_KNOWN[service])}
            yield Row(f"door {service} {protocol}", {"chain": "dstnat", "protocol": protocol, **here, **to})
    # edged knows a line by its address: no masquerade may hide it
    yield Row("keep source", {"chain": "srcnat", "dst-address-list": layout.portal, "action": "accept"})


def _protocols(service: str) -> tuple[str, ...]:
    return ("udp", "tcp") if service == "dns" else ("tcp",)


def _filter(version: int, rules: Rules, layout: Layout) -> Iterator[Row]:
    """The jumps last: they lead nowhere before the chains are whole. The order that counts is that of each chain."""
    ports = ",".join(str(port) for port in rules.garden_ports)
    for chain, word, side, end in ((OUT, "out", "dst", layout.garden), (IN, "in", "src", layout.garden)):
        yield Row(f"{word} portal", {"chain": chain, f"{side}-address-list": layout.portal, "action": "accept"})
        for protocol in ("tcp", "udp") if ports else ():
            garden = {f"{side}-address-list": end, "protocol": protocol, f"{side}-port": ports}
            yield Row(f"{word} garden {protocol}", {"chain": chain, **garden, "action": "accept"})
        errors = {"protocol": _ICMP[version], "connection-state": "related"}
        yield Row(f"{word} errors", {"chain": chain, **errors, "action": "accept"})
    # a phone with a wrong clock cannot check the page's certificate
    ntp = {"protocol": "udp", "packet-size": _NTP[version]}
    rate = {"dst-port": "123", "dst-limit": "8/1m,8,src-address/2m"}
    yield Row("out ntp", {"chain": OUT, **ntp, **rate, "action": "accept"}, is_optional=True)
    answers = {"src-port": "123", "connection-state": "established"}
    yield Row("in ntp", {"chain": IN, **ntp, **answers, "action": "accept"}, is_optional=True)
    yield from _refusals(layout)
    yield Row("in rest", {"chain": IN, "action": "drop"})
    for word, chain, side in (("from blocked", OUT, "src"), ("to blocked", IN, "dst")):
        jump = {f"{side}-address-list": layout.blocked, "action": "jump", "jump-target": chain}
        yield Row(word, {"chain": "forward", **jump})


def _refusals(layout: Layout) -> Iterator[Row]:
    if layout.forward == "drop":
        yield Row("out rest", {"chain": OUT, "action": "drop"})
        return
    refusals: tuple[tuple[str, dict[str, str], str], ...] = (
        # QUIC and DNS over TLS fall back at once
        ("out quic", {"protocol": "udp", "dst-port": "443,853"}, "icmp-port-unreachable"),
        ("out tcp", {"protocol": "tcp"}, "tcp-reset"),
        ("out rest", {}, "icmp-admin-prohibited"),
    )
    for key, matches, answer in refusals:
        yield Row(key, {"chain": OUT, **matches, "action": "reject", "reject-with": answer})
