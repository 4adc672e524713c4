# SPDX-License-Identifier: Apache-2.0
"""Text of a CSV file in (RFC 4180, first row the field names), objects of the feed out. Pure."""

from __future__ import annotations

import csv
import io

from edged.errors import UpstreamError

_LISTS = frozenset({"addresses", "devices", "logins"})
_NUMBERS = frozenset({"vlan", "device_limit"})


def parse_cells(text: str, name: str) -> list[object]:
    """One object a row; an empty cell is a field left out. UpstreamError names ``name`` and the line."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip() for column in next(rows, [])]
        _check_columns(columns, name)
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


def _check_columns(columns: list[str], name: str) -> None:
    if "id" not in columns:
        raise UpstreamError(f"{name}: the first row has no column id")
    if len(set(columns)) != len(columns):
        raise UpstreamError(f"{name}: two columns have one name")


def _value(column: str, cell: str) -> object:
    if column in _LISTS:
        return cell.split()
    # what is no number stays text, and the mapping says so with the object's id
    if column in _NUMBERS and cell.isascii() and cell.isdigit() and len(cell) <= 9:
        return int(cell)
    return cell
