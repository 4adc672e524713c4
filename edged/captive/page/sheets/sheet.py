# SPDX-License-Identifier: Apache-2.0
"""A key as it is handed over, and in which order many of them are. Values only; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edged.values import Secret

ORDERS = ("unit", "floor", "id")
"""By site, and there by the label, by the floor that its number tells, or by the key's id."""
_PARTS = re.compile(r"(\d+)")
_DIGITS = 12
_ROOMS_A_FLOOR = 100
"""Apartment 301 is on floor 3, 1204 on floor 12, 7 on the ground."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one sheet says of one key. No person, no address of a device, no VLAN."""

    id: str
    ssid: str
    passphrase: Secret
    site: str = ""
    unit: str = ""
    """The key's label."""
    limit: int = 0
    """Devices at most; 0: the key is for registered devices."""
    hidden: bool = False
    """The network does not show itself."""
    own_address: bool = False
    """Devices are known by their own MAC address: a private one must be off."""
    begins: float = 0.0
    """Epoch seconds, 0: it has begun."""
    ends: float = 0.0
    """Epoch seconds, 0: it has no end."""
    old_until: float = 0.0
    """How long the passphrase of before works, epoch seconds; 0: there is none."""


def in_order(sheets: Iterable[Sheet], order: str) -> list[Sheet]:
    """``sheets`` in one of ``ORDERS``: Apartment 9 before Apartment 10."""
    return sorted(sheets, key=lambda sheet: _place(sheet, order))


def floor_of(unit: str) -> int:
    """The floor that the last number of ``unit`` tells; -1 where it has none."""
    numbers = re.findall(r"\d+", unit)
    return int(numbers[-1][:_DIGITS]) // _ROOMS_A_FLOOR if numbers else -1


def _place(sheet: Sheet, order: str) -> tuple[object, ...]:
    if order == "id":
        return (_natural(sheet.id),)
    floor = floor_of(sheet.unit) if order == "floor" else 0
    return (_natural(sheet.site), floor, _natural(sheet.unit), _natural(sheet.id))


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """Numbers by value, words without regard to capitals."""
    # words and numbers take turns: the first part is always a word
    return tuple(("", int(part[:_DIGITS])) if part.isdecimal() else (part.casefold(), 0) for part in _PARTS.split(text))
