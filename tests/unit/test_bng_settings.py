# SPDX-License-Identifier: Apache-2.0
"""A BNG in the configuration, and what ``edged check`` says of it; its attributes and its places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from edged.config.loading import load
from edged.enforce.bng.places import MANY, Places, is_blocked, prefixes_of, stays_blocked
from edged.enforce.bng.ways import NAMES, WAYS, Act, named, observed, refusal, said
from edged.enforce.diff import Plan
from edged.enforce.sets import SetName
from edged.errors import ConfigError, Problem
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import attribute, text
from edged.values import parse_mac, parse_prefix
from tests.bng_world import NOW, session, settings


def found(folder: Path, bng: str, radius: str = "acct: ['127.0.0.1:1813']") -> dict[str, Problem]:
    path = folder / "edged.yaml"
    path.write_text(
        "subscribers: {networks: ['100.64.0.0/10']}\n"
        f"radius: {{{radius}, clients: [{{name: bng, networks: ['192.0.2.0/28'], secret: one-of-its-own}}]}}\n"
        f"enforce: [{{radius: {{secret: s, {bng}}}}}]\n"
    )
    try:
        problems = load(str(path)).warnings
    except ConfigError as error:
        problems = error.problems
    return {problem.key: problem for problem in problems if problem.key.startswith("enforce")}


def test_a_bng_whose_accounting_is_heard_is_nothing_to_warn_of(tmp_path: Path) -> None:
    for bng in ("nas: 192.0.2.5", "nas: 198.51.100.9, client: bng", "nas: 192.0.2.5, attribute: Filter-Id, blocked: g"):
        assert found(tmp_path, bng) == {}


@pytest.mark.parametrize(
    ("bng", "radius", "key", "words"),
    [
        ("nas: 192.0.2.5", "auth: ['127.0.0.1:1812']", "enforce[0].radius", "no radius.acct"),
        ("nas: 192.0.2.99", "acct: ['127.0.0.1:1813']", "enforce[0].radius.nas", "192.0.2.99, which is no client"),
        ("nas: 192.0.2.5, client: core", "acct: ['127.0.0.1:1813']", "enforce[0].radius.client", '"core"'),
        (
            "nas: 192.0.2.5, identify: [User-Name]", "acct: ['127.0.0.1:1813']", "enforce[0].radius.identify",
            "no Acct-Session-Id",
        ),
        (
            "nas: 192.0.2.5, attribute: Framed-Pool, pool: ['10.0.0.0/24']", "acct: ['127.0.0.1:1813']",
            "enforce[0].radius.pool[0]", "10.0.0.0/24, which subscribers.networks does not hold",
        ),
    ],
)  # fmt: skip
def test_a_bng_whose_sessions_cannot_be_known_is_warned_of(
    tmp_path: Path, bng: str, radius: str, key: str, words: str
) -> None:
    problems = found(tmp_path, bng, radius)

    assert list(problems) == [key]
    assert words in problems[key].found


@pytest.mark.parametrize(
    "more",
    [
        {"attribute": "Framed-Pool"},
        {"blocked": "same", "open": "same"},
        {"blocked": "with space"},
        {"blocked": ""},
        {"attribute": "Session-Timeout"},
        {"identify": []},
        {"rate": 0},
        {"port": 65536},
    ],
)
def test_what_could_not_work_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**more)


# --- what is said ------------------------------------------------------------------------------------


def test_to_open_another_value_is_said_and_never_none() -> None:
    for name in ("Mikrotik-Address-List", "Filter-Id"):
        for act, value in ((Act.BLOCK, "b"), (Act.OPEN, "o")):
            assert text((said(WAYS[name], act, "b", "o"),), name) == value


def test_what_a_session_does_not_have_does_not_name_it() -> None:
    assert [a.type for a in named(session(), NAMES)] == [44, 1, 8]
    assert [a.type for a in named(session(login="", ipv4=""), NAMES)] == [44]
    assert [a.type for a in named(session(), ("Acct-Session-Id",))] == [44]


def test_a_name_that_was_not_text_names_nobody() -> None:
    assert named(session("s-\ufffd"), NAMES) == ()


def test_a_report_shows_a_value_or_nothing() -> None:
    way = WAYS["Filter-Id"]
    for given, shown in (((), None), (("b",), True), (("o",), False), (("x", "b"), True)):
        attributes = tuple(attribute("Filter-Id", value) for value in given)
        assert observed(way, session(), attributes, blocked="b") is shown


def test_an_address_in_the_pool_of_the_blocked_shows_by_itself() -> None:
    way, pool = WAYS["Framed-Pool"], (parse_prefix("100.64.255.0/24"),)
    for ipv4, ipv6, shown in (
        ("100.64.255.7", "", True), ("100.64.1.7", "", False), ("", "2001:db8::/64", None),
        ("100.64.255.7", "2001:db8::/64", True), ("", "", None),
    ):  # fmt: skip
        assert observed(way, session(ipv4=ipv4, ipv6=ipv6), (), blocked="", pool=pool) is shown
    both = (*pool, parse_prefix("2001:db8:ff::/48"))
    assert observed(way, session(ipv4="100.64.255.7", ipv6="2001:db8::/64"), (), blocked="", pool=both) is False


def test_a_refusal_is_spelled_as_the_standard_does() -> None:
    assert refusal(503) == "NAK 503 Session-Context-Not-Found"
    assert refusal(999) == "NAK 999"
    assert refusal(0) == "NAK without Error-Cause"


# --- whose a session is ------------------------------------------------------------------------------


def view(*subscribers: Subscriber) -> View:
    networks = {"networks": ["100.64.0.0/10", "2001:db8::/32"], "exempt": ["100.64.0.53"]}
    return View(compile_table(Snapshot("s", "1", NOW, subscribers), SubscribersSettings.model_validate(networks)))


def listed(name: str, state: State, *addresses: str, devices: tuple[str, ...] = ()) -> Subscriber:
    return Subscriber(
        name, state, addresses=tuple(map(parse_prefix, addresses)), devices=tuple(map(parse_mac, devices))
    )


BLOCKED, NOTICE = State.BLOCKED, State.NOTICE
ONE = session(ipv6="2001:db8:1::/64", mac="02:00:5e:10:00:01")


@pytest.mark.parametrize(
    ("subscribers", "verdict"),
    [
        ((), False),
        ((listed("1", BLOCKED, "100.64.1.7"),), True),
        ((listed("1", BLOCKED, "2001:db8:1::/64"),), True),
        ((listed("1", BLOCKED, devices=("02:00:5e:10:00:01",)),), True),
        ((listed("1", BLOCKED, devices=("02:00:5e:10:00:02",)),), False),
        ((listed("1", NOTICE, "100.64.1.7"),), False),
        # one line of it is somebody else's who has paid: billing and the BNG disagree, and nobody is cut off
        ((listed("1", BLOCKED, "100.64.1.7"), listed("2", NOTICE, "2001:db8:1::/64")), False),
    ],
)
def test_a_session_is_blocked_by_the_ladder_of_its_addresses(
    subscribers: tuple[Subscriber, ...], verdict: bool
) -> None:
    assert is_blocked(view(*subscribers), ONE, prefixes_of(ONE), NOW) is verdict


def test_an_exempt_address_keeps_the_whole_session_open() -> None:
    one = session(ipv4="100.64.0.53", ipv6="2001:db8:1::/64")

    assert not is_blocked(view(listed("1", BLOCKED, "2001:db8:1::/64")), one, prefixes_of(one), NOW)


def test_a_session_that_is_not_reported_on_is_judged_by_its_login() -> None:
    anna = Subscriber("1", BLOCKED, logins=("anna",))
    rows = [
        ((anna,), ONE, True),
        ((replace(anna, state=NOTICE),), ONE, False),
        ((), ONE, False),
        ((listed("1", BLOCKED, "100.64.1.7"),), ONE, True),
        # the address is somebody else's, the login is not
        ((replace(anna, state=NOTICE), listed("2", BLOCKED, "100.64.1.7")), ONE, False),
        ((anna,), session(ipv4="100.64.0.53"), False),
    ]
    for number, (subscribers, one, verdict) in enumerate(rows):
        assert stays_blocked(view(*subscribers), one, NOW) is verdict, number


def test_an_address_that_is_anothers_by_now_blocks_nobody_else() -> None:
    assert not is_blocked(view(listed("1", BLOCKED, "100.64.1.7")), ONE, (), NOW)


def test_a_device_counts_with_an_address_that_is_served_alone() -> None:
    one = session(ipv4="10.0.0.1", mac="02:00:5e:10:00:01")
    blocked = view(listed("1", BLOCKED, devices=("02:00:5e:10:00:01",)))

    assert not is_blocked(blocked, one, prefixes_of(one), NOW)


def test_a_session_that_has_moved_is_found_where_it_is() -> None:
    places = Places()
    places.put(("nas", "1"), session(ipv4="100.64.1.7", mac="02:00:5e:10:00:01"))
    places.put(("nas", "1"), session(ipv4="100.64.1.8", mac="02:00:5e:10:00:02"))
    places.put(("nas", "2"), session(ipv4="100.64.1.8", delegated="2001:db8:2::/56"))

    assert list(places.within(parse_prefix("100.64.1.7"))) == []
    assert list(places.within(parse_prefix("100.64.0.0/16"))) == [("nas", "1"), ("nas", "2")]
    assert places.around(parse_prefix("2001:db8:2:7::1")) == {("nas", "2")}
    assert places.of_device(parse_mac("02:00:5e:10:00:01")) == set()
    places.remove(("nas", "1"))
    places.remove(("nas", "2"))
    assert list(places.within(parse_prefix("0.0.0.0/0"))) == []


def test_a_change_of_very_many_is_one_of_all() -> None:
    places, hosts = Places(), frozenset(range(MANY + 1))
    places.put(("nas", "1"), session())
    few = Plan(add={SetName.BLOCKED_HOSTS_4: frozenset(range(MANY))})

    assert places.concerned(few) == set()
    assert places.concerned(Plan(base=True)) is None
    assert places.concerned(Plan(remove={SetName.EXEMPT_4: frozenset({0})})) is None, "who is exempt stays open"
    assert places.concerned(replace(few, add={SetName.BLOCKED_HOSTS_4: hosts})) is None
