"""Any octets, from anybody: a prescribed reply or silence, bounded in size, and no exception of ours."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address, ip_address

import dns.message
import dns.name
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st

from edged.dns import answer, message, names, reply
from edged.dns.codes import Rcode
from edged.dns.sinkhole import Pending
from edged.errors import WireError
from edged.model import Access
from tests.dns_lab import CLIENT, NOW, lab_sinkhole

LABELS = st.lists(st.binary(min_size=1, max_size=20), max_size=8)
SINKHOLES = {access: lab_sinkhole(access) for access in Access}


def wire(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """Nearly well-formed queries: what random octets never reach."""
    flags = draw(st.integers(0, 0xFFFF).map(lambda f: f & 0x07FF) | st.integers(0, 0xFFFF))
    counts = draw(st.tuples(st.sampled_from([1, 1, 1, 0, 2]), *[st.sampled_from([0, 0, 0, 1])] * 2, st.integers(0, 2)))
    octets = draw(st.integers(0, 0xFFFF)).to_bytes(2) + flags.to_bytes(2) + b"".join(c.to_bytes(2) for c in counts)
    octets += wire(draw(LABELS))
    octets += draw(st.sampled_from([1, 28, 65, 6, 2, 12, 255, 252, 41]) | st.integers(0, 0xFFFF)).to_bytes(2)
    octets += draw(st.sampled_from([1, 1, 1, 3]) | st.integers(0, 0xFFFF)).to_bytes(2)
    for _ in range(counts[3]):
        options = draw(
            st.lists(st.tuples(st.sampled_from([10, 8, 11, 12, 3]) | st.integers(0, 0xFFFF), st.binary(max_size=40)))
        )
        rdata = b"".join(code.to_bytes(2) + len(data).to_bytes(2) + data for code, data in options)
        octets += b"\x00\x00\x29" + draw(st.binary(min_size=6, max_size=6)) + len(rdata).to_bytes(2) + rdata
    return octets[: draw(st.just(len(octets)) | st.integers(0, len(octets)))] + draw(st.binary(max_size=3))


ANY_OCTETS = st.binary(max_size=600) | queries()


@given(ANY_OCTETS)
def test_parsing_raises_nothing_but_wire_error(octets: bytes) -> None:
    with contextlib.suppress(WireError):
        message.parse(octets)


@given(ANY_OCTETS, st.sampled_from(list(Access)), st.booleans())
def test_every_responseparses_and_is_small_and_answers_a_query(octets: bytes, access: Access, stream: bool) -> None:
    got = SINKHOLES[access].answer(octets, CLIENT, NOW, stream=stream)

    if isinstance(got, Pending):
        got = reply.render(got.question, reply.failure(Rcode.SERVFAIL), got.cookie)
    if got is None:
        return
    assert len(octets) >= 12
    assert not octets[2] & 0x80, "an answer was answered"
    assert got[:2] == octets[:2]
    assert got[2] & 0x80
    assert got[2] & 0x78 == octets[2] & 0x78
    assert not got[3] & 0x60, "AD or Z is set"
    assert len(got) <= 4 * len(octets)
    if not got[2] & 0x78:
        dns.message.from_wire(got)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_any_name_survives_text_and_back(labels: list[bytes]) -> None:
    octets = wire(labels)

    assert names.to_wire(names.to_text(octets)) == octets


@given(st.binary(max_size=600))
def test_an_upstream_can_say_anything_and_raise_nothing_but_wire_error(tail: bytes) -> None:
    sent = answer.query(message.ask("www.shop.example"), 7, b"\x03www\x04shop\x07example\x00")
    for head in (b"", sent[:2], sent[:2] + b"\x81\x80\x00\x01\x00\x02\x00\x01\x00\x01" + sent[12:-11]):
        try:
            found = answer.parse(head + tail, sent)
        except WireError:
            continue
        relayed = answer.relay(message.ask("www.shop.example"), found, 1)
        assert len(relayed) <= len(head + tail) + 40


NAMES = [dns.name.from_text(t) for t in ("www.shop.example.", "a.b.", "cdn.b.", "x.shop.example.", "y.z.b.", "b.")]
V4 = st.integers(1 << 24, (1 << 32) - 1).map(lambda n: str(ip_address(n)))
V6 = st.integers(1 << 32, (1 << 128) - 1).map(lambda n: str(IPv6Address(n)))
RECORD = st.tuples(
    st.sampled_from(NAMES),
    st.integers(0, (1 << 31) - 1) | st.integers(0, 900),
    st.one_of(
        V4.map(lambda a: ("A", a)),
        V6.map(lambda a: ("AAAA", a)),
        st.sampled_from(NAMES).map(lambda n: ("CNAME", n.to_text())),
        st.sampled_from(NAMES).map(lambda n: ("NS", n.to_text())),
        st.sampled_from(NAMES).map(lambda n: ("MX", f"5 {n.to_text()}")),
        st.binary(max_size=30).map(lambda b: ("TYPE65280", f"\\# {len(b)} {b.hex()}")),
    ),
)


Record = tuple[dns.name.Name, int, tuple[str, str]]


def rrsets(records: list[Record]) -> list[dns.rrset.RRset]:
    return [dns.rrset.from_text(name, ttl, "IN", *rest) for name, ttl, rest in records]


def chased(held: list[Record]) -> tuple[set[str], int]:
    """The addresses that a resolver would take from these records and their least TTL, by dnspython's names."""
    name, least = NAMES[0], 86400
    aliases: dict[dns.name.Name, tuple[dns.name.Name, int]] = {}
    for owner, ttl, (kind, rdata) in held:
        if kind == "CNAME":
            aliases.setdefault(owner, (dns.name.from_text(rdata), ttl))
    for _ in range(16):
        if name in aliases:
            name, ttl = aliases[name]
            least = min(least, ttl)
    ends = [(str(ip_address(a)), ttl) for owner, ttl, (kind, a) in held if owner == name and kind in {"A", "AAAA"}]
    return {a for a, _ in ends}, min([least, *(ttl for _, ttl in ends)])


@given(
    st.lists(RECORD, max_size=12), st.lists(RECORD, max_size=4), st.lists(RECORD, max_size=4), st.booleans(), st.data()
)
def test_the_addresses_of_a_responseare_those_of_an_independent_reader(
    held: list[Record],
    authority: list[Record],
    additional: list[Record],
    edns: bool,
    data: st.DataObject,
) -> None:
    sent = answer.query(message.ask("www.shop.example"), 7, b"\x03www\x04shop\x07example\x00")
    response = dns.message.make_response(dns.message.from_wire(sent))
    response.use_edns(0 if edns else -1)
    response.answer, response.authority, response.additional = rrsets(held), rrsets(authority), rrsets(additional)
    octets = response.to_wire(max_size=65535)

    found = answer.parse(octets, sent)

    expected, least = chased(held)
    assert {str(a) for a in found.addresses} == expected
    assert not expected or found.chain_ttl == least
    assert found.counts[:2] == (len(held), len(authority))
    at = data.draw(st.integers(0, len(octets) - 1))
    with contextlib.suppress(WireError):
        answer.parse(octets[:at] + data.draw(st.binary(min_size=1, max_size=4)) + octets[at + 1 :], sent)
    with contextlib.suppress(WireError):
        answer.parse(octets[:at], sent)


@given(queries(), st.integers(0, 0xFFFF))
def test_the_remembered_answer_is_the_computed_one(octets: bytes, ident: int) -> None:
    fresh, used = lab_sinkhole(), SINKHOLES[Access.BLOCKED]
    octets = ident.to_bytes(2) + octets[2:]
    used.answer(octets, CLIENT, NOW)

    assert used.answer(octets, CLIENT, NOW) == fresh.answer(octets, CLIENT, NOW)
