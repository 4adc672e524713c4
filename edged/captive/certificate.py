# SPDX-License-Identifier: Apache-2.0
"""A certificate chain and its key in, what is wrong with them for the host out. Pure. RFC 5280, RFC 6125."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edged.captive.names import is_address
from edged.errors import ConfigError, Problem

_SOON = 14 * 86400.0
"""Two weeks: an ACME client renews a month ahead, so less than this means that it does not."""
_SOON_SHARE = 1 / 6
"""Of a life that is shorter than three months: such certificates are renewed with a third of it left."""
_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Life:
    """From when until when a certificate is good. Epoch seconds."""

    begins: float
    ends: float
    share: float = 0.0
    """In [0, 1), of its own octets: the same at every look, another one for every certificate."""

    def is_ending(self, now: float) -> bool:
        """True when so little is left that a renewal must have failed."""
        return self.ends - now < min(_SOON, (self.ends - self.begins) * _SOON_SHARE)


def fitting(chain: bytes, key: bytes, host: str, path: str = "portal.certificate") -> Life:
    """The life of a certificate that belongs to ``key`` and names ``host``. ConfigError: it does not."""
    leaf = _leaf(chain, path)
    _fits(leaf, key, path)
    if not _names(leaf, host):
        raise ConfigError.of(
            f"{path}.chain", "a certificate for other names", f"one for {host}, the host of portal.url"
        )
    share = int.from_bytes(sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()[:4], "big") / 2**32
    return Life(leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp(), share)


def examine(
    chain: bytes, key: bytes, host: str, now: float, path: str = "portal.certificate", *, whenever: bool = False
) -> tuple[Problem, ...]:
    """Warnings about a pair that works for ``host`` at ``now`` (epoch). ConfigError: it does not work.

    With ``whenever`` one that has ended or is still to begin is a warning: where no better one is there, it is the
    portal's own all the same, and it may be the clock that is wrong.
    """
    life = fitting(chain, key, host, path)
    found, expected = "", "one that is good for two weeks and more"
    if life.ends <= now:
        found, expected = f"a certificate that ended on {day(life.ends)}", "one that is still good"
    elif life.begins > now:
        found, expected = f"a certificate that begins on {day(life.begins)}", "one that is good already"
    elif life.is_ending(now):
        found, whenever = f"a certificate that ends on {day(life.ends)}", True
    if found and not whenever:
        raise ConfigError.of(f"{path}.chain", found, expected)
    return (Problem(f"{path}.chain", found, expected, "renew it", warning=True),) if found else ()


def _leaf(chain: bytes, path: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError):
        raise ConfigError.of(f"{path}.chain", "no certificate", "a PEM file that begins with the certificate") from None


def _fits(leaf: x509.Certificate, key: bytes, path: str) -> None:
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except TypeError:
        raise ConfigError.of(
            f"{path}.key", "a key under a passphrase", "a key without one: nobody is there to type it"
        ) from None
    except ValueError:
        raise ConfigError.of(f"{path}.key", "no private key", "the PEM file of the certificate's key") from None
    if private.public_key().public_bytes(*_PUBLIC) != leaf.public_key().public_bytes(*_PUBLIC):
        raise ConfigError.of(f"{path}.key", "the key of another certificate", "the key that belongs to the chain")


def _names(leaf: x509.Certificate, host: str) -> bool:
    """True when a subject alternative name covers ``host``; a wildcard stands for exactly one label."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    if is_address(host):
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    parent = host.partition(".")[2]
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return host in known or (bool(parent) and f"*.{parent}" in known)


def day(when: float) -> str:
    """The day of ``when`` (epoch seconds) in UTC."""
    return datetime.fromtimestamp(when, UTC).strftime("%d %B %Y")
