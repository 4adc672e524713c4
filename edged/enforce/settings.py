# SPDX-License-Identifier: Apache-2.0
"""The ``enforce:`` section: a list of targets, each an entry with its one kind as the key. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from edged.fields import AddressField, InterfaceName, SecretField, Settings, wrong


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
    """A BNG through CoA (not in this version: see docs/configure.md)."""

    nas: AddressField
    secret: SecretField
    attribute: str = "Mikrotik-Address-List"


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
