# SPDX-License-Identifier: Apache-2.0
"""Longest-prefix match over IPv4 and IPv6: prefixes in, the value of the longest one out. Pure.

One dictionary per prefix length that occurs, longest first: a look-up is as many dictionary probes as there are
lengths (two or three at an Internet provider). A change copies the dictionaries it touches: a few milliseconds at a
hundred thousand entries.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from edged.values import BITS, IpAddress, Prefix

V = TypeVar("V")

_Level = tuple[int, dict[int, V]]


class PrefixMap(Generic[V]):
    """An immutable map from prefixes to values."""

    __slots__ = ("_levels", "_size", "_sorted")

    def __init__(self, entries: Iterable[tuple[Prefix, V]] = ()) -> None:
        by_length: dict[int, dict[int, dict[int, V]]] = {4: {}, 6: {}}
        for prefix, value in entries:
            shift = BITS[prefix.version] - prefix.length
            # a host keeps its own integer: 32 octets saved on each of them
            key = prefix.network >> shift if shift else prefix.network
            by_length[prefix.version].setdefault(shift, {})[key] = value
        self._adopt(by_length)
        self._sorted: dict[tuple[int, int], list[int]] = {}
        """The keys of a level in order, where ``within`` has asked: by version and shift."""

    def _adopt(self, by_length: dict[int, dict[int, dict[int, V]]]) -> None:
        self._levels: dict[int, tuple[_Level[V], ...]] = {
            version: tuple(sorted((shift, level) for shift, level in levels.items() if level))
            for version, levels in by_length.items()
        }
        self._size = sum(len(level) for levels in by_length.values() for level in levels.values())

    def changed(self, removed: Iterable[Prefix], added: Iterable[tuple[Prefix, V]]) -> PrefixMap[V]:
        """A map without ``removed`` (absent ones are no matter) and then with ``added``; this one stays as it is."""
        by_length = {version: dict(levels) for version, levels in self._levels.items()}
        orders = dict(self._sorted)
        touched: set[tuple[int, int]] = set()

        def level_of(prefix: Prefix) -> tuple[dict[int, V], list[int] | None, int]:
            place = (prefix.version, BITS[prefix.version] - prefix.length)
            version, shift = place
            if place not in touched:
                touched.add(place)
                by_length[version][shift] = by_length[version].get(shift, {}).copy()
                if place in orders:
                    orders[place] = orders[place].copy()
            return by_length[version][shift], orders.get(place), prefix.network >> shift

        for prefix in removed:
            level, order, key = level_of(prefix)
            if level.pop(key, None) is not None and order is not None:
                del order[bisect_left(order, key)]
        for prefix, value in added:
            level, order, key = level_of(prefix)
            if order is not None and key not in level:
                insort(order, key)
            level[key] = value
        result: PrefixMap[V] = PrefixMap()
        result._adopt(by_length)
        result._sorted = orders
        return result

    def within(self, region: Prefix) -> Iterator[tuple[Prefix, V]]:
        """Every entry that lies in ``region``, that one itself included."""
        version = region.version
        for shift, level in self._levels[version]:
            length = BITS[version] - shift
            if length < region.length:
                continue
            order = self._sorted.get((version, shift))
            if order is None:
                order = self._sorted[version, shift] = sorted(level)
            first = bisect_left(order, region.network >> shift)
            for key in order[first : bisect_right(order, region.last >> shift)]:
                yield Prefix(version, key << shift, length), level[key]

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

    def outermost(self, prefix: Prefix) -> Prefix:
        """The shortest entry that holds the whole of ``prefix``; ``prefix`` itself when none does."""
        for shift, level in reversed(self._levels[prefix.version]):
            length = BITS[prefix.version] - shift
            if length > prefix.length:
                break
            if level.get(prefix.network >> shift) is not None:
                return Prefix(prefix.version, prefix.network >> shift << shift, length)
        return prefix

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
