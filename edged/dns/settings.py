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
    """An address, or ADDRESS:PORT; port 53, or 853 with `tls`.

    Example: `"9.9.9.9"`
    Mistake: a name instead of an address.
    """
    tls: Annotated[str, AfterValidator(_host)] | None = None
    """DNS over TLS; the name that its certificate must bear.

    Example: `dns.quad9.net`
    Mistake: another name than the certificate's: it is never asked, and the log says why.
    """
    ca: Path | None = None
    """PEM file of who signed that certificate; none: whom the system trusts.

    Example: `/etc/edged/tls/resolver-ca.pem`
    Mistake: the resolver's own certificate instead of its signer's.
    """

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
    """Answers a second, UDP and TCP each; over UDP as many again are truncated and more are dropped, over TCP the
    connection ends.

    Example: `500`
    Mistake: one for a person: behind one address is a household.
    """
    per_prefix: int = Field(default=5000, ge=1, le=1_000_000_000, strict=True)
    """The same for all of an IPv4 /24 or an IPv6 /56 together; over TCP, and with one of edged's cookies, it does not
    count.

    Example: `20000`
    Mistake: less than a busy evening of 256 households.
    """


class DnsSettings(Settings):
    """The sinkhole and the garden resolver."""

    listen: tuple[EndpointField, ...] = ()
    """UDP and TCP on each; empty: no DNS. A wildcard follows this host's addresses: each of the first 256 has a UDP
    socket of its own beside it, and every reply leaves from the address asked.

    Example: `["0.0.0.0:5300", "[::]:5300"]`
    Mistake: port 53 where another resolver has it; then a high port, see [install.md](install.md).
    """
    upstreams: tuple[Upstream, ...] = ()
    """Resolvers for the garden and for those who are not blocked, in order of preference; an address, or a mapping of
    the keys below.

    Example: `["9.9.9.9", "10.0.0.1:5353"]`
    Mistake: to have none: garden names and open lines get SERVFAIL.
    """
    workers: int = Field(default=1, ge=1, le=WORKERS, strict=True)
    """Threads that answer blocked subscribers outside the interpreter, each with sockets of its own; the kernel shares
    the queries out by client. They need the compiled part (`edged status` says whether it is there).

    Example: `2`
    Mistake: more than the host has cores.
    """
    ttl: Duration = 5.0
    """Life of a sinkhole answer; at least one second.

    Mistake: a long one: a paid line waits for it.
    """
    limit: LimitSettings = LimitSettings()
    """Bounds on questions; `edged status` and `edged_dns_ratelimited_total` show who meets them."""
