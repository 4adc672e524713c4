"""Every page in one picture for each language, theme and width: for people who change a template, a text or a colour.

    .venv/bin/python -m tests.pages_sheet                      # en, de and ar, both themes, 320, 390 and 900 px
    .venv/bin/python -m tests.pages_sheet --languages fr --widths 390 --schemes dark -c /etc/edged/edged.yaml

The pictures are put into .run/pages. Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import base64
import shutil
from html import escape
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from edged.captive.files.service import read_logos, read_templates
from edged.captive.page.pages import Pages
from edged.captive.page.proofs import proofs
from edged.captive.settings import PortalSettings
from edged.config.loading import load

HEIGHTS = {320: 480, 390: 844, 900: 572}
"""Of the window that a width stands for: an old phone, a phone, the sign-in sheet of a desktop."""
Scheme = Literal["light", "dark"]


def pictures(browser: Browser, documents: list[tuple[str, bytes]], width: int, scheme: Scheme) -> list[tuple[str, str]]:
    """Each page by name as the browser shows it, whole, in a window of the usual height."""
    page = browser.new_page(viewport={"width": width, "height": HEIGHTS.get(width, 600)}, color_scheme=scheme)
    taken = []
    for name, body in documents:
        page.set_content(body.decode())
        taken.append((name, base64.b64encode(page.screenshot(full_page=True)).decode()))
    page.close()
    return taken


def draw(browser: Browser, taken: list[tuple[str, str]], width: int, path: Path, columns: int) -> None:
    """One picture of all of them, each with a line where the window ends."""
    figures = "".join(
        f'<figure><figcaption>{escape(name)}</figcaption><div><img src="data:image/png;base64,{png}"></div></figure>'
        for name, png in taken
    )
    style = (
        "body{margin:12px;display:flex;flex-wrap:wrap;gap:14px;align-items:start;background:#777}figure{margin:0}"
        "figcaption{font:14px sans-serif;color:#fff}div{position:relative}img{display:block}"
        f"div::after{{content:'';position:absolute;inset-inline:0;top:{HEIGHTS.get(width, 600)}px;"
        "border-top:1px dashed red}"
    )
    page = browser.new_page(viewport={"width": (width + 14) * columns + 24, "height": 600})
    page.set_content(f"<style>{style}</style>{figures}", wait_until="load")
    page.screenshot(path=path, full_page=True)
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", type=Path, default=Path("config/example/edged.yaml"))
    parser.add_argument("--brand", default="default")
    parser.add_argument("--languages", nargs="+", default=["en", "de", "ar"])
    parser.add_argument("--schemes", nargs="+", default=["light", "dark"], choices=["light", "dark"])
    parser.add_argument("--widths", nargs="+", type=int, default=list(HEIGHTS))
    parser.add_argument("--only", default="", help="pages whose name holds this")
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--to", type=Path, default=Path(".run/pages"))
    chosen = parser.parse_args()
    portal: PortalSettings = load(chosen.config, read_files=False).config.portal
    pages = Pages(portal, read_templates(portal.templates), read_logos(portal), bytes(32))
    examples = [p for p in proofs(chosen.brand, portal.brands[chosen.brand].reasons) if chosen.only in p.name]
    chosen.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for language in chosen.languages:
            documents = [(p.name, pages.prove(p, language).body) for p in examples]
            for width in chosen.widths:
                for scheme in chosen.schemes:
                    path = chosen.to / f"{language}-{scheme}-{width}.png"
                    taken = pictures(browser, documents, width, scheme)
                    draw(browser, taken, width, path, chosen.columns or max(2, 2800 // width))
                    print(path)
        browser.close()


if __name__ == "__main__":
    main()
