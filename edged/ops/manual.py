# SPDX-License-Identifier: Apache-2.0
"""An alarm's code in, its entry of the manual out, also where no daemon runs. Reads the package's own copy.

``alarms.md`` is the part *Alarm codes* of docs/troubleshooting.md, word for word: ``make schema`` writes it.
"""

from __future__ import annotations

import re
import textwrap
from importlib.resources import files
from typing import Any

from edged.ops.codes import AFFECTED
from edged.ops.control import SCHEMA
from edged.ops.text import columns

Facts = dict[str, Any]

CODES = tuple(AFFECTED)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#]*)(?:#[^)]*)?\)")


def entry(code: str) -> str:
    """The entry of ``code`` as plain text, a paragraph a line. KeyError: there is no such code."""
    text = files("edged.ops").joinpath("alarms.md").read_text("utf-8")
    match = re.search(rf"^### `{re.escape(code)}`\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise KeyError(code)
    paragraphs = re.sub(r"\*\*", "", match[1]).strip().split("\n\n")
    plain = (_LINK.sub(_said, " ".join(paragraph.split())) for paragraph in paragraphs)
    return "\n".join(re.sub(r" (Affected:|Do:)", r"\n\1", paragraph) for paragraph in plain)


def _said(link: re.Match[str]) -> str:
    name, page = link[1], link[2] or "troubleshooting.md"
    return f"docs/{page}" if name == page else f"{name} (docs/{page})"


def facts(code: str, standing: str | None) -> Facts:
    """For a program; ``standing``: what the alarm says now, empty when it is not up, None when nobody could say."""
    now = "whether it is up now only a running edged can say" if standing is None else standing or "not up now"
    return {
        "schema": SCHEMA,
        "subject": code,
        "headline": f"{code}: {now}",
        "standing": standing,
        "manual": entry(code),
    }


def text(answer: Facts) -> str:
    """The headline, then the entry."""
    width = columns()
    lines = textwrap.wrap(answer["headline"], width, subsequent_indent="  ", break_on_hyphens=False)
    for paragraph in answer["manual"].split("\n"):
        lines += ["", *textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(lines)
