"""A blocked subscriber's own browser: real Firefox in the subscriber's namespace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED, GARDEN_HOST, PORTAL_HOST, Edge
from tests.e2e.lab import BAD4, until
from tests.e2e.marionette import Firefox, Portal

_why = places.available() or ("" if shutil.which("firefox-esr") else "needs Debian's firefox-esr")
pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.skipif(bool(_why), reason=_why or "ready")]

ARTIFACTS = Path(__file__).parent / "artifacts"
# what Firefox asks the network before it turns DNS over HTTPS on
HEURISTICS = """const { Heuristics } = ChromeUtils.importESModule(
  "moz-src:///toolkit/components/doh/DoHHeuristics.sys.mjs"); return Heuristics.run()"""


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with Edge(prefix=f"edged-f{os.getpid()}") as built:
        built.wait_for("the block is in force", lambda: built.access(BAD4) == "blocked")
        yield built


def block(edge: Edge) -> None:
    edge.tell(BLOCKED)
    edge.wait_for("the block is in force", lambda: edge.access(BAD4) == "blocked")


def pay(edge: Edge) -> None:
    edge.tell({**BLOCKED, "state": "active"})
    edge.wait_for("the line is open", lambda: edge.access(BAD4) != "blocked")


def press(firefox: Firefox) -> bool:
    """Press the bar's button, which does nothing in the moment that it appears; True once the page is there."""
    firefox.press_bar()
    return firefox.look_at(f"https://{PORTAL_HOST}/")


@pytest.fixture
def firefox(edge: Edge, tmp_path: Path) -> Iterator[Firefox]:
    """Online, as it is before its line is blocked. It keeps a name for 60 s; here for 5, which saves a minute."""
    pay(edge)
    with Firefox(edge.lab, "bad", tmp_path / "firefox", **{"network.dnsCacheExpiration": 5}) as started:
        started.trust(edge.ca)
        until("it knows that it is online", lambda: started.portal() is Portal.NOT_CAPTIVE, timeout=20.0)
        yield started


def test_from_a_page_over_https_to_the_payment_and_back_online(firefox: Firefox, edge: Edge) -> None:
    block(edge)

    assert firefox.go("https://www.example.org/").startswith("SSL_ERROR_")
    until("the line is a portal", lambda: firefox.portal() is Portal.LOCKED, timeout=15.0)
    until("the bar invites to sign in", firefox.bar, timeout=15.0)
    until("the page is there", lambda: press(firefox), timeout=15.0)
    assert "North Fibre" in firefox.text()
    picture = ARTIFACTS / "firefox-pay-page.png"
    firefox.screenshot(picture)
    assert picture.stat().st_size > 5_000

    firefox.content("document.querySelector(\"a[href='/pay']\").click(); return true")
    until("the customer portal is there", lambda: firefox.content("return location.host") == GARDEN_HOST, timeout=15.0)
    until("it reads", lambda: "the customer portal" in firefox.text(), timeout=15.0)

    pay(edge)
    until("the portal is unlocked", lambda: firefox.portal() is Portal.UNLOCKED, timeout=30.0)
    until("the bar is gone", lambda: not firefox.bar(), timeout=15.0)


def test_dns_over_https_stays_off_while_blocked_and_may_be_on_when_freed(firefox: Firefox, edge: Edge) -> None:
    until("the canary resolves", lambda: firefox.chrome(HEURISTICS)["canary"] == "enable_doh", timeout=15.0)

    block(edge)
    until("the canary does not", lambda: firefox.chrome(HEURISTICS)["canary"] == "disable_doh", timeout=15.0)
