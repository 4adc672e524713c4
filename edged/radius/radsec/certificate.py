# SPDX-License-Identifier: Apache-2.0
"""The files of ``radius.tls`` in, what is wrong with them out; a peer's certificate in, its names out. Pure.

RFC 6614 section 2.3, RFC 5280 section 4.2.1.9 (who may sign), RFC 6125.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from edged.errors import ConfigError

SOON_S = 14 * 86400.0
"""Two weeks: certificates of an authority of one's own are renewed by hand."""
_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What ``cryptography`` raises at octets that are no certificate, or one that it does not take."""


def names(certificate: bytes) -> frozenset[str]:
    """The dNSNames of a certificate (DER) in lower case; where it has none, its common name."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        try:
            alternative = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found = alternative.get_values_for_type(x509.DNSName)
        except x509.ExtensionNotFound:
            found = []
        common = [str(it.value) for it in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except _UNREADABLE:  # OpenSSL is more patient than this parser; a certificate that it cannot read names nobody
        return frozenset()
    return frozenset(name.lower().removesuffix(".") for name in found or common)


def examine(ca: bytes, chain: bytes, key: bytes) -> float:
    """When the server's certificate ends, epoch seconds. ConfigError: one of the three files does not work."""
    for authority in _certificates(ca, "ca", "a PEM file with the certificate of the authority"):
        if not _signs(authority):
            raise ConfigError.of(
                "radius.tls.ca", f"{authority.subject.rfc4514_string()}, which is no authority",
                "the certificate that signs those of the access points (CA:TRUE)",
            )  # fmt: skip
    leaf = _certificates(chain, "chain", "a PEM file that begins with the server's certificate")[0]
    if _private(key).public_key().public_bytes(*_PUBLIC) != leaf.public_key().public_bytes(*_PUBLIC):
        raise ConfigError.of("radius.tls.key", "the key of another certificate", "the key that belongs to the chain")
    return leaf.not_valid_after_utc.timestamp()


def _certificates(pem: bytes, key: str, expected: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    if not found:
        raise ConfigError.of(f"radius.tls.{key}", "no certificate", expected)
    return found


def _signs(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return False


def _private(pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError.of(
            "radius.tls.key", "a key under a passphrase", "a key without one: nobody is there to type it"
        ) from None
    except ValueError:
        raise ConfigError.of("radius.tls.key", "no private key", "the PEM file of the certificate's key") from None
