# SPDX-License-Identifier: Apache-2.0
"""A Page, the brands and the template sources in, one HTML document and its headers out. Pure. WCAG 2.2.

The one place where Jinja2 is used. A document has no script, stores nothing and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import DictLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from edged.captive.answers import Page, Topic
from edged.captive.colour import DARK_GROUND, LIGHT_GROUND, contrast, mix, palette
from edged.captive.content import Content, Desk
from edged.captive.languages import choose_language, wanted_languages
from edged.captive.settings import BrandSettings, PortalSettings
from edged.captive.texts import default_language, spoken, words
from edged.errors import ConfigError
from edged.model import NO_ACCOUNT, Access, Account, State, Subscriber
from edged.policy.access import Decision, Rule

TEMPLATE_NAMES = ("page.html", "page.css")
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_PAGE_LIGHT, _PAGE_DARK = "#f4f6fa", "#0b0f17"
"""The ground around the card, before a trace of the brand."""
_CONTROL_RATIO = 3.0
"""WCAG 2.2 criterion 1.4.11: the edge of a control against its ground."""
_MEDIA = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


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


class Pages:
    """Every page of one ``portal:`` section, made anew on a reload. ConfigError: a template does not work."""

    def __init__(
        self,
        settings: PortalSettings,
        templates: Mapping[str, str],
        logos: Mapping[str, str],
        link_key: bytes,
    ) -> None:
        self._settings = settings
        self._logos = logos
        """Data URI by brand."""
        self._key = link_key
        environment = SandboxedEnvironment(
            loader=DictLoader(dict(templates)), autoescape=True, undefined=StrictUndefined
        )
        self._template, style = (_compiled(environment, name) for name in TEMPLATE_NAMES)
        self._styles = {name: _style(style, brand) for name, brand in settings.brands.items()}
        self._prove()

    def _prove(self) -> None:
        """Render each page once: a fault in an operator's template shows now and not to a subscriber."""
        account = Account("Ana Example", "1.00", "EUR", "2026-01-01", "https://pay.example.net/", "en")
        subscriber = Subscriber("1", State.BLOCKED, "unpaid", account=account)
        for topic in Topic:
            decision = Decision(Access.BLOCKED, Rule.DEFAULT, subscriber, reason="unpaid", until=60.0)
            for page in (
                Page(topic, decision, link="x", outcome="check"),
                Page(topic, Decision(Access.OPEN, Rule.DEFAULT)),
            ):
                try:
                    self.render(page, 0.0, Desk(1, can_check=True))
                except (
                    TemplateError,
                    TypeError,
                    ValueError,
                    ArithmeticError,
                    LookupError,
                    AttributeError,
                ) as error:
                    raise _template_fault("page.html", error) from None

    def render(self, page: Page, now: float, desk: Desk) -> Rendered:
        """The document of ``page`` at ``now`` (epoch seconds)."""
        subscriber = page.decision.subscriber
        name = subscriber.brand if subscriber and subscriber.brand in self._settings.brands else "default"
        brand = self._settings.brands[name]
        account = subscriber.account if subscriber else NO_ACCOUNT
        wanted = (page.language, *wanted_languages(page.accept_language), account.language)
        language = choose_language(filter(None, wanted), spoken(brand), default_language(brand))
        said = words(brand, page.topic, page.decision.reason, language)
        content = Content(page, said, brand, self._settings, self._key, desk, now)
        body = self._template.render(
            content.facts(),
            logo=self._logos.get(name, ""),
            style=Markup(self._styles[name]),  # noqa: S704  # our own style sheet, or the operator's
        )
        return Rendered(body.encode(), _headers(body))


def _compiled(environment: SandboxedEnvironment, name: str) -> Template:
    try:
        return environment.get_template(name)
    except TemplateError as error:
        raise _template_fault(name, error) from None


def _template_fault(name: str, error: Exception) -> ConfigError:
    line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
    return ConfigError.of(
        "portal.templates",
        f"{name}{line}: {error}",
        "a Jinja2 template that uses the names of the built-in one",
    )


def _style(template: Template, brand: BrandSettings) -> str:
    """The style sheet in the brand's colour. ConfigError when an operator's own one does not work."""
    themes = {
        "light": _theme(brand.colour, LIGHT_GROUND, _PAGE_LIGHT),
        "dark": _theme(brand.colour, DARK_GROUND, _PAGE_DARK),
    }
    try:
        return template.render(themes).replace("</", "<\\/")
    except (TemplateError, TypeError, ValueError, LookupError) as error:
        raise _template_fault("page.css", error) from None


def _theme(brand: str, ground: str, page: str) -> dict[str, str]:
    """The colours of one theme, by the names of ``page.css``."""
    first = palette(brand, ground)
    wash = mix(ground, first.accent, 0.08)
    # the pale ground of a chip costs contrast: the accent passes there too
    accent = palette(first.accent, wash).accent
    return {
        "ground": ground,
        "tint": mix(page, brand, 0.05 if page == _PAGE_LIGHT else 0.025),
        "wash": wash,
        "accent": accent,
        "brand": first.brand,
        "on_brand": first.on_brand,
        "rim": first.brand if contrast(first.brand, ground) >= _CONTROL_RATIO else accent,
    }


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
