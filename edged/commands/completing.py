# SPDX-License-Identifier: Apache-2.0
"""The words of a command line that is being typed in, what could come next out; read from the parser itself.

Names that change (ids, keys, targets) are asked of the daemon by ``ask``; where it is away there are none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Ask = Callable[[str, str], Iterable[tuple[str, str]]]
"""A kind of name and how it begins -> names, each with a word on it."""
FILES, DIRECTORIES = "files", "directories"

KINDS: dict[str, str] = {
    "subject": "subjects", "name": "garden",
    "subscriber": "subscribers", "accept": "held", "snapshot": "held", "router": "targets", "check": "checks",
    "id": "keys", "ids": "keys", "site": "sites", "ssid": "networks", "ssids": "networks", "brand": "brands",
    "edge": "edges", "via": "interfaces", "interface": "interfaces",
    "config": FILES, "first_config": FILES, "capture": FILES, "ca": FILES, "out": FILES, "file": FILES,
    "units": FILES, "report": FILES, "of": FILES, "passphrase_file": FILES, "pages": DIRECTORIES,
}  # fmt: skip
"""What an argument that takes a value takes, by its name."""
FREE = frozenset({
    "length", "until", "why", "since", "as", "gateway", "resolver", "public", "foreign", "source", "networks",
    "portal", "portal_address", "billing", "signed_by", "router_user", "begins", "ends", "at", "overlap", "yes",
    "count", "first", "prefix", "label", "vlan", "vlan_from", "device_limit", "rate", "devices", "language", "words",
})  # fmt: skip
"""Arguments whose value nobody can guess."""


class Candidate(NamedTuple):
    """One word that could stand next."""

    word: str
    text: str = ""
    """What it is, for shells that show it."""


@dataclass(slots=True)
class _Typed:
    """What the words so far have led to."""

    parser: argparse.ArgumentParser
    positionals: list[argparse.Action] = field(default_factory=list)
    """Those that may still come, in order."""
    pending: argparse.Action | None = None
    """An option that waits for a value."""
    used: set[str] = field(default_factory=set)
    config: str = ""
    options_ended: bool = False


def config_of(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """The configuration that the words name; empty: the default."""
    return _walked(parser, words[:-1]).config


def candidates(parser: argparse.ArgumentParser, words: Sequence[str], ask: Ask) -> list[Candidate] | str:
    """What could stand in place of the last of ``words``; ``FILES`` or ``DIRECTORIES``: the shell knows."""
    *before, current = words or [""]
    typed = _walked(parser, before)
    found: list[Candidate] = []
    if typed.pending is not None:
        values = _values(typed.pending, current, ask)
        if isinstance(values, str) or typed.pending.nargs not in {"+", "*"}:
            return _beginning(values, current)
        found += values
    elif current.startswith("-") and not typed.options_ended:
        return _beginning(list(_options(typed)), current)
    elif typed.positionals:
        values = _values(typed.positionals[0], current, ask)
        if isinstance(values, str):
            return values
        found += values
    if not found and not current and not typed.options_ended:
        found += _options(typed)
    return _beginning(found, current)


def _walked(parser: argparse.ArgumentParser, words: Iterable[str]) -> _Typed:
    typed = _Typed(parser, _positionals(parser))
    for word in words:
        _take(typed, word)
    return typed


def _take(typed: _Typed, word: str) -> None:
    if word == "--" and not typed.options_ended:
        typed.options_ended, typed.pending = True, None
    elif word.startswith("-") and len(word) > 1 and not typed.options_ended:
        _take_option(typed, word)
    elif typed.pending is not None:
        if typed.pending.dest in {"config", "first_config"}:
            typed.config = word
        if typed.pending.nargs not in {"+", "*"}:
            typed.pending = None
    elif typed.positionals:
        _take_positional(typed, word)


def _take_option(typed: _Typed, word: str) -> None:
    name, equals, value = word.partition("=")
    option = typed.parser._option_string_actions.get(name)  # noqa: SLF001  # argparse has no public way to its options
    typed.pending = None
    if option is None:
        return
    typed.used.add(option.dest)
    if equals and option.dest in {"config", "first_config"}:
        typed.config = value
    if option.nargs != 0 and not equals:
        typed.pending = option


def _take_positional(typed: _Typed, word: str) -> None:
    action = typed.positionals[0]
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # the only name that argparse gives it
        chosen = action.choices.get(word)
        if chosen is None:
            typed.positionals, typed.options_ended = [], True  # a slip: nothing follows from it
            return
        typed.parser, typed.positionals, typed.used = chosen, _positionals(chosen), set()
    elif action.nargs not in {"*", "+"}:
        del typed.positionals[0]


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]  # noqa: SLF001  # as in _take_option


def _options(typed: _Typed) -> Iterator[Candidate]:
    for action in typed.parser._actions:  # noqa: SLF001  # as in _take_option
        if not action.option_strings or action.help == argparse.SUPPRESS:
            continue
        repeats = isinstance(action, argparse._AppendAction)  # noqa: SLF001  # as in _take_positional
        if action.dest not in typed.used or repeats:
            yield Candidate(action.option_strings[-1], action.help or "")


def _values(action: argparse.Action, current: str, ask: Ask) -> list[Candidate] | str:
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # as in _take_positional
        told = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001  # their help
        return [Candidate(word, told[word]) for word in action.choices if word in told]
    if action.choices is not None:
        return [Candidate(str(choice)) for choice in action.choices]
    kind = KINDS.get(action.dest, "")
    if kind in {FILES, DIRECTORIES}:
        return kind
    return [Candidate(*name) for name in ask(kind, current)] if kind else []


def _beginning(found: list[Candidate] | str, current: str) -> list[Candidate] | str:
    if isinstance(found, str):
        return found
    return [candidate for candidate in found if candidate.word.startswith(current)]
