# SPDX-License-Identifier: Apache-2.0
"""What one room needs from several sections of the configuration. Pure."""

from __future__ import annotations

import socket
from collections import Counter

from edged.config.schema import Config
from edged.enforce.rules import Rules, rules_of
from edged.fdstore import Place
from edged.values import host_prefix


def rules(config: Config) -> Rules:
    """The rules of this host's packet filter: from portal, dns, garden and the first nftables target."""
    nftables = next((t.nftables for t in config.enforce if t.nftables is not None), None)
    return rules_of(
        portals=config.portal.addresses,
        dns=config.dns.listen,
        http=config.portal.listen.http,
        https=config.portal.listen.https,
        garden_networks=(
            *config.garden.networks,
            # a fixed answer that the packet filter refuses would be a dead end
            *(host_prefix(address) for addresses in config.garden.records.values() for address in addresses),
        ),
        garden_ports=config.garden.ports,
        interfaces=served_interfaces(config),
        forward=nftables.forward if nftables else "reject",
        reminds=bool(config.portal.url and config.portal.listen.https),
        blocked_vlans=blocked_vlans(config),
    )


def blocked_vlans(config: Config) -> tuple[str, ...]:
    """The interfaces at which the Wi-Fi's VLANs of the blocked end, as far as that is known."""
    choices = (network.blocked for network in config.mpsk.networks.values() if network.blocked is not None)
    return tuple(sorted({name for choice in choices for name in choice.ends_at(served_interfaces(config))}))


def served_interfaces(config: Config) -> tuple[str, ...]:
    """Where subscribers come in; empty: at every interface, or nothing is enforced."""
    return next((t.nftables.interfaces for t in config.enforce if t.nftables is not None), ())


def places(config: Config) -> Counter[Place]:
    """Where edged listens for others than its operator, and with how many sockets: what may outlive a restart."""
    found: Counter[Place] = Counter()
    streams = [*config.dns.listen]
    if config.portal.url is not None:
        streams += [*config.portal.listen.http, *config.portal.listen.https]
    if config.radius.tls is not None:
        streams += config.radius.tls.listen
    if config.billing is not None and config.billing.webhook is not None:
        streams.append(config.billing.webhook.listen)
    if config.hub is not None:
        streams.append(config.hub.listen)
    found.update(Place(socket.SOCK_STREAM, endpoint) for endpoint in streams)
    found.update(Place(socket.SOCK_DGRAM, e) for e in config.dns.listen for _ in range(config.dns.workers))
    found.update(Place(socket.SOCK_DGRAM, endpoint) for endpoint in (*config.radius.auth, *config.radius.acct))
    return found
