# SPDX-License-Identifier: Apache-2.0
"""The ``portal:`` section. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from edged.fields import AddressField, Duration, EndpointField, Settings, wrong


def _portal_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise wrong("an https URL of a host alone", "for example https://portal.example.net")
    return value.rstrip("/")


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http", "tel", "mailto"} or any(c <= " " or c == "\x7f" for c in value):
        raise wrong("an https URL", "for example https://customer.example.net/login")
    return value


def _directory_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or any(c <= " " or c == "\x7f" for c in value):
        raise wrong("the https URL of an ACME directory", "https://acme-v02.api.letsencrypt.org/directory")
    return value


def _contact(value: str) -> str:
    address = value.removeprefix("mailto:")
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+", address):
        raise wrong("one e-mail address", "contact: noc@example.net")
    return address


def _colour(value: str) -> str:
    digits = value.removeprefix("#")
    if value[:1] != "#" or len(digits) not in {3, 6} or not set(digits.lower()) <= set("0123456789abcdef"):
        raise wrong('a colour as "#rrggbb", in quotes', 'for example "#0a5cff"')
    return value.lower() if len(digits) == 6 else "#" + "".join(2 * c for c in digits.lower())


def _quoted_colour(value: Any) -> Any:
    """A colour without quotes is a comment to YAML, and nothing is left of it."""
    if value is None:
        raise wrong('a colour as "#rrggbb", in quotes', 'without quotes # begins a comment: "#0a5cff"')
    return value


def _phone(value: str) -> str:
    text, digits = value.strip(), sum(c.isdigit() for c in value)
    if not 3 <= digits <= 15 or not set(text) <= set("+0123456789 ()-./"):
        raise wrong("a telephone number", 'for example "+1 555 0100", in quotes')
    return text


def _by_language(value: Any) -> Any:
    """A plain text is the English one."""
    return {"en": value} if isinstance(value, str) else value


PortalUrl = Annotated[str, AfterValidator(_portal_url)]
DirectoryUrl = Annotated[str, AfterValidator(_directory_url)]
Contact = Annotated[str, AfterValidator(_contact)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
Colour = Annotated[str, BeforeValidator(_quoted_colour), AfterValidator(_colour)]
Phone = Annotated[str, AfterValidator(_phone)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$")]
Translated = Annotated[dict[Language, str], BeforeValidator(_by_language)]
"""One text per language, by BCP 47 tag; a plain text is the English one."""


class CertificateFiles(Settings):
    """A certificate that the operator brings."""

    chain: Path
    key: Path


class CertificateAcme(Settings):
    """A certificate that edged fetches and renews itself (RFC 8555)."""

    acme: DirectoryUrl
    """Of the authority's directory."""
    contact: Contact
    hook: Path | None = None
    """A program that adds and removes a TXT record (DNS-01); missing: port 80 of the portal is asked (HTTP-01)."""
    ca: Path | None = None
    """PEM file of who signed the authority's own certificate; missing: whom the system trusts."""


def _certificate_kind(value: Any) -> str:
    # a tag that is no key: in the place of a problem it must not be taken for one
    if not isinstance(value, dict):
        return "files"
    # a misspelt "acme" is still to be answered as what was meant
    return "fetched" if "acme" in value or ("contact" in value and not value.keys() & {"chain", "key"}) else "files"


Certificate = Annotated[
    Annotated[CertificateFiles, Tag("files")] | Annotated[CertificateAcme, Tag("fetched")],
    Discriminator(_certificate_kind),
]


class ListenSettings(Settings):
    """Where the redirector and the portal listen."""

    http: tuple[EndpointField, ...] = ()
    https: tuple[EndpointField, ...] = ()


class PassSettings(Settings):
    """Full access for a short while, to pay with."""

    length: Duration = 900.0
    per_day: int = Field(default=3, ge=1, strict=True)


class TextSettings(Settings):
    """The texts of a page; any of them may differ per reason."""

    title: Translated | None = None
    text: Translated | None = None
    button: Translated | None = None
    link: WebUrl | None = None
    """Where the button leads; the subscriber's own ``pay_url`` wins where billing gives one."""
    additional: Translated | None = None
    phone: Phone | None = None
    """Whom to call; shown on every page, as text and as a link."""
    hours: Translated | None = None
    """When somebody answers."""
    help: Translated | None = None
    """Other ways to pay, such as bank details; shown where a payment helps."""


class BrandSettings(TextSettings):
    """One look and one set of texts."""

    name: str = "Internet provider"
    logo: Path | None = None
    """SVG or PNG, at most 64 KiB; put into the page itself."""
    colour: Colour = "#1a56db"
    reasons: dict[str, TextSettings] = Field(default_factory=dict)
    """Texts per reason."""


class PortalSettings(Settings):
    """The page: its host, its addresses, its certificate, its looks."""

    url: PortalUrl | None = None
    """This edge's page; its host is what the sinkhole answers with. Missing: there is no page."""
    addresses: tuple[AddressField, ...] = ()
    certificate: Certificate | None = None
    listen: ListenSettings = ListenSettings()
    foreign_tls: Literal["alert", "reset"] = "alert"
    """What a TLS client for somebody else's name gets."""
    templates: Path | None = None
    """Overrides of the built-in pages, same file names."""
    pass_: PassSettings | None = Field(default=None, alias="pass")
    brands: dict[str, BrandSettings] = Field(default_factory=lambda: {"default": BrandSettings()})

    @model_validator(mode="after")
    def _has_default_brand(self) -> PortalSettings:
        if "default" not in self.brands:
            raise wrong("a brand named default", "brands: {default: {name: Example ISP}}")
        return self

    @property
    def host(self) -> str:
        """The host name of the page, lower case; empty when there is none."""
        return (urlsplit(self.url).hostname or "") if self.url else ""

    @property
    def typed(self) -> str:
        """What a reader types to come to the page: the host, and all of the address where it has a port of its own."""
        return self.host if not self.url or urlsplit(self.url).port in {None, 443} else self.url.rstrip("/")
