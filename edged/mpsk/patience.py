# SPDX-License-Identifier: Apache-2.0
"""Misses of a device and of an access point -> whether it must wait. No I/O; the clock is passed in.

A station with a wrong passphrase retries for ever, and each try costs a search over every key; whoever invents a MAC
address for each try is held by the access point that all of them come from.
"""

from __future__ import annotations

from collections import deque

from edged.values import IpAddress, MacAddress

MISSES, WINDOW = 10, 60.0
"""Ten misses within a minute: what other key servers found to spare the mistyping and stop the stubborn."""
MAX_DEVICES = 10_000
"""Remembered at once; a flood of invented addresses pushes out the oldest, never more memory."""
SHARE, BURST = 0.25, 5.0
"""Of one core, and seconds of one: what the misses of one access point, or of one controller, may take.

With 10,000 keys, compiled (0.8 ms a miss), that is 6,000 misses at once and 300 a second from then on: as many as 1,800
devices make that all have a wrong passphrase and never give up. Not compiled (30 ms): 160 at once, then 8 a second.
"""
MAX_NASES = 4096

Device = tuple[str, MacAddress]
"""Site and MAC address: what one site's access points say of a device holds up none at another's."""


class Patience:
    """The misses of the last minute, by device, and what those of each access point have cost of late."""

    __slots__ = ("_misses", "_spent")

    def __init__(self) -> None:
        self._misses: dict[Device, deque[float]] = {}
        self._spent: dict[IpAddress, tuple[float, float]] = {}
        """Seconds of search, and when they were so many."""

    def miss(self, device: Device, now: float) -> None:
        """``device`` missed at ``now``."""
        misses = self._misses.pop(device, None) or deque(maxlen=MISSES)
        misses.append(now)
        if len(self._misses) >= MAX_DEVICES:
            del self._misses[next(iter(self._misses))]
        self._misses[device] = misses

    def spend(self, nas: IpAddress, seconds: float, now: float) -> None:
        """A search of so many seconds for ``nas`` ended in no accept."""
        spent = self._spent_by(nas, now) + seconds
        self._spent.pop(nas, None)
        if len(self._spent) >= MAX_NASES:
            del self._spent[next(iter(self._spent))]
        self._spent[nas] = spent, now

    def is_exhausted(self, device: Device, now: float) -> bool:
        """True while the tenth last miss is less than a minute old."""
        misses = self._misses.get(device)
        return misses is not None and len(misses) == MISSES and misses[0] > now - WINDOW

    def is_spent(self, nas: IpAddress, now: float) -> bool:
        """True while ``nas`` has had more than its share."""
        return self._spent_by(nas, now) >= BURST

    def forgive(self, device: Device | None = None) -> None:
        """Forget the misses of ``device``; of all when the keys have changed."""
        if device is None:
            self._misses.clear()
            self._spent.clear()
        else:
            self._misses.pop(device, None)

    def _spent_by(self, nas: IpAddress, now: float) -> float:
        """The seconds spent that time has not given back yet."""
        spent, at = self._spent.get(nas, (0.0, now))
        return max(0.0, spent - SHARE * max(0.0, now - at))
