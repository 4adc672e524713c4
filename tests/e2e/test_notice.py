"""A line in notice, from billing to packets: the reminder meets page loads over HTTP alone, and harms nothing else."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from edged.captive.reminder import MOMENT
from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED, GARDEN_HOST, PORTAL_HOST, Edge
from tests.e2e.lab import BAD4, BAD6, RESOLVER4, WEB4, WEB6

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

FAMILIES = pytest.mark.parametrize("family", ["-4", "-6"])
NOTICE: dict[str, Any] = {**BLOCKED, "state": "notice"}
PAGE_LOAD = ("-H", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
SOURCE = {"-4": BAD4, "-6": BAD6}
SHORT = "{snooze: 3s, every: 1h}"


@pytest.fixture(scope="module")
def whole() -> Iterator[Edge]:
    with Edge(prefix=f"edged-r{os.getpid()}", notice=SHORT) as built:
        yield built


@pytest.fixture
def edge(whole: Edge) -> Edge:
    """The edge with a reminder due on the bad subscriber's line, in the kernel, and no way put aside."""
    if whole.daemon is None:
        whole.start()
    whole.tell(NOTICE)
    whole.wait_for("billing reminds", lambda: whole.access(BAD4) == "notice", timeout=10.0)
    _wipe(whole)
    whole.wait_for("the reminder is due", lambda: _reminded(whole, "-4") and _reminded(whole, "-6"), timeout=10.0)
    return whole


def _wipe(edge: Edge) -> None:
    """No snooze, no way aside and no page load that nobody read is left of the test before."""
    if edge.facts("explain", BAD4)["until"]:
        edge.stop()
        for path in (edge.directory / "state").glob("edged.sqlite*"):
            path.unlink()
        edge.start()
    sets = [("set", "inet", "edged", name) for name in ("aside4", "aside6")]
    were_aside = any("elements" in edge.lab.run("router", "nft", "list", *name).stdout for name in sets)
    for name in sets:
        edge.lab.run("router", "nft", "flush", *name)
    if were_aside:
        time.sleep(MOMENT)  # so long edged takes the way for free, whatever was done behind its back
    edge.curl("bad", f"https://{PORTAL_HOST}/")


def _headers(edge: Edge, family: str, url: str = "http://example.com/", *flags: str) -> str:
    return edge.curl("bad", url, family, "-o", "/dev/null", "-D", "-", *flags).stdout


def _reminded(edge: Edge, family: str) -> bool:
    led = f"Location: https://{PORTAL_HOST}/" in _headers(edge, family, "http://example.com/", *PAGE_LOAD)
    return led and "A reminder" in edge.curl("bad", f"https://{PORTAL_HOST}/", family).stdout


def _reaches(edge: Edge, family: str, timeout: float = 2.0) -> bool:
    return "the internet" in edge.curl("bad", "http://example.com/", family, *PAGE_LOAD, timeout=timeout).stdout


def _tap(edge: Edge, button: str) -> str:
    """Press a button of the page as its form would; the answer after the redirect."""
    page = edge.curl("bad", "http://example.com/", "-4", "-L", *PAGE_LOAD).stdout
    form = re.search(rf'action="/{button}"><input type="hidden" name="token" value="([^"]+)"', page)
    assert form is not None, page
    return edge.curl(
        "bad", f"https://{PORTAL_HOST}/{button}", "-4", "-L", "--data", f"token={form[1]}&link=", "-D", "-"
    ).stdout


@FAMILIES
def test_a_page_load_over_http_meets_the_reminder(edge: Edge, family: str) -> None:
    headers = _headers(edge, family, "http://example.com/some/page", *PAGE_LOAD)
    assert headers.startswith("HTTP/1.1 302")
    assert "Cache-Control: no-store" in headers

    page = edge.curl("bad", "http://example.com/", family, "-L", *PAGE_LOAD).stdout

    assert "A reminder, your internet works" in page
    assert 'action="/seen"' in page
    assert 'action="/later"' in page
    assert "Paused" not in page


@FAMILIES
def test_https_and_dns_are_as_on_an_open_line(edge: Edge, family: str) -> None:
    for name in ("example.com", "www.example.org", "connectivitycheck.gstatic.com", "nothing.example"):
        for kind in ("A", "AAAA"):
            assert edge.dig("bad", name, kind) == edge.dig("good", name, kind)
    assert "the internet" in edge.curl("bad", "https://example.com/", family, *PAGE_LOAD).stdout
    assert edge.dig("bad", "example.com", "A", RESOLVER4, "+tcp") == [WEB4]


@FAMILIES
def test_a_connectivity_check_says_online_and_the_api_too(edge: Edge, family: str) -> None:
    assert _headers(edge, family, "http://connectivitycheck.gstatic.com/generate_204").startswith("HTTP/1.1 204")
    web = WEB4 if family == "-4" else f"[{WEB6}]"
    answer = edge.curl(
        "bad", "http://captive.apple.com/hotspot-detect.html", family, "--resolve", f"captive.apple.com:80:{web}"
    )
    assert "<BODY>Success</BODY>" in answer.stdout
    api = edge.curl("bad", f"https://{PORTAL_HOST}/.well-known/captive-portal", family)
    assert '"captive": false' in api.stdout


@FAMILIES
def test_a_download_and_a_form_pass_with_one_detour_and_without_any_from_then_on(edge: Edge, family: str) -> None:
    count = ("-o", "/dev/null", "-w", "%{num_redirects} %{http_code}")
    url = "http://example.com/dists/InRelease"
    assert edge.curl("bad", url, family, "-L", "-H", "Accept: text/*", *count).stdout == "1 200"
    assert edge.curl("bad", url, family, "-H", "Accept: text/*", *count).stdout == "0 200"
    assert edge.curl("bad", url, family, "--data", "a=b", *count).stdout == "0 200"

    assert _reminded(edge, "-6" if family == "-4" else "-4"), "of all other destinations the reminder keeps"


@FAMILIES
def test_a_form_that_sets_out_while_the_reminder_is_due_arrives_as_a_form(edge: Edge, family: str) -> None:
    headers = _headers(edge, family, "http://example.com/form?x=1", "--data", "a=b")
    assert headers.startswith("HTTP/1.1 307")
    assert "Location: http://example.com/form?x=1" in headers

    assert "the internet" in edge.curl("bad", "http://example.com/form?x=1", family, "--data", "a=b", "-L").stdout


def test_what_speaks_no_http_on_port_80_fails_once_and_then_goes_its_way(edge: Edge) -> None:
    def server(words: bytes) -> str:
        with edge.lab.socket("bad", "tcp", WEB4, 80) as client:
            client.send(words)
            answer = client.recv(4096).decode()
        return "edged" if "Server: edged" in answer else answer

    words = b"\x00\x01 not a line of HTTP\r\n\r\n"
    assert server(words) == "edged"
    edge.wait_for("the way is free", lambda: "Bad request" in server(words))


def test_many_requests_of_one_device_at_once_all_arrive(edge: Edge) -> None:
    done = edge.lab.run(
        "bad", "curl", "-sS", "-4", "-L", "-m", "10", "-Z", "--parallel-immediate", "--parallel-max", "6",
        "-o", "/dev/null", "-w", "%{http_code}\n", "http://example.com/a[1-6].bin", timeout=20,
    )  # fmt: skip
    assert done.stdout.split() == ["200"] * 6


def test_the_garden_and_our_own_page_go_their_way(edge: Edge) -> None:
    edge.wait_for(
        "the garden is resolved ahead",
        lambda: "the customer portal" in edge.curl("bad", f"http://{GARDEN_HOST}/", "-4", *PAGE_LOAD).stdout,
    )
    assert "Location: https" in _headers(edge, "-4", f"http://{PORTAL_HOST}/", *PAGE_LOAD)


def test_one_tap_puts_the_reminder_away_at_once_and_says_so(edge: Edge) -> None:
    answer = _tap(edge, "seen")

    assert _reaches(edge, "-4")
    assert _reaches(edge, "-6")
    assert "HTTP/1.1 303" in answer
    assert f"Location: https://{PORTAL_HOST}/?done=seen" in answer
    assert "Thank you. Your internet works: you can open the page that you wanted." in answer
    assert 'action="/seen"' not in answer
    assert "reminder snoozed until" in edge.command("explain", BAD4).stdout


def test_remind_me_later_brings_the_reminder_back_by_itself(edge: Edge) -> None:
    begun = time.monotonic()
    assert "We will remind you later." in _tap(edge, "later")
    assert _reaches(edge, "-4")

    edge.wait_for("the reminder is back", lambda: _reminded(edge, "-4"), timeout=8.0)
    assert time.monotonic() - begun > 2.5
    assert _reminded(edge, "-6")


def test_a_restart_does_not_remind_again(edge: Edge) -> None:
    _tap(edge, "seen")
    edge.kill()
    edge.start()

    edge.wait_for("the list is in force", lambda: edge.access(BAD4) == "notice")
    assert _reaches(edge, "-4")
    assert _reaches(edge, "-6")
    notice = edge.lab.run("router", "nft", "list", "set", "inet", "edged", "notice4h").stdout
    assert BAD4 not in notice


def test_an_orderly_stop_lets_the_web_of_a_reminded_line_go_at_once(edge: Edge) -> None:
    edge.stop()

    assert _reaches(edge, "-4")
    assert _reaches(edge, "-6")


def test_kill_9_lets_the_web_of_a_reminded_line_go_by_itself_within_twenty_seconds(edge: Edge) -> None:
    edge.kill()

    edge.wait_for("HTTP goes its way", lambda: _reaches(edge, "-4", 0.5) and _reaches(edge, "-6", 0.5), timeout=20.0)

    assert BAD4 in edge.lab.run("router", "nft", "list", "set", "inet", "edged", "notice4h").stdout
    edge.start()
    edge.wait_for("the reminder is due again", lambda: _reminded(edge, "-4"), timeout=10.0)


def test_a_page_that_cannot_be_opened_stands_in_nobodys_way(edge: Edge) -> None:
    def leads() -> bool:
        return "HTTP/1.1 302" in _headers(edge, "-4", "http://example.com/", *PAGE_LOAD)

    edge.wait_for("page loads go their way", lambda: not leads())

    assert _reaches(edge, "-4")


def test_a_payment_ends_the_reminder(edge: Edge) -> None:
    edge.tell()

    for family in ("-4", "-6"):
        edge.wait_for("the line is open", partial(_reaches, edge, family, 0.5), timeout=5.0)


def test_a_line_by_mac_alone_is_reminded(edge: Edge) -> None:
    edge.tell({**NOTICE, "addresses": [], "devices": [places.BAD_MAC]})

    def devices() -> str:
        return edge.lab.run("router", "nft", "list", "set", "inet", "edged", "noticem").stdout

    edge.wait_for("the device is in the set", lambda: places.BAD_MAC in devices(), timeout=15.0)
    edge.wait_for("the reminder", lambda: _reminded(edge, "-4") and _reminded(edge, "-6"), timeout=5.0)
    assert "the internet" in edge.curl("good", "http://example.com/", "-4", *PAGE_LOAD).stdout


def test_with_sign_in_a_due_reminder_opens_the_sign_in_sheet_until_the_tap(edge: Edge) -> None:
    check = "http://connectivitycheck.gstatic.com/generate_204"
    edge.notice = "{every: 1h, sign_in: true}"
    edge.configure()
    try:
        assert edge.command("reload").returncode == 0
        assert f"Location: https://{PORTAL_HOST}/" in _headers(edge, "-4", check)
        _tap(edge, "seen")
        assert " 204 " in _headers(edge, "-4", check).splitlines()[0]
    finally:
        edge.notice = SHORT
        edge.configure()
        edge.command("reload")


def test_nothing_that_a_reminded_subscriber_looked_for_is_logged(edge: Edge) -> None:
    edge.curl("bad", "http://example.com/private/path", "-4", "-L")
    edge.curl("bad", "http://example.com/private/page", "-4", "-L", *PAGE_LOAD)

    log = edge.log.read_text()
    assert "example.com" not in log
    assert "private" not in log
    assert WEB4 not in log
