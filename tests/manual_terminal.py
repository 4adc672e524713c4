# SPDX-License-Identifier: Apache-2.0
"""What the manual shows of a terminal, to be held against what a terminal says: the same words, columns and fields.

Numbers, times and drawn ids are others each time; ``[...]`` and an ellipsis stand for what a page leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROMPT = r"^[$#] (?=(?:apt|curl|dig|edged|ip|sed|systemctl|tar) )"
"""What `edged plan` prints has lines that begin with ``#`` as well."""
DOCS = Path(__file__).resolve().parents[1] / "docs"


class Typed(NamedTuple):
    """One command behind a prompt of a page."""

    command: str
    answer: str
    """What the page shows below it."""


def sessions(page: str, program: str = "edged ") -> Iterator[Typed]:
    """Every command of ``page`` that begins with ``program``, in order."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page_text(page), re.MULTILINE | re.DOTALL):
        if language in {"", "console"}:
            shown = block.replace("\\\n", "")
            for text in re.split(PROMPT, shown, flags=re.MULTILINE)[1:]:
                command, _, answer = text.partition("\n")
                if command.startswith(program):
                    yield Typed(command, answer)


def page_text(page: str) -> str:
    """The page as it is written."""
    return (DOCS / page).read_text("utf-8")


SHAPES = (
    (r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?(?: UTC)?)?", "TIME"),
    (r"local-[0-9a-f]{16}", "KEY"),
    (r"\b(?:\d+\.)?[0-9a-f]{8}(?:[0-9a-f]{8})?\b", "SNAPSHOT"),
    (r"(?:/[\w.-]+)+/(?=edged|billing)", "/"),
    (r"\d[\d,.]*", "0"),
    (r"\s+", " "),
)


def shape(line: str) -> str:
    """The line without what is another each time."""
    for pattern, word in SHAPES:
        line = re.sub(pattern, word, line)
    return line.strip()


def lacking(answer: str, said: str) -> set[str]:
    """What the page shows and ``said`` has not: entries, since where a line is broken depends on its numbers."""
    shown, found = (re.sub(r"\n {6,}(?=\S)", " ", text) for text in (answer, said))
    wanted = {shape(line) for line in shown.splitlines() if "…" not in line and "[...]" not in line}
    return wanted - set(map(shape, found.splitlines()))
