# SPDX-License-Identifier: Apache-2.0
"""The attributes edged speaks of: name -> number, vendor, data type, tag and hiding. Data only.

An attribute that is not listed is carried and ignored, as RFC 2865 section 5 wants. RFC 2866 to 7268.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Data(Enum):
    """The data types of RFC 8044 that occur here."""

    TEXT = auto()
    OCTETS = auto()
    INTEGER = auto()
    """32 bits, and also seconds since the epoch."""
    IPV4 = auto()
    IPV6 = auto()
    IPV6_PREFIX = auto()


class Hiding(Enum):
    """How the value is hidden from those who do not hold the shared secret."""

    NONE = auto()
    PASSWORD = auto()
    """RFC 2865 section 5.2: requests only."""
    SALT = auto()
    """RFC 2868 section 3.5 and RFC 2548 section 2.4.2: replies only."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One row of the dictionary."""

    name: str
    number: int
    """The attribute type, or the vendor's own type."""
    data: Data
    vendor: int = 0
    """The vendor's enterprise number; 0: a standard attribute."""
    tagged: bool = False
    """RFC 2868: one octet of tag stands before the value (before the salt, where hidden)."""
    hiding: Hiding = Hiding.NONE
    extended: int = 0
    """The long-extended type (RFC 6929) that carries the vendor's attribute; 0: Vendor-Specific, type 26."""


T, O, I, V4, V6, P6 = Data.TEXT, Data.OCTETS, Data.INTEGER, Data.IPV4, Data.IPV6, Data.IPV6_PREFIX  # noqa: E741

VENDOR_SPECIFIC = 26
MESSAGE_AUTHENTICATOR = 80
PROXY_STATE = 33
EAP_MESSAGE = 79
USER_PASSWORD = 2
LONG_EXTENDED = (245, 246)

CISCO, MICROSOFT, HUAWEI, FREERADIUS, TPLINK, FORTINET = 9, 311, 2011, 11344, 11863, 12356
WISPR, AIRESPACE, ARUBA, MIKROTIK, RUCKUS = 14122, 14179, 14823, 14988, 25053
CAMBIUM, EXTREME, MERAKI, ELEVEN = 17713, 26928, 29671, 52970

DEFINITIONS: tuple[Definition, ...] = (
    # RFC 2865
    Definition("User-Name", 1, T),
    Definition("User-Password", USER_PASSWORD, O, hiding=Hiding.PASSWORD),
    Definition("CHAP-Password", 3, O),
    Definition("NAS-IP-Address", 4, V4),
    Definition("NAS-Port", 5, I),
    Definition("Service-Type", 6, I),
    Definition("Framed-IP-Address", 8, V4),
    Definition("Filter-Id", 11, T),
    Definition("Reply-Message", 18, T),
    Definition("State", 24, O),
    Definition("Class", 25, O),
    Definition("Session-Timeout", 27, I),
    Definition("Idle-Timeout", 28, I),
    Definition("Termination-Action", 29, I),
    Definition("Called-Station-Id", 30, T),
    Definition("Calling-Station-Id", 31, T),
    Definition("NAS-Identifier", 32, T),
    Definition("Proxy-State", PROXY_STATE, O),
    Definition("CHAP-Challenge", 60, O),
    Definition("NAS-Port-Type", 61, I),
    # RFC 2866
    Definition("Acct-Status-Type", 40, I),
    Definition("Acct-Delay-Time", 41, I),
    Definition("Acct-Input-Octets", 42, I),
    Definition("Acct-Output-Octets", 43, I),
    Definition("Acct-Session-Id", 44, T),
    Definition("Acct-Session-Time", 46, I),
    Definition("Acct-Terminate-Cause", 49, I),
    Definition("Acct-Multi-Session-Id", 50, T),
    # RFC 2868
    Definition("Tunnel-Type", 64, I, tagged=True),
    Definition("Tunnel-Medium-Type", 65, I, tagged=True),
    Definition("Tunnel-Password", 69, O, tagged=True, hiding=Hiding.SALT),
    Definition("Tunnel-Private-Group-Id", 81, T, tagged=True),
    # RFC 2869, 3162, 4372, 4675, 4818, 5176, 6911, 7268
    Definition("Acct-Input-Gigawords", 52, I),
    Definition("Acct-Output-Gigawords", 53, I),
    Definition("Event-Timestamp", 55, I),
    Definition("Egress-VLANID", 56, I),
    Definition("Egress-VLAN-Name", 58, T),
    Definition("Connect-Info", 77, T),
    Definition("EAP-Message", EAP_MESSAGE, O),
    Definition("Message-Authenticator", MESSAGE_AUTHENTICATOR, O),
    Definition("Acct-Interim-Interval", 85, I),
    Definition("NAS-Port-Id", 87, T),
    Definition("Chargeable-User-Identity", 89, O),
    Definition("NAS-IPv6-Address", 95, V6),
    Definition("Framed-IPv6-Prefix", 97, P6),
    Definition("Error-Cause", 101, I),
    Definition("Delegated-IPv6-Prefix", 123, P6),
    Definition("Framed-IPv6-Address", 168, V6),
    Definition("Mobility-Domain-Id", 177, I),
    Definition("WLAN-Pairwise-Cipher", 186, I),
    Definition("WLAN-Group-Cipher", 187, I),
    Definition("WLAN-AKM-Suite", 188, I),
    Definition("WLAN-Group-Mgmt-Cipher", 189, I),
    # vendors, in the order of their numbers
    Definition("Cisco-AVPair", 1, O, CISCO),  # octets: EasyPSK puts raw binary after the equals sign
    Definition("MS-MPPE-Send-Key", 16, O, MICROSOFT, hiding=Hiding.SALT),
    Definition("MS-MPPE-Recv-Key", 17, O, MICROSOFT, hiding=Hiding.SALT),
    Definition("Huawei-DPSK-Info", 206, T, HUAWEI),
    Definition("FreeRADIUS-802.1X-Anonce", 1, O, FREERADIUS, extended=245),
    Definition("FreeRADIUS-802.1X-EAPoL-Key-Msg", 2, O, FREERADIUS, extended=245),
    Definition("TPLink-Recv-Limit", 1, I, TPLINK),
    Definition("TPLink-Xmit-Limit", 2, I, TPLINK),
    Definition("TPLink-Authentication-FindKey", 3, O, TPLINK),
    Definition("TPLink-Authentication-FoundKey", 4, O, TPLINK),
    Definition("WISPr-Bandwidth-Max-Up", 7, I, WISPR),
    Definition("WISPr-Bandwidth-Max-Down", 8, I, WISPR),
    Definition("Airespace-Wlan-Id", 1, I, AIRESPACE),
    Definition("Airespace-Interface-Name", 5, T, AIRESPACE),
    Definition("Airespace-ACL-Name", 6, T, AIRESPACE),
    Definition("Aruba-User-Role", 1, T, ARUBA),
    Definition("Aruba-User-Vlan", 2, I, ARUBA),
    Definition("Aruba-Essid-Name", 5, T, ARUBA),
    Definition("Aruba-Named-User-Vlan", 9, T, ARUBA),
    Definition("Aruba-MPSK-Passphrase", 44, O, ARUBA, hiding=Hiding.SALT),
    Definition("Aruba-MPSK-Key-Name", 62, T, ARUBA),
    Definition("Aruba-MPSK-Lookup-Info", 66, O, ARUBA),
    Definition("Mikrotik-Wireless-Forward", 4, I, MIKROTIK),
    Definition("Mikrotik-Rate-Limit", 8, T, MIKROTIK),
    Definition("Mikrotik-Wireless-PSK", 16, T, MIKROTIK),  # clear text on the wire: nothing hides it
    Definition("Mikrotik-Address-List", 19, T, MIKROTIK),
    Definition("Mikrotik-Wireless-Comment", 21, T, MIKROTIK),
    Definition("Mikrotik-Wireless-VLANID", 26, I, MIKROTIK),
    Definition("Mikrotik-Wireless-VLANID-Type", 27, I, MIKROTIK),
    Definition("Ruckus-SSID", 3, O, RUCKUS),  # an SSID is octets, not text
    Definition("Ruckus-Wlan-Id", 4, I, RUCKUS),
    Definition("Ruckus-VLAN-ID", 9, I, RUCKUS),
    Definition("Ruckus-BSSID", 14, O, RUCKUS),
    Definition("Ruckus-Zone-Name", 134, T, RUCKUS),
    Definition("Ruckus-Wlan-Name", 135, T, RUCKUS),
    Definition("Ruckus-DPSK", 142, O, RUCKUS),
    Definition("Ruckus-DPSK-Params", 153, O, RUCKUS),
    Definition("Extreme-PPSK-Request", 201, O, EXTREME),
    Definition("Meraki-Easy-PSK", 5, O, MERAKI),
    Definition("Eleven-Authentication-FindKey", 3, O, ELEVEN),
)

BY_NAME: dict[str, Definition] = {row.name: row for row in DEFINITIONS}
