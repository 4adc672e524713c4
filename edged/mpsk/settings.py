# SPDX-License-Identifier: Apache-2.0
"""The ``mpsk:`` section: one entry an SSID. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from edged.fields import Duration, Settings, wrong


class VlanChoice(Settings):
    """A VLAN instead of a reject."""

    vlan: int = Field(ge=1, le=4094, strict=True)


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


class NetworkSettings(Settings):
    """One SSID."""

    blocked: RejectOrVlan = None
    """What a suspended resident's devices get."""
    unknown: RejectOrVlan = None
    """What a device with no key gets; only where the access point asks before the handshake."""
    devices_per_key: int = Field(default=10, ge=1, strict=True)
    learn: bool = True
    """Remember which device used which key."""
    rotate_overlap: Duration = 7 * 86400.0
    hidden: bool = False
    """The SSID does not show itself: the key sheet and its code say so."""
    private_address_note: bool = False
    """The key sheet asks to switch private MAC addresses off; keys with ``devices`` always do."""


class MpskSettings(Settings):
    """The networks with a key for every resident."""

    networks: dict[str, NetworkSettings] = Field(default_factory=dict)
