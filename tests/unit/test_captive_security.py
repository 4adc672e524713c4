# SPDX-License-Identifier: Apache-2.0
"""The security checklist of a captive portal, row by row: what no answer of ours may ever do."""

from __future__ import annotations

import logging
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.answers import Aside, Button, Click, Close, Page, Press, Response, Topic
from edged.captive.names import canonical_host, is_public_name
from edged.captive.page.content import Desk
from edged.captive.page.locales import LOCALES
from edged.captive.respond import RETURN_WAIT, Portal, Request, pressed, respond
from edged.captive.service import CaptiveService
from edged.captive.settings import BrandSettings
from edged.captive.statement import Purpose, make_token, verify_token
from edged.model import Access, Account
from edged.policy.access import STRANGER, Decision
from edged.state.current import Current
from edged.values import parse_address
from tests import captive_scene
from tests.captive_scene import BROWSER, KEY, NOW, decision, get, pages, settings, subscriber, view

LOGIN = "https://customer.example.net/login"
PORTAL = Portal(
    "https://portal.example.net", "portal.example.net", KEY, frozenset({"203.0.113.10", "2001:db8::10"}),
    {"default": BrandSettings.model_validate({"link": LOGIN})},
)  # fmt: skip
MARK = "zqxjvkw"
LINK = make_token(KEY, Purpose.LINK, "1001", NOW + 3600)
TOKEN = make_token(KEY, Purpose.BUTTON, "1001", NOW + 3600)

marked = st.text(max_size=40).map(lambda text: MARK + text)
PAGES = pages()
paths = st.sampled_from(["/", "/pay", "/check", "/pass", f"/s/{LINK}", f"/s/{LINK}/pay", "/favicon.ico", "/s/x"])
methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE"])


def known(id_: str) -> Decision:
    return decision(Access.BLOCKED) if id_ == "1001" else decision(Access.OPEN)


def answered(request: Request, access: Access, **more: Any) -> Response | Close | Press:
    found = respond(request, PORTAL, decision(access, **more), NOW, known)
    if isinstance(found, Aside):
        return found.then
    return found.response if isinstance(found, Click) else found


def shown(page: Page) -> str:
    return PAGES.render(page, NOW, Desk(2, can_check=True)).body.decode()


# --- open redirect ----------------------------------------------------------------------------------


@given(path=paths, query=marked, method=methods, access=st.sampled_from(Access), link=marked, https=st.booleans())
def test_no_redirect_of_our_own_host_leads_where_the_request_says(
    *, path: str, query: str, method: str, access: Access, link: str, https: bool
) -> None:
    form = {"token": TOKEN, "link": f"//{link}.example.org/"}
    request = get(PORTAL.host, f"{path}?next=https://{query}", https=https, method=method, form=form)

    found = answered(request, access)

    if isinstance(found, Press):
        found = pressed(PORTAL, found, found.button.value, NOW)
    assert isinstance(found, Response)
    where = dict(found.headers).get("Location", PORTAL.url)
    assert MARK not in where
    assert urlsplit(where).hostname in {PORTAL.host, "customer.example.net"}


@given(host=st.text(max_size=60), target=st.text(max_size=60), access=st.sampled_from(Access), method=methods)
def test_a_redirect_under_a_foreign_name_leads_to_the_page_or_back_to_that_very_name(
    *, host: str, target: str, access: Access, method: str
) -> None:
    name = canonical_host(host)
    if name is None or name == PORTAL.host:
        return

    found = answered(get(name, "/" + target, method=method), access)

    if isinstance(found, Response) and "Location" in dict(found.headers):
        where = urlsplit(dict(found.headers)["Location"])
        assert (where.scheme, where.hostname) in {("https", PORTAL.host), ("http", name)}
        assert where.hostname == PORTAL.host or access is not Access.BLOCKED


# --- host injection and reflection --------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example.org", "portal.example.net.evil.example.org", "xportal.example.net", ""])
def test_another_host_on_our_tls_is_misdirected(host: str) -> None:
    found = answered(get(host, https=True), Access.BLOCKED)

    assert isinstance(found, Response)
    assert (found.status, found.body) == (421, b"")


@pytest.mark.parametrize(
    "field",
    ["a b", "a\r\nX: y", "a\x00", "a<b>", "user@a", "a/b", "a:b:c", "[::1", "a:123456", "a?b", "a#b", "ä.example"],
)
def test_a_host_of_other_characters_is_no_host(field: str) -> None:
    assert canonical_host(field) is None


# --- markup -------------------------------------------------------------------------------------------


@given(path=marked, query=marked, language=marked, method=methods, access=st.sampled_from(Access))
def test_no_word_of_the_request_is_on_our_page(
    *, path: str, query: str, language: str, method: str, access: Access
) -> None:
    request = get(
        PORTAL.host, f"/{path}?lang={query}&done={query}", https=True, method=method, accept_language=language
    )

    found = answered(request, access)

    assert isinstance(found, Response)
    assert MARK not in repr(found.headers)
    assert MARK not in (shown(found.body) if isinstance(found.body, Page) else found.body.decode())
    assert isinstance(found.body, Page) is (method in {"GET", "HEAD"})


# --- caches -------------------------------------------------------------------------------------------

STICKY = {
    "set-cookie", "strict-transport-security", "alt-svc", "clear-site-data", "service-worker-allowed", "etag",
    "public-key-pins", "last-modified", "expires", "refresh", "link", "report-to", "nel", "accept-ch",
}  # fmt: skip


@given(
    host=st.sampled_from(["news.example.com", "captive.apple.com", "203.0.113.10", PORTAL.host, "printer.local"]),
    target=st.sampled_from(["/", "/a?b=c", "/favicon.ico", "/generate_204", "/pay", "/s/x"]),
    method=methods,
    accept=st.sampled_from([BROWSER, "*/*", "", "image/*", "application/json"]),
    access=st.sampled_from(Access),
)
def test_nothing_over_http_is_kept_or_leaves_a_trace(
    *, host: str, target: str, method: str, accept: str, access: Access
) -> None:
    found = answered(get(host, target, method=method, accept=accept), access)

    if isinstance(found, Response):
        headers = {name.lower(): value for name, value in found.headers}
        assert headers["cache-control"] == "no-store"
        assert headers["connection"] == "close"
        assert not headers.keys() & STICKY
        assert found.status not in {300, 301, 308, 410}


@given(path=paths, method=methods, access=st.sampled_from(Access))
def test_nothing_of_our_own_host_is_kept_either(*, path: str, method: str, access: Access) -> None:
    found = answered(get(PORTAL.host, path, https=True, method=method), access)

    if isinstance(found, Response):
        assert "no-store" in dict(found.headers)["Cache-Control"]
        assert "Set-Cookie" not in dict(found.headers)


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("/favicon.ico", {"accept": "*/*"}),
        ("/apple-touch-icon.png", {"accept": "*/*"}),
        ("/a", {"accept": "image/avif,image/webp,*/*;q=0.8"}),
        ("/style.css", {"accept": "text/css,*/*;q=0.1"}),
        ("/font.woff2", {"accept": "*/*"}),
        ("/data", {"accept": "application/json"}),
        ("/data", {"accept": BROWSER, "requested_with": "XMLHttpRequest"}),
        ("/socket", {"accept": "*/*", "upgrade": "websocket"}),
        ("/pool/a.deb", {"accept": "*/*"}),
        ("/", {"accept": "application/json", "method": "POST"}),
        ("/dav", {"accept": "*/*", "method": "PROPFIND"}),
    ],
)
def test_what_is_no_page_load_gets_an_empty_511_and_never_html(target: str, more: dict[str, Any]) -> None:
    found = answered(get("news.example.com", target, **more), Access.BLOCKED)

    assert isinstance(found, Response)
    assert (found.status, found.body) == (511, b"")
    assert "Content-Type" not in dict(found.headers)


def test_a_person_whose_form_was_not_taken_reads_where_to_go() -> None:
    found = answered(get("news.example.com", method="POST"), Access.BLOCKED)

    assert isinstance(found, Response)
    assert isinstance(found.body, bytes)
    assert b"https://portal.example.net/" in found.body


# --- forged buttons -----------------------------------------------------------------------------------

BAD_TOKENS = {
    "none": "",
    "noise": "AAAA",
    "forged": ("A" if TOKEN[0] != "A" else "B") + TOKEN[1:],
    "expired": make_token(KEY, Purpose.BUTTON, "1001", NOW),
    "of a link": LINK,
    "of another key": make_token(bytes(32), Purpose.BUTTON, "1001", NOW + 60),
}


@pytest.mark.parametrize("button", ["/check", "/pass"])
@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_no_button_is_pressed_without_a_token_of_its_own(button: str, token: str) -> None:
    found = answered(get(PORTAL.host, button, https=True, method="POST", form={"token": token}), Access.BLOCKED)

    assert isinstance(found, Response)
    assert (found.status, dict(found.headers)["Location"]) == (303, "https://portal.example.net/")


@pytest.mark.parametrize("button", ["/check", "/pass"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_no_button_is_pressed_by_a_link_an_image_or_a_prefetch(button: str, method: str) -> None:
    request = get(PORTAL.host, f"{button}?token={TOKEN}", https=True, method=method, form={"token": TOKEN})

    found = answered(request, Access.BLOCKED)

    assert isinstance(found, Response)
    assert (found.status, dict(found.headers)["Allow"]) == (405, "POST")


@pytest.mark.parametrize("button", ["/check", "/pass"])
def test_no_button_is_pressed_over_http_or_under_another_name(button: str) -> None:
    for host, https in ((PORTAL.host, False), ("evil.example.org", True), ("evil.example.org", False)):
        request = get(host, button, https=https, method="POST", form={"token": TOKEN})
        assert not isinstance(answered(request, Access.BLOCKED), Press)


@pytest.mark.parametrize("visitor", [STRANGER, decision(Access.OPEN), decision(Access.BLOCKED, id_="1002")])
def test_a_token_used_from_another_line_is_about_its_own_subscriber_and_tells_that_line_nothing(
    visitor: Decision,
) -> None:
    request = get(PORTAL.host, "/check", https=True, method="POST", form={"token": TOKEN, "link": ""})

    found = respond(request, PORTAL, visitor, NOW, known)

    assert found == Press(Button.CHECK, "1001", "")
    back = pressed(PORTAL, Press(Button.CHECK, "1001", ""), "check", NOW)
    # the plain page: whoever looks at it sees what their own address is told
    assert dict(back.headers)["Location"] == "https://portal.example.net/?done=check"
    assert back.body == b""


def test_a_token_of_one_purpose_opens_no_other() -> None:
    assert verify_token(KEY, Purpose.LINK, TOKEN, NOW) is None
    assert verify_token(KEY, Purpose.BUTTON, LINK, NOW) is None


# --- what a page's headers say ------------------------------------------------------------------------


@pytest.mark.parametrize("topic", Topic)
def test_every_page_is_in_nobodys_frame_runs_nothing_and_tells_nobody_where_its_reader_came_from(topic: Topic) -> None:
    rendered = PAGES.render(Page(topic, decision(Access.BLOCKED), link="x"), NOW, Desk(1, can_check=True))

    headers = dict(rendered.headers)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "includesubdomains" not in headers["Strict-Transport-Security"].lower()


# --- account data -------------------------------------------------------------------------------------

SECRETS = {
    "name": "Zoltana Quixwick", "amount": "8917.23", "currency": "XQZ", "due": "1987-03-09", "invoice": "INV-77q31",
    "pay_url": "https://qqpay.example.com/7f3a",
}  # fmt: skip
ACCOUNT = Account(
    SECRETS["name"], SECRETS["amount"], SECRETS["currency"], SECRETS["due"], SECRETS["pay_url"], "", SECRETS["invoice"]
)
SHOWN = ("Zoltana", "Quixwick", "8917", "XQZ", "1987", "INV-77q31", "7f3a")


@pytest.mark.parametrize("topic", Topic)
@pytest.mark.parametrize("access", [Access.BLOCKED, Access.NOTICE, Access.PASS])
def test_an_address_alone_shows_no_name_sum_date_or_invoice(topic: Topic, access: Access) -> None:
    for reason, language in product(("unpaid", "new", "quota", "abuse", "disabled", "other"), ("en", "de", "ar")):
        found = decision(access, reason, account=ACCOUNT, until=NOW + 60)
        page = Page(topic, found, language=language, outcome="check", reference="T12-7K4M", at=NOW)

        text = shown(page)

        assert not [word for word in SHOWN if word in text], (reason, language)


def test_a_signed_link_shows_them_so_the_test_above_could_fail() -> None:
    text = shown(Page(Topic.BLOCKED, decision(Access.BLOCKED, account=ACCOUNT), link="x"))

    assert [word for word in SHOWN[:5] if word in text]


# --- drain --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "printer", "router.lan", "nas.local", "intranet.corp", "a.internal", "fritz.home", "x.test",
        "10.0.0.1", "127.0.0.1", "198.51.100.7", "::1", "fe80::1", "2001:db8::99", "127.0.0.0x1", "1.0x7f", "1.2.3",
        "x.0", "x.0x", "3.in-addr.arpa", "abc.onion", "a..b", "-a.example.net", "a_b.example.net", "",
    ],
)  # fmt: skip
def test_a_freed_line_is_never_sent_to_a_private_name_or_an_address(host: str) -> None:
    found = answered(get(host), Access.DRAIN)

    assert isinstance(found, Response)
    assert "Location" not in dict(found.headers)
    assert not is_public_name(host)


@pytest.mark.parametrize("host", [PORTAL.host, *sorted(PORTAL.addresses)])
def test_a_freed_line_that_comes_to_us_gets_our_page_and_not_itself_again(host: str) -> None:
    found = answered(get(host, "/a"), Access.DRAIN)

    assert isinstance(found, Response)
    assert dict(found.headers)["Location"] == "https://portal.example.net/"


def test_a_freed_browser_that_follows_us_outlasts_its_cache_before_it_gives_up() -> None:
    found = answered(get("news.example.com", "/a?b=c"), Access.DRAIN)

    assert isinstance(found, Response)
    assert (found.status, dict(found.headers)["Location"]) == (302, "http://news.example.com/a?b=c")
    # browsers follow twenty redirects, and keep a name for up to sixty seconds
    assert found.wait == RETURN_WAIT
    assert 20 * RETURN_WAIT > 60


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_a_freed_line_sends_is_not_sent_on_since_its_body_would_be_lost(method: str) -> None:
    found = answered(get("news.example.com", method=method), Access.DRAIN)

    assert isinstance(found, Response)
    assert (found.status, dict(found.headers)["Retry-After"]) == (503, "60")


# --- faults and privacy -------------------------------------------------------------------------------


def service(current: Current) -> CaptiveService:
    return CaptiveService(settings(), current=current, link_key=KEY, clock=lambda: NOW)


def house() -> CaptiveService:
    current = Current()
    current.publish(view(subscriber()))
    return service(current)


class Broken(Current):
    """A bug of ours, that quotes what it was asked."""

    @property
    def view(self) -> Any:
        raise RuntimeError(MARK)

    @view.setter
    def view(self, _view: Any) -> None:
        pass


HERE = parse_address("127.0.0.1")


async def test_a_bug_of_ours_is_a_polite_page_on_our_own_host_and_an_empty_500_elsewhere() -> None:
    broken = service(Broken())

    own = await broken._answer(get(PORTAL.host, f"/{MARK}", https=True), HERE)
    foreign = await broken._answer(get("news.example.com", f"/{MARK}"), HERE)

    assert isinstance(own, tuple)
    assert isinstance(foreign, tuple)
    assert (own[0].status, foreign[0].status, foreign[1]) == (500, 500, b"")
    assert LOCALES["en"].texts["fault.title"].encode() in own[1]
    assert "no-store" in dict(own[0].headers)["Cache-Control"]
    assert MARK not in own[1].decode()
    assert broken.counters.faults == 2
    assert broken.counters.pages[Topic.FAULT] == 1


async def test_a_page_that_cannot_be_made_even_to_say_so_is_an_empty_500(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError(MARK)

    running = house()
    monkeypatch.setattr(running._pages, "render", fail)

    answer = await running._answer(get(PORTAL.host, https=True), HERE)

    assert isinstance(answer, tuple)
    assert (answer[0].status, answer[1]) == (500, b"")
    assert running.counters.faults == 1


@pytest.mark.parametrize("broken", [False, True], ids=["well", "with a bug"])
async def test_nothing_of_a_request_is_logged(
    *, broken: bool, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    running = service(Broken()) if broken else house()
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        for host in (PORTAL.host, f"{MARK}.example.com"):
            for path in ("/", f"/{MARK}", f"/s/{MARK}", f"/pay?{MARK}", "/check", f"/favicon.ico?{MARK}"):
                for method in ("GET", "POST", "OPTIONS"):
                    request = Request(
                        https=host == PORTAL.host, method=method, host=host, target=path, accept=MARK,
                        accept_language=MARK, requested_with=MARK, upgrade=MARK, purpose=MARK, fetch_dest=MARK,
                        fetch_site=MARK, form={"token": MARK, "link": MARK},
                    )  # fmt: skip
                    await running._answer(request, HERE)

    out, err = capsys.readouterr()
    assert bool(logs) is broken
    assert MARK not in repr(logs) + caplog.text + out + err


def test_the_scene_of_the_tests_is_the_portals_own() -> None:
    assert (captive_scene.PORTAL.url, captive_scene.PORTAL.host) == (PORTAL.url, PORTAL.host)
