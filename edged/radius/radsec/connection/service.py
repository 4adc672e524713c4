# SPDX-License-Identifier: Apache-2.0
"""One TLS connection of a RADIUS client: octets in, replies out. I/O. RFC 6613 section 2.6, RFC 6614, RFC 7930.

What becomes of a request is the exchange's, as over UDP; where a fault leaves doubt, the connection ends.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Protocol

from edged.errors import WireError
from edged.native.radius import marks_of
from edged.radius.admission import ACCOUNTING, AUTHENTICATION
from edged.radius.attributes import attribute
from edged.radius.authenticator import request_is_authentic, sign_reply
from edged.radius.clients import Source
from edged.radius.counters import Discard
from edged.radius.dictionary import PROXY_STATE
from edged.radius.exchange.service import ALIVE, MAX_IN_FLIGHT, Exchange, Exchanges
from edged.radius.packet import Code, decode
from edged.radius.radsec.counters import Closing, Refusal
from edged.radius.radsec.framing import LONGEST, Framing
from edged.radius.radsec.peers import SECRET

BURST = 64
"""Packets of one connection before the others have their turn."""
SHARE = MAX_IN_FLIGHT // 2
"""Requests at their handlers, of everybody, at which streams wait: they can, datagrams cannot."""
WAIT = 0.01
"""Seconds until a stream that waited looks again."""
HIGH_WATER = 64 * 1024
"""Octets of replies that a client leaves lying before its next request is looked at."""

_UNSUPPORTED = (attribute("Error-Cause", 406),)
_NAKS = {int(Code.DISCONNECT_REQUEST): Code.DISCONNECT_NAK, int(Code.COA_REQUEST): Code.COA_NAK}
"""RFC 6614 section 2.5: what a server does not take on this connection it says so."""
_UNAUTHENTIC = frozenset({Discard.BAD_AUTHENTICATOR, Discard.BAD_MESSAGE_AUTHENTICATOR})
_numbers = itertools.count(1 << 20)
"""Of connections, none of them a listener's: what was asked on one is never answered from the memory of another."""


class Registry(Protocol):
    """Where a connection reports to."""

    exchanges: Exchanges

    @property
    def clock(self) -> Callable[[], float]:
        """Epoch seconds."""
        ...

    def admitted(self, connection: Connection, certificate: bytes) -> Source | Refusal:
        """The client behind a handshake that ended well; or why it is turned away."""
        ...

    def ended(self, connection: Connection, reason: Closing) -> None:
        """The connection is no more; told once."""
        ...


class Connection(asyncio.Protocol):
    """One stream, from the accepted socket on; ``connection_made`` comes after the handshake."""

    codes = AUTHENTICATION | ACCOUNTING
    alive = ALIVE

    def __init__(self, registry: Registry, host: str) -> None:
        self.host = host
        self.number = next(_numbers)
        self.source: Source | None = None
        """None until the handshake has ended."""
        self.names: frozenset[str] = frozenset()
        """Of its certificate."""
        self.active = 0.0
        """When the last whole packet came, by the loop's clock."""
        self.partial = 0.0
        """When the first octet of a packet came that is not whole; 0: there is none."""
        self.unread = 0.0
        """Since when replies are not taken; 0: they are."""
        self._registry, self._exchanges = registry, registry.exchanges
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._framing = Framing()
        self._yielded = self._over = False

    # --- the stream --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake has ended well; now for who it is."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # TLS over a stream
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        admitted = self._registry.admitted(self, certificate)
        if isinstance(admitted, Refusal):
            self._over = True
            transport.abort()
            return
        self.source, self.active = admitted, self._loop.time()

    def data_received(self, octets: bytes) -> None:
        """Take the next octets in."""
        if self._over:
            return
        self._framing.receive(octets)
        if not (self.unread or self._yielded):
            self._work()

    def connection_lost(self, _error: Exception | None) -> None:
        """The peer is gone, or we have closed; what was asked is still done, accounting above all."""
        self.end(Closing.PEER, abort=True)

    def pause_writing(self) -> None:
        """Replies pile up: no further request until they are taken."""
        self.unread, self.partial = self._loop.time(), 0.0
        if self._transport is not None and not self._over:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Replies are taken again."""
        self.unread = 0.0
        if not self._yielded:
            self._resume()

    def end(self, reason: Closing, *, abort: bool = False) -> None:
        """Close for ``reason``; ``abort`` without waiting for what was sent. Once is enough."""
        if self._over:
            return
        self._over = True
        self._registry.ended(self, reason)
        if self._transport is not None:
            if abort:
                self._transport.abort()
            else:
                self._transport.close()

    def _work(self) -> None:
        for _ in range(BURST):
            if self.unread or self._over:
                return
            if self._exchanges.counters.in_flight >= SHARE:
                self._yield(WAIT)
                return
            try:
                octets = self._framing.packet()
            except WireError:
                self._exchanges.counters.discard(Discard.MALFORMED, self._name)
                self.end(Closing.MALFORMED)
                return
            if octets is None:
                self.partial = (self.partial or self._loop.time()) if len(self._framing) else 0.0
                return
            self.partial, self.active = 0.0, self._loop.time()
            self._arrive(octets)
        self._yield(0.0)

    def _yield(self, seconds: float) -> None:
        """The others have their turn; meanwhile what comes waits in the client's window."""
        self._yielded, self.partial = True, 0.0
        if self._transport is not None and not self._over:
            self._transport.pause_reading()
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._yielded = False
        if self._over or self.unread or self._transport is None:
            return
        self._transport.resume_reading()
        self._work()

    # --- packets -----------------------------------------------------------------------------------

    def _arrive(self, octets: bytes) -> None:
        source = self.source
        assert source is not None  # noqa: S101  # connection_made came first
        source.heard.asked = source.heard.tls = self._registry.clock()
        if octets[0] in _NAKS:
            self._refuse(octets)
            return
        # the code is part of whom: some clients count authentication and accounting apart, on one connection
        discard = self._exchanges.arrive(self, octets, source, octets[0], None)
        if discard in _UNAUTHENTIC:
            self.end(Closing.UNAUTHENTIC)
        elif discard is Discard.MALFORMED and _is_broken(octets):
            self.end(Closing.MALFORMED)

    def _refuse(self, octets: bytes) -> None:
        try:
            packet = decode(octets)
        except WireError:
            self.end(Closing.MALFORMED)
            return
        if not request_is_authentic(octets, SECRET):
            self.end(Closing.UNAUTHENTIC)
            return
        self._exchanges.counters.discard(Discard.UNEXPECTED_CODE, self._name)
        states = tuple(it for it in packet.attributes if it.type == PROXY_STATE)
        self._write(sign_reply(_NAKS[octets[0]], (*_UNSUPPORTED, *states), packet, SECRET))

    def send(self, _exchange: Exchange, octets: bytes) -> None:
        """Let the reply leave; where the peer is gone it reaches nobody."""
        self._write(octets)

    def _write(self, octets: bytes) -> None:
        if self._transport is not None and not self._over:
            self._transport.write(octets)

    @property
    def _name(self) -> str:
        return self.host if self.source is None else self.source.client.name


def _is_broken(octets: bytes) -> bool:
    """Whether the packet itself is malformed, and not a value in it (RFC 6613 section 2.6.4)."""
    return isinstance(marks_of(octets, LONGEST), str)
