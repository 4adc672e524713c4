# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One TCP connection from the client's end, segments in and out. Pure. RFC 9293.

The kernel has no part in it: the address is not this host's. No options but MSS, no window scaling, no congestion
control: a page is small, and two retransmissions are all there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MSS = 1400
"""What we accept and send; fits into every tunnel of an Internet provider."""
WINDOW = 65535
_MOST_OCTETS = 256 * 1024
"""Of an answer; then the connection is ended."""
_RESENDS = 2
_MOD = 1 << 32


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a TCP segment that matters here."""

    flags: int
    seq: int
    ack: int
    payload: bytes = b""


class Talk(Protocol):
    """What is said over a connection."""

    @property
    def complete(self) -> bool:
        """True when there is nothing more to say or to hear."""

    def begin(self) -> bytes:
        """The first octets to send; the connection is open."""

    def heard(self, octets: bytes) -> bytes:
        """The octets to send after these were heard."""

    def facts(self) -> dict[str, object]:
        """What was learnt, for the answer."""


@dataclass(slots=True)
class Stream:
    """A connection: ``start``, then ``take`` for each segment of the peer and ``resend`` when nothing comes."""

    talk: Talk
    seq: int
    """Our initial sequence number."""
    outcome: str = "silence"
    """silence, refused (a RST for the SYN), open (nothing was to be said, or heard), answer, cut (a RST), closed (a FIN
    before any octet)."""
    done: bool = False
    _next: int = 0
    """What the peer is to send next."""
    _una: int = 0
    """The oldest of our octets that the peer has not confirmed."""
    _sent: bytes = b""
    """Of them: what was sent."""
    _is_open: bool = False
    _octets: int = 0
    _resends: int = 0
    _early: dict[int, bytes] = field(default_factory=dict)
    _fin: int | None = None

    def start(self) -> list[Segment]:
        """The SYN."""
        self._una = self.seq
        return [Segment(SYN, self.seq, 0)]

    def take(self, segment: Segment) -> list[Segment]:
        """What to send after ``segment`` of the peer."""
        if self.done:
            return []
        if segment.flags & RST:
            # of an open connection, or for our own SYN: anything else is not about us
            if self._is_open or segment.ack == (self.seq + 1) % _MOD:
                self._end("cut" if self._is_open else "refused")
            return []
        if not self._is_open:
            return self._opened(segment)
        if segment.flags & ACK:
            self._confirmed(segment.ack)
        return self._data(segment)

    def resend(self) -> list[Segment]:
        """What has not been confirmed yet, once more; nothing when it was tried often enough."""
        if self.done or self._resends >= _RESENDS:
            return []
        if not self._is_open:
            self._resends += 1
            return self.start()
        if not self._sent:
            return []
        self._resends += 1
        return self._pieces(self._una, self._sent)

    def give_up(self) -> list[Segment]:
        """The end of an unfinished connection; the peer need not wait for us."""
        if self.done:
            return []
        opened = self._is_open
        if opened and self.outcome == "silence":
            self.outcome = "open"
        self.done = True
        return [self._reset()] if opened else []

    def _opened(self, segment: Segment) -> list[Segment]:
        if segment.flags & (SYN | ACK) != SYN | ACK or segment.ack != (self.seq + 1) % _MOD:
            return []
        self._is_open = True
        self._una = segment.ack
        self._next = (segment.seq + 1) % _MOD
        self._resends = 0
        said = self.talk.begin()
        if self.talk.complete:
            self._end("open")
            return [self._bare(), self._reset()]
        self._sent = said
        return [self._bare(), *self._pieces(self._una, said)]

    def _confirmed(self, ack: int) -> None:
        count = (ack - self._una) % _MOD
        if 0 < count <= len(self._sent):
            self._sent = self._sent[count:]
            self._una = ack
            self._resends = 0

    def _data(self, segment: Segment) -> list[Segment]:
        if segment.flags & FIN:
            self._fin = (segment.seq + len(segment.payload)) % _MOD
        if segment.payload:
            self._early[segment.seq] = segment.payload
        reply: list[Segment] = []
        for octets in self._in_order():
            self._octets += len(octets)
            self.outcome = "answer"
            said = self.talk.heard(octets)
            if said:
                reply += self._pieces((self._una + len(self._sent)) % _MOD, said)
                self._sent += said
        ended = self._fin == self._next
        if self.talk.complete or ended or self._octets > _MOST_OCTETS:
            self._end("closed" if self.outcome == "silence" else self.outcome)
            return [*reply, self._reset()]
        return reply or ([self._bare()] if segment.payload else [])

    def _in_order(self) -> list[bytes]:
        """The octets that can be heard now; what came before its turn stays."""
        found: list[bytes] = []
        while True:
            for seq, payload in list(self._early.items()):
                old = (self._next - seq) % _MOD
                if old < 1 << 31:
                    del self._early[seq]
                    if old < len(payload):
                        found.append(payload[old:])
                        self._next = (self._next + len(payload) - old) % _MOD
                        break
            else:
                return found

    def _pieces(self, seq: int, octets: bytes) -> list[Segment]:
        return [
            Segment(ACK | PSH, (seq + at) % _MOD, self._next, octets[at : at + MSS])
            for at in range(0, len(octets), MSS)
        ]

    def _bare(self) -> Segment:
        return Segment(ACK, (self._una + len(self._sent)) % _MOD, self._next)

    def _reset(self) -> Segment:
        """At the end nothing is left at the peer's side: no FIN to wait for."""
        return Segment(RST | ACK, (self._una + len(self._sent)) % _MOD, self._next)

    def _end(self, outcome: str) -> None:
        self.outcome, self.done = outcome, True
