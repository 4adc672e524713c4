# SPDX-License-Identifier: Apache-2.0
"""Every `edged …` that the manual tells people to type is a command, with arguments that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.commands.usage import parser

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^\s*(?:[$#] )?(edged [a-z-].*)$", re.MULTILINE)
INLINE = re.compile(r"`(edged [^`]+)`")
BEHIND = re.compile(r"\s+#|\s[|>;&]|\s\(|(?<=\d)\s…$")
"""Where a command ends and a comment, a pipe or "and so on" begins."""
SENTENCES = ("edged is ", "edged statement link")
"""What begins alike and is none: output of the program, a text that is signed."""
SHORTENED = re.compile(r"are required|which action|can't open")
"""A command that a sentence names without all of its arguments, or with a file that is not here."""


def commands(text: str) -> Iterator[str]:
    """Those of the fenced blocks, which may go on in the next line, and those within a sentence."""
    for kind, block in FENCE.findall(text):
        if kind not in {"yaml", "json"}:
            yield from TYPED.findall(block.replace("\\\n", " "))
    for found in INLINE.findall(FENCE.sub("", text)):
        yield " ".join(found.split())


def fault(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line says against it; empty: nothing."""
    words = shlex.split(BEHIND.split(command)[0])[1:]
    try:
        parser().parse_args(words)
    except SystemExit as ended:
        said = capsys.readouterr().err
        return "" if not ended.code or SHORTENED.search(said) else f"{command}: {said}"
    return ""


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_what_the_manual_tells_to_type_is_a_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [command for command in commands(path.read_text("utf-8")) if not command.startswith(SENTENCES)]

    assert not [said for command in given if (said := fault(command, capsys))]


@pytest.mark.parametrize("command", ["edged stats", "edged status --loud", "edged keys burn k-1", "edged plan x y"])
def test_a_command_that_is_none_would_be_noticed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(commands(f"```\n# {command}\n```\n")) == [command]
    assert list(commands(f"Type `{command}`.")) == [command]
    assert fault(command, capsys)
