# SPDX-License-Identifier: Apache-2.0
"""The prefixes that may never be blocked: too wide, or the network's own. Prefix in, word out. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Literal

from edged.billing.settings import WidestSettings
from edged.values import BITS, Prefix

_FEW = 4
"""A business line may have its own prefix beside the line's; a hundred of them are a fault of the export."""


class Ground:
    """The edge's own addresses, gateways and upstreams, and how wide a prefix may be."""

    __slots__ = ("_first", "_last", "_narrowest")

    def __init__(self, widest: WidestSettings, own: Iterable[Prefix]) -> None:
        # length 0 is everybody, whatever the operator has set
        self._narrowest = {4: max(1, widest.ipv4), 6: max(1, widest.ipv6)}
        self._first: dict[int, list[int]] = {4: [], 6: []}
        self._last: dict[int, list[int]] = {4: [], 6: []}
        reach = {4: -1, 6: -1}
        for prefix in sorted(own):
            # prefixes nest or are disjoint: one that begins inside the one before adds nothing
            if prefix.network > reach[prefix.version]:
                reach[prefix.version] = prefix.last
                self._first[prefix.version].append(prefix.network)
                self._last[prefix.version].append(prefix.last)

    def is_vast(self, prefixes: Iterable[Prefix]) -> bool:
        """True when ``prefixes`` together hold more addresses of a family than ``_FEW`` of the widest prefixes may."""
        total = {4: 0, 6: 0}
        for prefix in prefixes:
            total[prefix.version] += 1 << (BITS[prefix.version] - prefix.length)
        return any(total[version] > _FEW << (BITS[version] - self._narrowest[version]) for version in total)

    def forbids(self, prefix: Prefix) -> Literal["wide", "own"] | None:
        """Why ``prefix`` may never be blocked; None: it may."""
        if prefix.length < self._narrowest[prefix.version]:
            return "wide"
        position = bisect_left(self._last[prefix.version], prefix.network)
        first = self._first[prefix.version]
        return "own" if position < len(first) and first[position] <= prefix.last else None
