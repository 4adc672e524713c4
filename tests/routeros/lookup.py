"""What a script can ask of a menu: ``find`` and ``get``. A table in, ids and typed values out. Pure.

Which property has which type is said by no document that was read: decided on the harsh side, so that a script that
compares what it got with a text, without ``:tostr``, finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.routeros.script import Address, text
from tests.routeros.sentences import MISSING, SCRIPT, TrapError
from tests.routeros.table import Table

ADDRESSES = frozenset({"address", "src-address", "dst-address", "to-addresses", "to-address"})
LISTS = frozenset({"policy", "dhcp-option", "service", "connection-state", "dst-port", "src-port"})
TRUTHS = frozenset({"disabled", "dynamic", "invalid", "log", "accept", "force", "accounting-backup", "trusted"})
NUMBERS = frozenset({"code", "port", "authentication-port", "accounting-port", "days-valid"})


def found_by(table: Table, conditions: Mapping[str, Any], now: float) -> list[str]:
    """The ids of the items that are so, in their order."""
    tests = [(name.removesuffix("~"), name.endswith("~"), value) for name, value in conditions.items()]
    for name, _, value in tests:
        if name not in _names(table):
            raise TrapError(f"unknown parameter {name}")
        if name in ADDRESSES | LISTS and not isinstance(value, Address):
            raise TrapError(f"stand-in: whether {name} is found by a text is not known", SCRIPT)
    return [
        str(item[".id"])
        for item in table.all(now)
        if all(_is_so(item.get(name), is_pattern, value) for name, is_pattern, value in tests)
    ]


def _is_so(printed: str | None, is_pattern: bool, value: Any) -> bool:
    if is_pattern:
        return re.search(text(value), printed or "") is not None
    return (printed or "") == text(value)


def property_of(table: Table, arguments: Mapping[str, Any], now: float) -> Any:
    """One property of an item, or all of them by name. TrapError where there is no such item or property."""
    if table.menu.single:
        number = next(iter(table.rows))
        name = arguments.get("value-name", arguments.get("numbers"))
    else:
        number = table.find(_one(arguments.get("numbers")))
        name = arguments.get("value-name")
    printed = table.printed(table.rows[number], now)
    if name is None:
        return {key: typed(key, value) for key, value in sorted(printed.items())}
    if text(name) not in _names(table):
        raise TrapError(f"input does not match any value of value-name: {text(name)}", SCRIPT)
    return typed(text(name), printed[text(name)]) if text(name) in printed else None


def _names(table: Table) -> set[str]:
    return {".id", *table.fields, *table.menu.shown} | ({"dynamic"} if table.menu.ordered else set())


def _one(numbers: Any) -> str:
    found = numbers if isinstance(numbers, list) else [numbers]
    if len(found) != 1 or not found[0]:
        raise TrapError("no such item", MISSING)
    return text(found[0])


def typed(name: str, printed: str) -> Any:
    """A printed value as a script gets it."""
    if name in LISTS:
        return [part for part in printed.split(",") if part]
    if name in TRUTHS:
        return printed == "true"
    if name in NUMBERS and printed.isdecimal():
        return int(printed)
    if name in ADDRESSES and printed:
        return [Address(part) for part in printed.split(",")] if "," in printed else Address(printed)
    return printed
