"""Twenty thousand packets that were queries once: none raises, and every reply is sound and small."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import dns.edns
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import pytest

from edged.dns import reply
from edged.dns.codes import Rcode
from edged.dns.sinkhole import Pending
from edged.model import Access
from tests.dns_lab import CLIENT, NOW, lab_sinkhole
from tests.dns_rows import octets_of, rows

SEED, PACKETS = 20_261_122, 20_000
COOKIE = dns.edns.CookieOption(b"\x01\x02\x03\x04\x05\x06\x07\x08", b"")
OPTIONS: list[list[dns.edns.Option]] = [
    [],
    [COOKIE],
    [dns.edns.CookieOption(b"\x01\x02\x03\x04\x05\x06\x07\x08", bytes(16))],
    [dns.edns.ECSOption("192.0.2.0", 24)],
    [dns.edns.GenericOption(dns.edns.OptionType.NSID, b""), COOKIE, dns.edns.ECSOption("2001:db8::", 56)],
    [dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(100))],
]
QUESTIONS = (
    "www.example.com A", "www.example.com AAAA", "www.example.com HTTPS", "pay.example.net A", "x.y.gate.example AAAA",
    "portal.example.net A", "portal.example.net ANY", "captive.apple.com A", "use-application-dns.net A", ". NS",
    ". SOA", "localhost A", "qzvkjxwpf A", "_dns.resolver.arpa SVCB", "4.3.2.10.in-addr.arpa PTR", "example.com MX",
    "10.113.0.203.in-addr.arpa PTR", "_sip._tcp.example.com SRV", "example.com ANY", "example.com AXFR",
    "a.very.long.name.with.many.labels.and.some.more.below.tracking.cdn.example.org A",
)  # fmt: skip


@cache
def corpus() -> tuple[bytes, ...]:
    """Queries as clients send them, and other messages that come to port 53."""
    found = [octets_of(row["query"]) for row in rows("dns_malformed")]
    for text in QUESTIONS:
        name, rtype = text.split()
        found.append(dns.message.make_query(name, rtype, id=1).to_wire())
        for options in OPTIONS:
            query = dns.message.make_query(
                name, rtype, id=1, use_edns=0, want_dnssec=len(options) == 1, options=options
            )
            found.append(query.to_wire())
    found.append(dns.message.make_query("version.bind", "TXT", "CH", id=1).to_wire())
    signed = dns.message.make_query("www.example.com", "A", id=1, use_edns=0, options=[COOKIE])
    signed.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0c2VjcmV0"}))
    found.append(signed.to_wire())
    update = dns.update.UpdateMessage("example.com", id=1)
    update.add("host", 300, "A", "192.0.2.1")
    update.present("host")
    found.append(update.to_wire())
    notify = dns.message.make_query("example.com", "SOA", id=1)
    notify.set_opcode(dns.opcode.NOTIFY)
    found.append(notify.to_wire())
    answer = dns.message.make_response(dns.message.make_query("www.example.com", "A", id=1))
    found.append(answer.to_wire())
    return tuple(found)


def mutated(chance: random.Random) -> bytes:
    """One packet of the corpus with another ID and one to four injuries."""
    octets = bytearray(chance.choice(corpus()))
    octets[:2] = chance.randbytes(2)[: len(octets)]
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(octets)) if octets else 0
        match chance.randrange(8):
            case 0 | 1 if octets:
                octets[at] ^= 1 << chance.randrange(8)
            case 2 if octets:
                octets[at] = chance.choice((0, 1, 0x29, 0x3F, 0x40, 0x7F, 0xC0, 0xFF))
            case 3:
                del octets[at:]
            case 4:
                other = chance.choice(corpus())
                octets[at:] = other[chance.randrange(len(other) + 1) :]
            case 5:
                # a count, a length or an offset that lies
                octets[at : at + 2] = chance.choice((0, 1, 2, 8, 9, 0xC00C, 0xFFFF)).to_bytes(2)
            case 6:
                octets[at:at] = chance.randbytes(chance.randrange(12))
            case 7 if len(octets) > 2 and chance.random() < 0.3:
                octets[2] |= 0x80
    return bytes(octets)


@cache
def packets() -> tuple[bytes, ...]:
    chance = random.Random(SEED)
    return tuple(mutated(chance) for _ in range(PACKETS))


@cache
def sound(got: bytes) -> str:
    """The RCODE, once dnspython has read the whole reply."""
    return dns.rcode.to_text(dns.message.from_wire(got).rcode())


@pytest.mark.parametrize("stream", [False, True], ids=["UDP", "TCP"])
@pytest.mark.parametrize("access", Access)
def test_no_mutated_packet_gets_anything_but_a_sound_small_reply(access: Access, stream: bool) -> None:
    sinkhole, seen = lab_sinkhole(access), Counter[str]()
    for number, octets in enumerate(packets()):
        # strangers have a rate: every one of their packets is the first of its second
        now = NOW + number if access is Access.STRANGER else NOW
        got = sinkhole.answer(octets, CLIENT, now, stream=stream)
        if isinstance(got, Pending):
            got = reply.render(got.question, reply.failure(Rcode.SERVFAIL), got.cookie)
        if got is None:
            seen["silence"] += 1
            continue
        assert len(octets) >= 12, octets.hex()
        assert not octets[2] & 0x80, octets.hex()
        assert got[:2] == octets[:2], octets.hex()
        assert got[2] & 0xF8 == 0x80 | octets[2] & 0x78, octets.hex()
        assert not got[3] & 0x60, octets.hex()
        assert len(got) <= 4 * len(octets), octets.hex()
        seen[sound(b"\0\0" + got[2:])] += 1

    assert seen["silence"] > PACKETS / 50
    if access is Access.STRANGER:
        assert set(seen) == {"silence", "REFUSED"}
    else:
        assert seen.keys() >= {"NOERROR", "FORMERR", "NOTIMP", "REFUSED", "BADVERS", "silence"}
        assert seen["NOERROR"] + seen["SERVFAIL"] > PACKETS / 10
