# SPDX-License-Identifier: Apache-2.0
"""An upstream's reply: our query out, octets in, ``Answer`` out; and that answer to a client. Pure.

RFC 1035 4.1.4 (compression), RFC 2308 (negative life), RFC 5452 (what must match), RFC 8767 (stale).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edged.dns import names, reply
from edged.dns.codes import CLASS_IN, HEADER_OCTETS, Ede, Flag, Rcode, Type
from edged.dns.question import Question
from edged.dns.reply import Body
from edged.errors import WireError
from edged.policy.prefixes import PrefixMap
from edged.values import IpAddress, parse_prefix

_HEADER = struct.Struct("!6H")
_RR = struct.Struct("!2HIH")
_TTL = struct.Struct("!I")
_OPTION = struct.Struct("!2H")
_OPTION_PADDING = 12

_RECORDS = 256
"""Records read from one reply: above the largest sets in the field, and half a millisecond of work."""
_STEPS = 1024
"""Labels and pointers followed in one reply: four for each record. Pointers could make them 8,000 for each."""
_ADDRESS_OCTETS = {int(Type.A): 4, int(Type.AAAA): 16}
_CHAIN = 16
"""CNAMEs followed: resolvers themselves give up at 8 to 17."""
STALE_TTL = 30
"""TTL of an answer past its life (RFC 8767, section 4)."""
_LONGEST = 86400
"""A TTL above a day gains nothing here; one with the top bit set counts as 0 (RFC 2181, section 8)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One checked reply, without its OPT."""

    rcode: int
    truncated: bool
    counts: tuple[int, int, int]
    """ANCOUNT, NSCOUNT, ARCOUNT."""
    sections: bytes
    """Everything after the question."""
    ttl_offsets: tuple[int, ...]
    """Where the TTLs stand in ``sections``."""
    life: int
    """Seconds that it may be kept; 0: not at all."""
    addresses: tuple[IpAddress, ...] = ()
    """A and AAAA records at the end of the question's CNAME chain."""
    chain_ttl: int = 0
    """The least TTL of that chain and those records."""
    aliased: bool = False
    """True when the question's name is an alias."""
    target: bytes = b""
    """The end of the chain, when the reply says nothing about it: the next name to ask for."""


def query(question: Question, ident: int, qname: bytes, *, block: int = 0) -> bytes:
    """The query that we send for ``question``: RD, CD and DO as asked, no option of the client's.

    ``block``: padded to a multiple of so many octets (RFC 8467, section 4.1), on encrypted transports alone.
    """
    flags = Flag.RD | question.flags & Flag.CD
    do = question.edns is not None and question.edns.do
    head = _HEADER.pack(ident, flags, 1, 0, 0, 1) + question._replace(qname=qname).section
    if not block:
        return head + reply.opt(do=do)
    missing = -(len(head) + len(reply.opt(do=do)) + _OPTION.size) % block
    return head + reply.opt(do=do, options=_OPTION.pack(_OPTION_PADDING, missing) + bytes(missing))


def mix_case(name: bytes, bits: int) -> bytes:
    """``name`` (lower case) with each letter in upper case where a bit of ``bits`` says so (0x20)."""
    mixed = bytearray(name)
    for index, octet in enumerate(mixed):
        if 0x61 <= octet <= 0x7A and bits >> index & 1:
            mixed[index] = octet - 0x20
    return bytes(mixed)


def parse(octets: bytes, sent: bytes) -> Answer:
    """The answer to our query ``sent`` in ``octets``. WireError: not an answer to it, or malformed."""
    end = _question_end(sent)
    if octets[:2] != sent[:2] or len(octets) < HEADER_OCTETS or octets[2] & 0xF8 != 0x80:
        raise WireError("mismatch")
    flags, qdcount, *counts = _HEADER.unpack_from(octets)[1:]
    if qdcount != 1 or octets[HEADER_OCTETS:end] != sent[HEADER_OCTETS:end]:
        raise WireError("mismatch")
    if sum(counts) > _RECORDS:
        raise WireError("records")
    reader = _Reader(octets, end)
    try:
        for section, count in enumerate(counts):
            for _ in range(count):
                reader.read(section)
    except (ValueError, IndexError, struct.error):
        if not flags & Flag.TC:
            raise WireError("malformed") from None
    return reader.answer(flags, names.lower(octets[HEADER_OCTETS : end - 4]))


def _question_end(sent: bytes) -> int:
    return names.end_of_name(sent, HEADER_OCTETS) + 4


class _Reader:
    """One pass over the records of a reply."""

    __slots__ = (
        "_address",
        "_at",
        "_cname",
        "_cut",
        "_held",
        "_kept",
        "_least",
        "_negative",
        "_octets",
        "_offsets",
        "_start",
        "_steps",
    )

    def __init__(self, octets: bytes, start: int) -> None:
        self._octets, self._start, self._at, self._cut = octets, start, start, 0
        self._offsets: list[int] = []
        self._kept = [0, 0, 0]
        self._cname: dict[bytes, tuple[bytes, int]] = {}
        self._address: dict[bytes, list[tuple[bytes, int]]] = {}
        self._negative: int | None = None
        self._least = _LONGEST
        self._held: dict[int, bytes] = {}
        self._steps = _STEPS

    def read(self, section: int) -> None:
        """One record of ``section`` (0 answer, 1 authority, 2 additional)."""
        octets, begin = self._octets, self._at
        owner, at = self._name(begin)
        rtype, rclass, ttl, length = _RR.unpack_from(octets, at)
        rdata = at + _RR.size
        self._at = rdata + length
        if self._at > len(octets):
            raise ValueError("record is cut")
        if rtype == Type.OPT and section == 2:
            # what follows an OPT cannot move without its pointers, and is only additional data: it goes, too
            self._cut = self._cut or begin
            return
        if self._cut:
            return
        ttl = min(ttl, _LONGEST) if ttl < 1 << 31 else 0
        self._kept[section] += 1
        self._offsets.append(at + 4 - self._start)
        self._least = min(self._least, ttl)
        if section == 0 and rclass == CLASS_IN:
            self._note(names.lower(owner), rtype, ttl, rdata, length)
        elif section == 1 and rtype == Type.SOA and length >= 22:
            self._negative = min(ttl, _TTL.unpack_from(octets, self._at - 4)[0])

    def _note(self, owner: bytes, rtype: int, ttl: int, at: int, length: int) -> None:
        if rtype == Type.CNAME:
            self._cname.setdefault(owner, (names.lower(self._name(at)[0]), ttl))
        elif length == _ADDRESS_OCTETS.get(rtype):
            self._address.setdefault(owner, []).append((self._octets[at : at + length], ttl))

    def _name(self, at: int) -> tuple[bytes, int]:
        """The name at ``at``, decompressed, and where it ends. ValueError, IndexError: malformed."""
        octets, pieces, total = self._octets, [], 1
        start, end, limit = at, 0, at
        while length := octets[at]:
            self._steps -= 1
            if self._steps < 0:
                raise ValueError("names without an end")
            if length >= 0xC0:
                target = (length & 0x3F) << 8 | octets[at + 1]
                end = end or at + 2
                # strictly backwards every time: a chain of pointers cannot loop
                if target >= limit or target < HEADER_OCTETS:
                    raise ValueError("pointer does not lead back")
                if at == start and target in self._held:
                    return self._held[target], end
                at = limit = target
                continue
            if length > names.LABEL_OCTETS:
                raise ValueError("label type")
            piece = octets[at : at + 1 + length]
            total += len(piece)
            if total > names.NAME_OCTETS:
                raise ValueError("name over 255 octets")
            pieces.append(piece)
            at += 1 + length
        name = b"".join(pieces) + names.ROOT
        if octets[start] >= 0xC0:
            # most owners are a pointer to the question
            self._held[(octets[start] & 0x3F) << 8 | octets[start + 1]] = name
        return name, end or at + 1

    def answer(self, flags: int, name: bytes) -> Answer:
        """What was read, for the question ``name``."""
        aliased, least = name in self._cname, _LONGEST
        for _ in range(_CHAIN):
            if name not in self._cname:
                break
            name, ttl = self._cname[name]
            least = min(least, ttl)
        held = self._address.get(name, [])
        rcode, truncated = flags & 0x0F, bool(flags & Flag.TC)
        # with an SOA it does say something: that there is nothing
        silent = aliased and not held and name not in self._cname and self._negative is None
        positive = rcode == Rcode.NOERROR and self._kept[0] > 0
        negative = self._negative if rcode in {Rcode.NOERROR, Rcode.NXDOMAIN} else None
        life = self._least if positive else min(self._least, negative or 0)
        end = self._cut or self._at
        return Answer(
            rcode,
            truncated,
            (self._kept[0], self._kept[1], self._kept[2]),
            self._octets[self._start : end],
            tuple(self._offsets),
            0 if truncated else life,
            tuple(IPv4Address(o) if len(o) == 4 else IPv6Address(o) for o in dict.fromkeys(o for o, _ in held)),
            min(least, *(ttl for _, ttl in held)) if held else least * aliased,
            aliased,
            name if silent and not truncated and rcode == Rcode.NOERROR else b"",
        )


def relay(question: Question, answer: Answer, age: int, *, stale: bool = False, cookie: bytes = b"") -> bytes:
    """``answer`` as the reply to ``question``, in its own case and EDNS, every TTL less ``age`` (seconds)."""
    sections = bytearray(answer.sections)
    for offset in answer.ttl_offsets:
        ttl = _TTL.unpack_from(sections, offset)[0]
        left = max(0, min(ttl, _LONGEST) - age) if ttl < 1 << 31 else 0
        _TTL.pack_into(sections, offset, STALE_TTL if stale else left)
    counts = answer.counts
    rcode = Rcode(answer.rcode) if answer.rcode in _KNOWN else Rcode.SERVFAIL
    body = Body(rcode, counts[0], counts[1], b"", Ede.STALE if stale else None, RELAYED)
    head = reply.render(question._replace(edns=None), body)
    additional = reply.render(question, body, cookie)[len(head) :]
    arcount = counts[2] + (1 if additional else 0)
    return head[:10] + arcount.to_bytes(2) + head[HEADER_OCTETS:] + bytes(sections) + additional


RELAYED = Flag.QR | Flag.RA
"""Header bits of an answer that is not ours: recursion is available, authority is not."""
_KNOWN = frozenset((Rcode.NOERROR, Rcode.NXDOMAIN))
"""What an upstream can say about a name; whatever else it says is its own trouble, and a SERVFAIL of ours."""


def garden_body(addresses: tuple[IpAddress, ...], ttl: int) -> Body:
    """The addresses under the name that was asked.

    The CNAMEs between are left out: a client that asked for their targets by itself would meet the sinkhole.
    """
    return Body(ancount=len(addresses), sections=reply.address_records(addresses, ttl), flags=RELAYED)


def nothing(ttl: int, *, refused: bool = False) -> Body:
    """The garden name exists and has no such record; ``refused``: none that it may have."""
    return reply.negative(Rcode.NOERROR, names.ROOT, max(1, ttl), Ede.BLOCKED if refused else None)._replace(
        flags=RELAYED
    )


_NEVER = PrefixMap(
    (parse_prefix(text), True)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "224.0.0.0/3",
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10",
        "ff00::/8",
    )
)  # fmt: skip
"""This host, private and link-local networks, multicast; and IPv6 ranges that hide an IPv4 address."""


def may_open(address: IpAddress) -> bool:
    """False for what no garden name may point to, whatever its zone says (DNS rebinding)."""
    return _NEVER.find(address) is None
