"""The key sheet in pictures, for people who change a template, a text or the style: put into .run/sheets.

    .venv/bin/python -m tests.sheet_pictures                     # one key, the longest, a batch and cards, in en and ar
    .venv/bin/python -m tests.sheet_pictures --languages de fr --size letter

Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from edged.captive.page.sheets.document import PAPERS
from tests.sheet_scene import LONGEST, PLAIN, batch, printed, printing, sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="+", default=["en", "ar"])
    parser.add_argument("--size", choices=PAPERS, default="a4")
    parser.add_argument("--to", type=Path, default=Path(".run/sheets"))
    chosen = parser.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 1200})
        for language in chosen.languages:
            how = printing(language, size=chosen.size)
            cards = printing(language, size=chosen.size, cards=True)
            for name, document in {
                "one": printed(sheet(), how=how),
                "longest": printed(LONGEST, how=how),
                "plain": printed(sheet(), how=printing(language, size=chosen.size, brand=PLAIN, logo="")),
                "batch": printed(*batch(2), how=how),
                "cards": printed(*batch(6), LONGEST, sheet(), how=cards),
            }.items():
                page.set_content(document)
                path = chosen.to / f"{language}-{name}.png"
                page.screenshot(path=path, full_page=True)
                print(path)
        browser.close()


if __name__ == "__main__":
    main()
