"""The grammar of a part of RouterOS' script language: source text in, statements out. Pure.

An own reading of the public manual "Scripting": statements end at a line's end or a semicolon; ``[ ]`` is a command's
value, ``( )`` an expression, ``{ }`` an array, or a block after ``do=``, ``else=``, ``on-error=`` and ``:do``; a name
in double quotes is replaced. Harsh where nothing is said: all of a source is read before any of it is done, and a menu
that the router has not is an error then; operators of several kinds need parentheses; escapes are those of the manual's
table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.routeros.sentences import SCRIPT, TrapError, to_octets, to_text

DEEPEST = 40
"""Brackets within brackets."""


@dataclass(frozen=True, slots=True)
class Name:
    """``$name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """What stands in double quotes, with the names in it."""

    parts: tuple[str | Name, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """A word without quotes."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A command: ``:put``, a menu's path with its verb, or ``$function``."""

    path: tuple[str, ...]
    given: tuple[Value, ...] = ()
    """Without a name."""
    named: tuple[tuple[str, Value], ...] = ()
    """By name; a name that ends in ``~`` is a pattern."""

    @property
    def head(self) -> str:
        return self.path[0]


@dataclass(frozen=True, slots=True)
class Operation:
    """``a = b``, ``!a``, ``a . b . c``."""

    operator: str
    operands: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """An array; a key is None where none was written."""

    pairs: tuple[tuple[Value | None, Value], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Statements in braces."""

    statements: tuple[Call | Block, ...]


Value = Name | Text | Word | Call | Operation | Items | Block

VERBS = frozenset({"add", "set", "remove", "get", "find", "move", "sign", "enable", "disable", "unset", "print", "run"})
"""With one of these a path ends."""

_BLANK = re.compile(r"(?:[ \t]|\\\n)*")
_BREAK = re.compile(r"(?:[ \t\n;]|\\\n|(?<![^\s;{])#[^\n]*)*")
_SPACE = re.compile(r"(?:[ \t\n]|\\\n)*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_NAME = re.compile(r"\$(\w+)")
_BARE = re.compile(r'[^\s;(){}\[\]"$=~\\]+')
_NAMED = re.compile(r"([A-Za-z0-9_.-]+)([=~])")
_LITERAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*")
_OPERATOR = re.compile(r"\|\||&&|!=|<=|>=|[=<>~.+,-]|(?:in|and|or)(?![\w-])")
_PART = re.compile(r"\\(?:([\"\\$?nrt_abfv])|([0-9A-F]{2})|(\n[ \t]*))|\$(\w+)|([^\\$]+)", re.DOTALL)
_SAID = {"n": "\n", "r": "\r", "t": "\t", "_": " ", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ENDS = frozenset("\n;}])")
_BLOCKS = frozenset({"do", "else", "on-error"})
_ALIKE = {"and": "&&", "or": "||"}


class Grammar:
    """Reads one source. ``knows`` says whether the router has a menu."""

    def __init__(self, source: str, knows: Callable[[str], bool]) -> None:
        self._source = source.replace("\r\n", "\n")
        self._knows = knows
        self._at = 0
        self._depth = 0

    def statements(self) -> tuple[Call | Block, ...]:
        """All of it. TrapError when it is none."""
        found = self._statements()
        if self._at < len(self._source):
            raise self._error()
        return found

    # --- statements --------------------------------------------------------------------------------

    def _statements(self) -> tuple[Call | Block, ...]:
        found: list[Call | Block] = []
        while True:
            self._skip(_BREAK)
            if self._next() in {"", "}", "]", ")"}:
                return tuple(found)
            found.append(self._statement())
            self._skip(_BLANK)
            if self._next() and self._next() not in _ENDS:
                raise TrapError("expected end of command", SCRIPT)

    def _statement(self) -> Call | Block:
        match self._next():
            case "{":
                return self._block()
            case "$":
                return self._arguments((f"${self._name().name}",))
            case ":" | "/":
                return self._arguments((self._bare(),))
            case _:
                raise TrapError(f"bad command name {self._bare()} {self._place()}", SCRIPT)

    def _block(self) -> Block:
        self._open("{")
        found = self._statements()
        self._close("}")
        return Block(found)

    def _arguments(self, path: tuple[str, ...]) -> Call:
        given: list[Value] = []
        named: list[tuple[str, Value]] = []
        while True:
            self._skip(_BLANK)
            if not self._next() or self._next() in _ENDS:
                break
            match = _NAMED.match(self._source, self._at)
            if match:
                self._at = match.end()
                name = match[1] if match[2] == "=" else f"{match[1]}~"
                named.append((name, self._argument(is_block=match[1] in _BLOCKS)))
            elif path[0].startswith("/") and path[-1] not in VERBS and self._next() not in '"$[({':
                path = (*path, self._bare())
            elif named:
                raise TrapError("expected end of command", SCRIPT)
            else:
                given.append(self._argument(is_block=path[0] == ":do"))
        if path[0].startswith("/"):
            path = tuple(word for part in path for word in part.split("/") if word)
            if not path or not self._knows("/" + "/".join(path[:-1])):
                raise TrapError(f"bad command name {path[-1] if path else '/'} {self._place()}", SCRIPT)
            path = ("/" + "/".join(path[:-1]), path[-1])
        return Call(path, tuple(given), tuple(named))

    def _argument(self, *, is_block: bool) -> Value:
        match self._next():
            case "{":
                return self._block() if is_block else self._items()
            case '"' | "$" | "[" | "(":
                return self._primary()
            case following if not following or following in _ENDS or following.isspace():
                return Text(())
            case _:
                return Word(self._bare())

    # --- values ------------------------------------------------------------------------------------

    def _primary(self) -> Value:
        match self._next():
            case '"':
                return self._text()
            case "$":
                return self._name()
            case "[":
                return self._substitution()
            case "(":
                self._open("(")
                found = self._expression()
                self._close(")")
                return found
            case "{":
                return self._items()
            case _:
                return Word(self._take(_LITERAL)[0])

    def _substitution(self) -> Call:
        self._open("[")
        self._skip(_BREAK)
        found = self._statement()
        self._skip(_BREAK)
        self._close("]")
        if isinstance(found, Block):
            raise self._error()
        return found

    def _expression(self) -> Value:
        operands, operators = [self._operand()], set[str]()
        while True:
            self._skip(_SPACE)
            match = _OPERATOR.match(self._source, self._at)
            if match is None:
                break
            self._at = match.end()
            operators.add(_ALIKE.get(match[0], match[0]))
            operands.append(self._operand())
        if not operators:
            return operands[0]
        if len(operators) > 1:
            raise TrapError("stand-in: operators of several kinds need parentheses", SCRIPT)
        return Operation(operators.pop(), tuple(operands))

    def _operand(self) -> Value:
        self._skip(_SPACE)
        if self._next() == "!" and not self._source.startswith("!=", self._at):
            self._open("!")
            found: Value = Operation("!", (self._operand(),))
            self._depth -= 1
            return found
        found = self._primary()
        while self._skip(_SPACE) and self._source.startswith("->", self._at):
            self._at += 2
            self._skip(_SPACE)
            found = Operation("->", (found, self._primary()))
        return found

    def _items(self) -> Items:
        self._open("{")
        pairs: list[tuple[Value | None, Value]] = []
        while True:
            self._skip(_BREAK)
            if self._next() == "}":
                break
            value: Value = self._operand()
            key: Value | None = None
            self._skip(_BLANK)
            if self._next() == "=":
                self._at += 1
                key, value = value, self._operand()
            pairs.append((key, value))
            self._skip(_BLANK)
            if self._next() not in {";", "}"}:
                raise self._error()
        self._close("}")
        return Items(tuple(pairs))

    def _text(self) -> Text:
        inner = self._take(_QUOTED)[1]
        parts: list[str | Name] = []
        octets, at = b"", 0
        while at < len(inner):
            match = _PART.match(inner, at)
            if match is None or (match[4] is None and inner[match.end() :].startswith(("$(", "$["))):
                raise self._error()
            at = match.end()
            if match[4]:
                parts += [to_text(octets), Name(match[4])]
                octets = b""
            elif match[2]:
                octets += bytes.fromhex(match[2])
            elif not match[3]:
                octets += to_octets(match[5] or _SAID.get(match[1], match[1]))
        return Text((*parts, to_text(octets)))

    def _name(self) -> Name:
        return Name(self._take(_NAME)[1])

    def _bare(self) -> str:
        return self._take(_BARE)[0]

    # --- letters -----------------------------------------------------------------------------------

    def _next(self) -> str:
        return self._source[self._at : self._at + 1]

    def _skip(self, what: re.Pattern[str]) -> bool:
        match = what.match(self._source, self._at)
        self._at = match.end() if match else self._at
        return True

    def _take(self, what: re.Pattern[str]) -> re.Match[str]:
        match = what.match(self._source, self._at)
        if match is None:
            raise self._error()
        self._at = match.end()
        return match

    def _open(self, letter: str) -> None:
        self._depth += 1
        if self._depth > DEEPEST or self._next() != letter:
            raise self._error()
        self._at += 1

    def _close(self, letter: str) -> None:
        self._skip(_BREAK)
        if self._next() != letter:
            raise self._error()
        self._at += 1
        self._depth -= 1

    def _place(self) -> str:
        before = self._source[: self._at]
        return f"(line {before.count(chr(10)) + 1} column {self._at - before.rfind(chr(10))})"

    def _error(self) -> TrapError:
        return TrapError(f"syntax error {self._place()}", SCRIPT)
