# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/ in, a folder of HTML out that needs no server and no network.

python -m config.manual.build FOLDER

FOLDER/site is the manual. The contents of docs/index.md are the navigation. What the pages name outside docs/ comes
along: Markdown as a page, everything else as a file. Needs requirements-manual.lock.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HERE = Path(__file__).parent
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
CHAPTER = re.compile(r"^\d+\. \*\*([^*]+)\*\*(.*(?:\n   .*)*)", re.MULTILINE)
FOREIGN = re.compile(r"""(?:\bsrc|<link[^>]*\bhref|\bsrcset|\bdata)=["']?(?:https?:)?//|url\(["']?(?:https?:)?//""")
"""What a browser would load from elsewhere; a link to click on is none of it."""

Chapter = tuple[str, list[Path]]


def chapters() -> list[Chapter]:
    """Title and pages of each chapter, as docs/index.md has them; a page that it does not name is in none."""
    found = []
    for title, text in CHAPTER.findall((DOCS / "index.md").read_text("utf-8")):
        targets = (target for _, target in LINK.findall(text) if not re.match(r"[a-z]+:", target) and "#" not in target)
        named = [page for target in targets for page in _pages(DOCS / target)]
        found.append((title, list(dict.fromkeys(named))))
    return found


def _pages(target: Path) -> list[Path]:
    path = target.resolve()
    return sorted(path.glob("*.md")) if path.is_dir() else [path]


# --- staging ---------------------------------------------------------------------------------------


def stage(folder: Path) -> None:
    """Every page, with links that hold in the site; and what they link to."""
    left = [*DOCS.rglob("*.md")]
    done: set[Path] = set()
    while left:
        page = left.pop()
        if page in done:
            continue
        done.add(page)
        place = folder / staged(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        text, more = _mended(page, folder)
        left += more
        place.write_text(text, "utf-8")


def staged(path: Path) -> str:
    """Where a file of the repository stands in the site, before it is HTML."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    kind = "project" if path.suffix == ".md" else "files"
    return f"{kind}/{path.relative_to(ROOT).as_posix()}"


def _mended(page: Path, folder: Path) -> tuple[str, list[Path]]:
    more: list[Path] = []

    def mend(link: re.Match[str]) -> str:
        target, hash_, anchor = link[2].partition("#")
        path = (page.parent / target).resolve()
        if not target or re.match(r"[a-z]+:", target) or not path.exists():
            return link[0]
        if path.is_dir():
            path = next((page for page in (path / "README.md", *_pages(path)) if page.exists()), path)
            if path.is_dir():
                return link[1][1:-1]
        if path.suffix == ".md":
            more.append(path)
        else:
            copy = folder / staged(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        return f"{link[1]}({posixpath.relpath(staged(path), posixpath.dirname(staged(page)))}{hash_}{anchor})"

    parts = re.split(r"(^```.*?^```$)", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(mend, part) for part in parts[::2]]
    return "".join(parts), more


def navigation() -> str:
    """For the end of zensical.toml."""
    nav: list[object] = [{"What edged is": "index.md"}]
    for title, pages in chapters():
        inside: list[object] = [{_title(page): staged(page)} for page in pages if staged(page) != "index.md"]
        if len(inside) == 1:
            nav.append({title: staged(pages[-1])})
        elif inside:
            nav.append({title: inside})
    return f"nav = {_toml(nav)}\n"


def _title(page: Path) -> str:
    heading = re.search(r"^# (.+)$", page.read_text("utf-8"), re.MULTILINE)
    title = heading[1].replace("`", "") if heading else page.stem
    number = re.match(r"(\d{4})-", page.name)
    return f"{number[1]} {title}" if number and not title.startswith(number[1]) else title


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


# --- the site --------------------------------------------------------------------------------------


def foreign(site: Path) -> Iterator[str]:
    """What the site would load from another host."""
    for path in sorted(site.rglob("*")):
        if path.suffix in {".html", ".css", ".svg"}:
            for found in FOREIGN.finditer(path.read_text("utf-8")):
                line = path.read_text("utf-8")[found.start() : found.end() + 60]
                yield f"{path.relative_to(site)}: {line}"


def main(folder: Path) -> int:
    """Exit status."""
    pages = folder / "pages"
    for old in (pages, folder / "site"):
        shutil.rmtree(old, ignore_errors=True)
    pages.mkdir(parents=True)
    stage(pages)
    for name in ("manual.css", "manual.svg", "iframe-worker.js"):
        shutil.copyfile(HERE / name, pages / name)
    settings = (HERE / "zensical.toml").read_text("utf-8").replace("[project]\n", f"[project]\n{navigation()}", 1)
    (folder / "zensical.toml").write_text(settings, "utf-8")
    zensical = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    status = subprocess.run(zensical, cwd=folder, check=False).returncode  # noqa: S603  # ourselves
    loaded = list(foreign(folder / "site"))
    for line in loaded:
        sys.stderr.write(f"loaded from elsewhere: {line}\n")
    print(folder / "site/index.html")
    return status or int(bool(loaded))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
