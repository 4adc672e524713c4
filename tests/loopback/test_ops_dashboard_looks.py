# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser: axe-core, no sideways scroll, one screen, live without and with its script."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from edged.ops.dashboard.lists import LISTS, cell
from edged.ops.dashboard.mask import BARE
from edged.ops.dashboard.pages import Query
from tests.dashboard_scene import documents, known, page, scenes

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
JUDGE = """async options => (await axe.run(document, options)).violations.map(
  v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join('; '))"""
SHOW = "html => { document.open(); document.write(html); document.close() }"
WIDTH = "() => document.documentElement.scrollWidth"
Scheme = Literal["light", "dark"]


def long_list() -> bytes:
    """A list with everything that is wide."""
    listing = LISTS["blocked"]
    row = ("20417", "unpaid", 1.7e9, 0.0, "billing", "100.64.7.9 2001:db8:100:700::/56 02:00:5e:10:00:09")
    heads = [{"name": c.name, "kind": c.kind, "filter": c.name == "reason"} for c in listing.columns]
    shown = [(h, cell(v, c.kind, BARE, masked=False)) for h, c, v in zip(heads, listing.columns, row, strict=True)]
    facts: dict[str, Any] = {
        "name": "blocked", "title": listing.title, "nothing": "", "note": "A note.", "site": "tower-12",
        "at": "2026-11-25 17:21 UTC", "columns": listing.columns, "rows": [shown] * 30, "wanted": {"reason": "unpaid"},
        "total": "250", "first": "101", "last": "200", "more": True,
    }  # fmt: skip
    return documents().render("list.html", facts, Query(page=2))


DOCUMENTS = {**scenes(), "list": long_list()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Tab:
    opened = browser.new_page()
    opened.goto("about:blank")
    opened.evaluate(AXE)
    return opened


def sized(tab: Tab, width: int, height: int, scheme: Scheme = "light") -> None:
    tab.set_viewport_size({"width": width, "height": height})
    tab.emulate_media(color_scheme=scheme)


def test_axe_finds_nothing(tab: Tab) -> None:
    """All rules once; those that depend on the width on a phone, and that on the colours in the dark."""
    everything = {"type": "tag", "values": RULES}
    views: list[tuple[int, int, Scheme, dict[str, Any]]] = [
        (1280, 800, "light", everything),
        (360, 780, "light", {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}),
        (1280, 800, "dark", {"type": "rule", "values": ["color-contrast"]}),
    ]
    found: dict[str, list[str]] = {}
    for name, body in DOCUMENTS.items():
        tab.evaluate(SHOW, body.decode())
        for width, height, scheme, chosen in views:
            sized(tab, width, height, scheme)
            options = {"runOnly": chosen, "resultTypes": ["violations"], "preload": False, "iframes": False}
            found |= {f"{name} {width} {scheme}": v for v in [tab.evaluate(JUDGE, options)] if v}

    assert found == {}


def test_nothing_scrolls_sideways_from_a_phone_to_a_wall(tab: Tab) -> None:
    for name, body in DOCUMENTS.items():
        tab.evaluate(SHOW, body.decode())
        for width in (320, 360, 700, 1280, 1920):
            sized(tab, width, 800)
            assert tab.evaluate(WIDTH) == width, (name, width)


BOTTOM = "() => Math.max(...[...document.querySelectorAll('main > *')].map(e => e.getBoundingClientRect().bottom))"


def test_a_healthy_edge_and_the_wall_fit_one_screen(tab: Tab) -> None:
    sized(tab, 1280, 800)
    tab.evaluate(SHOW, DOCUMENTS["well"].decode())
    assert tab.evaluate(BOTTOM) <= 800
    tab.evaluate(SHOW, DOCUMENTS["wall"].decode())
    assert tab.evaluate(BOTTOM) <= 800


ORDER = """() => ['verdict', 'alarms', 'ask', 'numbers', 'day', 'sparks', 'parts', 'changes', 'wifi'].map(id =>
  [...document.querySelectorAll('header,section,search')].indexOf(
    document.getElementById(id).closest('header,section,search')))"""
TOPS = """() => ['alarms', 'numbers', 'day', 'parts', 'changes', 'wifi'].map(
  id => document.getElementById(id).offsetTop)"""


def test_the_order_of_reading_is_the_order_of_importance(tab: Tab) -> None:
    tab.evaluate(SHOW, DOCUMENTS["trouble"].decode())
    order = tab.evaluate(ORDER)

    assert order == sorted(order)
    sized(tab, 360, 780)
    tops = tab.evaluate(TOPS)
    assert tops == sorted(tops)


class Served:
    """A server that answers with whatever ``body`` is now, under the dashboard's own policy."""

    def __init__(self) -> None:
        self.body = page(known([]))
        self.asked: list[str] = []
        self.away = False
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.asked.append(self.path)
                self.send_response(500 if served.away else 200)
                for name, value in documents().headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(served.body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_with_its_script_the_page_follows_in_place_and_asks_nobody_else(browser: Browser, served: Served) -> None:
    tab = browser.new_page()
    wrong: list[str] = []
    tab.on("console", lambda said: wrong.append(said.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.clock.install()
    tab.goto(served.url + "?ask=20417")
    tab.fill("#ask", "typed by hand")

    served.body = page(known())
    tab.clock.run_for(5100)
    tab.locator("h1", has_text="billing is HELD").wait_for()
    assert tab.input_value("#ask") == "typed by hand"
    assert tab.title() == "tower-12: billing is HELD; the last good list is in force"
    assert served.asked[1:] == ["/"], "the look-up is not asked again"

    tab.get_by_role("button", name="Pause").click()
    served.body = page(known([]))
    tab.clock.run_for(30_000)
    assert "billing is HELD" in tab.inner_text("h1")
    tab.get_by_role("button", name="Go on").click()
    tab.locator("h1", has_text="all well").wait_for()

    assert all(url.startswith((served.url, "data:")) for url in asked), asked
    assert wrong == [], "the policy refuses something of our own"
    tab.close()


def test_a_page_whose_edge_does_not_answer_says_that_it_is_old(browser: Browser, served: Served) -> None:
    tab = browser.new_page()
    tab.clock.install()
    tab.goto(served.url)
    served.away = True
    tab.clock.run_for(5100)
    tab.locator("#state", has_text="what stands here is old").wait_for()
    tab.close()


def test_without_a_script_everything_is_there_and_a_link_looks_again(browser: Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(served.url)
    served.body = page(known())
    tab.get_by_role("link", name="look again").click()

    assert "billing is HELD" in tab.inner_text("h1")
    assert tab.locator("#day svg.wide").is_visible()
    context.close()
