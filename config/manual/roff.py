# SPDX-License-Identifier: Apache-2.0
"""The same facts in, two pages for ``man`` out: edged(1) and edged.yaml(5). Language: man(7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from config.manual import keys
from config.manual.commands import COMMON, MEANT, Argument, Command, commands, sentence
from config.manual.words import after, default, takes

FOLDER = "reference/man"
"""Below docs/."""
_WRITTEN = r""".\" Written by "make schema" from the parser and the settings models in edged/: change it there."""
_SPAN = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]*)\]\([^)]*\)")
_INTRODUCTION = """\
Blocked subscribers are led to a page where they can pay, and residents have Wi-Fi keys of their own. One daemon does
it, which `edged run` starts; every other command asks that daemon, or reads the configuration.
"""
_CONFIGURATION = """\
One YAML file, `/etc/edged/edged.yaml`. `edged init` writes a first one, `edged check` says every fault at once and what
a good file means, `edged reload` takes a changed one into force. Unknown keys are refused.

In a path, `NAME` is a word of your own and `[]` is one entry of a list. A duration is written `500ms`, `5s`, `10m`,
`6h` or `7d`, a share `3%`, a secret `!file PATH`. Addresses and prefixes stand in quotes.

Default required: the key must stand there once its section does. None: empty, or off. Below: the keys that follow.
"""
_ESCAPES = str.maketrans(
    {
        "\\": r"\e",
        "-": r"\-",
        "^": r"\(ha",
        "~": r"\(ti",
        "`": r"\(ga",
        "…": "...",
        "±": r"\(+-",
        "“": r"\(lq",
        "”": r"\(rq",
    }
)
_FILES = (
    ("/etc/edged/edged.yaml", "the configuration: edged.yaml(5)"),
    ("/var/lib/edged", "the state directory: last good list, sealing key, database"),
    ("/run/edged/control.sock", "what the commands talk to"),
    ("/usr/share/doc/edged/docs", "the manual: begin with index.md"),
)


def pages() -> dict[str, str]:
    """Path below docs/ -> a page for ``man``."""
    return {
        f"{FOLDER}/edged.1": "\n".join(_edged()) + "\n",
        f"{FOLDER}/edged.yaml.5": "\n".join(_configuration()) + "\n",
    }


# --- edged(1) --------------------------------------------------------------------------------------


def _edged() -> Iterator[str]:
    yield from _head("EDGED", "1", "edged", "the edge daemon of an Internet provider, and its commands")
    yield from (".SH SYNOPSIS", r"\fBedged\fR [\fB\-c\fR \fIFILE\fR] \fICOMMAND\fR [\fIARGUMENT\fR ...]")
    yield ".SH DESCRIPTION"
    yield _line(_INTRODUCTION.strip())
    yield from (".PP", "What every command takes:")
    for written, text in COMMON:
        yield from _term(written, text)
    yield ".SH COMMANDS"
    for command in commands():
        yield from _command(command)
    yield ".SH EXIT STATUS"
    for status, text in MEANT.items():
        yield from _term(str(status), text)
    yield ".SH ENVIRONMENT"
    yield from _term("NO_COLOR", "plain text, whatever it is set to")
    yield ".SH FILES"
    for path, text in _FILES:
        yield from _term(path, text)
    yield from (".SH SEE ALSO", ".BR edged.yaml (5),", ".BR systemctl (1),", ".BR journalctl (1)")


def _command(command: Command) -> Iterator[str]:
    yield f".SS {_escaped(command.name)}"
    yield from _told(command)
    for action in command.actions:
        yield from (".PP", f"\\fB{_escaped(action.name)}\\fR")
        yield from (".RS 4", *_told(action), ".RE")


def _told(command: Command) -> Iterator[str]:
    yield _line(sentence(command.text))
    yield from (".PP", f"\\fI{_escaped(command.synopsis)}\\fR")
    for one in command.arguments:
        yield from _argument(one)
    if command.examples:
        yield from (".PP", "Examples:", ".PP", ".RS 4", ".nf", *map(_escaped, command.examples), ".fi", ".RE")


def _argument(one: Argument) -> Iterator[str]:
    return _term(one.written, one.text)


# --- edged.yaml(5) ---------------------------------------------------------------------------------


def _configuration() -> Iterator[str]:
    yield from _head("EDGED.YAML", "5", "edged.yaml", "the configuration of edged(1)")
    yield ".SH DESCRIPTION"
    yield "\n.PP\n".join(_line(paragraph.strip()) for paragraph in _CONFIGURATION.split("\n\n"))
    for name, group in keys.by_section().items():
        yield f".SH {_escaped('THE TOP' if name == keys.TOP else name.upper())}"
        for key, meaning in group:
            facts = f"Takes {takes(key)}. Default: {default(key)}. In force after: {after(key)}."
            yield from _term(key.path, meaning.text)
            yield from (".br", _line(facts))
            if meaning.example:
                yield from (".br", _line(f"Example: {meaning.example}"))
            if meaning.mistake:
                yield from (".br", _line(f"Common mistake: {meaning.mistake}"))
    yield from (".SH SEE ALSO", ".BR edged (1)")


# --- man(7) ----------------------------------------------------------------------------------------


def _head(title: str, section: str, name: str, text: str) -> Iterable[str]:
    yield _WRITTEN
    yield f'.TH {title} {section} "" "edged" "edged manual"'
    yield from (".SH NAME", f"{_escaped(name)} \\- {_escaped(text)}")


def _term(term: str, text: str) -> Iterator[str]:
    yield from (".TP", f"\\fB{_escaped(term)}\\fR", _line(text))


def _line(text: str) -> str:
    """Markdown as one line of roff: code and what is strong in bold, of a link its words."""
    parts, at = [], 0
    for span in _SPAN.finditer(text):
        parts.append(_escaped(text[at : span.start()]))
        strong = span[1] or span[2]
        parts.append(f"\\fB{_escaped(strong)}\\fR" if strong else _line(span[3]))
        at = span.end()
    line = "".join((*parts, _escaped(text[at:])))
    return line if not line.startswith((".", "'")) else f"\\&{line}"


def _escaped(text: str) -> str:
    """A minus that can be pasted, and nothing that roff would take for its own."""
    escaped = text.translate(_ESCAPES)
    return escaped if not escaped.startswith((".", "'")) else f"\\&{escaped}"
