# SPDX-License-Identifier: Apache-2.0
"""Where the pay button leads: billing's link, the brand's, and never anywhere else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.answers import Click, Response
from edged.captive.destination import button_href, destination, is_web, leads_on
from edged.captive.respond import Portal, respond
from edged.captive.settings import BrandSettings
from edged.captive.statement import Purpose, make_token
from edged.model import Access, Account
from edged.policy.access import Decision
from tests.captive_scene import KEY, NOW, PORTAL, decision, get

LOGIN, PAY = "https://customer.example.net/login", "https://customer.example.net/pay/7f3a"
BRAND = BrandSettings.model_validate(
    {"link": LOGIN, "reasons": {"abuse": {"link": "https://help.example.net/"}, "notice": {"link": "tel:+15550100"}}}
)
HOSTILE = [
    "javascript:alert(1)", "data:text/html,x", "//evil.example.org", "ftp://x/", "https://[", "https:///x", "http:x",
    "https://a.example\r\nSet-Cookie: x=1", "https://a.example/\x00", "https://a.example/ b", "https://user@a.example/",
    "https://a.example\\@evil.example.org/", 'https://a.example/"onclick=x', "https://a.example/<script>", "vbscript:x",
    "https://ex\u00e4mple.net/", "https://a.example:0/", "https://a.example:99999/", " https://a.example/", "\thttps://a/",
    "https://a.example/" + "x" * 3000,
]  # fmt: skip


@pytest.mark.parametrize(
    ("access", "reason", "account", "where"),
    [
        (Access.BLOCKED, "unpaid", Account(pay_url=PAY), PAY),
        (Access.BLOCKED, "unpaid", Account(), LOGIN),
        (Access.BLOCKED, "abuse", Account(pay_url=PAY), "https://help.example.net/"),
        (Access.BLOCKED, "disabled", Account(pay_url=PAY), PAY),
        (Access.NOTICE, "unpaid", Account(pay_url=PAY), PAY),
        (Access.NOTICE, "unpaid", Account(), "tel:+15550100"),
        (Access.PASS, "unpaid", Account(pay_url=PAY), PAY),
        (Access.PASS, "unpaid", Account(), LOGIN),
        (Access.OPEN, "", Account(), ""),
        (Access.DRAIN, "", Account(), ""),
        (Access.STRANGER, "", Account(), ""),
    ],
)
def test_the_subscribers_own_link_wins_save_where_paying_does_not_help(
    access: Access, reason: str, account: Account, where: str
) -> None:
    assert destination(BRAND, decision(access, reason, account=account)) == where


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_pay_link_is_no_link(url: str) -> None:
    assert not is_web(url)
    assert destination(BRAND, decision(Access.BLOCKED, account=Account(pay_url=url))) == LOGIN


@given(st.text(max_size=80) | st.text(max_size=60).map("https://".__add__))
def test_whatever_is_taken_for_a_link_is_one_line_of_ascii_with_a_host(text: str) -> None:
    if is_web(text):
        assert text.isascii()
        assert text.isprintable()
        assert text.lower().startswith(("https://", "http://"))
        assert not set(text) & set(" \"'<>\\^`{|}") - {"'"}


def test_a_telephone_number_stands_on_the_page_itself_and_everything_else_behind_our_own_path() -> None:
    assert button_href(PAY, "") == "/pay"
    assert button_href(PAY, "tok-en_9") == "/s/tok-en_9/pay"
    assert button_href("tel:+15550100", "tok") == "tel:+15550100"
    assert button_href("", "tok") == ""


def test_a_link_to_our_own_host_leads_nowhere() -> None:
    assert leads_on(PAY, PORTAL.host)
    assert not leads_on("https://portal.example.net/pay", PORTAL.host)
    assert not leads_on("HTTPS://PORTAL.example.net:443/s/x", PORTAL.host)
    assert not leads_on("tel:+15550100", PORTAL.host)


def location(target: str, found: Decision, **more: Any) -> str:
    portal = Portal(PORTAL.url, PORTAL.host, KEY, PORTAL.addresses, {"default": BRAND})
    answer = respond(get(PORTAL.host, target, https=True, **more), portal, found, NOW, lambda _: found)
    response = answer.response if isinstance(answer, Click) else answer
    assert isinstance(response, Response)
    assert response.status == 303
    assert dict(response.headers)["Cache-Control"] == "no-store"
    return dict(response.headers)["Location"]


@pytest.mark.parametrize("url", [*HOSTILE, "https://portal.example.net/pay"])
def test_the_redirect_never_goes_where_a_hostile_pay_link_says(url: str) -> None:
    found = decision(Access.BLOCKED, account=Account(pay_url=url))

    assert location("/pay", found) in {LOGIN, "https://portal.example.net/"}


@pytest.mark.parametrize(
    "query",
    ["?url=https://evil.example.org/", "?redirect=//evil.example.org", "?next=%0d%0aX:y", "?lang=de&done=check"],
)
def test_nothing_that_the_visitor_sends_changes_where_the_button_leads(query: str) -> None:
    link = make_token(KEY, Purpose.LINK, "1001", NOW + 60)
    found = decision(Access.BLOCKED, account=Account(pay_url=PAY))

    assert location("/pay" + query, found) == PAY
    assert location(f"/s/{link}/pay{query}", found) == PAY
