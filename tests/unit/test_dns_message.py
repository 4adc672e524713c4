from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest
import yaml

from edged.dns import message
from edged.dns.codes import Flag, Type
from edged.dns.question import Edns
from edged.errors import WireError
from tests.dns_lab import CLIENT, NOW, lab_sinkhole

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "vectors" / "dns_malformed.yaml").read_text("utf-8")
)


def octets_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["query"].replace("|", " ").replace(" ", ""))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["what"])
def test_a_packet_gets_what_its_rfc_prescribes(vector: dict[str, Any]) -> None:
    sent = octets_of(vector)
    got = lab_sinkhole().answer(sent, CLIENT, NOW)

    if vector.get("reply") == "drop":
        assert got is None
        return
    assert isinstance(got, bytes)
    assert got[:2] == sent[:2]
    if vector.get("header"):
        opcode = sent[2] & 0x78
        assert len(got) == 12
        assert got[2] & 0xFE == 0x80 | opcode
        assert got[3] & 0xEF == vector["rcode"]
        return
    reply = dns.message.from_wire(got)
    assert reply.rcode() == vector["rcode"]
    assert sum(len(r) for r in reply.answer) == vector.get("answers", 0)
    assert (reply.edns == 0) == vector.get("opt", False)
    assert bool(reply.ednsflags & 0x8000) == vector.get("do", False)
    assert not reply.ednsflags & 0x7FFF
    if "flags" in vector:
        assert int.from_bytes(got[2:4]) == vector["flags"]
    if "options" in vector:
        assert len(reply.options) == vector["options"]
    assert any(o.otype == 10 for o in reply.options) == vector.get("cookie", False)
    if vector.get("question", True):
        end = 12 + len(reply.question[0].name.to_wire() or b"") + 4
        assert got[12:end] == sent[12:end]


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


def test_a_name_may_be_asked_from_its_text() -> None:
    assert message.ask("a.Example").name == b"\x01a\x07example\x00"


@pytest.mark.parametrize(
    "octets",
    [
        # 16,378 empty options in one OPT
        bytes.fromhex("1234 0100 0001 0000 0000 0001 0161 00 0001 0001 00 0029 04d0 00000000")
        + (4 * 16_378).to_bytes(2)
        + b"\xff\xff\x00\x00" * 16_378,
        # as many records as fit, were they read
        bytes.fromhex("1234 0100 0001 0000 0000 1700 0161 00 0001 0001") + bytes(11) * 5900,
        # the longest name, and 65 kB behind it
        bytes.fromhex("1234 0100 0001 0000 0000 0000") + b"\x01a" * 127 + bytes.fromhex("00 0001 0001") + bytes(65_000),
    ],
    ids=["options", "records", "labels"],
)
def test_no_packet_of_65_kb_costs_more_than_five_milliseconds(octets: bytes) -> None:
    sinkhole = lab_sinkhole()
    spent = []
    for _ in range(5):
        begin = time.perf_counter()
        sinkhole.answer(octets, CLIENT, NOW, stream=True)
        spent.append(time.perf_counter() - begin)

    assert min(spent) < 0.005
