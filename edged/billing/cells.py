# SPDX-License-Identifier: Apache-2.0
"""Text of a CSV file in (RFC 4180, first row the field names), objects of the feed out. Pure."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection

from edged.errors import UpstreamError

_LISTS = frozenset({"addresses", "devices", "logins"})
_NUMBERS = frozenset({"vlan", "device_limit"})
_MOST_COLUMNS = 256


def parse_cells(text: str, name: str, fields: Collection[str]) -> list[object]:
    """One object a row; an empty cell is a field left out. UpstreamError names ``name`` and the line.

    ``fields`` are the feed's names. Other columns are ignored, but not one that is nearly such a name: a list whose
    ``Addresses`` nobody reads would block nobody.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip() for column in next(rows, [])]
        _check_columns(columns, name, fields)
        objects: list[object] = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(columns):
                raise UpstreamError(f"{name} line {rows.line_num}: {len(row)} cells under {len(columns)} columns")
            objects.append({c: _value(c, cell) for c, cell in zip(columns, row, strict=True) if cell})
        return objects
    except csv.Error as error:
        raise UpstreamError(f"{name} line {rows.line_num}: {error}") from None


def _check_columns(columns: list[str], name: str, fields: Collection[str]) -> None:
    if "id" not in columns:
        raise UpstreamError(f"{name}: the first row has no column id")
    if len(columns) > _MOST_COLUMNS:
        raise UpstreamError(f"{name}: the first row has {len(columns)} columns, at most {_MOST_COLUMNS} are read")
    if len(set(columns)) != len(columns):
        raise UpstreamError(f"{name}: two columns have one name")
    for column in columns:
        meant = difflib.get_close_matches(column[:64].lower(), fields, n=1, cutoff=0.8) if column not in fields else []
        if meant:
            raise UpstreamError(f"{name}: the first row has a column {column[:60]!r}; the feed's name is {meant[0]}")


def _value(column: str, cell: str) -> object:
    if column in _LISTS:
        return cell.split()
    # what is no number stays text, and the mapping says so with the object's id
    if column in _NUMBERS and cell.isascii() and cell.isdigit() and len(cell) <= 9:
        return int(cell)
    return cell
