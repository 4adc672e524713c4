# SPDX-License-Identifier: Apache-2.0
"""What a row of ``DIALECTS`` is, and the attributes that several share. Pure. RFC 3580 section 3.31, RFC 5176."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from edged.mpsk.outcome import Accept, Reject
from edged.radius.attributes import Attribute, Attributes, attribute, tlvs, values
from edged.radius.dictionary import BY_NAME, VENDOR_SPECIFIC
from edged.radius.packet import Hidden
from edged.values import MacAddress, Secret, parse_mac

Written = tuple[Attribute | Hidden, ...]
Recognises = Callable[[Attributes], bool]


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
    station: MacAddress | None = None
    """The device, where the block names it too."""


def _bare(_reject: Reject) -> Written:
    return ()


def never(_attributes: Attributes) -> bool:
    """Nothing on the wire tells this dialect: it is the client's setting."""
    return False


def _in_called_station(_attributes: Attributes) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of access point asks for a key, takes the answer, and is told of a change."""

    name: str
    recognises: Recognises
    """True: the request is in this dialect, well-formed or not."""
    read: Callable[[Attributes], Observed | None] | None
    """The handshake; None where it is incomplete. No function: it asks before the handshake, by MAC."""
    write: Callable[[Accept], Written]
    """The key, the VLAN and the rate of an Access-Accept."""
    refuse: Callable[[Reject], Written] = _bare
    """What an Access-Reject carries."""
    ssid: Callable[[Attributes], bytes | None] = _in_called_station
    """The SSID where a request by MAC address has it; None: in Called-Station-Id."""
    announces: Recognises = never
    """A request of its own by MAC address that wants a bare Accept; the handshake that decides comes after."""
    needs_pmk: bool = False
    """Its key is the PMK: a key whose PMK is not derived yet is none."""
    several: bool = False
    """It tries every key of an Accept."""
    has_rates: bool = False
    """It takes a rate: a device whose rate has changed must ask again."""
    has_identity: bool = True
    """The Accept names the key in User-Name, for the accounting (RFC 2865, section 5.1)."""
    session: tuple[str, ...] = ("Calling-Station-Id", "NAS-Identifier")
    """What a Disconnect-Request says of the session, spelled as the access point spelled it."""
    reauthenticates: Attributes = ()
    """What makes a CoA-Request of it that has the device ask again without leaving; empty: Disconnect it."""
    caches: float = 0.0
    """Seconds for which it answers a device from memory: a Disconnect within them is not the last."""


# ------------------------------------------------------------------------------------------- recognising


def carries(vendor: int, number: int) -> Recognises:
    """A test for the vendor's attribute; also true of a block of the vendor's that is malformed.

    What may be a broken handshake must never pass for a MAC authentication, which needs no proof.
    """
    header = vendor.to_bytes(4, "big")

    def recognises(attributes: Attributes) -> bool:
        return any(
            inner in {number, _MALFORMED}
            for kind, value in attributes
            if kind == VENDOR_SPECIFIC and value[:4] == header
            for inner in _inner_types(value)
        )

    return recognises


_MALFORMED = -1


def _inner_types(value: bytes) -> Iterator[int]:
    position, end = 4, len(value)
    while position < end:
        length = value[position + 1] if position + 1 < end else 0
        yield value[position]
        if length < 2 or position + length > end:
            yield _MALFORMED
            return
        position += length


def of_vendor(vendor: int) -> Recognises:
    """A test for any attribute of the vendor's."""
    header = vendor.to_bytes(4, "big")
    return lambda attributes: any(kind == VENDOR_SPECIFIC and value[:4] == header for kind, value in attributes)


# ----------------------------------------------------------------------------------------------- reading


def block(attributes: Attributes, name: str) -> dict[int, bytes] | None:
    """The fields of the one TLV block ``name``; None when it is absent, malformed or says a thing twice."""
    found = values(attributes, name)
    fields = tlvs(found[0]) if len(found) == 1 else ()
    by_number = dict(fields)
    return by_number if fields and len(by_number) == len(fields) else None


def octets_mac(octets: bytes | None) -> MacAddress | None:
    """The MAC address of six octets; None for anything else."""
    return parse_mac(octets.hex()) if octets is not None and len(octets) == 6 else None


AUDIT_SESSION = "audit-session-id"
"""Cisco's name of a session, in an AVPair."""
_AUDIT_PAIR = b"audit-session-id="
_CALLING = BY_NAME["Calling-Station-Id"].number


@lru_cache(maxsize=64)
def _numbers(names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(BY_NAME[name].number for name in names if name != AUDIT_SESSION)


def session_of(names: tuple[str, ...], attributes: Attributes, mac: MacAddress) -> Attributes:
    """What names the session of ``mac`` to the access point that sent ``attributes``, spelled as it did."""
    numbers = _numbers(names)
    # the first of each: read from behind, it is what stays
    given = {a[0]: a for a in reversed(attributes) if a[0] in numbers}
    if _CALLING in numbers and _CALLING not in given:
        given[_CALLING] = attribute("Calling-Station-Id", mac.upper().replace(":", "-"))
    found = tuple([given[number] for number in numbers if number in given])
    if AUDIT_SESSION not in names:
        return found
    pairs = [pair for pair in values(attributes, "Cisco-AVPair") if pair.startswith(_AUDIT_PAIR)]
    return (*found, *(attribute("Cisco-AVPair", pair) for pair in pairs[:1]))


# ----------------------------------------------------------------------------------------------- writing


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


def tunnel_password(accept: Accept) -> Written:
    """The first key alone, for those who are not known to try several."""
    return tunnel_passwords(accept)[:1]


def password_and_vlan(accept: Accept) -> Written:
    """One Tunnel-Password and the VLAN trio: what most take."""
    return (*tunnel_password(accept), *vlan_trio(accept.vlan))


def pmk_of_accept(accept: Accept) -> Secret | None:
    """The PMK of the key; None when there is none."""
    return accept.key.pmk if accept.key is not None else None
