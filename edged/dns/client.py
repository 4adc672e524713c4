# SPDX-License-Identifier: Apache-2.0
"""The resolver: questions out to the upstreams, checked answers in; kept, shared, followed. I/O.

RFC 2308 (negative answers), RFC 8767 (stale), RFC 9520 (failures).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog

from edged.dns.answer import STALE_TTL, Answer
from edged.dns.cache import AnswerCache, Kept, Key
from edged.dns.codes import Flag, Rcode
from edged.dns.question import Question
from edged.dns.settings import UpstreamSettings
from edged.dns.upstream.counters import UpstreamCounters
from edged.dns.upstream.encrypted.client import EncryptedClient
from edged.dns.upstream.health import Health, Healths
from edged.dns.upstream.plain.client import PlainClient
from edged.errors import UpstreamError, WireError
from edged.values import IpAddress

log = structlog.get_logger(__name__)

_TRY = 1.5
_TRIES = 3
_PATIENCE = _TRY * _TRIES
"""4.5 s in all for one question: just inside the 5 s after which a stub asks again."""
_LOOKUPS = 512
"""Questions under way at once, a socket each: half of the usual limit of 1,024 descriptors."""
_STALE_PATIENCE = 1.8
"""How long a client waits while we hold an answer past its life (RFC 8767, section 5)."""
_FAILURE_LIFE = 1.0
"""A failure is remembered for a second, the least that RFC 9520 allows."""
_RECHECK = 30.0
"""And so long where an old answer stands in (RFC 8767, section 5): its clients do not wait again and again."""
_STEPS = 8
"""Questions for one chain of aliases; an upstream that follows it by itself needs one."""
_LOG_EVERY = 60.0
_ANSWERED = frozenset((Rcode.NOERROR, Rcode.NXDOMAIN))


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, with its age in seconds."""

    answer: Answer
    age: int
    stale: bool = False

    @property
    def ttl(self) -> int:
        """Seconds that its addresses, or their absence, still hold."""
        life = self.answer.chain_ttl if self.answer.addresses or self.answer.target else self.answer.life
        return STALE_TTL if self.stale else max(0, life - self.age)


class Addresses(NamedTuple):
    """What a whole chain of aliases leads to."""

    found: Found
    """The reply to the question itself."""
    held: tuple[IpAddress, ...]
    """Of both families, as far as the replies held them."""
    ttl: int
    """Seconds: the least of the chain."""


class RefusedError(UpstreamError):
    """Every upstream that answers says SERVFAIL, REFUSED or the like."""


class _Client(Protocol):
    async def ask(self, question: Question, seconds: float) -> Answer: ...
    def close(self) -> None: ...


class _Pool(NamedTuple):
    """The upstreams of one configuration."""

    clients: tuple[_Client, ...]
    healths: Healths


class Resolver:
    """Asks the upstreams in the operator's order, those that failed last."""

    def __init__(self, upstreams: tuple[UpstreamSettings, ...]) -> None:
        self.upstreams = upstreams
        self.counters = UpstreamCounters()
        self._pool = self._pool_of(upstreams, {})
        self._cache = AnswerCache()
        self._under_way: dict[Key, asyncio.Task[Kept]] = {}
        self._trials: set[asyncio.Task[None]] = set()
        self._failed: dict[Key, tuple[float, type[UpstreamError]]] = {}
        """Until when (monotonic seconds), and how."""
        self._logged = 0.0

    @property
    def health(self) -> tuple[Health, ...]:
        """How each upstream is, in the operator's order."""
        return self._pool.healths.all

    def reconfigure(self, upstreams: tuple[UpstreamSettings, ...]) -> None:
        """Ask others from now on; what the old ones said is forgotten."""
        if upstreams == self.upstreams:
            return
        loop, known = asyncio.get_running_loop(), dict(zip(self.upstreams, self._pool.clients, strict=True))
        self._pool = self._pool_of(upstreams, known)
        for upstream, client in known.items():
            if upstream not in upstreams:
                # who has asked it already is still answered
                loop.call_later(_PATIENCE, client.close)
        self.upstreams = upstreams
        self._cache.clear()
        self._failed.clear()

    async def find(self, question: Question) -> Found:
        """The answer to ``question``, NOERROR or NXDOMAIN. UpstreamError: nobody gives one, and none is kept."""
        key = _key(question)
        now = time.monotonic()
        kept = self._cache.fresh(key, now)
        if kept is not None:
            self.counters.hits += 1
            return Found(kept.answer, int(now - kept.stored))
        old = self._cache.stale(key, now)
        try:
            async with asyncio.timeout(None if old is None else _STALE_PATIENCE):
                kept = await self._ask_once(key, question, now)
        except (UpstreamError, TimeoutError):
            if old is None:
                raise
            self.counters.stale += 1
            return Found(old.answer, int(old.expires - old.stored), stale=True)
        return Found(kept.answer, 0)

    async def find_addresses(self, question: Question) -> Addresses:
        """The addresses of ``question``'s name, also where the upstream leaves the chain to us. UpstreamError."""
        seen, ttl = {question.name}, 1 << 31
        first: Found | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                for _ in range(_STEPS):
                    found = await self.find(question)
                    first, ttl, target = first or found, min(ttl, found.ttl), found.answer.target
                    if not target:
                        return Addresses(first, found.answer.addresses, ttl)
                    if target in seen:
                        break
                    seen.add(target)
                    question = question._replace(qname=target, name=target)
        except TimeoutError:
            raise UpstreamError("the chain takes too long") from None
        raise UpstreamError("the chain does not end")

    def at_hand(self, question: Question) -> Addresses | None:
        """As ``find_addresses``, of what is kept and alive; None: somebody would have to be asked."""
        now, ttl, first = time.monotonic(), 1 << 31, None
        for _ in range(_STEPS):
            kept = self._cache.fresh(_key(question), now)
            if kept is None:
                return None
            found = Found(kept.answer, int(now - kept.stored))
            first, ttl, target = first or found, min(ttl, found.ttl), found.answer.target
            if not target:
                return Addresses(first, found.answer.addresses, ttl)
            question = question._replace(qname=target, name=target)
        return None

    async def stop(self) -> None:
        """Give up what is under way."""
        tasks = (*self._under_way.values(), *self._trials)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._pool.clients:
            client.close()

    def _pool_of(self, upstreams: tuple[UpstreamSettings, ...], known: Mapping[UpstreamSettings, _Client]) -> _Pool:
        """One client for each, with its connection when it is ``known``."""
        clients = tuple(known.get(u) or self._client_of(u) for u in upstreams)
        return _Pool(clients, Healths([str(u) for u in upstreams]))

    def _client_of(self, upstream: UpstreamSettings) -> _Client:
        return EncryptedClient(upstream, self.counters) if upstream.tls else PlainClient(upstream, self.counters)

    async def _ask_once(self, key: Key, question: Question, now: float) -> Kept:
        """One look-up for all who ask the same at the same time."""
        task = self._under_way.get(key)
        if task is not None:
            self.counters.coalesced += 1
        else:
            until, failure = self._failed.get(key, (0.0, UpstreamError))
            if until > now:
                raise failure("it failed a moment ago")
            if len(self._under_way) >= _LOOKUPS:
                raise UpstreamError("too many questions under way")
            task = asyncio.create_task(self._look_up(key, question), name="dns-lookup")
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # whoever waits may go away; the others still want the answer
        return await asyncio.shield(task)

    def _finished(self, key: Key, task: asyncio.Task[Kept]) -> None:
        self._under_way.pop(key, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if len(self._failed) >= _LOOKUPS:
            self._failed.clear()
        now = time.monotonic()
        life = _FAILURE_LIFE if self._cache.stale(key, now) is None else _RECHECK
        self._failed[key] = now + life, RefusedError if isinstance(error, RefusedError) else UpstreamError

    async def _look_up(self, key: Key, question: Question) -> Kept:
        pool, end = self._pool, time.monotonic() + _PATIENCE
        self._try_rested(pool, question)
        order = pool.healths.order()
        refused: set[int] = set()
        for attempt in range(max(_TRIES, len(order)) if order else 0):
            index, left = order[attempt % len(order)], end - time.monotonic()
            if index in refused or left <= 0:
                continue
            found = await self._try(pool, index, question, min(_TRY, left))
            if found is None:
                continue
            if found.rcode in _ANSWERED:
                for other in refused:
                    # not the name's fault, then
                    pool.healths.failed(other, time.monotonic())
                if pool is not self._pool:
                    return Kept(found, 0.0, 0.0)
                return self._cache.store(key, found, time.monotonic())
            refused.add(index)
        self.counters.failures += 1
        if refused:
            raise RefusedError("no upstream has an answer")
        if order:
            self._complain(len(order))
        raise UpstreamError("no upstream answers")

    def _complain(self, upstreams: int) -> None:
        now = time.monotonic()
        if now - self._logged >= _LOG_EVERY or not self._logged:
            self._logged = now
            log.warning("dns-upstreams-silent", upstreams=upstreams)

    async def _try(self, pool: _Pool, index: int, question: Question, seconds: float) -> Answer | None:
        """What one upstream says; None: nothing that can be used."""
        pool.healths.all[index].asked += 1
        try:
            found = await pool.clients[index].ask(question, seconds)
        except (OSError, WireError):
            self.counters.timeouts += 1
            pool.healths.failed(index, time.monotonic())
            return None
        if found.rcode in _ANSWERED:
            pool.healths.answered(index)
        return found

    def _try_rested(self, pool: _Pool, question: Question) -> None:
        """A copy of ``question`` to each upstream that failed a while ago: nobody waits for it."""
        for index in pool.healths.due(time.monotonic()):
            pool.healths.all[index].trying = True
            trial = asyncio.create_task(self._trial(pool, index, question), name="dns-trial")
            self._trials.add(trial)
            trial.add_done_callback(self._trials.discard)

    async def _trial(self, pool: _Pool, index: int, question: Question) -> None:
        health = pool.healths.all[index]
        try:
            found = await self._try(pool, index, question, _TRY)
        finally:
            health.trying = False
        if found is not None and found.rcode not in _ANSWERED:
            pool.healths.failed(index, time.monotonic())


def _key(question: Question) -> Key:
    do = question.edns is not None and question.edns.do
    return question.name, question.qtype, question.qclass, (question.flags & Flag.CD) | do
