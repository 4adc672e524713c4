# SPDX-License-Identifier: Apache-2.0
"""A query as it came: octets in, ``Question`` out, or WireError with the prescribed reply. Pure.

RFC 1035 4.1, RFC 6891 6.1 and 7, RFC 7873 5.2, RFC 8906, RFC 9619. One pass, no recursion.
"""

from __future__ import annotations

import struct

from edged.dns import names, reply
from edged.dns.codes import HEADER_OCTETS, OPTION_COOKIE, Flag, Rcode, Type
from edged.dns.question import Edns, Question
from edged.errors import WireError

_HEADER = struct.Struct("!6H")
_TYPE_CLASS = struct.Struct("!2H")
_RR = struct.Struct("!2HIH")
_OPTION = struct.Struct("!2H")

_RECORDS = 8
"""Records that a query may carry beside its question: an OPT, a TSIG, the SOA of an IXFR, and to spare."""
_OPTIONS = 100
"""Options that one OPT may carry: clients send one to six, and all of 64 kB would be three milliseconds of work."""
_COOKIE_OCTETS = frozenset((8, *range(16, 41)))
"""Client cookie alone, or with a server cookie of 8 to 32 octets (RFC 7873, section 4)."""
_FORMERR = reply.failure(Rcode.FORMERR)


class _CookieLengthError(ValueError):
    """The OPT is sound and its cookie is not."""


def ask(name: str, qtype: int = Type.A) -> Question:
    """The Question that a plain stub would send for ``name``. ValueError when it is no name."""
    qname = names.to_wire(name)
    return Question(0, Flag.RD, qname, names.lower(qname), qtype, 1)


def parse(octets: bytes) -> Question:
    """The question in ``octets``. WireError: ``reason`` for the counter, ``reply`` is due (None: silence)."""
    if len(octets) < HEADER_OCTETS:
        raise WireError("short")
    ident, flags, qdcount, ancount, nscount, arcount = _HEADER.unpack_from(octets)
    if flags & Flag.QR:
        # answering an answer starts a loop between two servers, or of one with itself
        raise WireError("response")
    if flags & 0x7800:
        # the body of an unknown operation has no known format, so nothing of it comes back (RFC 8906)
        raise WireError("notimp", reply.header_only(ident, flags, Rcode.NOTIMP))
    try:
        question = _question(octets, ident, flags, qdcount, (ancount, nscount, arcount))
    except (ValueError, IndexError, struct.error):
        raise WireError("formerr", reply.header_only(ident, flags, Rcode.FORMERR)) from None
    return question


def _question(octets: bytes, ident: int, flags: int, qdcount: int, counts: tuple[int, int, int]) -> Question:
    """The body of a QUERY. ValueError and its kin: malformed."""
    at = HEADER_OCTETS
    if qdcount == 1:
        end = names.end_of_name(octets, at)
        qtype, qclass = _TYPE_CLASS.unpack_from(octets, end)
        if qtype == Type.OPT:
            raise ValueError("OPT is not a type to ask for")
        qname = octets[at:end]
        question = Question(ident, flags, qname, names.lower(qname), qtype, qclass)
        at = end + _TYPE_CLASS.size
    else:
        question = Question(ident, flags, b"", b"", 0, 0)
    ancount, nscount, arcount = counts
    if qdcount > 1 or ancount or nscount + arcount > _RECORDS:
        raise ValueError("more sections than a query has")
    if nscount or arcount:
        question = question._replace(edns=_edns(octets, at, nscount, arcount, question))
    if not qdcount and question.edns is None:
        raise ValueError("neither a question nor a cookie")
    if not qdcount and question.edns is not None and not question.edns.cookie:
        raise WireError("formerr", reply.render(question, _FORMERR))
    return question


def _edns(octets: bytes, at: int, nscount: int, arcount: int, question: Question) -> Edns | None:
    """The OPT among the records at ``at``; None when there is none. ValueError and its kin: malformed."""
    found: Edns | None = None
    for index in range(nscount + arcount):
        owner, at = at, names.end_of_owner(octets, at)
        rtype, size, ttl, length = _RR.unpack_from(octets, at)
        at += _RR.size
        if at + length > len(octets):
            raise ValueError("record is cut")
        if rtype == Type.OPT:
            if found is not None or index < nscount or octets[owner] != 0:
                raise ValueError("second or misplaced OPT")
            if ttl >> 16 & 0xFF:
                raise WireError("badvers", reply.badvers(question, do=bool(ttl & Flag.DO)))
            do = bool(ttl & Flag.DO)
            try:
                found = _options(octets, at, at + length, size, do=do)
            except _CookieLengthError:
                # an error without an OPT would say that we do not speak EDNS (RFC 6891, section 7)
                sent = question._replace(edns=Edns(size, do))
                raise WireError("formerr", reply.render(sent, _FORMERR)) from None
        at += length
    return found


def _options(octets: bytes, at: int, end: int, size: int, *, do: bool) -> Edns:
    cookie, bare, left = b"", at == end, _OPTIONS
    while at < end:
        left -= 1
        if left < 0:
            raise ValueError("more options than a query has")
        code, length = _OPTION.unpack_from(octets, at)
        at += _OPTION.size
        if at + length > end:
            raise ValueError("option overruns its record")
        if code == OPTION_COOKIE and not cookie:
            if length not in _COOKIE_OCTETS:
                raise _CookieLengthError
            cookie = octets[at : at + length]
        at += length
    return Edns(size, do, cookie, bare)
