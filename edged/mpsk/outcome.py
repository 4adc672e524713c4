# SPDX-License-Identifier: Apache-2.0
"""What a request for a key comes to: accepted, rejected, or left unanswered. Values only; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from edged.model import Rate
from edged.state.keys import KeyId, StoredKey
from edged.values import MacAddress


class Reason(StrEnum):
    """Why a request is not accepted: a label for counters, for the log and for the help desk."""

    NOT_MAC_AUTHENTICATION = "not-mac-authentication"
    """EAP, CHAP or a user name: somebody else's kind of request."""
    NO_DEVICE = "no-device"
    """Neither User-Name nor Calling-Station-Id is a MAC address."""
    DEVICE_MISMATCH = "device-mismatch"
    """User-Name and Calling-Station-Id are two MAC addresses."""
    BAD_PASSWORD = "bad-password"  # noqa: S105  # a label
    """User-Password is neither empty nor the User-Name."""
    NO_SSID = "no-ssid"
    UNKNOWN_SSID = "unknown-ssid"
    """Not under ``mpsk.networks``."""
    NOT_SPOKEN = "dialect-not-spoken"
    """Recognised, or configured, but not in ``DIALECTS``."""
    NO_HANDSHAKE = "no-handshake"
    """A client that must send the handshake sent none."""
    BAD_HANDSHAKE = "bad-handshake"
    UNSUPPORTED_AKM = "unsupported-akm"
    """SAE and other suites whose message 2 does not tell the passphrase, or RSNE and request at odds."""
    NO_MATCH = "no-match"
    """No key of this SSID and site made the MIC: a wrong passphrase."""
    NOT_READY = "not-ready"
    """As NO_MATCH while some PMKs are still being derived."""
    UNKNOWN_DEVICE = "unknown-device"
    """No key is registered for this device, and it has used none."""
    NOT_YET = "not-yet-valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_UNIQUE = "not-unique"
    """A local key set aside: billing has given its passphrase to a key of its own."""
    BLOCKED = "blocked"
    """The subscriber is suspended and the network has no VLAN for that."""
    DEVICE_LIMIT = "device-limit"
    COOL_DOWN = "cool-down"
    """Too many misses of this device within a minute, or of its access point of late."""
    OVERLOADED = "overloaded"
    """Searches take longer than an access point's patience lasts: silence, so that it asks again."""


UNPROVEN = frozenset({Reason.NO_MATCH, Reason.NOT_READY, Reason.COOL_DOWN, Reason.UNSUPPORTED_AKM})
"""Rejects that anybody gets who spells a device's MAC address: they say nothing of the device itself."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The device gets on, with this key, in this VLAN."""

    keys: tuple[StoredKey, ...] = ()
    """The key first; behind it its passphrase of before a rotation. Empty: a VLAN and no key."""
    vlan: int | None = None
    session_timeout: int | None = None
    """Seconds; None: no end."""
    rate: Rate | None = None
    blocked: bool = False
    """True: in the VLAN of the suspended."""
    offered: bool = False
    """True: one of ``keys`` may be that of the device, and nobody will learn which."""
    displaced: MacAddress | None = None
    """The device whose place on a full key this one takes."""

    @property
    def key(self) -> StoredKey | None:
        """The key of the device; None when it has none."""
        return self.keys[0] if self.keys else None


@dataclass(frozen=True, slots=True)
class Reject:
    """Access-Reject."""

    reason: Reason
    key: KeyId | None = None
    """The key that would have been it."""
    detail: str = ""
    """For the log: what was recognised, never anything secret."""
    dialect: str = field(default="", compare=False)
    """In whose words it goes out; empty: those of the question, or none."""
    mac: MacAddress | None = field(default=None, compare=False)
    """The device, where the request never became a question."""
    ssid: str = field(default="", compare=False)
    """The network that was asked for then, as far as it was read."""


@dataclass(frozen=True, slots=True)
class Discard:
    """No answer."""

    reason: Reason


Outcome = Accept | Reject | Discard
