# SPDX-License-Identifier: Apache-2.0
"""A host and its addresses in, a certificate signed by itself and its key out, PEM. Pure but for chance.

For a trial on one's own machine: browsers warn of it, as they should.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.values import IpAddress

_DAYS = 90
"""Long enough for a trial, short enough that nobody comes to rely on it."""


def self_signed(host: str, addresses: Iterable[IpAddress], now: float, days: int = _DAYS) -> tuple[bytes, bytes]:
    """(chain, key) in PEM for ``host`` and ``addresses``, from an hour before ``now``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    start = datetime.fromtimestamp(now, UTC) - timedelta(hours=1)
    names: list[x509.GeneralName] = [x509.DNSName(host), *(x509.IPAddress(a) for a in addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
