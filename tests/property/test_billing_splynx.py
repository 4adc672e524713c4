from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.billing.reading import make_snapshot
from edged.billing.splynx.fields import network, number, parts
from edged.billing.splynx.login import error_code, read_token
from edged.billing.splynx.mapping import Terms, check_labels, cleared, merged, sessions_of, subscribers_of
from edged.billing.splynx.query import Asked
from edged.billing.splynx.rows import Changes, Customers, Invoices, ListChangedError, OnlineRows, Partners, Services
from edged.errors import UpstreamError
from edged.model import State, Subscriber
from edged.state.snapshots import SnapshotFiles
from tests.loopback.splynx_server import parse_brackets

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""What JSON can hold."""


def odd(*usual: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(usual) | st.sampled_from(usual) | st.sampled_from(usual) | ANYTHING


LINES = ("100.64.0.1", "100.64.0.2", "100.64.0.0/29", "100.64.0.1/29", "100.64.0.3, 100.64.0.4", "0.0.0.0", "", None)
LINES6 = ("2001:db8:1::/64", "2001:db8::/32", "2001:db8:1::7", "2001:db8:1::7/64", "::", "", None)
IDS = st.integers(1, 8) | st.integers(1, 8).map(str)

CUSTOMERS = st.lists(
    st.fixed_dictionaries(
        {"id": IDS, "status": odd("active", "blocked", "new", "disabled", "Blocked", "archived")},
        optional={
            "name": odd("Ana"),
            "partner_id": odd(1, "2"),
            "customer_labels": odd([{"id": 1, "label": "VIP"}], []),
        },
    ),
    max_size=8,
    unique_by=lambda row: str(row["id"]),
)
SERVICES = st.lists(
    st.fixed_dictionaries(
        {"customer_id": odd(1, 2, 3, 4, "5", "6"), "status": odd("active", "stopped", "pending", "hidden", "disabled"),
         "taking_ipv4": odd(1, "1", 1, 2), "ipv4": odd(*LINES)},
        optional={"ipv4_route": odd(*LINES), "ipv6": odd(*LINES6), "ipv6_delegated": odd(*LINES6),
                  "taking_ipv6": odd(0, 1, 2), "login": odd("a", "b"),
                  "mac": odd("02005e100001", "02:00:5e:10:00:02,nonsense")},
    ),
    max_size=12,
)  # fmt: skip
INVOICES = st.lists(
    st.fixed_dictionaries(
        {"customer_id": odd(1, 2, "3"), "status": odd("not_paid", "overdue", "paid"), "due": odd("5.1", 7, -1),
         "date_till": odd("2026-11-01", "0000-00-00")}
    ),
    max_size=6,
)  # fmt: skip


def page(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": n, **row} for n, row in enumerate(rows, 1)]


def reading(
    customers: list[dict[str, Any]], services: list[dict[str, Any]], invoices: list[dict[str, Any]], terms: Terms
) -> tuple[tuple[Subscriber, ...], Services]:
    """The way of a full reading, without the network."""
    mine = Customers()
    mine.add(customers, Asked("x"))
    check_labels(mine.by_id.values(), terms)
    restricted = terms.restricted(mine.by_id.values())
    lines, open_ones = Services(restricted), Invoices(restricted)
    lines.add(page(services), Asked("x"))
    open_ones.add(page(invoices), Asked("x"))
    listed = subscribers_of(mine.by_id.values(), lines.lines, open_ones.open, terms)
    return cleared(listed, lines.claims, restricted)[0], lines


@given(CUSTOMERS, SERVICES, INVOICES, st.sampled_from([Terms(), Terms(frozenset({"vip"}), "https://b.example/pay?i=")]))
@settings(max_examples=5 * settings().max_examples // 2)
def test_whatever_rows_come_nobody_active_is_restricted_and_nothing_of_theirs_is_taken(
    customers: list[dict[str, Any]], services: list[dict[str, Any]], invoices: list[dict[str, Any]], terms: Terms
) -> None:
    try:
        listed, _ = reading(customers, services, invoices, terms)
    except UpstreamError:
        return
    restricted = {s.id: s for s in listed if s.state is not State.ACTIVE}

    status = {str(int(row["id"])): row["status"] for row in customers}
    for name in restricted:
        assert isinstance(status[name], str)
        assert status[name].strip().lower() in {"blocked", "new", "disabled"}
    # an oracle of its own: every static address of everybody else, read as loosely as can be
    for row in services:
        owner = number(row["customer_id"], 1)
        if str(owner) in restricted or row["status"] == "disabled" or number(row["taking_ipv4"]) != 1:
            continue
        theirs = [network(text)[0] for key in ("ipv4", "ipv4_route") for text in parts(row.get(key))]
        for subscriber in restricted.values():
            assert not any(a.overlaps(b) for a in subscriber.addresses for b in theirs if b is not None)


@given(CUSTOMERS, SERVICES, INVOICES)
@settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.too_slow])
def test_every_list_can_be_named_kept_and_read_again(
    customers: list[dict[str, Any]], services: list[dict[str, Any]], invoices: list[dict[str, Any]]
) -> None:
    terms = Terms(pay="https://b.example/pay?item_id=", brands={1: "main", 2: "north-fibre"})
    try:
        listed, _ = reading(customers, services, invoices, terms)
    except UpstreamError:
        return
    snapshot = make_snapshot(listed, None, revision="", known=len(customers), read_at=1.0)
    with TemporaryDirectory() as folder:
        files = SnapshotFiles(Path(folder))
        files.save(snapshot)
        assert files.load().snapshot == snapshot


@given(CUSTOMERS, SERVICES, st.dictionaries(st.sampled_from("12345678"), st.sampled_from([*State]) | st.none()))
def test_a_word_that_somebody_is_active_stands_after_every_merge(
    customers: list[dict[str, Any]], services: list[dict[str, Any]], words: dict[str, State | None]
) -> None:
    try:
        before, lines = reading(customers, services, [], Terms())
    except UpstreamError:
        return
    answers = {name: None if state is None else Subscriber(name, state) for name, state in words.items()}
    both = merged(before, answers)
    restricted = {int(s.id) for s in both if s.state is not State.ACTIVE}

    after, _ = cleared(both, lines.claims, restricted)

    for name, state in words.items():
        assert {s.state for s in after if s.id == name} == ({state} if state is not None else set())
    assert {s.id for s in after} == ({s.id for s in before} | set(words)) - {n for n, s in words.items() if s is None}


@given(ANYTHING | st.lists(ANYTHING | st.dictionaries(st.sampled_from(["id", "date", "ipv4", "login"]), ANYTHING)))
def test_no_page_is_anything_but_rows_or_a_sentence(document: Any) -> None:
    for rows in (Customers(), Services({1}), Invoices({1}), Partners(), OnlineRows(), Changes(3), Changes(None)):
        try:
            count = rows.add(document, Asked("x"))
        except ListChangedError:
            continue
        except UpstreamError:
            continue
        assert count == len(document)
        if isinstance(rows, OnlineRows):
            assert all(s.since <= 1e9 for s in sessions_of(rows.online, 1e9))


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_reply_to_a_log_in_is_a_token_or_a_sentence(octets: bytes, date: str) -> None:
    error_code(octets)
    try:
        token = read_token(octets, now=1.0, date=date)
    except UpstreamError:
        return
    assert token.life > 0


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(min_size=1, max_size=12), max_size=4))
def test_a_query_is_read_back_by_an_independent_reader(fields: dict[str, str]) -> None:
    asked = Asked("x", {name: (">=", value) for name, value in fields.items()})

    back = parse_brackets(asked.page(limit=5, offset=7))

    assert back.get("main_attributes", {}) == {name: {"0": ">=", "1": value} for name, value in fields.items()}
    assert (back["order"], back["limit"], back["offset"]) == ({"id": "ASC"}, "5", "7")
