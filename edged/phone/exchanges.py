# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a device asks of the network beyond its link: orders in, packets out, packets in, facts out.

UDP, DNS (RFC 1035) and TCP, over both families, and the ICMP error that may come instead of an answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror
from scapy.layers.inet6 import ICMPv6DestUnreach, IPerror6, IPv6
from scapy.layers.l2 import Ether

from edged.phone.stream import MSS, SYN, Segment, Stream
from edged.phone.talks import Plain, whole_dns

Order = dict[str, Any]
Facts = dict[str, Any]

_ICMP4 = {0: "net-unreachable", 1: "host-unreachable", 3: "port-unreachable", 9: "prohibited", 10: "prohibited",
          13: "prohibited"}  # fmt: skip
_ICMP6 = {0: "no-route", 1: "prohibited", 3: "host-unreachable", 4: "port-unreachable", 5: "prohibited",
          6: "prohibited"}  # fmt: skip
_DYNAMIC = 49152


class Exchange:
    """One order under way. ``frames`` begins and repeats it, ``take`` hears a frame, ``facts`` is the answer."""

    resend_s = 0.7
    """Seconds without an answer until it is sent again."""
    resends = 1

    def __init__(self, order: Order, mac: str) -> None:
        self.order, self.mac = order, mac
        self.done = False
        self._facts: Facts = {"outcome": "silence"}

    def frames(self) -> list[Any]:
        """What begins it."""
        raise NotImplementedError

    def again(self) -> list[Any]:
        """What is sent when no answer came."""
        if self.resends:
            self.resends -= 1
            return self.frames()
        return []

    def take(self, frame: Any) -> list[Any]:
        """What is sent after ``frame``, which may be anybody's."""
        raise NotImplementedError

    def finish(self) -> list[Any]:
        """What is sent when the time is over."""
        return []

    def facts(self) -> Facts:
        """What was seen."""
        return self._facts

    def _found(self, outcome: str, **facts: object) -> None:
        self._facts, self.done = {"outcome": outcome, **facts}, True


class _Internet(Exchange):
    """To an address, through the gateway whose MAC address the order bears."""

    error_layer: Any = UDPerror

    def __init__(self, order: Order, mac: str) -> None:
        super().__init__(order, mac)
        self.port = _DYNAMIC + secrets.randbelow(65536 - _DYNAMIC)
        self.six = ":" in order["to"]

    def packet(self, payload: Any) -> Any:
        """``payload`` on its way, as a phone would send it: TTL 64, not to be fragmented."""
        order = self.order
        if self.six:
            network = IPv6(src=order["from"], dst=order["to"], hlim=64)
        else:
            network = IP(src=order["from"], dst=order["to"], ttl=64, flags="DF", id=secrets.randbelow(65536))
        return Ether(src=self.mac, dst=order["via"]) / network / payload

    def from_peer(self, frame: Any, layer: Any) -> Any | None:
        """The ``layer`` of a packet that answers ours."""
        network = IPv6 if self.six else IP
        if network not in frame or layer not in frame:
            return None
        outer, inner = frame[network], frame[layer]
        answers = outer.src == self.order["to"] and outer.dst == self.order["from"]
        return inner if answers and inner.sport == self.order["port"] and inner.dport == self.port else None

    def is_refused(self, frame: Any) -> bool:
        """True when ``frame`` is an ICMP error about a packet of ours; it is the answer then."""
        layer, inner = (ICMPv6DestUnreach, IPerror6) if self.six else (ICMP, IPerror)
        if layer not in frame or inner not in frame or self.error_layer not in frame:
            return False
        if not self.six and frame[ICMP].type != 3:
            return False
        about = frame[inner]
        if about.dst != self.order["to"] or frame[self.error_layer].sport != self.port:
            return False
        code = frame[layer].code
        word = (_ICMP6 if self.six else _ICMP4).get(code, f"icmp-{code}")
        self._found("icmp", icmp=word, by=frame[IPv6 if self.six else IP].src)
        return True


class Datagram(_Internet):
    """One UDP datagram of the octets ordered (hexadecimal), and whatever comes back."""

    resends = 2

    def frames(self) -> list[Any]:
        """The datagram."""
        datagram = UDP(sport=self.port, dport=self.order["port"]) / bytes.fromhex(self.order["octets"])
        return [self.packet(datagram)]

    def take(self, frame: Any) -> list[Any]:
        """Its answer, or the error about it."""
        if not self.is_refused(frame) and (answer := self.from_peer(frame, UDP)) is not None:
            self._found("answer", octets=bytes(answer.payload)[:64].hex())
        return []


def _question(order: Order, number: int) -> bytes:
    return bytes(DNS(id=number, rd=1, qd=DNSQR(qname=order["name"], qtype=order["type"])))


def _answer(octets: bytes, order: Order, number: int) -> Facts | None:
    """The facts of a DNS message; None: it is not the answer to ours."""
    try:
        message = DNS(octets)
        if message.id != number or not message.qr:
            return None
        found = [(_text(r.rdata), int(r.ttl)) for r in message.an or () if r.type == order["type"]]
    except Exception:  # noqa: BLE001  # whatever scapy raises on octets that it cannot read
        return {"rcode": -1, "addresses": [], "ttl": 0}
    return {
        "rcode": int(message.rcode), "addresses": [a for a, _ in found], "ttl": min((t for _, t in found), default=0),
    }  # fmt: skip


def _text(rdata: Any) -> str:
    return rdata.decode() if isinstance(rdata, bytes) else str(rdata)


class Question(Datagram):
    """A DNS question over UDP."""

    def __init__(self, order: Order, mac: str) -> None:
        self._number = secrets.randbelow(65536)
        super().__init__({"port": 53, **order, "octets": _question(order, self._number).hex()}, mac)

    def take(self, frame: Any) -> list[Any]:
        """The answer with our number, or the error about the question."""
        if not self.is_refused(frame) and (answer := self.from_peer(frame, UDP)) is not None:
            facts = _answer(bytes(answer.payload), self.order, self._number)
            if facts is not None:
                self._found("answer", **facts)
        return []


class Connection(_Internet):
    """A TCP connection and what is said over it."""

    error_layer = TCPerror

    def __init__(self, order: Order, mac: str, stream: Stream) -> None:
        super().__init__(order, mac)
        self._stream = stream

    def frames(self) -> list[Any]:
        """The SYN."""
        return [self._frame(s) for s in self._stream.start()]

    def again(self) -> list[Any]:
        """What the peer has not confirmed."""
        return [self._frame(s) for s in self._stream.resend()]

    def take(self, frame: Any) -> list[Any]:
        """A segment of the peer, or the error about ours."""
        if self.is_refused(frame) or (tcp := self.from_peer(frame, TCP)) is None:
            return []
        replies = self._stream.take(Segment(int(tcp.flags), tcp.seq, tcp.ack, bytes(tcp.payload)))
        self.done = self._stream.done
        return [self._frame(s) for s in replies]

    def finish(self) -> list[Any]:
        """A connection that is still open is ended."""
        return [self._frame(s) for s in self._stream.give_up()]

    def facts(self) -> Facts:
        """The outcome and what was heard."""
        if self._facts["outcome"] == "icmp":
            return self._facts
        return {"outcome": self._stream.outcome, **self._stream.talk.facts()}

    def _frame(self, segment: Segment) -> Any:
        options = [("MSS", MSS)] if segment.flags & SYN else []
        tcp = TCP(
            sport=self.port, dport=self.order["port"], seq=segment.seq, ack=segment.ack, flags=segment.flags,
            window=65535, options=options,
        )  # fmt: skip
        return self.packet(tcp / segment.payload if segment.payload else tcp)


class QuestionByTcp(Connection):
    """A DNS question over TCP."""

    def __init__(self, order: Order, mac: str, connected: Callable[[Any], Stream]) -> None:
        self._number = secrets.randbelow(65536)
        question = _question(order, self._number)
        self._talk = Plain(len(question).to_bytes(2, "big") + question, whole_dns)
        super().__init__({"port": 53, **order}, mac, connected(self._talk))

    def facts(self) -> Facts:
        """The outcome and the answer."""
        facts = super().facts()
        if facts["outcome"] != "answer":
            return facts
        answer = _answer(self._talk.octets[2:], self.order, self._number)
        return {"outcome": "answer", **(answer or {"rcode": -1, "addresses": [], "ttl": 0})}
