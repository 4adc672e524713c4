# SPDX-License-Identifier: Apache-2.0
"""Who has which address by the sessions that a NAS or billing reports: late, doubled, lost and lying ones too."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.model import Access, OnlineSession, Snapshot, State, Subscriber
from edged.policy import sessions
from edged.policy.access import Learned, View
from edged.policy.sessions import CROWD, OnlineLines, Roster
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import Prefix, parse_prefix

NOW = 1_800_000_000.0
HOME, HOME6 = "100.64.1.7", "2001:db8:100:700::/56"
SETTINGS = SubscribersSettings.model_validate(
    {"networks": ["100.64.0.0/10", "2001:db8:100::/40"], "exempt": ["100.64.0.53"]}
)


def session(login: str, *addresses: str, since: float = NOW, subscriber: str = "") -> OnlineSession:
    return OnlineSession(login, tuple(map(parse_prefix, addresses)), since, subscriber)


def held(roster: Roster, login: str, subscriber: str = "") -> set[str]:
    return {str(prefix) for prefix in roster.lines_of(subscriber, [login])}


def test_a_login_has_the_addresses_of_its_session_until_it_ends() -> None:
    roster = Roster()

    assert roster.report(("radius", "a"), session("ana", HOME, HOME6)) == {"ana"}
    assert held(roster, "ana") == {HOME, HOME6}
    assert roster.report(("radius", "a"), None) == {"ana"}
    assert held(roster, "ana") == set()
    assert not roster


def test_an_address_that_is_given_to_somebody_else_is_lost_to_who_had_it() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME, HOME6))  # whose Stop never came

    assert roster.report(("radius", "b"), session("ben", HOME, since=NOW + 60)) == {"ana", "ben"}
    assert (held(roster, "ana"), held(roster, "ben")) == ({HOME6}, {HOME})


def test_a_report_that_was_overtaken_takes_no_address_back() -> None:
    roster = Roster()
    roster.report(("radius", "b"), session("ben", HOME, since=NOW + 60))

    roster.report(("radius", "a"), session("ana", HOME, since=NOW))

    assert (held(roster, "ana"), held(roster, "ben")) == (set(), {HOME})


def test_a_prefix_around_or_within_one_that_is_held_is_the_same_ground() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME6))
    roster.report(("radius", "b"), session("ben", "2001:db8:100:710::/60", since=NOW + 1))
    assert (held(roster, "ana"), held(roster, "ben")) == (set(), {"2001:db8:100:710::/60"})

    roster.report(("radius", "c"), session("eve", HOME6, since=NOW + 2))
    assert (held(roster, "ben"), held(roster, "eve")) == (set(), {HOME6})

    roster.report(("radius", "d"), session("ana", "2001:db8:100:720::/60", since=NOW + 1))
    assert held(roster, "ana") == set(), "what came before does not take a part back"


def test_a_link_within_ones_own_delegated_prefix_is_no_rival_of_it() -> None:
    roster = Roster()
    roster.report(("radius", "a-delegated"), session("ana", HOME6))
    roster.report(("radius", "a-link"), session("ana", "2001:db8:100:700::/64", since=NOW + 1))

    assert held(roster, "ana") == {HOME6, "2001:db8:100:700::/64"}


def test_a_session_that_was_bound_in_the_future_gives_way_to_the_next() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME, since=NOW + 86400), NOW + 86400)  # the clock was a day ahead

    roster.report(("radius", "b"), session("ben", HOME, since=NOW + 60), NOW + 60)

    assert (held(roster, "ana"), held(roster, "ben")) == (set(), {HOME})


def test_a_session_that_names_a_prefix_twice_holds_and_loses_it_once() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME6, HOME6))

    assert roster.report(("radius", "a"), None) == {"ana"}
    assert held(roster, "ana") == set()


def test_more_sessions_than_a_household_has_count_for_nothing() -> None:
    roster = Roster()
    for number in range(CROWD + 1):
        assert len(held(roster, "ana")) == number
        roster.report(("radius", number), session("ana", f"100.64.2.{number}"))

    assert held(roster, "ana") == set()
    assert len(roster.sessions_of("", ["ana"])) == CROWD


def test_two_reporters_of_one_session_do_not_take_it_from_each_other() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME, since=NOW))
    roster.replace("billing", [session("ana", HOME, since=NOW + 5, subscriber="1001")])
    assert held(roster, "", "1001") == {HOME}

    roster.replace("billing", [])

    assert held(roster, "ana") == {HOME}


def test_what_billing_says_of_whose_session_it_is_goes_before_the_login() -> None:
    roster = Roster()

    roster.replace("billing", [session("ana", HOME, subscriber="1001")])

    assert held(roster, "ana", "2002") == set()
    assert held(roster, "", "1001") == {HOME}


def test_who_is_missing_from_a_whole_list_is_offline_unless_the_list_is_doubted() -> None:
    roster = Roster()
    roster.replace("billing", [session("ana", HOME), session("ben", "100.64.1.8")])

    roster.replace("billing", [session("ben", "100.64.1.8")], keep=True)
    assert held(roster, "ana") == {HOME}

    assert roster.replace("billing", [session("ben", "100.64.1.8")]) == {"ana"}
    assert held(roster, "ana") == set()


def test_a_flood_of_sessions_ends_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST", 1000)
    roster = Roster()
    for number in range(1010):
        roster.report(("radius", number), OnlineSession(f"u{number}", (), NOW))

    assert len(roster) == 1000
    roster.report(("radius", 0), session("ana", HOME))
    assert held(roster, "ana") == {HOME}, "whoever is known may move"
    roster.report(("radius", 1), None)
    assert len(roster) == 999, "and end"


def test_of_two_sessions_that_began_at_the_same_moment_the_one_reported_last_has_the_address() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME))

    assert roster.report(("radius", "b"), session("ben", HOME)) == {"ana", "ben"}
    assert (held(roster, "ana"), held(roster, "ben")) == (set(), {HOME})


@pytest.mark.parametrize("by", ["login", "subscriber"])
def test_a_session_that_another_reporter_still_has_keeps_its_address_and_both_names_are_told(by: str) -> None:
    roster = Roster()
    first = session("ana", HOME, subscriber="1001")
    roster.report(("radius", "a"), first)
    second = session("ana", HOME) if by == "login" else session("ana@fibre", HOME, subscriber="1001")
    roster.report(("other", "a"), second)

    concerned = roster.report(("other", "a"), None)

    assert {"ana", "1001"} <= concerned
    assert held(roster, "", "1001") == {HOME}


def test_what_has_ended_leaves_nothing_behind() -> None:
    roster = Roster()
    for number in range(100):
        roster.report(("radius", number), session(f"login-{number}", HOME, subscriber=str(number), since=NOW + number))
    for number in range(100):
        roster.report(("radius", number), None)

    assert not any((roster._sessions, roster._of_login, roster._of_subscriber))
    assert not any((roster._held._holders, roster._held._order))


def lines(**online: tuple[str, ...]) -> list[tuple[str, tuple[Prefix, ...]]]:
    return [(name, tuple(map(parse_prefix, texts))) for name, texts in online.items()]


def test_online_lines_change_for_those_who_are_named_and_stay_for_the_others() -> None:
    before = OnlineLines().changed(lines(ana=(HOME, HOME6), ben=("100.64.1.8",)))

    after = before.changed(lines(ana=("100.64.1.9",), mia=("100.64.1.10",)))

    assert after.lines == dict(lines(ana=("100.64.1.9",), ben=("100.64.1.8",), mia=("100.64.1.10",)))
    assert {str(p): name for p, name in after.holders.items()} == {
        "100.64.1.8": "ben", "100.64.1.9": "ana", "100.64.1.10": "mia",
    }  # fmt: skip
    assert dict(before.lines) == dict(lines(ana=(HOME, HOME6), ben=("100.64.1.8",))), "nothing is edited"
    assert not after.changed(lines(ana=(), ben=(), mia=()))


def test_an_address_that_passes_from_one_to_the_other_in_one_step_is_the_latters() -> None:
    before = OnlineLines().changed(lines(ana=(HOME,)))

    for step in (lines(ana=(), ben=(HOME,)), lines(ben=(HOME,), ana=())):
        assert before.changed(step).holders.get(parse_prefix(HOME)) == "ben"


def test_online_lines_that_stay_the_same_are_the_same_value() -> None:
    before = OnlineLines().changed(lines(ana=(HOME,)))

    assert before.changed(lines(ana=(HOME,), ben=())) is before


PREFIXES = st.sampled_from([parse_prefix(text) for text in ("100.64.1.1", "100.64.1.2", "100.64.1.0/29", HOME6)])
REPORTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.none()
        | st.builds(
            OnlineSession,
            st.sampled_from(["ana", "ben", "eve"]),
            st.lists(PREFIXES, max_size=3, unique=True).map(tuple),
            st.integers(0, 9).map(float),
            st.sampled_from(["", "1", "2"]),
        ),
    ),
    max_size=30,
)


@given(REPORTS)
def test_no_address_is_ever_anybodys_twice_and_whose_lines_change_is_always_named(
    reports: list[tuple[int, OnlineSession | None]],
) -> None:
    roster = Roster()
    people = [("", login) for login in ("ana", "ben", "eve")] + [("1", ""), ("2", "")]

    def lines() -> dict[tuple[str, str], tuple[Prefix, ...]]:
        return {(s, login): roster.lines_of(s, [login] if login else []) for s, login in people}

    for key, report in reports:
        before = lines()
        concerned = roster.report(("radius", key), report)
        after = lines()
        assert {name for name in people if before[name] != after[name]} <= {
            (s, login) for s, login in people if {s, login} & concerned
        }
        everybody = [prefix for held_now in after.values() for prefix in held_now]
        assert len(everybody) == len(set(everybody))


# --- in the policy ---------------------------------------------------------------------------------


def view(*subscribers: Subscriber, online: dict[str, tuple[str, ...]] | None = None) -> View:
    lines = [(name, tuple(map(parse_prefix, texts))) for name, texts in (online or {}).items()]
    table = compile_table(Snapshot("s", "1", 0.0, subscribers), SETTINGS)
    return View(table, Learned(online=OnlineLines().changed(lines)))


def blocked(name: str, *addresses: str, **more: Any) -> Subscriber:
    return Subscriber(name, State.BLOCKED, addresses=tuple(map(parse_prefix, addresses)), **more)


def access(of: View, address: str) -> Access:
    return of.decide(ip_address(address), NOW).access


def test_a_blocked_login_is_blocked_on_the_address_of_its_session_in_both_families() -> None:
    of = view(blocked("1001", logins=("ana",)), online={"1001": (HOME, HOME6)})

    assert access(of, HOME) is Access.BLOCKED
    assert access(of, "2001:db8:100:7ff::1") is Access.BLOCKED
    assert access(of, "100.64.1.8") is Access.OPEN
    assert of.decide(ip_address(HOME), NOW).subscriber == of.table.subscribers["1001"]


def test_exempt_and_foreign_addresses_stay_so_whatever_a_session_says() -> None:
    of = view(blocked("1001"), online={"1001": ("100.64.0.53", "192.0.2.1")})

    assert access(of, "100.64.0.53") is Access.EXEMPT
    assert access(of, "192.0.2.1") is Access.STRANGER


def test_of_a_listed_and_an_online_claim_on_one_address_the_better_treated_has_it() -> None:
    notice = Subscriber("2", State.NOTICE, addresses=(parse_prefix(HOME),))
    of = view(notice, blocked("1001"), online={"1001": (HOME,)})

    assert access(of, HOME) is Access.NOTICE
    assert dict(of.lines())[parse_prefix(HOME)].id == "2"


def test_a_session_within_a_listed_prefix_is_the_longer_match() -> None:
    of = view(blocked("2", "100.64.1.0/24"), Subscriber("3", State.NOTICE), online={"3": (HOME,)})

    assert access(of, HOME) is Access.NOTICE
    assert access(of, "100.64.1.8") is Access.BLOCKED
    assert of.outermost(parse_prefix(HOME)) == parse_prefix("100.64.1.0/24")


def test_a_session_of_nobody_in_the_list_means_nothing() -> None:
    assert access(view(online={"gone": (HOME,)}), HOME) is Access.OPEN


# --- what a session keeps, for whoever tells its NAS -------------------------------------------------


def test_a_session_keeps_what_another_report_of_the_same_customer_says_too() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME, HOME6))
    roster.report(("billing", "a"), session("ana", HOME, since=NOW + 1))
    roster.report(("billing", "b"), session("", HOME6, since=NOW + 1, subscriber="1001"))

    assert {str(prefix) for prefix in roster.kept(("radius", "a"))} == {HOME, HOME6}


def test_a_session_keeps_nothing_that_is_another_customers_by_now_and_nothing_after_its_end() -> None:
    roster = Roster()
    roster.report(("radius", "a"), session("ana", HOME, HOME6))
    roster.report(("radius", "b"), session("ben", HOME, since=NOW + 1))

    assert [str(prefix) for prefix in roster.kept(("radius", "a"))] == [HOME6]
    roster.report(("radius", "a"), None)
    assert roster.kept(("radius", "a")) == []
