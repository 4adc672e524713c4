"""The page: its words, what it may say to whom, and that it is one plain, safe, self-contained document."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import segno

import edged.captive.page.pages as pages_module
from edged.captive.answers import Page, Topic
from edged.captive.files.service import read_templates
from edged.captive.page.content import Desk, masked, shortened
from edged.captive.page.locales import LOCALES
from edged.captive.page.pages import TEMPLATE_NAMES, Pages, logo_uri
from edged.captive.page.proofs import DESK, Proof
from edged.captive.respond import topic_of
from edged.errors import ConfigError
from edged.model import Access, Account
from tests.captive_scene import ACCOUNT, KEY, NOW, decision, pages, settings

PLAIN = pages()
FULL = pages(
    {
        "phone": "+1 555 0100",
        "hours": {"en": "Monday to Friday, 8 to 18"},
        "help": {"en": "Bank transfer: Example Bank, account 000 123 456\nCash: 1 Market Street"},
    }
)
"""A brand that has all that an operator may give."""
PROOFS = [(proof, language) for proof, language in FULL.every()]
GOLDEN = Path(__file__).parent.parent / "golden" / "captive"
REASONS = ["unpaid", "new", "quota", "abuse", "disabled", "billing's own word", ""]


class Outline(HTMLParser):
    """What a document is made of; every tag must be closed in order."""

    VOID = frozenset({"meta", "link", "input", "img", "br", "wbr", "path", "circle"})

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


def blocked(reason: str = "unpaid", account: Account = ACCOUNT, **more: Any) -> Page:
    return Page(Topic.BLOCKED, decision(Access.BLOCKED, reason, account=account), **more)


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("access", Access)
def test_every_decision_has_a_whole_page(access: Access, language: str) -> None:
    for reason, link in product(REASONS, ("", "x")):
        found = decision(access, reason)

        whole(shown(Page(topic_of(found), found, link=link, language=language), desk=Desk(2, can_check=True)), language)


@pytest.mark.parametrize(("proof", "language"), PROOFS, ids=lambda value: getattr(value, "name", value))
def test_every_page_is_a_whole_small_document(proof: Proof, language: str) -> None:
    text = FULL.prove(proof, language).body.decode()

    whole(text, language)
    assert len(text.encode()) < 14_000  # one TCP window: the first paint needs no second round trip


def whole(text: str, language: str) -> None:
    outline = Outline(text)
    assert not outline.open
    assert outline.all("html") == [{"lang": language, "dir": "rtl" if language == "ar" else "ltr"}]
    assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("title")) == 1
    assert not outline.all("script")
    assert not re.search(r"\son\w+=|style=|url\(|@import|http-equiv|target=", text)
    assert "{" not in outline.text
    assert not re.search(r"<title>[^<]*<(?!/title>)", text)


def test_there_is_an_example_of_every_page() -> None:
    assert {proof.topic for proof, _ in PROOFS} == set(Topic)
    assert {proof.reason for proof, _ in PROOFS} >= {"unpaid", "new", "quota", "abuse", "disabled", ""}
    assert {language for _, language in PROOFS} == set(LOCALES)


@pytest.mark.parametrize("tag", LOCALES)
def test_every_language_has_every_text_with_the_same_placeholders(tag: str) -> None:
    english, own = LOCALES["en"].texts, LOCALES[tag].texts
    holders = re.compile(r"\{[a-z]+\}")

    assert own.keys() == english.keys()
    assert all(set(holders.findall(own[key])) == set(holders.findall(english[key])) for key in english)
    assert (len(LOCALES[tag].months), len(LOCALES[tag].weekdays)) == (12, 7)


@pytest.mark.parametrize("tag", LOCALES)
def test_every_counted_text_has_every_form_of_its_language(tag: str) -> None:
    english, own = LOCALES["en"].counted, LOCALES[tag].counted

    assert own.keys() == english.keys()
    assert {len(forms) for forms in own.values()} == {6 if tag == "ar" else 2}
    assert all("{count}" in forms[-1] for forms in own.values())


@pytest.mark.parametrize("tag", LOCALES)
def test_no_text_shouts_blames_or_threatens(tag: str) -> None:
    texts = [*LOCALES[tag].texts.values(), *(form for forms in LOCALES[tag].counted.values() for form in forms)]

    assert not [text for text in texts if re.search(r"[!¡]|[Uu]nfortunately|terminated|\b[A-Z]{4,}\b", text)]
    assert not [text for text in texts if "'" in text]  # set as a printer would


def test_every_built_in_text_is_on_some_page() -> None:
    """A text that nobody says is a text that six people translated for nothing."""

    class Said(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            seen.add(key)
            return super().__getitem__(key)

    seen: set[str] = set()
    english = LOCALES["en"]
    spy = dataclasses.replace(english, texts=Said(english.texts), counted=Said(english.counted))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LOCALES, "en", spy)
        patch.setattr("edged.captive.page.texts._ENGLISH", spy)
        for built in (FULL, PLAIN):
            for proof, language in built.every():
                if language == "en":
                    built.prove(proof, "en")
        for page in (
            Page(Topic.PASS, decision(Access.PASS)),
            Page(Topic.OPENING, decision(Access.PASS)),
            blocked(link="x", account=dataclasses.replace(ACCOUNT, invoice="")),
            Page(Topic.NOTICE, decision(Access.NOTICE, account=dataclasses.replace(ACCOUNT, invoice="")), link="x"),
            *(
                Page(Topic.NOTICE, decision(Access.NOTICE, account=account), link="x")
                for account in (
                    dataclasses.replace(ACCOUNT, due="2026-12-01"),
                    dataclasses.replace(ACCOUNT, due="2026-12-01", invoice=""),
                )
            ),
        ):  # fmt: skip
            shown(page, desk=Desk(1, can_check=True))
        shown(blocked(), desk=Desk(0))
        for outcome in ("seen", "later"):
            shown(Page(Topic.NOTICE, decision(Access.NOTICE, until=NOW + 60), outcome=outcome))
        shown(
            Page(Topic.NOTICE, decision(Access.NOTICE)), desk=Desk(can_put_away=True, seen_for=2 * 86400, later_for=90)
        )

    assert {*english.texts, *english.counted} - seen == set()


def test_an_address_alone_sees_no_name_and_no_sum() -> None:
    for topic in Topic:
        found = decision(Access.PASS if topic is Topic.PASS else Access.BLOCKED, until=NOW + 600)
        text = shown(Page(topic, found), FULL, desk=DESK)

        assert not re.search("49.90|Kowalska|November|2026-1187|1001|7f3a", Outline(text).text)
        assert "7f3a" not in text  # not behind a button either, nor in the code


def test_a_signed_link_shows_the_sum_the_day_and_the_masked_name() -> None:
    text = words(blocked(link="x"))

    assert "Invoice 2026-1187 of €49.90 was due on Sunday, 1 November 2026." in text
    assert "Pay €49.90" in text
    assert "A… M… Kowalska" in text
    assert "Ana" not in text


def test_a_sum_without_an_invoice_number_is_told_without_one() -> None:
    text = words(blocked(link="x", account=dataclasses.replace(ACCOUNT, invoice="")))

    assert "€49.90 was due on Sunday, 1 November 2026." in text


def test_a_sum_is_not_shown_where_a_payment_is_not_what_helps() -> None:
    text = words(blocked("abuse", link="x"))

    assert "49.90" not in text
    assert "2026-1187" not in text
    assert "A… M… Kowalska" in text


@pytest.mark.parametrize(("name", "seen"), [("Ana", "A…"), ("Ana Kowalska", "A… Kowalska"), ("", ""), ("  ", "")])
def test_a_name_is_masked(name: str, seen: str) -> None:
    assert masked(name) == seen


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


def test_what_a_button_did_is_said_in_a_status() -> None:
    put_away = decision(Access.NOTICE, until=NOW + 60)
    assert "We will remind you later." in words(Page(Topic.NOTICE, put_away, outcome="later"))
    assert "remind you later" not in words(Page(Topic.NOTICE, decision(Access.NOTICE), outcome="later"))
    assert "remind you later" not in words(blocked(outcome="later"))
    assert 'role="status"' not in shown(blocked(outcome="<script>"))


def test_a_running_pass_tells_its_end_the_minutes_and_what_happens_then() -> None:
    page = Page(Topic.PASS, decision(Access.PASS, until=NOW + 707))
    text = words(page, desk=Desk(passes_left=2))

    assert "The internet is open until 11:18 UTC" in text
    assert "At 11:18 UTC the line is paused again" in text
    assert "2 openings left today" in text
    assert "Time left 12 minutes" in text


@pytest.mark.parametrize("topic", [Topic.LOOKING, Topic.UNSEEN, Topic.AWAY])
def test_who_looks_for_a_payment_during_a_pass_still_reads_how_long_it_runs(topic: Topic) -> None:
    desk = Desk(passes_left=2, can_check=True)
    text = words(Page(topic, decision(Access.PASS, until=NOW + 707)), desk=desk)

    assert "At 11:18 UTC the line is paused again" in text
    # the line is open, and a second pass would add nothing to this one
    assert "Your internet is paused" not in text
    assert "to pay 2 openings" not in text
    assert "to pay 2 openings" in words(Page(topic, decision(Access.BLOCKED)), desk=desk)


def test_a_billing_system_that_is_away_during_a_pass_does_not_make_the_line_paused() -> None:
    page = Page(Topic.AWAY, decision(Access.PASS, until=NOW + 707))

    assert "<h1>The internet is open until" in shown(page)
    assert "<h1>Your internet is paused" in shown(Page(Topic.AWAY, decision(Access.BLOCKED)))


@pytest.mark.parametrize(("due", "said"), [("2026-11-17", "was due on"), ("2026-11-18", "is due on")])
@pytest.mark.parametrize("invoice", ["", "2026-1187"])
def test_a_reminder_after_the_due_day_does_not_speak_of_a_day_to_come(due: str, said: str, invoice: str) -> None:
    account = dataclasses.replace(ACCOUNT, due=due, invoice=invoice)
    page = Page(Topic.NOTICE, decision(Access.NOTICE, account=account), link="x")

    assert f"{said} {'Tuesday, 17' if due.endswith('17') else 'Wednesday, 18'} November 2026." in words(page)


def test_the_address_to_type_has_the_port_where_a_page_has_one_of_its_own() -> None:
    tried = pages(url="https://localhost:8443/")

    assert "Type https://localhost:8443 into a browser" in words(blocked(), tried)
    assert "Type portal.example.net into a browser" in words(blocked())


def test_the_button_of_a_pass_does_not_vanish_without_a_word_when_the_last_one_is_used() -> None:
    said = "openings are used. You can open the line again in 24 hours at the latest."

    assert said in words(blocked(), desk=Desk(passes_left=0))
    assert said not in words(blocked(), desk=Desk(passes_left=1))
    assert said not in words(blocked(), desk=Desk(passes_left=None))
    assert said not in words(blocked("abuse"), desk=Desk(passes_left=0))
    assert said not in words(Page(Topic.LOOKING, decision(Access.PASS, until=NOW + 60)), desk=Desk(passes_left=0))


@pytest.mark.parametrize(("number", "shown_as"), [("20417", "…0417"), ("1001", "1001"), ("7", "7")])
def test_a_customer_number_that_is_cut_says_so(number: str, shown_as: str) -> None:
    assert shortened(number) == shown_as


def test_the_minutes_of_a_pass_are_counted_down_by_the_style_sheet_to_the_second_of_its_end() -> None:
    text = shown(Page(Topic.PASS, decision(Access.PASS, until=NOW + 130), language="en"))

    assert "<li>3 minutes</li><li>2 minutes</li><li>1 minute</li><li>The time is over</li>" in text
    # the first minute is the rest of one: 10 s, then 60 s, then 60 s
    delays = re.findall(r"nth-child\((\d)\)\{animation-delay:(\d+)s\}", text)
    assert delays == [("2", "10"), ("3", "70"), ("4", "130")]


def test_a_line_that_is_being_opened_thanks_only_who_has_paid() -> None:
    assert "payment has arrived" in words(Page(Topic.OPENING, decision(Access.BLOCKED)))
    assert "payment" not in words(Page(Topic.OPENING, decision(Access.PASS, until=NOW + 60)))


def test_a_long_pass_shows_its_end_alone() -> None:
    text = shown(Page(Topic.PASS, decision(Access.PASS, until=NOW + 6 * 3600)))

    assert "until" in text
    assert "<details" not in text


def test_the_policy_names_the_second_style_sheet_too() -> None:
    rendered = pages().render(Page(Topic.PASS, decision(Access.PASS, until=NOW + 130)), NOW, Desk())

    styles = re.findall(rb"<style>(.*?)</style>", rendered.body, re.DOTALL)
    policy = dict(rendered.headers)["Content-Security-Policy"]
    assert len(styles) == 2
    for style in styles:
        assert base64.b64encode(hashlib.sha256(style).digest()).decode() in policy


def test_help_stands_in_the_same_words_and_place_on_every_page() -> None:
    for proof, _ in FULL.every():
        text = FULL.prove(proof, "en").body.decode()
        _, _, below = text.partition('<section class="help">')

        assert '<a class="call" href="tel:+15550100">' in below, proof
        assert "Monday to Friday, 8 to 18" in below
        assert below.index("</section>") < below.index("</main>")


def test_who_names_no_number_sends_readers_to_their_invoice() -> None:
    assert "The phone number is on your invoice." in words(blocked())


def test_a_phone_of_a_reason_wins_on_every_page_about_it() -> None:
    built = pages({"phone": "+1 555 0100", "reasons": {"abuse": {"phone": "+1 555 0199"}}})

    assert "+1 555 0199" in words(blocked("abuse"), built)
    assert "+1 555 0100" in words(blocked("quota"), built)


def test_bank_details_are_for_those_whom_a_payment_helps_and_the_reference_for_a_signed_link() -> None:
    assert "account 000 123 456" in words(blocked(), FULL)
    assert "Write this with your payment" not in words(blocked(), FULL)
    assert "Write this with your payment: 2026-1187" in words(blocked(link="x"), FULL)
    assert "000 123 456" not in words(blocked("abuse", link="x"), FULL)
    assert "000 123 456" not in words(Page(Topic.OPEN, decision(Access.OPEN)), FULL)


def test_the_page_has_a_reference_and_the_time_of_its_statement() -> None:
    text = shown(blocked(reference="T12-7K4M", at=NOW - 220))

    assert '<bdi dir="ltr">T12-7K4M</bdi>' in text
    assert "Account as of Wednesday, 18 November 2026, 11:03 UTC" in words(blocked(at=NOW - 220))
    assert "<footer>" not in shown(blocked())


def test_the_way_to_check_the_page_does_not_rest_on_its_own_word() -> None:
    text = words(blocked(reference="T12-7K4M"), FULL)

    assert "Type portal.example.net into a browser yourself" in text
    assert "Compare our phone number with the one on your invoice." in text
    assert "Tell us the page reference T12-7K4M on the phone." in text
    assert "Compare" not in words(blocked())  # there is no number to compare


def test_the_code_leads_where_the_text_beside_it_says() -> None:
    plain, signed = shown(blocked()), shown(blocked(link="x"))

    assert 'aria-label="QR code of the address https://customer.example.net/login"' in plain
    assert "customer.example.net/<wbr>login</bdi>" in plain
    assert 'aria-label="QR code of the address https://customer.example.net/pay/7f3a"' in signed
    assert decoded(plain) == read("https://customer.example.net/login")
    assert decoded(signed) == read("https://customer.example.net/pay/7f3a")


def decoded(text: str) -> list[tuple[str, ...]]:
    """The paths of the code on a page."""
    return re.findall(r'<path (?:fill|transform|stroke)="[^"]*"[^>]*d="([^"]*)"', text.partition('class="qr"')[2])


def read(link: str) -> list[tuple[str, ...]]:
    drawn = segno.make(link, micro=False, error="l", boost_error=False)
    return decoded(
        'class="qr"'
        + drawn.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None)
    )


def test_a_link_too_long_to_scan_has_no_code_and_no_empty_place() -> None:
    account = dataclasses.replace(ACCOUNT, pay_url="https://customer.example.net/pay/" + "7" * 200)

    text = shown(blocked(link="x", account=account))
    assert 'class="qr"' not in text
    assert "Go on in your browser" in text


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
        ("help.html", "<p>\n{{ help.no_such_name }}"),
        ("stranger.html", "{{ no_such_name }}"),
        ("blocked-quota.html", '{% include "nowhere.html" %}'),
    ],
)
def test_an_operators_template_with_a_fault_is_refused_at_once(name: str, source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pages(settings(), {**read_templates(None), name: source}, {}, KEY)

    found = caught.value.problems[0].found
    assert found.startswith(f"{name}, line {2 if name == 'help.html' else 1}: ")


def test_an_operators_template_replaces_ours() -> None:
    built = Pages(settings(), {**read_templates(None), "page.html": "<p>{{ name }}: {{ title.text }}"}, {}, KEY)

    assert shown(blocked(), built) == "<p>Example ISP: Your internet is paused"


def test_an_operator_may_write_one_page_alone_or_the_page_of_one_reason() -> None:
    own = {"stranger.html": "<h1>Not here</h1>", "blocked-quota.html": "<h1>Full</h1>"}
    built = Pages(settings(), {**read_templates(None), **own}, {}, KEY)

    assert "<h1>Not here</h1>" in shown(Page(Topic.STRANGER, decision(Access.STRANGER)), built)
    assert "<h1>Full</h1>" in shown(blocked("quota"), built)
    assert "<h1>Your internet is paused</h1>" in shown(blocked(), built)


def test_every_built_in_template_is_there() -> None:
    assert set(read_templates(None)) == set(TEMPLATE_NAMES)
    assert {path.name for path in (Path(pages_module.__file__).parent / "templates").iterdir()} == set(TEMPLATE_NAMES)


@pytest.mark.parametrize(
    ("file", "page"),
    [
        ("blocked-unpaid.en.html", blocked()),
        ("blocked-unpaid-signed.es.html", blocked(link="x", language="es")),
        ("blocked-abuse.de.html", blocked("abuse", language="de")),
        ("blocked-unpaid-signed.ar.html", blocked(link="x", language="ar")),
        ("notice.fr.html", Page(Topic.NOTICE, decision(Access.NOTICE), language="fr")),
        ("drain.pt.html", Page(Topic.DRAIN, decision(Access.DRAIN), language="pt")),
        ("stranger.en.html", Page(Topic.STRANGER, decision(Access.STRANGER))),
        ("pass-signed.en.html", Proof("default", Topic.PASS, "unpaid", signed=True).page("en")),
        ("looking.de.html", Proof("default", Topic.LOOKING, "unpaid").page("de")),
        ("unseen-signed.ar.html", Proof("default", Topic.UNSEEN, "unpaid", signed=True).page("ar")),
    ],
)
def test_the_page_reads_as_in_its_golden_file(file: str, page: Page) -> None:
    """To accept a change: delete the file, run the test twice, read the difference."""
    body = shown(page, FULL, Desk(3, can_check=True, can_put_away=True, seen_for=86400.0, later_for=14400.0)).partition(
        "<body>"
    )[2]
    path = GOLDEN / file
    if not path.exists():
        path.write_text(body, "utf-8")
        pytest.fail(f"{file} was not there and is now: read it, then run again")

    assert body == path.read_text("utf-8")


def test_the_account_of_the_tests_has_all_that_a_page_could_leak() -> None:
    assert all((ACCOUNT.name, ACCOUNT.amount_due, ACCOUNT.due, ACCOUNT.pay_url, ACCOUNT.invoice))
