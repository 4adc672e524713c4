# SPDX-License-Identifier: Apache-2.0
"""How an answer reaches a person: width, colours, ASCII, a pager, and a word when it takes long. I/O: the terminal.

Colours follow no-color.org and repeat a word that stands there anyway. What goes into a pipe or a file is plain text,
80 columns wide.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from edged.ops.text import WIDTH, fit

_RED, _GREEN, _YELLOW, _CYAN, _FAINT = "31", "32", "33", "36", "2"
_COLOURS = {
    "OK": _GREEN, "REACHABLE": _GREEN, "OPEN": _GREEN, "EXEMPT": _GREEN,
    "WARN": _YELLOW, "STRANGER": _YELLOW, "UNKNOWN": _YELLOW, "warning": _YELLOW,
    "FAIL": _RED, "BLOCKED": _RED, "HELD": _RED, "WRONG": _RED, "REJECTED": _RED, "DROPPED": _RED, "NOT": _RED,
    "error": _RED,
    "WATCH": _CYAN, "SKIP": _FAINT, "OFF": _FAINT,
}  # fmt: skip
"""Words to the code of ECMA-48 (SGR) that repeats what they say."""
_LOUD = [word for word in _COLOURS if word.isupper()]
_WORD = re.compile(rf"(?<![\w.-])({'|'.join(_LOUD)})(?![\w.-])|^(error|warning)(?=  )", re.MULTILINE)
_PLAIN = str.maketrans({
    "…": "...", "–": "-", "—": "-", "→": "->", "×": "x", "“": '"', "”": '"', "‘": "'", "’": "'",  # noqa: RUF001
    "\N{NO-BREAK SPACE}": " ", "\N{REPLACEMENT CHARACTER}": "?",
})  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CLEAR_LINE = "\033[K"
PATIENCE_S = 1.0
"""Seconds after which something is said of what takes long."""
_UNIVERSAL = "C.UTF-8"


@dataclass(frozen=True, slots=True)
class Screen:
    """What standard output takes."""

    is_terminal: bool
    columns: int
    colours: bool
    ascii: bool

    @classmethod
    def of(cls, stream: IO[str] | None, environment: Mapping[str, str], *, no_color: bool = False) -> Screen:
        """The screen behind ``stream``."""
        is_terminal = _is_terminal(stream)
        width = shutil.get_terminal_size((WIDTH, 24)).columns if is_terminal else WIDTH
        dull = no_color or bool(environment.get("NO_COLOR")) or environment.get("TERM") in {None, "", "dumb"}
        return cls(is_terminal, width, is_terminal and not dull, not _is_universal(environment))

    def shown(self, text: str) -> str:
        """``text`` as this screen can show it, which nothing in it commands."""
        text = harmless(text) if self.is_terminal else text
        if self.ascii:
            text = text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
        return painted(text) if self.colours else text


def harmless(text: str) -> str:
    """``text`` without what commands a terminal: root reads here what a daemon that was taken over may have said."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _is_terminal(stream: IO[str] | None) -> bool:
    """Closed by whoever started us, a stream is None."""
    return stream is not None and stream.isatty()


def painted(text: str) -> str:
    """``text`` with the words of ``_COLOURS`` in their colours."""

    def paint(match: re.Match[str]) -> str:
        return f"\033[{_COLOURS[match[0]]}m{match[0]}\033[0m"

    return _WORD.sub(paint, text)


def _is_universal(environment: Mapping[str, str]) -> bool:
    """False where the locale is said to be another than UTF-8; what says nothing is taken for UTF-8."""
    said = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if said[1] == _UNIVERSAL and not said[0] and said[2]:
        said[1] = ""  # Python's own word in place of LANG=C (PEP 538)
    locale = next(filter(None, said), _UNIVERSAL)
    return "utf8" in locale.lower().replace("-", "")


def screen(arguments: Any) -> Screen:
    """The screen that a command answers on; from now on text is as wide as that."""
    found = Screen.of(sys.stdout, os.environ, no_color=bool(getattr(arguments, "no_color", False)))
    fit(found.columns)
    return found


def answer(arguments: Any, facts: Any, render: Callable[[Any], str], *, paged: bool = False) -> None:
    """Print ``facts``: with ``--json`` as they are, else as ``render`` words them for people."""
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return
    on = screen(arguments)
    say(on, render(facts), paged=paged)


def say(on: Screen, text: str, *, paged: bool = False) -> None:
    """Print ``text``; ``paged``: through a pager where a person reads it."""
    shown = on.shown(text)
    if not (paged and on.is_terminal and _page(shown + "\n")):
        print(shown)


def _page(text: str) -> bool:
    """Show ``text`` in the operator's pager, or in less, which ends by itself on what fits; False: there is none."""
    command = shlex.split(os.environ.get("PAGER", "")) or ["less"]
    if shutil.which(command[0]) is None:
        return False
    sys.stdout.flush()
    # Ctrl-C is the pager's while it runs
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        environment = {"LESS": "FIRX", **os.environ}
        subprocess.run(command, input=text, text=True, encoding="utf-8", env=environment, check=False)  # noqa: S603  # the operator's own choice
    finally:
        signal.signal(signal.SIGINT, before)
    return True


# --- what takes long -------------------------------------------------------------------------------


def repaints(stream: IO[str] | None) -> bool:
    """True where a line can be written over."""
    return _is_terminal(stream) and os.environ.get("TERM") not in {None, "", "dumb"}


@contextmanager
def waiting(doing: str) -> Iterator[None]:
    """Say on a terminal what is being done, and for how long, from a second on; it is gone when it is done."""
    if not repaints(sys.stderr):
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_count, args=(doing, done), name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _count(doing: str, done: threading.Event) -> None:
    seconds = 0
    while not done.wait(PATIENCE_S):
        seconds += 1
        print(f"{doing} … {seconds} s{_CLEAR_LINE}", end="\r", file=sys.stderr, flush=True)
    if seconds:
        print(end=_CLEAR_LINE, file=sys.stderr, flush=True)


def repaint(on: Screen, text: str) -> None:
    """``text`` from the top of the terminal, over what stood there."""
    lines = on.shown(text).split("\n")
    print("\033[H" + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + "\033[J", end="", flush=True)
