# SPDX-License-Identifier: Apache-2.0
"""What billing tells us, as frozen values: subscribers, keys, one complete reading of both. Pure.

The fields are those of the open feed (docs/feed.md). Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from edged.values import MacAddress, Prefix, Secret


class State(StrEnum):
    """What billing says of a subscriber."""

    ACTIVE = "active"
    NOTICE = "notice"
    BLOCKED = "blocked"

    @property
    def severity(self) -> int:
        """0 for the best treatment, growing."""
        return _SEVERITY[self]


_SEVERITY = {State.ACTIVE: 0, State.NOTICE: 1, State.BLOCKED: 2}


class Access(StrEnum):
    """What edged does with one address now."""

    OPEN = "open"
    NOTICE = "notice"
    BLOCKED = "blocked"
    PASS = "pass"  # noqa: S105  # a word of the glossary, not a password
    DRAIN = "drain"
    EXEMPT = "exempt"
    STRANGER = "stranger"


def intern(text: str) -> str:
    """The one shared copy of a text that many subscribers have in common (a reason, a brand, a currency)."""
    return sys.intern(text)


@dataclass(frozen=True, slots=True)
class Account:
    """What the page may say about the debt, where billing gives it. Text exactly as billing spells it."""

    name: str = ""
    amount_due: str = ""
    currency: str = ""
    due: str = ""
    """ISO 8601 date, or empty."""
    pay_url: str = ""
    language: str = ""
    invoice: str = ""


NO_ACCOUNT = Account()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A customer of the provider, as billing knows them."""

    id: str
    state: State
    reason: str = ""
    since: float = 0.0
    """Epoch seconds; 0: billing did not say."""
    addresses: tuple[Prefix, ...] = ()
    devices: tuple[MacAddress, ...] = ()
    logins: tuple[str, ...] = ()
    brand: str = ""
    account: Account = NO_ACCOUNT


@dataclass(frozen=True, slots=True)
class OnlineSession:
    """A login that is online, and the addresses it has now. ``subscriber`` or ``login`` says whose it is."""

    login: str
    prefixes: tuple[Prefix, ...]
    """Framed-IP-Address, Framed-IPv6-Prefix, Delegated-IPv6-Prefix, or billing's own word of them."""
    since: float
    """When these addresses were given, epoch seconds: of two who claim one, the later has it."""
    subscriber: str = ""
    """Billing's id, where billing said so; empty: the login alone."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Down and up in bit/s."""

    down: int
    up: int


_PASSPHRASE = re.compile(r"[ -~]{8,63}|[0-9A-Fa-f]{64}")


def is_passphrase(text: str) -> bool:
    """True for 8 to 63 printable ASCII characters, or the PMK as 64 hexadecimal digits (IEEE 802.11-2020, J.4)."""
    return _PASSPHRASE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Key:
    """A pre-shared key of one resident on one SSID."""

    id: str
    ssid: str
    passphrase: Secret
    """As ``is_passphrase`` has it."""
    subscriber: str = ""
    site: str = ""
    """Empty: good at every site."""
    label: str = ""
    vlan: int | None = None
    """1 to 4094; None: the network's own default."""
    device_limit: int | None = None
    """None: the network's ``devices_per_key``."""
    devices: tuple[MacAddress, ...] = ()
    """Non-empty: good for these alone."""
    not_before: float = 0.0
    """Epoch seconds; 0: from the beginning."""
    expires: float = 0.0
    """Epoch seconds; 0: never."""
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete reading of billing."""

    id: str
    """Names exactly this content: billing's revision and the first digits of a SHA-256 over the canonical list."""
    revision: str
    read_at: float
    subscribers: tuple[Subscriber, ...]
    known: int | None = None
    """Every subscriber billing has, active ones included; None: it did not say."""
    keys: tuple[Key, ...] | None = None
    """None: this source has no keys; an empty tuple: it has none left."""
    sums: tuple[int, int] | None = field(default=None, compare=False)
    """What the digest in ``id`` is made of, subscribers and keys, so that one word more costs no reading of all."""


class EventType(StrEnum):
    """What billing may be told (docs/feed.md, "Telling billing")."""

    PASS_STARTED = "pass.started"  # noqa: S105  # a word of the glossary, not a password
    """A subscriber opened their own line for a while, to pay."""
    PAGE_OPENED = "page.opened"
    """A subscriber looked at the page that says why their line is blocked, or will be."""
    PAY_CLICKED = "pay.clicked"
    """A subscriber followed the pay button to where it leads."""
    DEVICE_LEARNED = "device.learned"
    """A device proved a key that it had not used before."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something billing may want to know. No name, host or URL of what anybody looks at is ever in one."""

    type: EventType
    at: float
    """Epoch seconds."""
    subscriber: str = ""
    """Billing's id; empty: not known."""
    key: str = ""
    """Billing's id of the key."""
    device: str = ""
    """A MAC address."""


Tell = Callable[[Event], None]
"""Takes an event from a room: never waits, never raises."""


def untold(_event: Event) -> None:
    """Where nobody is to be told."""
