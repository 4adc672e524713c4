"""Every page in a real browser, for people: axe-core, keyboard, reflow, spacing, large text, paper, less motion."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from edged.captive.answers import Topic
from edged.captive.page.locales import LOCALES, Locale
from edged.captive.page.pages import Pages
from edged.captive.page.proofs import Proof
from tests.captive_scene import pages

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")]

BRAND = {
    "phone": "+1 555 0100",
    "hours": {"en": "Monday to Friday, 8:00 to 18:00", "ar": "من الاثنين إلى الجمعة"},
    "help": {"en": "Bank transfer: Example Bank, account 000 123 456\nCash: our shop, 1 Market Street"},
    "additional": {"en": "Our shop is closed on 6 January."},
}
BUILT = pages(BRAND)
PROOFS = [proof for proof, language in BUILT.every() if language == "en"]
WIDTHS = {320: 480, 390: 844, 900: 572}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
VIEWS: list[tuple[int, Scheme]] = [
    (390, "light"), (320, "dark"), (320, "light"), (390, "dark"), (900, "light"), (900, "dark"),
]  # fmt: skip
"""In the first all rules are looked at, in the others those that depend on width and theme."""

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""The tags of axe-core; ``best-practice`` is beyond the standard and is looked at too, once."""
SEEN = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]
"""The rules that depend on theme or width; all others see the same document there."""
QUICK: dict[str, Any] = {"resultTypes": ["violations"], "preload": False, "iframes": False}
"""The page loads nothing and has no frame."""
SHOW = "html => { document.open(); document.write(html); document.close() }"
JUDGE = """async options => (await axe.run(document, options)).violations.map(
  v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join('; '))"""
WIDTH = "() => document.documentElement.scrollWidth"
CLIPPED = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.heard')
  && getComputedStyle(e).overflow !== 'visible' && (e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight)
  && !e.closest('svg')).map(e => e.outerHTML.slice(0, 80))"""
CONTROLS = """() => [...document.querySelectorAll('a,button,summary')].map(e => {
  const r = e.getBoundingClientRect(); return [e.textContent.trim(), r.width, r.height, r.bottom] })"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto("about:blank")
        page.evaluate(AXE)
        yield page
        browser.close()


def shown(tab: Tab, proof: Proof, language: str = "en", built: Pages = BUILT) -> None:
    tab.evaluate(SHOW, built.prove(proof, language).body.decode())


def sized(tab: Tab, width: int, scheme: Scheme = "light") -> None:
    tab.set_viewport_size({"width": width, "height": WIDTHS[width]})
    tab.emulate_media(color_scheme=scheme, media="screen", reduced_motion="no-preference", forced_colors="none")


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.timeout(300)
def test_axe_finds_nothing(tab: Tab, language: str) -> None:
    rules = {"runOnly": {"type": "tag", "values": [*STANDARDS, "best-practice"]}, **QUICK}
    seen = {"runOnly": {"type": "rule", "values": SEEN}, **QUICK}
    found: dict[str, list[str]] = {}
    # widths and colours are every language's: one of each direction is looked at in all of them
    views = VIEWS if language in {"en", "ar"} else VIEWS[:1]
    for proof in PROOFS:
        shown(tab, proof, language)
        for width, scheme in views:
            sized(tab, width, scheme)
            options = rules if (width, scheme) == VIEWS[0] else seen
            found |= {f"{proof.name} {width} {scheme}": v for v in [tab.evaluate(JUDGE, options)] if v}

    assert found == {}


def test_axe_would_find_something(tab: Tab) -> None:
    sized(tab, 320)
    tab.evaluate(
        SHOW, '<html><body><a href="/" style="color:#aaa;font-size:10px">Pay</a><img src="data:,"></body></html>'
    )

    found = tab.evaluate(JUDGE, {"runOnly": {"type": "tag", "values": STANDARDS}})
    assert {line.partition(":")[0] for line in found} >= {"color-contrast", "image-alt", "html-has-lang"}


@pytest.mark.parametrize("language", LOCALES)
def test_no_page_scrolls_sideways_and_every_control_is_large_enough(tab: Tab, language: str) -> None:
    sized(tab, 320)
    for proof in PROOFS:
        shown(tab, proof, language)

        assert tab.evaluate(WIDTH) == 320, proof
        small = [control for control in tab.evaluate(CONTROLS) if control[1] < 47.9 or control[2] < 47.9]
        assert small == [], proof


@pytest.mark.parametrize("language", LOCALES)
def test_the_button_is_there_without_scrolling(tab: Tab, language: str) -> None:
    """In the window of a phone on every page; in the smallest one where no minutes are counted above it."""
    for width in (320, 390):
        sized(tab, width)
        for proof in PROOFS:
            if width == 320 and proof.topic is Topic.PASS:
                continue
            shown(tab, proof, language)
            bottom = tab.evaluate("() => document.querySelector('.go').getBoundingClientRect().bottom")
            assert bottom <= WIDTHS[width], (proof, width)


def longer(locale: Locale) -> Locale:
    """A language that nobody speaks, with texts longer by 60 %: what a translation to come may need."""

    def stretched(text: str) -> str:
        extra = -(-len(text) * 6 // 10)
        return f"{text} {'Überlängen-Verlängerungswörter ' * (extra // 30 + 1)}"[: len(text) + extra + 1]

    return dataclasses.replace(
        locale,
        tag="qps",
        name="Pseudo",
        texts={key: text if key == "date" else stretched(text) for key, text in locale.texts.items()},
        counted={key: tuple(map(stretched, forms)) for key, forms in locale.counted.items()},
    )


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_texts_longer_by_60_percent_fit(tab: Tab, direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOCALES, "qps", longer(LOCALES["ar" if direction == "rtl" else "en"]))
    stretched = pages(BRAND)
    for width in WIDTHS:
        sized(tab, width)
        for proof in PROOFS:
            shown(tab, proof, "qps", stretched)

            assert "Üb" in tab.inner_text(".state")
            assert tab.evaluate(WIDTH) == width, proof
            assert tab.evaluate(CLIPPED) == [], proof


SPACING = """() => { const style = document.createElement('style'); style.textContent =
  '*{line-height:1.5 !important;letter-spacing:.12em !important;word-spacing:.16em !important}' +
  'p{margin-bottom:2em !important}';
  document.head.append(style) }"""


@pytest.mark.parametrize("change", [SPACING, "() => { document.documentElement.style.fontSize = '200%' }"])
def test_large_and_spaced_text_is_whole(tab: Tab, change: str) -> None:
    """WCAG 2.2 criteria 1.4.4, 1.4.10 and 1.4.12."""
    for width in (320, 900):
        sized(tab, width)
        for language in ("en", "de", "ar"):
            for proof in PROOFS:
                shown(tab, proof, language)
                tab.evaluate(change)

                assert tab.evaluate(WIDTH) == width, (proof, language)
                assert tab.evaluate(CLIPPED) == [], (proof, language)


FOCUSED = """() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
  return { index: [...document.querySelectorAll('a,button,summary')].indexOf(e), width: parseFloat(s.outlineWidth),
           style: s.outlineStyle, colour: s.outlineColor, seen: r.top >= 0 && r.bottom <= innerHeight } }"""


def test_every_control_is_reached_by_keyboard_in_reading_order_with_a_visible_focus(tab: Tab) -> None:
    sized(tab, 390)
    for proof in PROOFS:
        shown(tab, proof)
        count = tab.evaluate("() => document.querySelectorAll('a,button,summary').length")
        for index in range(count):
            tab.keyboard.press("Tab")
            focus = tab.evaluate(FOCUSED)

            assert focus["index"] == index, proof
            assert (focus["style"], focus["seen"]) == ("solid", True), proof
            assert focus["width"] >= 2


PASS = next(proof for proof in PROOFS if proof.topic is Topic.PASS)
TIME_LEFT = """() => [...document.querySelectorAll('.left li')].filter(
  e => getComputedStyle(e).visibility === 'visible').pop().textContent"""
LATER = "seconds => document.getAnimations().forEach(a => { a.currentTime = seconds * 1000 })"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "12 minutes"),
        (46, "12 minutes"),
        (48, "11 minutes"),
        (646, "2 minutes"),
        (648, "1 minute"),
        (708, "The time is over"),
    ],
)
def test_the_minutes_of_a_pass_count_down(tab: Tab, seconds: int, text: str) -> None:
    """The example has 707 seconds left: 47, and eleven minutes."""
    sized(tab, 390)
    shown(tab, PASS)
    tab.evaluate(LATER, seconds)

    assert tab.evaluate(TIME_LEFT) == text


def test_the_minutes_can_be_hidden_and_stand_still_for_who_wants_less_motion(tab: Tab) -> None:
    sized(tab, 390)
    shown(tab, PASS)
    tab.get_by_text("Time left").click()
    assert not tab.locator(".left").is_visible()

    tab.emulate_media(reduced_motion="reduce")
    shown(tab, PASS)
    assert tab.evaluate("() => document.getAnimations().length") == 0
    assert tab.evaluate(TIME_LEFT) == "12 minutes"
    assert "until 11:18 UTC" in tab.inner_text("h1")


def drawn(tab: Tab, selector: str) -> bool:
    return tab.locator(selector).first.is_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_on_paper_the_page_is_a_payment_slip(tab: Tab, scheme: Scheme) -> None:
    sized(tab, 900, scheme)
    shown(tab, next(p for p in PROOFS if p.name == "blocked-unpaid-signed"))
    tab.emulate_media(media="print", color_scheme=scheme)

    assert [drawn(tab, s) for s in ("h1", "dl", ".help", ".qr", "footer")] == [True] * 5
    assert [drawn(tab, s) for s in (".go", ".alt", "nav", ".real")] == [False] * 4
    assert tab.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert tab.pdf(format="A4").count(b"/Type /Page\n") == 1


def test_in_forced_colours_controls_keep_an_edge_and_the_code_its_own_ground(tab: Tab) -> None:
    sized(tab, 390)
    shown(tab, PROOFS[0])
    tab.emulate_media(forced_colors="active")

    for selector in (".go", ".alt", "main"):
        assert (
            tab.evaluate(f"() => parseFloat(getComputedStyle(document.querySelector('{selector}')).borderTopWidth)")
            >= 1
        )
    assert tab.evaluate("() => getComputedStyle(document.querySelector('.qr')).forcedColorAdjust") == "none"


DIRECTIONS: list[tuple[str, Callable[[dict[str, Any], dict[str, Any]], bool]]] = [
    ("en", lambda label, value: label["left"] < value["left"]),
    ("ar", lambda label, value: label["left"] > value["left"]),
]


@pytest.mark.parametrize(("language", "in_order"), DIRECTIONS, ids=["en", "ar"])
def test_facts_run_in_the_direction_of_the_language(
    tab: Tab, language: str, in_order: Callable[[dict[str, Any], dict[str, Any]], bool]
) -> None:
    sized(tab, 900)
    shown(tab, next(p for p in PROOFS if p.name == "blocked-unpaid-signed"), language)
    label, value = (
        tab.evaluate(f"() => document.querySelector('{name}').getBoundingClientRect().toJSON()")
        for name in ("dt", "dd")
    )

    assert in_order(label, value)
    assert tab.evaluate("() => getComputedStyle(document.querySelector('.lead bdi')).direction") == "ltr"
