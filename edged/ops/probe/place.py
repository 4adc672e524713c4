# SPDX-License-Identifier: Apache-2.0
"""Where a phone is to be played: what this host knows of the interface in, why it cannot be done there out. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from edged.enforce.settings import EnforceSettings
from edged.ops.probe.values import Expected, Phone
from edged.values import Prefix, host_prefix, parse_address


@dataclass(frozen=True, slots=True)
class Place:
    """An interface of this host."""

    interface: str
    others: tuple[str, ...]
    """Every Ethernet interface there is."""
    exists: bool
    is_ethernet: bool
    is_up: bool
    mac: str
    own: frozenset[str]
    """Every address of this host."""
    forwards: bool
    """True when this host routes IPv4 that comes in there."""
    routes: Mapping[int, str]
    """This host's own gateways there, by family."""


def why_not(place: Place, phone: Phone, expected: Expected, targets: EnforceSettings) -> str:
    """Why nothing is sent, and the next step; empty: it can begin."""
    return _interface(place, targets) or _identity(place, phone) or _address(phone, expected)


def _interface(place: Place, targets: EnforceSettings) -> str:
    name = place.interface
    if not place.exists:
        near = difflib.get_close_matches(name, place.others, n=1)
        there = f"did you mean {near[0]}?" if near else f"there are {', '.join(place.others) or 'none'}"
        return f"--via {name}: there is no such interface; {there}"
    if not place.is_ethernet:
        return f"--via {name}: not Ethernet, so no phone can be played there; the next step: an interface of Ethernet"
    if not place.is_up:
        return f"--via {name} is down:  ip link set {name} up"
    served = [i for t in targets if t.nftables for i in t.nftables.interfaces]
    if place.forwards and name in served:
        return (
            f"--via {name} is where subscribers come in: what this host sends there goes out to them, and never\n"
            "through edged. On a bridge, play the phone at a port of its own:\n"
            f"  ip link add probe0 type veth peer name probe1\n  ip link set probe1 master {name} up\n"
            "  ip link set probe0 up\n  edged probe … --via probe0"
        )
    return ""


def _identity(place: Place, phone: Phone) -> str:
    for address in phone.addresses.values():
        if address in place.own:
            return f"--as {address} is this host's own address: its kernel would answer too; give another one"
    if phone.mac == place.mac and place.forwards:
        return f"--as {phone.mac} is this host's own, and it routes: its kernel would answer too; leave it out"
    return ""


def _address(phone: Phone, expected: Expected) -> str:
    for address in phone.addresses.values():
        own = host_prefix(parse_address(address))
        if not _within(own, expected.served):
            return f"--as {address} is in no network of subscribers.networks: no line of yours has it"
        if _within(own, expected.exempt):
            return f"--as {address} is in subscribers.exempt: it is never blocked, so there is nothing to try"
    return ""


def _within(own: Prefix, networks: tuple[Prefix, ...]) -> bool:
    return any(network.contains(own) for network in networks)
