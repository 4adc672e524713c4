# SPDX-License-Identifier: Apache-2.0
"""Keyring -> what the operator may see of each key: everything but the passphrase and the PMK. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edged.mpsk.keyring import Keyring, fault_of
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


def facts_of(ring: Keyring, now: float) -> list[KeyFacts]:
    """Every key, in order of SSID, site and id."""
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
            )
        )  # fmt: skip
    return sorted(found, key=lambda f: (f.ssid, f.site, f.id))
