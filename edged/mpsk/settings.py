# SPDX-License-Identifier: Apache-2.0
"""The ``mpsk:`` section: one entry an SSID. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from edged.fields import Duration, RateField, Settings, wrong

MOST_OFFERED = 170
"""Keys in one Access-Accept: hostapd's buffer has 4,096 octets, and a key of 15 characters or less takes 21."""


class VlanChoice(Settings):
    """A VLAN instead of a reject."""

    vlan: int = Field(ge=1, le=4094, strict=True)


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


RejectOrVlan = Annotated[
    VlanChoice | None,
    BeforeValidator(_reject_or_vlan),
    WithJsonSchema({"anyOf": [{"const": "reject"}, {"type": "object", "properties": {"vlan": {"type": "integer"}}}]}),
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

    blocked: RejectOrVlan = None
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
