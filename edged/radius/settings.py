# SPDX-License-Identifier: Apache-2.0
"""The ``radius:`` section: listeners and clients (NASes). Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from edged.fields import EndpointField, PrefixField, SecretField, Settings, wrong

DIALECT_NAMES = (
    "auto",
    "hostapd",
    "hostapd-psk",
    "mikrotik",
    "cisco-ipsk",
    "cisco-easy-psk",
    "meraki-ipsk",
    "meraki-easy-psk",
    "aruba",
    "ruckus",
    "ruckus-unbound",
    "omada",
    "omada-unbound",
    "eleven",
    "zyxel",
    "fortinet",
    "huawei",
    "extreme",
    "mist",
    "cambium",
    "grandstream",
)
"""The words an operator may write; ``mpsk.dialects.DIALECTS`` holds those that this version speaks."""


class DisconnectSettings(Settings):
    """Where this NAS takes Disconnect and CoA requests (RFC 5176)."""

    port: int = Field(default=3799, ge=1, le=65535, strict=True)
    """The UDP port of the NAS.

    Example: `1700`
    """


class ClientSettings(Settings):
    """One RADIUS client, or a network of alike ones."""

    name: str = Field(min_length=1, max_length=64)
    """Its name in logs, and the `site` of keys.

    Example: `building-7`
    Mistake: another spelling than billing's `site`: no key is found.
    """
    networks: tuple[PrefixField, ...] = Field(min_length=1)
    """Source addresses; the longest match wins, each network once.

    Example: `["10.7.0.0/24"]`
    Mistake: the subscribers' addresses instead of the access points'.
    """
    secret: SecretField
    """What it shares with edged, 8 characters or more; 16 or more resist guessing.

    Example: `!file /etc/edged/secrets/building-7`
    """
    secret_before: SecretField | None = None
    """The secret that `secret` replaces: both are accepted until you take this one out. [How to change a
    secret](wifi-access-points.md#changing-a-secret).

    Example: `!file /etc/edged/secrets/building-7.old`
    Mistake: left in for ever: the old secret still opens the door.
    """
    certificate: str | None = Field(default=None, min_length=1, max_length=253)
    """Heard over TLS alone, from whoever shows a certificate with this name (a dNSName; without any, the CN). Clients
    with different ones may share networks.

    Example: `ap.building-7.example.net`
    Mistake: set for access points that use UDP: they are unknown then.
    """
    dialect: Literal[DIALECT_NAMES] = "auto"  # type: ignore[valid-type]  # a Literal of the tuple above
    """How the access point asks for a key and takes it: [the dialects](wifi-access-points.md#dialects). `auto` looks at
    the request. The formats of `extreme`, `mist`, `cambium` and `grandstream` are not public: `edged check` warns, and
    every request is rejected.

    Example: `cisco-ipsk`
    Mistake: `auto` for Cisco or an unbound Omada network: nothing in their first request tells them apart.
    """
    password: SecretField | None = None
    """A fixed User-Password that this access point sends for every device, where it cannot send the MAC address.

    Example: `!file /etc/edged/secrets/mac-password`
    Mistake: to set it for access points that send the MAC address: it is not needed.
    """
    message_authenticator: Literal["auto", "require", "optional"] = "auto"
    """`require`: drop requests without one. `auto`: required once the address has sent one; without, dropped if it
    bears Proxy-State or no User-Password. `optional`: never missed.

    Example: `require`
    Mistake: `optional` on a network that others can write to.
    """
    disconnect: DisconnectSettings | None = None
    """Where this NAS takes Disconnect-Requests; none: devices are never sent away.

    Example: `{}`
    Mistake: left out: a resident who paid keeps the blocked VLAN until the device comes again.
    """

    @field_validator("secret", "secret_before")
    @classmethod
    def _long_enough(cls, value: SecretField | None) -> SecretField | None:
        if value is not None and len(value) < 8:
            raise wrong("a secret of at least 8 characters; 16 or more resist guessing (RFC 2865, section 3)")
        return value

    @field_validator("certificate")
    @classmethod
    def _lower(cls, value: str | None) -> str | None:
        return value if value is None else value.lower().removesuffix(".")

    @model_validator(mode="after")
    def _changed(self) -> Self:
        if self.secret_before is not None and self.secret_before == self.secret:
            raise wrong("another secret_before than secret", "secret is the new one, secret_before the one it replaces")
        return self

    @property
    def before(self) -> ClientSettings | None:
        """The same client as it was before its secret was changed."""
        if self.secret_before is None:
            return None
        return self.model_copy(update={"secret": self.secret_before, "secret_before": None})


class RadSecSettings(Settings):
    """RADIUS over TLS (RFC 6614)."""

    listen: tuple[EndpointField, ...] = Field(min_length=1)
    """Where it listens, for authentication and accounting both.

    Example: `["0.0.0.0:2083"]`
    """
    ca: Path
    """The authority that signs the certificates of access points and proxies; read again at a reload.

    Example: `/etc/edged/tls/ca.pem`
    """
    chain: Path
    """The certificate of edged itself and what stands above it; read again at a reload.

    Example: `/etc/edged/tls/radsec.pem`
    """
    key: Path
    """Its key, without a passphrase; read again at a reload.

    Example: `/etc/edged/tls/radsec.key`
    """


class RadiusSettings(Settings):
    """The RADIUS server."""

    auth: tuple[EndpointField, ...] = ()
    """Where access points ask for keys.

    Example: `["0.0.0.0:1812"]`
    Mistake: set, and no `mpsk.networks`: everything is rejected.
    """
    acct: tuple[EndpointField, ...] = ()
    """Accounting: which address a login has now, for subscribers known by `logins`.

    Example: `["0.0.0.0:1813"]`
    """
    tls: RadSecSettings | None = None
    """RADIUS over TLS (RadSec); a client must show a certificate:
    [wifi-access-points.md](wifi-access-points.md#radius-over-tls).

    Mistake: a certificate of a public authority as `ca`: anybody can buy one.
    """
    clients: tuple[ClientSettings, ...] = ()
    """Access points (NASes); a source that none covers is dropped in silence."""

    @field_validator("clients")
    @classmethod
    def _unambiguous(cls, value: tuple[ClientSettings, ...]) -> tuple[ClientSettings, ...]:
        seen: dict[object, str] = {}
        for client in value:
            for network in client.networks:
                place = (network, client.certificate)  # over TLS the certificate tells apart who shares an address
                if place in seen:
                    raise wrong(f"each network once; {network} stands under {seen[place]} and {client.name}")
                seen[place] = client.name
        return value
