"""A RouterOS router that is none: the sentence protocol on sockets, with faults, and with the time that routers take.

An independent stand-in written from published documents. Nothing that passes against it is tested on RouterOS.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.routeros.certificate import Certificates
from tests.routeros.console import Console
from tests.routeros.faults import answered
from tests.routeros.latency import LATENCIES, Latency
from tests.routeros.sentences import INTERRUPTED, Reply, TrapError, done, tag_of, tagged, to_text, trapped
from tests.routeros.session import Answer, Session
from tests.routeros.words import BEFORE_LOGIN, LOGGED_IN, Decoder, Sentence, WordError, encode

PASSWORD = "secret"
LONGER_THAN_ANYBODY = 30.0
"""Seconds of a slow reply."""
PART_OF_OVERTAKING = 0.01
"""Seconds at most that a reply waits while others pass."""
_CLOSED = (ConnectionError, OSError, asyncio.IncompleteReadError)


class RouterServer:
    """One router; ``console`` is what it holds. A test may change anything at any time."""

    def __init__(
        self, console: Console, *, latency: Latency = LATENCIES["none"], seed: int = 0, max_sessions: int | None = None
    ) -> None:
        self.console = console
        self.latency = latency
        self.max_sessions = max_sessions
        """None: what ``/ip/service`` says, and 20 where it says nothing."""
        self.faults: set[str] = set()
        self.turns: deque[str] = deque()
        self.late = 0.5
        self.cut_at: int | None = None
        """Octets of replies after which the connection ends; it holds for the next connection too."""
        self.host, self.port, self.ssl_port = "127.0.0.1", 0, 0
        self.certificates = Certificates()
        self.commands: list[str] = []
        """Every command that came, without its arguments."""
        self.sessions = self.logins = 0
        self._busy_until = 0.0
        self._random = random.Random(seed)
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._servers: list[asyncio.Server] = []

    # --- on and off --------------------------------------------------------------------------------

    async def power_on(self) -> None:
        """Listen, on the ports of before where there are any."""
        plain = await asyncio.start_server(self._connected, self.host, self.port)
        context = self.certificates.context(lambda: "other-certificate" in self.faults)
        secured = await asyncio.start_server(self._connected, self.host, self.ssl_port, ssl=context)
        self._servers = [plain, secured]
        self.port, self.ssl_port = (server.sockets[0].getsockname()[1] for server in self._servers)

    async def power_off(self) -> None:
        """Nobody is told: connections end with a reset."""
        for server in self._servers:
            server.close()
        self.cut()
        tasks = list(self._connections.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers = []

    def cut(self) -> None:
        """End every connection with a reset."""
        for connection in tuple(self._connections):
            connection.reset()

    def reboot(self) -> None:
        """Every connection ends, and what is in memory only is gone."""
        self.cut()
        self.console.reboot()

    # --- connections -------------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        if "session-limit" in self.faults or len(self._connections) >= self._most_sessions():
            connection.reset()
            return
        self.sessions += 1
        self._connections[connection] = asyncio.create_task(self._serve(connection))

    async def _serve(self, connection: _Connection) -> None:
        try:
            await connection.converse()
        except _CLOSED:
            pass
        finally:
            del self._connections[connection]
            await connection.close()

    def _most_sessions(self) -> int:
        if self.max_sessions is not None:
            return self.max_sessions
        return max(int(row.get("max-sessions", "20")) for row in self.console.items("/ip/service"))

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def fault(self) -> set[str]:
        """What goes wrong with the next command."""
        turn = self.turns.popleft() if self.turns else ""
        return self.faults | ({turn} if turn else set())

    async def work(self, seconds: float, since: float | None = None) -> None:
        """Wait until the router, which does one thing after the other, has worked so long on this.

        ``since``: it came then, by the loop's clock, so that what is waited too long for one is not lost for the next.
        """
        now = asyncio.get_running_loop().time()
        self._busy_until = max(now if since is None else since, self._busy_until) + seconds
        if self._busy_until > now:
            await asyncio.sleep(self._busy_until - now)

    def uniform(self, end: float) -> float:
        """Between 0 and ``end``, by the seed."""
        return self._random.uniform(0, end)


class _Connection:
    """One client's."""

    def __init__(self, server: RouterServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader, self._writer = reader, writer
        self._session = Session(server.console, os.urandom, self._tell)
        self._decoder = Decoder(BEFORE_LOGIN)
        self._running: dict[str, asyncio.Task[None]] = {}
        """Commands that the router still works on, by their tag."""
        self._sent = 0
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def converse(self) -> None:
        """Until either side has enough."""
        while octets := await self._reader.read(65_536):
            try:
                for sentence in self._decoder.feed(octets):
                    if not await self._hear(sentence):
                        return
                    if self._session.is_logged_in:
                        self._decoder.bounds = LOGGED_IN
            except WordError:
                return

    async def _hear(self, sentence: Sentence) -> bool:
        """Whether the conversation goes on."""
        server = self._server
        faults = server.fault()
        if "half-open" in faults:
            await asyncio.Event().wait()
        server.commands.append(sentence[0].decode("utf-8", "replace"))
        if "reboot" in faults:
            server.reboot()
        if faults & {"reboot", "cut-before"}:
            return False
        if "deaf" in faults:
            return True
        was_logged_in = self._session.is_logged_in
        answer = answered(self._session, sentence, faults)
        server.logins += self._session.is_logged_in and not was_logged_in
        if sentence[0] == b"/cancel" and self._session.is_logged_in:
            self._interrupted(sentence, answer)
        if self._is_at_once(answer, faults):
            self._send(answer.replies)
            await self._writer.drain()
            return not answer.is_last
        tag = tag_of(sentence)
        if not tag or faults & {"cut", "cut-after", "reset", "fatal"}:
            return await self._late(answer, faults)
        task = asyncio.create_task(self._late_and_ending(answer, faults))
        self._running[tag] = task
        task.add_done_callback(lambda ended: self._forget(tag, ended))
        return True

    def _forget(self, tag: str, task: asyncio.Task[None]) -> None:
        if self._running.get(tag) is task:
            del self._running[tag]

    def _interrupted(self, sentence: Sentence, answer: Answer) -> None:
        wanted = next((to_text(word[5:]) for word in sentence if word.startswith(b"=tag=")), None)
        tags = [tag for tag in self._running if wanted in {None, tag}]
        for tag in tags:
            self._running.pop(tag).cancel()
        trap = trapped([TrapError("interrupted", INTERRUPTED)])[0]
        answer.replies[:0] = [reply for tag in tags for reply in tagged([trap], tag)]
        answer.replies += [reply for tag in tags for reply in tagged([done()], tag)]

    def _is_at_once(self, answer: Answer, faults: set[str]) -> bool:
        return not faults and self._server.latency.seconds(answer.work) == 0

    async def _late_and_ending(self, answer: Answer, faults: set[str]) -> None:
        with contextlib.suppress(*_CLOSED):
            if not await self._late(answer, faults):
                self._writer.close()

    async def _late(self, answer: Answer, faults: set[str]) -> bool:
        server = self._server
        await server.work(server.latency.seconds(answer.work))
        for name, seconds in (("slow", LONGER_THAN_ANYBODY), ("late", server.late)):
            if name in faults:
                await asyncio.sleep(seconds)
        if "out-of-order" in faults:
            await asyncio.sleep(server.uniform(PART_OF_OVERTAKING))
        if "reset" in faults:
            self.reset()
        if faults & {"reset", "cut-after"}:
            return False
        if "silence" in faults:
            return True
        if faults & {"cut", "malformed", "trickle"}:
            return await self._spoilt(answer, faults)
        if "interleaved" in faults:
            for reply in answer.replies:
                await asyncio.sleep(0)
                self._send([reply])
        else:
            self._send(answer.replies)
        await self._writer.drain()
        return not answer.is_last

    async def _spoilt(self, answer: Answer, faults: set[str]) -> bool:
        octets = b"".join(encode(reply.sentence()) for reply in answer.replies)
        if "cut" in faults:
            first = encode(answer.replies[0].sentence())
            self._write(first[: len(first) // 2])
            return False
        if "malformed" in faults:
            self._write(b"\xff" + octets)
            return not answer.is_last
        for octet in octets:
            self._write(bytes((octet,)))
            await self._writer.drain()
            await asyncio.sleep(0)
        return not answer.is_last

    def _tell(self, replies: list[Reply]) -> None:
        # it is another client's command that is told of
        with contextlib.suppress(*_CLOSED):
            self._send(replies)

    def _send(self, replies: list[Reply]) -> None:
        self._write(b"".join(encode(reply.sentence()) for reply in replies))

    def _write(self, octets: bytes) -> None:
        cut_at = self._server.cut_at
        if cut_at is not None and self._sent + len(octets) >= cut_at:
            self._writer.write(octets[: max(0, cut_at - self._sent)])
            self._sent = cut_at
            self._writer.close()
            raise ConnectionAbortedError
        self._sent += len(octets)
        self._writer.write(octets)

    def reset(self) -> None:
        """End it so that the client is told of no orderly end."""
        raw = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        """Orderly, where it has not ended otherwise."""
        self._session.close()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(*_CLOSED, ssl.SSLError):
            await self._writer.wait_closed()


@asynccontextmanager
async def serve(server: RouterServer) -> AsyncIterator[RouterServer]:
    """``server`` on two ports of 127.0.0.1, one with TLS."""
    await server.power_on()
    try:
        yield server
    finally:
        await server.power_off()


def router(version: str = "7.18.2", *, user: str = "edged", password: str = PASSWORD) -> RouterServer:
    """One with a user who may do everything."""
    console = Console(version)
    console.hand("/user/add", name=user, password=password, group="full")
    return RouterServer(console)
