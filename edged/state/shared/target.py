# SPDX-License-Identifier: Apache-2.0
"""``state.database`` as what is dialled, and how it is made sure who answers. ValueError says what is wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edged.state.sealing import KEY_OCTETS, Seal
from edged.values import Secret

LEAST_KEY = 32
"""Octets of ``state.shared_key``: it is meant to be drawn, not thought up."""
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_KNOWN = {"sslmode", "sslrootcert", "host", "port"}
_NEAR = {"", "localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Target:
    """A PostgreSQL database."""

    url: str
    password: Secret | None = None
    verifies: bool = False
    """True: TLS, and the certificate is that of the host."""
    authorities: str = ""
    """A file of certificates; empty: those of the system."""
    is_near: bool = False
    """True for a socket or the loopback: nobody listens on the way."""


def parse_target(url: str, password: Secret | None = None) -> Target:
    """The target that ``url`` names."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "postgresql":
        raise ValueError("postgresql://USER@HOST/DATABASE")
    if parts.password is not None:
        raise ValueError("a URL without a password; state.database_password: !file PATH")
    if not parts.path.strip("/") or not parts.username:
        raise ValueError("the user and the database, as in postgresql://edged@db.example.net/edged")
    if unknown := sorted(set(options) - _KNOWN):
        raise ValueError(f"only sslmode, sslrootcert, host and port behind the ?, not {unknown[0]}")
    mode = options.pop("sslmode", "")
    if mode and mode not in _MODES:
        raise ValueError(f"an sslmode of {', '.join(_MODES)}")
    _ = parts.port  # a ValueError of its own
    host = options.get("host", parts.hostname or "")
    is_near = host in _NEAR or host.startswith("/")
    authorities = options.pop("sslrootcert", "")
    verifies = mode == "verify-full" or (not mode and (not is_near or bool(authorities)))
    if not verifies and mode:
        options["sslmode"] = mode
        if authorities:
            options["sslrootcert"] = authorities
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(options), ""))
    return Target(plain, password, verifies, authorities if verifies else "", is_near)


def shared_seal(key: Secret) -> Seal:
    """What seals local keys for the store: HKDF (RFC 5869) of ``state.shared_key``."""
    derived = HKDF(SHA256(), KEY_OCTETS, salt=None, info=b"edged shared store").derive(key.reveal())
    return Seal(Secret(derived))


def key_mark(key: Secret | None) -> str:
    """Tells one shared key from another without telling it: with another, everything is read again."""
    if key is None:
        return ""
    return HKDF(SHA256(), 8, salt=None, info=b"edged shared store mark").derive(key.reveal()).hex()
