# SPDX-License-Identifier: Apache-2.0
"""The ``mpsk:`` section: one entry an SSID. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from edged.fields import Duration, InterfaceName, RateField, Settings, wrong

MOST_OFFERED = 170
"""Keys in one Access-Accept: hostapd's buffer has 4,096 octets, and a key of 15 characters or less takes 21."""


_VLAN_NAME = re.compile(r"(?:.*\.|vlan)(\d{1,4})")
"""eth0.666, eth0.0666, vlan666, vlan0666: the four ways in which Linux names a VLAN's interface."""


def _single(value: str) -> str:
    if "*" in value:
        raise wrong("one network interface", "for example lan0.666 or br-blocked")
    return value


class VlanChoice(Settings):
    """A VLAN instead of a reject."""

    vlan: int = Field(ge=1, le=4094, strict=True)


class BlockedChoice(VlanChoice):
    """The VLAN of the blocked."""

    interface: Annotated[InterfaceName, AfterValidator(_single)] | None = None
    """Where it ends at this edge; None: the one of ``enforce`` that is named after it, as Linux does."""

    def ends_at(self, interfaces: Iterable[str]) -> tuple[str, ...]:
        """Where it ends: as written, or those of ``interfaces`` that are named after it; empty: nobody knows."""
        if self.interface is not None:
            return (self.interface,)
        return tuple(name for name in interfaces if (m := _VLAN_NAME.fullmatch(name)) and int(m[1]) == self.vlan)


class UnknownChoice(VlanChoice):
    """A VLAN for devices that no key is registered for."""

    keys: int | None = Field(default=None, ge=1, le=MOST_OFFERED, strict=True)
    """Offer so many keys of the network to an access point that tries several; None: no key."""


def _reject_or_vlan(value: Any) -> Any:
    """``reject`` is None; a mapping is checked by VlanChoice itself."""
    if value is None or value == "reject":
        return None
    if isinstance(value, (dict, VlanChoice)):
        return value
    raise wrong("reject, or {vlan: 666}")


RejectOrBlocked = Annotated[
    BlockedChoice | None,
    BeforeValidator(_reject_or_vlan),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "reject"},
                {"type": "object", "properties": {"vlan": {"type": "integer"}, "interface": {"type": "string"}}},
            ]
        }
    ),
]
"""None: an Access-Reject."""
RejectOrUnknown = Annotated[
    UnknownChoice | None,
    BeforeValidator(_reject_or_vlan),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "reject"},
                {"type": "object", "properties": {"vlan": {"type": "integer"}, "keys": {"type": "integer"}}},
            ]
        }
    ),
]


class NetworkSettings(Settings):
    """One SSID."""

    blocked: RejectOrBlocked = None
    """What a suspended resident's devices get."""
    unknown: RejectOrUnknown = None
    """What a device with no key gets; only where the access point asks before the handshake."""
    vlan: int | None = Field(default=None, ge=1, le=4094, strict=True)
    """Of a key that has none of its own; None: the access point's own network."""
    rate: RateField | None = None
    """Of a key that has none of its own."""
    devices_per_key: int = Field(default=10, ge=1, strict=True)
    devices_full: Literal["reject", "replace-oldest"] = "reject"
    """What a new device of a full key gets: a reject, or the place of the device unseen for longest."""
    learn: bool = True
    """Remember which device used which key."""
    rotate_overlap: Duration = 7 * 86400.0
    """How long a key's previous passphrase stays good."""
    hidden: bool = False
    """The SSID does not show itself: the key sheet and its code say so."""
    private_address_note: bool = False
    """The key sheet asks to switch private MAC addresses off; keys with ``devices`` always do."""


class MpskSettings(Settings):
    """The networks with a key for every resident."""

    networks: dict[str, NetworkSettings] = Field(default_factory=dict)

    def is_blocked_vlan(self, ssid: str, vlan: int | None) -> bool:
        """True when ``vlan`` is that of the blocked of the network ``ssid``."""
        network = self.networks.get(ssid)
        return network is not None and network.blocked is not None and network.blocked.vlan == vlan
