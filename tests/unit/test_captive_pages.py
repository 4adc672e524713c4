"""The page: its words, what it may say to whom, and that it is one plain, safe, self-contained document."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edged.captive.answers import Page, Topic
from edged.captive.content import Desk, masked
from edged.captive.files.service import read_templates
from edged.captive.locales import LOCALES
from edged.captive.pages import Pages, logo_uri
from edged.captive.respond import topic_of
from edged.captive.texts import long_date
from edged.errors import ConfigError
from edged.model import Access, Account
from tests.captive_scene import ACCOUNT, KEY, NOW, decision, pages, settings

PLAIN = pages()
GOLDEN = Path(__file__).parent.parent / "golden" / "captive"
REASONS = ["unpaid", "new", "quota", "abuse", "disabled", "billing's own word", ""]


class Outline(HTMLParser):
    """What a document is made of; every tag must be closed in order."""

    VOID = frozenset({"meta", "link", "input", "img", "br", "path", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def shown(page: Page, built: Pages | None = None, desk: Desk | None = None) -> str:
    return (built or PLAIN).render(page, NOW, desk or Desk()).body.decode()


def words(page: Page, built: Pages | None = None, desk: Desk | None = None) -> str:
    return " ".join(Outline(shown(page, built, desk)).text.split())


def blocked(reason: str = "unpaid", **more: Any) -> Page:
    return Page(Topic.BLOCKED, decision(Access.BLOCKED, reason), **more)


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("link", ["", "x"])
def test_every_page_is_a_whole_small_document(access: Access, reason: str, language: str, link: str) -> None:
    found = decision(access, reason)
    text = shown(Page(topic_of(found), found, link=link, language=language), desk=Desk(2, can_check=True))

    outline = Outline(text)
    assert not outline.open
    assert outline.all("html") == [{"lang": language, "dir": "rtl" if language == "ar" else "ltr"}]
    assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("title")) == 1
    assert not outline.all("script")
    assert not re.search(r"\son\w+=|style=|url\(|@import", text)
    assert len(text.encode()) < 14_000  # one TCP window: the first paint needs no second round trip
    assert "{" not in outline.text


@pytest.mark.parametrize("tag", LOCALES)
def test_every_language_has_every_text_with_the_same_placeholders(tag: str) -> None:
    english, own = LOCALES["en"].texts, LOCALES[tag].texts
    holders = re.compile(r"\{[a-z]+\}")

    assert own.keys() == english.keys()
    assert all(set(holders.findall(own[key])) == set(holders.findall(english[key])) for key in english)
    assert (len(LOCALES[tag].months), len(LOCALES[tag].weekdays)) == (12, 7)


@pytest.mark.parametrize("tag", LOCALES)
def test_no_text_shouts(tag: str) -> None:
    assert not any("!" in text for text in LOCALES[tag].texts.values())


def test_an_address_alone_sees_no_name_and_no_sum() -> None:
    text = shown(blocked(), desk=Desk(2, can_check=True))

    assert "49.90" not in text
    assert "Kowalska" not in text
    assert "November" not in text


def test_a_signed_link_shows_the_sum_the_day_and_the_masked_name() -> None:
    text = words(blocked(link="x"))

    assert "49.90 EUR was due on Sunday, 1 November 2026." in text
    assert "Pay 49.90 EUR" in text
    assert "A… M… Kowalska" in text
    assert "Ana" not in text


@pytest.mark.parametrize(("name", "seen"), [("Ana", "A…"), ("Ana Kowalska", "A… Kowalska"), ("", ""), ("  ", "")])
def test_a_name_is_masked(name: str, seen: str) -> None:
    assert masked(name) == seen


def test_the_button_leads_to_our_own_path_and_names_where_that_leads() -> None:
    assert 'href="/pay"' in shown(blocked())
    assert 'href="/s/x/pay"' in shown(blocked(link="x"))
    assert "Opens customer.example.net" in words(blocked())
    assert "customer.example.net/pay" not in shown(blocked(link="x"))


def test_paying_is_not_offered_where_it_does_not_help() -> None:
    text = shown(blocked("abuse", link="x"), pages({"reasons": {"abuse": {"link": "https://help.example.net/"}}}))

    assert 'href="/s/x/pay"' in text
    assert "help.example.net" in text
    assert "Pay 49.90" not in text


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example.org", "ftp://x/", "https://["]
)
def test_a_pay_link_that_is_no_web_link_is_not_used(url: str) -> None:
    page = Page(Topic.BLOCKED, decision(Access.BLOCKED, account=Account(pay_url=url)))

    assert url not in shown(page)


@pytest.mark.parametrize(
    ("accept", "title"),
    [
        ("es-MX,en;q=0.5", "Servicio suspendido"),
        ("en", "Service suspended"),
        ("fr", "Votre internet est en pause"),  # the operator wrote no French: ours, rather than English
        ("ja", "Service suspended"),
    ],
)
def test_the_operators_words_come_first_in_the_readers_language(accept: str, title: str) -> None:
    built = pages({"title": {"en": "Service suspended", "es": "Servicio suspendido"}})

    assert f"<h1>{title}</h1>" in shown(blocked(accept_language=accept), built)


def test_a_language_that_only_the_operator_speaks_is_spoken() -> None:
    built = pages({"title": {"fa": "خط متوقف است"}})

    text = shown(blocked(accept_language="fa"), built)
    assert '<html lang="fa" dir="rtl">' in text
    assert "خط متوقف است" in text
    assert '<span lang="en" dir="ltr">' in text  # what is said in English on it says so


def test_texts_of_a_reason_win_over_those_of_the_brand() -> None:
    built = pages({"title": "Paused", "reasons": {"new": {"title": "Welcome"}}})

    assert "<h1>Welcome</h1>" in shown(blocked("new"), built)
    assert "<h1>Paused</h1>" in shown(blocked("quota"), built)


def test_texts_about_a_blocked_line_are_not_on_the_page_of_an_open_one() -> None:
    built = pages({"title": "Service suspended", "additional": "Pay soon."})

    text = shown(Page(Topic.DRAIN, decision(Access.DRAIN)), built)
    assert "suspended" not in text
    assert "Pay soon" not in text


def test_the_additional_message_is_better_in_another_language_than_not_there() -> None:
    built = pages({"additional": {"en": "Open from 8 to 18"}})

    assert '<span lang="en" dir="ltr">Open from 8 to 18</span>' in shown(blocked(language="ar"), built)


def test_a_subscriber_sees_the_page_of_their_own_brand() -> None:
    built = pages(brands={"north": {"name": "North Fibre"}})

    assert "North Fibre" in shown(Page(Topic.BLOCKED, decision(Access.BLOCKED, brand="north")), built)
    assert "Example ISP" in shown(Page(Topic.BLOCKED, decision(Access.BLOCKED, brand="gone")), built)


def test_operators_texts_are_plain_text() -> None:
    built = pages({"name": "A & <b>B", "title": "<script>alert(1)</script>", "text": "{{ 7 * 7 }} {amount}"})

    text = shown(blocked(), built)
    assert "&lt;script&gt;" in text
    assert "A &amp; &lt;b&gt;B" in text
    assert "{{ 7 * 7 }} {amount}" in text


def test_the_policy_names_the_digest_of_the_style_sheet_and_allows_nothing_else() -> None:
    rendered = pages().render(blocked(), NOW, Desk())

    (style,) = re.findall(rb"<style>(.*?)</style>", rendered.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    policy = dict(rendered.headers)["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_buttons_stand_on_the_page_only_with_somebody_behind_them() -> None:
    assert "<form" not in shown(blocked())
    both = Outline(shown(blocked(), desk=Desk(2, can_check=True)))
    assert [form["action"] for form in both.all("form")] == ["/check", "/pass"]
    used_up = Outline(shown(blocked(), desk=Desk(0, can_check=True)))
    assert [form["action"] for form in used_up.all("form")] == ["/check"]
    infected = Outline(shown(blocked("abuse"), desk=Desk(2, can_check=True)))
    assert infected.all("form") == []


def test_what_a_button_did_is_said_in_a_status() -> None:
    assert 'role="status"' in shown(blocked(outcome="check"))
    assert 'role="status"' not in shown(blocked(outcome="<script>"))


def test_a_pass_counts_its_minutes() -> None:
    page = Page(Topic.PASS, decision(Access.PASS, until=NOW + 720))

    assert 'Minutes left</dt><dd><bdi dir="ltr">12</bdi>' in shown(page)


@pytest.mark.parametrize(
    ("octets", "media"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"<?xml?><svg/>", "image/svg+xml"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
    ],
)
def test_a_logo_travels_inside_the_page(octets: bytes, media: str) -> None:
    assert logo_uri(octets).startswith(f"data:{media};base64,")


def test_what_is_no_picture_is_no_logo() -> None:
    assert logo_uri(b"<html>") == ""


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("page.html", "{% if %}"),
        ("page.html", "{{ no_such_name }}"),
        ("page.html", "{{ ''.__class__.__mro__ }}"),
        ("page.css", "{{ light.no_such_name }}"),
        ("page.css", "{% for %}"),
    ],
)
def test_an_operators_template_with_a_fault_is_refused_at_once(name: str, source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pages(settings(), {**read_templates(None), name: source}, {}, KEY)

    assert caught.value.problems[0].found.startswith(name)


def test_an_operators_template_replaces_ours() -> None:
    built = Pages(settings(), {**read_templates(None), "page.html": "<p>{{ name }}: {{ title.text }}"}, {}, KEY)

    assert shown(blocked(), built) == "<p>Example ISP: Your internet is paused"


def test_a_day_is_written_out_and_what_is_none_is_left() -> None:
    assert long_date("2026-11-01", LOCALES["es"]) == "domingo, 1 de noviembre de 2026"
    assert long_date("soon", LOCALES["es"]) == "soon"


@pytest.mark.parametrize(
    ("file", "page"),
    [
        ("blocked-unpaid.en.html", blocked()),
        ("blocked-unpaid-signed.es.html", blocked(link="x", language="es")),
        ("blocked-abuse.de.html", blocked("abuse", language="de")),
        ("blocked-unpaid-signed.ar.html", blocked(link="x", language="ar", outcome="check")),
        ("notice.fr.html", Page(Topic.NOTICE, decision(Access.NOTICE), language="fr")),
        ("drain.pt.html", Page(Topic.DRAIN, decision(Access.DRAIN), language="pt")),
        ("stranger.en.html", Page(Topic.STRANGER, decision(Access.STRANGER))),
    ],
)
def test_the_page_reads_as_in_its_golden_file(file: str, page: Page) -> None:
    """To accept a change: delete the file, run the test twice, read the difference."""
    body = shown(page, desk=Desk(3, can_check=True)).partition("<body>")[2]
    path = GOLDEN / file
    if not path.exists():
        path.write_text(body, "utf-8")
        pytest.fail(f"{file} was not there and is now: read it, then run again")

    assert body == path.read_text("utf-8")


def test_the_account_of_the_tests_has_all_that_a_page_could_leak() -> None:
    assert all((ACCOUNT.name, ACCOUNT.amount_due, ACCOUNT.due, ACCOUNT.pay_url))
