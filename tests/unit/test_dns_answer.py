from __future__ import annotations

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from edged.dns import answer, message, names
from edged.dns.answer import Answer
from edged.dns.question import Edns, Question
from edged.errors import WireError

QUESTION = message.ask("www.shop.example")
SENT = answer.query(QUESTION, 0x1234, b"\x03wWw\x04ShOp\x07exAMPle\x00")


def rrset(text: str) -> dns.rrset.RRset:
    name, ttl, rclass, rtype, rdata = text.split(" ", 4)
    return dns.rrset.from_text(name, int(ttl), rclass, rtype, rdata)


def reply_to(sent: bytes, *records: str, authority: tuple[str, ...] = (), rcode: int = 0) -> dns.message.Message:
    reply = dns.message.make_response(dns.message.from_wire(sent), recursion_available=True)
    reply.answer = [rrset(r) for r in records]
    reply.authority = [rrset(r) for r in authority]
    reply.set_rcode(dns.rcode.Rcode(rcode))
    return reply


def parsed(*records: str, authority: tuple[str, ...] = (), rcode: int = 0) -> Answer:
    return answer.parse(reply_to(SENT, *records, authority=authority, rcode=rcode).to_wire(), SENT)


def test_our_query_asks_in_mixed_case_with_edns_and_nothing_of_the_client() -> None:
    client = QUESTION._replace(flags=0x0110, edns=Edns(4096, do=True, cookie=b"12345678", bare=False))

    sent = dns.message.from_wire(answer.query(client, 7, answer.mix_case(client.name, 0xAAAA)))

    assert sent.id == 7
    assert sent.question[0].name == dns.name.from_text("www.shop.example")
    assert sent.flags == dns.flags.RD | dns.flags.CD
    assert sent.ednsflags & 0x8000
    assert sent.payload == 1232
    assert not sent.options


def test_mixed_case_touches_letters_alone() -> None:
    assert answer.mix_case(b"\x03a1b\x00", (1 << 40) - 1) == b"\x03A1B\x00"
    assert answer.mix_case(b"\x03a1b\x00", 0) == b"\x03a1b\x00"


def test_addresses_are_those_at_the_end_of_the_chain_with_its_least_ttl() -> None:
    found = parsed(
        "www.shop.example. 300 IN CNAME Edge.cdn.example.",
        "edge.cdn.example. 20 IN CNAME pop.cdn.example.",
        "pop.cdn.example. 60 IN A 198.51.100.1",
        "pop.cdn.example. 60 IN AAAA 2001:db8::1",
        "unrelated.example. 60 IN A 198.51.100.99",
    )

    assert set(map(str, found.addresses)) == {"198.51.100.1", "2001:db8::1"}
    assert found.chain_ttl == 20


def test_a_chain_that_loops_has_no_addresses() -> None:
    found = parsed("www.shop.example. 9 IN CNAME b.example.", "b.example. 9 IN CNAME www.shop.example.")

    assert found.addresses == ()


def test_a_chain_whose_end_says_nothing_is_to_be_followed() -> None:
    alias = "www.shop.example. 300 IN CNAME Edge.cdn.example."
    soa = "cdn.example. 900 IN SOA ns.cdn.example. h.cdn.example. 1 2 3 4 60"

    assert parsed(alias).target == b"\x04edge\x03cdn\x07example\x00"
    assert parsed(alias).chain_ttl == 300
    assert parsed(alias).aliased
    assert parsed(alias, authority=(soa,)).target == b"", "it says that there is nothing"
    assert parsed(alias, rcode=3).target == b""
    assert parsed(alias, "edge.cdn.example. 60 IN A 198.51.100.1").target == b""
    assert parsed("www.shop.example. 60 IN A 198.51.100.1").target == b""


@pytest.mark.parametrize("length", range(1, 60))
def test_a_padded_query_fills_whole_blocks_and_says_so(length: int) -> None:
    sent = answer.query(
        message.ask("a" * length + ".example"), 7, message.ask("a" * length + ".example").name, block=128
    )

    assert len(sent) == 128
    assert [option.otype for option in dns.message.from_wire(sent).options] == [12]


def test_a_negative_answer_lives_as_long_as_its_soa_says() -> None:
    soa = "shop.example. 900 IN SOA ns.shop.example. h.shop.example. 1 2 3 4 60"

    assert parsed(authority=(soa,)).life == 60
    assert parsed(authority=(soa,), rcode=3).life == 60
    assert parsed().life == 0
    assert parsed(authority=(soa,), rcode=2).life == 0


@pytest.mark.parametrize(
    ("at", "octet"),
    [(0, 0xFF), (2, 0x01), (2, 0xF8), (5, 2), (13, ord("W")), (32, 0xFF)],
    ids=["id", "a query", "opcode", "two questions", "case of the name", "type"],
)
def test_what_does_not_match_our_question_is_no_answer(at: int, octet: int) -> None:
    octets = bytearray(reply_to(SENT, "www.shop.example. 5 IN A 198.51.100.1").to_wire())
    octets[at] = octet

    with pytest.raises(WireError, match="mismatch"):
        answer.parse(bytes(octets), SENT)


@pytest.mark.parametrize("pointer", [b"\xc0\x2e", b"\xc0\xff", b"\xc0\x00", b"\x41a\x00"])
def test_a_name_that_points_anywhere_but_back_is_malformed(pointer: bytes) -> None:
    head = SENT[:2] + bytes.fromhex("8180 0001 0001 0000 0000") + SENT[12:-11]
    octets = head + pointer + bytes.fromhex("0001 0001 00000005 0004 c6336401")

    with pytest.raises(WireError, match="malformed"):
        answer.parse(octets, SENT)


def test_a_chain_of_pointers_ends() -> None:
    head = SENT[:2] + bytes.fromhex("8180 0001 0001 0000 0000") + SENT[12:-11]
    base = len(head) + 12
    chain = b"".join((0xC000 | max(12, base + 2 * (i - 1))).to_bytes(2) for i in range(1, 2000))
    octets = head + b"\xc0\x0c" + bytes.fromhex("0010 0001 00000005") + len(chain).to_bytes(2) + chain

    assert answer.parse(octets, SENT).counts == (1, 0, 0)


def test_too_many_records_are_refused_unread() -> None:
    head = SENT[:2] + bytes.fromhex("8180 0001 ffff 0000 0000") + SENT[12:-11]

    with pytest.raises(WireError, match="records"):
        answer.parse(head, SENT)


def relayed(question: Question, found: Answer, age: int = 0, *, stale: bool = False) -> dns.message.Message:
    return dns.message.from_wire(answer.relay(question, found, age, stale=stale))


def test_a_relayed_answer_has_the_clients_case_and_id_and_older_ttls() -> None:
    found = parsed("www.shop.example. 300 IN A 198.51.100.1", "www.shop.example. 300 IN A 198.51.100.2")
    client = QUESTION._replace(id=99, qname=b"\x03WWW\x04shop\x07example\x00")

    octets = answer.relay(client, found, 100)
    reply = dns.message.from_wire(octets)

    assert reply.id == 99
    assert octets[12 : 12 + len(client.qname)] == client.qname
    assert reply.answer[0].ttl == 200
    assert reply.edns == -1
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA


def test_a_relayed_answer_has_an_opt_of_ours_alone() -> None:
    reply = reply_to(SENT, "www.shop.example. 300 IN A 198.51.100.1")
    reply.use_edns(0, payload=512, options=[dns.edns.GenericOption("65001", b"theirs")])
    reply.additional = [dns.rrset.from_text("ns.shop.example.", 5, "IN", "A", "198.51.100.3")]
    found = answer.parse(reply.to_wire(), SENT)

    plain = relayed(QUESTION, found)
    with_edns = relayed(QUESTION._replace(edns=Edns(1232, do=False)), found)

    assert plain.edns == -1
    assert with_edns.edns == 0
    assert not with_edns.options
    assert with_edns.payload == 1232
    assert len(with_edns.answer[0]) == 1


def test_a_stale_answer_says_so_and_lives_half_a_minute() -> None:
    found = parsed("www.shop.example. 300 IN A 198.51.100.1")

    reply = relayed(QUESTION._replace(edns=Edns(1232, do=False)), found, 5000, stale=True)

    assert reply.answer[0].ttl == 30
    assert [o.code for o in reply.options if isinstance(o, dns.edns.EDEOption)] == [3]


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "127.0.0.1", "0.0.0.0", "169.254.1.1", "172.31.0.1", "192.168.1.1", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:192.168.1.1",
        "64:ff9b::a00:1", "2002:a00:1::1",
    ],
)  # fmt: skip
def test_a_garden_name_may_not_point_inside(address: str) -> None:
    assert not answer.may_open(ip_address(address))


@pytest.mark.parametrize("address", ["9.9.9.9", "100.64.3.4", "198.51.100.1", "2620:fe::fe", "2001:db8::1"])
def test_a_garden_name_may_point_outside(address: str) -> None:
    assert answer.may_open(ip_address(address))


def test_names_are_lower_case_wherever_they_are_compared() -> None:
    assert names.lower(b"\x03WwW\x00") == b"\x03www\x00"
