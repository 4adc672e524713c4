# SPDX-License-Identifier: Apache-2.0
"""Places of devices on keys: whose is free to take, who has left, which row holds a passphrase now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edged.mpsk.keyring import DEVICE_AGE, Keyring, same_key
from edged.state.keys import BILLING, LOCAL, RETIRED, KeyId, StoredKey
from edged.values import MacAddress


def both_sides(name: KeyId) -> tuple[KeyId, KeyId]:
    """A key and its passphrase of before a rotation, whichever of them ``name`` is."""
    base = name.id.removesuffix(RETIRED)
    return KeyId(name.origin, base), KeyId(name.origin, base + RETIRED)


def place_to_take(ring: Keyring, stored: StoredKey, mac: MacAddress, now: float) -> MacAddress | None:
    """The device of ``stored`` unseen for longest, ``mac`` itself left aside; None when it has no other.

    One that counts no more has no place to give: to take it would let one more on each time.
    """
    rows = (ring.devices.get(name, {}).items() for name in both_sides(stored.name))
    seen = {m: at for row in rows for m, at in row if m != mac and at > now - DEVICE_AGE}
    return min(seen, key=lambda m: (seen[m], m)) if seen else None


def holding(ring: Keyring, key: StoredKey) -> StoredKey | None:
    """The row that has the passphrase of ``key`` now: a rotation moves it aside; None when none has."""
    rows = (ring.keys.get(name) for name in (key.name, *both_sides(key.name)))
    return next((row for row in rows if row is not None and same_key(row, key)), None)


def held_at(ring: Keyring, name: KeyId, at: float) -> StoredKey | None:
    """The row that has now what ``name`` was the name of at that moment; None: it is gone.

    Of the two passphrases of a rotation the one made last was the key's own, and the one made before it the old one.
    """
    rows = [row for each in both_sides(name) if (row := ring.keys.get(each)) is not None and row.created <= at]
    rows.sort(key=lambda row: -row.created)
    place = 1 if name.id.endswith(RETIRED) else 0
    return rows[place] if place < len(rows) else None


def set_aside(keys: Iterable[StoredKey], now: float) -> list[StoredKey]:
    """``keys``, each local one that cannot be told from one of billing's marked with it: billing's word counts.

    Only while billing's key is good itself: until it begins and once it ends, the local one holds.
    """
    rows = [replace(s, shadowed_by="") if s.shadowed_by else s for s in keys]
    theirs: dict[tuple[str, bytes], list[StoredKey]] = {}
    if any(s.origin == LOCAL for s in rows):
        for stored in rows:
            if stored.origin == BILLING and stored.key.not_before <= now and stored.is_live(now):
                theirs.setdefault((stored.key.ssid, stored.key.passphrase.reveal()), []).append(stored)
    if not theirs:
        return rows
    return [replace(s, shadowed_by=_shadow(s, theirs, now)) if s.origin == LOCAL else s for s in rows]


def _shadow(local: StoredKey, theirs: dict[tuple[str, bytes], list[StoredKey]], now: float) -> str:
    """The id of billing's key before ``local``; empty when there is none."""
    if not local.is_live(now):
        return ""
    for other in theirs.get((local.key.ssid, local.key.passphrase.reveal()), ()):
        if local.key.site == other.key.site or not local.key.site or not other.key.site:
            return other.key.id
    return ""
