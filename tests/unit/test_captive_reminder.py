"""How a reminder keeps out of the way: no circles, no flood of ways, no page that nobody can open."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.answers import Aside, Kind, Response
from edged.captive.reminder import (
    AGAIN_MOST,
    LED_MOST,
    LED_WINDOW,
    WAYS_MOST,
    WAYS_WINDOW,
    Asides,
    Unopened,
    Way,
    same_url,
)
from edged.captive.respond import respond
from edged.model import Access
from edged.values import parse_address
from tests.captive_scene import BROWSER, NOW, PORTAL, decision, get

LINE, OTHER = parse_address("100.64.1.7"), parse_address("100.64.1.8")
SERVER = parse_address("198.51.100.7")


def test_the_packet_filter_hears_of_a_way_once_in_a_moment() -> None:
    asides = Asides()

    assert asides.meet(LINE, SERVER, 10.0) is Way.TO_FREE
    assert asides.meet(LINE, SERVER, 10.1) is Way.FREED
    assert asides.meet(OTHER, SERVER, 10.1) is Way.TO_FREE
    assert asides.meet(LINE, SERVER, 11.0) is Way.TO_FREE, "what was flushed meanwhile is freed again"


def test_whoever_comes_back_again_and_again_is_not_sent_round_in_circles() -> None:
    asides = Asides()

    met = [asides.meet(LINE, SERVER, 10.0 + n / 100) for n in range(AGAIN_MOST + 3)]

    assert met == [Way.TO_FREE, *[Way.FREED] * (AGAIN_MOST - 1), *[Way.REFUSED] * 3]


@pytest.mark.parametrize(
    ("sources", "most"),
    [
        (["100.64.1.7"], WAYS_MOST),
        (["2001:db8:100:700::7", "2001:db8:100:700::8"], WAYS_MOST),
        (["100.64.1.7", "100.64.1.8"], 2 * WAYS_MOST),
    ],
    ids=["an address", "two addresses of one /64", "two lines"],
)
def test_a_line_cannot_fill_the_kernel_with_ways(sources: list[str], most: int) -> None:
    asides = Asides()
    lines = [parse_address(text) for text in sources]

    def freed(now: float) -> int:
        ways = [(line, parse_address(f"198.18.{n >> 8}.{n & 255}")) for n in range(1000) for line in lines]
        return sum(asides.meet(line, server, now) is Way.TO_FREE for line, server in ways)

    assert freed(10.0) == most
    assert freed(20.0) == 0
    assert freed(10.0 + WAYS_WINDOW) == most


def test_after_five_page_loads_for_nothing_the_reminder_lets_them_through_for_an_hour() -> None:
    unopened = Unopened()

    assert [unopened.leads("1001", 10.0 + n) for n in range(LED_MOST + 2)] == [*[True] * LED_MOST, False, False]
    assert unopened.leads("1002", 10.0)
    assert unopened.leads("1001", 10.0 + LED_WINDOW)


def test_a_page_that_is_opened_starts_the_count_anew() -> None:
    unopened = Unopened()
    for n in range(LED_MOST):
        unopened.leads("1001", float(n))

    unopened.opened("1001")

    assert unopened.leads("1001", 10.0)


@pytest.mark.parametrize(
    ("method", "accept", "more", "kind"),
    [
        ("GET", BROWSER, {}, Kind.REDIRECT),
        ("GET", "application/xhtml+xml", {}, Kind.REDIRECT),
        ("POST", BROWSER, {}, Kind.SENT_ON),
        ("HEAD", BROWSER, {}, Kind.SENT_ON),
        ("GET", "*/*", {}, Kind.SENT_ON),
        ("GET", "", {}, Kind.SENT_ON),
        ("GET", "text/*", {}, Kind.SENT_ON),
        ("GET", BROWSER, {"requested_with": "XMLHttpRequest"}, Kind.SENT_ON),
        ("GET", BROWSER, {"upgrade": "websocket"}, Kind.SENT_ON),
    ],
)
def test_a_browser_loads_a_page_and_programs_do_not(method: str, accept: str, more: dict[str, Any], kind: Kind) -> None:
    request = get("news.example.com", method=method, accept=accept, destination=SERVER, **more)

    found = respond(request, PORTAL, decision(Access.NOTICE), NOW, lambda _: decision(Access.OPEN))

    answer = found.then if isinstance(found, Aside) else found
    assert isinstance(answer, Response)
    assert answer.kind is kind


@given(st.text(max_size=40), st.sampled_from(["news.example.com", "198.51.100.7", "2001:db8::7", ""]))
def test_a_url_that_is_said_again_is_the_very_one_and_leads_nowhere_else(rest: str, host: str) -> None:
    target = f"/{rest}"

    url = same_url(host, target)

    if url:
        assert url.isascii()
        assert url.isprintable()
        assert url.endswith(target)
        where = f"[{host}]" if ":" in host else host
        assert url == (f"http://{where}{target}" if host else target)
        assert not url.startswith("//")


def test_a_clock_that_was_set_back_refuses_nobody_the_way() -> None:
    asides, unopened = Asides(), Unopened()
    for _ in range(AGAIN_MOST + 1):
        asides.meet(LINE, SERVER, 10_000.0)
    for _ in range(LED_MOST + 1):
        unopened.leads("1001", 10_000.0)

    assert asides.meet(LINE, SERVER, 10.0) is Way.TO_FREE
    assert unopened.leads("1001", 10.0)
