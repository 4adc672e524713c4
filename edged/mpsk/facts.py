# SPDX-License-Identifier: Apache-2.0
"""Keyring -> what the operator may see of each key: everything but the passphrase and the PMK. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edged.model import Rate
from edged.mpsk.keyring import Keyring, fault_of
from edged.state.keys import BILLING, RETIRED, KeyId, StoredKey
from edged.values import MacAddress


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One key as ``edged keys`` lists it."""

    id: str
    origin: str
    """``billing`` or ``local``."""
    ssid: str
    site: str
    subscriber: str
    label: str
    vlan: int | None
    standing: str
    """``good``, ``deriving`` (its PMK is not ready), or why it is not good: a ``Reason``."""
    not_before: float
    expires: float
    revoked: float
    """Epoch seconds, each; 0: none."""
    devices: tuple[MacAddress, ...]
    """Seen with it, the latest first."""
    registered: tuple[MacAddress, ...]
    """Good for these alone; empty: for any."""
    same_as: str = ""
    """Of a local key set aside (``not-unique``): billing's key that has its passphrase."""
    previous_until: float = 0.0
    """Until when its passphrase of before a rotation is good too; 0: it is not."""
    device_limit: int | None = None
    rate: Rate | None = None
    created: float = 0.0
    """When it, or its present passphrase, was made."""
    weak: bool = False
    """A passphrase of billing's that a neighbour could guess."""

    @property
    def said(self) -> str:
        """Its standing in words, with what the word alone does not say."""
        notes = [f"billing's {self.same_as} has its passphrase"] if self.same_as else []
        notes += ["weak"] if self.weak else []
        notes += ["the passphrase of before is good too"] if self.previous_until else []
        return f"{self.standing} ({', '.join(notes)})" if notes else self.standing


def _previous_until(ring: Keyring, stored: StoredKey, now: float) -> float:
    old = ring.keys.get(KeyId(stored.origin, stored.key.id + RETIRED))
    return old.revoked if old is not None and old.is_live(now) else 0.0


def facts_of(ring: Keyring, now: float, weak: Collection[str] = ()) -> list[KeyFacts]:
    """Every key, in order of SSID, site and id; ``weak``: ids of billing's weak ones."""
    found = []
    for name, stored in ring.keys.items():
        key = stored.key
        seen = ring.devices.get(name, {})
        fault = fault_of(stored, now)
        standing = fault.value if fault else "good" if stored.pmk is not None else "deriving"
        found.append(
            KeyFacts(
                key.id, stored.origin, key.ssid, key.site, key.subscriber, key.label, key.vlan, standing,
                key.not_before, key.expires, stored.revoked,
                tuple(sorted(seen, key=lambda mac: -seen[mac])), key.devices,
                stored.shadowed_by, _previous_until(ring, stored, now), key.device_limit, key.rate, stored.created,
                stored.origin == BILLING and key.id in weak,
            )
        )  # fmt: skip
    return sorted(found, key=lambda f: (f.ssid, f.site, f.id))
