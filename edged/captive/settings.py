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
    """PEM file, the certificate first and what stands above it after it; looked at once a minute.

    Example: `/etc/edged/tls/portal.pem`
    Mistake: a certificate for another name: `edged run` refuses it.
    """
    key: Path
    """PEM file of its key, without a passphrase.

    Example: `/etc/edged/tls/portal.key`
    Mistake: not readable for the user `edged`.
    """


class CertificateAcme(Settings):
    """A certificate that edged fetches and renews itself (RFC 8555)."""

    acme: DirectoryUrl
    """Directory of an authority (RFC 8555) that edged fetches the certificate from; needs `requirements-acme.lock`.

    Example: `https://acme-v02.api.letsencrypt.org/directory`
    Mistake: no port 80 that the authority can reach, and no `hook`.
    """
    contact: Contact
    """E-mail address of the account with it.

    Example: `noc@example.net`
    Mistake: two addresses.
    """
    hook: Path | None = None
    """Program that adds and removes a TXT record (DNS-01); without it the authority asks port 80 (HTTP-01).

    Example: `/etc/edged/dns-hook`
    Mistake: one that returns before every name server has the record.
    """
    ca: Path | None = None
    """PEM of who signed the authority's own certificate; its certificates alone are trusted then.

    Example: `/etc/edged/tls/ca.pem`
    Mistake: the root of what it issues, where that is another one.
    """


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
    """Where the redirector listens, to which plain HTTP is steered.

    Example: `["0.0.0.0:8080", "[::]:8080"]`
    Mistake: one family.
    """
    https: tuple[EndpointField, ...] = ()
    """Where the page listens; the end of TLS for foreign names, too.

    Example: `["0.0.0.0:8443", "[::]:8443"]`
    Mistake: an address that the host does not have yet at boot: edged ends with 78.
    """


class PassSettings(Settings):
    """Full access for a short while, to pay with."""

    length: Duration = 900.0
    """How long a press opens the line.

    Example: `20m`
    """
    per_day: int = Field(default=3, ge=1, strict=True)
    """How often in 24 hours a line may be opened so.

    Example: `2`
    """


class TextSettings(Settings):
    """The texts of a page; any of them may differ per reason."""

    title: Translated | None = None
    """Heading of the blocked page, by language.

    Example: `{en: Line paused}`
    """
    text: Translated | None = None
    """First paragraph of the blocked page, by language."""
    button: Translated | None = None
    """Label of the button.

    Example: `{en: Pay now}`
    """
    link: WebUrl | None = None
    """Where the button leads (`https`, `http`, `tel`, `mailto`); the subscriber's `pay_url` wins. To a web page it
    leads over `/pay` on the page's own host, which counts the click.

    Mistake: its host is not in `garden.names`: the button leads nowhere.
    """
    additional: Translated | None = None
    """A note below the buttons of the blocked page.

    Example: `{en: "Our shop is closed on 6 January."}`
    Mistake: a telephone number here, where only the blocked page shows it, and not in `phone`.
    """
    phone: Phone | None = None
    """Whom to call: on every page, as text and as a link.

    Example: `"+1 555 0100"`
    Mistake: another number than the one on the invoice: readers compare the two.
    """
    hours: Translated | None = None
    """When somebody answers.

    Example: `{en: "Monday to Friday, 8:00 to 18:00"}`
    """
    help: Translated | None = None
    """Other ways to pay, such as bank details; lines stay lines. On the pages where a payment helps; on a signed link
    the invoice number stands below it.

    Example: `{en: "Bank transfer: Example Bank, account 000 123 456"}`
    Mistake: opening hours in it.
    """


class BrandSettings(TextSettings):
    """One look and one set of texts."""

    name: str = "Internet provider"
    """The provider's name on the page.

    Example: `Example ISP`
    """
    logo: Path | None = None
    """SVG, PNG, JPEG, GIF or WebP, at most 64 KiB; travels inside each page.

    Example: `/etc/edged/brand/logo.svg`
    Mistake: more than 12 KiB: slow on the lines that need it most; `edged check` warns.
    """
    colour: Colour = "#1a56db"
    """The colour of the button. Text and edges are chosen for contrast with it; `edged check` says what becomes of a
    pale one.

    Example: `"#0a5cff"`
    Mistake: the quotes forgotten.
    """
    reasons: dict[str, TextSettings] = Field(default_factory=dict)
    """Any of the eight texts above for one reason (`unpaid`, `new`, `quota`, `abuse`, `disabled`, or billing's own
    word), or for one page ([names](page.md#what-each-page-shows))."""


class PortalSettings(Settings):
    """The page: its host, its addresses, its certificate, its looks."""

    url: PortalUrl | None = None
    """The https URL of the page, a host alone.

    Example: `https://portal.example.net`
    Mistake: a path behind the host; a host that the public DNS gives another address.
    """
    addresses: tuple[AddressField, ...] = ()
    """What the sinkhole answers with; nftables steers to the first of each family.

    Example: `["203.0.113.10", "2001:db8::10"]`
    Mistake: a private address: phones and routers with rebind protection refuse it; one family forgotten: its
    traffic is refused, not steered.
    """
    certificate: Certificate | None = None
    """For the page's own host: `chain` and `key`, or `acme` and what goes with it; [certificates.md](certificates.md).

    Mistake: to have none: a self-signed one stands in, browsers warn, the alarm `page-incomplete` stays.
    """
    listen: ListenSettings = ListenSettings()
    """Where redirector and page listen."""
    foreign_tls: Literal["alert", "reset"] = "alert"
    """What a TLS client for somebody else's name gets: `alert` or `reset`.

    Mistake: `reset`: Chromium and Firefox show an error and offer no page ([decision
    0007](decisions/0007-what-a-foreign-tls-client-gets.md)).
    """
    templates: Path | None = None
    """A folder; a file in it replaces the built-in one of the same name ([the page](page.md#templates)).

    Example: `/etc/edged/portal`
    Mistake: names that the built-in page does not have: refused at start and reload, with file and line.
    """
    pass_: PassSettings | None = Field(default=None, alias="pass")
    """A button on the page that opens the line for a while to pay; leave it out to switch it off.

    Example: `{}`
    """
    brands: dict[str, BrandSettings] = Field(default_factory=lambda: {"default": BrandSettings()})
    """Looks by name; billing's `brand` chooses, else `default`, which must exist.

    Mistake: a brand of billing that is not here shows `default`.
    """

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
