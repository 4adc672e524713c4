# SPDX-License-Identifier: Apache-2.0
"""The ``enforce:`` section: a list of targets, each an entry with its one kind as the key. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from edged.fields import AddressField, Duration, InterfaceName, PrefixField, SecretField, Settings, wrong
from edged.values import parse_address

Attribute = Literal["Mikrotik-Address-List", "Filter-Id", "Framed-Pool"]
Name = Literal["Acct-Session-Id", "User-Name", "Framed-IP-Address"]
ValueText = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[!-~]+$")]
"""A name that every BNG takes: no space, nothing outside ASCII."""
_LIST = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def _list(value: str) -> str:
    if not _LIST.fullmatch(value):
        raise wrong("the name of an address list: letters, digits, _ . -", "for example edged-blocked or SpLBL_blocked")
    return value


def _host(value: str) -> str:
    try:
        return str(parse_address(value))
    except ValueError:
        pass
    if not _HOST.fullmatch(value):
        raise wrong("a name or an address alone", "host: 192.0.2.1; the port is a key of its own")
    return value.lower()


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

    host: Annotated[str, AfterValidator(_host)]
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

    @property
    def name(self) -> str:
        """How it is called everywhere, in status, explain, metrics and logs: the machine that it is about."""
        if self.routeros is not None:
            return self.routeros.host
        return str(self.radius.nas) if self.radius is not None else "nftables"


EnforceSettings = tuple[TargetSettings, ...]


def by_name(entries: EnforceSettings) -> dict[str, TargetSettings]:
    """The entries that count: of two of one name the first; ``edged check`` says so."""
    found: dict[str, TargetSettings] = {}
    for entry in entries:
        found.setdefault(entry.name, entry)
    return found
