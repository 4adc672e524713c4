# SPDX-License-Identifier: Apache-2.0
"""The dashboard's pure parts: bins, changes, plots, the gate, the mask, lists and the documents."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import ValidationError

from edged.config.settings import OpsSettings
from edged.dns.counters import DnsCounters
from edged.model import Access, State, Subscriber
from edged.ops.codes import AFFECTED
from edged.ops.dashboard.facts import merged, page_facts, pieces
from edged.ops.dashboard.gate import COOKIE_S, Asked, Verdict, cookie_of, is_address, judge
from edged.ops.dashboard.lists import LISTS, Column, Kind, Listing, as_csv, grouped, selected
from edged.ops.dashboard.mask import BARE, Mask
from edged.ops.dashboard.pages import Query
from edged.ops.dashboard.plots import bars, nice, spans, spark, steps
from edged.ops.life.deeds import of_moves
from edged.ops.record.changes import OPEN, Change, Standing, changed, differences, lifted_since
from edged.ops.record.history import (
    BIN_S,
    Bin,
    LastHour,
    all_spans,
    day,
    decoded,
    encoded,
    last_hour,
    milliseconds,
    quantile,
    step_of,
    took_below,
)
from edged.policy.access import Learned, Override, View
from edged.policy.table import PolicyTable
from edged.values import Secret, parse_endpoint, parse_prefix
from tests.dashboard_scene import ALARMS, ANSWER, MASK, NOW, bins, changes, documents, known, page, scenes

ROOT = Path(__file__).resolve().parents[2]

# --- bins ------------------------------------------------------------------------------------------


def test_a_bin_comes_back_from_the_database_as_it_was_put() -> None:
    took = Counter(dict.fromkeys(range(4, 24), 100_000))
    one = Bin(600, 1, 2, 3, 4, Counter({5: 6}), 7, 8, held=True, lost=["192.0.2.1"], seconds=9.5, took=took)

    assert decoded(encoded(one)) == one
    assert len(encoded(one)) < 600
    assert len(fields(Bin)) == len(json.loads(encoded(one)))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"start": 1, "spans": [], "a_later_edged": 1}', '{"spans": 7}'])
def test_a_bin_of_another_edged_is_no_bin(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        decoded(text)


def test_a_bin_of_before_answers_were_timed_is_taken() -> None:
    facts = json.loads(encoded(Bin(600, 1)))
    del facts["took"]

    assert decoded(json.dumps(facts)) == Bin(600, 1)


def test_how_long_answers_take_is_known_to_their_place() -> None:
    counters = DnsCounters()
    for seconds, count in ((40e-6, 970), (1.5e-3, 20), (0.2, 10)):
        counters.note_took(seconds, count)
    took = Counter(dict(enumerate(counters.took)))

    assert took_below(Counter(), 0.5) is None
    assert took_below(took, 0.5) == pytest.approx(48e-6, rel=0.4)
    assert took_below(took, 0.985) == pytest.approx(1.5e-3, rel=0.4)
    assert took_below(took, 0.999) == pytest.approx(0.2, rel=0.4)
    assert counters.took_seconds == pytest.approx(970 * 40e-6 + 20 * 1.5e-3 + 2)
    counters.note_took(1e9)
    assert sum(counters.took) == 1001


@pytest.mark.parametrize(
    ("seconds", "said"), [(62e-6, "0.06 ms"), (1.1e-3, "1.1 ms"), (0.0624, "62 ms"), (2, "2000 ms")]
)
def test_milliseconds_have_the_digits_that_say_something(seconds: float, said: str) -> None:
    assert milliseconds(seconds) == said


def test_the_last_hour_is_that_of_the_newest_six_bins() -> None:
    bins = [Bin(600 * number, restored=1, pages=10) for number in range(20)]
    bins[-1].spans[step_of(11)] += 3
    bins[-2].spans[step_of(29)] += 1
    hour = last_hour(bins, 600 * 19 + 300.0)

    assert (hour.restored, hour.pages) == (6, 60)
    assert hour.median == pytest.approx(11, rel=0.06)
    assert hour.slowest == pytest.approx(29, rel=0.06)
    assert last_hour([Bin(0, restored=1)], 9000.0) == LastHour(0, None, None, 0)


def test_whom_a_lost_target_may_hold_back_was_blocked_when_it_was_lost_and_is_no_longer() -> None:
    def change(at: float, who: str, before: str, after: str) -> Change:
        return Change(at, who, before, after, "unpaid", "billing")

    changes = [
        change(90, "before", "blocked", "open"),
        change(101, "paid", "blocked", "open"),
        change(102, "passed", "blocked", "pass"),
        change(103, "never there", "open", "blocked"),
        change(104, "never there", "blocked", "open"),
        change(105, "back", "blocked", "open"),
        change(106, "back", "open", "blocked"),
        change(107, "passed", "pass", "open"),
    ]

    assert lifted_since(changes, 100.0) == {"paid": 101, "passed": 107}


def test_a_day_has_144_bins_and_a_gap_where_edged_was_away() -> None:
    whole = day([Bin(6000), Bin(6000 - 143 * BIN_S), Bin(6000 - 144 * BIN_S)], 6599.0)

    assert len(whole) == 144
    assert [one.start for one in whole if one is not None] == [6000 - 143 * BIN_S, 6000]


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.5, 1.0, 3.0, 11.0, 29.0, 61.0, 3599.0])
def test_a_duration_is_remembered_to_six_per_cent(seconds: float) -> None:
    (found,) = {quantile({step_of(seconds): 1}, share) for share in (0.5, 0.95)}

    assert found == pytest.approx(max(0.1, seconds), rel=0.06)


def test_the_median_and_the_95th_percentile_are_those_of_all_that_was_counted() -> None:
    one, other = Bin(0), Bin(600)
    for second in range(1, 51):
        one.spans[step_of(second)] += 1
        other.spans[step_of(second + 50)] += 1

    both = all_spans([one, None, other])
    assert quantile(both, 0.5) == pytest.approx(50, rel=0.06)
    assert quantile(both, 0.95) == pytest.approx(95, rel=0.06)
    assert quantile({}, 0.5) is None


def test_half_hours_add_counts_and_keep_the_last_level() -> None:
    one = Bin(0, blocked=5, added=1, spans=Counter({3: 1}))
    last = Bin(1200, blocked=9, added=2, held=True, lost=["a"], spans=Counter({3: 2}))

    (whole, gap) = merged([one, None, last, None, None, None], 3)
    assert whole is not None
    assert (whole.start, whole.blocked, whole.added, whole.held, whole.lost) == (0, 9, 3, True, ["a"])
    assert whole.spans == Counter({3: 3})
    assert gap is None


# --- changes ---------------------------------------------------------------------------------------


def view(*subscribers: Subscriber, **learned: object) -> View:
    table = PolicyTable(snapshot_id="1", subscribers={s.id: s for s in subscribers})
    return View(table, Learned(**learned))  # type: ignore[arg-type]  # by name


def blocked(name: str, reason: str = "unpaid") -> Subscriber:
    return Subscriber(name, State.BLOCKED, reason)


def followed(known_before: dict[str, Standing], now_so: View, at: float = 100.0) -> list[Change]:
    return sorted(changed(known_before, differences(known_before, now_so, None, at), at))


def test_who_is_blocked_reminded_and_opened_is_told_with_the_reason_and_who_said_so() -> None:
    known_before: dict[str, Standing] = {}
    assert followed(known_before, view(blocked("1"), Subscriber("2", State.NOTICE, "unpaid"))) == [
        Change(100.0, "1", Access.OPEN, Access.BLOCKED, "unpaid", "billing"),
        Change(100.0, "2", Access.OPEN, Access.NOTICE, "unpaid", "billing"),
    ]
    assert followed(known_before, view()) == [
        Change(100.0, "1", Access.BLOCKED, Access.OPEN, "unpaid", "billing"),
        Change(100.0, "2", Access.NOTICE, Access.OPEN, "unpaid", "billing"),
    ]
    assert known_before == {}


def test_an_operators_word_bears_their_name_and_a_pass_says_so() -> None:
    known_before = {
        "1": Standing(Access.BLOCKED, "unpaid", "billing"),
        "3": Standing(Access.BLOCKED, "unpaid", "billing"),
    }
    words = {name: Override(name, blocked=name == "2", until=200.0, why="", who="anna", at=1.0) for name in ("1", "2")}
    now_so = view(blocked("1"), blocked("3"), overrides=words, passes={"3": 200.0})

    found = {c.subscriber: (c.before, c.after, c.by) for c in followed(known_before, now_so)}
    assert found == {
        "1": ("blocked", "open", "anna"),
        "2": ("open", "blocked", "anna"),
        "3": ("blocked", "pass", "pass"),
    }


def test_the_end_of_an_operators_block_is_theirs_and_not_billings_to_be_timed() -> None:
    known_before = {"1": Standing(Access.BLOCKED, "abuse", "anna"), "2": Standing(Access.BLOCKED, "abuse", "anna")}

    found = followed(known_before, view(blocked("2")))

    assert [(c.subscriber, c.after, c.by, c.is_restored) for c in found] == [("1", "open", "edged", False)]
    assert known_before["2"] == Standing(Access.BLOCKED, "unpaid", "billing")


def test_a_newly_blocked_line_has_not_moved_and_one_that_came_elsewhere_has() -> None:
    at = {"1": (parse_prefix("100.64.1.7"),)}
    paid, owes = Subscriber("1", State.ACTIVE), Subscriber("1", State.BLOCKED, "unpaid", addresses=at["1"])
    offline = Subscriber("1", State.BLOCKED, "unpaid")

    assert list(of_moves(view(paid), view(owes), ["1"], 9.0)) == []
    moved = [deed.detail for deed in of_moves(view(offline), view(owes), ["1"], 9.0)]
    assert moved == ["from no address to 100.64.1.7"]


def test_another_reason_alone_is_no_change_and_is_remembered() -> None:
    known_before = {"1": Standing(Access.BLOCKED, "unpaid", "billing")}

    assert followed(known_before, view(blocked("1", "quota"))) == []
    assert known_before["1"].reason == "quota"
    assert differences(known_before, view(blocked("1", "quota")), {"1", "nobody"}, 1.0) == []


@pytest.mark.parametrize(
    ("before", "after", "by", "restored"),
    [
        ("blocked", "open", "billing", True),
        ("pass", "open", "billing", True),
        ("blocked", "notice", "billing", True),
        ("blocked", "open", "anna", False),
        ("blocked", "pass", "pass", False),
        ("notice", "open", "billing", False),
    ],
)
def test_restored_is_whom_billing_opened(before: str, after: str, by: str, *, restored: bool) -> None:
    assert Change(1.0, "1", before, after, "unpaid", by).is_restored is restored
    assert OPEN.access is Access.OPEN


# --- plots -----------------------------------------------------------------------------------------


def test_a_step_line_has_a_gap_where_nothing_is_known_and_starts_anew_behind_it() -> None:
    assert steps([1, 2, None, 4], 0, 40, 10, 1) == "M0 9H10V8H20M30 6H40"


def test_bars_stand_on_their_floor_and_one_beside_a_thousand_still_shows() -> None:
    assert bars([0, 1000, 1], 0, 30, 100, 0.01) == "M10 100h9v-10h-9zM20 100h9v-1.5h-9z"
    assert bars([1000], 0, 30, 100, -0.01) == "M0 100h29v10h-29z"


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 4), (3, 4), (5, 5), (6, 10), (21, 50), (163, 200), (100_000, 100_000)]
)
def test_the_axis_ends_at_a_round_number(highest: float, top: float) -> None:
    assert nice(highest) == top


def test_shaded_times_are_whole_pieces_and_a_spark_of_nothing_is_nothing() -> None:
    assert [(s.x, s.width) for s in spans([False, True, True, False, True], 0, 50)] == [(10, 20), (40, 10)]
    assert spark([[None, None]]).lines == ("",)
    assert spark([[1.0, None, 2.0]], 30, 10).lines[0].count("M") == 2


# --- the gate --------------------------------------------------------------------------------------

LOOPBACK, OPEN_TO_OTHERS = parse_endpoint("127.0.0.1:9300"), parse_endpoint("192.0.2.7:9300")
TOKEN = Secret("a-token-of-the-tests-0001")
RIGHT = f"Bearer {TOKEN.reveal_text()}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9300", "127.0.0.1", "[::1]:9300", "localhost:9300", "LOCALHOST.", "192.0.2.7"]
)
def test_an_address_and_localhost_are_no_other_sites_name(host: str) -> None:
    assert is_address(host)
    assert judge(Asked(host), LOOPBACK, None, NOW, names=True) is Verdict.ADMITTED


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example:9300", "localhost.evil.example", "[::1", "0x7f.1"]
)
def test_a_foreign_name_that_resolves_to_us_is_turned_away(host: str) -> None:
    assert judge(Asked(host), LOOPBACK, None, NOW, names=True) is Verdict.FOREIGN


def test_where_others_reach_it_names_need_a_token_and_figures_do_not() -> None:
    assert judge(Asked("192.0.2.7"), OPEN_TO_OTHERS, None, NOW, names=True) is Verdict.CLOSED
    assert judge(Asked("tower-12"), OPEN_TO_OTHERS, None, NOW, names=False) is Verdict.ADMITTED


@pytest.mark.parametrize("listen", [LOOPBACK, OPEN_TO_OTHERS])
@pytest.mark.parametrize("names", [True, False])
def test_with_a_token_everything_needs_it(listen: object, *, names: bool) -> None:
    def said(**asked: str) -> Verdict:
        return judge(Asked("tower-12", **asked), listen, TOKEN, NOW, names=names)  # type: ignore[arg-type]

    assert said() is Verdict.UNKNOWN
    assert said(authorization=RIGHT) is Verdict.ADMITTED
    assert said(authorization=RIGHT.replace("Bearer", "bearer")) is Verdict.ADMITTED
    assert said(authorization=RIGHT + "x") is Verdict.UNKNOWN
    assert said(authorization=RIGHT.replace("Bearer", "Basic")) is Verdict.UNKNOWN
    assert said(authorization="Bearer") is Verdict.UNKNOWN
    assert said(cookie=cookie_of(TOKEN, NOW)) is Verdict.ADMITTED


@pytest.mark.parametrize("age", [COOKIE_S + 1, -10])
def test_a_cookie_ends_and_none_from_the_future_counts(age: float) -> None:
    cookie = cookie_of(TOKEN, NOW - age)
    assert judge(Asked(cookie=cookie), LOOPBACK, TOKEN, NOW, names=True) is Verdict.UNKNOWN


def test_a_cookie_is_not_the_token_and_another_token_ends_it() -> None:
    cookie = cookie_of(TOKEN, NOW)
    longer = f"{int(NOW) + COOKIE_S - 1}.{cookie.partition('.')[2]}"

    assert TOKEN.reveal_text() not in cookie
    for wrong in (longer, cookie[:-1], "", "é.é", f"{'9' * 600}.x", cookie.partition(".")[0]):
        assert judge(Asked(cookie=wrong), LOOPBACK, TOKEN, NOW, names=True) is Verdict.UNKNOWN, wrong
    other = Secret("another-token-of-the-tests")
    assert judge(Asked(cookie=cookie), LOOPBACK, other, NOW, names=True) is Verdict.UNKNOWN


def test_a_token_that_could_be_guessed_is_refused() -> None:
    assert OpsSettings(token="0123456789abcdef").token
    with pytest.raises(ValidationError, match="16 characters"):
        OpsSettings(token="0123456789abcde")


# --- the mask --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "masked"),
    [
        ("100.64.7.9 is BLOCKED", "••• is BLOCKED"),
        ("has 100.64.7.9, 2001:db8:100:700::/56", "has •••, •••"),
        ("from ::1 and fe80::1 at 17:20", "from ••• and ••• at 17:20"),
        ("9c:b6:d0:11:22:33 was refused 2 min ago", "••• was refused 2 min ago"),
        ("9C-B6-D0-11-22-33", "•••"),
        ("192.0.2.1: it refuses 192.0.2.1:8729. [2001:db8::1]:53", "•••: it refuses •••:8729. [•••]:53"),
        ("since 2026-11-20 06:00 UTC, snapshot 8812.0c5bd1f7", "since 2026-11-20 06:00 UTC, snapshot 8812.0c5bd1f7"),
        ("1,743 newly blocked, 144 may be", "1,743 newly blocked, 144 may be"),
    ],
)
def test_addresses_are_hidden_and_times_and_counts_are_not(sentence: str, masked: str) -> None:
    assert MASK.text(sentence) == masked
    assert BARE.text(sentence) == sentence


def test_an_id_has_the_same_stand_in_everywhere_and_another_key_another_one() -> None:
    stand_in = MASK.one("20417")

    assert MASK.text("edged sync 20417.") == f"edged sync {stand_in}."
    assert MASK.one("20418") != stand_in
    assert Mask(b"another key").one("20417") != stand_in
    assert MASK.one("") == ""


# --- lists -----------------------------------------------------------------------------------------

TWO = Listing("Two", (Column("who", Kind.SUBSCRIBER), Column("why"), Column("at", Kind.TIME)), lambda _: (), "None.")
ROWS = [("20417", "=cmd()", NOW), ("20418", "unpaid", 0.0)]
BEGINNINGS = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH COMMERCIAL AT}")
TRICKS = [f"{before}{one}cmd()" for before in ("", "\t", "\r", "a;", "a;;", ";") for one in BEGINNINGS]
"""What a spreadsheet would take for a formula, also where its separator is a semicolon."""


def test_a_csv_has_every_row_times_that_programs_read_and_no_formula() -> None:
    found = list(csv.reader(io.StringIO(as_csv(TWO, ROWS, BARE, masked=False))))

    assert found == [["who", "why", "at"], ["20417", "'=cmd()", "2026-11-25T17:21:04Z"], ["20418", "unpaid", ""]]
    assert "20417" not in as_csv(TWO, ROWS, MASK, masked=True)
    for trick in TRICKS:
        for separator in (",", ";", "\t"):
            text = as_csv(TWO, [(trick, trick, NOW)], BARE, masked=False)
            for row in csv.reader(io.StringIO(text), delimiter=separator):
                assert not [cell for cell in row if cell.startswith(BEGINNINGS)], (trick, separator)


def test_a_filter_keeps_the_rows_whose_cell_says_so() -> None:
    assert selected(TWO, ROWS, {"why": "unpaid"}) == ROWS[1:]
    assert selected(TWO, ROWS, {"no column": "unpaid"}) == ROWS


def test_repeats_within_a_minute_are_one_row_and_single_ones_stay() -> None:
    rows = grouped(changes())

    assert [row["count"] for row in rows] == [1] * 18 + [118]
    assert not rows[-1]["more"]
    assert grouped(changes(), most=len(changes()))[-1]["more"], (
        "what was forgotten is not counted as if it had not been"
    )
    assert len(grouped([Change(60.0 * i, "1", "open", "blocked", "", "") for i in range(50)])) == 20


def test_every_column_of_a_person_is_one_that_the_mask_knows() -> None:
    personal = {"subscriber", "lines", "device", "label", "key", "why", "address", "target"}
    for name, listing in LISTS.items():
        for column in listing.columns:
            if column.name in personal:
                assert column.kind in {Kind.SUBSCRIBER, Kind.SECRET}, (name, column.name)


# --- the documents ---------------------------------------------------------------------------------


class Document(HTMLParser):
    """Every attribute that could load or send something, and whether tags close."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.stack: list[str] = []
        self.links: list[str] = []
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "link", "input", "br", "path", "rect"}:
            self.stack.append(tag)
        for name, value in attrs:
            assert name != "style", "the policy forbids it"
            assert not name.startswith("on"), "the policy forbids it"
            if name in {"src", "href", "action", "srcset", "data"} and value is not None:
                (self.links if tag == "a" else self.loads).append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


@pytest.mark.parametrize("name", list(scenes()))
def test_a_document_loads_nothing_from_elsewhere_and_is_light(name: str) -> None:
    body = scenes()[name]
    document = Document(body)

    assert not document.stack
    assert set(document.loads) <= {"data:,", "/", "/login", "/logout"}
    assert all(link.startswith("/") and not link.startswith("//") for link in document.links)
    assert len(body) < 60_000


def test_every_number_is_a_link_to_a_list_that_exists() -> None:
    links = {link.partition("?")[0] for link in Document(page(known())).links}

    assert {link.removeprefix("/list/") for link in links if link.startswith("/list/")} <= set(LISTS)
    assert {f"/list/{name}" for name in ("blocked", "notice", "pass", "restored", "history", "targets")} <= links


def test_why_people_are_blocked_is_said_with_a_link_for_each_reason() -> None:
    body = page(known()).decode()

    assert '<a href="/list/blocked?reason=unpaid"><b>141</b> unpaid</a>' in body
    assert "of 4,812 subscribers" in body


def test_the_first_sentence_is_that_of_status_and_a_word_stands_beside_the_colour() -> None:
    assert b'<span class="word">OK</span>tower-12: all well' in page(known([]))
    assert b'<span class="word">HELD</span>tower-12: billing is HELD' in page(known())
    assert b'<span class="word">FAIL</span>tower-12: 1 thing needs you; 2 sub' in page(known(ALARMS[:1]))


@pytest.mark.parametrize(
    ("said", "commands"),
    [
        ("edged plan", ["edged plan"]),
        (
            "edged sync, which says who; then edged sync --accept 8813.61b6",
            ["edged sync", "edged sync --accept 8813.61b6"],
        ),
        ("df and journalctl -u edged", ["df", "journalctl -u edged"]),
        ("edged status, and dig at each of them", ["edged status"]),
        ("docs/wifi-access-points.md, RADIUS over TLS", []),
        ("nft list ruleset", ["nft list ruleset"]),
    ],
)
def test_what_can_be_typed_is_cut_out_of_what_to_do_and_nothing_is_lost(said: str, commands: list[str]) -> None:
    cut = pieces(said)

    assert [text for text, is_command in cut if is_command] == commands
    assert "".join(text for text, _ in cut) == said


def test_the_mask_leaves_no_id_address_or_name_on_any_page() -> None:
    body = page(known(), Query(masked=True), answer=ANSWER).decode()

    assert not re.findall(r"100\.64\.7\.9|192\.0\.2\.1|2001:db8|9c:b6|10\.9\.0\.4|\b20\d{3}\b|anna|T12-7K4M", body)
    assert "20417" in page(known(), answer=ANSWER).decode()


def test_the_signed_link_of_a_subscribers_page_stays_out() -> None:
    assert b"signed-link" not in page(known(), answer=ANSWER)


def test_what_a_peer_or_billing_says_is_text_and_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    alarm = {"code": "billing-unreachable", "sentence": evil, "try": evil}
    body = page(known([alarm]), answer={"headline": evil, "who": [evil]}).decode()

    assert evil not in body
    assert body.count("&lt;script&gt;") == 4
    assert body.count("<script>") == 1


def test_the_wall_shows_the_verdict_what_needs_you_the_numbers_and_the_plot() -> None:
    body = page(known(), Query(wall=True)).decode()
    ids = re.findall(r'<(?:section|header) id="(\w+)"', body)

    assert ids == ["verdict", "alarms", "numbers", "day"]
    assert 'name="ask"' not in body


def test_without_a_script_there_is_a_link_that_looks_again_and_it_keeps_the_mask() -> None:
    assert b'<a href="/?mask=1">look again</a>' in page(known(), Query(masked=True))


def test_the_policy_names_the_digests_of_our_own_style_and_script_and_of_nothing_else() -> None:
    body, fields = page(known()).decode(), documents().headers
    policy = fields["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for tag in ("style", "script"):
        (own,) = re.findall(rf"<{tag}>(.*?)</{tag}>", body, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}';" in policy
    assert policy.count("sha256-") == 2
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert fields["Cache-Control"] == "no-store"


def test_empty_states_speak() -> None:
    facts = page_facts(known([], empty=True), BARE, masked=False)
    body = page(known([], empty=True)).decode()

    assert facts["numbers"][4]["value"] == "-"
    assert "Nothing has changed since edged keeps count." in body
    assert "No RADIUS server is configured." in body
    assert all(listing.nothing.endswith(".") for listing in LISTS.values())


def test_the_plot_says_in_words_what_it_shows() -> None:
    body = page(known()).decode()

    added, lifted = sum(b.added for b in bins()), sum(b.lifted for b in bins())
    assert f"{added} newly blocked, {lifted} lifted. A reading was held for 1 h. A target was lost for 2 h." in body


def test_who_is_affected_by_an_alarm_is_said_in_the_words_of_the_manual() -> None:
    _, _, codes = (ROOT / "docs/troubleshooting.md").read_text("utf-8").partition("## Alarm codes")
    entries = re.findall(r"^### `([^`]+)`\n(.*?)(?=^### |\Z)", codes, re.MULTILINE | re.DOTALL)
    said = {}
    for code, text in entries:
        found = re.search(r"\*\*Affected:\*\* (.*?)(?= \*\*Do:\*\*|$)", " ".join(text.split()))
        assert found, code
        said[code] = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found[1]).replace("`", "").replace("*", "")

    assert said == AFFECTED
