# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a device settles on a link: is the address free, who routes, what do DHCP and router advertisements say.

RFC 826 and RFC 5227 (ARP), RFC 4861 and RFC 4862 (neighbours, routers), RFC 2131 (DHCP), RFC 8415 (DHCPv6, information
alone), RFC 8910 (where the captive portal API is).
"""

from __future__ import annotations

import secrets
import socket
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_InfoRequest,
    DHCP6_Reply,
    DHCP6OptCaptivePortal,
    DHCP6OptClientId,
    DHCP6OptDNSServers,
    DHCP6OptElapsedTime,
    DHCP6OptOptReq,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptCaptivePortal,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether

from edged.phone.exchanges import Exchange, Facts, Order
from edged.phone.link import BROADCAST

_ASKED = [1, 121, 3, 6, 15, 108, 114, 119, 252]
"""Option 55 of an iPhone: mask, routes, router, resolvers, domain, IPv6-only, captive portal, search, proxy."""
NOBODY = "0.0.0.0"  # noqa: S104  # whoever has no address yet; nothing is bound


def link_local(mac: str) -> str:
    """The link-local address that belongs to ``mac`` (RFC 4291, appendix A)."""
    octets = bytearray(bytes.fromhex(mac.replace(":", "")))
    octets[0] ^= 2
    return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + octets[:3] + b"\xff\xfe" + octets[3:])


def _solicited(target: str) -> tuple[str, str]:
    """The multicast address and the frame's destination for who has ``target`` (RFC 4291 section 2.7.1)."""
    tail = socket.inet_pton(socket.AF_INET6, target)[-3:]
    group = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("ff0200000000000000000001ff") + tail)
    return group, f"33:33:ff:{tail.hex(':')}"


class Announcement(Exchange):
    """An address is ours now: whoever remembers another MAC address forgets it (RFC 5227 2.3, RFC 4861 7.2.6)."""

    def frames(self) -> list[Any]:
        """One frame to everybody; nobody answers."""
        self._found("sent")
        own = self.order["from"]
        if ":" not in own:
            return [Ether(src=self.mac, dst=BROADCAST) / ARP(op=1, hwsrc=self.mac, psrc=own, pdst=own)]
        told = IPv6(src=own, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=own, R=0, S=0, O=1)
        return [Ether(src=self.mac, dst="33:33:00:00:00:01") / told / ICMPv6NDOptDstLLAddr(lladdr=self.mac)]

    def take(self, frame: Any) -> list[Any]:
        """Nothing is waited for."""
        del frame
        return []


class Arp(Exchange):
    """Who has ``target``? From ``from``; from 0.0.0.0 nobody learns anything of us (RFC 5227)."""

    resend_s = 0.25

    def frames(self) -> list[Any]:
        """The question to everybody."""
        ask = ARP(op=1, hwsrc=self.mac, psrc=self.order["from"], pdst=self.order["target"])
        return [Ether(src=self.mac, dst=BROADCAST) / ask]

    def take(self, frame: Any) -> list[Any]:
        """Whoever speaks for the address."""
        if ARP in frame and frame[ARP].psrc == self.order["target"] and frame[ARP].hwsrc != self.mac:
            self._found("answer", mac=frame[ARP].hwsrc)
        return []


class Neighbour(Exchange):
    """The same of IPv6; from :: it is the question whether the address is free (RFC 4862)."""

    resend_s = 0.25

    def frames(self) -> list[Any]:
        """The question to the few whose address ends alike."""
        group, ethernet = _solicited(self.order["target"])
        ask = IPv6(src=self.order["from"], dst=group, hlim=255) / ICMPv6ND_NS(tgt=self.order["target"])
        if self.order["from"] != "::":
            ask /= ICMPv6NDOptSrcLLAddr(lladdr=self.mac)
        return [Ether(src=self.mac, dst=ethernet) / ask]

    def take(self, frame: Any) -> list[Any]:
        """Whoever speaks for the address."""
        if ICMPv6ND_NA in frame and frame[ICMPv6ND_NA].tgt == self.order["target"]:
            option = ICMPv6NDOptDstLLAddr
            self._found("answer", mac=frame[option].lladdr if option in frame else frame.src)
        return []


class Router(Exchange):
    """Who advertises itself as a router."""

    def frames(self) -> list[Any]:
        """A solicitation."""
        ask = IPv6(src=link_local(self.mac), dst="ff02::2", hlim=255) / ICMPv6ND_RS()
        return [Ether(src=self.mac, dst="33:33:00:00:00:02") / ask / ICMPv6NDOptSrcLLAddr(lladdr=self.mac)]

    def take(self, frame: Any) -> list[Any]:
        """The first advertisement of a router that is one."""
        if ICMPv6ND_RA not in frame or not frame[ICMPv6ND_RA].routerlifetime:
            return []
        facts: Facts = {"router": frame[IPv6].src, "mac": frame.src, "prefixes": [], "dns": [], "portal": None}
        option = frame[ICMPv6ND_RA].payload
        while option and option.name != "NoPayload":
            if isinstance(option, ICMPv6NDOptPrefixInfo) and option.A and option.prefixlen == 64:
                facts["prefixes"].append(option.prefix)
            elif isinstance(option, ICMPv6NDOptRDNSS):
                facts["dns"] += option.dns
            elif isinstance(option, ICMPv6NDOptCaptivePortal):
                facts["portal"] = option.URI.rstrip(b"\0").decode("latin-1")
            option = option.payload
        self._found("answer", **facts)
        return []


class Dhcp(Exchange):
    """DHCPv4. With an address: what else is there to know (INFORM, no lease). Without one: DISCOVER and REQUEST."""

    def __init__(self, order: Order, mac: str) -> None:
        super().__init__(order, mac)
        self._number = secrets.randbelow(1 << 32)
        self._wanted: list[Any] = []

    def frames(self) -> list[Any]:
        """The message that is due."""
        if address := self.order.get("from"):
            return [self._message("inform", [], ciaddr=address, source=address)]
        return [self._message("request" if self._wanted else "discover", self._wanted)]

    def take(self, frame: Any) -> list[Any]:
        """An OFFER is asked for; an ACK is the answer."""
        if BOOTP not in frame or DHCP not in frame or frame[BOOTP].op != 2 or frame[BOOTP].xid != self._number:
            return []
        options: dict[Any, Any] = dict(o[:2] for o in frame[DHCP].options if isinstance(o, tuple) and len(o) >= 2)
        every = {o[0]: list(o[1:]) for o in frame[DHCP].options if isinstance(o, tuple)}
        kind = options.get("message-type")
        if kind == 2 and not self._wanted:
            self._wanted = [("requested_addr", frame[BOOTP].yiaddr), ("server_id", options.get("server_id", NOBODY))]
            return self.frames()
        if kind == 5:
            portal = options.get("captive-portal")
            self._found(
                "answer", address=frame[BOOTP].yiaddr, routers=every.get("router", []),
                dns=every.get("name_server", []), server=str(options.get("server_id", "")),
                portal=portal.decode("latin-1") if isinstance(portal, bytes) else portal,
            )  # fmt: skip
        elif kind == 6:
            self._found("refused")
        return []

    def _message(self, kind: str, options: list[Any], *, ciaddr: str = NOBODY, source: str = NOBODY) -> Any:
        hardware = bytes.fromhex(self.mac.replace(":", ""))
        return (
            Ether(src=self.mac, dst=BROADCAST) / IP(src=source, dst="255.255.255.255", ttl=64)
            / UDP(sport=68, dport=67) / BOOTP(chaddr=hardware + bytes(10), xid=self._number, ciaddr=ciaddr)
            / DHCP(options=[
                ("message-type", kind), ("client_id", b"\1" + hardware), *options,
                ("param_req_list", _ASKED), "end",
            ])
        )  # fmt: skip


class Dhcp6(Exchange):
    """DHCPv6: what is there to know beside an address."""

    def __init__(self, order: Order, mac: str) -> None:
        super().__init__(order, mac)
        self._number = secrets.randbelow(1 << 24)

    def frames(self) -> list[Any]:
        """An INFORMATION-REQUEST; it asks for no address."""
        ask = (
            DHCP6_InfoRequest(trid=self._number) / DHCP6OptClientId(duid=DUID_LL(lladdr=self.mac))
            / DHCP6OptElapsedTime() / DHCP6OptOptReq(reqopts=[23, 24, 103])
        )  # fmt: skip
        packet = IPv6(src=link_local(self.mac), dst="ff02::1:2", hlim=1) / UDP(sport=546, dport=547) / ask
        return [Ether(src=self.mac, dst="33:33:00:01:00:02") / packet]

    def take(self, frame: Any) -> list[Any]:
        """The reply."""
        if DHCP6_Reply not in frame or frame[DHCP6_Reply].trid != self._number:
            return []
        portal = frame[DHCP6OptCaptivePortal].URI if DHCP6OptCaptivePortal in frame else None
        servers = frame[DHCP6OptDNSServers].dnsservers if DHCP6OptDNSServers in frame else []
        self._found("answer", dns=list(servers), portal=portal.decode("latin-1") if portal else None)
        return []
