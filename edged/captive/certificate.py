# SPDX-License-Identifier: Apache-2.0
"""A certificate chain and its key in, what is wrong with them for the host out. Pure. RFC 5280, RFC 6125."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edged.captive.names import is_address
from edged.errors import ConfigError, Problem

_SOON = 14 * 86400.0
"""Two weeks: an ACME client renews a month ahead, so less than this means that it does not."""
_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def examine(chain: bytes, key: bytes, host: str, now: float, path: str = "portal.certificate") -> tuple[Problem, ...]:
    """Warnings about a pair that works for ``host`` at ``now`` (epoch). ConfigError: it does not work."""
    leaf = _leaf(chain, path)
    _fits(leaf, key, path)
    starts, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if ends <= now:
        raise ConfigError.of(f"{path}.chain", f"a certificate that ended on {_day(ends)}", "one that is still good")
    if starts > now:
        raise ConfigError.of(
            f"{path}.chain", f"a certificate that begins on {_day(starts)}", "one that is good already"
        )
    if not _names(leaf, host):
        raise ConfigError.of(
            f"{path}.chain", "a certificate for other names", f"one for {host}, the host of portal.url"
        )
    if ends - now < _SOON:
        found = f"a certificate that ends on {_day(ends)}"
        return (Problem(f"{path}.chain", found, "one that is good for two weeks and more", "renew it", warning=True),)
    return ()


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


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%d %B %Y")
