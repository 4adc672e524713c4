"""Query words in; whether an item is meant out. Pure. The API manual's section Queries: a stack of truths.

Not in any document, so decided here: two whole numbers are compared as numbers and everything else as text; ``yes`` and
``true``, ``no`` and ``false`` are equal; a word that cannot be read is a trap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tests.routeros.sentences import API, TrapError

Item = Mapping[str, str]
Step = Callable[["Stack", Item], None]

_TRUTHS = {"yes": "true", "no": "false"}
_OPERATIONS = re.compile(r"(?P<index>\d+)(?P<end>\Z|\.)?|(?P<sign>[!&|.])")


class Stack:
    """Truths, the top one last, on infinitely many of ``ground``."""

    def __init__(self) -> None:
        self.values: list[bool] = []
        self.ground = True

    def push(self, value: bool) -> None:
        self.values.append(value)

    def pop(self) -> bool:
        return self.values.pop() if self.values else self.ground

    def at(self, index: int) -> bool:
        """The top value has index 0."""
        return self.values[-1 - index] if index < len(self.values) else self.ground

    def fill(self, value: bool) -> None:
        """Every value is this one from now on."""
        self.values, self.ground = [], value

    @property
    def succeeds(self) -> bool:
        return self.ground and all(self.values)


class Query:
    """All query words of a command; without any, every item is meant."""

    def __init__(self, words: Sequence[str]) -> None:
        self._steps = [step for word in words for step in _steps(word)]

    def __call__(self, item: Item) -> bool:
        stack = Stack()
        for step in self._steps:
            step(stack, item)
        return stack.succeeds


def _steps(word: str) -> list[Step]:
    body = word[1:]
    if body.startswith("#"):
        return _operations(body[1:])
    sign, name = (body[0], body[1:]) if body[:1] in {"=", "<", ">", "-"} else ("", body)
    name, equals, value = name.partition("=")
    if not name or (bool(equals) if sign == "-" else sign and not equals):
        raise TrapError(f"stand-in: a query that is none: {word[:20]}", API)
    if sign == "-":
        return [lambda stack, item: stack.push(name not in item)]
    if not equals:
        return [lambda stack, item: stack.push(name in item)]
    compare = _COMPARE.get(sign, _is_equal)
    return [lambda stack, item: stack.push(name in item and compare(item[name], value))]


def _is_equal(one: str, other: str) -> bool:
    return _TRUTHS.get(one, one) == _TRUTHS.get(other, other)


def _is_less(one: str, other: str) -> bool:
    if one.isdecimal() and other.isdecimal():
        return int(one) < int(other)
    return one < other


def _is_greater(one: str, other: str) -> bool:
    return _is_less(other, one)


_COMPARE = {"<": _is_less, ">": _is_greater}


def _operations(text: str) -> list[Step]:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _OPERATIONS.match(text, position)
        if match is None:
            raise TrapError(f"stand-in: no operation of a query: {text[:20]}", API)
        position = match.end()
        if match["index"] is not None:
            steps.append(_copied(int(match["index"]), is_last=match["end"] == ""))
        else:
            steps.append(_SIGNS[match["sign"]])
    return steps


def _copied(index: int, *, is_last: bool) -> Step:
    if is_last:
        return lambda stack, _item: stack.fill(stack.at(index))
    return lambda stack, _item: stack.push(stack.at(index))


def _not(stack: Stack, _item: Item) -> None:
    stack.push(not stack.pop())


def _and(stack: Stack, _item: Item) -> None:
    one, other = stack.pop(), stack.pop()
    stack.push(one and other)


def _or(stack: Stack, _item: Item) -> None:
    one, other = stack.pop(), stack.pop()
    stack.push(one or other)


def _copy(stack: Stack, _item: Item) -> None:
    stack.push(stack.at(0))


_SIGNS: dict[str, Step] = {"!": _not, "&": _and, "|": _or, ".": _copy}
