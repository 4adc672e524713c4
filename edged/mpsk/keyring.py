# SPDX-License-Identifier: Apache-2.0
"""Stored keys and learned devices -> ``Keyring``: which keys to try for a device, likeliest first. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from edged.mpsk.outcome import Reason
from edged.mpsk.passphrase import well_formed
from edged.native.keysearch import Candidates, Portable, prepared
from edged.state.keys import RETIRED, KeyId, Sighting, StoredKey
from edged.values import MacAddress, Secret

DEVICE_AGE = 14 * 86400.0
"""A device counts against the limit so long after it was last seen: phones change their MAC fortnightly."""

_Place = tuple[str, str]
"""SSID and site, or SSID and MAC."""


POOL = 8192
"""Most keys of a pool: less than a millisecond to make ready and to search compiled, 25 ms without."""
STEP = 100
"""Keys between two pauses of ``compile_steps``: a quarter of a millisecond."""


MOST_CLAIMS = 256
"""Keys that one device may be registered for, 1.5 ms to try: a placeholder for "no address" is on all of them."""
FRONT = 256
"""Most devices that are kept in front of the others."""


class Pool(NamedTuple):
    """Keys to try, and their PMKs in the same order, ready to be searched."""

    keys: tuple[StoredKey, ...] = ()
    candidates: Candidates = Portable(b"")

    def __repr__(self) -> str:
        return f"Pool({len(self.keys)} keys)"


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


K = TypeVar("K")
V = TypeVar("V")


_GONE: Any = object()
"""In front of an entry that is no more."""


class _Layered(Mapping[K, V]):
    """A few entries in front of many: to copy a hundred thousand for each device that comes would take milliseconds."""

    __slots__ = ("_length", "back", "front")

    def __init__(self, front: dict[K, V], back: Mapping[K, V]) -> None:
        self.front, self.back = front, back
        self._length = len(back) + sum((value is not _GONE) - (key in back) for key, value in front.items())

    def __getitem__(self, key: K) -> V:
        value = self.front[key] if key in self.front else self.back[key]
        if value is _GONE:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self.back if key not in self.front)
        yield from (key for key, value in self.front.items() if value is not _GONE)

    def __len__(self) -> int:
        return self._length


def _over(below: Mapping[K, V], changes: dict[K, V]) -> Mapping[K, V]:
    """``below`` after ``changes``; neither is changed itself."""
    front, back = (below.front, below.back) if isinstance(below, _Layered) else ({}, below)
    front = {**front, **changes}
    if len(front) <= FRONT:
        return _Layered(front, back)
    return {key: value for key, value in {**back, **front}.items() if value is not _GONE}


Assembly = Generator[bytes, Candidates | None, "Keyring"]
"""A keyring in the making: yields PMKs to be made ready, whose candidates are to be sent back, or nothing: a pause."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key, indexed. Immutable: another list, or another device, makes another one."""

    keys: Mapping[KeyId, StoredKey] = field(default_factory=dict)
    pending: tuple[StoredKey, ...] = ()
    """Keys of known networks whose PMK has yet to be derived, the newest first."""
    unready: Mapping[str, int] = field(default_factory=dict)
    """How many of them each SSID has."""
    next_change: float = float("inf")
    """When a key next begins or ceases to be good, epoch seconds: then compile again."""
    learned: Mapping[_Place, Sighting] = field(default_factory=dict)
    """The last key of a device, by SSID and MAC."""
    devices: Mapping[KeyId, Mapping[MacAddress, float]] = field(default_factory=dict)
    """When each device of a key was last seen."""
    _registered: Mapping[_Place, Sequence[KeyId]] = field(default_factory=dict)
    _live: Mapping[_Place, tuple[Pool, ...]] = field(default_factory=dict)
    _lapsed: Mapping[_Place, tuple[Pool, ...]] = field(default_factory=dict)

    def narrow(self, ssid: str, site: str, mac: MacAddress) -> tuple[StoredKey, ...]:
        """The keys this device has a claim to, good or lapsed: its last one, then those registered for it."""
        found: dict[KeyId, StoredKey] = {}
        sighting = self.learned.get((ssid, mac))
        last = self.keys.get(sighting.key) if sighting else None
        # the other passphrase may be the one that is good: the new one has yet to begin, the old one has ended
        other = self._counterpart(last) if last else None
        registered = (self.keys[name] for name in self._registered.get((ssid, mac), ()))
        for stored in (last, other, *registered):
            if stored is not None and fits(stored, ssid, site, mac):
                found[stored.name] = stored
        return tuple(found.values())

    def own(self, ssid: str, site: str, mac: MacAddress, now: float) -> tuple[StoredKey, ...]:
        """What to try first: the good ones of ``narrow`` that have a PMK."""
        claimed = self.narrow(ssid, site, mac)
        return tuple(k for k in claimed if k.pmk is not None and fault_of(k, now) is None)

    def wide(self, ssid: str, site: str) -> tuple[Pool, ...]:
        """What to try then, in turn: the keys of the site, the SSID's, last those that have lapsed.

        A lapsed key is found so that its holder is told why; it never opens anything.
        """
        places = [(ssid, site), (ssid, "")] if site else [(ssid, "")]
        return tuple(pool for found in (self._live, self._lapsed) for place in places for pool in found.get(place, ()))

    def sibling(self, stored: StoredKey, now: float) -> StoredKey | None:
        """The passphrase on the other side of a rotation, while both are good."""
        other = self._counterpart(stored)
        return other if other is not None and fault_of(other, now) is None else None

    def _counterpart(self, stored: StoredKey) -> StoredKey | None:
        """The row on the other side of a rotation.

        A passphrase of before has an end from the first: what billing itself calls so is another resident's key.
        """
        other = self.keys.get(_other(stored.name))
        if other is None:
            return None
        before = other if other.key.id.endswith(RETIRED) else stored
        return other if before.revoked and other.key.ssid == stored.key.ssid else None

    def device_count(self, key: KeyId, besides: MacAddress, now: float) -> int:
        """How many other devices used ``key`` of late, with its passphrase of now or of before a rotation."""
        seen, other = self.devices.get(key, {}), self.devices.get(_other(key), {})
        return sum(at > now - DEVICE_AGE for mac, at in (*seen.items(), *other.items()) if mac != besides)

    def devices_ahead(self, key: KeyId, mac: MacAddress, now: float) -> int:
        """How many other devices go before ``mac`` where a key has more of them than places.

        All, for a newcomer. Of those that have a place whoever was seen later: when a limit is lowered, the devices
        that are in use keep theirs instead of each being told of all the others.
        """
        rows = (row.items() for name in (key, _other(key)) for row in (self.devices.get(name, {}),))
        fresh = {m: at for row in rows for m, at in row if at > now - DEVICE_AGE}
        mine = (fresh.get(mac, float("-inf")), mac)
        return sum((at, m) > mine for m, at in fresh.items() if m != mac)

    def holder_of(self, ssid: str, mac: MacAddress) -> str:
        """Billing's id of whose key the device proved last, or is registered for; empty: not known, or nobody's."""
        sighting = self.learned.get((ssid, mac))
        names = ([sighting.key] if sighting is not None else []) + list(self._registered.get((ssid, mac), ()))
        return next((self.keys[name].key.subscriber for name in names if name in self.keys), "")

    def with_sightings(self, sightings: Iterable[Sighting]) -> Keyring:
        """This keyring after those devices were seen."""
        learned: dict[_Place, Sighting] = {}
        devices: dict[KeyId, Mapping[MacAddress, float]] = {}
        for sighting in sightings:
            place = sighting.ssid, sighting.mac
            before = learned.get(place) or self.learned.get(place)
            if before is not None and before.key != sighting.key:
                seen = devices[before.key] if before.key in devices else self.devices[before.key]
                devices[before.key] = {mac: at for mac, at in seen.items() if mac != sighting.mac}
            learned[place] = sighting
            seen = devices[sighting.key] if sighting.key in devices else self.devices.get(sighting.key, {})
            devices[sighting.key] = {**seen, sighting.mac: sighting.at}
        return replace(self, learned=_over(self.learned, learned), devices=_over(self.devices, devices))

    def without(self, gone: Iterable[_Place]) -> Keyring:
        """This keyring as if the devices ``gone``, by SSID, had never used a key."""
        learned: dict[_Place, Sighting] = {}
        devices: dict[KeyId, Mapping[MacAddress, float]] = {}
        for place in gone:
            sighting = self.learned.get(place)
            if sighting is not None:
                learned[place] = _GONE
                name = sighting.key
                seen = devices[name] if name in devices else self.devices.get(name, {})
                devices[name] = {mac: at for mac, at in seen.items() if mac != sighting.mac}
        if not learned:
            return self
        return replace(self, learned=_over(self.learned, learned), devices=_over(self.devices, devices))

    def with_pmks(self, derived: Sequence[tuple[StoredKey, Secret]], now: float) -> Assembly:
        """This keyring with PMKs that it waited for; those whose key has changed meanwhile are left out."""
        keys, pools, unready = dict(self.keys), _Pools(now), dict(self.unready)
        done: set[KeyId] = set()
        for number, (stored, pmk) in enumerate(derived):
            if not number % STEP:
                yield b""
            known = keys.get(stored.name)
            if known is not None and known.pmk is None and same_key(known, stored):
                keys[stored.name] = replace(known, pmk=pmk)
                yield from pools.put(keys[stored.name], pmk)
                unready[known.key.ssid] = unready.get(known.key.ssid, 0) - 1
                done.add(stored.name)
        live, lapsed = yield from pools.end()
        rest = self.pending[len(done) :]
        if not done.issuperset(s.name for s in self.pending[: len(done)]):  # the list has changed meanwhile
            rest = tuple(s for s in self.pending if s.name not in done)
        return replace(
            self, keys=keys, pending=rest, unready={ssid: count for ssid, count in unready.items() if count > 0},
            _live=_joined(self._live, live), _lapsed=_joined(self._lapsed, lapsed),
        )  # fmt: skip


def compile_keyring(
    keys: Iterable[StoredKey], sightings: Iterable[Sighting], ssids: Iterable[str], now: float
) -> Keyring:
    """The keyring of ``keys`` at ``now``; PMKs are wanted for ``ssids`` alone."""
    return finished(assemble(keys, sightings, ssids, now))


def finished(assembly: Assembly) -> Keyring:
    """The keyring that ``assembly`` makes, at one go."""
    candidates: Candidates | None = None
    while True:
        try:
            pmks = assembly.send(candidates)
        except StopIteration as ended:
            ring: Keyring = ended.value
            return ring
        candidates = prepared(pmks) if pmks else None


def assemble(keys: Iterable[StoredKey], sightings: Iterable[Sighting], ssids: Iterable[str], now: float) -> Assembly:
    """As ``compile_keyring``, in steps."""
    known = frozenset(ssids)
    registered: dict[_Place, list[KeyId]] = {}
    pools = _Pools(now)
    by_name: dict[KeyId, StoredKey] = {}
    pending: dict[float, list[StoredKey]] = {}
    unready: dict[str, int] = {}
    next_change = float("inf")
    for number, stored in enumerate(keys):
        if not number % STEP:
            yield b""
        key = stored.key
        by_name[stored.name] = stored
        changes = (key.not_before, key.expires, stored.revoked)
        next_change = min(next_change, *(at for at in changes if at > now), float("inf"))
        for mac in key.devices:
            claims = registered.setdefault((key.ssid, mac), [])
            if len(claims) < MOST_CLAIMS:
                claims.append(stored.name)
        if stored.pmk is not None:
            yield from pools.put(stored, stored.pmk)
        elif _is_wanted(stored, known, now):
            pending.setdefault(stored.created, []).append(stored)
            unready[key.ssid] = unready.get(key.ssid, 0) + 1
    live, lapsed = yield from pools.end()
    newest_first = tuple(chain.from_iterable(pending[at] for at in sorted(pending, reverse=True)))
    learned, devices = yield from _table(sightings)
    return Keyring(by_name, newest_first, unready, next_change, learned, devices, registered, live, lapsed)


def _is_wanted(stored: StoredKey, known: frozenset[str], now: float) -> bool:
    """True for a key that has to have a PMK: what could open a network of ours, now or later."""
    good = fault_of(stored, now) in {None, Reason.NOT_YET}
    return good and stored.key.ssid in known and well_formed(stored.key.passphrase)


_Pooled = Mapping[_Place, tuple[Pool, ...]]


def _joined(before: _Pooled, more: _Pooled) -> _Pooled:
    return {**before, **{place: (*before.get(place, ()), *pools) for place, pools in more.items()}}


class _Pools:
    """Pools as they fill: good keys and lapsed ones, by SSID and site. Keys of registered devices are in none."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._open: dict[tuple[bool, _Place], tuple[list[StoredKey], bytearray]] = {}
        self._full: tuple[dict[_Place, tuple[Pool, ...]], dict[_Place, tuple[Pool, ...]]] = {}, {}

    def put(self, stored: StoredKey, pmk: Secret) -> Generator[bytes, Candidates | None, None]:
        """Put ``stored`` into its pool."""
        if stored.key.devices:
            return
        where = fault_of(stored, self._now) is not None, (stored.key.ssid, stored.key.site)
        keys, pmks = self._open.setdefault(where, ([], bytearray()))
        keys.append(stored)
        pmks += pmk.reveal()
        if len(keys) == POOL:
            yield from self._close(where)

    def end(self) -> Generator[bytes, Candidates | None, tuple[_Pooled, _Pooled]]:
        """The good ones and the lapsed."""
        for where in tuple(self._open):
            yield from self._close(where)
        return self._full

    def _close(self, where: tuple[bool, _Place]) -> Generator[bytes, Candidates | None, None]:
        keys, pmks = self._open.pop(where)
        candidates = yield bytes(pmks)
        lapsed, place = where
        full = self._full[lapsed]
        full[place] = (*full.get(place, ()), Pool(tuple(keys), candidates or Portable(bytes(pmks))))


def _table(
    sightings: Iterable[Sighting],
) -> Generator[bytes, Candidates | None, tuple[dict[_Place, Sighting], dict[KeyId, dict[MacAddress, float]]]]:
    """As ``with_sightings`` for a whole table, one dictionary a key instead of one a device."""
    learned: dict[_Place, Sighting] = {}
    devices: dict[KeyId, dict[MacAddress, float]] = {}
    for number, sighting in enumerate(sightings):
        if not number % STEP:
            yield b""
        learned[sighting.ssid, sighting.mac] = sighting
    for number, sighting in enumerate(learned.values()):
        if not number % STEP:
            yield b""
        devices.setdefault(sighting.key, {})[sighting.mac] = sighting.at
    return learned, devices


def _other(name: KeyId) -> KeyId:
    """The row on the other side of a rotation."""
    base = name.id.removesuffix(RETIRED)
    return KeyId(name.origin, base if base != name.id else base + RETIRED)


def fits(stored: StoredKey, ssid: str, site: str, mac: MacAddress) -> bool:
    """True for a key that this device may use on this network and site."""
    key = stored.key
    return key.ssid == ssid and key.site in {"", site} and (not key.devices or mac in key.devices)
