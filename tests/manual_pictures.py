"""The pictures of the manual that are of the program: ``make pictures`` writes them into docs/pictures.

The page as a phone shows it, a resident's key sheet, the dashboard of a made-up edge. Needs Debian's chromium.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from edged.captive.files.service import read_logos, read_templates
from edged.captive.page.pages import Pages
from edged.captive.page.proofs import proofs
from edged.captive.settings import BrandSettings, PortalSettings
from tests.dashboard_scene import scenes
from tests.sheet_scene import printed, printing, sheet

FOLDER = Path("docs/pictures")
BRAND = BrandSettings(
    name="Example ISP", colour="#0a5cff", link="https://customer.example.net/login", phone="+1 555 0100",
    hours={"en": "Monday to Friday, 8:00 to 18:00"},
)  # fmt: skip
PORTAL = PortalSettings.model_validate(
    {"url": "https://portal.example.net", "addresses": ["203.0.113.10"], "pass": {}, "brands": {"default": BRAND}}
)


def page(name: str) -> str:
    """A document of the page, in English."""
    pages = Pages(PORTAL, read_templates(None), read_logos(PORTAL), bytes(32))
    return pages.prove(next(proof for proof in proofs("default") if proof.name == name), "en").body.decode()


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, body, width, height in (
            ("page", page("blocked-unpaid"), 390, 700),
            ("key-sheet", printed(sheet(), how=printing("en")), 820, 620),
            ("dashboard", scenes()["well"].decode(), 1280, 800),
        ):
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            tab.set_content(body)
            tab.screenshot(path=FOLDER / f"{name}.png")
            tab.close()
            print(FOLDER / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
