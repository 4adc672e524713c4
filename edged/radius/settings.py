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


class ClientSettings(Settings):
    """One RADIUS client, or a network of alike ones."""

    name: str = Field(min_length=1, max_length=64)
    networks: tuple[PrefixField, ...] = Field(min_length=1)
    secret: SecretField
    secret_before: SecretField | None = None
    """The one that ``secret`` replaces: requests made with it are answered with it until this key is taken out."""
    certificate: str | None = Field(default=None, min_length=1, max_length=253)
    """Heard over TLS alone, from whoever shows a certificate with this name: a SAN dNSName, else the CN."""
    dialect: Literal[DIALECT_NAMES] = "auto"  # type: ignore[valid-type]  # a Literal of the tuple above
    password: SecretField | None = None
    """A fixed User-Password that this NAS sends for every device; none: empty, or spelled as User-Name."""
    message_authenticator: Literal["auto", "require", "optional"] = "auto"
    """auto: required from a client that has once sent one; a packet with Proxy-State and none is dropped."""
    disconnect: DisconnectSettings | None = None

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
    ca: Path
    """Who signs the certificates of clients; nobody else's word counts."""
    chain: Path
    key: Path


class RadiusSettings(Settings):
    """The RADIUS server."""

    auth: tuple[EndpointField, ...] = ()
    acct: tuple[EndpointField, ...] = ()
    tls: RadSecSettings | None = None
    clients: tuple[ClientSettings, ...] = ()

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
