# SPDX-License-Identifier: Apache-2.0
"""Which devices are on the VLAN of the blocked, by their latest grant: grants in, what has changed out. No I/O.

The latest grant alone counts: a device that once proved a suspended resident's key and is on with another's key is not
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from edged.mpsk.keyring import Keyring
from edged.mpsk.memory import Grant
from edged.mpsk.places import holding
from edged.policy.moved import Holder
from edged.state.keys import StoredKey
from edged.values import MacAddress

Place = tuple[str, MacAddress]
"""SSID and device."""
STEP = 256
"""Devices looked at between two pauses."""


MOST = 65536
"""Devices there, of which some may have been gone for long: no access point had to say so."""


class Moves:
    """Never more than ``MOST``; the one that came first goes."""

    __slots__ = ("_changes", "_keys", "_there", "wake")

    def __init__(self) -> None:
        self._there: dict[MacAddress, _There] = {}
        self._keys: object = None
        """The key list that whose a key is was last asked of."""
        self._changes: dict[MacAddress, Holder | None] = {}
        self.wake: Callable[[], None] = lambda: None
        """Called when there are changes to take."""

    def granted(self, place: Place, grant: Grant) -> bool:
        """``grant`` is the latest of its device; True when that is news."""
        ssid, mac = place
        before = self._there.get(mac)
        if before is None and not grant.blocked:
            return False
        # asked by its MAC address, anybody's, and got no key: that tells nothing of where the device is
        if before is not None and grant.name is None and ssid != before.ssid:
            return False
        return self._put(mac, _there(ssid, grant.key) if grant.key is not None and grant.blocked else None)

    def has(self, place: Place) -> bool:
        """True for a device that is there by its latest grant, at that network."""
        there = self._there.get(place[1])
        return there is not None and there.ssid == place[0]

    def left(self, place: Place) -> None:
        """It was refused or sent away there, or is forgotten: nothing older than that counts."""
        ssid, mac = place
        before = self._there.get(mac)
        if before is not None and before.ssid == ssid:
            self._put(mac, None)

    def follow(self, ring: Keyring) -> Iterator[None]:
        """Take from the key list whose the keys are now, in steps; a key that has gone stays whose it was."""
        if ring.keys is self._keys:
            return
        self._keys = ring.keys
        devices = iter(tuple(self._there))
        while step := tuple(islice(devices, STEP)):
            for mac in step:
                there = self._there.get(mac)
                stored = None if there is None else holding(ring, there.key)
                if there is not None and stored is not None:
                    self._put(mac, _there(there.ssid, stored))
            yield

    def taken(self, most: int | None = None) -> dict[MacAddress, Holder | None]:
        """What has changed since the last time, up to so many of it; None: it is there no longer."""
        changes = dict(islice(self._changes.items(), most))
        for mac in changes:
            del self._changes[mac]
        return changes

    def _put(self, mac: MacAddress, after: _There | None) -> bool:
        before = self._there.pop(mac, None)
        if after is not None:
            if len(self._there) >= MOST:
                self._put(next(iter(self._there)), None)
            self._there[mac] = after
        holder = after and after.holder
        if holder == (before and before.holder):
            return (after and after.ssid) != (before and before.ssid)
        self._changes[mac] = holder
        self.wake()
        return True


class _There(NamedTuple):
    """How a device is on the VLAN of the blocked."""

    ssid: str
    key: StoredKey
    """As it was."""
    holder: Holder | None
    """None: the key has no subscriber, so nobody is suspended by it."""


def _there(ssid: str, key: StoredKey) -> _There:
    return _There(ssid, key, Holder(key.key.subscriber, key.key.id) if key.key.subscriber else None)
