# SPDX-License-Identifier: Apache-2.0
"""Snapshot and ``subscribers:`` settings in, ``PolicyTable`` out: who holds which address, device and login. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from edged.model import Snapshot, Subscriber
from edged.policy.prefixes import PrefixMap
from edged.policy.settings import SubscribersSettings
from edged.values import MacAddress, Prefix


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """Everything billing says, indexed for look-ups. Immutable: a new reading makes a new table."""

    snapshot_id: str = ""
    read_at: float = 0.0
    served: PrefixMap[bool] = field(default_factory=PrefixMap)
    exempt: PrefixMap[bool] = field(default_factory=PrefixMap)
    addresses: PrefixMap[Subscriber] = field(default_factory=PrefixMap)
    devices: dict[MacAddress, Subscriber] = field(default_factory=dict)
    logins: dict[str, Subscriber] = field(default_factory=dict)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    """By billing's id."""
    known: int | None = None
    contested: tuple[Prefix, ...] = ()
    """Prefixes that more than one subscriber claims, in order."""


def compile_table(snapshot: Snapshot | None, settings: SubscribersSettings) -> PolicyTable:
    """The table of ``snapshot``; None (nothing read yet) makes one in which nobody is blocked.

    Of two subscribers who claim one prefix, device or login the one who is treated better has it, then the first in
    order of id: an address that was given to somebody else is never blocked for its former holder's debt, and the
    same list in any order makes the same table.
    """
    served, exempt = _networks(settings)
    if snapshot is None:
        return PolicyTable(served=served, exempt=exempt)
    # the last write wins below, so the best claim comes last
    ordered = sorted(snapshot.subscribers, key=lambda s: (s.state.severity, s.id), reverse=True)
    addresses = PrefixMap((prefix, s) for s in ordered for prefix in s.addresses)
    return PolicyTable(
        snapshot_id=snapshot.id,
        read_at=snapshot.read_at,
        served=served,
        exempt=exempt,
        addresses=addresses,
        devices={mac: s for s in ordered for mac in s.devices},
        logins={login: s for s in ordered for login in s.logins},
        subscribers={s.id: s for s in snapshot.subscribers},
        known=snapshot.known,
        contested=_contested(ordered) if sum(len(s.addresses) for s in ordered) != len(addresses) else (),
    )


def _contested(subscribers: list[Subscriber]) -> tuple[Prefix, ...]:
    claims = Counter(prefix for s in subscribers for prefix in s.addresses)
    return tuple(sorted(prefix for prefix, count in claims.items() if count > 1))


def recompiled(table: PolicyTable, settings: SubscribersSettings) -> PolicyTable:
    """``table`` with the networks of another configuration."""
    served, exempt = _networks(settings)
    return replace(table, served=served, exempt=exempt)


def _networks(settings: SubscribersSettings) -> tuple[PrefixMap[bool], PrefixMap[bool]]:
    return PrefixMap((p, True) for p in settings.networks), PrefixMap((p, True) for p in settings.exempt)
