"""What can be pressed on each page, in which order, and where it leads."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edged.captive.answers import Page, Topic
from edged.captive.page.content import Desk
from edged.captive.page.pages import Pages
from edged.captive.page.proofs import DESK
from edged.captive.statement import Purpose, verify_token
from edged.model import Access, Account
from tests.captive_scene import KEY, NOW, decision, pages
from tests.unit.test_captive_pages import Outline, blocked, shown, words


def offered(page: Page, built: Pages | None = None, desk: Desk = DESK) -> list[str]:
    """Where each control of the page leads, the primary one first and marked."""
    _, _, inside = shown(page, built, desk).partition('<div class="do">')
    found = re.findall(r'<a class="(\w+)" href="([^"]*)"|action="([^"]*)".*?<button class="(\w+)"', inside, re.DOTALL)
    return [(link or action) + ("*" if "go" in {look, kind} else "") for look, link, action, kind in found]


def about(topic: Topic, reason: str = "unpaid", **more: Any) -> Page:
    access = {Topic.NOTICE: Access.NOTICE, Topic.PASS: Access.PASS}.get(topic, Access.BLOCKED)
    return Page(topic, decision(access, reason, until=NOW + 600 if topic is Topic.PASS else 0.0), **more)


@pytest.mark.parametrize(
    ("page", "controls"),
    [
        (blocked(), ["/pay*", "/check", "/pass"]),
        (blocked(""), ["/pay*", "/check", "/pass"]),
        (blocked("quota"), ["/pay*", "/check", "/pass"]),
        (blocked("new"), ["/pay*", "/"]),
        (blocked("abuse"), ["/pay*", "/"]),
        (blocked("disabled"), ["/pay*", "/"]),
        (blocked(link="x"), ["/s/x/pay*", "/check", "/pass"]),
        (about(Topic.NOTICE), ["/pay*", "/seen", "/later"]),
        (about(Topic.PASS), ["/pay*", "/check"]),
        (about(Topic.PASS, link="x"), ["/s/x/pay*", "/check"]),
        (about(Topic.LOOKING), ["/check*", "/pass", "/pay"]),
        (about(Topic.UNSEEN), ["/check*", "/pass", "/pay"]),
        (about(Topic.AWAY), ["/pay*", "/check", "/pass"]),
        (about(Topic.USED_UP), ["/pay*", "/check"]),
        (about(Topic.OPENING), ["/*"]),
        (about(Topic.RESTORED), ["/*"]),
        (about(Topic.DRAIN), ["/*"]),
        (about(Topic.OPEN), ["/*"]),
        (about(Topic.STRANGER), ["/*"]),
        (about(Topic.MISSING), ["/*"]),
        (about(Topic.FAULT), ["/*"]),
    ],
    ids=lambda value: f"{value.topic} {value.decision.reason}{value.link}" if isinstance(value, Page) else "",
)
def test_each_page_offers_what_helps_there_and_first_what_helps_most(page: Page, controls: list[str]) -> None:
    assert offered(page) == controls


@pytest.mark.parametrize("topic", [Topic.BLOCKED, Topic.PASS, Topic.LOOKING, Topic.UNSEEN, Topic.AWAY, Topic.USED_UP])
def test_with_nobody_behind_the_buttons_there_are_none(topic: Topic) -> None:
    assert "<form" not in shown(about(topic), desk=Desk())
    assert "/" in [control.strip("*") for control in offered(about(topic), desk=Desk())]


def test_a_reminder_has_a_button_only_for_what_somebody_takes_down() -> None:
    assert offered(about(Topic.NOTICE), desk=Desk()) == ["/pay*"]
    assert offered(about(Topic.NOTICE), desk=Desk(can_put_away=True)) == ["/pay*", "/seen", "/later"]
    assert "We remind you" not in words(about(Topic.NOTICE), desk=Desk(can_put_away=True))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (86400.0, "in 24 hours"),
        (172800.0, "in 2 days"),
        (14400.0, "in 4 hours"),
        (3600.0, "in 1 hour"),
        (5400.0, "in 90 minutes"),
        (20.0, "in 1 minute"),
    ],
)
def test_a_reminder_says_when_it_returns(seconds: float, said: str) -> None:
    text = words(about(Topic.NOTICE), desk=Desk(can_put_away=True, later_for=seconds))

    assert re.search(rf"We remind you again {said}(?!s)", text)


def test_a_page_opened_by_a_link_is_opened_by_it_again() -> None:
    assert offered(about(Topic.PASS, link="x"), desk=Desk()) == ["/s/x/pay*", "/s/x"]
    assert offered(about(Topic.PASS, link="x", language="es"), desk=Desk()) == ["/s/x/pay*", "/s/x?lang=es"]


def test_a_used_up_pass_is_not_offered() -> None:
    assert offered(blocked(), desk=Desk(0, can_check=True)) == ["/pay*", "/check"]


def test_a_button_bears_a_token_for_its_subscriber_alone() -> None:
    for page in (blocked(), about(Topic.NOTICE), about(Topic.UNSEEN)):
        fields = Outline(shown(page, desk=DESK)).all("input")
        tokens = [field["value"] or "" for field in fields if field["name"] == "token"]

        assert tokens
        assert {verify_token(KEY, Purpose.BUTTON, token, NOW) for token in tokens} == {"1001"}


def test_a_language_that_was_asked_for_goes_on_with_every_button() -> None:
    text = shown(blocked(language="es"), desk=DESK)

    assert text.count('<input type="hidden" name="lang" value="es">') == 2
    assert 'name="lang"' not in shown(blocked(accept_language="es"), desk=DESK)


def test_the_click_is_counted_and_the_reader_knows_where_it_ends() -> None:
    text = shown(blocked(link="x"))

    assert '<a class="go" href="/s/x/pay" aria-describedby="to">' in text
    assert 'id="to">Opens <bdi dir="ltr">customer.example.net</bdi>' in text


def test_a_number_to_call_is_called_and_not_counted() -> None:
    built = pages({"reasons": {"abuse": {"link": "tel:+15550100"}}})

    assert offered(blocked("abuse", account=Account()), built) == ["tel:+15550100*", "/"]


HELPS = {"reasons": {reason: {"link": "https://help.example.net/"} for reason in ("abuse", "unpaid")}}


@pytest.mark.parametrize(
    ("brand", "reason", "account", "host"),
    [
        ({}, "unpaid", Account(pay_url="https://pay.example.org/1"), "pay.example.org"),
        ({}, "unpaid", Account(), "customer.example.net"),
        ({}, "abuse", Account(pay_url="https://pay.example.org/1"), "pay.example.org"),
        (HELPS, "abuse", Account(pay_url="https://pay.example.org/1"), "help.example.net"),
        (HELPS, "unpaid", Account(), "help.example.net"),
    ],
)
def test_the_subscribers_own_pay_link_wins_save_where_paying_does_not_help(
    brand: dict[str, Any], reason: str, account: Account, host: str
) -> None:
    assert f"Opens {host}" in words(blocked(reason, account=account), pages(brand))


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example.org", "ftp://x/", "https://["]
)
def test_a_pay_link_that_is_no_web_link_is_not_used(url: str) -> None:
    text = shown(blocked(link="x", account=Account(pay_url=url)))

    assert url not in text
    assert 'Opens <bdi dir="ltr">customer.example.net' in text
