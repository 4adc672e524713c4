# SPDX-License-Identifier: Apache-2.0
"""The ``hub:`` section: where other edges ask this one instead of billing. Pure."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from edged.fields import Duration, EndpointField, SecretField, Settings, wrong


class HubTlsSettings(Settings):
    """HTTPS without a proxy in front."""

    chain: Path
    """PEM file: the hub's certificate, then whoever signed it.

    Example: `/etc/edged/tls/hub.pem`
    """
    key: Path
    """PEM file: the certificate's private key, without a passphrase. Both are read at the start and at a reload.

    Example: `/etc/edged/tls/hub.key`
    """


class HubSettings(Settings):
    """What other edges are served."""

    listen: EndpointField
    """Address and port. Without `tls` it is plain HTTP, for the loopback address and a proxy in front.

    Example: `"10.0.0.5:9443"`
    Mistake: a public address without `tls`: passphrases travel in clear.
    """
    path: str = Field(default="/edged", pattern=r"^(/[A-Za-z0-9._~-]{1,64}){0,4}$")
    """The path before `/subscribers` and `/keys`; `billing.url` of the edges ends with it.

    Example: `/edged`
    Mistake: a proxy in front that changes the path: what is signed then is another one, and every edge refuses it.
    """
    keys: tuple[SecretField, ...] = Field(min_length=1, max_length=8)
    """Bearer keys, any of which lets an edge in: what stands in its `billing.key`. While one replaces another, both.

    Example: `[!file /etc/edged/secrets/hub]`
    Mistake: the key with which this hub is let in at billing.
    """
    tls: HubTlsSettings | None = None
    """HTTPS at `listen`; without it HTTP."""
    cache: Duration = 0.0
    """How long a proxy may serve an answer about subscribers again without asking; `0s`: never. Wi-Fi keys are always
    asked for.

    Example: `2s`
    Mistake: longer than a payment may take to open a line.
    """
    silent: Duration = 300.0
    """How long an edge may go without a report before it is an alarm. Edges report about once a minute.

    Example: `15m`
    """

    @field_validator("keys")
    @classmethod
    def _long_enough(cls, value: tuple[SecretField, ...]) -> tuple[SecretField, ...]:
        if any(len(secret) < 16 for secret in value):
            raise wrong("bearer keys of at least 16 characters", "openssl rand -base64 30")
        return value
