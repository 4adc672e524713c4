# SPDX-License-Identifier: Apache-2.0
"""Replies: a query and a ``Body`` in, octets out. Pure. RFC 1035 4.1, 2308, 6891, 8482, 8906, 8914.

Every header: ID, opcode, RD and CD copied, QR set, AD and Z clear, TC only when truncated, RCODE ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from edged.dns import names
from edged.dns.codes import (
    CLASS_IN,
    OPTION_COOKIE,
    OPTION_EDE,
    PLAIN_UDP_OCTETS,
    UDP_OCTETS,
    Ede,
    Flag,
    Rcode,
    Type,
)
from edged.dns.question import Question
from edged.values import IpAddress

_HEADER = struct.Struct("!6H")
_RR = struct.Struct("!2HIH")
_OPT = struct.Struct("!B2H2BHH")
_COPIED = 0x7800 | Flag.RD | Flag.CD
_QNAME = b"\xc0\x0c"
"""A pointer to the name of the question."""
_AUTHORITATIVE = Flag.QR | Flag.AA | Flag.RA
"""glibc takes an empty NOERROR with neither AA nor RA for a lame referral and moves on."""
_TEXT = {Ede.FORGED: b"answered by the access network", Ede.BLOCKED: b"blocked by the access network"}
"""EXTRA-TEXT: no personal data, and short enough that no reply is four times its query."""


class Body(NamedTuple):
    """All of a reply that does not depend on who asked: built once, sent many times."""

    rcode: Rcode = Rcode.NOERROR
    ancount: int = 0
    nscount: int = 0
    sections: bytes = b""
    """Answer and authority sections; owner names point to the question."""
    ede: Ede | None = None
    flags: int = _AUTHORITATIVE


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """One RR of class IN."""
    return owner + _RR.pack(rtype, CLASS_IN, ttl, len(rdata)) + rdata


def address_records(addresses: Iterable[IpAddress], ttl: int) -> bytes:
    """A or AAAA records of the question's name."""
    return b"".join(record(_QNAME, Type.A if a.version == 4 else Type.AAAA, ttl, a.packed) for a in addresses)


def soa(zone: bytes, ttl: int) -> bytes:
    """The SOA of ``zone`` whose TTL and MINIMUM are the life of a negative answer (RFC 2308, section 5).

    MNAME and RNAME are the root, which says that nobody is there to be asked: a negative answer stays small.
    """
    return record(zone, Type.SOA, ttl, names.ROOT * 2 + struct.pack("!5I", 1, 3600, 600, 86400, ttl))


def positive(addresses: Iterable[IpAddress], ttl: int, ede: Ede | None = None) -> Body:
    """A or AAAA records."""
    held = tuple(addresses)
    return Body(ancount=len(held), sections=address_records(held, ttl), ede=ede)


def negative(rcode: Rcode, zone: bytes, ttl: int, ede: Ede | None = Ede.BLOCKED) -> Body:
    """NODATA (NOERROR) or NXDOMAIN, with the SOA that gives it a life."""
    return Body(rcode, nscount=1, sections=soa(zone, ttl), ede=ede)


def single(rtype: int, ttl: int, rdata: bytes) -> Body:
    """One record of the question's name."""
    return Body(ancount=1, sections=record(_QNAME, rtype, ttl, rdata))


def hinfo(ttl: int) -> Body:
    """What a query for ANY gets (RFC 8482, section 4.2)."""
    return single(Type.HINFO, ttl, b"\x07RFC8482\x00")


def failure(rcode: Rcode, ede: Ede | None = None) -> Body:
    """REFUSED, SERVFAIL: the question and nothing else; neither AA nor RA."""
    return Body(rcode, ede=ede, flags=Flag.QR)


def header_only(ident: int, flags: int, rcode: Rcode) -> bytes:
    """Twelve octets: for a message whose question cannot be trusted or read."""
    return _HEADER.pack(ident, Flag.QR | flags & _COPIED | rcode, 0, 0, 0, 0)


def badvers(question: Question, *, do: bool) -> bytes:
    """For an EDNS version that we do not speak: version 0 is what we offer (RFC 6891, section 6.1.3)."""
    flags = Flag.QR | question.flags & _COPIED
    qdcount = 1 if question.qname else 0
    return (
        _HEADER.pack(question.id, flags, qdcount, 0, 0, 1)
        + (question.section if qdcount else b"")
        + opt(do=do, extended=1)
    )


def opt(*, do: bool, extended: int = 0, options: bytes = b"") -> bytes:
    """Our OPT record; ``extended`` is the upper octet of the RCODE."""
    return _OPT.pack(0, Type.OPT, UDP_OCTETS, extended, 0, Flag.DO if do else 0, len(options)) + options


def render(question: Question, body: Body, cookie: bytes = b"") -> bytes:
    """``body`` as the reply to ``question``; ``cookie`` is the content of a COOKIE option."""
    flags = body.flags | question.flags & _COPIED | body.rcode & 0xF
    edns, additional = question.edns, b""
    if edns is not None:
        options = b""
        if body.ede is not None:
            text = _TEXT.get(body.ede, b"")
            options = struct.pack("!3H", OPTION_EDE, 2 + len(text), body.ede) + text
        if cookie:
            options += struct.pack("!2H", OPTION_COOKIE, len(cookie)) + cookie
        additional = opt(do=edns.do, extended=body.rcode >> 4, options=options)
    if not question.qname:
        return _HEADER.pack(question.id, flags, 0, 0, 0, 1) + additional
    return b"".join((
        _HEADER.pack(question.id, flags, 1, body.ancount, body.nscount, 1 if additional else 0),
        question.section,
        body.sections,
        additional,
    ))  # fmt: skip


def truncated(question: Question, cookie: bytes = b"", flags: int = _AUTHORITATIVE) -> bytes:
    """The question with TC: ask again over TCP."""
    return render(question, Body(flags=flags | Flag.TC), cookie)


def udp_limit(question: Question) -> int:
    """How many octets the client takes over UDP; a size below 512 counts as 512 (RFC 6891, section 6.2.5)."""
    if question.edns is None:
        return PLAIN_UDP_OCTETS
    return max(PLAIN_UDP_OCTETS, min(question.edns.size, UDP_OCTETS))
