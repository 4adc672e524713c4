# SPDX-License-Identifier: Apache-2.0
"""The captive portal API's answer, and the options by which a network names it. Pure. RFC 8908, RFC 8910.

What a DHCP server or a router has to send is computed here and sent by the operator's own servers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from edged.model import Access
from edged.policy.access import Decision

API_PATH = "/.well-known/captive-portal"
API_PATHS = frozenset({API_PATH, "/api/captive-portal"})
MEDIA_TYPE = "application/captive+json"

DHCPV4_OPTION, DHCPV6_OPTION, RA_OPTION = 114, 103, 37
_LONGEST = 255
"""Octets of the URI: what the length of a DHCPv4 option can say (RFC 2132 section 2)."""
_RA_UNIT = 8
"""Octets in which a Router Advertisement counts the length of an option (RFC 4861 section 4.6)."""


def api_body(portal_url: str, decision: Decision, now: float, *, sign_in: bool = False) -> bytes:
    """RFC 8908 section 5: captive while the line is blocked; what remains is said of a pass alone.

    With ``sign_in`` a due reminder is captive too.

    The page lets a pass be followed by a payment or another pass, which is what ``can-extend-session`` means.
    """
    facts: dict[str, bool | str | int] = {
        "captive": decision.access is Access.BLOCKED or (sign_in and decision.reminds),
        "user-portal-url": portal_url + "/",
    }
    if decision.access is Access.PASS and decision.until > now:
        facts["seconds-remaining"] = int(decision.until - now)
        facts["can-extend-session"] = True
    return json.dumps(facts).encode()


@dataclass(frozen=True, slots=True)
class Options:
    """The three options of RFC 8910 section 2, whole, as they stand in a packet. All name the same URI."""

    uri: str
    dhcpv4: bytes
    """Code 114 and its length, one octet each, then the URI without a NUL at its end."""
    dhcpv6: bytes
    """Code 103 and its length, two octets each, then the URI without a NUL at its end."""
    ra: bytes
    """Type 37 and its length in units of eight octets, then the URI, filled up with NUL."""


def capport_options(portal_url: str) -> Options:
    """The options that name the API of the page at ``portal_url``.

    ValueError: not an https URL, a host that is an address, or more than 255 octets.
    """
    uri = portal_url.rstrip("/") + API_PATH
    octets, host = uri.encode("ascii"), urlsplit(uri).hostname or ""
    if not uri.startswith("https://") or not host:
        raise ValueError("the API is had over https alone (RFC 8908 section 4)")
    if _is_address(host):
        raise ValueError("the URI must not hold an address in place of a name (RFC 8910 section 2)")
    if len(octets) > _LONGEST:
        raise ValueError(f"a URI of {len(octets)} octets does not fit option 114, which holds {_LONGEST}")
    units = -(-(2 + len(octets)) // _RA_UNIT)
    return Options(
        uri,
        bytes((DHCPV4_OPTION, len(octets))) + octets,
        DHCPV6_OPTION.to_bytes(2, "big") + len(octets).to_bytes(2, "big") + octets,
        (bytes((RA_OPTION, units)) + octets).ljust(units * _RA_UNIT, b"\x00"),
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
