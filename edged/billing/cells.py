# SPDX-License-Identifier: Apache-2.0
"""Text of a CSV file in (RFC 4180, first row the field names), objects of the feed and their lines out. Pure."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection
from dataclasses import dataclass, field

from edged.errors import UpstreamError
from edged.model import State

_LINES = ("addresses", "devices", "logins")
"""Whose line it is: without any of them a row speaks of nobody's."""
_LISTS = frozenset(_LINES)
_NUMBERS = frozenset({"vlan", "device_limit"})
_MOST_COLUMNS = 256
_LATE = frozenset({"invoice"})
"""Fields that came later: a table that has had a column of nearly that name is not refused for it now."""
_SHOWN = 12
_OTHER_SEPARATORS = {";": '";"', "\t": "tabs", "|": '"|"'}


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file."""

    objects: list[object] = field(default_factory=list)
    """One a row; an empty cell is a field left out."""
    lines: list[int] = field(default_factory=list)
    """The line of the file on which each begins, counted from 1."""


def parse_cells(text: str, name: str, fields: Collection[str]) -> Table:
    """The table in ``text``. UpstreamError names ``name`` and the line.

    ``fields`` are the feed's names. Other columns are ignored, but not one that is nearly such a name: a list whose
    ``Addresses`` nobody reads would block nobody.
    """
    _check_separator(text, name)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    table = Table()
    try:
        columns = [column.strip() for column in next(rows, [])]
        _check_columns(columns, name, fields)
        line = rows.line_num + 1
        for row in rows:
            if row:
                if len(row) != len(columns):
                    raise UpstreamError(f"{name} line {line}: {len(row)} cells under {len(columns)} columns")
                table.objects.append({c: _value(c, cell) for c, cell in zip(columns, row, strict=True) if cell})
                table.lines.append(line)
            line = rows.line_num + 1
    except csv.Error as error:
        raise UpstreamError(f"{name} line {rows.line_num}: {error}") from None
    return table


def _check_separator(text: str, name: str) -> None:
    """UpstreamError where there is nothing, or where a spreadsheet of another country has written it."""
    if not text.strip():
        raise UpstreamError(f"{name}: the file is empty")
    first = text[:_HEAD].splitlines()[0]
    for separator, called in _OTHER_SEPARATORS.items():
        if separator in first and "," not in first:
            raise UpstreamError(f"{name}: the cells are separated by {called}: save it as CSV with commas")


_HEAD = 65_536
"""Characters in which the first row is looked for."""


def _check_columns(columns: list[str], name: str, fields: Collection[str]) -> None:
    if len(columns) > _MOST_COLUMNS:
        raise UpstreamError(f"{name}: the first row has {len(columns)} columns, at most {_MOST_COLUMNS} are read")
    for column in columns:
        meant = _meant(column, fields)
        if meant:
            raise UpstreamError(f"{name}: the first row has a column {column[:60]!r}; the feed's name is {meant}")
    if "id" not in columns:
        raise UpstreamError(f"{name}: the first row has no column id{_instead(columns, fields)}")
    if len(set(columns)) != len(columns):
        raise UpstreamError(f"{name}: two columns have one name")
    if set(fields) >= _LISTS and _LISTS.isdisjoint(columns):
        raise UpstreamError(f"{name}: has none of the columns {', '.join(_LINES)}: nobody's line would be known")


def _meant(column: str, fields: Collection[str]) -> str:
    """The field that a column nearly is; empty: none, or exactly that."""
    if column in fields:
        return ""
    lower, known = column[:64].lower(), set(fields) - _LATE
    return lower if lower in known else next(iter(difflib.get_close_matches(lower, sorted(known), n=1, cutoff=0.8)), "")


def _instead(columns: list[str], fields: Collection[str]) -> str:
    """What stands there, for the operator; nothing of a row that may hold a name, an address or a passphrase."""
    if any(column[:1].isdigit() or ":" in column or column in set(State) for column in columns):
        return ": it holds values, and not the names of the columns"
    if "passphrase" in fields or not any(columns):
        return ""
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return f"; it has {', '.join(repr(column[:40]) for column in columns[:_SHOWN])}{more}"


def _value(column: str, cell: str) -> object:
    if column in _LISTS:
        return cell.split()
    # what is no number stays text, and the mapping says so with the object's id
    if column in _NUMBERS and cell.isascii() and cell.isdigit() and len(cell) <= 9:
        return int(cell)
    return cell
