# SPDX-License-Identifier: Apache-2.0
"""Longest-prefix match over IPv4 and IPv6: prefixes in, the value of the longest one out. Pure.

One dictionary per prefix length that occurs, longest first: a look-up is as many dictionary probes as there are
lengths (two or three at an Internet provider).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from edged.values import BITS, IpAddress, Prefix

V = TypeVar("V")

_Level = tuple[int, dict[int, V]]


class PrefixMap(Generic[V]):
    """An immutable map from prefixes to values."""

    __slots__ = ("_levels", "_size")

    def __init__(self, entries: Iterable[tuple[Prefix, V]] = ()) -> None:
        by_length: dict[int, dict[int, dict[int, V]]] = {4: {}, 6: {}}
        for prefix, value in entries:
            shift = BITS[prefix.version] - prefix.length
            # a host keeps its own integer: 32 octets saved on each of them
            key = prefix.network >> shift if shift else prefix.network
            by_length[prefix.version].setdefault(shift, {})[key] = value
        self._levels: dict[int, tuple[_Level[V], ...]] = {
            version: tuple(sorted(levels.items())) for version, levels in by_length.items()
        }
        self._size = sum(len(level) for levels in by_length.values() for level in levels.values())

    def find(self, address: IpAddress) -> V | None:
        """The value of the longest prefix that holds ``address``; None when none does."""
        return self.find_integer(address.version, int(address))

    def find_integer(self, version: int, address: int) -> V | None:
        """As ``find``, for an address that is already an integer (the hot path)."""
        for shift, level in self._levels[version]:
            value = level.get(address >> shift)
            if value is not None:
                return value
        return None

    def match(self, address: IpAddress) -> tuple[Prefix, V] | None:
        """The longest prefix that holds ``address`` and its value; None when none does."""
        return next(self.matches(address), None)

    def matches(self, address: IpAddress) -> Iterator[tuple[Prefix, V]]:
        """Every prefix that holds ``address``, longest first."""
        number = int(address)
        for shift, level in self._levels[address.version]:
            value = level.get(number >> shift)
            if value is not None:
                yield Prefix(address.version, number >> shift << shift, BITS[address.version] - shift), value

    def covering(self, prefix: Prefix) -> tuple[Prefix, V] | None:
        """The longest entry that holds the whole of ``prefix``; None when none does."""
        for shift, level in self._levels[prefix.version]:
            length = BITS[prefix.version] - shift
            if length > prefix.length:
                continue
            value = level.get(prefix.network >> shift)
            if value is not None:
                return Prefix(prefix.version, prefix.network >> shift << shift, length), value
        return None

    def get(self, prefix: Prefix) -> V | None:
        """The value of exactly ``prefix``; None when it is not an entry."""
        shift = BITS[prefix.version] - prefix.length
        for level_shift, level in self._levels[prefix.version]:
            if level_shift == shift:
                return level.get(prefix.network >> shift)
        return None

    def items(self) -> Iterator[tuple[Prefix, V]]:
        """Every prefix with its value, longest first within a family."""
        for version, levels in self._levels.items():
            for shift, level in levels:
                for key, value in level.items():
                    yield Prefix(version, key << shift, BITS[version] - shift), value

    def __len__(self) -> int:
        return self._size
