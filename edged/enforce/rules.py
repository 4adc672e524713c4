# SPDX-License-Identifier: Apache-2.0
"""What the operator configured, as the packet filter needs it: settings in, ``Rules`` out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edged.values import Endpoint, IpAddress, Prefix


@dataclass(frozen=True, slots=True)
class Portal:
    """Where one family's traffic is steered: an address of ours and the local port of each listener."""

    address: IpAddress
    dns: int = 53
    """0: nothing listens there, so nothing is steered there."""
    http: int = 80
    https: int = 443


@dataclass(frozen=True, slots=True)
class Rules:
    """The part of the ruleset that only a change of the configuration changes. Comparable."""

    portal4: Portal | None = None
    """None: no IPv4 portal address, so IPv4 is rejected and never steered."""
    portal6: Portal | None = None
    portals: tuple[IpAddress, ...] = ()
    """Every portal address, the two above included."""
    garden_networks: tuple[Prefix, ...] = ()
    garden_ports: tuple[int, ...] = (443,)
    interfaces: tuple[str, ...] = ()
    """Where subscribers come in, ``ppp*`` for all that begin so; empty: every interface."""
    forward: Literal["reject", "drop"] = "reject"
    reminds: bool = False
    """True: there is a page that a line with a reminder can be led to, and put the reminder away on."""
    blocked_vlans: tuple[str, ...] = ()
    """The interfaces at which the Wi-Fi's VLANs of the blocked end: whom edged put there is blocked there."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works worse than the operator may think."""
        missing = [name for name, portal in (("IPv4", self.portal4), ("IPv6", self.portal6)) if portal is None]
        return tuple(
            f"portal.addresses has no {name} address: blocked subscribers' {name} is rejected, never steered"
            for name in missing
        )


def rules_of(
    *,
    portals: Sequence[IpAddress],
    dns: Iterable[Endpoint] = (),
    http: Iterable[Endpoint] = (),
    https: Iterable[Endpoint] = (),
    garden_networks: tuple[Prefix, ...] = (),
    garden_ports: tuple[int, ...] = (443,),
    interfaces: tuple[str, ...] = (),
    forward: Literal["reject", "drop"] = "reject",
    reminds: bool = False,
    blocked_vlans: tuple[str, ...] = (),
) -> Rules:
    """The rules of a configuration: each family's first portal address and what listens on it."""
    listeners = (tuple(dns), tuple(http), tuple(https))

    def portal(version: int) -> Portal | None:
        address = next((a for a in portals if a.version == version), None)
        if address is None:
            return None
        return Portal(address, *(_port(endpoints, address) for endpoints in listeners))

    return Rules(
        portal(4),
        portal(6),
        tuple(portals),
        garden_networks,
        tuple(sorted(set(garden_ports))),
        interfaces,
        forward,
        reminds,
        blocked_vlans,
    )


def _port(endpoints: Sequence[Endpoint], address: IpAddress) -> int:
    """The port of the endpoint that answers on ``address``: its own first, then a wildcard's; 0 for none."""
    for wanted in (address, type(address)(0)):
        for endpoint in endpoints:
            if endpoint.address == wanted:
                return endpoint.port
    return 0
