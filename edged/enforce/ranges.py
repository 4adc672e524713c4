# SPDX-License-Identifier: Apache-2.0
"""Prefix arithmetic: nested prefixes with a yes or no each in, disjoint prefixes of the yes out. Pure.

The longest match wins, as in a routing table. Work is linear after one sort.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from edged.values import BITS, Prefix

Range = tuple[int, int]
"""First and last address, both included."""


def outermost(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """The prefixes that lie in no other of them, in order: disjoint, and holding the same addresses."""
    result: list[Prefix] = []
    for prefix in sorted(set(prefixes)):
        if not (result and result[-1].contains(prefix)):
            result.append(prefix)
    return result


def longest_match(entries: Iterable[tuple[int, int, bool]], bits: int) -> Iterator[Range]:
    """The ranges where the longest of the prefixes (network, length, verdict) says yes; disjoint, in order.

    Two prefixes side by side stay two ranges: a change to one subscriber's line then touches only that line.
    """
    stack: list[tuple[int, bool]] = []  # (last address, verdict) of the prefixes around the cursor, outermost first
    cursor = 0
    for network, length, verdict in sorted(entries):
        while stack and stack[-1][0] < network:
            last, inside = stack.pop()
            if inside and cursor <= last:
                yield cursor, last
            cursor = last + 1
        if verdict == (stack[-1][1] if stack else False):
            continue  # says what the prefix around it says: nothing begins here
        if stack and stack[-1][1] and cursor < network:
            yield cursor, network - 1
        stack.append((network | ((1 << (bits - length)) - 1), verdict))
        cursor = network
    while stack:
        last, inside = stack.pop()
        if inside and cursor <= last:
            yield cursor, last
        cursor = last + 1


class Clip:
    """What of a range is inside the served and outside the exempt networks of one family."""

    __slots__ = ("_exempt", "_exempt_starts", "_served", "_served_starts")

    def __init__(self, served: Iterable[Prefix], exempt: Iterable[Prefix]) -> None:
        self._served: list[Range] = [(p.network, p.last) for p in outermost(served)]
        self._exempt: list[Range] = [(p.network, p.last) for p in outermost(exempt)]
        self._served_starts = [first for first, _ in self._served]
        self._exempt_starts = [first for first, _ in self._exempt]

    def __call__(self, whole: Range) -> Iterator[Range]:
        """The parts of ``whole`` that may be blocked, in order."""
        if self._holds(whole):
            yield whole
            return
        for first, last in _overlaps(whole, self._served, self._served_starts):
            cursor = first
            for hole_first, hole_last in _overlaps((first, last), self._exempt, self._exempt_starts):
                if cursor < hole_first:
                    yield cursor, hole_first - 1
                cursor = hole_last + 1
            if cursor <= last:
                yield cursor, last

    def _holds(self, whole: Range) -> bool:
        """True when all of ``whole`` may be blocked, as of nearly every line."""
        first, last = whole
        served = bisect_right(self._served_starts, first) - 1
        if served < 0 or self._served[served][1] < last:
            return False
        exempt = bisect_right(self._exempt_starts, last) - 1
        return exempt < 0 or self._exempt[exempt][1] < first


def _overlaps(whole: Range, ranges: list[Range], starts: list[int]) -> Iterator[Range]:
    """The parts of ``whole`` that lie in the disjoint, ordered ``ranges``."""
    first, last = whole
    index = max(bisect_right(starts, first) - 1, 0)
    while index < len(ranges) and ranges[index][0] <= last:
        if ranges[index][1] >= first:
            yield max(first, ranges[index][0]), min(last, ranges[index][1])
        index += 1


def prefixes_of(version: int, whole: Range) -> Iterator[Prefix]:
    """The fewest prefixes that hold exactly the addresses of ``whole``, in order."""
    bits, (first, last) = BITS[version], whole
    while first <= last:
        size = last - first + 1
        # the largest block that begins here: bounded by alignment and by what is left
        host_bits = min((first & -first).bit_length() - 1 if first else bits, size.bit_length() - 1)
        yield Prefix(version, first, bits - host_bits)
        first += 1 << host_bits
