"""The worst packets known, for bench/dns_packets.py and the tests that count what they cost."""

from __future__ import annotations

import struct
from collections.abc import Iterator

A = bytes.fromhex("0001 0001")
LONGEST = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"
DEEPEST = b"\x01a" * 127 + b"\0"


def head(qdcount: int = 1, ancount: int = 0, nscount: int = 0, arcount: int = 0, flags: int = 0x0100) -> bytes:
    return struct.pack("!6H", 1, flags, qdcount, ancount, nscount, arcount)


def record(owner: bytes, rtype: int, rdata: bytes, ttl: int = 0) -> bytes:
    return owner + struct.pack("!2HIH", rtype, 1232 if rtype == 41 else 1, ttl, len(rdata)) + rdata


def queries() -> Iterator[tuple[str, bytes]]:
    """What a client may send: names, OPTs, records, and what other parsers choke on."""
    name = b"\x03www\x07example\x03com\0"
    yield "an ordinary query", head() + name + A
    yield "an ordinary query with EDNS", head(arcount=1) + name + A + record(b"\0", 41, b"")
    yield "with a cookie", head(arcount=1) + name + A + record(b"\0", 41, b"\0\x0a\0\x08" + bytes(8))
    yield "255 octets in 4 labels", head() + LONGEST + A
    yield "127 labels", head() + DEEPEST + A
    yield "127 labels with a cookie", head(arcount=1) + DEEPEST + A + record(b"\0", 41, b"\0\x0a\0\x08" + bytes(8))
    yield "127 labels below a garden name", head() + b"\x01a" * 110 + b"\x01x\x07garden7\x07example\0" + A
    yield "a reverse name of 32 labels", head() + b"\x01f" * 32 + b"\x03ip6\x04arpa\0" + b"\0\x0c\0\x01"
    yield "4,096 octets of empty options", head(arcount=1) + name + A + record(b"\0", 41, b"\0\x64\0\0" * 1000)
    yield "64 kB of empty options", head(arcount=1) + name + A + record(b"\0", 41, b"\0\x64\0\0" * 16_370)
    yield "8 records of 127 labels", head(arcount=8) + name + A + record(DEEPEST, 16, b"") * 8
    yield "8 records that share 64 kB", head(arcount=8) + name + A + record(b"\0", 16, bytes(8100)) * 8
    yield "an owner of 32,000 labels", head(arcount=1) + name + A + record(b"\x01a" * 32_000 + b"\0", 16, b"")
    yield "65,535 records", head(arcount=65_535) + name + A + record(b"\0", 16, b"") * 5900
    yield "64 kB behind the question", head() + DEEPEST + A + bytes(65_000)
    yield "43 questions that point to 120 labels", head(43) + b"\x01a" * 120 + b"\0" + A + b"\xc0\x0c\0\x01\0\x01" * 42
    yield "10,791 questions of 64 kB", head(10_791) + b"\x01a" * 120 + b"\0" + A + b"\xc0\x0c\0\x01\0\x01" * 10_790
    yield "two pointers that alternate", head() + bytes(640) + b"\xc2\x8e\xc2\x8c" + A
    yield "2,000 pointers in a row", head() + b"".join((0xC000 | 12 + 2 * i).to_bytes(2) for i in range(2000)) + A
    yield "an UPDATE of 64 kB", head(1, 1, 2000, 1, 0x2800) + name + A + record(b"\xc0\x0c", 1, bytes(4)) * 4000


def replies(sent: bytes) -> Iterator[tuple[str, bytes]]:
    """What an upstream, or one that pretends to be it, may send for ``sent``."""
    question = sent[12:-11]

    def start(ancount: int) -> bytes:
        return sent[:2] + struct.pack("!5H", 0x8180, 1, ancount, 0, 0) + question

    yield "an ordinary reply, 4 addresses", start(4) + record(b"\xc0\x0c", 1, b"\x01\x02\x03\x04", 300) * 4
    yield "256 addresses", start(256) + b"".join(record(b"\xc0\x0c", 1, bytes((9, 9, 9, i)), 300) for i in range(256))
    yield "65,535 records, 64 kB", start(65_535) + record(b"\xc0\x0c", 1, b"\x01\x02\x03\x04", 300) * 4000
    wide = b"".join(record(b"\xc0\x0c", 28, bytes(15) + bytes((i,)), 300) for i in range(256))
    yield "256 addresses of 16 octets", start(256) + wide
    yield "256 owners of 3 labels", start(256) + record(b"\x01a" * 3 + b"\0", 1, b"\x01\x02\x03\x04", 300) * 256
    yield "256 owners of 120 labels", start(256) + record(b"\x01a" * 120 + b"\0", 1, b"\x01\x02\x03\x04", 300) * 256
    at = len(start(0))
    # a chain of pointers in the data of the first record, and every other owner begins at its end
    links, target = [], 12
    for index in range(7000):
        links.append((0xC000 | target).to_bytes(2))
        target = at + 11 + 2 * index
    chain = record(b"\0", 16, b"".join(links), 300)
    yield (
        "255 owners at the end of 7,000 pointers",
        start(256) + chain + record((0xC000 | target).to_bytes(2), 1, b"\x01\x02\x03\x04", 300) * 255,
    )
    deep = record(b"\0", 16, b"\x01a" * 100 + b"\xc0\x0c", 300)
    yield (
        "255 owners that point to 100 labels",
        start(256) + deep + record((0xC000 | at + 11).to_bytes(2), 5, (0xC000 | at + 11).to_bytes(2), 300) * 255,
    )
