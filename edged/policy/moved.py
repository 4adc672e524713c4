# SPDX-License-Identifier: Apache-2.0
"""Devices that edged itself put on the VLAN of the blocked: whose key each has, and its addresses there. Pure.

They count where that VLAN ends and nowhere else: a MAC address is easily spelt, and the same one may be on another
VLAN, or on a cable, with somebody who pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from edged.values import IpAddress, MacAddress


class Holder(NamedTuple):
    """By what a device is there."""

    subscriber: str
    """Billing's id, from the key."""
    key: str
    """The key's id."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Every device that is there now. Immutable."""

    holders: dict[MacAddress, Holder] = field(default_factory=dict)
    devices: dict[str, tuple[MacAddress, ...]] = field(default_factory=dict)
    """Subscriber's id to devices, in the order in which they came."""
    addresses: dict[IpAddress, MacAddress] = field(default_factory=dict)
    """Which address each of them has now, as seen where the VLAN ends."""

    def changed(self, changes: Mapping[MacAddress, Holder | None]) -> Moved:
        """These, after devices have come, changed hands, or gone (None)."""
        news = {mac: holder for mac, holder in changes.items() if self.holders.get(mac) != holder}
        if not news:
            return self
        holders, devices, addresses = self.holders.copy(), self.devices.copy(), self.addresses
        leaving: dict[str, set[MacAddress]] = {}
        coming: dict[str, list[MacAddress]] = {}
        for mac, holder in news.items():
            before = holders.pop(mac, None)
            if before is not None:
                leaving.setdefault(before.subscriber, set()).add(mac)
            if holder is not None:
                holders[mac] = holder
                coming.setdefault(holder.subscriber, []).append(mac)
        # subscriber by subscriber: one may be a whole hotel
        for subscriber in leaving.keys() | coming.keys():
            gone = leaving.get(subscriber, set())
            stay = (mac for mac in devices.pop(subscriber, ()) if mac not in gone)
            if there := (*stay, *coming.get(subscriber, ())):
                devices[subscriber] = there
        if addresses and None in news.values():
            addresses = {address: mac for address, mac in addresses.items() if mac in holders}
        return Moved(holders, devices, addresses)

    def concerned(self, changes: Mapping[MacAddress, Holder | None]) -> frozenset[str]:
        """Ids of the subscribers whose devices are others after ``changes``."""
        holders = (holder for mac, new in changes.items() for holder in (self.holders.get(mac), new))
        return frozenset(holder.subscriber for holder in holders if holder is not None)

    def located(self, addresses: Mapping[IpAddress, MacAddress]) -> Moved:
        """These, with the addresses that they have now; those of anybody else are left out."""
        here = {address: mac for address, mac in addresses.items() if mac in self.holders}
        return self if here == self.addresses else replace(self, addresses=here)

    def met(self, addresses: Mapping[IpAddress, MacAddress]) -> Moved:
        """These, some of them with an address that is new; those of anybody else are left out."""
        new = {a: mac for a, mac in addresses.items() if mac in self.holders and self.addresses.get(a) != mac}
        return replace(self, addresses=self.addresses | new) if new else self

    def __len__(self) -> int:
        return len(self.holders)
