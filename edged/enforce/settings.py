# SPDX-License-Identifier: Apache-2.0
"""The ``enforce:`` section: a list of targets, each an entry with its one kind as the key. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from edged.fields import AddressField, InterfaceName, PrefixField, SecretField, Settings, wrong

Attribute = Literal["Mikrotik-Address-List", "Filter-Id", "Framed-Pool"]
Name = Literal["Acct-Session-Id", "User-Name", "Framed-IP-Address"]
ValueText = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[!-~]+$")]
"""A name that every BNG takes: no space, nothing outside ASCII."""


class NftablesSettings(Settings):
    """This host's own packet filter."""

    interfaces: tuple[InterfaceName, ...] = ()
    """Where subscribers come in, ``ppp*`` for all that begin so; empty: every interface."""
    forward: Literal["reject", "drop"] = "reject"
    """What the traffic of a blocked subscriber gets: an answer at once, or silence."""


class RouterosSettings(Settings):
    """A MikroTik router through its API (not in this version: see docs/configure.md)."""

    host: str
    user: str
    password: SecretField
    tls: bool = True
    list: str = "edged-blocked"


class RadiusTargetSettings(Settings):
    """A BNG through CoA and Disconnect (RFC 5176)."""

    nas: AddressField
    """Where its requests go, and whose accounting speaks of its sessions unless ``client`` says otherwise."""
    secret: SecretField
    port: Annotated[int, Field(ge=1, le=65535)] = 3799
    attribute: Attribute = "Mikrotik-Address-List"
    """What blocks and opens a session: a CoA with this attribute, or, for Framed-Pool, its end."""
    blocked: ValueText = "edged-blocked"
    """The attribute's value for who is blocked."""
    open: ValueText = "edged-open"
    """Its value for who was blocked and is open again: another one, since a CoA without it may change nothing."""
    pool: tuple[PrefixField, ...] = ()
    """Framed-Pool: the networks that the pool of the blocked hands out."""
    client: str = ""
    """The RADIUS client by whose accounting the sessions are known; empty: whoever sends from ``nas``."""
    identify: Annotated[tuple[Name, ...], Field(min_length=1)] = ("Acct-Session-Id", "User-Name", "Framed-IP-Address")
    """What names a session to it; all that is sent must match there."""
    rate: Annotated[int, Field(ge=1, le=1000)] = 50
    """Requests a second at most."""

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> RadiusTargetSettings:
        if self.attribute == "Framed-Pool" and not self.pool:
            raise wrong("pool: the networks of the pool of the blocked", 'pool: ["100.64.255.0/24"]')
        if self.attribute != "Framed-Pool" and self.blocked == self.open:
            raise wrong("two values that differ", "blocked: edged-blocked, open: edged-open")
        return self


class TargetSettings(Settings):
    """One entry of ``enforce:``; exactly one kind is set."""

    nftables: NftablesSettings | None = None
    routeros: RouterosSettings | None = None
    radius: RadiusTargetSettings | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> TargetSettings:
        if sum(kind is not None for kind in (self.nftables, self.routeros, self.radius)) != 1:
            raise wrong("exactly one of nftables, routeros, radius", "- nftables: {interfaces: [lan0]}")
        return self

    @property
    def kind(self) -> Literal["nftables", "routeros", "radius"]:
        """The one key that is set."""
        if self.nftables is not None:
            return "nftables"
        return "routeros" if self.routeros is not None else "radius"


EnforceSettings = tuple[TargetSettings, ...]
