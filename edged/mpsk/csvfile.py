# SPDX-License-Identifier: Apache-2.0
"""CSV text -> keys, or every problem with its line; keys -> CSV text. Pure. Columns: the feed's names.

``ssid`` is required. An ``id`` and a ``passphrase`` are made where none stand. Spaces part devices. A cell that a
spreadsheet would take for a formula is written with a ``'`` before it, which reading takes away again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edged.errors import Problem
from edged.fields import parse_rate
from edged.model import Key, Rate
from edged.mpsk.passphrase import weakness
from edged.state.keys import RETIRED
from edged.values import Secret, parse_mac

COLUMNS = (
    "id", "ssid", "passphrase", "subscriber", "site", "label", "vlan", "device_limit", "devices",
    "not_before", "expires", "rate",
)  # fmt: skip
_PLAIN = ("id", "subscriber", "site", "label")
MAX_ROWS = 100_000
"""Ten times the largest building we were told of; PMKs for more would take five minutes to derive."""

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "'")
"""What a spreadsheet takes for the beginning of a formula (in wide letters too), and the ``'`` itself, so that reading
is certain."""


def write_keys(keys: Iterable[Key], *, passphrases: bool) -> str:
    """``keys`` as ``read_keys`` takes them; without ``passphrases`` that column is not there at all."""
    columns = [column for column in COLUMNS if passphrases or column != "passphrase"]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for key in keys:
        cells = _cells(key)
        writer.writerow([guarded(cells[column]) for column in columns])
    return file.getvalue()


def no_such_network(ssid: str, networks: Collection[str]) -> Problem:
    """What is said of a key for ``ssid`` where the configuration has only ``networks``."""
    names = "one of " + ", ".join(networks) if networks else "a network of mpsk.networks, which has none yet"
    return Problem("ssid", repr(ssid[:40]), names)


def _cells(key: Key) -> dict[str, str]:
    return {
        **{name: getattr(key, name) for name in (*_PLAIN, "ssid")},
        "passphrase": key.passphrase.reveal_text(),
        "vlan": "" if key.vlan is None else str(key.vlan),
        "device_limit": "" if key.device_limit is None else str(key.device_limit),
        "devices": " ".join(key.devices),
        "not_before": _moment(key.not_before),
        "expires": _moment(key.expires),
        "rate": _rate(key.rate),
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z") if at else ""


def _rate(rate: Rate | None) -> str:
    return f"{rate.down}/{rate.up}" if rate else ""


def guarded(cell: str) -> str:
    """``cell`` with a ``'`` before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _time(text: str) -> float:
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _vlan(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 4094):
        raise ValueError
    return int(text)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise ValueError
    return int(text)


_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "vlan": (_vlan, "a VLAN between 1 and 4094"),
    "device_limit": (_limit, "a number between 1 and 1000"),
    "devices": (
        lambda text: tuple(parse_mac(mac) for mac in text.split()),
        "MAC addresses with a space between",
    ),
    "not_before": (_time, "a time such as 2026-11-01T00:00:00Z"),
    "expires": (_time, "a time such as 2027-11-01T00:00:00Z"),
    "rate": (parse_rate, "a rate, down and up, such as 100M/20M"),
}


def read_keys(
    text: str,
    networks: Collection[str],
    new_id: Callable[[], str],
    new_passphrase: Callable[[], Secret],
) -> tuple[list[Key], list[Problem]]:
    """The keys in ``text`` and everything that is wrong with it; never a passphrase in a problem."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    header = reader.fieldnames or []
    problems = [
        Problem(str(name), f"a column called {name!r}", "one of " + ", ".join(COLUMNS), line=1)
        for name in header
        if name not in COLUMNS
    ]
    if "ssid" not in header:
        expected = "a first line with the names of the columns"
        problems.append(Problem("ssid", "no such column", expected, line=1))
    if problems:
        return [], problems
    keys = []
    try:
        for row in reader:
            key, found = _key(row, networks)
            problems += [replace(problem, line=reader.line_num) for problem in found]
            passphrase = key.passphrase or new_passphrase()
            keys.append(replace(key, id=key.id or new_id(), passphrase=passphrase))
            if len(keys) > MAX_ROWS:
                problems.append(Problem("", "more rows", f"at most {MAX_ROWS}", line=reader.line_num))
                break
    except csv.Error as error:
        problems.append(Problem("", str(error), "CSV as in RFC 4180", line=reader.line_num))
    return keys, problems


def _key(row: dict[str | Any, str | Any], networks: Collection[str]) -> tuple[Key, list[Problem]]:
    """The key of one row as far as it is readable, and what is not."""
    problems = []
    if None in row or None in row.values():
        problems.append(Problem("", "more or fewer cells than the first line", "one cell a column"))
    cells = {name: _unguarded(cell.strip()) for name, cell in row.items() if name and isinstance(cell, str)}
    fields: dict[str, Any] = {name: cells[name] for name in _PLAIN if name in cells}
    for name, (parse, expected) in _PARSERS.items():
        if cells.get(name):
            try:
                fields[name] = parse(cells[name])
            except (ValueError, OverflowError):
                problems.append(Problem(name, repr(cells[name][:40]), expected))
    if cells.get("id", "").endswith(RETIRED):
        problems.append(Problem("id", repr(cells["id"][:40]), f"an id without {RETIRED} at its end"))
    ssid = cells.get("ssid", "")
    if ssid not in networks:
        problems.append(no_such_network(ssid, networks))
    # spaces may belong to a passphrase: taken as it stands
    passphrase = Secret(_unguarded(row.get("passphrase") or ""))
    fault = weakness(passphrase) if passphrase else None
    if fault is not None:
        expected = "a passphrase that resists guessing, or none: one is made"
        problems.append(Problem("passphrase", fault.value, expected))
    return Key(ssid=ssid, passphrase=passphrase, **{"id": "", **fields}), problems
