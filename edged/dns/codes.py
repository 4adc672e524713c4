# SPDX-License-Identifier: Apache-2.0
"""The numbers of DNS that edged knows by name. Pure data. RFC 1035, RFC 6891, RFC 8914."""

from __future__ import annotations

from enum import IntEnum


class Type(IntEnum):
    """RR types and query types with a rule of their own; every other number is an ordinary type."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    AAAA = 28
    DNAME = 39
    OPT = 41
    DS = 43
    DNSKEY = 48
    SVCB = 64
    HTTPS = 65
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


CLASS_IN = 1


class Rcode(IntEnum):
    """Response codes; above 15 the upper octet travels in the OPT record."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16
    BADCOOKIE = 23


class Ede(IntEnum):
    """Extended DNS errors (RFC 8914, section 4) that edged sends."""

    STALE = 3
    FORGED = 4
    """Forged Answer: a positive answer that is ours and not the zone's."""
    BLOCKED = 15
    """Blocked: a negative answer by the operator's policy."""
    PROHIBITED = 18
    """Prohibited: this client is not served."""
    NO_REACHABLE_AUTHORITY = 22


class Flag(IntEnum):
    """Bits of the second 16-bit word of the header, and DO of the OPT record."""

    QR = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    AD = 0x0020
    CD = 0x0010
    DO = 0x8000


OPTION_COOKIE = 10
OPTION_EDE = 15

HEADER_OCTETS = 12
UDP_OCTETS = 1232
"""Largest UDP answer, and what we say we take: no fragments at the minimum IPv6 MTU (DNS flag day 2020)."""
PLAIN_UDP_OCTETS = 512
"""Largest UDP answer to a client without EDNS (RFC 1035, section 4.2.1)."""
