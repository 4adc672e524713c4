from __future__ import annotations

import re
from typing import Any

import dns.edns
import dns.message
import pytest

from edged.dns import message, names
from edged.dns.codes import Flag, Type
from edged.dns.question import Edns
from edged.errors import WireError
from tests.dns_lab import CLIENT, NOW, lab_sinkhole
from tests.dns_rows import extended_errors, octets_of, parsed, rows

PACKETS = rows("dns_malformed")


@pytest.mark.parametrize("over", ["UDP", "TCP"])
@pytest.mark.parametrize("row", PACKETS, ids=lambda r: r["what"])
def test_a_packet_gets_what_its_rfc_prescribes(row: dict[str, Any], over: str) -> None:
    if row.get("over", over) != over:
        return
    sent = octets_of(row["query"])
    got = lab_sinkhole().answer(sent, CLIENT, NOW, stream=over == "TCP")

    if row.get("reply") == "drop":
        assert got is None
        return
    reply = parsed(sent, got)
    assert isinstance(got, bytes)
    assert reply.rcode() == row["rcode"]
    if row.get("header"):
        assert len(got) == 12
        assert got[2:4] == bytes((0x80 | sent[2] & 0x79, sent[3] & 0x10 | row["rcode"]))
        assert not any(got[4:])
        return
    flags = 0x8000 | int.from_bytes(sent[2:4]) & 0x0110 | (0x0480 if row["rcode"] == 0 else row["rcode"] & 0xF)
    assert int.from_bytes(got[2:4]) == row.get("flags", flags)
    end = names.end_of_name(sent, 12) + 4 if sent[5] else 12
    assert got[4:6] == sent[4:6]
    assert got[12:end] == sent[12:end], "not the question as it came"
    assert sum(len(r) for r in reply.answer) == row.get("answers", 0)
    assert [(r.name.to_text(), r.rdtype) for r in reply.authority] == ([(row["soa"], 6)] if "soa" in row else [])
    assert not reply.additional
    assert (reply.edns == 0) == row.get("opt", False)
    assert bool(reply.ednsflags & 0x8000) == row.get("do", False)
    assert [o.otype for o in reply.options if o.otype != 15] == row.get("options", [])
    assert extended_errors(reply) == ([row["ede"]] if "ede" in row else [])


def test_every_packet_stands_once_and_says_where_its_reply_is_written() -> None:
    assert len({row["what"] for row in PACKETS}) == len(PACKETS)
    assert all(re.search(r"RFC \d+( \d|$)|draft-", row["source"]) for row in PACKETS)


def test_the_question_is_kept_as_it_came_and_compared_in_lower_case() -> None:
    sent = dns.message.make_query("wWw.ExAmple.com", "AAAA", use_edns=0, payload=4096, want_dnssec=True).to_wire()

    question = message.parse(sent)

    assert question.qname == b"\x03wWw\x07ExAmple\x03com\x00"
    assert question.name == b"\x03www\x07example\x03com\x00"
    assert question.qtype == Type.AAAA
    assert question.edns == Edns(4096, do=True)
    assert question.recursion_desired
    assert not question.flags & Flag.CD


@pytest.mark.parametrize("count", [9, 1000])
def test_a_query_full_of_records_is_malformed(count: int) -> None:
    record = bytes.fromhex("00 0010 0001 00000000 0000")
    sent = bytes.fromhex("1234 0100 0001 0000 0000") + count.to_bytes(2) + b"\x01a\x00\x00\x01\x00\x01" + record * count

    with pytest.raises(WireError) as caught:
        message.parse(sent)

    assert caught.value.reason == "formerr"


def test_a_record_with_a_compressed_owner_beside_the_opt_is_passed_over() -> None:
    sent = bytes.fromhex(
        "1234 0100 0001 0000 0000 0002 0161 0162 00 0001 0001c00c 0010 0001 00000000 0001 00 00 0029 04d0 00000000 0000"
    )

    assert message.parse(sent).edns == Edns(1232, do=False)


@pytest.mark.parametrize(
    ("rtype", "text"), [("A", "answered by the access network"), ("TXT", "blocked by the access network")]
)
def test_people_are_told_who_answered(rtype: str, text: str) -> None:
    got = lab_sinkhole().answer(dns.message.make_query("www.example", rtype, use_edns=0).to_wire(), CLIENT, NOW)

    assert isinstance(got, bytes)
    (option,) = dns.message.from_wire(got).options
    assert isinstance(option, dns.edns.EDEOption)
    assert option.text == text


def test_a_name_may_be_asked_from_its_text() -> None:
    assert message.ask("a.Example").name == b"\x01a\x07example\x00"
