# SPDX-License-Identifier: Apache-2.0
"""``edged completion SHELL``: the script for a shell; after ``--``, the words that could stand next. I/O: the daemon.

The script asks this very command at each press of Tab, so that it knows what the parser knows.
"""

from __future__ import annotations

import argparse
import re
import shlex
import socket
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from edged.commands.completing import Ask, Candidate, candidates, config_of
from edged.commands.reach import socket_of
from edged.commands.usage import DEFAULT_CONFIG, parser
from edged.ops.control import Refused, call

Arguments = argparse.Namespace

_ANSWER_S = 2.0
"""How long somebody who has pressed Tab waits for the daemon."""
_BREAKS = ":="
"""Where bash begins another word within one of ours, of the characters that names have."""
_SPECIAL = re.compile(r"([^\w@%+=:,./-])")
"""What a shell does not take for itself: billing names people as it likes, and Enter would run ``$(…)``."""


def completion(arguments: Arguments) -> int:
    """``edged completion bash``, ``zsh`` or ``fish``."""
    if not arguments.words:
        print(end=files("edged.commands").joinpath(f"shells/edged.{arguments.shell}").read_text("utf-8"))
        return 0
    words = arguments.words[1:] if arguments.words[0] == "--" else arguments.words
    cut = 0
    if arguments.shell == "bash":
        words, cut = _of_line(*words)
    found = candidates(parser(), words, _asking(config_of(parser(), words)))
    if isinstance(found, str):
        print(f":{found}")
        return 0
    for candidate in found:
        if candidate.word.isprintable():
            print(_line(arguments.shell, candidate, cut))
    return 0


def _line(shell: str, candidate: Candidate, cut: int) -> str:
    if shell == "bash":
        return _SPECIAL.sub(r"\\\1", candidate.word[cut:])  # the others' shells do so themselves
    return f"{candidate.word}\t{' '.join(candidate.text.split())}"


def _of_line(line: str = "", current: str = "", *_: str) -> tuple[Sequence[str], int]:
    """The words after ``edged`` on a line of bash, and how much of the last one bash takes for others."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()  # within quotes
    if not line or line[-1].isspace():
        words.append("")
    last = words[-1]
    at_break = bool(last) and (current in _BREAKS or last.endswith(current))
    begun = "" if current in _BREAKS else current
    return words[1:], len(last) - len(begun) if at_break else 0


def _asking(config: str) -> Ask:
    """Names of this host, and of the daemon; silence where it is away."""

    def ask(kind: str, beginning: str) -> Iterable[tuple[str, str]]:
        if kind == "checks":
            from edged.ops.doctor.checks import CHECKS

            return ((name, "") for name in ("config", *CHECKS))
        if kind == "interfaces":
            return ((name, "") for _, name in socket.if_nameindex())
        return (*_codes(kind), *_told(kind, beginning))

    def _told(kind: str, beginning: str) -> Iterable[tuple[str, str]]:
        try:
            path = socket_of(Path(config) if config else DEFAULT_CONFIG)
            named = call(path, "names", patience=_ANSWER_S, kind=kind, beginning=beginning)
        except Refused:
            return ()
        return ((str(name), str(text)) for name, text in named["names"])

    return ask


def _codes(kind: str) -> Iterable[tuple[str, str]]:
    if kind != "subjects":
        return ()
    from edged.ops.manual import CODES

    return ((code, "an alarm") for code in CODES)
