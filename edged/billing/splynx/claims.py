# SPDX-License-Identifier: Apache-2.0
"""Whose addresses, devices and logins they are, by billing's services. Prefix or word in, verdict out. Pure.

What an active customer has is never given to a restricted one, whatever their own service says.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterator
from typing import TypeVar

from edged.values import BITS, Prefix

Owners = int | tuple[int, ...]
"""One customer, mostly; 0 is nobody that edged could restrict."""
K = TypeVar("K", int, str)


def _join(owners: dict[K, Owners], key: K, owner: int) -> None:
    already: tuple[int, ...] = _all(owners.get(key, ()))
    if owner not in already:
        owners[key] = (*already, owner) if already else owner


def _all(owners: Owners) -> tuple[int, ...]:
    return owners if isinstance(owners, tuple) else (owners,)


class Claims:
    """Every service's claims. Integers in plain dictionaries: 100,000 services in some 40 MB."""

    __slots__ = ("_networks", "_sorted", "_words")

    def __init__(self) -> None:
        self._networks: dict[tuple[int, int], dict[int, Owners]] = {}
        self._sorted: dict[tuple[int, int], list[int]] = {}
        self._words: dict[str, Owners] = {}

    def add(self, prefix: Prefix, owner: int) -> None:
        """``owner`` has ``prefix``."""
        key = prefix.version, prefix.length
        _join(self._networks.setdefault(key, {}), prefix.network, owner)
        self._sorted.pop(key, None)

    def add_word(self, word: str, owner: int) -> None:
        """``owner`` has a device or a login."""
        _join(self._words, word, owner)

    def merge(self, other: Claims) -> None:
        """Take the claims of ``other`` too."""
        for (version, length), networks in other._networks.items():
            for network, owners in networks.items():
                for owner in _all(owners):
                    self.add(Prefix(version, network, length), owner)
        for word, owners in other._words.items():
            for owner in _all(owners):
                self.add_word(word, owner)

    def is_free(self, prefix: Prefix, restricted: Container[int]) -> bool:
        """True when nobody but restricted customers has any address of ``prefix``."""
        return all(owner in restricted for owners in self._overlapping(prefix) for owner in _all(owners))

    def is_free_word(self, word: str, restricted: Container[int]) -> bool:
        """True when nobody but restricted customers has this device or login."""
        return all(owner in restricted for owner in _all(self._words.get(word, ())))

    def _overlapping(self, prefix: Prefix) -> Iterator[Owners]:
        for (version, length), networks in tuple(self._networks.items()):  # a single answer may add meanwhile
            if version != prefix.version:
                continue
            if length <= prefix.length:
                free = BITS[version] - length
                owners = networks.get(prefix.network >> free << free)
                if owners is not None:
                    yield owners
            else:
                inside = self._sorted.get((version, length))
                if inside is None:
                    inside = self._sorted[version, length] = sorted(networks)
                last = prefix.last
                for index in range(bisect_left(inside, prefix.network), len(inside)):
                    if inside[index] > last:
                        break
                    yield networks[inside[index]]
