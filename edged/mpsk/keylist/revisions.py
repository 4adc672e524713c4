# SPDX-License-Identifier: Apache-2.0
"""Every key as it stands + an operator's act -> the rows to write, or why not. Pure; the clock is passed in.

Billing's keys are never changed here: they change in billing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edged.errors import Problem
from edged.state.keyrows import Taken
from edged.state.keys import BILLING, LOCAL, RETIRED, KeyId, StoredKey
from edged.values import MacAddress, Secret


@dataclass(frozen=True, slots=True)
class Revised:
    """What an act came to."""

    ids: tuple[str, ...] = ()
    """Keys that are others now."""
    problems: tuple[Problem, ...] = ()
    """Why nothing was changed."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The terms of a change of passphrase."""

    now: float
    at: float = 0.0
    """When the new one begins; 0 or past: now."""
    overlap: Mapping[str, float] | None = None
    """How long the old one stays good beside it, by SSID; None: it has leaked and ends now."""

    def end_of(self, ssid: str) -> float:
        """When the old passphrase ends."""
        return self.now if self.overlap is None else max(self.at, self.now) + self.overlap.get(ssid, 0.0)


Macs = tuple[MacAddress, ...]
Rows = tuple[Iterable[StoredKey], Revised]


class _Shelf:
    """The keys as they stand, by name."""

    def __init__(self, keys: Sequence[StoredKey], now: float) -> None:
        self.rows = {s.name: s for s in keys}
        self.now = now

    def local(self, key_id: str) -> StoredKey | None:
        return self.rows.get(KeyId(LOCAL, key_id))

    def old(self, key_id: str) -> StoredKey | None:
        """The passphrase of before a rotation, while it is good."""
        found = self.local(key_id + RETIRED)
        return found if found is not None and found.is_live(self.now) else None

    def fault(self, key_id: str) -> Problem | None:
        """Why a local key cannot be changed; None when it can."""
        found = self.local(key_id)
        if found is None and KeyId(BILLING, key_id) in self.rows:
            return Problem(key_id, "billing's key", "a key of your own making; billing's change in billing")
        if found is None:
            return Problem(key_id, "no such key", "an id of edged keys list")
        if key_id.endswith(RETIRED):
            return Problem(key_id, "the passphrase of before", f"the key itself, {key_id.removesuffix(RETIRED)}")
        if 0.0 < found.revoked <= self.now:
            return Problem(key_id, "revoked", f"a live key; edged keys revoke --undo {key_id} brings it back")
        return None

    def written(self, put: Sequence[StoredKey], ids: Iterable[str]) -> Rows:
        """``put``, unless one of them could then not be told from another key."""
        changed = {s.name for s in put}
        taken = Taken((s for s in self.rows.values() if s.name not in changed), self.now)
        problems = []
        for stored in put:
            holder = taken.holder(stored)
            if holder is not None and stored.is_live(self.now):
                found = f"its passphrase is that of {holder.key.id} ({holder.origin})"
                problems.append(Problem(stored.key.id, found, "another passphrase"))
            taken.take(stored)
        return _refused(problems) if problems else (put, Revised(tuple(ids)))


def _refused(problems: Iterable[Problem]) -> Rows:
    return (), Revised(problems=tuple(problems))


def _faults(shelf: _Shelf, ids: Collection[str]) -> list[Problem]:
    return [fault for fault in map(shelf.fault, ids) if fault is not None]


def rotated(keys: Sequence[StoredKey], ids: Collection[str], terms: Rotation, draw: Callable[[], Secret]) -> Rows:
    """Another passphrase for each of ``ids``, and for the same resident's key on every other SSID."""
    shelf = _Shelf(keys, terms.now)
    problems = _faults(shelf, ids)
    for key_id in ids:
        found = shelf.local(key_id)
        if not problems and found is not None and not found.is_live(terms.now):
            problems.append(Problem(key_id, "expired", f"a live key; edged keys expire {key_id} never brings it back"))
    if problems:
        return _refused(problems)
    fresh = {_resident(found): draw() for found in map(shelf.local, ids) if found is not None}
    put: list[StoredKey] = []
    changed = []
    for stored in keys:
        passphrase = fresh.get(_resident(stored))
        if passphrase is None or shelf.fault(stored.key.id) or stored.origin != LOCAL:
            continue
        put += _turned(stored, shelf.old(stored.key.id), passphrase, terms)
        changed.append(stored.key.id)
    return shelf.written(put, changed)


def _resident(stored: StoredKey) -> tuple[Secret, str, str]:
    """Equal for one resident's keys on several SSIDs."""
    return stored.key.passphrase, stored.key.site, stored.key.subscriber


def _turned(stored: StoredKey, old: StoredKey | None, passphrase: Secret, terms: Rotation) -> list[StoredKey]:
    """The key with ``passphrase``, and the row of the one that is good until it ends."""
    # a rotation that was prepared and has not begun: what is in use is the one before
    leaving = old if old is not None and stored.key.not_before > terms.now else stored
    begins = max(leaving.key.not_before, terms.at) if terms.at > terms.now else leaving.key.not_before
    ends = terms.end_of(stored.key.ssid)
    if leaving.key.not_before > terms.now:
        ends = terms.now  # never was good: nobody has it
    key = replace(stored.key, passphrase=passphrase, not_before=begins)
    before = replace(
        stored.key, id=stored.key.id + RETIRED, passphrase=leaving.key.passphrase, not_before=leaving.key.not_before
    )
    return [
        StoredKey(LOCAL, key, created=terms.now),
        StoredKey(LOCAL, before, leaving.pmk, leaving.created, ends),
    ]


def rotations_undone(keys: Sequence[StoredKey], ids: Collection[str], now: float) -> Rows:
    """``ids`` have their passphrases of before again, and so has the same resident's key on every other SSID.

    The newer ones stay good as long as the older would have.
    """
    shelf = _Shelf(keys, now)
    problems = _faults(shelf, ids)
    if not problems:
        expected = "an undo while both are good; edged keys rotate"
        problems = [
            Problem(key_id, "its passphrase of before has ended", expected)
            for key_id in ids
            if shelf.old(key_id) is None
        ]
    if problems:
        return _refused(problems)
    wanted = {_resident(found) for found in map(shelf.local, ids) if found is not None}
    put: list[StoredKey] = []
    changed = []
    for stored in keys:
        old = shelf.old(stored.key.id) if stored.origin == LOCAL and _resident(stored) in wanted else None
        if old is not None and shelf.fault(stored.key.id) is None:
            put += _turned_back(stored, old, now)
            changed.append(stored.key.id)
    return shelf.written(put, changed)


def _turned_back(stored: StoredKey, old: StoredKey, now: float) -> list[StoredKey]:
    begun = stored.key.not_before <= now
    # after a restart it is the order of these times that tells which passphrase a name was that of: the one that comes
    # back is the key's own from now on, and one that never was good has been nobody's
    times = (now, stored.created) if begun else (old.created, old.created)
    back = replace(stored.key, passphrase=old.key.passphrase, not_before=old.key.not_before)
    aside = replace(
        old.key, passphrase=stored.key.passphrase, not_before=stored.key.not_before if begun else old.key.not_before
    )
    return [
        StoredKey(LOCAL, back, old.pmk, times[0]),
        StoredKey(LOCAL, aside, stored.pmk, times[1], old.revoked if begun else now),
    ]


def revoked(keys: Sequence[StoredKey], ids: Collection[str], now: float) -> Rows:
    """Local keys end now, their passphrases of before with them."""
    shelf = _Shelf(keys, now)
    problems = _faults(shelf, ids)
    if problems:
        return _refused(problems)
    rows = [row for key_id in ids for row in (shelf.local(key_id), shelf.old(key_id)) if row is not None]
    return [replace(row, revoked=now) for row in rows], Revised(tuple(ids))


def restored(keys: Sequence[StoredKey], ids: Collection[str], now: float) -> Rows:
    """Revoked local keys are good again as they were, unless another has their passphrase by now."""
    shelf = _Shelf(keys, now)
    problems, put = [], []
    for key_id in ids:
        found = shelf.local(key_id)
        if found is None or key_id.endswith(RETIRED):
            fault = shelf.fault(key_id) if found is None else None
            problems.append(fault or Problem(key_id, "the passphrase of before", "a revoked key"))
        elif not 0.0 < found.revoked <= now:
            problems.append(Problem(key_id, "not revoked", "a revoked key"))
        else:
            put.append(replace(found, revoked=0.0))
    return _refused(problems) if problems else shelf.written(put, ids)


def ended_at(keys: Sequence[StoredKey], ids: Collection[str], at: float, now: float) -> Rows:
    """Local keys end ``at``; 0: never."""
    shelf = _Shelf(keys, now)
    problems = _faults(shelf, ids)
    for key_id in ids:
        found = shelf.local(key_id)
        if found is not None and at and at <= found.key.not_before:
            problems.append(Problem(key_id, "an end before its beginning", "an end after it"))
    if problems:
        return _refused(problems)
    rows = [row for key_id in ids for row in (shelf.local(key_id), shelf.old(key_id)) if row is not None]
    return shelf.written([replace(row, key=replace(row.key, expires=at)) for row in rows], ids)


def with_devices(
    keys: Sequence[StoredKey],
    key_id: str,
    change: Callable[[tuple[MacAddress, ...]], tuple[MacAddress, ...]],
    now: float,
) -> Rows:
    """A local key that is good for other devices: ``change`` makes its list of them."""
    shelf = _Shelf(keys, now)
    problems = _faults(shelf, [key_id])
    if problems:
        return _refused(problems)
    rows = [row for row in (shelf.local(key_id), shelf.old(key_id)) if row is not None]
    return [replace(row, key=replace(row.key, devices=change(row.key.devices))) for row in rows], Revised((key_id,))
