"""The subset of RouterOS' scripts that a bulk of guarded adds needs: source text in, commands and output out. Pure.

``:local NAME "TEXT"``, ``:set NAME ($NAME . "TEXT")``, ``:put ("TEXT" . $NAME)``, ``:do { … } on-error={ … }``,
comments, and commands with their path, as ``/ip/firewall/address-list/add list="a" address=192.0.2.1`` or with blanks
in it. In double quotes a name that nobody declared is nothing, so a ``$`` of a comment must be escaped (seen on 7.24.1
by the CrowdSec bouncer's authors). Everything else of the language is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.routeros.sentences import SCRIPT, TrapError

LARGEST = 64 * 1024
"""Octets that ``/execute`` takes, by the scripting manual."""

Run = Callable[[str, dict[str, str]], None]
"""A command's path and arguments. TrapError when it fails."""

_TOKEN = re.compile(
    r"""[ \t]*(?:(?P<comment>\#[^\n]*)|(?P<end>[\n;])|(?P<mark>[{}()=.])(?![\w/])|(?P<brace>[{}()])|"""
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<name>\$\w+)|(?P<word>[^\s;{}()="$]+)|(?P<equals>=))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\$nrt_?])|\$(\w+)')
_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t", "_": " ", "?": "?"}


@dataclass
class Script:
    """One run."""

    run: Run
    names: dict[str, str] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)

    def execute(self, source: str) -> str:
        """What it printed. TrapError for what nobody guards, and for what is not played."""
        tokens = _tokens(source.replace("\r\n", "\n"))
        try:
            self._statements(tokens)
        except IndexError:
            raise TrapError("syntax error", SCRIPT) from None
        if tokens:
            raise TrapError("syntax error", SCRIPT)
        return "\n".join(self.output)

    def _statements(self, tokens: list[str]) -> None:
        while tokens and tokens[0] != "}":
            if tokens[0] == "\n":
                tokens.pop(0)
            else:
                self._statement(tokens)

    def _statement(self, tokens: list[str]) -> None:
        match tokens.pop(0):
            case ":do":
                self._guarded(tokens)
            case ":local" | ":set":
                name = tokens.pop(0)
                self.names[name] = self._value(tokens)
            case ":put":
                self.output.append(self._value(tokens))
            case word if word.startswith("/"):
                self._command(word, tokens)
            case word:
                raise TrapError(f"bad command name {word}", SCRIPT)

    def _guarded(self, tokens: list[str]) -> None:
        body = _block(tokens)
        otherwise = None
        if tokens[:2] == ["on-error", "="]:
            del tokens[:2]
            otherwise = _block(tokens)
        try:
            self._statements(body)
        except TrapError:
            if otherwise is None:
                raise
            self._statements(otherwise)

    def _command(self, word: str, tokens: list[str]) -> None:
        path, arguments = [word], dict[str, str]()
        while tokens and tokens[0] not in {"\n", "}"}:
            name = tokens.pop(0)
            if tokens[:1] == ["="]:
                tokens.pop(0)
                arguments[name] = self._value(tokens)
            elif arguments:
                raise TrapError("expected end of command", SCRIPT)
            else:
                path.append(name)
        self.run("/".join(path), arguments)

    def _value(self, tokens: list[str]) -> str:
        if not tokens or tokens[0] in {"\n", "}"}:
            return ""
        first = tokens.pop(0)
        if first != "(":
            return self._text(first)
        parts = [self._value(tokens)]
        while tokens and tokens[0] == ".":
            tokens.pop(0)
            parts.append(self._value(tokens))
        if not tokens or tokens.pop(0) != ")":
            raise TrapError("syntax error", SCRIPT)
        return "".join(parts)

    def _text(self, token: str) -> str:
        if token.startswith("$"):
            return self.names.get(token[1:], "")
        if not token.startswith('"'):
            return token

        def meant(match: re.Match[str]) -> str:
            if match[2] is not None:
                return self.names.get(match[2], "")
            return _CHARACTERS.get(match[1], match[1])

        return _ESCAPED.sub(meant, token[1:-1])


def _tokens(source: str) -> list[str]:
    found, position = list[str](), 0
    end = len(source.rstrip(" \t"))
    while position < end:
        match = _TOKEN.match(source, position)
        if match is None:
            raise TrapError("syntax error", SCRIPT)
        position = match.end()
        if match["end"]:
            found.append("\n")
        elif not match["comment"]:
            found.append(match[0].strip())
    return found


def _block(tokens: list[str]) -> list[str]:
    if tokens[:1] != ["{"]:
        raise TrapError("syntax error", SCRIPT)
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token == "{") - (token == "}")
        if depth == 0:
            body = tokens[1:at]
            del tokens[: at + 1]
            return body
    raise TrapError("syntax error", SCRIPT)
