# SPDX-License-Identifier: Apache-2.0
"""A Page, the brands and the template sources in, one HTML document and its headers out. Pure. WCAG 2.2.

The one place where Jinja2 is used. A document has no script, stores nothing and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo

from jinja2 import FunctionLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from edged.captive.answers import Page
from edged.captive.page.content import Content, Desk
from edged.captive.page.languages import choose_language, wanted_languages
from edged.captive.page.proofs import DESK, NOW, Proof, proofs
from edged.captive.page.style import themes
from edged.captive.page.texts import default_language, spoken, words
from edged.captive.settings import BrandSettings, PortalSettings
from edged.errors import ConfigError
from edged.model import NO_ACCOUNT

TEMPLATE_NAMES = (
    "page.html",
    "page.css",
    "main.html",
    "actions.html",
    "help.html",
    "trust.html",
    "foot.html",
    "icon.html",
)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_MEDIA = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)
"""What a template can do wrong."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished document."""

    body: bytes
    headers: tuple[tuple[str, str], ...]


def logo_uri(octets: bytes) -> str:
    """``octets`` as a data URI; empty when they are no picture that browsers show."""
    media = next((media for magic, media in _MEDIA if octets.startswith(magic)), "")
    if not media and b"<svg" in octets[:2048]:
        media = "image/svg+xml"
    return f"data:{media};base64,{base64.b64encode(octets).decode()}" if media else ""


def environment(sources: Mapping[str, str]) -> SandboxedEnvironment:
    """The templates ``sources`` by name: escaped, sandboxed, and an unknown name is a fault."""

    def source(name: str) -> tuple[str, str, None] | None:
        # as a loader of Jinja2 has it; the name stands where tracebacks look for a file
        return (sources[name], name, None) if name in sources else None

    return SandboxedEnvironment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, auto_reload=False
    )


class Pages:
    """Every page of one ``portal:`` section, made anew on a reload. ConfigError: a template does not work."""

    def __init__(
        self,
        settings: PortalSettings,
        templates: Mapping[str, str],
        logos: Mapping[str, str],
        link_key: bytes,
        *,
        zone: tzinfo | None = None,
    ) -> None:
        self._settings = settings
        self._logos = logos
        """Data URI by brand."""
        self._key, self._zone = link_key, zone
        self._sources = dict(templates)
        self._environment = environment(self._sources)
        for name in self._sources:
            self._compiled(name)
        self._template, style = self._compiled("page.html"), self._compiled("page.css")
        self._styles = {name: self._style(style, brand) for name, brand in settings.brands.items()}
        for proof in proofs("default"):
            # a fault in an operator's template shows now and not to a subscriber
            self.prove(proof, "en")

    def _compiled(self, name: str) -> Template:
        try:
            return self._environment.get_template(name)
        except TemplateError as error:
            raise self._fault(error, name) from None

    def _style(self, template: Template, brand: BrandSettings) -> str:
        """The style sheet in the brand's colour. ConfigError when an operator's own one does not work."""
        try:
            return template.render(themes(brand.colour)).replace("</", "<\\/")
        except _FAULTS as error:
            raise self._fault(error, "page.css") from None

    def _fault(self, error: Exception, name: str) -> ConfigError:
        """What is wrong, with the innermost template and the line in it."""
        places = [
            (f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__) if f.filename in self._sources
        ]
        if isinstance(error, TemplateSyntaxError):
            places.append((error.name or name, error.lineno))
        where, line = places[-1] if places else (name, None)
        found = f"{where}{f', line {line}' if line else ''}: {error}"
        return ConfigError.of("portal.templates", found, "a Jinja2 template that uses the names of the built-in one")

    def languages(self, brand: str) -> tuple[str, ...]:
        """The tags of every language that pages of ``brand`` speak."""
        return spoken(self._settings.brands[brand])

    def every(self) -> Iterator[tuple[Proof, str]]:
        """What can be shown at all: each page, for each brand, with the languages it speaks."""
        for brand in self._settings.brands:
            for proof in proofs(brand, self._settings.brands[brand].reasons):
                for language in self.languages(brand):
                    yield proof, language

    def prove(self, proof: Proof, language: str) -> Rendered:
        """The page of ``proof`` in ``language``. ConfigError: a template does not work."""
        try:
            return self.render(proof.page(language), NOW, DESK)
        except _FAULTS as error:
            raise self._fault(error, "page.html") from None

    def render(self, page: Page, now: float, desk: Desk) -> Rendered:
        """The document of ``page`` at ``now`` (epoch seconds)."""
        subscriber = page.decision.subscriber
        name = subscriber.brand if subscriber and subscriber.brand in self._settings.brands else "default"
        brand = self._settings.brands[name]
        account = subscriber.account if subscriber else NO_ACCOUNT
        wanted = (page.language, *wanted_languages(page.accept_language), account.language)
        language = choose_language(filter(None, wanted), spoken(brand), default_language(brand))
        said = words(brand, page.topic, page.decision.reason, language)
        content = Content(page, said, brand, self._settings, self._key, desk, now, self._zone)
        body = self._template.render(
            content.facts(),
            logo=self._logos.get(name, ""),
            style=Markup(self._styles[name]),  # noqa: S704  # our own style sheet, or the operator's
        )
        return Rendered(body.encode(), _headers(body))


def _headers(body: str) -> tuple[tuple[str, str], ...]:
    """The headers of a document; the policy names the digest of each style sheet in it and nothing else."""
    digests = (hashlib.sha256(style.encode()).digest() for style in _STYLE.findall(body))
    styles = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    policy = (
        f"default-src 'none'; style-src {styles}; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        # a week: browsers keep to https, and an operator can still leave this host behind
        ("Strict-Transport-Security", "max-age=604800"),
    )
