# SPDX-License-Identifier: Apache-2.0
"""Names that a catch-all must not answer with the portal's address, one row each with its reason. Pure data.

RFC 6303, 6761, 7050, 7686, 7793, 8375, 8880, 9462, 9476, 9665.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edged.dns.codes import Ede, Rcode
from edged.values import IpAddress


@dataclass(frozen=True, slots=True)
class Special:
    """One row: a name, its answer, and why."""

    name: str
    """Spelled as in a SuffixMap: ``name``, ``*.name`` or ``.name``."""
    why: str
    rcode: Rcode = Rcode.NXDOMAIN
    """NXDOMAIN, or NOERROR: the addresses below, and nothing of any other type."""
    addresses: tuple[IpAddress, ...] = ()
    """In a zone of its own: those of its apex, and of nothing below."""
    everyone: bool = False
    """True: also for subscribers who are not blocked."""
    own_zone: bool = False
    """True: locally served (RFC 6303, section 3). The apex exists and has SOA and NS; ``rcode`` is for all below."""
    ede: Ede | None = None
    """BLOCKED where the answer is our policy; None where the standards ask for it."""

    @property
    def base(self) -> str:
        """``name`` without its wildcard."""
        return self.name.removeprefix("*").removeprefix(".")

    @property
    def zone(self) -> str:
        """The name whose SOA a negative answer bears: the nearest zone that exists."""
        return self.base if self.own_zone else "."


_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_NAT64 = (IPv4Address("192.0.0.170"), IPv4Address("192.0.0.171"))
_RELAY = "a negative answer switches the relay off for this network; silence or an address breaks the device"
_DOH = "an encrypted resolver would hide the portal; a negative answer makes the client fall back at once"
_ELSEWHERE = "an address of somebody else has no name here, and is no host"
_REVERSE = "locally served reverse zone (RFC 6303, RFC 7793)"

NAMES: tuple[Special, ...] = (
    Special(".localhost", "the host itself (RFC 6761, 6.3)", Rcode.NOERROR, _LOOPBACK),
    Special(".invalid", "never exists (RFC 6761, 6.4)"),
    Special(".test", "not delegated (RFC 6761, 6.2)"),
    Special(".onion", "must not leave the host (RFC 7686)"),
    Special(".alt", "not DNS (RFC 9476)"),
    Special(".local", "multicast DNS (RFC 6762)"),
    Special(".home.arpa", "the home's own zone (RFC 8375)"),
    Special(".internal", "reserved for private use"),
    Special(".service.arpa", "registration on the home's own link (RFC 9665)"),
    Special(
        ".use-application-dns.net",
        "NXDOMAIN keeps Firefox on this resolver; an address switches DoH on",
        ede=Ede.BLOCKED,
    ),
    Special(".mask.icloud.com", _RELAY, ede=Ede.BLOCKED),
    Special(".mask-h2.icloud.com", _RELAY, ede=Ede.BLOCKED),
    Special(".mask-canary.icloud.com", _RELAY, ede=Ede.BLOCKED),
    Special(
        ".resolver.arpa",
        "no designated resolver here; never forwarded (RFC 9462, 6.4)",
        Rcode.NOERROR,
        everyone=True,
        own_zone=True,
    ),
    Special(
        ".ipv4only.arpa",
        "anything else is a false hint of NAT64 (RFC 7050, RFC 8880)",
        addresses=_NAT64,
        own_zone=True,
    ),
    Special(".doh.dns.apple.com", _DOH, ede=Ede.BLOCKED),
    Special(".dns.google", _DOH, ede=Ede.BLOCKED),
    Special(".cloudflare-dns.com", _DOH, ede=Ede.BLOCKED),
    Special(".one.one.one.one", _DOH, ede=Ede.BLOCKED),
    Special(".dns.quad9.net", _DOH, ede=Ede.BLOCKED),
    Special(".doh.opendns.com", _DOH, ede=Ede.BLOCKED),
    Special(".dns.nextdns.io", _DOH, ede=Ede.BLOCKED),
    Special(".dns.adguard-dns.com", _DOH, ede=Ede.BLOCKED),
    *(
        Special(f".{zone}", _REVERSE, own_zone=True)
        for zone in (
            "0.in-addr.arpa",
            "10.in-addr.arpa",
            "127.in-addr.arpa",
            "254.169.in-addr.arpa",
            *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
            "168.192.in-addr.arpa",
            *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),
            "2.0.192.in-addr.arpa",
            "100.51.198.in-addr.arpa",
            "113.0.203.in-addr.arpa",
            "255.255.255.255.in-addr.arpa",
            ".".join("0" * 32) + ".ip6.arpa",
            "1." + ".".join("0" * 31) + ".ip6.arpa",
            "c.f.ip6.arpa",
            "d.f.ip6.arpa",
            "8.e.f.ip6.arpa",
            "9.e.f.ip6.arpa",
            "a.e.f.ip6.arpa",
            "b.e.f.ip6.arpa",
            "8.b.d.0.1.0.0.2.ip6.arpa",
        )
    ),
    Special(".in-addr.arpa", _ELSEWHERE, own_zone=True, ede=Ede.BLOCKED),
    Special(".ip6.arpa", _ELSEWHERE, own_zone=True, ede=Ede.BLOCKED),
)

FIRST_LABELS: dict[bytes, str] = {
    b"wpad": "the portal would be asked for a proxy script",
    b"isatap": "the portal would be taken for a tunnel router",
}
"""First labels, lower case, below any name."""

SINGLE_LABEL = "browsers ask random single labels to find out whether answers are forged, and search lists end here"
