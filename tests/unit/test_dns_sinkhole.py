from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import pytest

from edged.dns.counters import DROPS, DnsCounters, Limited
from edged.dns.rates import Rates
from edged.dns.ready import ready
from edged.dns.settings import DnsSettings, LimitSettings
from edged.dns.sinkhole import Pending, Sinkhole
from edged.dns.verdict import Kind
from edged.dns.zone import compile_zone
from edged.model import Access, Snapshot, State, Subscriber
from edged.native.datagrams import Others, Portable
from edged.policy.access import Learned, Override, View
from edged.policy.sessions import OnlineLines
from edged.policy.settings import GardenSettings, SubscribersSettings
from edged.policy.table import compile_table
from edged.values import parse_prefix
from tests.dns_lab import CLIENT, NOW, SETTINGS, lab_sinkhole, lab_zone, view_of


def query(name: str = "www.example.com", rtype: str = "A", ident: int = 1) -> bytes:
    message = dns.message.make_query(name, rtype)
    message.id = ident
    return message.to_wire()


def test_a_repeated_query_gets_the_same_answer_with_its_own_id() -> None:
    sinkhole = lab_sinkhole()

    first = sinkhole.answer(query(ident=1), CLIENT, NOW)
    second = sinkhole.answer(query(ident=2), CLIENT, NOW)

    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert first[2:] == second[2:]
    assert second[:2] == b"\x00\x02"
    assert sinkhole.counters.answers["sinkhole"] == 2


def test_a_change_of_policy_shows_in_the_next_answer() -> None:
    sinkhole = lab_sinkhole()
    assert isinstance(sinkhole.answer(query(), CLIENT, NOW), bytes)

    sinkhole.adopt(view_of(Access.OPEN))

    assert isinstance(sinkhole.answer(query(), CLIENT, NOW), Pending)


class Told(Portable):
    """The twin, and until when it was told that an address is blocked."""

    def __init__(self) -> None:
        super().__init__(Rates().datagrams, 0)
        self.until: dict[bytes, float] = {}
        self.places: dict[bytes, tuple[int, int]] = {}
        self.forgotten = 0

    def remember(self, address: bytes, until: float, subscriber: int, prefix: int, /) -> None:
        super().remember(address, until, subscriber, prefix)
        self.until[address] = until
        self.places[address] = subscriber, prefix

    def forget(self) -> None:
        self.forgotten += 1
        self.until.clear()


@pytest.mark.parametrize("by", ["list", "session"])
@pytest.mark.parametrize("line", ["100.64.7.0/24", "100.64.7.9/32"])
def test_an_address_that_became_anothers_is_taken_back_though_its_old_line_did_not_change(line: str, by: str) -> None:
    blocked = Subscriber("building", State.BLOCKED, addresses=(parse_prefix(line),))
    taken = (parse_prefix("100.64.7.9/32"),)
    served = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10"]})
    told = Told()
    sinkhole = Sinkhole(lab_zone(), LimitSettings(), DnsCounters(), Rates(), told, secret=bytes(32))
    sinkhole.adopt(View(compile_table(Snapshot("s", "r", NOW, (blocked,)), served)))
    sinkhole.answer(query(), "100.64.7.9", NOW)
    at_first = dict(told.until)

    paying = Subscriber("paying", State.ACTIVE, addresses=taken if by == "list" else ())
    online = OnlineLines().changed([("paying", taken)] if by == "session" else [])
    table = compile_table(Snapshot("s", "r", NOW, (blocked, paying)), served)
    sinkhole.adopt(View(table, Learned(online=online)))

    assert at_first == {bytes((100, 64, 7, 9)): math.inf}
    assert not told.until


def test_the_compiled_part_is_told_where_a_subscriber_and_where_its_prefix_is_counted() -> None:
    told, rates = Told(), Rates()
    sinkhole = Sinkhole(lab_zone(), LimitSettings(), DnsCounters(), rates, told, secret=bytes(32))
    sinkhole.adopt(view_of(Access.BLOCKED))
    for host in ("100.64.7.1", "100.64.7.2", "100.64.8.1"):
        sinkhole.answer(query(), host, NOW)

    assert told.places == {
        bytes((100, 64, 7, 1)): (1, 2), bytes((100, 64, 7, 2)): (1, 2), bytes((100, 64, 8, 1)): (1, 3),
    }  # fmt: skip
    assert list(rates.of(NOW, stream=False)[1:4]) == [3, 2, 1]


def test_the_table_of_the_compiled_part_has_both_limits() -> None:
    table = ready(lab_zone(), LimitSettings(per_subscriber=7, per_prefix=11))

    assert (table.per_subscriber, table.per_prefix) == (7, 11)


def test_the_compiled_part_is_told_when_an_override_ends() -> None:
    told = Told()
    sinkhole = Sinkhole(lab_zone(), LimitSettings(), DnsCounters(), Rates(), told, secret=bytes(32))
    override = Override("17", blocked=True, until=NOW + 60, why="abuse", who="noc", at=NOW)
    view = view_of(Access.OPEN)
    sinkhole.adopt(replace(view, learned=replace(view.learned, overrides={"17": override})))

    sinkhole.answer(query(), CLIENT, NOW)

    assert told.until == {ip_address(CLIENT).packed: NOW + 60}


@pytest.mark.parametrize("stream", [False, True])
def test_a_place_that_is_given_away_again_begins_at_nothing(stream: bool) -> None:
    rates = Rates()
    rates.of(NOW, stream=stream)[rates.place("one")] = 5
    rates.clear()

    assert rates.of(NOW, stream=stream)[rates.place("another")] == 0


def test_a_pass_that_ends_shows_in_the_next_answer() -> None:
    sinkhole = lab_sinkhole()
    sinkhole.adopt(view_of(Access.PASS, until=NOW + 10))

    assert isinstance(sinkhole.answer(query(), CLIENT, NOW + 9), Pending)
    assert isinstance(sinkhole.answer(query(), CLIENT, NOW + 10), bytes)


@pytest.mark.parametrize("remembered", [16_384, 1], ids=["one generation", "two generations"])
def test_a_new_garden_shows_in_the_next_answer(remembered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.dns.sinkhole._PACKETS", remembered)
    sinkhole = lab_sinkhole()
    assert isinstance(sinkhole.answer(query(), CLIENT, NOW), bytes)
    assert isinstance(sinkhole.answer(query("another.example.com"), CLIENT, NOW), bytes)

    garden = GardenSettings.model_validate({"names": ["www.example.com"]})
    sinkhole.configure(compile_zone(SETTINGS, garden, "portal.example.net", ()), LimitSettings(per_subscriber=100))

    assert isinstance(sinkhole.answer(query(), CLIENT, NOW), Pending)


def test_above_the_rate_answers_are_truncated_and_then_cease() -> None:
    sinkhole = lab_sinkhole(limit=10)

    got = [sinkhole.answer(query(ident=i), CLIENT, NOW) for i in range(30)]

    kinds = ["silence" if g is None else ("tc" if isinstance(g, bytes) and g[2] & 2 else "answer") for g in got]
    assert kinds == ["answer"] * 10 + ["tc"] * 10 + ["silence"] * 10
    assert sinkhole.counters.ratelimited == {"subscriber": 20, "prefix": 0}
    assert sinkhole.counters.errors["truncated"] == 10
    assert sinkhole.counters.dropped["ratelimited"] == 10
    assert isinstance(got[15], bytes)
    truncated = dns.message.from_wire(got[15])
    assert truncated.flags & dns.flags.TC
    assert not truncated.answer


def test_a_clock_that_is_set_back_does_not_hold_the_counts() -> None:
    sinkhole = lab_sinkhole(limit=1)
    sinkhole.answer(query(), CLIENT, NOW + 3600)

    got = sinkhole.answer(query(), CLIENT, NOW)

    assert isinstance(got, bytes)
    assert not got[2] & 2


def test_the_rate_counts_for_the_subscriber_and_starts_anew_each_second() -> None:
    sinkhole = lab_sinkhole(limit=2)

    for host in ("100.64.0.1", "100.64.0.2"):
        sinkhole.answer(query(), host, NOW)
    over = sinkhole.answer(query(), "100.64.0.3", NOW)
    later = sinkhole.answer(query(), "100.64.0.3", NOW + 1)

    assert isinstance(over, bytes)
    assert over[2] & 2
    assert isinstance(later, bytes)
    assert not later[2] & 2


def test_above_the_rate_a_stream_ends() -> None:
    sinkhole = lab_sinkhole(limit=2)

    got = [sinkhole.answer(query(), CLIENT, NOW, stream=True) for _ in range(3)]

    assert isinstance(got[1], bytes)
    assert got[2] is None
    assert sinkhole.counters.ratelimited["subscriber"] == 1
    assert sinkhole.counters.errors["truncated"] == 0


def test_a_truncated_client_is_heard_over_tcp() -> None:
    sinkhole = lab_sinkhole(limit=1)
    sinkhole.answer(query(), CLIENT, NOW)
    truncated = sinkhole.answer(query(), CLIENT, NOW)

    over_tcp = sinkhole.answer(query(), CLIENT, NOW, stream=True)

    assert isinstance(truncated, bytes)
    assert truncated[2] & 2
    assert isinstance(over_tcp, bytes)
    assert dns.message.from_wire(over_tcp).answer


def test_the_limit_of_a_prefix_counts_its_subscribers_together_and_nobody_else() -> None:
    sinkhole = lab_sinkhole(per_prefix=10)

    got = [sinkhole.answer(query(), f"100.64.7.{i}", NOW) for i in range(30)]
    next_door = sinkhole.answer(query(), "100.64.8.1", NOW)

    kinds = ["silence" if g is None else ("tc" if isinstance(g, bytes) and g[2] & 2 else "answer") for g in got]
    assert kinds == ["answer"] * 10 + ["tc"] * 10 + ["silence"] * 10
    assert isinstance(next_door, bytes)
    assert not next_door[2] & 2
    assert sinkhole.counters.ratelimited == {"subscriber": 0, "prefix": 20}


def test_the_limit_of_a_prefix_starts_anew_each_second() -> None:
    sinkhole = lab_sinkhole(per_prefix=2)

    got = [sinkhole.answer(query(), CLIENT, NOW + second) for second in (0, 0, 0, 1, 1, 1)]

    assert [bool(g[2] & 2) for g in got if isinstance(g, bytes)] == [False, False, True] * 2


@pytest.mark.parametrize(
    ("inside", "outside"),
    [("100.64.7.255", "100.64.8.0"), ("2001:db8:100:1ff::1", "2001:db8:100:200::1")],
)
def test_a_prefix_is_a_24_or_a_56(inside: str, outside: str) -> None:
    sinkhole = lab_sinkhole(per_prefix=1)
    sinkhole.answer(query(), "100.64.7.0", NOW)
    sinkhole.answer(query(), "2001:db8:100:100::1", NOW)

    same, other = sinkhole.answer(query(), inside, NOW), sinkhole.answer(query(), outside, NOW)

    assert isinstance(same, bytes)
    assert same[2] & 2
    assert isinstance(other, bytes)
    assert not other[2] & 2


def cookie_of(sinkhole: Sinkhole, host: str) -> bytes:
    asked = dns.message.make_query("a.example", "A", use_edns=0, options=[dns.edns.CookieOption(b"12345678", b"")])
    got = sinkhole.answer(asked.to_wire(), host, NOW - 1)
    assert isinstance(got, bytes)
    (option,) = [o for o in dns.message.from_wire(got).options if isinstance(o, dns.edns.CookieOption)]
    return option.server


def test_the_same_query_with_a_cookie_gets_every_address_its_own() -> None:
    sinkhole = lab_sinkhole()

    assert cookie_of(sinkhole, "100.64.0.10") != cookie_of(sinkhole, "100.64.0.11")


def test_a_cookie_of_ours_and_a_stream_are_not_bound_by_the_prefix() -> None:
    sinkhole = lab_sinkhole(per_prefix=3)
    server = cookie_of(sinkhole, CLIENT)
    proven = dns.message.make_query("a.example", "A", use_edns=0, options=[dns.edns.CookieOption(b"12345678", server)])
    forged = dns.message.make_query(
        "a.example", "A", use_edns=0, options=[dns.edns.CookieOption(b"12345678", bytes(len(server)))]
    )
    for _ in range(3):
        sinkhole.answer(query(), CLIENT, NOW)

    with_cookie = sinkhole.answer(proven.to_wire(), CLIENT, NOW)
    with_another = sinkhole.answer(forged.to_wire(), CLIENT, NOW)
    over_tcp = [sinkhole.answer(query(), CLIENT, NOW, stream=True) for _ in range(9)]

    assert isinstance(with_cookie, bytes)
    assert dns.message.from_wire(with_cookie).answer[0].ttl
    assert isinstance(with_another, bytes)
    assert with_another[2] & 2
    assert all(isinstance(reply, bytes) and not reply[2] & 2 for reply in over_tcp)


def test_a_cookie_does_not_lift_the_limit_of_the_subscriber() -> None:
    sinkhole = lab_sinkhole(limit=1)
    server = cookie_of(sinkhole, CLIENT)
    proven = dns.message.make_query("a.example", "A", use_edns=0, options=[dns.edns.CookieOption(b"12345678", server)])

    got = [sinkhole.answer(proven.to_wire(), CLIENT, NOW) for _ in range(3)]

    assert [g if g is None else bool(g[2] & 2) for g in got if not isinstance(g, Pending)] == [False, True, None]


def test_a_household_behind_one_address_is_not_cut_off_by_the_default() -> None:
    defaults = DnsSettings().limit
    sinkhole = lab_sinkhole(limit=defaults.per_subscriber, per_prefix=defaults.per_prefix)

    # thirty devices that all come back at once, each with five pages' worth of names in one second
    got = [sinkhole.answer(query(f"n{i}.example"), CLIENT, NOW) for i in range(30 * 6)]

    assert all(isinstance(g, bytes) and not g[2] & 2 for g in got)
    assert not any(sinkhole.counters.ratelimited.values())


def test_who_is_note_limited_is_named_by_the_seconds_in_which_they_were() -> None:
    sinkhole = lab_sinkhole(limit=2, per_prefix=5)

    for second in range(3):
        for _ in range(9):
            sinkhole.answer(query(), CLIENT, NOW + second)

    assert sinkhole.counters.limited == {("subscriber", "17"): 3}


def test_a_prefix_that_is_note_limited_is_named_as_a_network() -> None:
    sinkhole = lab_sinkhole(per_prefix=2)

    for _ in range(4):
        sinkhole.answer(query(), "2001:db8:100:1ff::1", NOW)

    assert sinkhole.counters.limited == {("prefix", "2001:db8:100:100::/56"): 1}


def test_a_prefix_is_named_though_its_first_query_too_many_has_a_cookie() -> None:
    sinkhole = lab_sinkhole(per_prefix=2)
    server = cookie_of(sinkhole, CLIENT)
    proven = dns.message.make_query("a.example", "A", use_edns=0, options=[dns.edns.CookieOption(b"12345678", server)])

    for octets in (query(), query(), proven.to_wire(), query()):
        sinkhole.answer(octets, CLIENT, NOW)

    assert sinkhole.counters.limited == {("prefix", "100.64.0.0/24"): 1}
    assert sinkhole.counters.ratelimited["prefix"] == 1


def test_what_was_done_outside_the_interpreter_is_counted_with_the_rest() -> None:
    counters = DnsCounters()
    others = Others(ratelimited=1, unsendable=2, portless=4, unreadable=8, crowded=16, microseconds=500_000)
    for _ in range(2):
        counters.add(((32, 64), others, (0, 95, 1)))

    assert counters.took[:4] == [0, 190, 2, 0]
    assert counters.took_seconds == 1.0

    assert counters.answers == dict.fromkeys(Kind, 0) | {"sinkhole": 64, "portal": 128}
    assert counters.dropped == dict.fromkeys(DROPS, 0) | {
        "ratelimited": 2, "send": 4, "port": 8, "receive": 16, "crowded": 32,
    }  # fmt: skip
    assert counters.ratelimited == {"subscriber": 2, "prefix": 0}
    assert counters.received == 2 * (32 + 64 + 1 + 16)


def test_only_so_many_are_named_and_the_least_often_so_make_room() -> None:
    counters = DnsCounters()
    for _ in range(2):
        counters.note_limited(Limited.SUBSCRIBER, "often")
    for number in range(1000):
        counters.note_limited(Limited.SUBSCRIBER, str(number))

    counters.note_limited(Limited.SUBSCRIBER, "999")

    assert len(counters.limited) == 256
    assert counters.limited["subscriber", "often"] == 2


def test_rates_survive_more_sources_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.dns.rates.PLACES", 64)
    sinkhole = lab_sinkhole()

    for number in range(500):
        reply = sinkhole.answer(query(), f"100.{64 + number // 256}.{number % 256}.1", NOW)
        assert isinstance(reply, bytes)


def test_strangers_are_refused_at_a_trickle_and_otherwise_ignored() -> None:
    sinkhole = lab_sinkhole()

    got = [sinkhole.answer(query(), f"198.51.100.{i % 250}", NOW) for i in range(500)]

    assert sum(g is not None for g in got) == 50
    assert sinkhole.counters.dropped["stranger"] == 450


def test_a_stranger_gets_nothing_for_a_malformed_packet() -> None:
    sinkhole = lab_sinkhole()

    assert sinkhole.answer(query()[:20], "198.51.100.1", NOW) is None


@pytest.mark.parametrize("access", [Access.OPEN, Access.BLOCKED])
def test_a_true_answer_must_be_asked_for_with_rd(access: Access) -> None:
    message = dns.message.make_query("pay.example.net", "A", flags=0)

    got = lab_sinkhole(access).answer(message.to_wire(), CLIENT, NOW)

    assert isinstance(got, bytes)
    assert dns.message.from_wire(got).rcode() == 5


def test_explain_says_what_the_answer_says() -> None:
    sinkhole = lab_sinkhole()
    decision = view_of(Access.BLOCKED).decide(ip_address(CLIENT), NOW)

    verdict = sinkhole.explain("www.example.com", decision)

    assert verdict.kind == "sinkhole"
    assert [str(a) for a in verdict.addresses] == ["203.0.113.10"]
    assert verdict.why
    assert sinkhole.explain("pay.example.net", decision).kind == "garden"
    with pytest.raises(ValueError):
        sinkhole.explain("a..b", decision)


def test_a_static_answer_that_does_not_fit_is_truncated_over_udp_and_whole_over_tcp() -> None:
    garden = GardenSettings.model_validate({"records": {"many.example.net": [f"198.51.100.{i}" for i in range(100)]}})
    sinkhole = lab_sinkhole()
    sinkhole.configure(compile_zone(SETTINGS, garden, "portal.example.net", ()), LimitSettings(per_subscriber=100))

    over_udp = sinkhole.answer(query("many.example.net"), CLIENT, NOW)
    over_tcp = sinkhole.answer(query("many.example.net"), CLIENT, NOW, stream=True)

    assert isinstance(over_udp, bytes)
    assert isinstance(over_tcp, bytes)
    assert over_udp[2] & 2
    assert sinkhole.counters.errors["truncated"] == 1
    assert len(dns.message.from_wire(over_tcp).answer[0]) == 100


def test_memory_stays_bounded_under_random_names_and_sources() -> None:
    sinkhole = lab_sinkhole()

    for i in range(70_000):
        sinkhole.answer(query_octets(i), f"100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", NOW)

    assert len(sinkhole._packets) <= 16_384
    assert len(sinkhole._askers) <= 65_536


def test_all_are_forgotten_when_there_are_too_many_and_not_again_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.dns.sinkhole._ASKERS", 8)
    told = Told()
    sinkhole = Sinkhole(lab_zone(), LimitSettings(), DnsCounters(), Rates(), told, secret=bytes(32))
    sinkhole.adopt(view_of(Access.BLOCKED))
    before = told.forgotten

    for number in range(32):
        sinkhole.answer(query(), f"100.64.0.{number}", NOW)

    assert told.forgotten - before == 3


def test_a_long_query_is_answered_and_not_remembered() -> None:
    sinkhole = lab_sinkhole()

    assert isinstance(sinkhole.answer(query("long." * 40 + "example"), CLIENT, NOW), bytes)
    assert not sinkhole._packets


def test_a_usual_query_is_still_remembered_behind_a_flood_of_random_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.dns.sinkhole._PACKETS", 8)
    sinkhole = lab_sinkhole()
    usual = sinkhole.answer(query(), CLIENT, NOW)
    for number in range(8):
        sinkhole.answer(query_octets(number), CLIENT, NOW)
    monkeypatch.setattr("edged.dns.sinkhole.decide", None)

    assert sinkhole.answer(query(), CLIENT, NOW) == usual


def query_octets(number: int) -> bytes:
    return bytes.fromhex("0001 0100 0001 0000 0000 0000") + b"\x06%06x\x01a\x00\x00\x01\x00\x01" % number


def test_the_zone_is_built_once() -> None:
    assert lab_zone().sinkhole.by_type[1][0].sections == lab_zone().probe.by_type[1][0].sections.replace(
        b"\x00\x00\x00\x05\x00\x04", b"\x00\x00\x00\x0a\x00\x04"
    )
