# SPDX-License-Identifier: Apache-2.0
"""What a phone does on a blocked line, as waves of orders: settle, ask names, open what it was led to. Pure.

A wave is sent at once; its longest ``wait`` is how long it may take, and all of them together stay below nine seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edged.captive.probes import PROBES, Probe
from edged.ops.probe.values import Expected, Order, Phone, Trial

_FREE_S, _SETTLE_S, _GATEWAY_S, _NAMES_S, _WEB_S = 0.7, 1.6, 0.9, 1.9, 2.6
ASKED = {4: "A", 6: "AAAA"}
_NOTHING = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # whoever has no address yet; nothing is bound
_WHO = {4: "arp", 6: "neighbour"}
_SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
_LINUX = "Mozilla/5.0 (X11; Linux x86_64"
_AGENTS = {
    "apple": "CaptiveNetworkSupport-481.120.1 wispr",
    "android": f"{_LINUX}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.32 Safari/537.36",
    "chrome": f"{_LINUX}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "windows": "Microsoft NCSI",
    "firefox": f"{_LINUX}; rv:153.0) Gecko/20100101 Firefox/153.0",
    "nintendo": "NX NIFM/00",
}
"""What each client says of itself; the others send nothing that was seen."""
_RESERVED_VERSION = "1a2a3a4a"
"""A QUIC version that no server may speak: any server answers it with those that it does (RFC 9000 section 6)."""


class Check(NamedTuple):
    """The connectivity check of one client: the first row of its kind."""

    client: str
    probe: Probe


CHECKS = tuple(Check(c, next(p for p in PROBES if p.client == c)) for c in dict.fromkeys(p.client for p in PROBES))


def free_orders(phone: Phone) -> dict[str, Order]:
    """Does anybody have these addresses already? Asked so that nobody learns of us."""
    return {
        f"address/{f}": {"kind": _WHO[f], "target": address, "from": _NOTHING[f], "wait": _FREE_S}
        for f, address in phone.addresses.items()
    }


def settle_orders(phone: Phone) -> dict[str, Order]:
    """What a device does when it joins: it says who it is, and asks DHCP and routers what there is to know."""
    return {
        **{f"announcement/{f}": {"kind": "announcement", "from": a, "wait": 0} for f, a in phone.addresses.items()},
        "dhcp/4": {"kind": "dhcp", "from": phone.addresses.get(4), "wait": _SETTLE_S},
        "dhcp/6": {"kind": "dhcp6", "wait": _SETTLE_S},
        "router/6": {"kind": "router", "wait": _SETTLE_S},
    }


def gateway_orders(phone: Phone) -> dict[str, Order]:
    """Who has the addresses of the gateways."""
    return {
        f"gateway/{f}": {"kind": _WHO[f], "target": gateway, "from": phone.addresses[f], "wait": _GATEWAY_S}
        for f, gateway in phone.gateways.items()
        if f in phone.addresses and f not in phone.macs
    }


def name_orders(phone: Phone, expected: Expected) -> dict[str, Order]:
    """Every name, of its own resolver and of a public one, over UDP and TCP."""
    orders: dict[str, Order] = {}
    for f in phone.families:
        own, public = phone.resolver(f), phone.public[f]
        asked = {}
        # first: of many errors the kernel sends only the first few (icmp_ratelimit)
        if f in phone.resolvers:
            asked = {"dns-a": (own, phone.foreign, "A"), "dns-aaaa": (own, phone.foreign, "AAAA")}
        asked |= {
            "public-a": (public, phone.foreign, "A"),
            "public-aaaa": (public, phone.foreign, "AAAA"),
            "dns-tcp": (own, phone.foreign, ASKED[f]),
            "public-tcp": (public, phone.foreign, ASKED[f]),
            **{f"name:{name}": (own, name, ASKED[f]) for name in _names(phone, expected)},
        }
        for step, (server, name, kind) in asked.items():
            order = _to(phone, f, server, 53) | {"name": name, "type": {"A": 1, "AAAA": 28}[kind], "wait": _NAMES_S}
            orders[f"{step}/{f}"] = order | {"kind": "dns-tcp" if step.endswith("-tcp") else "dns"}
    return orders


def _names(phone: Phone, expected: Expected) -> list[str]:
    names = [*(check.probe.host for check in CHECKS), phone.foreign, expected.host, expected.garden]
    return [name for name in dict.fromkeys(names) if name]


def web_orders(trial: Trial) -> dict[str, Order]:
    """What a phone opens with the answers that it was given, and what it knows from before the block."""
    return {
        f"{step}/{f}": order | {"wait": _WEB_S}
        for f in trial.phone.families
        for step, order in (*_checks(trial, f), *_foreign(trial, f), *_ours(trial, f))
    }


def _checks(trial: Trial, f: int) -> Iterator[tuple[str, Order]]:
    for check in CHECKS:
        told = trial.told(check.probe.host, f)
        if told:
            request = _request(check.probe.host, check.probe.path, _AGENTS.get(check.client, ""))
            yield f"check-{check.client}", _to(trial.phone, f, told[0], 80) | {"kind": "http", "request": request}


def _foreign(trial: Trial, f: int) -> Iterator[tuple[str, Order]]:
    phone = trial.phone
    told = trial.told(phone.foreign, f)
    if told:
        yield "tls", _to(phone, f, told[0], 443) | {"kind": "hello", "name": phone.foreign}
    public = phone.public[f]
    if trial.expected.opens(public):
        return
    request = _request(phone.foreign, "/", _SAFARI)
    yield "http-direct", _to(phone, f, public, 80) | {"kind": "http", "request": request}
    yield "tls-direct", _to(phone, f, public, 443) | {"kind": "hello", "name": phone.foreign}
    yield "quic", _to(phone, f, public, 443) | {"kind": "datagram", "octets": _initial()}
    yield "dot", _to(phone, f, public, 853) | {"kind": "connect"}


def _ours(trial: Trial, f: int) -> Iterator[tuple[str, Order]]:
    phone, expected = trial.phone, trial.expected
    garden = trial.told(expected.garden, f)
    if garden and garden[0] not in expected.portal[f]:
        to = _to(phone, f, garden[0], expected.garden_port)
        yield "garden", to | {"kind": "hello", "name": expected.garden}
    portal = trial.told(expected.host, f)
    if portal:
        to = _to(phone, f, portal[0], expected.port) | {"kind": "https", "name": expected.host}
        yield "page", to | {"request": _request(expected.host, "/", _SAFARI)}
        yield "api", to | {"request": _request(expected.host, "/.well-known/captive-portal", _SAFARI)}


def _to(phone: Phone, family: int, address: str, port: int) -> Order:
    return {"from": phone.addresses[family], "via": phone.macs[family], "to": address, "port": port}


def _request(host: str, path: str, agent: str) -> str:
    said = f"User-Agent: {agent}\r\n" if agent else ""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{said}Accept: */*\r\nConnection: close\r\n\r\n"


def _initial() -> str:
    """1200 octets that look like the first packet of a QUIC connection (RFC 9000 section 17.2), hexadecimal."""
    header = bytes.fromhex("c0" + _RESERVED_VERSION + "08") + b"edgedprb" + b"\x08" + b"whatpass"
    return header.ljust(1200, b"\0").hex()
