# SPDX-License-Identifier: Apache-2.0
"""The upstream resolver: questions out, checked answers in, over UDP and TCP. I/O.

RFC 5452 (random port and ID, question case-exact), RFC 7766 (TCP on TC), RFC 8767 (stale), RFC 9520.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from dataclasses import dataclass

import structlog

from edged.dns import answer
from edged.dns.answer import Answer
from edged.dns.cache import AnswerCache, Kept, Key
from edged.dns.codes import HEADER_OCTETS, Flag, Rcode
from edged.dns.question import Question
from edged.errors import UpstreamError, WireError
from edged.values import Endpoint

log = structlog.get_logger(__name__)

_TRY = 1.5
_TRIES = 3
"""1.5 s x 3 is 4.5 s, just inside the 5 s after which a stub asks again."""
_LOOKUPS = 512
"""Questions under way at once, a socket each: half of the usual limit of 1,024 descriptors."""
_PATIENCE = 1.8
"""How long a client waits while we hold an answer past its life (RFC 8767, section 5)."""
_FAILURE_LIFE = 1.0
"""A failure is remembered for a second, the least that RFC 9520 allows."""
_STRAYS = 32
"""Datagrams that do not match before a try is given up: somebody is guessing."""
_LOG_EVERY = 60.0


@dataclass(slots=True)
class UpstreamCounters:
    """Plain counts since the start."""

    queries: int = 0
    tcp: int = 0
    timeouts: int = 0
    mismatches: int = 0
    failures: int = 0
    """Questions that no upstream answered."""
    hits: int = 0
    stale: int = 0
    coalesced: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, with its age in seconds."""

    answer: Answer
    age: int
    stale: bool = False


class Resolver:
    """Asks the upstreams in turn; the last good one first."""

    def __init__(self, upstreams: tuple[Endpoint, ...]) -> None:
        self.upstreams = upstreams
        self.counters = UpstreamCounters()
        self._cache = AnswerCache()
        self._under_way: dict[Key, asyncio.Task[Kept]] = {}
        self._failed: dict[Key, float] = {}
        self._first = 0
        self._logged = 0.0

    def reconfigure(self, upstreams: tuple[Endpoint, ...]) -> None:
        """Ask others from now on; what the old ones said is forgotten."""
        if upstreams != self.upstreams:
            self.upstreams, self._first = upstreams, 0
            self._cache.clear()
            self._failed.clear()

    async def find(self, question: Question) -> Found:
        """The answer to ``question``. UpstreamError when nobody gives one and none is kept."""
        key = _key(question)
        now = time.monotonic()
        kept = self._cache.fresh(key, now)
        if kept is not None:
            self.counters.hits += 1
            return Found(kept.answer, int(now - kept.stored))
        old = self._cache.stale(key, now)
        try:
            async with asyncio.timeout(None if old is None else _PATIENCE):
                kept = await self._ask_once(key, question, now)
        except (UpstreamError, TimeoutError):
            if old is None:
                raise
            self.counters.stale += 1
            return Found(old.answer, int(old.expires - old.stored), stale=True)
        return Found(kept.answer, 0)

    async def stop(self) -> None:
        """Give up what is under way."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_once(self, key: Key, question: Question, now: float) -> Kept:
        """One look-up for all who ask the same at the same time."""
        task = self._under_way.get(key)
        if task is not None:
            self.counters.coalesced += 1
        else:
            if self._failed.get(key, 0.0) > now:
                raise UpstreamError("failed a moment ago")
            if len(self._under_way) >= _LOOKUPS:
                raise UpstreamError("too many questions under way")
            task = asyncio.create_task(self._look_up(key, question), name="dns-lookup")
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # whoever waits may go away; the others still want the answer
        return await asyncio.shield(task)

    def _finished(self, key: Key, task: asyncio.Task[Kept]) -> None:
        self._under_way.pop(key, None)
        if task.cancelled() or task.exception() is None:
            return
        if len(self._failed) >= _LOOKUPS:
            self._failed.clear()
        self._failed[key] = time.monotonic() + _FAILURE_LIFE

    async def _look_up(self, key: Key, question: Question) -> Kept:
        refused: Answer | None = None
        for attempt in range(max(_TRIES, len(self.upstreams)) if self.upstreams else 0):
            if attempt >= _TRIES:
                break
            index = (self._first + attempt) % len(self.upstreams)
            try:
                found = await self._try(self.upstreams[index], question)
            except (TimeoutError, OSError, WireError):
                self.counters.timeouts += 1
                continue
            if found.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
                self._first = index
                return self._cache.store(key, found, time.monotonic())
            refused = found
        if refused is not None:
            return Kept(refused, 0.0, 0.0)
        self.counters.failures += 1
        self._complain()
        raise UpstreamError("no upstream answers")

    def _complain(self) -> None:
        now = time.monotonic()
        if now - self._logged >= _LOG_EVERY or not self._logged:
            self._logged = now
            log.warning("dns-upstreams-silent", upstreams=len(self.upstreams))

    async def _try(self, upstream: Endpoint, question: Question) -> Answer:
        qname = answer.mix_case(question.name, secrets.randbits(8 * len(question.name)))
        octets = answer.query(question, secrets.randbits(16), qname)
        self.counters.queries += 1
        async with asyncio.timeout(_TRY):
            found = await self._over_udp(upstream, octets)
        if found.truncated:
            self.counters.tcp += 1
            async with asyncio.timeout(_TRY):
                found = await _over_tcp(upstream, octets)
        return found

    async def _over_udp(self, upstream: Endpoint, octets: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        with _socket(upstream) as sock:
            # a connected socket: the kernel drops what comes from anybody else
            await loop.sock_connect(sock, (str(upstream.address), upstream.port))
            await loop.sock_sendall(sock, octets)
            for _ in range(_STRAYS):
                received = await loop.sock_recv(sock, 65535)
                try:
                    return answer.parse(received, octets)
                except WireError as error:
                    self.counters.mismatches += 1
                    if error.reason != "mismatch":
                        raise
        raise WireError("strays")


def _key(question: Question) -> Key:
    do = question.edns is not None and question.edns.do
    return question.name, question.qtype, question.qclass, (question.flags & Flag.CD) | do


def _socket(upstream: Endpoint) -> socket.socket:
    """A UDP socket on a random port; the kernel's choice when a few are taken."""
    sock = socket.socket(socket.AF_INET if upstream.address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    sock.settimeout(0)
    for _ in range(4):
        try:
            sock.bind(("", 1024 + secrets.randbelow(64512)))
            break
        except OSError:
            continue
    return sock


async def _over_tcp(upstream: Endpoint, octets: bytes) -> Answer:
    reader, writer = await asyncio.open_connection(str(upstream.address), upstream.port)
    try:
        writer.write(len(octets).to_bytes(2) + octets)
        length = int.from_bytes(await reader.readexactly(2))
        received = await reader.readexactly(length)
    except EOFError as error:
        raise WireError("cut") from error
    finally:
        writer.close()
    if length < HEADER_OCTETS:
        raise WireError("short")
    return answer.parse(received, octets)
