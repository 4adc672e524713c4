# SPDX-License-Identifier: Apache-2.0
"""One field of a Splynx row in, its value out, whatever type it came in. Pure; nothing here raises.

Numbers come as numbers or as text, truth as 0, 1, "0", "1", an empty date as 0000-00-00, no address as 0.0.0.0.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from edged.model import intern
from edged.values import BITS, MacAddress, Prefix, parse_mac, parse_prefix

Row = dict[str, object]

_LONGEST = 16_384
"""Characters of one field that are looked at."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEPARATORS = re.compile(r"[\s,;]+")


def number(value: object, low: int = 0, high: int = 2**63) -> int | None:
    """A whole number from ``low`` to ``high``, also as text; None when it is none."""
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            return None
        found = int(text)
    elif isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        found = int(value)
    else:
        return None
    return found if low <= found <= high else None


def words(value: object, limit: int) -> str:
    """Text on one line, at most ``limit`` characters; empty when it is none or longer."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if -(10**18) < value < 10**18 else ""
    if not isinstance(value, str):
        return ""
    text = value.strip() if len(value) <= _LONGEST else ""
    return "" if len(text) > limit or _CONTROL.search(text) else text


def parts(value: object) -> list[str]:
    """The words of a field that holds several, split at commas, semicolons and blanks of every kind."""
    if value is None or value is False or value == 0:
        return []
    if isinstance(value, list):
        return [part for entry in value[:1024] for part in (parts(entry) if not isinstance(entry, list) else ["?"])]
    if not isinstance(value, str) or len(value) > _LONGEST:
        return ["?"]  # something, and nothing that can be read
    return [part for part in _SEPARATORS.split(value) if part]


def day(value: object) -> str:
    """An ISO 8601 date; empty for 0000-00-00 and whatever is no date."""
    try:
        found = date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        found = None
    return intern(found.isoformat()) if found is not None and 1970 <= found.year < 3000 else ""


def wall_clock(value: object) -> float:
    """``2026-01-15 16:05:28`` as seconds since the epoch *as if it were UTC*: Splynx names no zone. 0: none."""
    if not isinstance(value, str) or not 10 <= len(value) <= 32:
        return 0.0
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return 0.0
    if not 1971 <= found.year < 3000:
        return 0.0
    return found.replace(tzinfo=UTC).timestamp()


_MOST = Decimal(10) ** 12


def amount(value: object) -> Decimal | None:
    """A sum of money, from a number or from text; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        # repr: 49.9 as it was written, not its binary neighbour
        found = Decimal(value.strip() if isinstance(value, str) and len(value) <= 32 else repr(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < _MOST else None


_NOBODY = tuple(
    parse_prefix(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip
"""No line has such an address: unspecified, loopback, link-local, multicast and reserved."""
_RANGES = {version: tuple((p.network, p.last) for p in _NOBODY if p.version == version) for version in BITS}
_NONE = frozenset({"", "0.0.0.0", "::", "0", "none", "null", "0.0.0.0/32", "::/128"})  # noqa: S104 spellings of none


def network(text: str) -> tuple[Prefix | None, bool]:
    """The prefix that ``text`` names, and whether it names it exactly.

    (None, True): no address. (None, False): unreadable. A prefix that is not exact has bits set after its length; its
    network says what to keep away from, never whom to block.
    """
    if text.lower() in _NONE:
        return None, True
    prefix: Prefix | None
    try:
        prefix, exact = parse_prefix(text), True
    except ValueError:
        prefix, exact = _masked(text), False
    if prefix is None or prefix.length == 0:
        return None, False
    first, last = prefix.network, prefix.last
    for low, high in _RANGES[prefix.version]:
        if first <= high and low <= last:
            return None, False
    return prefix, exact


_WIDEST_GUESS = {4: 24, 6: 48}
"""A slip such as 10.0.0.1/8 must not keep a whole network from ever being blocked."""


def _masked(text: str) -> Prefix | None:
    address, _, length_text = text.partition("/")
    length = number(length_text)
    try:
        host = parse_prefix(address)
    except ValueError:
        return None
    if length is None or not _WIDEST_GUESS[host.version] <= length <= BITS[host.version]:
        return host
    free = BITS[host.version] - length
    return Prefix(host.version, host.network >> free << free, length)


def mac(text: str) -> MacAddress | None:
    """A MAC address in its one spelling; None when it is none, or nobody's (all zeros, all ones)."""
    try:
        found = parse_mac(text)
    except ValueError:
        return None
    return None if found in {"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"} else found


def label_names(row: Row) -> frozenset[str] | None:
    """The labels of a customer: their names in lower case, and their numbers. None: the row has no such field.

    ``customer_labels`` holds objects with ``id`` and ``label``; names alone and numbers alone are read too.
    """
    present = [row[name] for name in ("customer_labels", "labels") if name in row]
    if not present:
        return None
    found: set[str] = set()
    for value in present:
        entries = list(value.values()) if isinstance(value, dict) else value
        if isinstance(entries, str):
            entries = entries.split(",")
        for entry in entries[:256] if isinstance(entries, list) else ():
            names = [entry.get(key) for key in ("label", "name", "title", "id")] if isinstance(entry, dict) else [entry]
            found |= {words(name, 256).lower() for name in names}
    return frozenset(found - {""})
