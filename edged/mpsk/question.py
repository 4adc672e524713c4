# SPDX-License-Identifier: Apache-2.0
"""Access-Request -> which device asks for which network, with which handshake; or why it is refused. Pure.

RFC 2865 section 5.31, RFC 3580 sections 3.20 and 3.21 (station ids), RFC 4372 (Chargeable-User-Identity).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from edged.errors import WireError
from edged.mpsk.dialects import Dialect, Observed, dialect_of, session_of
from edged.mpsk.eapol import parse_message_2
from edged.mpsk.outcome import Reason, Reject
from edged.mpsk.wpa import Handshake
from edged.radius.attributes import Attributes, first, values
from edged.radius.dictionary import BY_NAME, VENDOR_SPECIFIC
from edged.radius.packet import Packet
from edged.radius.settings import ClientSettings
from edged.values import MacAddress, Secret, mac_octets, parse_mac

_OTHER_METHODS = {BY_NAME[name].number for name in ("EAP-Message", "CHAP-Password")}
_MICROSOFT = (311).to_bytes(4, "big")
_MAC_LENGTHS = (17, 14, 13, 12)
"""Pairs, dotted quads, halves, bare: the SSID stands behind the first colon after one of these."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request for a key."""

    mac: MacAddress
    ssid: str
    site: str
    """The name of the RADIUS client."""
    dialect: Dialect
    handshake: Handshake | None = None
    """None: asked before the handshake, by MAC address."""
    wants_identity: bool = False
    """The NAS asks for a Chargeable-User-Identity."""
    session: Attributes = ()
    """What names the device's session to the NAS, in a Disconnect-Request."""
    roams: bool = False
    """By fast transition (802.11r): it may go on to another access point, and nobody is asked or told."""

    @property
    def is_announcement(self) -> bool:
        """True: the handshake that decides comes in another request, and this one wants a bare Accept."""
        return self.handshake is None and self.dialect.read is not None


def read_question(request: Packet, client: ClientSettings, networks: Collection[str]) -> Question | Reject:
    """The question in ``request``, whose User-Password is in clear. ``networks``: the SSIDs that we know."""
    given = request.attributes
    dialect = dialect_of(given, client.dialect)
    mac = _device(given, client.password)
    if isinstance(dialect, str):
        return Reject(Reason.NOT_SPOKEN, detail=dialect, mac=mac.mac if isinstance(mac, Reject) else mac)
    if isinstance(mac, Reject):
        return replace(mac, dialect=dialect.name)
    asked = _asked(given, dialect, mac, client.name, networks)
    # an access point may want to be told in its own words why
    return replace(asked, dialect=dialect.name, mac=mac) if isinstance(asked, Reject) else asked


def _asked(
    given: Attributes, dialect: Dialect, mac: MacAddress, site: str, networks: Collection[str]
) -> Question | Reject:
    """The question of ``mac`` in ``dialect``."""
    called = first(given, "Called-Station-Id") or b""
    bssid, ssid = split_called_station(called)
    observed = dialect.read(given) if dialect.read else None
    if dialect.read and observed is None:
        if dialect.recognises(given):
            return Reject(Reason.BAD_HANDSHAKE)
        if not dialect.announces(given):
            return Reject(Reason.NO_HANDSHAKE)
    name = _network((observed and observed.ssid) or dialect.ssid(given) or ssid, called, networks)
    if isinstance(name, Reject):
        return name
    handshake = _handshake(observed, bssid, mac, name) if observed else None
    if isinstance(handshake, Reject):
        return replace(handshake, ssid=name)
    wants_identity = bool(values(given, "Chargeable-User-Identity"))
    session = session_of(dialect.session, given, mac)
    return Question(mac, name, site, dialect, handshake, wants_identity, session)


def _handshake(observed: Observed, bssid: MacAddress | None, mac: MacAddress, ssid: str) -> Handshake | Reject:
    """The handshake between the access point and ``mac``, every part of it well-formed."""
    if observed.station is not None and observed.station != mac:
        return Reject(Reason.DEVICE_MISMATCH)
    authenticator = observed.bssid or bssid
    try:
        message = parse_message_2(observed.frame)
    except WireError as error:
        return Reject(Reason.BAD_HANDSHAKE, detail=error.reason)
    if authenticator is None or len(observed.anonce) != 32:
        return Reject(Reason.BAD_HANDSHAKE, detail="anonce" if authenticator else "no-bssid")
    aa, spa = mac_octets(authenticator), mac_octets(mac)
    return Handshake(aa, spa, observed.anonce, message, ssid.encode(), observed.akm)


def _device(given: Attributes, password: Secret | None) -> MacAddress | Reject:
    """The MAC address that asks, the rules of MAC authentication kept."""
    numbers = {number for number, _ in given}
    station = _mac(first(given, "Calling-Station-Id") or b"")
    if numbers & _OTHER_METHODS or (VENDOR_SPECIFIC in numbers and _speaks_ms_chap(given)):
        return Reject(Reason.NOT_MAC_AUTHENTICATION, mac=station)
    user_name = first(given, "User-Name") or b""
    user = _mac(user_name)
    mac = user or station
    if mac is None:
        return Reject(Reason.NO_DEVICE)
    if user and station and user != station:
        return Reject(Reason.DEVICE_MISMATCH, mac=station)
    # absent or empty (MikroTik), spelled as User-Name (everybody else), or what the operator says this NAS sends
    said = first(given, "User-Password")
    if said is None or said in {b"", user_name} or (password is not None and Secret(said) == password):
        return mac
    return Reject(Reason.BAD_PASSWORD, mac=mac)


def _speaks_ms_chap(given: Attributes) -> bool:
    return any(a.type == VENDOR_SPECIFIC and a.value[:4] == _MICROSOFT for a in given)


@lru_cache(maxsize=4096)
def _mac(octets: bytes) -> MacAddress | None:
    try:
        return parse_mac(octets.decode("ascii"))
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def split_called_station(called: bytes) -> tuple[MacAddress | None, bytes]:
    """BSSID and SSID of a Called-Station-Id; the SSID is octets, colons included."""
    for length in _MAC_LENGTHS:
        bssid = _mac(called[:length])
        if bssid is not None and called[length : length + 1] in {b"", b":"}:
            return bssid, called[length + 1 :]
    return None, b""


def _network(ssid: bytes, called: bytes, networks: Collection[str]) -> str | Reject:
    """The configured network that is asked for.

    Some access points send the BSSID alone, or the SSID alone: the only network, or the one so called.
    """
    if not ssid:
        if len(networks) == 1 and _mac(called) is not None:
            return next(iter(networks))
        ssid = called
    if not ssid:
        return Reject(Reason.NO_SSID)
    try:
        name = ssid.decode()
    except UnicodeDecodeError:
        return Reject(Reason.UNKNOWN_SSID)
    return name if name in networks else Reject(Reason.UNKNOWN_SSID, ssid=name)
