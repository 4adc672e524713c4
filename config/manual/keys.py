# SPDX-License-Identifier: Apache-2.0
"""The keys of the configuration in, a page of Markdown for each section out."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator

from config.manual.words import after, default, takes
from edged.config.described import Key, Meaning, keys
from edged.config.schema import Config

FOLDER = "reference/configuration"
"""Below docs/."""
TOP = "top"
_WRITTEN = "<!-- Written by `make schema` from the settings models in edged/: change it there. -->"
_LINK = re.compile(r"\]\((?![a-z]+:)([^)]+)\)")


def entries() -> list[tuple[Key, Meaning]]:
    """Every key with what it means; of a section that is used twice, the second time with a word on the first."""
    said: dict[tuple[object, str], str] = {}
    found = []
    for key in keys(Config):
        first = said.setdefault((key.model, key.name), key.path)
        meaning = key.meaning
        if first != key.path:
            meaning = Meaning(f"As [`{first}`](#{anchor(first)}).", meaning.example)
        found.append((key, meaning))
    return found


def by_section() -> dict[str, list[tuple[Key, Meaning]]]:
    """The entries of each page, by its name; what is no section is at the top."""
    groups = itertools.groupby(entries(), lambda entry: re.split(r"[.\[]", entry[0].path)[0])
    pages: dict[str, list[tuple[Key, Meaning]]] = {TOP: []}
    for name, group in groups:
        of_it = list(group)
        alone = len(of_it) == 1
        pages[TOP] += of_it[:1]
        if not alone:
            pages[name] = of_it[1:]
    return pages


def pages() -> dict[str, str]:
    """Path below docs/ -> Markdown."""
    return {f"{FOLDER}/{name}.md": "\n".join(_page(name, group)) + "\n" for name, group in by_section().items()}


def anchor(path: str) -> str:
    """As a forge makes it of the heading."""
    return re.sub(r"[^\w-]", "", path.lower())


def _page(name: str, group: Iterable[tuple[Key, Meaning]]) -> Iterator[str]:
    group = list(group)
    where = "the-top" if name == TOP else name
    yield f"# {'The top of the file' if name == TOP else name}\n"
    yield f"{_WRITTEN}\n"
    if name == TOP:
        yield "The keys that stand at the beginning of a line. A section has a page of its own."
    else:
        meaning = next(meaning for key, meaning in by_section()[TOP] if key.path == name)
        yield f"{linked(meaning.text)}"
    yield f"How it goes together, with an example: [Configuration](../../configure.md#{where})."
    yield "Durations, prefixes, secrets: [How to write values](../../configure.md#how-to-write-values).\n"
    yield "| key | default | in force after |\n|---|---|---|"
    for key, _ in group:
        yield f"| [`{key.path}`](#{anchor(key.path)}) | {default(key)} | {after(key)} |"
    sections = set(by_section())
    for key, meaning in group:
        yield from ("", *_entry(key, meaning, own=name == TOP and key.path in sections))


def _entry(key: Key, meaning: Meaning, *, own: bool) -> Iterator[str]:
    yield f"## `{key.path}`\n"
    yield f"{linked(meaning.text)}\n"
    yield f"- Takes: {takes(key)}" if not own else f"- Takes: [the keys of this section]({key.path}.md)"
    yield f"- Default: {default(key)}"
    yield f"- In force after: {after(key)}"
    if meaning.example:
        yield f"- Example: {meaning.example}"
    if meaning.mistake:
        yield f"- Common mistake: {linked(meaning.mistake)}"


def linked(text: str) -> str:
    """With links for a page in ``FOLDER``, of a text whose links are for one in docs/."""
    return _LINK.sub(lambda link: f"]({_from_here(link[1])})", text)


def _from_here(target: str) -> str:
    return target if target.startswith("#") else posixpath.relpath(target, FOLDER)
