# SPDX-License-Identifier: Apache-2.0
"""What the process with CAP_NET_ADMIN reads: every request as it was meant, and of all other octets nothing foreign."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.enforce.edits import KEY_OCTETS, TCP, Edit, Statement, Timed, Verb
from edged.enforce.kernel.requests import Answer, Forget, Holds, Request, Script, Simple, Transact, Widen
from edged.enforce.kernel.wire import MOST_EDITS, MOST_OCTETS, Unfit, answer_octets, answer_of, decoded, encoded
from edged.enforce.nft_elements import FEW, batch, changes
from edged.enforce.nft_text import script_text
from edged.enforce.rules import Portal, Rules
from edged.enforce.sets import ALIVE_SET, SETS, Element, Kind, SetName
from edged.values import BITS, INTERFACE, MacAddress, Prefix

PORTS = st.integers(0, 65535)
NAMES = st.from_regex(INTERFACE, fullmatch=True)


@st.composite
def prefixes(draw: st.DrawFn, version: int, shortest: int = 0) -> Prefix:
    length = draw(st.integers(shortest, BITS[version]))
    shift = BITS[version] - length
    return Prefix(version, draw(st.integers(0, (1 << length) - 1)) << shift, length)


def elements_of(name: SetName) -> st.SearchStrategy[Element]:
    spec = SETS[name]
    if spec.kind is Kind.MAC:
        return st.binary(min_size=6, max_size=6).map(lambda octets: MacAddress(octets.hex(":")))
    if spec.kind is Kind.HOST:
        return st.integers(0, (1 << BITS[spec.version]) - 1)
    return prefixes(spec.version)


@st.composite
def statements(draw: st.DrawFn, verbs: tuple[Verb, ...] = tuple(Verb), least: int = 0) -> Statement:
    verb, name = draw(st.sampled_from(verbs)), draw(st.sampled_from(SetName))
    most = 0 if verb is Verb.FLUSH else 1 if least else 6
    return Statement(verb, name, draw(st.frozensets(elements_of(name), min_size=least, max_size=most)))


@st.composite
def lives(draw: st.DrawFn) -> Timed:
    name = draw(st.sampled_from(tuple(KEY_OCTETS)))
    octets = KEY_OCTETS[name]
    key = st.just(TCP) if name == ALIVE_SET else st.binary(min_size=octets, max_size=octets)
    entries = draw(st.lists(st.tuples(key, st.integers(0, (1 << 64) - 1)), min_size=1, max_size=6))
    return Timed(name, tuple(entries), draw(st.booleans()), draw(st.booleans()))


RULES = st.builds(
    Rules,
    portal4=st.none() | st.builds(Portal, st.ip_addresses(v=4), PORTS, PORTS, PORTS),
    portal6=st.none() | st.builds(Portal, st.ip_addresses(v=6), PORTS, PORTS, PORTS),
    garden_ports=st.lists(PORTS, max_size=4).map(tuple),
    interfaces=st.lists(NAMES, max_size=3).map(tuple),
    forward=st.sampled_from(("reject", "drop")),
    reminds=st.booleans(),
    blocked_vlans=st.lists(NAMES, max_size=3).map(tuple),
)
EDITS: st.SearchStrategy[list[Edit]] = st.lists(statements() | lives(), max_size=6)
LINES = st.lists(prefixes(4, 1) | prefixes(6, 1), max_size=5).map(sorted)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.sampled_from(Simple),
    st.builds(Transact, st.lists(statements((Verb.ADD, Verb.DELETE)) | lives(), max_size=6)),
    st.builds(Script, st.none() | RULES, EDITS, st.booleans()),
    st.builds(Holds, statements((Verb.ADD,), least=1)),
    st.builds(Forget, LINES, LINES),
    st.builds(Widen, st.integers(0, 1 << 22)),
)


@given(REQUESTS)
def test_every_request_is_read_as_it_was_meant(request: Request) -> None:
    assert decoded(encoded(request)) == request


@given(st.integers(-1, 255), st.text(max_size=40), st.binary(max_size=40))
def test_every_answer_is_read_as_it_was_meant(code: int, complaint: str, octets: bytes) -> None:
    assert answer_of(answer_octets(Answer(code, complaint, octets))) == Answer(code, complaint, octets)


# a reader of its own of what nft would be given: a line is one command on our table, and nothing in it ends it early
WORD = r'(?:[a-z0-9_@.:/&!=,-]+|"[A-Za-z0-9_.@:*-]{1,15}"|\[[0-9a-f:.]+\]:\d+)'
LINE = re.compile(
    r"add table inet edged"
    r"|add (?:set|counter|chain) inet edged \w+(?: \{[a-z0-9_ .,;-]*\})?"
    r"|flush (?:chain|set) inet edged \w+"
    rf"|add rule inet edged \w+(?: (?:{WORD}|\{{|\}}))+"
    r"|(?:add|delete) element inet edged \w+ \{ [0-9a-z:./]+[0-9a-z:./, ]* \}"
)


def foreign(text: str) -> list[str]:
    return [line for line in text.splitlines() if not LINE.fullmatch(line)]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def judge(request: Request) -> None:
    """What it would send stays within our table."""
    if isinstance(request, Script):
        assert not foreign(script_text(request.rules, request.edits))
    elif isinstance(request, Transact):
        octets = batch(changes(request.edits, "edged"), 1)
        while octets:
            length, kind = struct.unpack_from("=IH", octets)
            assert kind in {0x10, 0x11, 0x0A0C, 0x0A0E}
            if kind >= 0x0A00:
                facts = dict(attributes(octets[20:length]))
                assert octets[16:18] == b"\1\0", "inet"
                assert facts[1] == b"edged\0"
                assert facts[2].rstrip(b"\0").decode() in {*SetName, *KEY_OCTETS}
            octets = octets[length:]
    elif isinstance(request, Forget):
        assert all(prefix.length >= 1 for prefix in (*request.blocked, *request.opened)), "never everybody"


@given(REQUESTS)
def test_what_a_request_makes_stays_within_our_table(request: Request) -> None:
    judge(request)


@settings(max_examples=settings().max_examples * 5)
@given(
    st.binary(max_size=200) | st.tuples(st.integers(0, 20), st.binary(max_size=80)).map(lambda t: bytes([t[0]]) + t[1])
)
def test_whatever_octets_come_they_are_refused_or_ours(octets: bytes) -> None:
    try:
        request = decoded(octets)
    except Unfit:
        return
    judge(request)


@settings(max_examples=settings().max_examples * 5)
@given(REQUESTS, st.data())
def test_a_request_that_was_tampered_with_is_refused_or_ours(request: Request, data: st.DataObject) -> None:
    octets = bytearray(encoded(request))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets)))
        octets[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=12) | st.just(b";flush ruleset"))
    try:
        found = decoded(bytes(octets))
    except Unfit:
        return
    judge(found)


NAMED = encoded(Script(Rules(interfaces=("lan0",)), ()))


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "too early"),
        (encoded(Transact([]))[:-1], "too early"),
        (encoded(Simple.TABLE) + b"\0", "more than it says"),
        (bytes([99]), "no request 99"),
        (bytes(MOST_OCTETS + 1), "too long"),
        (bytes([17, 0, 0]) + (MOST_EDITS + 1).to_bytes(2), "above"),
        (b"\x10\0\1\0\x13\0\0\0\1aaaa", "above"),  # a set that is not ours
        (b"\x10\0\1\0\0\xff\xff\xff\xff", "above"),
        (b"\x10\0\1\2\0\0\0\0\0", "not emptied"),
        (encoded(Transact([Statement(Verb.ADD, SetName.BLOCKED_HOSTS_4, frozenset(range(FEW + 1)))])), "more elements"),
        (NAMED.replace(b"\4lan0", b'\4a"; '), "interface"),
        (NAMED.replace(b"\4lan0", b"\0"), "interface"),
        (NAMED.replace(b"\4lan0", b"\4la\n0"), "interface"),
        (encoded(Forget([Prefix(4, 0, 0)], [])), "not a prefix"),
        (encoded(Forget([Prefix(6, 1, 64)], [])), "not a prefix"),
        (encoded(Transact([Timed(ALIVE_SET, ((b"\x11", 9),))])), "TCP"),
        (encoded(Holds(Statement(Verb.ADD, SetName.EXEMPT_4))), "not one element"),
        (encoded(Widen((1 << 22) + 1)), "above"),
    ],
)  # fmt: skip
def test_what_may_not_be_is_refused_with_its_reason(octets: bytes, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        decoded(octets)


def test_the_judge_of_these_tests_finds_what_is_foreign() -> None:
    good = script_text(
        Rules(Portal(IPv4Address("203.0.113.1"), 5300, 8080, 8443), Portal(IPv6Address("2001:db8::1")), reminds=True,
              interfaces=("ppp*", "lan0.7"), blocked_vlans=("br-lan.666",)),
        [Statement(Verb.ADD, SetName.EXEMPT_6, frozenset({Prefix(6, 0, 0)}))],
    )  # fmt: skip

    assert not foreign(good)
    for bad in (
        "flush ruleset",
        "add table inet edged; flush ruleset",
        'include "/etc/nftables.conf"',
        "add rule inet filter input accept",
        'add rule inet edged a iifname "x"; flush ruleset',
        "add element inet edged blocked4h { 1.2.3.4 }; delete table ip nat",
        "delete table inet edged2",
    ):
        assert foreign(good + bad), bad
