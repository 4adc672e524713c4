"""The page over HTTPS in a real browser: small screens, and nothing refused by its own policy."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from edged.captive.page.locales import LOCALES
from edged.captive.statement import make_link
from edged.policy.access import Learned
from tests.captive_scene import KEY
from tests.loopback.test_captive import House, running

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")]

TARGETS = """() => [...document.querySelectorAll('a,button,summary')].map(e => {
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


async def test_a_running_pass_counts_down_under_its_own_policy(tmp_path: Path) -> None:
    """The rules of its minutes are a second style sheet, which the policy must name: the console says if not."""
    async with running(tmp_path) as house:
        view = house.current.view
        house.current.publish(dataclasses.replace(view, learned=Learned(passes={"1001": time.time() + 700})))

        controls, _ = await looked_at(house, "/?lang=en", 320, 480, "light")

        assert [text for text, *_ in controls][:3] == ["Time left", "See what is due", "I have paid: check now"]


async def test_the_page_works_without_script_and_without_cookies(tmp_path: Path) -> None:
    async with running(tmp_path) as house, async_playwright() as playwright:
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP portal.example.net:443 127.0.0.1:{house.https}"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = await browser.new_context(ignore_https_errors=True, java_script_enabled=False)
        page = await context.new_page()
        await page.goto(make_link(KEY, "https://portal.example.net", "1001", time.time() + 60))
        assert "€49.90" in await page.locator("dl").inner_text()
        await page.get_by_role("link", name="Español").click()
        assert "49,90" in await page.locator("dl").inner_text()
        await page.get_by_role("button", name="Ya pagué: comprobar").click()

        assert await page.get_by_role("status").inner_text() != ""
        assert house.clerk.checked == ["1001"]
        assert await context.cookies() == []
        await browser.close()
