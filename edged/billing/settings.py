# SPDX-License-Identifier: Apache-2.0
"""The ``billing:`` section: where the lists come from and what may change without a person. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edged.fields import Duration, EndpointField, SecretField, Settings, Share, wrong


def _url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    host = rest.partition("/")[0]
    if scheme not in {"http", "https"} or not host or any(c.isspace() for c in value):
        raise wrong("an https URL", "for example https://billing.example.net")
    if "@" in host:
        raise wrong("a URL without a user and a password in it", "key: and secret: are their places")
    return value


BillingUrl = Annotated[str, AfterValidator(_url)]


class PollSettings(Settings):
    """How often billing is asked."""

    changes: Duration = 30.0
    sessions: Duration = 60.0
    full: Duration = 600.0


class WebhookSettings(Settings):
    """Where billing may tell us to look: docs/webhook.md."""

    listen: EndpointField
    path: str = Field(default="/hooks/billing", pattern=r"^/[\x21-\x7e]*$")
    secret: SecretField


class WindowSettings(Settings):
    """A limit on change within a sliding window: the smaller of ``share`` and ``count``."""

    share: Share
    count: int = Field(ge=0, strict=True)
    window: Duration


class WidestSettings(Settings):
    """The widest prefix that may ever be blocked."""

    ipv4: int = Field(default=24, ge=0, le=32, strict=True)
    ipv6: int = Field(default=48, ge=0, le=128, strict=True)


class GuardSettings(Settings):
    """What billing may change without a person."""

    blocked: WindowSettings = WindowSettings(share="3%", count=200, window="24h")
    """Newly blocked within the window."""
    vanished: WindowSettings = WindowSettings(share="30%", count=2000, window="1h")
    """Gone from a full list without a word that they are active again."""
    floor: int = Field(default=5, ge=0, strict=True)
    """So few may always pass."""
    first: Literal["hold", "accept"] = "hold"
    """The first list ever."""
    widest: WidestSettings = WidestSettings()


class StaleSettings(Settings):
    """What happens when billing has been silent for long."""

    after: Duration = 6 * 3600.0
    then: Literal["hold", "open"] = "hold"


def _label(value: str) -> str:
    if not value.strip() or len(value) > 256:
        raise wrong("a label as it is written in Splynx", "for example [VIP, Staff]")
    return value


class SplynxSettings(Settings):
    """What is Splynx's alone."""

    exempt_labels: tuple[Annotated[str, AfterValidator(_label)], ...] = ()
    """Customers with one of these labels (name or number) are never restricted."""
    direct_pay: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    """The add-on whose page takes a payment without a log-in: the first part of its path."""


class BillingSettings(Settings):
    """The central billing system."""

    source: Literal["splynx", "uisp", "rest", "file"] = "file"
    url: BillingUrl | None = None
    key: SecretField | None = None
    """What identifies us; for ``rest`` the bearer token may stand here or in ``secret``; for ``splynx`` the API key."""
    secret: SecretField | None = None
    ca: Path | None = None
    """PEM of a private authority; its certificates alone are trusted then. Omitted: the system's."""
    path: Path | None = None
    """``source: file``: YAML, JSON, a CSV file of subscribers, or a folder of CSV files."""
    poll: PollSettings = PollSettings()
    webhook: WebhookSettings | None = None
    guard: GuardSettings = GuardSettings()
    stale: StaleSettings = StaleSettings()
    splynx: SplynxSettings = SplynxSettings()

    @model_validator(mode="after")
    def _has_its_place(self) -> BillingSettings:
        if self.source == "file" and self.path is None:
            raise wrong("path: FILE beside source: file", "path: /var/lib/edged/billing.yaml")
        if self.source != "file" and self.url is None:
            raise wrong(f"url: URL beside source: {self.source}", "url: https://billing.example.net")
        if self.source == "splynx" and not (self.key and self.secret):
            absent = " and ".join(name for name in ("key", "secret") if not getattr(self, name))
            raise wrong(
                f"{absent} beside source: splynx: the API key and its secret",
                "key: !file /etc/edged/secrets/splynx-key and secret: !file /etc/edged/secrets/splynx",
            )
        return self

    @model_validator(mode="after")
    def _has_both_keys(self) -> BillingSettings:
        # without the Network's token no suspended service has an address, and nobody would ever be blocked
        wanted = {"key: (the CRM's app key)": self.key, "secret: (the Network's API token)": self.secret}
        missing = " and ".join(name for name, value in wanted.items() if value is None)
        if self.source == "uisp" and missing:
            raise wrong(
                f"{missing} beside source: uisp, which wants both", "docs/billing-uisp.md says where each is made"
            )
        return self
