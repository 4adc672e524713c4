# SPDX-License-Identifier: Apache-2.0
"""Paths of the operator in, template sources, logos and a TLS context out. Reads files."""

from __future__ import annotations

import ssl
from importlib.resources import files
from pathlib import Path

import structlog

from edged.captive.certificate import examine
from edged.captive.pages import TEMPLATE_NAMES, logo_uri
from edged.captive.settings import CertificateFiles, PortalSettings
from edged.errors import ConfigError

log = structlog.get_logger(__name__)

_MAX_LOGO = 64 * 1024
"""It travels inside every page."""
HEAVY_LOGO = 12 * 1024
"""Octets. In base64 a heavier one makes the page heavier than 30 KB, a second on a poor line."""
_MAX_TEMPLATE = 256 * 1024
"""Thirty times the built-in one."""


def _read(path: Path, limit: int, key: str) -> bytes:
    """The octets of ``path``. ConfigError: it cannot be read or is longer than ``limit``."""
    try:
        with path.open("rb") as file:
            octets = file.read(limit + 1)
    except OSError as error:
        raise ConfigError.of(key, f"{path}: {error.strerror}", "a file that edged may read") from None
    if len(octets) > limit:
        raise ConfigError.of(key, f"{path}: more than {limit // 1024} KiB", "a smaller file")
    return octets


def read_templates(directory: Path | None) -> dict[str, str]:
    """The template sources by name; a file of the same name in ``directory`` replaces the built-in one."""
    built_in = files("edged.captive") / "templates"
    sources = {name: (built_in / name).read_text("utf-8") for name in TEMPLATE_NAMES}
    if directory is None:
        return sources
    if not directory.is_dir():
        raise ConfigError.of("portal.templates", f"{directory}: not a folder", "a folder of templates")
    for path in sorted(p for p in directory.iterdir() if p.suffix in {".html", ".css"}):
        try:
            sources[path.name] = _read(path, _MAX_TEMPLATE, "portal.templates").decode()
        except UnicodeDecodeError:
            raise ConfigError.of("portal.templates", f"{path}: not UTF-8", "a text file in UTF-8") from None
    return sources


def read_logos(settings: PortalSettings) -> dict[str, str]:
    """The data URI of each brand's logo."""
    logos: dict[str, str] = {}
    for name, brand in settings.brands.items():
        if brand.logo is None:
            continue
        key = f"portal.brands.{name}.logo"
        octets = _read(brand.logo, _MAX_LOGO, key)
        logos[name] = logo_uri(octets)
        if not logos[name]:
            raise ConfigError.of(key, f"{brand.logo}: no picture that browsers show", "an SVG, PNG, JPEG or WebP file")
        if len(octets) > HEAVY_LOGO:
            log.warning("captive-logo-heavy", brand=name, octets=len(octets))
    return logos


class TlsFiles:
    """The certificate on disk and when it was last read."""

    def __init__(self, paths: CertificateFiles, host: str) -> None:
        self.paths, self._host = paths, host
        self._seen: tuple[int, ...] = ()

    def load(self, now: float) -> ssl.SSLContext:
        """A server context with the certificate as it is at ``now`` (epoch seconds)."""
        seen = self._stamp()
        chain = _read(self.paths.chain, _MAX_TEMPLATE, "portal.certificate.chain")
        key = _read(self.paths.key, _MAX_TEMPLATE, "portal.certificate.key")
        for problem in examine(chain, key, self._host, now):
            log.warning("captive-certificate", found=problem.found, expected=problem.expected)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.paths.chain, self.paths.key)
        except (ssl.SSLError, OSError):
            expected = "a chain and a key of the same certificate"
            raise ConfigError.of("portal.certificate", f"{self.paths.chain} cannot be used", expected) from None
        self._seen = seen
        return context

    def changed(self) -> bool:
        """True when either file is another one than was loaded."""
        return self._stamp() != self._seen

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = (self.paths.chain.stat(), self.paths.key.stat())
        except OSError:
            return ()
        return tuple(number for stat in found for number in (stat.st_mtime_ns, stat.st_ino, stat.st_size))
