"""The key sheet in a real browser and under a real scanner: paper, contrast, direction, the code read back."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from edged.captive.page.locales.sheets import SHEETS
from edged.captive.page.sheets.code import code, joining, png_file
from edged.captive.page.sheets.document import ROWS, Printing, pages_of
from edged.captive.page.sheets.sheet import Sheet
from edged.values import Secret
from tests.sheet_scene import LONGEST, PLAIN, batch, printed, printing, sheet

CHROMIUM, ZBARIMG = shutil.which("chromium"), shutil.which("zbarimg")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
    pytest.mark.skipif(ZBARIMG is None, reason="no zbarimg here"),
]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
RULES: dict[str, Any] = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    # 7:1 for text of any size
    "rules": {"color-contrast-enhanced": {"enabled": True}},
    "resultTypes": ["violations"],
}
JUDGE = """async options => (await axe.run(document, options)).violations.map(
  v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join('; '))"""
# cells of the checklist cut what is too long, and show that they do
OVERFLOWING = """() => [...document.querySelectorAll('.page,.top,.rest,.join,.card,.in,.in>div,.two>div,.who')]
  .filter(e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1).map(e => e.className + ': '
  + e.scrollWidth + 'x' + e.scrollHeight + ' in ' + e.clientWidth + 'x' + e.clientHeight)"""
NARROWEST = """() => Math.min(...[...document.querySelectorAll('.qr svg')].map(e => {
  const modules = e.viewBox.baseVal.width; return e.getBoundingClientRect().width * (modules - 8) / modules }))"""
MILLIMETRE = 96 / 25.4


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 1200}, device_scale_factor=2)
        yield page
        browser.close()


def shown(tab: Tab, *sheets: Sheet, how: Printing | None = None) -> None:
    tab.set_content(printed(*sheets, how=how))
    tab.emulate_media(media="screen", color_scheme="light")


def paper(tab: Tab) -> list[tuple[float, float]]:
    """Width and height in millimetres of each page of paper."""
    tab.emulate_media(media="print")
    pdf = tab.pdf(prefer_css_page_size=True)
    assert pdf.count(b"/Type /Page\n") == len(re.findall(rb"/MediaBox", pdf))
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    return [(float(wide) / 72 * 25.4, float(high) / 72 * 25.4) for wide, high in boxes]


WAYS = [
    pytest.param([sheet()], {}, id="one"),
    pytest.param([LONGEST], {}, id="longest"),
    pytest.param([LONGEST], {"brand": PLAIN, "logo": ""}, id="longest-plain"),
    pytest.param([*batch(7), LONGEST, sheet()], {"cards": True}, id="cards"),
    pytest.param(batch(3), {}, id="batch"),
    pytest.param(batch(ROWS), {"cards": True}, id="whole-checklist"),
]


@pytest.mark.parametrize("language", SHEETS)
@pytest.mark.parametrize("size", ["a4", "letter"])
@pytest.mark.parametrize(("sheets", "more"), WAYS)
def test_each_page_of_paper_holds_what_is_on_it(
    tab: Tab, sheets: list[Sheet], more: dict[str, Any], size: str, language: str
) -> None:
    how = printing(language, size=size, **more)
    shown(tab, *sheets, how=how)

    assert tab.evaluate(OVERFLOWING) == []
    assert tab.evaluate(NARROWEST) >= 30 * MILLIMETRE - 0.5
    pages = paper(tab)
    assert len(pages) == pages_of(len(sheets), how)
    wide, high = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}[size]
    assert all(abs(w - wide) < 0.5 and abs(h - high) < 0.5 for w, h in pages)


@pytest.mark.parametrize("language", SHEETS)
@pytest.mark.parametrize(("sheets", "more"), WAYS)
def test_axe_finds_nothing_at_seven_to_one(
    tab: Tab, sheets: list[Sheet], more: dict[str, Any], language: str
) -> None:  # fmt: skip
    shown(tab, *sheets, how=printing(language, **more))
    tab.evaluate(AXE)

    assert tab.evaluate(JUDGE, RULES) == []


def test_axe_would_find_a_pale_text(tab: Tab) -> None:
    tab.set_content(printed(sheet()).replace("dt{color:#333}", "dt{color:#666}"))
    tab.evaluate(AXE)

    assert [found.partition(":")[0] for found in tab.evaluate(JUDGE, RULES)] == ["color-contrast-enhanced"]


def test_two_hundred_keys_are_two_hundred_pages_and_their_checklist(tab: Tab) -> None:
    shown(tab, *batch(200))

    assert tab.evaluate(OVERFLOWING) == []
    assert len(paper(tab)) == 207


def test_the_key_is_eighteen_points_or_more_and_monospaced_everywhere(tab: Tab) -> None:
    for how in (printing(), printing(cards=True)):
        for one in (sheet(), sheet("a" * 30), LONGEST):
            shown(tab, one, how=how)
            size, wide, narrow = tab.evaluate(
                """() => { const k = document.querySelector('.key'), s = getComputedStyle(k);
                const c = document.createElement('canvas').getContext('2d'); c.font = s.font;
                return [parseFloat(s.fontSize), c.measureText('WWWW').width, c.measureText('iiii').width] }"""
            )
            assert size >= 18 * 96 / 72
            assert wide == narrow


def test_arabic_mirrors_the_columns_and_neither_key_nor_code(tab: Tab) -> None:
    def places() -> tuple[float, float]:
        return tuple(
            tab.evaluate(f"() => document.querySelector('{name}').getBoundingClientRect().left")
            for name in (".key", ".qr")
        )

    shown(tab, sheet())
    key, symbol = places()
    drawn = tab.evaluate("() => document.querySelector('.qr svg').outerHTML")
    assert key < symbol

    shown(tab, sheet(), how=printing("ar"))
    key, symbol = places()
    assert symbol < key
    assert tab.evaluate("() => getComputedStyle(document.querySelector('.key')).direction") == "ltr"
    assert tab.evaluate("() => document.querySelector('.qr svg').outerHTML") == drawn


def test_without_colour_nothing_is_lost(tab: Tab) -> None:
    """Text is black or nearly so; what is not text is an edge, or the brand's own picture."""
    shown(tab, sheet(), how=printing(logo=""))
    colours = tab.evaluate(
        "() => [...new Set([...document.querySelectorAll('body *')].map(e => getComputedStyle(e).color))]"
    )

    assert set(colours) <= {"rgb(0, 0, 0)", "rgb(51, 51, 51)"}


# --- the scanner -------------------------------------------------------------------------------------

SPECIAL = '\\;,:"'
SCANNED = [
    sheet(),
    LONGEST,
    sheet(f"key{SPECIAL}with all"),
    *(sheet(f"a{sign}b{sign}{sign}cdefgh{sign}", ssid=f"{sign}net{sign}") for sign in SPECIAL),
    sheet("x" * 63, ssid="Résidence Nº 7 — 中文"),
    sheet(ssid="مساكن"),
    sheet("0123456789abcdef" * 4, ssid="hex"),
    sheet(ssid="Hidden", hidden=True),
]


def scanned(picture: Path) -> str:
    done = subprocess.run(
        [str(ZBARIMG), "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", str(picture)],
        check=False, capture_output=True,
    )  # fmt: skip
    return done.stdout.decode().removesuffix("\n")


@pytest.mark.parametrize("one", SCANNED, ids=lambda one: one.ssid)
@pytest.mark.parametrize("cards", [False, True], ids=["sheet", "card"])
def test_a_scanner_reads_the_printed_code_back(tab: Tab, tmp_path: Path, one: Sheet, *, cards: bool) -> None:
    shown(tab, one, how=printing(cards=cards))
    tab.emulate_media(media="print")
    tab.locator(".qr svg").screenshot(path=tmp_path / "code.png")

    assert scanned(tmp_path / "code.png") == joining(one.ssid, one.passphrase, hidden=one.hidden)


def test_a_scanner_reads_the_picture_for_a_message(tmp_path: Path) -> None:
    text = joining("Residence", Secret("wren-7mvq-3hnd-w4xt"), hidden=False)
    (tmp_path / "code.png").write_bytes(png_file(code(text)))

    assert scanned(tmp_path / "code.png") == text


def test_a_scanner_finds_every_code_on_a_page_of_cards(tab: Tab, tmp_path: Path) -> None:
    sheets = batch(8)
    shown(tab, *sheets, how=printing(cards=True))
    tab.locator(".cards").screenshot(path=tmp_path / "page.png")

    assert set(scanned(tmp_path / "page.png").split("\n")) == {
        joining(one.ssid, one.passphrase, hidden=False) for one in sheets
    }
