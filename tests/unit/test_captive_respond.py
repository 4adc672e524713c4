"""What the redirector and the portal answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.captive.answers import Aside, Button, Close, Kind, Page, Press, Response, Topic
from edged.captive.probes import PROBES, Probe
from edged.captive.respond import RETURN_WAIT, Portal, Request, pressed, respond
from edged.captive.statement import Purpose, make_token
from edged.model import Access
from edged.policy.access import STRANGER, Decision
from edged.values import parse_address
from tests.captive_scene import KEY, NOW, PORTAL, decision, get

ROWS = yaml.safe_load((Path(__file__).parent.parent / "vectors" / "captive_answers.yaml").read_text("utf-8"))


def nobody(_id: str) -> Decision:
    return decision(Access.OPEN)


def known(id_: str) -> Decision:
    return decision(Access.BLOCKED) if id_ == "1001" else decision(Access.OPEN)


def answer(request: Request, access: Access, **more: Any) -> Response:
    found = respond(request, PORTAL, decision(access, **more), NOW, known)
    assert isinstance(found, Response)
    return found


def posted(target: str, token: str, link: str = "") -> Request:
    return get(PORTAL.host, target, https=True, method="POST", form={"token": token, "link": link})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_the_answer_is_the_one_of_the_table(row: dict[str, Any]) -> None:
    accept = {"accept": row["accept"]} if row["accept"] != "browser" else {}
    more = {key: row[key] for key in ("https", "method", "upgrade", "requested_with") if key in row} | accept
    destination = parse_address(row["destination"]) if "destination" in row else None
    request = get(row["host"], row.get("target", "/"), destination=destination, **more)
    until: dict[str, Any] = {"until": NOW + 60} if row.get("snoozed") else {}

    found = respond(request, PORTAL, decision(Access(row["access"]), **until), NOW, nobody)

    if row.get("aside"):
        assert isinstance(found, Aside)
        assert found.destination == destination
        found = found.then

    if "close" in row:
        assert found == Close(row["close"])
        return
    assert isinstance(found, Response)
    assert (found.status, found.kind) == (row["status"], Kind(row["kind"]))
    assert dict(found.headers).get("Location") == row.get("location", dict(found.headers).get("Location"))
    assert found.wait == (RETURN_WAIT if row.get("wait") else 0.0)
    if "topic" in row:
        assert isinstance(found.body, Page)
        assert found.body.topic is Topic(row["topic"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("access", [a for a in Access if a is not Access.STRANGER])
def test_nothing_sticks_to_a_name_that_is_not_ours(access: Access, method: str) -> None:
    headers = dict(answer(get("news.example.com", "/deep?q=1", method=method), access).headers)

    assert headers["Cache-Control"] == "no-store"
    assert headers["Connection"] == "close"
    assert set(headers) <= {"Content-Type", "Cache-Control", "Connection", "Location", "Retry-After"}


def test_a_blocked_line_sees_nothing_of_its_request_again() -> None:
    found = answer(get("secret-site.example.com", "/private?word=hush"), Access.BLOCKED)

    everything = repr(found.headers) + repr(found.body)
    assert "secret-site" not in everything
    assert "hush" not in everything


def test_the_redirect_has_a_body_of_more_than_four_octets() -> None:
    found = answer(get("connectivitycheck.gstatic.com", "/generate_204"), Access.BLOCKED)

    assert isinstance(found.body, bytes)
    assert len(found.body) > 4


def test_the_api_says_captive_and_where_the_page_is() -> None:
    found = answer(get(PORTAL.host, "/.well-known/captive-portal", https=True), Access.BLOCKED)

    assert isinstance(found.body, bytes)
    assert json.loads(found.body) == {"captive": True, "user-portal-url": "https://portal.example.net/"}
    assert dict(found.headers)["Content-Type"] == "application/captive+json"
    assert "private" in dict(found.headers)["Cache-Control"]


def test_the_api_counts_the_seconds_of_a_pass() -> None:
    found = answer(get(PORTAL.host, "/api/captive-portal", https=True), Access.PASS, until=NOW + 90)

    assert isinstance(found.body, bytes)
    facts = json.loads(found.body)
    assert (facts["captive"], facts["seconds-remaining"]) == (False, 90)


def test_a_signed_link_shows_the_subscriber_from_any_address() -> None:
    token = make_token(KEY, Purpose.LINK, "1001", NOW + 60)

    found = answer(get(PORTAL.host, f"/s/{token}", https=True), Access.STRANGER)

    assert isinstance(found.body, Page)
    assert (found.body.topic, found.body.link) == (Topic.BLOCKED, token)


def test_the_page_by_address_alone_is_not_signed() -> None:
    found = answer(get(PORTAL.host, https=True), Access.BLOCKED)

    assert isinstance(found.body, Page)
    assert found.body.link == ""


def test_a_button_with_its_token_is_pressed() -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 60)

    found = respond(posted("/pass", token), PORTAL, decision(Access.BLOCKED), NOW, known)

    assert found == Press(Button.PASS, "1001", "")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "AAAA",
        make_token(KEY, Purpose.BUTTON, "1001", NOW - 1),
        make_token(KEY, Purpose.LINK, "1001", NOW + 60),
    ],
    ids=["none", "forged", "expired", "of a link"],
)
def test_a_button_without_a_good_token_does_nothing(token: str) -> None:
    found = respond(posted("/check", token), PORTAL, decision(Access.BLOCKED), NOW, known)

    assert isinstance(found, Response)
    assert (found.status, dict(found.headers)["Location"]) == (303, "https://portal.example.net/")


@pytest.mark.parametrize("button", ["check", "pass"])
@pytest.mark.parametrize("access", [Access.OPEN, Access.NOTICE, Access.DRAIN])
def test_a_press_of_somebody_who_is_not_blocked_asks_nobody_and_the_page_says_what_is_so(
    button: str, access: Access
) -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 60)

    found = respond(posted(f"/{button}", token), PORTAL, decision(Access.BLOCKED), NOW, lambda _: decision(access))

    assert isinstance(found, Response)
    assert (found.status, dict(found.headers)["Location"]) == (303, f"https://portal.example.net/?done={button}")


def test_on_a_pass_billing_may_be_asked_and_no_second_pass_is_given() -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 60)

    def on_pass(_id: str) -> Decision:
        return decision(Access.PASS)

    assert respond(posted("/check", token), PORTAL, STRANGER, NOW, on_pass) == Press(Button.CHECK, "1001", "")
    assert isinstance(respond(posted("/pass", token), PORTAL, STRANGER, NOW, on_pass), Response)


def test_a_pass_never_lets_an_infected_line_out() -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 60)

    found = respond(
        posted("/pass", token),
        PORTAL,
        decision(Access.BLOCKED),
        NOW,
        lambda _: decision(Access.BLOCKED, "abuse"),
    )

    assert isinstance(found, Response)


def test_a_button_is_not_pressed_by_a_link() -> None:
    assert answer(get(PORTAL.host, "/pass", https=True), Access.BLOCKED).status == 405


def reminded(id_: str) -> Decision:
    return decision(Access.NOTICE) if id_ == "1001" else decision(Access.BLOCKED)


@pytest.mark.parametrize(("path", "button"), [("/seen", Button.SEEN), ("/later", Button.LATER)])
def test_a_tap_on_the_reminder_is_taken_from_whose_reminder_it_is(path: str, button: Button) -> None:
    own, other = (make_token(KEY, Purpose.BUTTON, id_, NOW + 60) for id_ in ("1001", "1002"))

    tapped = respond(posted(path, own), PORTAL, decision(Access.NOTICE), NOW, reminded)
    of_a_blocked_line = respond(posted(path, other), PORTAL, decision(Access.NOTICE), NOW, reminded)

    assert tapped == Press(button, "1001", "")
    assert isinstance(of_a_blocked_line, Response)
    assert of_a_blocked_line.status == 303
    assert answer(get(PORTAL.host, path, https=True), Access.NOTICE).status == 405


def test_a_pass_is_not_given_to_a_line_that_is_only_reminded() -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 60)

    assert isinstance(respond(posted("/pass", token), PORTAL, decision(Access.NOTICE), NOW, reminded), Response)


SIGN_IN = replace(PORTAL, sign_in=True)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: f"{probe.host}{probe.path}")
def test_with_sign_in_a_check_is_answered_as_a_blocked_ones_until_the_tap(probe: Probe) -> None:
    request = get(probe.host, probe.path, accept="*/*")
    due, put_away = decision(Access.NOTICE), decision(Access.NOTICE, until=NOW + 60)

    blocked = respond(request, SIGN_IN, decision(Access.BLOCKED), NOW, nobody)
    assert respond(request, SIGN_IN, due, NOW, nobody) == blocked
    assert respond(request, PORTAL, due, NOW, nobody) != blocked

    open_ = respond(request, SIGN_IN, put_away, NOW, nobody)
    assert isinstance(open_, Response)
    assert open_.status == probe.success.status


def test_with_sign_in_the_api_says_captive_until_the_tap() -> None:
    def captive(portal: Portal, **more: Any) -> bool:
        request = get(PORTAL.host, "/api/captive-portal", https=True)
        found = respond(request, portal, decision(Access.NOTICE, **more), NOW, nobody)
        assert isinstance(found, Response)
        assert isinstance(found.body, bytes)
        return bool(json.loads(found.body)["captive"])

    assert captive(SIGN_IN)
    assert not captive(SIGN_IN, until=NOW + 60)
    assert not captive(PORTAL)


def test_after_a_button_the_reader_is_back_on_the_page_it_stood_on() -> None:
    link = make_token(KEY, Purpose.LINK, "1001", NOW + 60)

    signed = pressed(PORTAL, Press(Button.CHECK, "1001", link), "check", NOW)
    forged = pressed(PORTAL, Press(Button.CHECK, "1001", "//evil.example.org"), "check", NOW)

    assert dict(signed.headers)["Location"] == f"https://portal.example.net/s/{link}?done=check"
    assert dict(forged.headers)["Location"] == "https://portal.example.net/?done=check"


@pytest.mark.parametrize(
    ("asked", "kept"), [("de", "&lang=de"), ("pt-BR", "&lang=pt-BR"), ("", ""), ("de&x=//evil", ""), ("DE\r\nX:y", "")]
)
def test_after_a_button_the_page_is_in_the_language_that_it_was_asked_for(asked: str, kept: str) -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 60)
    form = {"token": token, "link": "", "lang": asked}
    request = get(PORTAL.host, "/check", https=True, method="POST", form=form)

    found = respond(request, PORTAL, STRANGER, NOW, known)

    assert isinstance(found, Press)
    location = dict(pressed(PORTAL, found, "check", NOW).headers)["Location"]
    assert location == f"https://portal.example.net/?done=check{kept}"


def test_the_link_key_is_not_in_the_repr_of_the_portal() -> None:
    assert repr(KEY) not in repr(PORTAL)
