# SPDX-License-Identifier: Apache-2.0
"""What the key server counts and remembers: counters, last outcomes, devices let on. Bounded; no I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from edged.model import Rate
from edged.mpsk.outcome import Accept, Discard, Outcome, Reason, Reject
from edged.mpsk.question import Question
from edged.radius.attributes import Attributes
from edged.state.keys import KeyId, StoredKey
from edged.values import IpAddress, MacAddress

K = TypeVar("K")
V = TypeVar("V")


def _by_reason() -> dict[Reason, int]:
    return dict.fromkeys(Reason, 0)


@dataclass(slots=True)
class Counters:
    """Plain numbers; read when somebody looks."""

    accepts: int = 0
    rejects: dict[Reason, int] = field(default_factory=_by_reason)
    discards: dict[Reason, int] = field(default_factory=_by_reason)
    searches: int = 0
    """Handshakes put to more keys than the device's own."""
    joined: int = 0
    """Handshakes that waited for a search already running for the same one."""
    candidates: int = 0
    search_seconds: float = 0.0
    pmks_pending: int = 0
    pmks_seconds: float = 0.0
    """About how long the derivation of those will take; 0: not known yet, or none is pending."""
    keys: int = 0
    devices: int = 0

    def count(self, outcome: Outcome) -> None:
        """One more of its kind."""
        match outcome:
            case Accept():
                self.accepts += 1
            case Reject(reason=reason):
                self.rejects[reason] += 1
            case Discard(reason=reason):
                self.discards[reason] += 1


class Last(NamedTuple):
    """How the latest request of a device ended."""

    at: float
    """Epoch seconds."""
    client: str
    ssid: str
    accepted: bool = False
    reason: str = ""
    """A ``Reason``; empty for a plain accept, ``blocked`` for one into the VLAN of the suspended."""
    key: KeyId | None = None
    vlan: int | None = None
    times: int = 1
    """How often in a row it ended so, where the device was not let on,"""
    since: float = 0.0
    """the first of them, epoch seconds."""

    def after(self, before: Last | None) -> Last:
        """This one, counted with those of the same kind right before it."""
        if before is None or self.accepted or (before.ssid, before.reason) != (self.ssid, self.reason):
            return self._replace(since=self.at)
        return self._replace(times=before.times + 1, since=before.since)


@dataclass(frozen=True, slots=True)
class Grant:
    """A device that was let on, kept to see whether it would be still."""

    question: Question
    nas: IpAddress
    key: StoredKey | None
    """As it was; None: it has none, or edged has restarted since."""
    vlan: int | None
    name: KeyId | None = None
    """Of the key."""
    rate: Rate | None = None
    offered: tuple[StoredKey, ...] = ()
    """One of these may be its key, or the passphrase of its key that it has."""
    wanted: str = ""
    """Why it is to leave; empty: it may stay."""
    blocked: bool = False
    """True: into the VLAN of the blocked."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A device whose last answer is no longer right: disconnect it, so that it asks again."""

    nas: IpAddress
    client: str
    mac: MacAddress
    ssid: str
    reason: str
    """A ``Reason``, or ``vlan`` or ``rate`` where only that has changed."""
    session: Attributes = ()
    """What names its session to the access point."""
    reauthenticates: Attributes = ()
    """What makes a CoA-Request of it that does the same more gently; empty: Disconnect it."""
    cached_until: float = 0.0
    """Until then the access point may let it on again from memory, epoch seconds; 0: it asks every time."""
    roams: bool = False
    """It may be at another access point of the client by now."""
    been: tuple[IpAddress, ...] = ()
    """Where else it was let on lately: it may be there still, or another radio with its MAC address."""


class Recent(Generic[K, V]):
    """The newest ``limit`` entries; the oldest goes when another comes."""

    __slots__ = ("_entries", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # ordered: in a plain dictionary the way to the oldest leads past the places of all that went before it
        self._entries: OrderedDict[K, V] = OrderedDict()

    def put(self, key: K, value: V) -> K | None:
        """Make ``value`` the newest; the key of the entry that had to go for it, if one had."""
        entries, gone = self._entries, None
        if key in entries:
            entries.move_to_end(key)
        elif len(entries) >= self._limit:
            gone, _ = entries.popitem(last=False)
        entries[key] = value
        return gone

    def get(self, key: K) -> V | None:
        """The value of ``key``; None when it was never put or is forgotten."""
        return self._entries.get(key)

    def remove(self, key: K) -> None:
        """Forget ``key``."""
        self._entries.pop(key, None)

    def items(self) -> Iterator[tuple[K, V]]:
        """Every entry, oldest first, as it stands now."""
        return iter(tuple(self._entries.items()))

    def __len__(self) -> int:
        return len(self._entries)
