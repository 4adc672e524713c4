# SPDX-License-Identifier: Apache-2.0
"""Misses of a device -> whether it must wait. No I/O; the clock is passed in.

A station with a wrong passphrase retries for ever, and each try costs a search over every key.
"""

from __future__ import annotations

from collections import deque

from edged.values import MacAddress

MISSES, WINDOW = 10, 60.0
"""Ten misses within a minute: what other key servers found to spare the mistyping and stop the stubborn."""
MAX_DEVICES = 10_000
"""Remembered at once; a flood of invented addresses pushes out the oldest, never more memory."""


class Patience:
    """The misses of the last minute, by device."""

    __slots__ = ("_misses",)

    def __init__(self) -> None:
        self._misses: dict[MacAddress, deque[float]] = {}

    def miss(self, mac: MacAddress, now: float) -> None:
        """``mac`` missed at ``now``."""
        misses = self._misses.pop(mac, None) or deque(maxlen=MISSES)
        misses.append(now)
        if len(self._misses) >= MAX_DEVICES:
            del self._misses[next(iter(self._misses))]
        self._misses[mac] = misses

    def is_exhausted(self, mac: MacAddress, now: float) -> bool:
        """True while the tenth last miss is less than a minute old."""
        misses = self._misses.get(mac)
        return misses is not None and len(misses) == MISSES and misses[0] > now - WINDOW

    def forgive(self, mac: MacAddress | None = None) -> None:
        """Forget the misses of ``mac``; of all when the keys have changed."""
        if mac is None:
            self._misses.clear()
        else:
            self._misses.pop(mac, None)
