"""The page in a real browser: small screens, directions, themes, and nothing refused by its own policy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from edged.captive.locales import LOCALES
from tests.loopback.test_captive import House, running

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")]

TARGETS = """() => [...document.querySelectorAll('a,button')].map(e => {
  const box = e.getBoundingClientRect();
  return [e.textContent.trim(), box.width, box.height, box.bottom] })"""


async def looked_at(house: House, target: str, width: int, height: int, scheme: str) -> tuple[list[list[object]], int]:
    """The controls of the page with their sizes, and its width when laid out; the console stays empty."""
    complaints: list[str] = []
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP portal.example.net:443 127.0.0.1:{house.https}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = await browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            ignore_https_errors=True,
        )
        page.on("console", lambda message: complaints.append(message.text))
        answer = await page.goto(f"https://portal.example.net{target}")
        assert answer is not None
        assert answer.ok
        controls = await page.evaluate(TARGETS)
        laid_out = await page.evaluate("document.documentElement.scrollWidth")
        await browser.close()
    assert complaints == []
    return controls, laid_out


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_a_small_sign_in_sheet(tmp_path: Path, language: str, scheme: str) -> None:
    async with running(tmp_path) as house:
        controls, laid_out = await looked_at(house, f"/?lang={language}", 320, 480, scheme)

        assert laid_out == 320
        assert all(float(str(width)) >= 48 and float(str(height)) >= 48 for _, width, height, _ in controls)
        assert float(str(controls[0][3])) <= 480  # the first button needs no scrolling


async def test_the_buttons_work_in_the_browser(tmp_path: Path) -> None:
    arguments = ["--no-sandbox"]
    async with running(tmp_path) as house, async_playwright() as playwright:
        arguments.append(f"--host-resolver-rules=MAP portal.example.net:443 127.0.0.1:{house.https}")
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = await browser.new_page(ignore_https_errors=True)
        await page.goto("https://portal.example.net/")
        await page.get_by_role("button", name="I have paid: check now").click()

        assert await page.get_by_role("heading", level=1).inner_text() == LOCALES["en"].texts["looking.title"]
        assert house.clerk.checked == ["1001"]
        await browser.close()
