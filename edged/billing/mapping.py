# SPDX-License-Identifier: Apache-2.0
"""Objects of the open feed (docs/feed.md) in, Subscribers and Keys out, or one UpstreamError for all. Pure.

A field of a wrong type names its object and itself; the whole reading is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edged.billing.feed_fields import KEY, SUBSCRIBER, Reader, Wrong, found
from edged.errors import UpstreamError
from edged.model import NO_ACCOUNT, Account, Key, Subscriber
from edged.values import Prefix, Secret


@dataclass(frozen=True, slots=True)
class Lines:
    """Where a subscriber is online now, as a hub says it."""

    id: str
    """Of the subscriber."""
    addresses: tuple[Prefix, ...]
    since: float = 0.0
    """When these addresses were given, epoch seconds; 0: not said."""


T = TypeVar("T", bound=Subscriber | Key | Lines)
Values = dict[str, Any]

_NAMED = 5
"""How many errors are spelt out; a wrong export has the same one in every row."""


class Faults:
    """What is wrong with one reading: the first few sentences and how many there are."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, sentence: str) -> None:
        """Count ``sentence``, keep it when it is among the first."""
        self.count += 1
        if len(self.first) < _NAMED:
            self.first.append(sentence)

    def refuse(self) -> None:
        """UpstreamError when there was any fault."""
        if self.count:
            more = f"; and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
            raise UpstreamError(f"the reading is refused: {'; '.join(self.first)}{more}")


_REQUIRED = {
    "subscriber": ("id", "state"), "key": ("id", "ssid", "passphrase"), "session": ("id", "addresses"),
}  # fmt: skip
_ACCOUNT = ("name", "amount_due", "currency", "due", "pay_url", "language", "invoice")


def _subscriber(values: Values) -> Subscriber:
    account = {name: values.pop(name) for name in _ACCOUNT if name in values}
    return Subscriber(**values, account=Account(**account) if any(account.values()) else NO_ACCOUNT)


def _key(values: Values) -> Key:
    return Key(**values)


def _lines(values: Values) -> Lines:
    return Lines(**values)


class Listing(Generic[T]):
    """All pages of one list: ``add`` each, then ``done``."""

    def __init__(
        self, kind: str, fields: dict[str, Reader], build: Callable[[Values], T], before: Iterable[T] = ()
    ) -> None:
        self._before = {entry.id: entry for entry in before}
        self._kind = kind
        self._fields = fields
        self._build = build
        self._objects: dict[str, T] = {}
        self._faults = Faults()
        self.count = 0
        """Objects added so far, good ones or not."""

    def add(self, objects: object, lines: Sequence[int] = ()) -> None:
        """Map one page's list; ``lines``: where each object stands in its file, where it is a table."""
        if not isinstance(objects, list):
            self._faults.add(f"{self._kind}s: expected a list, found {found(objects)}")
            return
        for index, entry in enumerate(objects):
            self._add(entry, self.count, f"line {lines[index]}: " if index < len(lines) else "")
            self.count += 1

    def _add(self, entry: object, index: int, place: str) -> None:
        if not isinstance(entry, dict):
            self._faults.add(f"{self._kind}s[{index}]: expected an object, found {found(entry)}")
            return
        values, wrong = {}, []
        for name, read in self._fields.items():
            if name in entry:
                try:
                    values[name] = read(entry[name])
                except Wrong as error:
                    wrong.append(f"{name}: {error}")
        wrong += [f"{name} is missing" for name in _REQUIRED[self._kind] if name not in entry]
        where = place + (f"{self._kind} {values['id']!r}" if "id" in values else f"{self._kind}s[{index}]")
        for sentence in wrong:
            self._faults.add(f"{where}: {sentence}")
        if not wrong and values["id"] in self._objects:
            self._faults.add(f"{where} is listed twice")
        elif not wrong:
            built = self._build(values)
            same = self._before.get(built.id)
            # an entry that has not changed is the same object: two readings then take the room of one
            self._objects[built.id] = same if same is not None and same == built else built

    def done(self) -> tuple[T, ...]:
        """Every object, in the order of the reading. UpstreamError when anything was wrong."""
        self._faults.refuse()
        self._before = {}
        return tuple(self._objects.values())


def subscriber_listing(before: Iterable[Subscriber] = ()) -> Listing[Subscriber]:
    """An empty list of subscribers to add pages to; those equal to one of ``before`` are that one."""
    return Listing("subscriber", SUBSCRIBER, _subscriber, before)


def key_listing() -> Listing[Key]:
    """An empty list of keys to add pages to."""
    return Listing("key", KEY, _key)


def lines_listing() -> Listing[Lines]:
    """An empty list of sessions to add pages to."""
    return Listing("session", {name: SUBSCRIBER[name] for name in ("id", "addresses", "since")}, _lines)


def map_subscribers(objects: object, lines: Sequence[int] = ()) -> tuple[Subscriber, ...]:
    """The subscribers of one list. UpstreamError."""
    listing = subscriber_listing()
    listing.add(objects, lines)
    return listing.done()


def map_keys(objects: object, now: float, lines: Sequence[int] = ()) -> tuple[Key, ...]:
    """The keys of one list, checked against each other. UpstreamError."""
    listing = key_listing()
    listing.add(objects, lines)
    keys = listing.done()
    check_shared_passphrases(keys, now)
    return keys


def check_shared_passphrases(keys: tuple[Key, ...], now: float) -> None:
    """UpstreamError when two keys live at ``now`` fit one frame; a key without a site is at every site."""
    faults = Faults()
    sites: dict[tuple[str, Secret], dict[str, Key]] = {}
    for key in keys:
        if key.not_before > now or (key.expires and key.expires <= now):
            continue
        holders = sites.setdefault((key.ssid, key.passphrase), {})
        other = holders.get(key.site) or holders.get("") or (not key.site and next(iter(holders.values()), None))
        if other:
            faults.add(f"keys {other.id!r} and {key.id!r} share a passphrase on one SSID and site")
        holders[key.site] = key
    faults.refuse()
