# SPDX-License-Identifier: Apache-2.0
"""A good configuration in, every page of every brand rendered out: faults, sizes, files. Reads and writes files.

What a subscriber would see first, the operator sees here: each page in each language, with the operator's templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edged.captive.files.service import read_logos, read_templates
from edged.captive.page.pages import Pages
from edged.captive.settings import PortalSettings
from edged.captive.statement import KEY_OCTETS
from edged.config.document import Document, Location
from edged.config.finding import placed, warning
from edged.config.loading import Loaded
from edged.errors import ConfigError, Problem

HEAVY_PAGE = 30_000
"""Octets: about a second on a poor line."""
_TEMPLATES: Location = ("portal", "templates")


@dataclass(frozen=True, slots=True)
class Proved:
    """What came of it."""

    pages: int
    heaviest: int
    """Octets of the heaviest page."""
    languages: tuple[str, ...]
    warnings: tuple[Problem, ...]

    @property
    def sentence(self) -> str:
        """For the line ``page`` of `edged check`."""
        return f"every state rendered: {self.pages} pages, the heaviest {self.heaviest / 1000:.1f} KB"


def prove(loaded: Loaded, folder: Path | None = None) -> Proved:
    """Render every page, into ``folder`` where one is given. ConfigError: a template does not work, with its line."""
    try:
        pages = _pages(loaded.config.portal)
    except ConfigError as error:
        raise _with_lines(error.problems, loaded.document) from None
    heaviest: dict[str, tuple[int, str]] = {}
    written: dict[str, str] = {}
    faults: dict[str, Problem] = {}
    languages: dict[str, None] = {}
    count = 0
    for proof, language in pages.every():
        try:
            body = pages.prove(proof, language).body
        except ConfigError as error:
            faults |= {problem.found: problem for problem in error.problems}
            continue
        count += 1
        languages[language] = None
        heaviest[proof.brand] = max(heaviest.get(proof.brand, (0, "")), (len(body), f"{proof.name}, {language}"))
        if folder is not None:
            name = f"{re.sub(r'[^A-Za-z0-9_-]', '_', f'{proof.brand}-{proof.name}')}.{language}.html"
            _write(folder / name, body)
            written[name] = f"{proof.brand}: {proof.name}, {language}"
    if faults:
        raise _with_lines(tuple(faults.values()), loaded.document)
    if folder is not None:
        _write(folder / "index.html", _index(written))
    return Proved(
        count,
        max((octets for octets, _ in heaviest.values()), default=0),
        tuple(languages),
        tuple(
            _too_heavy(brand, octets, name, loaded.document)
            for brand, (octets, name) in heaviest.items()
            if octets > HEAVY_PAGE
        ),
    )


def _pages(portal: PortalSettings) -> Pages:
    """The pages as they can be served: what is not there is left out, as the daemon does, and was warned of."""
    brands = {
        name: brand if brand.logo is None or brand.logo.exists() else brand.model_copy(update={"logo": None})
        for name, brand in portal.brands.items()
    }
    there = portal.templates is not None and portal.templates.exists()
    settings = portal.model_copy(update={"brands": brands, "templates": portal.templates if there else None})
    return Pages(settings, read_templates(settings.templates), read_logos(settings), bytes(KEY_OCTETS))


def _with_lines(problems: tuple[Problem, ...], document: Document) -> ConfigError:
    found = [placed(problem, _TEMPLATES if problem.key == "portal.templates" else (), document) for problem in problems]
    return ConfigError(found, document.path, document.lines)


def _too_heavy(brand: str, octets: int, name: str, document: Document) -> Problem:
    location: Location = ("portal", "brands", brand)
    _, problem = warning(
        location,
        f"a page of {octets / 1000:.1f} KB ({name})",
        f"above {HEAVY_PAGE // 1000} KB it is slow on a poor line",
    )
    return placed(problem, location, document)


def _write(path: Path, body: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError as error:
        raise ConfigError.of("--pages", f"{path}: {error.strerror}", "a folder that can be written") from None


def _index(written: dict[str, str]) -> bytes:
    links = "".join(f'<li><a href="{name}">{escape(title)}</a>' for name, title in written.items())
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Every page</title><ul>{links}</ul>'.encode()
