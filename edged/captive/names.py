# SPDX-License-Identifier: Apache-2.0
"""A Host field or request target as sent in, canonical or refused out. Pure. RFC 9110 7.2, RFC 9112 3.2."""

from __future__ import annotations

import re
from ipaddress import ip_address

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255})(?::[0-9]{1,5})?")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes browsers read the whole host as an IPv4 address (URL Standard, "ends in a number")."""
_TARGET = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]{0,2000}")
"""RFC 3986 path and query; longer than any link a person follows."""
_NOT_PUBLIC = frozenset(
    {
        "local",
        "localhost",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "private",
        "test",
        "invalid",
        "example",
    }
    | {"onion", "alt", "arpa"}
)
"""Last labels that never stand for a public site (RFC 6761, RFC 6762, RFC 9476 and common custom)."""


def canonical_host(field: str) -> str | None:
    """The host in a Host field: lower case, no port, no final dot; None when the field is malformed.

    An IPv6 literal loses its brackets. An empty field (allowed by RFC 9112) is the empty host.
    """
    if not field:
        return ""
    match = _HOST.fullmatch(field.lower())
    if match is None:
        return None
    host = match[1].strip("[]") if match[1].startswith("[") else match[1].removesuffix(".")
    return host or None


def is_address(host: str) -> bool:
    """True when ``host`` is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public_name(host: str) -> bool:
    """True when ``host`` (canonical) is spelled like a name of the public Internet."""
    labels = host.split(".")
    return (
        4 <= len(host) <= 253
        and len(labels) >= 2
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMBER.fullmatch(labels[-1])
        and labels[-1] not in _NOT_PUBLIC
        and not is_address(host)
    )


def safe_target(target: str) -> str:
    """``target`` when it is a plain path and query; otherwise the root."""
    return target if _TARGET.fullmatch(target) and not target.startswith("//") else "/"
