# SPDX-License-Identifier: Apache-2.0
"""Many questions to one upstream over one kept TLS connection. I/O. Never anything but TLS.

RFC 7858 (DNS over TLS), RFC 8310 8.1 (the certificate bears the configured name), RFC 7766 6.2 (pipelining, answers in
any order, a closed connection is made anew), RFC 8467 (padding).
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from pathlib import Path

import structlog

from edged.dns import answer
from edged.dns.answer import Answer
from edged.dns.codes import HEADER_OCTETS
from edged.dns.question import Question
from edged.dns.settings import UpstreamSettings
from edged.dns.upstream.counters import UpstreamCounters
from edged.errors import WireError

log = structlog.get_logger(__name__)

_HANDSHAKE = 5.0
"""Seconds for TCP and TLS; the question that began it may be answered by another upstream long before."""
_IDLE = 60.0
"""Seconds without a message after which the connection is let go."""
_IN_FLIGHT = 256
"""Questions on the connection at once; the next ones wait, within their own time."""
_ANEW = 3
"""Connections for one question: servers close when they like, and what was under way is asked again."""
_LAST_PAUSE = 60.0
"""Seconds between two attempts at the most: 1, 2, 4 ... while no connection has answered anything."""
_BLOCK = 128
_LOG_EVERY = 60.0


def trust(ca: Path | None) -> ssl.SSLContext:
    """Whom a certificate must come from: ``ca``, or whom the system trusts. OSError: it cannot be read."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Connection:
    """One TLS connection and who waits for what on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.open, self.served = True, False
        self.heard = 0.0
        """When it last said anything, in the loop's seconds."""
        self._reader, self._writer = reader, writer
        self._reading = asyncio.create_task(self._read(), name="dns-tls")

    def send(self, octets: bytes) -> None:
        """Put ``octets`` on the stream. ConnectionResetError: it is closed."""
        if not self.open:
            raise ConnectionResetError("the connection was closed")
        self._writer.write(len(octets).to_bytes(2) + octets)

    async def _read(self) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE):
                    length = int.from_bytes(await self._reader.readexactly(2))
                    octets = await self._reader.readexactly(length)
                self.heard = asyncio.get_running_loop().time()
                waiter = self.waiting.get(int.from_bytes(octets[:2])) if length >= HEADER_OCTETS else None
                if waiter is not None and not waiter.done():
                    waiter.set_result(octets)
        except (EOFError, OSError):  # closed by the server, cut, broken, or idle (a TimeoutError is an OSError)
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Let it go; who still waits is told."""
        if not self.open:
            return
        self.open = False
        self._reading.cancel()
        for waiter in self.waiting.values():
            if not waiter.done():
                waiter.set_exception(ConnectionResetError("the connection was closed"))
        # not close(): a peer that answers nothing would hold the closing handshake open
        self._writer.transport.abort()


class EncryptedClient:
    """Asks ``upstream``; keeps the connection while it is used."""

    def __init__(self, upstream: UpstreamSettings, counters: UpstreamCounters) -> None:
        self._upstream, self._counters = upstream, counters
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._room = asyncio.Semaphore(_IN_FLIGHT)
        self._attempts, self._not_before = 0, 0.0
        self._closed = False
        self._complaint, self._complained = "", 0.0

    async def ask(self, question: Question, seconds: float) -> Answer:
        """The answer within ``seconds``. TimeoutError, OSError, WireError: there is none."""
        self._counters.queries += 1
        async with asyncio.timeout(seconds), self._room:
            for attempt in range(_ANEW):
                connection = await self._connected()
                try:
                    return await self._exchange(connection, question)
                except ConnectionResetError:
                    # one that never answered is no server of ours; one that did has only ended
                    if not connection.served or attempt == _ANEW - 1:
                        raise
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        """Let everything go; a handshake under way is let go when it ends."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    async def _exchange(self, connection: _Connection, question: Question) -> Answer:
        loop = asyncio.get_running_loop()
        ident = secrets.randbits(16)
        while ident in connection.waiting:
            ident = secrets.randbits(16)
        qname = answer.mix_case(question.name, secrets.randbits(8 * len(question.name)))
        octets = answer.query(question, ident, qname, block=_BLOCK)
        waiter: asyncio.Future[bytes] = loop.create_future()
        connection.waiting[ident], sent = waiter, loop.time()
        try:
            connection.send(octets)
            received = await waiter
        except asyncio.CancelledError:
            if connection.heard < sent:
                # nothing at all came since: the path may have died without a word
                connection.close()
            raise
        finally:
            del connection.waiting[ident]
        found = answer.parse(received, octets)
        if found.truncated:
            raise WireError("truncated")
        connection.served = True
        self._attempts, self._not_before, self._complaint = 0, 0.0, ""
        return found

    async def _connected(self) -> _Connection:
        """The connection, made when there is none. OSError: it cannot be made, or not again so soon."""
        if self._connection is not None and self._connection.open:
            return self._connection
        if self._connecting is None:
            now = asyncio.get_running_loop().time()
            if now < self._not_before:
                raise ConnectionRefusedError("it failed a moment ago")
            self._not_before = now + min(2.0**self._attempts, _LAST_PAUSE)
            self._attempts = min(self._attempts + 1, 10)
            self._connecting = asyncio.create_task(self._connect(), name="dns-tls-connect")
            self._connecting.add_done_callback(self._connect_ended)
        # whoever waits may go away; a slow handshake still serves the next one
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> _Connection:
        upstream = self._upstream
        try:
            async with asyncio.timeout(_HANDSHAKE):
                # read each time: certificates of authorities are replaced while we run
                context = await asyncio.to_thread(trust, upstream.ca)
                reader, writer = await asyncio.open_connection(
                    str(upstream.address), upstream.port, ssl=context, server_hostname=upstream.tls
                )
        except OSError as error:
            self._complain(error)
            raise
        self._counters.tls += 1
        self._connection = _Connection(reader, writer)
        if self._closed:
            self._connection.close()
        return self._connection

    def _connect_ended(self, task: asyncio.Task[_Connection]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # who asked was told; nobody may be left to hear it

    def _complain(self, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        words = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.strerror or ""
        complaint = words or f"no TLS within {_HANDSHAKE:.0f} s"
        if complaint != self._complaint or now - self._complained >= _LOG_EVERY:
            self._complaint, self._complained = complaint, now
            log.warning("dns-upstream-tls-failed", endpoint=str(self._upstream), error=complaint)
