# SPDX-License-Identifier: Apache-2.0
"""Portal settings in, settings that can be served now out: what is missing on disk is left out or stood in for.

A missing certificate or logo must not keep the sinkhole and the key server from starting; it is an alarm instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.captive.acme.record import FOLDER, certificate_files
from edged.captive.certificate import fitting
from edged.captive.selfsigned import self_signed
from edged.captive.settings import CertificateAcme, CertificateFiles, PortalSettings
from edged.errors import ConfigError, Problem
from edged.state.files import write_atomically

_RENEW_BEFORE_S = 60 * 86400.0
"""A stand-in lives 90 days; after 30 of them the next start makes another."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the page is served with."""

    settings: PortalSettings
    warnings: tuple[Problem, ...]


def served(settings: PortalSettings, directory: Path) -> Served:
    """``settings`` with every file that is there. ConfigError: the stand-in certificate cannot be written."""
    warnings: list[Problem] = []

    def there(path: Path | None, key: str, consequence: str) -> bool:
        if path is None:
            return True
        try:
            path.stat()
        except OSError as error:
            found = f"{path}: {(error.strerror or 'cannot be read').lower()}"
            warnings.append(Problem(key, found, consequence, warning=True))
            return False
        return True

    brands = {
        name: brand
        if there(brand.logo, f"portal.brands.{name}.logo", "the page shows the name alone")
        else brand.model_copy(update={"logo": None})
        for name, brand in settings.brands.items()
    }
    templates = (
        settings.templates if there(settings.templates, "portal.templates", "the built-in pages are shown") else None
    )
    certificate = settings.certificate if _usable(settings, there) else None
    if isinstance(settings.certificate, CertificateAcme) and settings.url:
        # it may not be there yet: until then the page comes over HTTP
        certificate = certificate_files(directory / FOLDER, settings.host)
        _put_damaged_aside(certificate.chain, settings.host)
    if certificate is None and settings.url and settings.listen.https:
        certificate = _stand_in(settings, directory)
        if not warnings or warnings[-1].key != "portal.certificate":
            warnings.append(
                Problem("portal.certificate", "a self-signed certificate stands in", "browsers warn", warning=True)
            )
    update = {"brands": brands, "templates": templates, "certificate": certificate}
    return Served(settings.model_copy(update=update), tuple(warnings))


def _usable(settings: PortalSettings, there: Callable[[Path | None, str, str], bool]) -> bool:
    certificate = settings.certificate
    if not isinstance(certificate, CertificateFiles):
        return False
    consequence = "a self-signed certificate stands in, and browsers warn"
    return all(there(path, "portal.certificate", consequence) for path in (certificate.chain, certificate.key))


def _put_damaged_aside(path: Path, host: str) -> None:
    """A file that holds no certificate for ``host`` must not keep the daemon from starting: another one is ordered."""
    try:
        octets = path.read_bytes()
        fitting(octets, octets, host)
    except FileNotFoundError:
        return
    except ConfigError:
        path.replace(path.with_suffix(".damaged"))
    except OSError as error:
        raise ConfigError.of("state.directory", f"{path}: {error.strerror}", "a file that edged may read") from error


def _stand_in(settings: PortalSettings, directory: Path) -> CertificateFiles:
    files = CertificateFiles(chain=directory / "stand-in.pem", key=directory / "stand-in.key")
    note = directory / "stand-in.host"
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        fresh = files.chain.exists() and time.time() - files.chain.stat().st_mtime < _RENEW_BEFORE_S / 2
        wanted = " ".join([settings.host, *map(str, settings.addresses)]).encode()
        if not (fresh and files.key.exists() and note.exists() and note.read_bytes() == wanted):
            chain, key = self_signed(settings.host, settings.addresses, time.time())
            write_atomically(files.key, [key])
            write_atomically(files.chain, [chain], 0o644)
            write_atomically(note, [wanted])
    except OSError as error:
        raise ConfigError.of(
            "state.directory", f"{directory}: {error.strerror}", "a directory that edged may write"
        ) from error
    return files
