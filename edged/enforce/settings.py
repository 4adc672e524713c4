# SPDX-License-Identifier: Apache-2.0
"""The ``enforce:`` section: a list of targets, each an entry with its one kind as the key. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edged.fields import AddressField, Duration, InterfaceName, SecretField, Settings, wrong

_LIST = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def _list(value: str) -> str:
    if not _LIST.fullmatch(value):
        raise wrong("the name of an address list: letters, digits, _ . -", "for example edged-blocked or SpLBL_blocked")
    return value


def _fingerprint(value: str) -> str:
    bare = value.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(bare):
        raise wrong("the SHA-256 of a certificate, 64 hexadecimal digits", "RouterOS: /certificate print detail")
    return bare


ListName = Annotated[str, AfterValidator(_list)]
FingerprintField = Annotated[str, AfterValidator(_fingerprint)]


class NftablesSettings(Settings):
    """This host's own packet filter."""

    interfaces: tuple[InterfaceName, ...] = ()
    """Where subscribers come in, ``ppp*`` for all that begin so; empty: every interface."""
    forward: Literal["reject", "drop"] = "reject"
    """What the traffic of a blocked subscriber gets: an answer at once, or silence."""


class RouterosSettings(Settings):
    """A MikroTik router through its API; see docs/mikrotik.md."""

    host: str
    """Its name or address."""
    user: str
    password: SecretField
    tls: bool = True
    port: int | None = Field(default=None, ge=1, le=65535)
    """None: 8729 with TLS, 8728 without."""
    ca: Path | None = None
    """The authority of its certificate; none: those that this host trusts."""
    fingerprint: FingerprintField | None = None
    """SHA-256 of its certificate; no other one is accepted then, whoever signed it."""
    list: ListName = "edged-blocked"
    garden_list: ListName = "edged-garden"
    portal_list: ListName = "edged-portal"
    rules: Literal["write", "leave"] = "write"
    """``leave``: the lists alone; what is done with them is the router's own rules'."""
    forward: Literal["reject", "drop"] = "reject"
    """What the traffic of a blocked subscriber gets: an answer at once, or silence."""
    entries: Literal["memory", "flash"] = "memory"
    """Of blocked lines: for ``lease`` in the router's memory, or for good on its flash."""
    lease: Duration = Field(default=30 * 86400.0, ge=600.0, le=240 * 86400.0)
    rate: int = Field(default=1000, ge=1, le=100_000)
    """Entries, rules and connections that are changed in a second, at most."""
    timeout: Duration = Field(default=10.0, ge=1.0, le=120.0)
    """Seconds without an octet, after which a connection is given up."""


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
