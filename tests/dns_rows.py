"""The rows of tests/vectors/dns_*.yaml: how a packet is spelled, and what dnspython says of a reply."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import yaml

VECTORS = Path(__file__).parent / "vectors"
COPIED = dns.flags.RD | dns.flags.CD
_CELL = re.compile(r"(?P<reply>.*?)(?: ttl (?P<ttl>\d+))?(?: ede (?P<ede>\d+))?(?P<recursive> recursive)?")
_PIECE = re.compile(r"([0-9a-f]+)(?:\*(\d+))?")


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((VECTORS / f"{name}.yaml").read_text("utf-8"))
    return found


def octets_of(text: str) -> bytes:
    """A packet as dns_malformed.yaml spells it."""
    pieces = (_PIECE.fullmatch(word) for word in text.replace("|", " ").split())
    return bytes.fromhex("".join(piece[1] * int(piece[2] or 1) for piece in pieces if piece))


def parsed(sent: bytes, got: object) -> dns.message.Message:
    """``got`` as dnspython reads it, once it is a reply to ``sent`` and to nothing else."""
    assert isinstance(got, bytes)
    assert got[:2] == sent[:2]
    assert got[2] & 0xF8 == 0x80 | sent[2] & 0x78, "QR or the opcode"
    assert not got[3] & 0x60, "AD or Z"
    reply = dns.message.from_wire(got)
    assert reply.edns <= 0
    if reply.edns == 0:
        assert reply.payload == 1232
        assert not reply.ednsflags & 0x00FF7FFF, "a version or a flag that nobody knows"
    return reply


def extended_errors(reply: dns.message.Message) -> list[int]:
    return [int(o.code) for o in reply.options if isinstance(o, dns.edns.EDEOption)]


def records(reply: dns.message.Message) -> list[str]:
    return [f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}" for rrset in reply.answer for rdata in rrset]


def judge(query: dns.message.Message, got: object, cell: str) -> None:
    """AssertionError unless ``got`` is what ``cell`` (a word of dns_verdicts.yaml) says of ``query``."""
    sent = query.to_wire()
    reply = parsed(sent, got)
    said = _CELL.fullmatch(cell)
    assert said is not None
    word, _, zone = said["reply"].partition(" ")
    ttl = int(said["ttl"] or 10)
    negative = word in {"NODATA", "NXDOMAIN"}
    assert dns.rcode.to_text(reply.rcode()) == (word if word in {"NXDOMAIN", "REFUSED"} else "NOERROR")
    ours = dns.flags.RA if said["recursive"] else dns.flags.AA | dns.flags.RA
    assert reply.flags & ~0xF == dns.flags.QR | query.flags & COPIED | (0 if word == "REFUSED" else ours)
    assert reply.question == query.question
    assert isinstance(got, bytes)
    end = 12 + len(query.question[0].name.to_wire() or b"") + 4
    assert got[12:end] == sent[12:end], "not the question as it came"
    if negative:
        assert not reply.answer
        assert [(r.name.to_text(), r.rdtype, len(r)) for r in reply.authority] == [(zone, dns.rdatatype.SOA, 1)]
        assert reply.authority[0].ttl == reply.authority[0][0].minimum == ttl
    else:
        assert not reply.authority
        expected = ['HINFO "RFC8482" ""'] if word == "HINFO" else said["reply"].split(", ") if word != "REFUSED" else []
        assert records(reply) == expected
        assert all(rrset.name == query.question[0].name and rrset.ttl == ttl for rrset in reply.answer)
    assert not reply.additional
    assert reply.edns == query.edns
    assert bool(reply.ednsflags & 0x8000) == bool(query.ednsflags & 0x8000)
    assert extended_errors(reply) == ([int(said["ede"])] if said["ede"] and query.edns == 0 else [])
    assert len(reply.options) == len(extended_errors(reply))
