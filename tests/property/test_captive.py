"""Whatever arrives: the parser says what it is, the redirector repeats nothing, the page stays whole."""

from __future__ import annotations

import string
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edged.captive.answers import Click, Close, Page, Press, Response, Topic
from edged.captive.names import canonical_host
from edged.captive.page.colour import contrast, palette
from edged.captive.page.content import Desk
from edged.captive.page.languages import choose_language, wanted_languages
from edged.captive.respond import Request, respond
from edged.captive.statement import Purpose, make_token, verify_token
from edged.captive.tls import Hello, NeedMore, parse_client_hello
from edged.errors import WireError
from edged.model import Access, Account
from tests.captive_scene import KEY, NOW, PORTAL, decision, pages
from tests.unit.test_captive_tls import hello

HELLO = hello("portal.example.net")


def parsed(octets: bytes) -> Hello | NeedMore | None:
    try:
        return parse_client_hello(octets)
    except WireError:
        return None


@given(st.binary(max_size=600))
def test_any_octets_are_a_hello_a_beginning_or_refused(octets: bytes) -> None:
    parsed(octets)
    parsed(b"\x16\x03\x01" + len(octets).to_bytes(2, "big") + octets)
    parsed(b"\x16\x03\x01" + (len(octets) + 4).to_bytes(2, "big") + b"\x01" + len(octets).to_bytes(3, "big") + octets)


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_hello_with_any_octet_changed_never_breaks_the_parser(at: int, octet: int) -> None:
    parsed(HELLO[:at] + bytes([octet]) + HELLO[at + 1 :])


MARK = "zqxj"
"""In every value that a client chooses; no answer of ours has it."""
texts = st.text(max_size=60).map(lambda text: MARK + text)
hosts = st.text(string.ascii_letters + string.digits + "-.", max_size=40).map(lambda text: f"{MARK}{text}.example")


@given(
    host=hosts,
    target=texts.map(lambda text: "/" + text),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "PROPFIND"]),
    accept=texts | st.sampled_from(["", "*/*", "text/html"]),
    language=texts,
    extra=texts | st.just(""),
)
def test_a_blocked_client_never_sees_its_own_words_again(
    *, host: str, target: str, method: str, accept: str, language: str, extra: str
) -> None:
    request = Request(
        https=False,
        method=method,
        host=canonical_host(host) or MARK,
        target=target,
        accept=accept,
        accept_language=language,
        requested_with=extra,
        upgrade=extra,
        form={extra: extra},
    )

    found = respond(request, PORTAL, decision(Access.BLOCKED), NOW, lambda _: decision(Access.BLOCKED))

    assert isinstance(found, Response)
    assert isinstance(found.body, bytes)
    assert MARK not in repr(found.headers) + found.body.decode()


@given(
    host=st.text(max_size=80),
    target=st.text(max_size=80),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    https=st.booleans(),
    access=st.sampled_from(Access),
    fields=st.dictionaries(st.sampled_from(["accept", "accept_language", "requested_with"]), st.text(max_size=50)),
)
def test_every_request_has_an_answer_and_headers_of_one_line(
    *, host: str, target: str, method: str, https: bool, access: Access, fields: dict[str, Any]
) -> None:
    request = Request(https=https, method=method, host=canonical_host(host) or "", target="/" + target, **fields)

    found = respond(request, PORTAL, decision(access), NOW, lambda _: decision(Access.BLOCKED))

    assert isinstance(found, Response | Close | Press | Click)
    if isinstance(found, Response):
        assert found.status not in {301, 308}
        assert all("\r" not in value and "\n" not in value for _, value in found.headers)


class Whole(HTMLParser):
    """Refuses a document with an unexpected element."""

    KNOWN = frozenset(
        {
            "html",
            "head",
            "meta",
            "title",
            "link",
            "style",
            "body",
            "header",
            "main",
            "section",
            "aside",
            "nav",
        }
        | {"img", "span", "bdi", "p", "svg", "path", "circle", "h1", "h2", "dl", "div", "dt", "dd", "a", "b"}
        | {"form", "input", "button", "small", "ul", "li", "h3", "wbr", "details", "summary", "footer"}
    )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.KNOWN
        assert not any(name.startswith("on") for name, _ in attrs)


words = st.text(min_size=1, max_size=40)


@given(
    name=words,
    title=words,
    additional=words,
    account=st.builds(Account, words, words, words, words, words, words, words),
    reason=words,
    accept=st.text(max_size=60),
    reference=words,
)
def test_no_text_of_operator_or_billing_becomes_markup(
    *, name: str, title: str, additional: str, account: Account, reason: str, accept: str, reference: str
) -> None:
    built = pages({"name": name, "title": title, "additional": {"en": additional}, "help": {"en": additional}})
    blocked = decision(Access.BLOCKED, reason, account=account)
    page = Page(Topic.BLOCKED, blocked, link="x", accept_language=accept, reference=reference)

    text = built.render(page, NOW, Desk(1, can_check=True)).body.decode("utf-8", "strict")

    Whole().feed(text)


@given(st.integers(0, 0xFFFFFF), st.sampled_from(["#ffffff", "#151b26"]))
def test_any_brand_colour_is_readable(number: int, ground: str) -> None:
    colours = palette(f"#{number:06x}", ground)

    assert contrast(colours.on_brand, colours.brand) >= 4.5
    assert contrast(colours.accent, ground) >= 4.5


@given(st.text(max_size=200))
def test_any_accept_language_finds_a_language(header: str) -> None:
    assert choose_language(wanted_languages(header), ("en", "ar")) in {"en", "ar"}


@given(st.text(max_size=300))
def test_no_text_is_a_token_but_our_own(text: str) -> None:
    assert verify_token(KEY, Purpose.LINK, text, NOW) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_id_survives_its_token(id_: str) -> None:
    assert verify_token(KEY, Purpose.LINK, make_token(KEY, Purpose.LINK, id_, NOW + 1), NOW) == id_
