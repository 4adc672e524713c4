# SPDX-License-Identifier: Apache-2.0
"""Source address and names of a certificate in, the RADIUS client that they make out. Pure. RFC 6614 section 2.3."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from edged.radius.settings import ClientSettings
from edged.values import IpAddress, Secret, host_prefix

SECRET = Secret("radsec")
"""RFC 6614 section 2.3: known to everybody; TLS alone protects."""


def is_expected(address: IpAddress, clients: tuple[ClientSettings, ...]) -> bool:
    """Whether any client may come from ``address``: who may not gets no handshake."""
    host = host_prefix(address)
    return any(network.contains(host) for client in clients for network in client.networks)


def choose(address: IpAddress, names: AbstractSet[str], clients: tuple[ClientSettings, ...]) -> ClientSettings | None:
    """The client at ``address`` with a certificate for ``names``; None: nobody's.

    One whose ``certificate`` is among the names goes before one that is known by its address alone; of several the
    longest prefix.
    """
    host = host_prefix(address)
    found = [
        (client.certificate is not None, network.length, -index)
        for index, client in enumerate(clients)
        if client.certificate is None or client.certificate in names
        for network in client.networks
        if network.contains(host)
    ]
    return clients[-max(found)[2]] if found else None


def over_tls(client: ClientSettings) -> ClientSettings:
    """``client`` as it is over TLS: the secret of the standard, and the certificate in the place of signatures."""
    return client.model_copy(update={"secret": SECRET, "secret_before": None, "message_authenticator": "optional"})
