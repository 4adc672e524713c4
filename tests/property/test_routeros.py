# SPDX-License-Identifier: Apache-2.0
"""The stand-in of a RouterOS router: any sentences cut anywhere, any octets, any commands in any order."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routeros.console import Console
from tests.routeros.menus import MENUS
from tests.routeros.query import Query
from tests.routeros.script import Script
from tests.routeros.sentences import Reply, TrapError, command, to_octets, to_text
from tests.routeros.session import Session
from tests.routeros.values import LONGEST_TIMEOUT, address_4, address_6, interval, seconds
from tests.routeros.words import BEFORE_LOGIN, Bounds, Decoder, WordError, decode_length, encode, encode_length

SWITCHES = [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0xFFFFFFF, 0x10000000, 0xFFFFFFFF]
words = st.one_of(st.binary(min_size=1, max_size=40), st.sampled_from([0x7F, 0x80, 0x100, 0x4000]).map(bytes))
sentences = st.lists(st.lists(words, min_size=1, max_size=6).map(tuple), max_size=8)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)

# --- words -----------------------------------------------------------------------------------------


@given(st.one_of(st.sampled_from(SWITCHES), st.integers(0, 0xFFFFFFFF)))
def test_every_length_is_read_as_it_was_written_and_no_longer_than_it_must_be(length: int) -> None:
    octets = encode_length(length)

    assert decode_length(octets) == length
    assert len(octets) == 1 + sum(length >= end for end in (0x80, 0x4000, 0x200000, 0x10000000))


@pytest.mark.parametrize("length", [-1, 0x100000000])
def test_a_length_that_no_word_has_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="no word"):
        encode_length(length)


@given(sentences, st.lists(st.integers(1, 300), min_size=1))
def test_a_stream_cut_anywhere_gives_the_sentences_that_were_sent(
    sent: list[tuple[bytes, ...]], cuts: list[int]
) -> None:
    decoder, found, position, turn = Decoder(), list[tuple[bytes, ...]](), 0, 0
    stream = b"".join(map(encode, sent))
    while position < len(stream):
        step = cuts[turn % len(cuts)]
        found += decoder.feed(stream[position : position + step])
        position, turn = position + step, turn + 1

    assert found == sent
    assert len(decoder) == 0


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_stream_is_sentences_and_a_rest_or_a_word_error(pieces: list[bytes]) -> None:
    bounds = Bounds(word=100, words=8)
    decoder = Decoder(bounds)
    for piece in pieces:
        try:
            for sentence in decoder.feed(piece):
                assert 0 < len(sentence) <= bounds.words
                assert all(0 < len(word) <= bounds.word for word in sentence)
        except WordError:
            return
    assert len(decoder) <= bounds.word + 2


@given(st.integers(BEFORE_LOGIN.word + 1, 0xFFFFFFFF))
def test_a_length_beyond_the_bound_is_an_error_before_its_octets_are_there(length: int) -> None:
    with pytest.raises(WordError, match="octets"):
        list(Decoder(BEFORE_LOGIN).feed(encode_length(length)))


# --- values ----------------------------------------------------------------------------------------


@given(st.integers(0, LONGEST_TIMEOUT))
def test_a_time_is_read_as_it_was_printed(whole: int) -> None:
    assert seconds(interval(whole)) == whole


@given(addresses, addresses)
def test_a_range_becomes_a_network_exactly_when_it_is_one(one: IPv4Address, other: IPv4Address) -> None:
    first, last = sorted((one, other))
    spelled = address_4(f"{first}-{last}")

    assert address_4(spelled) == spelled
    if len(networks := list(summarize_address_range(first, last))) == 1:
        assert IPv4Network(spelled) == networks[0]
    else:
        assert spelled == f"{first}-{last}"


@given(addresses, st.integers(0, 32))
def test_a_network_loses_its_host_bits(address: IPv4Address, length: int) -> None:
    spelled = address_4(f"{address}/{length}")

    assert IPv4Network(spelled) == IPv4Network((address, length), strict=False)
    assert ("/" in spelled) == (length < 32)


@given(st.ip_addresses(v=6))
def test_a_single_ipv6_address_is_printed_with_its_length(address: object) -> None:
    assert address_6(str(address)) == f"{address}/128"


@given(st.binary(max_size=30))
def test_octets_that_are_no_text_come_back_as_they_were(octets: bytes) -> None:
    assert to_octets(to_text(octets)) == octets


# --- queries ---------------------------------------------------------------------------------------

texts = st.sampled_from(["", "1", "2", "10", "true", "no", "a"])
items = st.dictionaries(st.sampled_from(["a", "b"]), texts)
tests_of_one = st.builds(lambda sign, name, value: f"?{sign}{name}={value}", st.sampled_from(["", "=", "<", ">"]),
                         st.sampled_from(["a", "b"]), texts)  # fmt: skip


@given(items, tests_of_one, tests_of_one)
def test_the_operators_are_those_of_logic(item: dict[str, str], one: str, other: str) -> None:
    first, second = Query([one])(item), Query([other])(item)

    assert Query([one, other])(item) == (first and second)
    assert Query([one, other, "?#&"])(item) == (first and second)
    assert Query([one, other, "?#|"])(item) == (first or second)
    assert Query([one, "?#!"])(item) == (not first)
    assert Query([one, other, "?#&!"])(item) == (not (first and second))
    assert Query([one, other, "?#1"])(item) == first
    assert Query([one, other, "?#0"])(item) == second


@given(st.lists(st.one_of(tests_of_one, st.text("#!&|.0123?-<>=ab", max_size=6).map("?".__add__)), max_size=6), items)
def test_any_query_words_decide_or_trap(query: list[str], item: dict[str, str]) -> None:
    with suppress(TrapError):
        assert Query(query)(item) in {True, False}


# --- sessions --------------------------------------------------------------------------------------

PATHS = [*sorted(MENUS), "/system", "/nowhere", ""]
VERBS = ["add", "set", "remove", "print", "getall", "move", "enable", "disable", "unset", "comment", "listen", "run",
         "cancel", "login", "quit", "execute", ""]  # fmt: skip
NAMES = [".id", "numbers", "list", "address", "timeout", "chain", "action", "comment", "disabled", "destination", "tag",
         "place-before", "copy-from", "name", "source", "group", ".proplist", "count-only", "script", "as-string",
         "value-name"]  # fmt: skip
VALUES = ["", "*1", "*2", "*1,*2", "*FF", "a", "192.0.2.1", "192.0.2.0-192.0.2.255", "2001:db8::1", "1h", "yes",
          "forward", "drop", ":do {", "comment", '/ip/firewall/nat/add chain="a"', "full"]  # fmt: skip
spoken = st.builds(
    lambda path, verb, pairs, query, tag: (
        f"{path}/{verb}".encode(),
        *(f"={name}={value}".encode() for name, value in pairs.items()),
        *(word.encode() for word in query),
        *((f".tag={tag}".encode(),) if tag else ()),
    ),
    st.sampled_from(PATHS),
    st.sampled_from(VERBS),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=4),
    st.lists(tests_of_one, max_size=2),
    st.sampled_from(["", "1", "2"]),
)


@given(st.lists(st.one_of(spoken, st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4).map(tuple)),
                max_size=30), st.sampled_from(["6.49.10", "7.9", "7.18.2"]))  # fmt: skip
def test_whatever_is_said_is_answered_in_the_order_that_the_manual_promises(
    said: list[tuple[bytes, ...]], version: str
) -> None:
    console = Console(version, clock=lambda: 0.0)
    console.hand("/user/add", name="edged", group="full", password="x")
    told: list[Reply] = []
    session = Session(console, bytes, told.extend)
    session.receive((b"/login", b"=name=edged", b"=password=x"))

    for sentence in said:
        answer = session.receive(sentence)
        if answer.is_last:
            assert [reply.kind for reply in answer.replies] == ["!fatal"]
            return
        ends = [reply for reply in answer.replies if reply.kind == "!done"]
        if sentence[0].endswith(b"/listen"):
            assert len(ends) <= 1
            continue
        assert ends, "every command ends"
        mine = command_tag(sentence)
        last = [reply.kind for reply in answer.replies if reply.tag == mine]
        assert "!done" in last
        assert all(reply.pairs["message"] for reply in answer.replies if reply.kind == "!trap")


def command_tag(sentence: tuple[bytes, ...]) -> str:
    tags = [to_text(word[5:]) for word in sentence if word.startswith(b".tag=")]
    return tags[0] if tags else ""


@given(st.lists(spoken, max_size=30))
def test_no_two_entries_of_a_list_are_alike_and_a_print_is_what_a_query_finds(said: list[tuple[bytes, ...]]) -> None:
    console = Console(clock=lambda: 0.0)
    console.hand("/user/add", name="edged", group="full")
    for sentence in said:
        try:
            console.execute(command(sentence))
        except TrapError:
            continue

    for path in ("/ip/firewall/address-list", "/ipv6/firewall/address-list"):
        entries = console.items(path)
        assert len({(entry["list"], entry["address"]) for entry in entries}) == len(entries)
        assert len({entry[".id"] for entry in entries}) == len(entries)
        counted = console.execute(command((f"{path}/print".encode(), b"=count-only=")))
        assert counted.replies[-1].pairs["ret"] == str(len(entries))


@given(st.text(':;{}()="$\\\n #/.,aeio-do', max_size=60))
def test_any_script_ends_or_traps(source: str) -> None:
    with suppress(TrapError):
        Script(lambda _path, _arguments: None).execute(source)
