# SPDX-License-Identifier: Apache-2.0
"""What a row of ``DIALECTS`` is, and the attributes that several share. Pure. RFC 3580 section 3.31."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from edged.mpsk.outcome import Accept
from edged.radius.attributes import Attribute, Attributes, attribute
from edged.radius.packet import Hidden
from edged.values import MacAddress

Written = tuple[Attribute | Hidden, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What an access point saw of a handshake, as its dialect carries it."""

    anonce: bytes
    frame: bytes
    akm: int | None = None
    ssid: bytes | None = None
    """None: in Called-Station-Id."""
    bssid: MacAddress | None = None
    """None: in Called-Station-Id."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of access point asks for a key and takes the answer."""

    name: str
    recognises: Callable[[Attributes], bool]
    """True: the request is in this dialect, well-formed or not."""
    read: Callable[[Attributes], Observed | None] | None
    """The handshake; None where it is incomplete. No function: it asks before the handshake, by MAC."""
    write: Callable[[Accept], Written]
    """The key, the VLAN and the rate of an Access-Accept."""


@lru_cache(maxsize=4096)
def vlan_trio(vlan: int | None) -> Written:
    """Tunnel-Type VLAN, Tunnel-Medium-Type IEEE-802, the VLAN in decimal text; remembered, there are 4,094."""
    if vlan is None:
        return ()
    return (
        attribute("Tunnel-Type", 13),
        attribute("Tunnel-Medium-Type", 6),
        attribute("Tunnel-Private-Group-Id", str(vlan)),
    )


def tunnel_passwords(accept: Accept) -> Written:
    """Every key as a Tunnel-Password: a passphrase, or 64 hexadecimal digits."""
    return tuple(Hidden("Tunnel-Password", stored.key.passphrase) for stored in accept.keys)


def never(_attributes: Attributes) -> bool:
    """Nothing on the wire tells this dialect: it is the client's setting."""
    return False
