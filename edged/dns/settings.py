# SPDX-License-Identifier: Apache-2.0
"""The ``dns:`` section. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from edged.dns import names
from edged.fields import Duration, EndpointField, Settings, wrong
from edged.native.datagrams import WORKERS
from edged.values import Endpoint, IpAddress, parse_address, parse_endpoint

PORT, TLS_PORT = 53, 853


def _upstream(value: Any) -> Any:
    """``"9.9.9.9"`` is short for ``{address: "9.9.9.9"}``; the port is the protocol's unless it is given."""
    if isinstance(value, UpstreamSettings):
        return value
    fields = dict(value) if isinstance(value, dict) else {"address": value}
    if "address" in fields:
        fields["address"] = _endpoint(fields["address"], TLS_PORT if fields.get("tls") else PORT)
    return fields


def _endpoint(value: Any, port: int) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    for parse in (lambda text: Endpoint(parse_address(text), port), parse_endpoint) if isinstance(value, str) else ():
        try:
            return parse(value)
        except ValueError:
            continue
    raise wrong("the address of a resolver, in quotes", 'for example "9.9.9.9", "2620:fe::fe" or "10.0.0.1:5353"')


def _host(value: str) -> str:
    """A host name of letters, digits and hyphens, or an address: what a certificate can bear."""
    try:
        return str(parse_address(value))
    except ValueError:
        pass
    name = value.lower().rstrip(".")
    try:
        names.to_wire(name)
    except ValueError:
        name = ""
    if not name or not name.isascii() or not set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-."):
        raise wrong("the name that the resolver's certificate bears", "for example dns.quad9.net")
    return name


class UpstreamSettings(Settings):
    """One resolver: plain DNS, or DNS over TLS when ``tls`` is given."""

    endpoint: Endpoint = Field(alias="address")
    """Port 53, or 853 with ``tls``, unless given."""
    tls: Annotated[str, AfterValidator(_host)] | None = None
    """The name that its certificate must bear; none: plain DNS over UDP and TCP."""
    ca: Path | None = None
    """Who may have signed that certificate; none: whom the system trusts."""

    @model_validator(mode="after")
    def _ca_is_for_tls(self) -> UpstreamSettings:
        if self.ca is not None and self.tls is None:
            raise wrong("tls beside ca", "without tls nothing is encrypted and no certificate is checked")
        return self

    @property
    def address(self) -> IpAddress:
        """Where it is."""
        return self.endpoint.address

    @property
    def port(self) -> int:
        """UDP and TCP, or TCP alone with ``tls``."""
        return self.endpoint.port

    def __str__(self) -> str:
        return f"{self.endpoint} ({self.tls})" if self.tls else str(self.endpoint)


_OBJECT = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in ("address", "tls", "ca")},
    "required": ["address"],
    "additionalProperties": False,
}
Upstream = Annotated[
    UpstreamSettings,
    BeforeValidator(_upstream),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "description": "an address, or ADDRESS:PORT; port 53 unless given"},
                _OBJECT | {"description": "with tls, the name of its certificate: DNS over TLS, port 853 unless given"},
            ]
        }
    ),
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
    """Resolvers for garden names and for subscribers who are not blocked, in order of preference."""
    workers: int = Field(default=1, ge=1, le=WORKERS, strict=True)
    """Threads that answer blocked subscribers outside the interpreter; the kernel shares the queries out."""
    ttl: Duration = 5.0
    """Life of a sinkhole answer; never 0."""
    limit: LimitSettings = LimitSettings()
