# SPDX-License-Identifier: Apache-2.0
"""Snapshot and ``subscribers:`` settings in, ``PolicyTable`` out: who holds which address, device and login. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edged.model import Snapshot, State, Subscriber
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
    contested_names: frozenset[str] = frozenset()
    """Devices and logins that more than one subscriber claims."""
    claims: int = 0
    """How many prefixes, devices and logins the subscribers claim, each claim counted."""


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
    devices = {mac: s for s in ordered for mac in s.devices}
    logins = {login: s for s in ordered for login in s.logins}
    claims = sum(map(_claims, ordered))
    is_contested = claims != len(addresses) + len(devices) + len(logins)
    return PolicyTable(
        snapshot_id=snapshot.id,
        read_at=snapshot.read_at,
        served=served,
        exempt=exempt,
        addresses=addresses,
        devices=devices,
        logins=logins,
        subscribers={s.id: s for s in snapshot.subscribers},
        known=snapshot.known,
        claims=claims,
        contested=_contested(ordered) if is_contested else (),
        contested_names=_contested_names(ordered) if is_contested else frozenset(),
    )


def _contested(subscribers: list[Subscriber]) -> tuple[Prefix, ...]:
    claims = Counter(prefix for s in subscribers for prefix in s.addresses)
    return tuple(sorted(prefix for prefix, count in claims.items() if count > 1))


def _contested_names(subscribers: list[Subscriber]) -> frozenset[str]:
    claims = Counter(name for s in subscribers for name in {*s.devices, *s.logins})
    return frozenset(name for name, count in claims.items() if count > 1)


def changed(table: PolicyTable, words: Iterable[Subscriber], *, snapshot_id: str) -> PolicyTable:
    """``table`` after ``words`` on single subscribers: what ``compile_table`` makes of the list with them in it."""
    subscribers, addresses = table.subscribers.copy(), table.addresses
    devices, logins = table.devices, table.logins
    claims = table.claims
    for word in words:
        before = subscribers.get(word.id, _NOBODY)
        subscribers[word.id] = word
        addresses = addresses.changed(before.addresses, ((prefix, word) for prefix in word.addresses))
        devices = _reassigned(devices, before.devices, word.devices, word)
        logins = _reassigned(logins, before.logins, word.logins, word)
        claims += _claims(word) - _claims(before)
    if table.contested or table.contested_names or claims != len(addresses) + len(devices) + len(logins):
        # two claim one thing: who has it is for the whole list to say
        whole = Snapshot(snapshot_id, "", table.read_at, tuple(subscribers.values()), table.known)
        return replace(compile_table(whole, SubscribersSettings()), served=table.served, exempt=table.exempt)
    return replace(
        table,
        snapshot_id=snapshot_id,
        subscribers=subscribers,
        addresses=addresses,
        devices=devices,
        logins=logins,
        claims=claims,
    )


_NOBODY = Subscriber("", State.ACTIVE)

N = TypeVar("N", bound=str)


def _reassigned(
    index: dict[N, Subscriber], removed: tuple[N, ...], added: tuple[N, ...], holder: Subscriber
) -> dict[N, Subscriber]:
    if not removed and not added:
        return index
    result = index.copy()
    for name in removed:
        result.pop(name, None)
    result.update(dict.fromkeys(added, holder))
    return result


def _claims(s: Subscriber) -> int:
    return len(s.addresses) + len(s.devices) + len(s.logins)


def recompiled(table: PolicyTable, settings: SubscribersSettings) -> PolicyTable:
    """``table`` with the networks of another configuration."""
    served, exempt = _networks(settings)
    return replace(table, served=served, exempt=exempt)


def _networks(settings: SubscribersSettings) -> tuple[PrefixMap[bool], PrefixMap[bool]]:
    return PrefixMap((p, True) for p in settings.networks), PrefixMap((p, True) for p in settings.exempt)
