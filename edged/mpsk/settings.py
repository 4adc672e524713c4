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
    """The VLAN, which is for such devices alone.

    Example: `666`
    Mistake: a VLAN whose traffic does not pass this edge, for the blocked: nobody sees the page.
    """


class BlockedChoice(VlanChoice):
    """The VLAN of the blocked."""

    interface: Annotated[InterfaceName, AfterValidator(_single)] | None = None
    """Where that VLAN ends at this edge; none: the interface of `enforce` that is named after it, as Linux does
    (`lan0.666`, `vlan666`). `edged check` warns when there is none; see [wifi.md](wifi.md#the-vlan-of-the-blocked).

    Example: `br-blocked`
    Mistake: an interface where others are too.
    """

    def ends_at(self, interfaces: Iterable[str]) -> tuple[str, ...]:
        """Where it ends: as written, or those of ``interfaces`` that are named after it; empty: nobody knows."""
        if self.interface is not None:
            return (self.interface,)
        return tuple(name for name in interfaces if (m := _VLAN_NAME.fullmatch(name)) and int(m[1]) == self.vlan)


class UnknownChoice(VlanChoice):
    """A VLAN for devices that no key is registered for."""

    keys: int | None = Field(default=None, ge=1, le=MOST_OFFERED, strict=True)
    """Offer such a device so many of the network's keys, the newest first; hostapd's modes 1 and 2 alone
    try several. Read [what it means](wifi.md#keys-for-unknown-devices) first.

    Example: `40`
    Mistake: to expect the key's own VLAN: nobody learns which key it was.
    """


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
    """A blocked resident's devices: `reject`, or a VLAN.

    Example: `{vlan: 666}`
    Mistake: `reject`: the phone says "wrong password" and nobody sees the page.
    """
    unknown: RejectOrUnknown = None
    """A device without a key, where the access point asks before the handshake: `reject`, or a VLAN.

    Example: `{vlan: 999}`
    Mistake: to expect it in hostapd's mode 3: there a device without a key cannot get on at all.
    """
    vlan: int | None = Field(default=None, ge=1, le=4094, strict=True)
    """The VLAN of keys that name none; none: the access point's own network.

    Example: `100`
    Mistake: the same as `blocked.vlan`.
    """
    rate: RateField | None = None
    """Down and up in bit/s of keys that name none; only dialects that have an attribute for it send it.

    Example: `100M/20M`
    Mistake: to expect it of every access point: see [wifi.md](wifi.md).
    """
    devices_per_key: int = Field(default=10, ge=1, strict=True)
    """How many devices seen within 14 days may share a key; a key's `device_limit` wins.

    Example: `15`
    Mistake: a small number: phones change their address.
    """
    devices_full: Literal["reject", "replace-oldest"] = "reject"
    """A new device of a full key: `reject`, or `replace-oldest`: it takes the place of the device unseen for longest,
    which is disconnected.

    Example: `replace-oldest`
    Mistake: to expect it where the access point asks by MAC: a place is taken by proof alone.
    """
    learn: bool = True
    """Remember which device used which key, where a handshake proved it.

    Example: `false`
    """
    rotate_overlap: Duration = 7 * 86400.0
    """How long the previous passphrase stays good after a change, by billing or by `edged keys rotate`.

    Example: `0s`
    Mistake: to wait for it when a passphrase has leaked: `edged keys rotate --now ID`.
    """
    hidden: bool = False
    """The SSID does not show itself: the key sheet says so, and its code tells the phone.

    Example: `true`
    Mistake: set for an SSID that is shown: phones then search for it aloud everywhere.
    """
    private_address_note: bool = False
    """The key sheet asks to switch private MAC addresses off. A key with `devices` always does.

    Example: `true`, where all access points of this SSID ask by MAC
    Mistake: set for unbound keys: residents give up privacy for nothing.
    """


class MpskSettings(Settings):
    """The networks with a key for every resident."""

    networks: dict[str, NetworkSettings] = Field(default_factory=dict)
    """One entry an SSID, spelled exactly as on the air.

    Mistake: an SSID that reads as a number or truth value: quote it.
    """

    def is_blocked_vlan(self, ssid: str, vlan: int | None) -> bool:
        """True when ``vlan`` is that of the blocked of the network ``ssid``."""
        network = self.networks.get(ssid)
        return network is not None and network.blocked is not None and network.blocked.vlan == vlan
