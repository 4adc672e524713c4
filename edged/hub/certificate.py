# SPDX-License-Identifier: Apache-2.0
"""The file of ``hub.tls.chain`` in, when its certificate ends out. Pure. RFC 5280."""

from __future__ import annotations

from cryptography import x509

from edged.errors import ConfigError

SOON_S = 14 * 86400.0
"""Two weeks: less than this means that nobody renews it."""


def ends(chain: bytes) -> float:
    """When the first certificate of ``chain``, which is the hub's, ends, epoch seconds. ConfigError: there is none."""
    try:
        return x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc.timestamp()
    except (ValueError, IndexError):
        expected = "a PEM file that begins with the hub's certificate"
        raise ConfigError.of("hub.tls.chain", "no certificate", expected) from None
