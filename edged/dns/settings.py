# SPDX-License-Identifier: Apache-2.0
"""The ``dns:`` section. Pure."""

from __future__ import annotations

from pydantic import Field

from edged.fields import AddressField, Duration, EndpointField, Settings
from edged.values import Endpoint


class LimitSettings(Settings):
    """How much one subscriber may ask."""

    per_subscriber: int = Field(default=200, ge=1, strict=True)
    """Answers a second; above it: truncated, then dropped."""


class DnsSettings(Settings):
    """The sinkhole and the garden resolver."""

    listen: tuple[EndpointField, ...] = ()
    """UDP and TCP on each; empty: the room stays closed."""
    upstreams: tuple[AddressField | EndpointField, ...] = ()
    """Resolvers for garden names and for subscribers who are not blocked; port 53 unless given."""
    ttl: Duration = 5.0
    """Life of a sinkhole answer; never 0."""
    limit: LimitSettings = LimitSettings()

    def upstream_endpoints(self) -> tuple[Endpoint, ...]:
        """The upstreams, each with its port."""
        return tuple(u if isinstance(u, Endpoint) else Endpoint(u, 53) for u in self.upstreams)
