# SPDX-License-Identifier: Apache-2.0
"""Commands of a RouterOS console as values: menu, verb, arguments; as a script's text. Pure.

The spellings are those of the manuals "Scripting", "API" and "Firewall/Address lists".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ALREADY = "already have such entry"
"""What a trap says where an address is in its list already."""
ABSENT = "no such item"
NO_MENU = "no such command"
"""Also ``no such command prefix``: the router has no such menu."""

_BARE = re.compile(r"[A-Za-z0-9!][A-Za-z0-9_.:/,!-]*")
_ESCAPES = {ord(c): f"\\{c}" for c in '"\\$?'} | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
"""Of the manual "Scripting"; every other octet that is not printed is its two hexadecimal digits."""
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PLAIN = re.compile(r"[0-9]{1,12}")
_WORDED = re.compile(r"(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(?:([0-9]{1,8})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,12})s)?")
_CLOCKED = re.compile(r"(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?([0-9]{1,8}):([0-9]{1,9})(?::([0-9]{1,12}))?")
"""No longer than any time is: what is longer is none."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    menu: str
    """``/ip/firewall/nat``."""
    verb: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        given = " ".join(f"{name}={quoted(value)}" for name, value in self.arguments.items())
        return f"{self.menu}/{self.verb} {given}".rstrip()


def add(menu: str, arguments: Mapping[str, str]) -> Command:
    """A new item."""
    return Command(menu, "add", arguments)


def change(menu: str, item: str, arguments: Mapping[str, str]) -> Command:
    """Other values of an item."""
    return Command(menu, "set", {".id": item, **arguments})


def remove(menu: str, item: str) -> Command:
    """An item less."""
    return Command(menu, "remove", {".id": item})


def guarded(commands: Iterable[Command]) -> str:
    """A script that does every command, whatever becomes of the others; what failed must be read back."""
    return "\n".join(f":do {{ {command} }} on-error={{}}" for command in commands)


def quoted(value: str) -> str:
    """A value as a script has it."""
    if _BARE.fullmatch(value):
        return value
    return literal(value)


def literal(value: str) -> str:
    """A text in double quotes, of ASCII alone: nothing in it ends it, names a variable or calls a console's help."""
    octets = value.encode("utf-8", "surrogateescape")
    return '"' + "".join(_ESCAPES.get(octet) or _octet(octet) for octet in octets) + '"'


def _octet(octet: int) -> str:
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:02X}"


def interval(seconds: float) -> str:
    """Whole seconds, rounded up, as RouterOS prints them: ``1w2d``; at least one."""
    parts, rest = [], max(1, -int(-seconds // 1))
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def seconds(text: str) -> float | None:
    """Seconds of ``1w2d3h4m5s``, ``1d00:01:00`` or ``90``; None for what is none of them."""
    if _PLAIN.fullmatch(text):
        return float(text)
    match = (_WORDED.fullmatch(text) or _CLOCKED.fullmatch(text)) if text else None
    if match is None:
        return None
    return float(sum(int(match[at] or 0) * size for at, size in enumerate(_UNITS.values(), start=1)))
