"""A blocked subscriber's own browser: real Chromium in the subscriber's namespace."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.e2e import lab as places
from tests.e2e.chromium import launched, wrapper
from tests.e2e.edge import BLOCKED, GARDEN_HOST, PORTAL_HOST, Edge

_why = places.available() or ("" if shutil.which("chromium") else "needs Debian's chromium")
pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.skipif(bool(_why), reason=_why or "ready")]

PAY = "a[href='/pay']"
ARTIFACTS = Path(__file__).parent / "artifacts"


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with Edge(prefix=f"edged-b{os.getpid()}") as built:
        built.wait_for("the block is in force", lambda: built.access("100.64.1.7") == "blocked")
        yield built


@pytest.fixture
def page(edge: Edge, tmp_path: Path) -> Iterator[Page]:
    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--ignore-certificate-errors-spki-list={','.join(edge.pins)}",
    ]  # fmt: skip
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=wrapper(edge.lab, tmp_path), args=flags)
        context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
        yield context.new_page()
        browser.close()


def test_http_leads_a_browser_to_the_providers_own_page(page: Page) -> None:
    page.goto("http://example.com/", timeout=15_000)

    assert page.url == f"https://{PORTAL_HOST}/"
    assert page.locator("h1").count() == 1
    assert "North Fibre" in page.inner_text("body")
    assert page.locator(PAY).count() == 1
    ARTIFACTS.mkdir(exist_ok=True)
    picture = ARTIFACTS / "pay-page.png"
    page.screenshot(path=str(picture))
    assert picture.stat().st_size > 5_000


def test_the_pay_button_leads_to_the_customer_portal_in_the_garden(page: Page) -> None:
    page.goto("http://example.com/", timeout=15_000)
    page.locator(PAY).click()

    page.wait_for_url(f"https://{GARDEN_HOST}/**", timeout=15_000)
    assert "the customer portal" in page.inner_text("body")


def test_https_fails_fast_in_a_browser(page: Page) -> None:
    begun = time.monotonic()
    with pytest.raises(Error, match="ERR_"):
        page.goto("https://www.example.org/", timeout=15_000)

    assert time.monotonic() - begun < 5.0


def test_https_makes_it_look_for_the_portal_and_open_the_page_in_a_tab(edge: Edge, tmp_path: Path) -> None:
    pins = f"--ignore-certificate-errors-spki-list={','.join(edge.pins)}"
    with sync_playwright() as driver, launched(driver, edge.lab, tmp_path, pins) as context:
        with (
            context.expect_page(timeout=10_000) as opened,
            pytest.raises(Error, match="ERR_SSL_PROTOCOL_ERROR"),
        ):
            context.pages[0].goto("https://www.example.org/", timeout=15_000)

        opened.value.wait_for_url(f"https://{PORTAL_HOST}/", timeout=10_000)
        assert "North Fibre" in opened.value.inner_text("body")


def test_after_the_payment_the_same_browser_reaches_the_internet(page: Page, edge: Edge) -> None:
    page.goto("http://example.com/", timeout=15_000)
    assert PORTAL_HOST in page.url

    edge.tell({**BLOCKED, "state": "active"})
    edge.wait_for("the line is open", lambda: edge.access("100.64.1.7") == "drain")
    try:
        # Chromium keeps a name for 60 s: a name that it has not asked for yet is resolved anew at once
        page.goto("http://www.example.org/", timeout=15_000)
        assert "the internet" in page.inner_text("body")
    finally:
        edge.tell(BLOCKED)
        edge.wait_for("the block is in force", lambda: edge.access("100.64.1.7") == "blocked")


def test_a_pass_taken_on_the_page_opens_the_line(page: Page, edge: Edge) -> None:
    page.goto("http://example.com/", timeout=15_000)
    page.locator("form[action='/pass'] button").click()

    edge.wait_for("the pass runs", lambda: edge.access("100.64.1.7") == "pass", timeout=5.0)
    page.screenshot(path=str(ARTIFACTS / "pass.png"))
    edge.wait_for(
        "the internet answers",
        lambda: "the internet" in edge.curl("bad", "http://example.com/", "-4").stdout,
        timeout=5.0,
    )


def test_a_reminder_is_met_over_http_alone_and_put_away_with_one_tap(page: Page, edge: Edge) -> None:
    edge.tell({**BLOCKED, "state": "notice"})
    edge.wait_for("the reminder is due", lambda: edge.access("100.64.1.7") == "notice")
    try:
        page.goto("https://www.example.org/", timeout=15_000)
        assert "the internet" in page.inner_text("body")

        page.goto("http://www.example.org/", timeout=15_000)
        assert page.url == f"https://{PORTAL_HOST}/"
        assert "A reminder, your internet works" in page.inner_text("body")
        page.screenshot(path=str(ARTIFACTS / "reminder.png"))

        page.locator("form[action='/seen'] button").click()
        page.wait_for_url("**/?done=seen", timeout=15_000)
        page.goto("http://www.example.org/", timeout=15_000)
        assert "the internet" in page.inner_text("body")
    finally:
        edge.tell(BLOCKED)
        # the pass of the test before still runs
        edge.wait_for("the reminder is gone", lambda: edge.access("100.64.1.7") in {"blocked", "pass"})
