# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One Ethernet interface: frames out and in, counted, and the neighbours' questions about our addresses answered. I/O.

Our MAC address is not the host's, so its kernel takes none of these frames for its own: it answers nothing, and no RST
of its ends what we began. The socket makes the interface promiscuous for as long as it is open.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

from scapy.arch.linux import L2Socket
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.utils import PcapWriter

BROADCAST = "ff:ff:ff:ff:ff:ff"


class TooMuch(Exception):  # noqa: N818  # a bound, not a fault
    """The frames that may be sent are used up."""


class Link:
    """The interface while the context lasts."""

    def __init__(self, interface: str, mac: str, *, frames: int, capture: str = "") -> None:
        """``frames`` may be sent at most; ``capture``: a file for what is sent and what comes to us. OSError."""
        self.mac = mac
        self.own: set[str] = set()
        """The addresses that are ours now: who asks for them is told our MAC address."""
        self.sent = 0
        self._frames = frames
        self._socket = L2Socket(iface=interface, promisc=True)
        self._octets = bytes.fromhex(mac.replace(":", ""))
        self._capture = PcapWriter(capture, linktype=1, sync=True) if capture else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        if self._capture is not None:
            self._capture.close()

    def send(self, frames: Iterable[Any]) -> None:
        """Send each frame. TooMuch: there were enough."""
        for frame in frames:
            if self.sent >= self._frames:
                raise TooMuch
            self.sent += 1
            # built once: a field that is calculated would be so for the capture again
            octets = bytes(frame)
            self._socket.outs.send(octets)
            if self._capture is not None:
                self._capture.write(octets)

    def received(self, until: float) -> Iterator[Any]:
        """The frames that are for us or for everybody, until the monotonic time ``until`` or none is left to read."""
        left = until - time.monotonic()
        if not select.select([self._socket.ins], [], [], max(0.0, left))[0]:
            return
        while select.select([self._socket.ins], [], [], 0)[0]:
            _, octets, _ = self._socket.recv_raw()
            # others' frames are none of our business: they are neither read nor written to the capture
            if octets is None or len(octets) < 14 or octets[6:12] == self._octets:
                continue
            mine = octets[:6] == self._octets
            if not mine and not octets[0] & 1:
                continue
            frame = Ether(octets)
            if mine and self._capture is not None:
                self._capture.write(octets)
            self._defend(frame)
            yield frame
            if time.monotonic() > until:
                return

    def _defend(self, frame: Any) -> None:
        """Tell who asks for an address of ours where it is (RFC 826, RFC 4861 section 7.2.4)."""
        if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst in self.own:
            ask = frame[ARP]
            answer = ARP(op=2, hwsrc=self.mac, psrc=ask.pdst, hwdst=ask.hwsrc, pdst=ask.psrc)
            self.send([Ether(src=self.mac, dst=ask.hwsrc) / answer])
        elif ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt in self.own and frame[IPv6].src != "::":
            target = frame[ICMPv6ND_NS].tgt
            self.send([
                Ether(src=self.mac, dst=frame.src) / IPv6(src=target, dst=frame[IPv6].src, hlim=255)
                / ICMPv6ND_NA(tgt=target, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=self.mac)
            ])  # fmt: skip
