# SPDX-License-Identifier: Apache-2.0
"""Stored keys as values, who holds which passphrase, and what billing's list makes of its rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from edged.model import Key
from edged.values import MacAddress, Secret

BILLING, LOCAL = "billing", "local"
RETIRED = "~old"
"""Ends the id of a key's previous passphrase while both are good (``rotate_overlap``)."""


class KeyId(NamedTuple):
    """Names one stored key."""

    origin: str
    """``billing`` or ``local``."""
    id: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with what edged adds to it."""

    origin: str
    key: Key
    pmk: Secret | None = None
    """None: not derived yet."""
    created: float = 0.0
    revoked: float = 0.0
    """Epoch seconds from which it is no longer good, the future included; 0: never."""
    shadowed_by: str = ""
    """Id of billing's key that has its passphrase now, so that this local one is set aside; never stored."""

    @property
    def name(self) -> KeyId:
        """What the key is called in tables and logs."""
        return KeyId(self.origin, self.key.id)

    def is_live(self, now: float) -> bool:
        """False once it has ended; what has yet to begin is live."""
        return now < self._end

    @property
    def _end(self) -> float:
        return min(self.key.expires or float("inf"), self.revoked or float("inf"))

    def clashes(self, other: StoredKey, now: float) -> bool:
        """True when a device could not be told from one of ``other``, at some site and some moment from ``now`` on."""
        mine, its = self.key, other.key
        return (
            (mine.ssid, mine.passphrase) == (its.ssid, its.passphrase)
            and (mine.site == its.site or not mine.site or not its.site)
            and max(now, mine.not_before, its.not_before) < min(self._end, other._end)
        )


class Sighting(NamedTuple):
    """A device that used a key."""

    ssid: str
    mac: MacAddress
    key: KeyId
    at: float


@dataclass(frozen=True, slots=True)
class BillingChange:
    """What one reading of billing did to the keys."""

    added: int = 0
    changed: int = 0
    revoked: int = 0
    conflicts: tuple[tuple[str, str], ...] = ()
    """Ids of a key left out and of the one with the same passphrase on the same SSID and site."""


class Taken:
    """Which key holds a passphrase, by SSID, from ``now`` on; sites overlap when equal or when one is empty."""

    def __init__(self, keys: Iterable[StoredKey], now: float) -> None:
        self._now = now
        self._holders: dict[tuple[str, Secret], list[StoredKey]] = {}
        for stored in keys:
            self.take(stored)

    def take(self, stored: StoredKey) -> None:
        """``stored`` holds its passphrase too."""
        if stored.is_live(self._now):
            self._holders.setdefault((stored.key.ssid, stored.key.passphrase), []).append(stored)

    def holder(self, stored: StoredKey) -> StoredKey | None:
        """Another key that cannot be told from ``stored``; None when there is none."""
        for other in self._holders.get((stored.key.ssid, stored.key.passphrase), ()):
            if other.name != stored.name and stored.clashes(other, self._now):
                return other
        return None


def merge(
    before: Mapping[str, StoredKey], keys: Sequence[Key], now: float, overlap: Mapping[str, float]
) -> tuple[dict[str, StoredKey], tuple[tuple[str, str], ...]]:
    """Billing's rows as they are to be, and the conflicts in its list: who had a passphrase before keeps it."""
    pmks = {(s.key.ssid, s.key.passphrase): s.pmk for s in before.values() if s.pmk is not None}
    taken = Taken((), now)
    after: dict[str, StoredKey] = {}
    conflicts = []
    for key in sorted(keys, key=lambda k: (not _held(before.get(k.id), k), k.id)):
        old = before.get(key.id)
        pmk = pmks.get((key.ssid, key.passphrase))
        same = old is not None and (old.key.ssid, old.key.passphrase) == (key.ssid, key.passphrase)
        stored = StoredKey(BILLING, key, pmk, old.created if old is not None and same else now)
        holder = after.get(key.id) or taken.holder(stored)
        if holder is not None:
            conflicts.append((key.id, holder.key.id))
            continue
        taken.take(stored)
        after[key.id] = stored
    for stored in list(after.values()):
        retired = _retired(stored, before, now, overlap.get(stored.key.ssid, 0.0))
        if retired is not None and taken.holder(retired) is None:
            taken.take(retired)
            after.setdefault(retired.key.id, retired)
    for key_id, old in before.items():
        if key_id not in after:
            after[key_id] = old if 0.0 < old.revoked <= now else replace(old, revoked=now)
    return after, tuple(sorted(conflicts))


def _held(old: StoredKey | None, key: Key) -> bool:
    """True when ``key`` had its passphrase in the list before: a newcomer does not take it from its holder."""
    return old is not None and not old.revoked and (old.key.ssid, old.key.passphrase) == (key.ssid, key.passphrase)


def _retired(new: StoredKey, before: Mapping[str, StoredKey], now: float, overlap: float) -> StoredKey | None:
    """The previous passphrase of ``new``, everything else as it is now; None when none is good any more."""
    old = before.get(new.key.id)
    name = new.key.id + RETIRED
    if old is None or old.key.subscriber != new.key.subscriber or old.key.ssid != new.key.ssid:
        return None
    if old.key.passphrase != new.key.passphrase:
        if overlap <= 0.0 or 0.0 < old.revoked <= now:
            return None
        key = replace(new.key, id=name, passphrase=old.key.passphrase)
        return StoredKey(BILLING, key, old.pmk, old.created, now + overlap)
    still = before.get(name)
    if still is None or still.revoked <= now:
        return None
    return replace(still, key=replace(new.key, id=name, passphrase=still.key.passphrase))
