# SPDX-License-Identifier: Apache-2.0
"""Facts and the template sources in, documents of the dashboard and their headers out. Pure.

A document loads nothing: its style sheet and its one short script stand in it, and the policy names their digests.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from edged.captive.page.pages import environment

TEMPLATE_NAMES = ("base.html", "main.html", "parts.html", "plot.html", "list.html", "login.html", "page.css", "live.js")


@dataclass(frozen=True, slots=True)
class Query:
    """What of a page's address counts."""

    masked: bool = False
    wall: bool = False
    page: int = 1
    """Of a list, from 1."""

    def href(self, path: str, **more: str | int) -> str:
        """A link within the dashboard that keeps the mask."""
        fields: dict[str, str | int] = {"mask": 1} if self.masked else {}
        fields |= {name: value for name, value in more.items() if value}
        return f"{path}?{urlencode(fields)}" if fields else path


class Documents:
    """The templates, compiled once."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._environment = environment(sources)
        self._inline = {
            # our own style sheet and script, which hold nothing of anybody's
            "style": Markup(" ".join(sources["page.css"].split("\n")).strip()),  # noqa: S704
            "script": Markup(sources["live.js"].strip()),  # noqa: S704
        }
        digests = {tag: base64.b64encode(hashlib.sha256(own.encode()).digest()) for tag, own in self._inline.items()}
        self.headers = _headers(**{tag: digest.decode() for tag, digest in digests.items()})
        """Of every document."""

    def render(self, name: str, facts: Mapping[str, Any], query: Query | None = None) -> bytes:
        """The document ``name`` about ``facts``."""
        asked = query or Query()
        return self._environment.get_template(name).render(facts, query=asked, href=asked.href, **self._inline).encode()


PRIVATE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of everything that is served here."""


def _headers(style: str, script: str) -> dict[str, str]:
    """Nothing from elsewhere, nothing inline but what has our own digest, in nobody's frame, kept by nobody."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, **PRIVATE}
