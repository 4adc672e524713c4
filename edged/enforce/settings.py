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
    """Where subscribers come in; `ppp*` is all that begin so; empty: every interface.

    Example: `[lan0, "ppp*"]`
    Mistake: the bridge's port instead of the bridge; a name that does not exist is not an error.
    """
    forward: Literal["reject", "drop"] = "reject"
    """A blocked line's other traffic: `reject` answers at once, `drop` is silent.

    Example: `drop`
    Mistake: `drop`: apps hang for minutes instead of failing.
    """


class RouterosSettings(Settings):
    """A MikroTik router through its API; see docs/mikrotik.md."""

    host: Annotated[str, AfterValidator(_host)]
    """Its address or name; it is called so in output and metrics.

    Example: `192.0.2.1`
    Mistake: one router under two names: both write to it.
    """
    user: str
    """A user of its own on the router, with the rights that [mikrotik.md](mikrotik.md#the-user-for-edged) names.

    Example: `edged`
    Mistake: `admin`.
    """
    password: SecretField
    """The password of that user.

    Example: `!file /etc/edged/secrets/routeros`
    Mistake: the password in this file.
    """
    tls: bool = True
    """`true`: through the service `api-ssl`; `false`: through `api`, in clear.

    Example: `false`
    Mistake: `true` while `api-ssl` has no certificate on the router.
    """
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where the service listens; none: 8729, or 8728 without TLS.

    Example: `8729`
    """
    ca: Path | None = None
    """PEM file of the authority that signed the router's certificate, whose name must be `host`; none: the authorities
    of this host.

    Example: `/etc/edged/tls/routers.pem`
    Mistake: a certificate without `host` among its names: pin it instead.
    """
    fingerprint: FingerprintField | None = None
    """SHA-256 of the router's certificate, as `/certificate print detail` shows it: that one alone is taken.

    Example: 64 hexadecimal digits
    Mistake: the fingerprint of the authority.
    """
    list: ListName = "edged-blocked"
    """The address list of blocked lines, of both families.

    Example: `SpLBL_blocked`
    Mistake: a list that another system still fills: see [mikrotik.md](mikrotik.md#coming-from-another-system).
    """
    garden_list: ListName = "edged-garden"
    """The list of what they reach all the same."""
    portal_list: ListName = "edged-portal"
    """The list of the portal's addresses."""
    rules: Literal["write", "leave"] = "write"
    """`write` edged's nat and filter rules, or `leave` the rules to you and keep the lists alone.

    Example: `leave`
    Mistake: `leave` without rules of your own: nobody is blocked.
    """
    forward: Literal["reject", "drop"] = "reject"
    """A blocked line's other traffic: `reject` answers at once, `drop` is silent.

    Example: `drop`
    """
    entries: Literal["memory", "flash"] = "memory"
    """Entries of blocked lines: in `memory`, each for `lease`, or on its `flash` for good; see
    [mikrotik.md](mikrotik.md#memory-or-flash).

    Example: `flash`
    Mistake: `flash` with thousands of changes a day: it wears.
    """
    lease: Duration = Field(default=30 * 86400.0, ge=600.0, le=240 * 86400.0)
    """How long an entry in memory stays when edged is not there to renew it.

    Example: `7d`
    Mistake: a short one: lines open when edged is down for so long.
    """
    rate: int = Field(default=1000, ge=1, le=100_000)
    """At most so many entries, rules and connections are changed in a second.

    Example: `100`
    Mistake: a low one: ten thousand lines at 100 take 100 seconds.
    """
    timeout: Duration = Field(default=10.0, ge=1.0, le=120.0)
    """Silence after which the connection is given up; while lists are read, six times as long.

    Example: `30s`
    """


class RadiusTargetSettings(Settings):
    """A BNG through CoA and Disconnect (RFC 5176)."""

    nas: AddressField
    """Its address: where requests go, and whose accounting speaks of its sessions.

    Example: `192.0.2.5`
    Mistake: the address of a proxy; then name its client in `client`.
    """
    secret: SecretField
    """The secret of its CoA server.

    Example: `!file /etc/edged/secrets/bng`
    Mistake: another one than the BNG has: it is silent then.
    """
    port: Annotated[int, Field(ge=1, le=65535)] = 3799
    """Where it listens for CoA (RFC 5176).

    Example: `1700`
    Mistake: old RouterOS listens at 1700.
    """
    attribute: Attribute = "Mikrotik-Address-List"
    """What blocks: `Mikrotik-Address-List` or `Filter-Id` by CoA; `Framed-Pool` by ending the session, so that it
    begins anew in the other pool.

    Example: `Filter-Id`
    Mistake: `Framed-Pool` without a RADIUS server that gives the pool of the blocked.
    """
    blocked: ValueText = "edged-blocked"
    """The attribute's value for who is blocked.

    Example: `Reject_1`
    Mistake: a list or filter that the BNG does not have.
    """
    open: ValueText = "edged-open"
    """Its value for who was blocked and is open again; another one.

    Example: `active`
    Mistake: a list that something else filters.
    """
    pool: tuple[PrefixField, ...] = ()
    """`Framed-Pool`: the networks of the pool of the blocked, within `subscribers.networks`.

    Example: `["100.64.255.0/24"]`
    """
    client: str = ""
    """The name in `radius.clients` whose accounting speaks of its sessions; empty: whoever sends from `nas`.

    Example: `core-proxy`
    Mistake: two BNGs behind one such client: each is told of the other's sessions.
    """
    identify: Annotated[tuple[Name, ...], Field(min_length=1)] = ("Acct-Session-Id", "User-Name", "Framed-IP-Address")
    """What names a session to it; all that is sent must match there.

    Example: `[Acct-Session-Id]`
    Mistake: to leave out Acct-Session-Id: an address or a login may be another session's by then.
    """
    rate: Annotated[int, Field(ge=1, le=1000)] = 50
    """Requests a second at most.

    Example: `10`
    """

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
    """This host's packet filter; see [linux.md](linux.md). One such entry: a second is passed over."""
    routeros: RouterosSettings | None = None
    """A MikroTik router through its API; see [mikrotik.md](mikrotik.md). One entry a router."""
    radius: RadiusTargetSettings | None = None
    """A BNG (PPPoE or IPoE server) that is told of each session by CoA or Disconnect; see [bng.md](bng.md). One entry
    a BNG.

    Mistake: to leave out its accounting: without `radius.acct` and the BNG in `radius.clients` no session is known.
    """

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
