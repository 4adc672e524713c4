# SPDX-License-Identifier: Apache-2.0
"""The ``dns:`` section. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from edged.fields import Duration, EndpointField, Settings, wrong
from edged.values import Endpoint, parse_address, parse_endpoint


def _upstream(value: Any) -> Endpoint:
    for parse in (lambda text: Endpoint(parse_address(text), 53), parse_endpoint):
        try:
            return parse(value)
        except (ValueError, TypeError, AttributeError):
            continue
    raise wrong("the address of a resolver, in quotes", 'for example "9.9.9.9", "2620:fe::fe" or "10.0.0.1:5353"')


Upstream = Annotated[
    Endpoint,
    BeforeValidator(_upstream),
    WithJsonSchema({"type": "string", "description": "an address, or ADDRESS:PORT; port 53 unless given"}),
]


class LimitSettings(Settings):
    """How much may be asked."""

    per_subscriber: int = Field(default=200, ge=1, le=1_000_000_000, strict=True)
    """Answers a second; above it: truncated, then dropped."""
    per_prefix: int = Field(default=5000, ge=1, le=1_000_000_000, strict=True)
    """The same for all of an IPv4 /24 or an IPv6 /56 together, over UDP and without one of our cookies."""


class DnsSettings(Settings):
    """The sinkhole and the garden resolver."""

    listen: tuple[EndpointField, ...] = ()
    """UDP and TCP on each; empty: the room stays closed."""
    upstreams: tuple[Upstream, ...] = ()
    """Resolvers for garden names and for subscribers who are not blocked; port 53 unless given."""
    workers: int = Field(default=1, ge=1, le=16, strict=True)
    """Threads that answer blocked subscribers outside the interpreter; the kernel shares the queries out."""
    ttl: Duration = 5.0
    """Life of a sinkhole answer; never 0."""
    limit: LimitSettings = LimitSettings()
