# SPDX-License-Identifier: Apache-2.0
"""The parser of the command line in, a page of Markdown on every command out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from edged.commands.usage import parser

PAGE = "reference/commands.md"
_WRITTEN = "<!-- Written by `make schema` from the parser in edged/commands: change it there. -->"
_EVERYWHERE = frozenset({"help", "config", "json", "no_color", "first_config"})
"""Told once, above the commands."""
COMMON = (
    ("-c FILE, --config FILE", "another configuration than `/etc/edged/edged.yaml`; before the command or after it"),
    ("--json", "the same facts for a program; the fields are stable"),
    ("--no-color", "plain text; `NO_COLOR` in the environment does the same"),
    ("-h, --help", "what a command takes, with examples"),
    ("--version", "of edged itself: which one this is"),
)
MEANT = {
    0: "done; for a question, answered",
    1: "refused, not found, or what `--healthy`, `--exit-code` and the checks of `doctor` and `probe` ask about",
    2: "a slip in the words of the command; one line says which",
    69: "the daemon does not answer: it is down, or you may not use its socket",
    78: "the configuration is not in order, or a reload of it was refused",
}
"""Of each exit status more than the command's own help has room for."""


class Argument(NamedTuple):
    """A word or an option of a command."""

    written: str
    """With what it takes: ``--for DURATION``."""
    text: str
    required: bool


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one action of one."""

    name: str
    text: str
    arguments: tuple[Argument, ...]
    examples: tuple[str, ...]
    actions: tuple[Command, ...]
    json: bool

    @property
    def synopsis(self) -> str:
        """Its words in a line; options that may be left out as one word."""
        words = [one.written for one in self.arguments if one.required or not one.written.startswith("-")]
        more = any(not one.required and one.written.startswith("-") for one in self.arguments)
        return " ".join((self.name, *["ACTION"] * bool(self.actions), *words, *["[OPTION ...]"] * more))


def commands() -> tuple[Command, ...]:
    """Every command, in the order of the overview."""
    return tuple(_commands(parser(), "edged"))


def _commands(above: argparse.ArgumentParser, prefix: str) -> Iterator[Command]:
    for action in above._actions:  # noqa: SLF001  # argparse has no public way to what a parser takes
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # the only name that argparse gives it
            for name, one in action.choices.items():
                yield _command(f"{prefix} {name}", one)


def _command(name: str, one: argparse.ArgumentParser) -> Command:
    taken = [
        action
        for action in one._actions  # noqa: SLF001  # as above
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001  # as above
    ]
    told = tuple(
        Argument(_written(action), " ".join((action.help or "").split()), bool(action.required))
        for action in taken
        if action.dest not in _EVERYWHERE
    )
    json = any(action.dest == "json" for action in taken)
    _, _, examples = (one.epilog or "").partition("examples:\n")
    lines = tuple(line.strip() for line in examples.partition("\n\n")[0].splitlines())
    return Command(name, one.description or "", told, lines, tuple(_commands(one, name)), json=json)


def _written(action: argparse.Action) -> str:
    value = _value(action)
    if not action.option_strings:
        return {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}.get(str(action.nargs), value)
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    several = {"+": f"{value} ...", "*": f"[{value} ...]"}.get(str(action.nargs), value)
    return ", ".join(f"{option} {several}" for option in action.option_strings)


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return (action.dest if not action.option_strings else action.option_strings[-1].lstrip("-")).upper()


# --- Markdown --------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Path below docs/ -> Markdown."""
    return {PAGE: "\n".join(_page()) + "\n"}


def _page() -> Iterator[str]:
    yield f"# Commands\n\n{_WRITTEN}\n"
    yield "`edged COMMAND --help` says the same at the terminal. What the answers mean: [Everyday](../everyday.md).\n"
    yield "| command | |\n|---|---|"
    for command in commands():
        yield f"| [`{command.name}`](#{command.name.replace(' ', '-')}) | {_cell(command.text)} |"
    yield "\n## What every command takes\n\n| | |\n|---|---|"
    for written, text in COMMON:
        yield f"| `{written}` | {text} |"
    without = ", ".join(f"`{command.name}`" for command in commands() if not command.json)
    yield f"\nThese answer no program and have no `--json`: {without}.\n"
    yield "## Exit statuses\n\n| status | |\n|---|---|"
    for status, text in MEANT.items():
        yield f"| {status} | {text} |"
    for command in commands():
        yield from _told(command, 2)


def _told(command: Command, depth: int) -> Iterator[str]:
    yield f"\n{'#' * depth} {command.name}\n"
    yield f"{sentence(command.text)}\n"
    yield f"```text\n{command.synopsis}\n```"
    if command.arguments:
        yield "\n| | |\n|---|---|"
        for one in command.arguments:
            yield f"| `{_cell(one.written)}` | {_cell(one.text)} |"
    if command.examples:
        yield "\n```sh"
        yield from command.examples
        yield "```"
    for action in command.actions:
        yield from _told(action, depth + 1)


def sentence(text: str) -> str:
    """Of a line of help."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(("?", ".")) else ".")


def _cell(text: str) -> str:
    """For a table: a bar ends no cell."""
    return text.replace("|", r"\|")
