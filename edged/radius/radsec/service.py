# SPDX-License-Identifier: Apache-2.0
"""The RADIUS server over TLS: listeners, handshakes, bounds and clocks. I/O. RFC 6613, RFC 6614.

A source that no client covers gets no handshake. Everything a peer can make us keep or wait for has a bound.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edged.errors import ConfigError
from edged.fdstore import FdStore
from edged.radius.clients import Clients, Source, source_of
from edged.radius.exchange.service import Exchanges
from edged.radius.radsec.certificate import names
from edged.radius.radsec.connection.service import Connection
from edged.radius.radsec.counters import Closing, RadSecCounters, Refusal
from edged.radius.radsec.files.service import RadSecFiles
from edged.radius.radsec.peers import choose, is_expected, over_tls
from edged.radius.settings import RadiusSettings
from edged.values import Endpoint, parse_address

log = structlog.get_logger(__name__)

KEEPALIVE_S = 60
"""Seconds of silence before the kernel asks whether the peer is still there; three times, ten seconds apart."""
BACKLOG = 256
_TLS_BUFFER = 16 * 1024
"""Octets that TLS reads at once, one record; asyncio takes a quarter of a megabyte for each connection without."""
_LOOK_EVERY_S = 60.0
"""Seconds between two looks at the certificate's files."""
_REPORT_EVERY_S = 10.0
_SPARE = 16
"""Handshakes beyond all places: one that ends well may take that of an idle connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections at once, and seconds that a peer may take."""

    total: int = 1024
    """And never more than a quarter of the descriptors that the process may have."""
    per_client: int = 256
    """A building with as many access points."""
    per_address: int = 256
    """A building behind one. The one idle longest gives way: a peer that lost its power never closes."""
    handshake: float = 10.0
    packet: float = 10.0
    """For a packet to come whole, and for replies to be taken."""
    idle: float = 900.0
    shutdown: float = 2.0
    """For the peer to say goodbye."""
    sweep: float = 1.0
    """Between two looks at the clocks."""


_LIMITS = Limits()


class RadSecService:
    """The listeners of ``radius.tls`` and their connections; closed where the settings name none."""

    def __init__(
        self,
        settings: RadiusSettings,
        *,
        exchanges: Exchanges,
        clients: Clients,
        clock: Callable[[], float] = time.time,
        limits: Limits = _LIMITS,
        fds: FdStore | None = None,
    ) -> None:
        """``exchanges`` and ``clients`` are those of the service over UDP: both ask the same rooms."""
        self.counters = RadSecCounters()
        self.exchanges, self.clock = exchanges, clock
        self._settings, self._clients, self._limits = settings, clients, limits
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._total = min(limits.total, soft // 4)
        self._files = RadSecFiles(settings.tls) if settings.tls is not None else None
        self._context: ssl.SSLContext | None = None
        self._fds = fds or FdStore()
        self._sockets: list[socket.socket] = []
        self._doors: list[asyncio.Task[None]] = []
        self._connections: set[Connection] = set()
        self._reported: dict[Refusal, int] = {}

    # --- the room ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the certificate and bind every listener. ConfigError: a file or a port."""
        if self._settings.tls is None or self._files is None:
            return
        self._context = self._files.load()
        # asyncio has no other place to say so; it holds for the daemon, and the page wants it as small
        sslproto.SSLProtocol.max_size = min(sslproto.SSLProtocol.max_size, _TLS_BUFFER)
        for endpoint in self._settings.tls.listen:
            try:
                self._sockets.append(self._fds.listen(endpoint, BACKLOG))
            except OSError as error:
                await self.stop()
                raise ConfigError.unbound("radius.tls.listen", f"{endpoint} (TCP)", error) from None
        for endpoint in self.endpoints:
            log.info("radius-listening", role="tls", endpoint=str(endpoint))

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for listener in self._sockets:
                self._doors.append(group.create_task(self._accept(listener, group), name="radsec-accept"))
            group.create_task(self._watch(), name="radsec-files")
            group.create_task(self._report(), name="radsec-report")
            while True:
                await asyncio.sleep(self._limits.sweep)
                self._sweep(asyncio.get_running_loop().time())

    @property
    def under_way(self) -> int:
        """Handshakes. The requests are among those of the service over UDP."""
        return sum(it.source is None for it in self._connections)

    def refrain(self) -> None:
        """Let no new client in; those inside are answered."""
        for door in self._doors:
            door.cancel()

    async def stop(self) -> None:
        """Close the sockets and every connection; clients come back to the next start."""
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()
        for connection in tuple(self._connections):
            connection.end(Closing.STOPPED, abort=True)

    def prepared(self, settings: RadiusSettings) -> ssl.SSLContext | None:
        """The certificate as it is on disk now, for ``reconfigure``. ConfigError: it does not work; all stays."""
        return self._files.load() if self._files is not None and settings.tls is not None else None

    def reconfigure(self, settings: RadiusSettings, context: ssl.SSLContext | None) -> None:
        """Take the clients of ``settings`` and the certificate; whom no client covers any more is sent away."""
        self._settings = settings
        if context is not None:
            self._context = context
        for connection in tuple(self._connections):
            known = connection.source
            if known is None:
                continue  # chosen when its handshake ends
            again = self._source(connection)
            if again is None:
                connection.end(Closing.RECONFIGURED)
            else:
                connection.source = again

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where it listens, the ports as the kernel gave them."""
        return tuple(Endpoint(parse_address(name[0]), name[1]) for name in (s.getsockname() for s in self._sockets))

    @property
    def ends(self) -> float:
        """When the server's certificate ends, epoch seconds; 0: there is none."""
        return self._files.ends if self._files is not None else 0.0

    # --- who comes in ------------------------------------------------------------------------------

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError:  # no descriptor left, or the peer was gone already
                await asyncio.sleep(0.1)
                continue
            connection = self._room(peer[0])
            if connection is None:
                sock.close()
            else:
                group.create_task(self._greet(sock, connection), name="radsec-handshake")

    def _room(self, host: str) -> Connection | None:
        """A place for one more from ``host``; None: it gets no handshake."""
        if not is_expected(parse_address(host.partition("%")[0]), self._settings.clients):
            self._clients.meet(host, self.clock())
            self.counters.refuse(Refusal.UNKNOWN_CLIENT, host)
            return None
        greeted = sum(it.host == host and it.source is None for it in self._connections)
        if greeted >= self._limits.per_address or len(self._connections) >= self._total + _SPARE:
            self.counters.refuse(Refusal.TOO_MANY, host)
            return None
        connection = Connection(self, host)
        self._connections.add(connection)
        self.counters.open = len(self._connections)
        return connection

    async def _greet(self, sock: socket.socket, connection: Connection) -> None:
        """The handshake; afterwards the connection lives by itself."""
        reason = None
        try:
            _quicken(sock)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, sock, ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake, ssl_shutdown_timeout=self._limits.shutdown,
            )  # fmt: skip
        except ssl.SSLError as error:
            reason = _reason(error)
        except (TimeoutError, ConnectionAbortedError):  # the second is asyncio's word for a handshake past its time
            reason = Refusal.TIMEOUT
        except OSError:
            reason = Refusal.LOST
        finally:
            if connection.source is None:
                self._forget(connection)
        if reason is not None:
            self.counters.refuse(reason, connection.host)

    def admitted(self, connection: Connection, certificate: bytes) -> Source | Refusal:
        """The client behind a handshake that ended well; or why it is turned away."""
        connection.names = names(certificate)
        source = self._source(connection)
        if source is not None:
            self._make_room(connection.host)
        if (
            source is not None
            and self._held(source.client.name) < self._limits.per_client
            and self._held() < self._total
        ):
            self.counters.accepted += 1
            return source
        refusal = Refusal.WRONG_NAME if source is None else Refusal.TOO_MANY
        self.counters.refuse(refusal, connection.host)
        return refusal

    def _make_room(self, host: str) -> None:
        """One that is idle gives way to one that has shown its certificate; to nobody else."""
        same = [it for it in self._connections if it.host == host and it.source is not None]
        if len(same) >= self._limits.per_address:
            min(same, key=lambda it: it.active).end(Closing.REPLACED)

    def _source(self, connection: Connection) -> Source | None:
        address = parse_address(connection.host.partition("%")[0])
        client = choose(address, connection.names, self._settings.clients)
        if client is None:
            return None
        return source_of(address, over_tls(client), self._clients.hearing.of(str(address)))

    def _held(self, name: str | None = None) -> int:
        """Connections that are taken in, of a client or of all."""
        held = (it.source.client.name for it in self._connections if it.source is not None)
        return sum(name in {None, each} for each in held)

    def ended(self, connection: Connection, reason: Closing) -> None:
        """The connection is no more."""
        self.counters.closed[reason] += 1
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.counters.open = len(self._connections)

    # --- clocks ------------------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        limits = self._limits
        for connection in tuple(self._connections):
            if connection.source is None:
                continue  # the handshake has a clock of its own
            if connection.partial and now - connection.partial > limits.packet:
                connection.end(Closing.SLOW)
            elif connection.unread and now - connection.unread > limits.packet:
                connection.end(Closing.UNREAD, abort=True)
            elif now - connection.active > limits.idle:
                connection.end(Closing.IDLE)

    async def _watch(self) -> None:
        """A renewed certificate is taken up; one that does not work is left alone."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._files is None or not self._files.changed():
                continue
            try:
                self._context = self._files.load()
            except ConfigError as error:
                for problem in error.problems:
                    log.warning("radsec-certificate", found=problem.found, expected=problem.expected)
            else:
                log.info("radsec-certificate-renewed")

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            before, self._reported = self._reported, dict(self.counters.refused)
            for reason, count in self._reported.items():
                new = count - before.get(reason, 0)
                if new:
                    latest = self.counters.latest[reason]
                    log.warning("radsec-refused", reason=reason.value, count=new, latest=latest)


def _quicken(sock: socket.socket) -> None:
    """Replies leave at once; a peer that lost its power is missed after a minute and a half."""
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
    ):
        sock.setsockopt(level, option, value)


def _reason(error: ssl.SSLError) -> Refusal:
    if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_UNKNOWN" in (error.reason or ""):
        return Refusal.BAD_CERTIFICATE
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Refusal.NO_CERTIFICATE
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or "ALERT" in (error.reason or ""):
        return Refusal.LOST
    return Refusal.NOT_TLS
