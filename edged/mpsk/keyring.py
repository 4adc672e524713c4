# SPDX-License-Identifier: Apache-2.0
"""Stored keys and learned devices -> ``Keyring``: which keys to try for a device, likeliest first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from edged.mpsk.outcome import Reason
from edged.mpsk.passphrase import well_formed
from edged.state.keys import RETIRED, KeyId, Sighting, StoredKey
from edged.values import MacAddress

DEVICE_AGE = 14 * 86400.0
"""A device counts against the limit so long after it was last seen: phones change their MAC fortnightly."""

_Place = tuple[str, str]
"""SSID and site, or SSID and MAC."""


class Pool(NamedTuple):
    """Keys to try, with their PMKs in the same order, 32 octets each, in one piece."""

    keys: tuple[StoredKey, ...] = ()
    pmks: bytes = b""

    def __repr__(self) -> str:
        return f"Pool({len(self.keys)} keys)"


_NONE = Pool()


def fault_of(stored: StoredKey, now: float) -> Reason | None:
    """Why ``stored`` is not good at ``now``; None when it is."""
    if stored.revoked and stored.revoked <= now:
        return Reason.REVOKED
    if stored.shadowed_by:
        return Reason.NOT_UNIQUE
    if stored.key.not_before > now:
        return Reason.NOT_YET
    if stored.key.expires and stored.key.expires <= now:
        return Reason.EXPIRED
    return None


def same_key(left: StoredKey, right: StoredKey) -> bool:
    """True when what opens the network is the same: whatever is derived from one holds for the other."""
    return left.key.ssid == right.key.ssid and left.key.passphrase == right.key.passphrase


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key, indexed. Immutable: another list, or another device, makes another one."""

    keys: Mapping[KeyId, StoredKey] = field(default_factory=dict)
    pending: tuple[StoredKey, ...] = ()
    """Keys of known networks whose PMK has yet to be derived."""
    next_change: float = float("inf")
    """When a key next begins or ceases to be good, epoch seconds: then compile again."""
    learned: Mapping[_Place, Sighting] = field(default_factory=dict)
    """The last key of a device, by SSID and MAC."""
    devices: Mapping[KeyId, Mapping[MacAddress, float]] = field(default_factory=dict)
    """When each device of a key was last seen."""
    _registered: Mapping[_Place, tuple[StoredKey, ...]] = field(default_factory=dict)
    _live: Mapping[_Place, Pool] = field(default_factory=dict)
    _lapsed: Mapping[_Place, Pool] = field(default_factory=dict)

    def narrow(self, ssid: str, site: str, mac: MacAddress) -> tuple[StoredKey, ...]:
        """The keys this device has a claim to, good or lapsed: its last one, then those registered for it."""
        found: dict[KeyId, StoredKey] = {}
        sighting = self.learned.get((ssid, mac))
        last = self.keys.get(sighting.key) if sighting else None
        successor = self.keys.get(_other(last.name)) if last and last.key.id.endswith(RETIRED) else None
        for stored in (last, successor, *self._registered.get((ssid, mac), ())):
            if stored is not None and _fits(stored, ssid, site, mac):
                found[stored.name] = stored
        return tuple(found.values())

    def candidates(self, ssid: str, site: str, mac: MacAddress, now: float) -> tuple[Pool, ...]:
        """What to try in turn: the device's own keys, its site's, the SSID's, last those that have lapsed.

        A lapsed key is found so that its holder is told why; it never opens anything.
        """
        own = [k for k in self.narrow(ssid, site, mac) if k.pmk is not None and fault_of(k, now) is None]
        places = [(ssid, site), (ssid, "")] if site else [(ssid, "")]
        return (
            _pool(own),
            *(self._live.get(place, _NONE) for place in places),
            *(self._lapsed.get(place, _NONE) for place in places),
        )

    def sibling(self, stored: StoredKey, now: float) -> StoredKey | None:
        """The passphrase on the other side of a rotation, while both are good."""
        other = self.keys.get(_other(stored.name))
        return other if other is not None and fault_of(other, now) is None else None

    def device_count(self, key: KeyId, besides: MacAddress, now: float) -> int:
        """How many other devices used ``key`` of late, with its passphrase of now or of before a rotation."""
        seen, other = self.devices.get(key, {}), self.devices.get(_other(key), {})
        return sum(at > now - DEVICE_AGE for mac, at in (*seen.items(), *other.items()) if mac != besides)

    def with_sightings(self, sightings: Iterable[Sighting]) -> Keyring:
        """This keyring after those devices were seen."""
        learned, devices = dict(self.learned), dict(self.devices)
        for sighting in sightings:
            before = learned.get((sighting.ssid, sighting.mac))
            if before is not None and before.key != sighting.key:
                devices[before.key] = {m: at for m, at in devices[before.key].items() if m != sighting.mac}
            learned[sighting.ssid, sighting.mac] = sighting
            devices[sighting.key] = {**devices.get(sighting.key, {}), sighting.mac: sighting.at}
        return replace(self, learned=learned, devices=devices)


def compile_keyring(
    keys: Iterable[StoredKey], sightings: Iterable[Sighting], ssids: Iterable[str], now: float
) -> Keyring:
    """The keyring of ``keys`` at ``now``; PMKs are wanted for ``ssids`` alone."""
    known = frozenset(ssids)
    registered: dict[_Place, list[StoredKey]] = {}
    live: dict[_Place, list[StoredKey]] = {}
    lapsed: dict[_Place, list[StoredKey]] = {}
    by_name: dict[KeyId, StoredKey] = {}
    pending = []
    next_change = float("inf")
    for stored in keys:
        key = stored.key
        by_name[stored.name] = stored
        changes = (key.not_before, key.expires, stored.revoked)
        next_change = min(next_change, *(at for at in changes if at > now), float("inf"))
        for mac in key.devices:
            registered.setdefault((key.ssid, mac), []).append(stored)
        fault = fault_of(stored, now)
        if stored.pmk is None:
            wanted = key.ssid in known and fault in {None, Reason.NOT_YET}
            if wanted and well_formed(key.passphrase):
                pending.append(stored)
        elif not key.devices:
            (lapsed if fault else live).setdefault((key.ssid, key.site), []).append(stored)
    ring = Keyring(
        by_name,
        tuple(sorted(pending, key=lambda s: -s.created)),
        next_change,
        _registered={place: tuple(found) for place, found in registered.items()},
        _live={place: _pool(found) for place, found in live.items()},
        _lapsed={place: _pool(found) for place, found in lapsed.items()},
    )
    return _with_all(ring, sightings)


def _with_all(ring: Keyring, sightings: Iterable[Sighting]) -> Keyring:
    """As ``with_sightings`` for a whole table, one dictionary a key instead of one a device."""
    learned: dict[_Place, Sighting] = {(s.ssid, s.mac): s for s in sightings}
    devices: dict[KeyId, dict[MacAddress, float]] = {}
    for sighting in learned.values():
        devices.setdefault(sighting.key, {})[sighting.mac] = sighting.at
    return replace(ring, learned=learned, devices=devices)


def _other(name: KeyId) -> KeyId:
    """The row on the other side of a rotation."""
    base = name.id.removesuffix(RETIRED)
    return KeyId(name.origin, base if base != name.id else base + RETIRED)


def _fits(stored: StoredKey, ssid: str, site: str, mac: MacAddress) -> bool:
    key = stored.key
    return key.ssid == ssid and key.site in {"", site} and (not key.devices or mac in key.devices)


def _pool(keys: Iterable[StoredKey]) -> Pool:
    tried = tuple(keys)
    return Pool(tried, b"".join(s.pmk.reveal() for s in tried if s.pmk is not None)) if tried else _NONE
