# SPDX-License-Identifier: Apache-2.0
"""Paths of the operator in, template sources, logos and a TLS context out. Reads files."""

from __future__ import annotations

import ssl
from importlib.resources import files
from pathlib import Path

import structlog

from edged.captive.certificate import Life, examine, fitting
from edged.captive.page.pages import TEMPLATE_NAMES, logo_uri
from edged.captive.settings import CertificateFiles, PortalSettings
from edged.errors import ConfigError, Problem

log = structlog.get_logger(__name__)

_MAX_LOGO = 64 * 1024
"""It travels inside every page."""
HEAVY_LOGO = 12 * 1024
"""Octets. In base64 a heavier one makes the page heavier than 30 KB, a second on a poor line."""
_MAX_TEMPLATE = 256 * 1024
"""Thirty times the built-in one."""
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK"
"""Of TLS 1.2; those of TLS 1.3 are all good."""
_TICKET_KEY_LIFE = 86400.0
"""Seconds that one key seals session tickets: each context draws its own, so a new context is a new key. Who takes the
key out of memory reads the sessions of a day, not those of the certificate's life."""


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


def read_sheet_templates() -> dict[str, str]:
    """The template sources of the resident's key sheet, by name."""
    built_in = files("edged.captive.page.sheets") / "templates"
    return {path.name: path.read_text("utf-8") for path in built_in.iterdir() if path.name.startswith("sheet.")}


def read_templates(directory: Path | None) -> dict[str, str]:
    """The template sources by name; a file of the same name in ``directory`` replaces the built-in one."""
    built_in = files("edged.captive.page") / "templates"
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
    """The certificate on disk, when it was last read, and what was wrong with it since."""

    def __init__(self, paths: CertificateFiles, host: str) -> None:
        self.paths, self._host = paths, host
        self.life: Life | None = None
        """Of the certificate that is served."""
        self.refused: tuple[Problem, ...] = ()
        """Why the files as they are now were not taken, once two looks in a row have found it: a renewal writes two
        files, and a look between them is no fault."""
        self._doubted: tuple[Problem, ...] = ()
        self._seen: tuple[int, ...] = ()
        self._loaded_at = 0.0

    def load(self, now: float, *, whenever: bool = False) -> ssl.SSLContext:
        """A server context with the certificate as it is at ``now`` (epoch seconds). ConfigError: it does not work.

        ``whenever``: one that has ended is better than none, which would keep the whole daemon from starting.
        """
        seen = self._stamp()
        chain = _read(self.paths.chain, _MAX_TEMPLATE, "portal.certificate.chain")
        key = _read(self.paths.key, _MAX_TEMPLATE, "portal.certificate.key")
        for problem in examine(chain, key, self._host, now, whenever=whenever):
            log.warning("captive-certificate", found=problem.found, expected=problem.expected)
        context = server_context()
        try:
            context.load_cert_chain(self.paths.chain, self.paths.key)
        except (ssl.SSLError, OSError):
            expected = "a chain and a key of the same certificate"
            raise ConfigError.of("portal.certificate", f"{self.paths.chain} cannot be used", expected) from None
        self._seen, self._loaded_at, self.life = seen, now, fitting(chain, key, self._host)
        self.refused = self._doubted = ()
        return context

    def looked(self, now: float) -> ssl.SSLContext | None:
        """A new context, when the files have changed for the better or the tickets' key is a day old; else None."""
        changed = self.changed()
        if not self._seen and not self.exists():
            return None  # it is still to come
        if not changed and now - self._loaded_at < _TICKET_KEY_LIFE:
            self.refused = self._doubted = ()
            return None
        try:
            context = self.load(now, whenever=not changed)
        except ConfigError as error:
            if error.problems != self._doubted:
                for problem in error.problems:
                    log.warning("captive-certificate", found=problem.found, expected=problem.expected)
            self.refused = error.problems if self._doubted else ()
            self._doubted = error.problems
            return None
        if changed:
            log.info("captive-certificate-renewed")
        return context

    def exists(self) -> bool:
        """False while there is no certificate yet: one by ACME comes later."""
        return self.paths.chain.exists() and self.paths.key.exists()

    def changed(self) -> bool:
        """True when either file is another one than was loaded."""
        return self._stamp() != self._seen

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = (self.paths.chain.stat(), self.paths.key.stat())
        except OSError:
            return ()
        return tuple(number for stat in found for number in (stat.st_mtime_ns, stat.st_ino, stat.st_size))


def server_context() -> ssl.SSLContext:
    """TLS 1.2 and 1.3 as RFC 9325 has them: ephemeral keys and AEAD alone, for RSA and ECDSA certificates alike."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    return context
