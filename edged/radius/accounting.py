# SPDX-License-Identifier: Apache-2.0
"""Accounting-Request -> what it says of a session. Pure. RFC 2866 section 5, RFC 2869 section 5, RFC 4818."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edged.errors import WireError
from edged.radius.attributes import Attributes, address, integer, prefixes, text
from edged.radius.packet import Packet
from edged.state.sessions import Status
from edged.values import Prefix, host_prefix


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One report of a NAS on one session, or on itself (``ON``, ``OFF``).

    A retry may change Acct-Delay-Time: the same event is the same (NAS, session_id, status, user_name).
    """

    status: Status
    session_id: str
    user_name: str
    calling_station_id: str
    """As the NAS spells it; a MAC address where the access is Wi-Fi or IPoE."""
    nas_identifier: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    """Framed-IPv6-Address (RFC 6911)."""
    ipv6_prefixes: tuple[Prefix, ...]
    """Framed-IPv6-Prefix: the link."""
    delegated_prefixes: tuple[Prefix, ...]
    """Delegated-IPv6-Prefix: what the subscriber's router was given."""
    octets_in: int
    """From the subscriber."""
    octets_out: int
    """To the subscriber."""
    session_time: int
    """Seconds."""
    delay: int
    """Seconds between the event and this report."""

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """Every address of the session, both families, delegated prefixes included."""
        hosts = tuple(host_prefix(host) for host in (self.ipv4, self.ipv6) if host is not None)
        return hosts + self.ipv6_prefixes + self.delegated_prefixes


_STATUSES = {int(status): status for status in Status}
_NO_HOST = frozenset({IPv4Address(0), IPv4Address("255.255.255.254"), IPv4Address("255.255.255.255")})
"""Framed-IP-Address values that ask for an address instead of giving one (RFC 2865 section 5.8)."""


def read(request: Packet) -> SessionEvent | None:
    """The event in ``request``; None for a status of no session (RFC 2867): acknowledge that.

    WireError when RFC 2866 wants an attribute that is not there.
    """
    given = request.attributes
    number = integer(given, "Acct-Status-Type")
    if number is None:
        raise WireError("no-status-type")
    status = _STATUSES.get(number)
    if status is None:
        return None
    session_id = text(given, "Acct-Session-Id")
    if not session_id and status not in {Status.ON, Status.OFF}:
        raise WireError("no-session-id")
    ipv4 = address(given, "Framed-IP-Address")
    ipv6 = address(given, "Framed-IPv6-Address")
    return SessionEvent(
        status=status,
        session_id=session_id,
        user_name=text(given, "User-Name"),
        calling_station_id=text(given, "Calling-Station-Id"),
        nas_identifier=text(given, "NAS-Identifier"),
        ipv4=ipv4 if isinstance(ipv4, IPv4Address) and ipv4 not in _NO_HOST else None,
        ipv6=ipv6 if isinstance(ipv6, IPv6Address) else None,
        ipv6_prefixes=prefixes(given, "Framed-IPv6-Prefix"),
        delegated_prefixes=prefixes(given, "Delegated-IPv6-Prefix"),
        octets_in=_octets(given, "Acct-Input-Octets", "Acct-Input-Gigawords"),
        octets_out=_octets(given, "Acct-Output-Octets", "Acct-Output-Gigawords"),
        session_time=integer(given, "Acct-Session-Time") or 0,
        delay=integer(given, "Acct-Delay-Time") or 0,
    )


def _octets(given: Attributes, low: str, high: str) -> int:
    """The 64-bit counter that the two attributes make."""
    return ((integer(given, high) or 0) << 32) + (integer(given, low) or 0)
