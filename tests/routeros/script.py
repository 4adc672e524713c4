"""What a script of RouterOS does: its statements carried out one after the other. Pure but for the commands it gives.

Played: ``:local``, ``:set``, ``:put``, ``:error``, ``:return``, ``:if``, ``:foreach``, ``:while``, ``:do``,
``:delay``, ``:len``, ``:tostr``, ``:toarray``, ``:pick``, ``:find``, ``:typeof``, ``:parse``, functions, and commands
with their path. Everything else of the language is an error. In double quotes a name that nobody declared is nothing,
so a ``$`` of a comment must be escaped (seen on 7.24.1 by the CrowdSec bouncer's authors); elsewhere it is an error
here. Harsh where the manual says nothing: what ``get`` gives has a type, and is equal to nothing of another type;
a function and what ``:parse`` made see no name from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from tests.routeros.grammar import Block, Call, Grammar, Items, Name, Operation, Text, Value, Word
from tests.routeros.sentences import SCRIPT, TrapError

LARGEST = 64 * 1024
"""Octets that ``/execute`` takes, by the scripting manual."""
LONGEST = 200_000
"""Statements that one run may carry out."""


class Address(str):
    """An address or a prefix: equal to no text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and str(self) == str(other)

    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class Code:
    """A function's body."""

    body: Block


Run = Callable[[str, dict[str, Any]], Any]
"""A command's path and arguments; its value, where it has one. TrapError when it fails."""


class _ReturnError(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Scope:
    """The names of one block and of those around it."""

    def __init__(self, outer: Scope | None = None, names: Mapping[str, Any] | None = None) -> None:
        self._outer = outer
        self._names = dict(names or {})

    def declare(self, name: str, value: Any) -> None:
        self._names[name] = value

    def where(self, name: str) -> dict[str, Any] | None:
        """The names among which it is; None: nobody declared it."""
        if name in self._names:
            return self._names
        return self._outer.where(name) if self._outer else None


@dataclass
class Script:
    """One run."""

    run: Run
    knows: Callable[[str], bool] = lambda _menu: True
    output: list[str] = field(default_factory=list)
    _steps: int = 0

    def execute(self, source: str) -> str:
        """What it printed. TrapError for what nobody guards, and for what is not played."""
        try:
            self._statements(Grammar(source, self.knows).statements(), Scope())
        except _ReturnError:
            pass
        except RecursionError:
            raise TrapError("stand-in: too deep", SCRIPT) from None
        return "\n".join(self.output)

    # --- statements --------------------------------------------------------------------------------

    def _statements(self, statements: Sequence[Call | Block], scope: Scope) -> None:
        for statement in statements:
            self._steps += 1
            if self._steps > LONGEST:
                raise TrapError("stand-in: too long", SCRIPT)
            if isinstance(statement, Block):
                self._statements(statement.statements, Scope(scope))
            else:
                self._call(statement, scope)

    def _call(self, call: Call, scope: Scope) -> Any:
        if call.head.startswith("$"):
            return self._function(call, scope)
        if call.head.startswith("/"):
            return self._command(call, scope)
        played = getattr(self, f"_play_{call.head[1:].replace('-', '_')}", None)
        if played is None:
            raise TrapError(f"bad command name {call.head[1:]}", SCRIPT)
        return played(call, scope)

    def _function(self, call: Call, scope: Scope) -> Any:
        code = self._value(Name(call.head[1:]), scope)
        if not isinstance(code, Code):
            raise TrapError(f"stand-in: {call.head} is no function", SCRIPT)
        given = {str(place): self._value(value, scope) for place, value in enumerate(call.given, start=1)}
        try:
            self._statements(code.body.statements, Scope(None, given | self._named(call, scope)))
        except _ReturnError as returned:
            return returned.value
        return None

    def _command(self, call: Call, scope: Scope) -> Any:
        menu, verb = call.path
        # what is typed in is text, but for what things are compared with
        arguments = {
            name: value.text if isinstance(value, Word) and verb != "find" else self._value(value, scope)
            for name, value in call.named
        }
        names = ("numbers", "value-name") if verb == "get" else ("numbers",)
        if len(call.given) > len(names):
            raise TrapError("expected end of command", SCRIPT)
        arguments |= {name: self._value(value, scope) for name, value in zip(names, call.given, strict=False)}
        return self.run(f"{menu}/{verb}", arguments)

    def _named(self, call: Call, scope: Scope) -> dict[str, Any]:
        return {name: self._value(value, scope) for name, value in call.named}

    # --- what the language has -----------------------------------------------------------------------

    def _play_local(self, call: Call, scope: Scope) -> None:
        scope.declare(self._word(call), self._assigned(call, scope))

    def _play_set(self, call: Call, scope: Scope) -> None:
        name = self._word(call)
        names = scope.where(name)
        if names is None:
            raise TrapError(f"stand-in: nobody declared {name}", SCRIPT)
        names[name] = self._assigned(call, scope)

    def _assigned(self, call: Call, scope: Scope) -> Any:
        if [name for name, _ in call.named] == ["do"] and isinstance(call.named[0][1], Block):
            return Code(call.named[0][1])
        if call.named or len(call.given) > 2:
            raise TrapError("syntax error", SCRIPT)
        return self._value(call.given[1], scope) if len(call.given) == 2 else None

    def _play_put(self, call: Call, scope: Scope) -> None:
        self.output.append(text(self._only(call, scope)))

    def _play_error(self, call: Call, scope: Scope) -> None:
        raise TrapError(text(self._only(call, scope)), SCRIPT)

    def _play_return(self, call: Call, scope: Scope) -> None:
        raise _ReturnError(self._only(call, scope))

    def _play_if(self, call: Call, scope: Scope) -> None:
        branch = _block(call, "do" if self._truth(call.given[0] if call.given else Word(""), scope) else "else")
        self._statements(branch, Scope(scope))

    def _play_while(self, call: Call, scope: Scope) -> None:
        while self._truth(call.given[0] if call.given else Word(""), scope):
            self._statements((*_block(call, "do"), Block(())), Scope(scope))

    def _play_foreach(self, call: Call, scope: Scope) -> None:
        names = self._word(call).split(",")
        of = self._value(dict(call.named).get("in", Text(())), scope)
        items = of if isinstance(of, dict) else dict(enumerate(of if isinstance(of, list) else [of]))
        for key, item in list(items.items()):
            if item is None:
                continue
            inner = Scope(scope, {names[-1]: item} | ({names[0]: key} if len(names) == 2 else {}))
            self._statements(_block(call, "do"), inner)

    def _play_do(self, call: Call, scope: Scope) -> None:
        if len(call.given) != 1 or not isinstance(call.given[0], Block):
            raise TrapError("syntax error", SCRIPT)
        guarded = [name for name, _ in call.named]
        try:
            self._statements(call.given[0].statements, Scope(scope))
        except TrapError:
            if guarded != ["on-error"]:
                raise
            self._statements(_block(call, "on-error"), Scope(scope))

    def _play_delay(self, call: Call, scope: Scope) -> None:
        self._only(call, scope)

    def _play_parse(self, call: Call, scope: Scope) -> Code:
        return Code(Block(Grammar(text(self._only(call, scope)), self.knows).statements()))

    def _play_len(self, call: Call, scope: Scope) -> int:
        value = self._only(call, scope)
        return len(value) if isinstance(value, (list, dict)) else len(text(value))

    def _play_tostr(self, call: Call, scope: Scope) -> str:
        return text(self._only(call, scope))

    def _play_toarray(self, call: Call, scope: Scope) -> Any:
        value = self._only(call, scope)
        return value if isinstance(value, (list, dict)) else [part for part in text(value).split(",") if part]

    def _play_typeof(self, call: Call, scope: Scope) -> str:
        value = self._only(call, scope)
        kinds = {Address: "ip-prefix", str: "str", bool: "bool", int: "num", list: "array", dict: "array"}
        return kinds.get(type(value), "nothing")

    def _play_pick(self, call: Call, scope: Scope) -> Any:
        of, first, *end = (self._value(value, scope) for value in call.given)
        of = of if isinstance(of, list) else text(of)
        if not end:
            return of[first] if first < len(of) else None
        return of[first : end[0]] or None

    def _play_find(self, call: Call, scope: Scope) -> int | None:
        of, what = (self._value(value, scope) for value in call.given)
        if isinstance(of, list):
            return of.index(what) if what in of else None
        found = text(of).find(text(what))
        return None if found < 0 else found

    # --- values ------------------------------------------------------------------------------------

    def _word(self, call: Call) -> str:
        if not call.given or not isinstance(call.given[0], Word):
            raise TrapError("syntax error", SCRIPT)
        return call.given[0].text

    def _only(self, call: Call, scope: Scope) -> Any:
        if len(call.given) != 1 or call.named:
            raise TrapError("syntax error", SCRIPT)
        return self._value(call.given[0], scope)

    def _truth(self, value: Value, scope: Scope) -> bool:
        found = self._value(value, scope)
        if not isinstance(found, bool):
            raise TrapError("conditional not boolean", SCRIPT)
        return found

    def _value(self, value: Value, scope: Scope) -> Any:  # noqa: PLR0911  # a row for each kind
        match value:
            case Text(parts):
                return "".join(part if isinstance(part, str) else self._replaced(part, scope) for part in parts)
            case Word(word):
                return _literal(word)
            case Name(name):
                names = scope.where(name)
                if names is None:
                    raise TrapError(f"stand-in: nobody declared {name}", SCRIPT)
                return names[name]
            case Call():
                return self._call(value, scope)
            case Items(pairs):
                items = {
                    place if key is None else text(self._value(key, scope)): self._value(item, scope)
                    for place, (key, item) in enumerate(pairs)
                }
                return items if any(key is not None for key, _ in pairs) else list(items.values())
            case Operation(operator, operands):
                return self._operation(operator, operands, scope)
            case Block():
                return Code(value)

    def _replaced(self, name: Name, scope: Scope) -> str:
        names = scope.where(name.name)
        return text(names[name.name]) if names else ""

    def _operation(self, operator: str, operands: Sequence[Value], scope: Scope) -> Any:
        if operator in {"&&", "||"}:
            # both sides are looked at: nothing says that the second one is spared
            truths = [self._truth(operand, scope) for operand in operands]
            return all(truths) if operator == "&&" else any(truths)
        if operator == "!":
            return not self._truth(operands[0], scope)
        values = [self._value(operand, scope) for operand in operands]
        if operator == ".":
            if any(isinstance(value, (list, dict)) for value in values):
                raise TrapError("stand-in: an array is not joined", SCRIPT)
            return "".join(map(text, values))
        if len(values) != 2 or operator not in OPERATORS:
            raise TrapError(f"stand-in: {operator} is not played", SCRIPT)
        try:
            return OPERATORS[operator](*values)
        except (TypeError, ValueError, re.error):
            raise TrapError(f"cannot compare with {operator}", SCRIPT) from None


def _equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _appended(left: Any, right: Any) -> list[Any]:
    if not isinstance(left, list):
        raise TypeError
    return [*left, *(right if isinstance(right, list) else [right])]


def _within(inner: Any, outer: Any) -> bool:
    if not isinstance(inner, Address) or not isinstance(outer, Address):
        raise TypeError
    one, other = ip_network(inner), ip_network(outer)
    return one.version == other.version and bool(one.subnet_of(other))  # type: ignore[arg-type]


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "->": lambda of, key: of.get(text(key)) if isinstance(of, dict) else None,
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "~": lambda value, pattern: re.search(pattern, text(value)) is not None,
    "<": lambda left, right: _number(left) < _number(right),
    ">": lambda left, right: _number(left) > _number(right),
    "+": lambda left, right: _number(left) + _number(right),
    "-": lambda left, right: _number(left) - _number(right),
    "in": _within,
    ",": _appended,
}


def text(value: Any) -> str:
    """As ``:tostr`` has it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ";".join(map(text, value))
        case dict():
            return ";".join(f"{key}={text(item)}" for key, item in value.items())
        case _:
            return str(value)


def _literal(word: str) -> Any:
    if word in {"yes", "true"}:
        return True
    if word in {"no", "false"}:
        return False
    if word.isdecimal():
        return int(word)
    try:
        ip_network(word)
    except ValueError:
        return word
    return Address(word)


def _block(call: Call, name: str) -> tuple[Call | Block, ...]:
    found = dict(call.named).get(name)
    if isinstance(found, Block):
        return found.statements
    if found is None and name == "else":
        return ()
    raise TrapError("syntax error", SCRIPT)
