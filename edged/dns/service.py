# SPDX-License-Identifier: Apache-2.0
"""The DNS service: listens, answers what it can at once, asks upstreams for the rest. I/O.

Garden addresses are in the garden sets before their answer leaves.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from edged.dns import answer, message, reply
from edged.dns.ahead.service import Ahead
from edged.dns.client import RefusedError, Resolver
from edged.dns.codes import Ede, Rcode, Type
from edged.dns.counters import DnsCounters
from edged.dns.listeners.service import Listeners
from edged.dns.question import Question
from edged.dns.rates import Rates
from edged.dns.settings import DnsSettings, UpstreamSettings
from edged.dns.sinkhole import Pending, Sinkhole
from edged.dns.tcp import service as tcp
from edged.dns.tcp.framing import LONGEST
from edged.dns.udp import service as udp
from edged.dns.upstream.encrypted.client import trust
from edged.dns.verdict import Kind, Verdict, decide
from edged.dns.zone import compile_zone
from edged.errors import ConfigError, UpstreamError
from edged.fdstore import FdStore
from edged.model import Access
from edged.native.datagrams import Portable, fastest
from edged.policy.access import Decision, View
from edged.policy.settings import GardenSettings
from edged.state.current import Current
from edged.values import Endpoint, IpAddress

log = structlog.get_logger(__name__)

Admit = Callable[[Sequence[tuple[IpAddress, float]]], Awaitable[None]]
"""Puts (address, seconds) into the garden sets of every target; returns when in force. UpstreamError."""

ADMIT_BUDGET = 0.25
"""Seconds that an answer waits for its addresses: unnoticed by a stub, far above a netlink transaction."""
GARDEN_TTL = 300
"""Longest TTL of a garden answer: a change of its addresses is seen within five minutes."""
GARDEN_GRACE = 180
"""Seconds that an address outlives its TTL: browsers keep names for 60 to 120 s whatever the TTL."""
_IN_FLIGHT = 2048
"""Queries waiting for an upstream: 4.5 s of silence at 450 a second; beyond it SERVFAIL at once."""
_SERVFAIL = reply.failure(Rcode.SERVFAIL, Ede.NO_REACHABLE_AUTHORITY)._replace(flags=answer.RELAYED)
_REFUSED = _SERVFAIL._replace(ede=None)
"""Somebody was reached, and did not say why."""
_FAMILY = {int(Type.A): 4, int(Type.AAAA): 6}


class DnsService:
    """Sinkhole for the blocked, resolver for the others, nothing for strangers."""

    def __init__(
        self,
        settings: DnsSettings,
        garden: GardenSettings,
        *,
        portal_host: str,
        portal_addresses: tuple[IpAddress, ...],
        current: Current,
        admit: Admit,
        sets: Callable[[], int | None] = lambda: 0,
        fds: FdStore | None = None,
    ) -> None:
        """``sets``: as in ``Ahead``, of the garden sets. ``fds``: sockets that outlive us."""
        rates = Rates()
        self._counters = DnsCounters()
        self._datagrams = fastest(rates.datagrams, secrets.randbits(64))
        self.resolver = Resolver(settings.upstreams)
        self._settings = settings
        self._current, self._version = current, -1
        self._admit = admit
        self._portal_addresses = frozenset(portal_addresses)
        self._zone = compile_zone(settings, garden, portal_host, portal_addresses)
        self.ahead = Ahead(_names_ahead(settings, garden), self._resolve_ahead, sets)
        self._sinkhole = Sinkhole(
            self._zone, settings.limit, self._counters, rates, self._datagrams, secret=secrets.token_bytes(32)
        )
        self._connections = tcp.Connections(self._sinkhole, self._refresh, self._later)
        self._sockets = udp.UdpSockets(
            self._datagrams, settings.workers, self._sinkhole, self._refresh, self._later, fds=fds
        )
        self._listeners = Listeners(settings.listen, self._sockets.opened, self._sockets.closed, fds)
        self._group: asyncio.TaskGroup | None = None
        self._waiting = 0
        self._admissions: set[asyncio.Future[None]] = set()

    @property
    def counters(self) -> DnsCounters:
        """Plain counts since the start, those of the compiled path with them."""
        self._counters.add(self._datagrams.counted())
        return self._counters

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The bound addresses, in the order of ``dns.listen``; UDP and TCP on each."""
        return self._listeners.endpoints

    async def start(self) -> None:
        """Bind everything. ConfigError when a port cannot be had or an upstream is edged itself."""
        try:
            self._listeners.bind()
            self.verify(self._settings)
        except ConfigError:
            await self.stop()
            raise
        for endpoint in self.endpoints:
            log.info("dns-listening", endpoint=str(endpoint))

    async def run(self) -> None:
        """Answer until cancelled. An error of ours ends the task."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._connections.serve(self._listeners.streams), name="dns-tcp")
            group.create_task(self.ahead.run(), name="dns-ahead")
            group.create_task(self._follow_policy(), name="dns-policy")
            self._sockets.open(asyncio.get_running_loop())
            try:
                await self._listeners.run()
            finally:
                self._group = None

    @property
    def under_way(self) -> int:
        """Questions that were read and have no answer yet."""
        return self._waiting + self._connections.under_way

    def refrain(self) -> None:
        """Read no new question; those that were read are still answered."""
        self._listeners.refrain()
        self._connections.refrain()
        self._sockets.refrain()

    async def stop(self) -> None:
        """Close every socket; what is under way gets no answer."""
        self._connections.close()
        self._listeners.close()
        self._sockets.close(asyncio.get_running_loop())
        for admission in tuple(self._admissions):
            admission.cancel()
        await self.resolver.stop()

    def verify(self, settings: DnsSettings) -> None:
        """ConfigError when an upstream of ``settings`` is edged itself, or whom it trusts cannot be read."""
        for index, upstream in enumerate(settings.upstreams):
            key = f"dns.upstreams[{index}]"
            self._refuse_self(upstream, key)
            if upstream.ca is not None:
                try:
                    trust(upstream.ca)
                except OSError as error:
                    found = f"{upstream.ca} cannot be read: {error.strerror or error}"
                    raise ConfigError.of(f"{key}.ca", found, "a file of PEM certificates") from None

    def reconfigure(
        self,
        settings: DnsSettings,
        garden: GardenSettings,
        *,
        portal_host: str,
        portal_addresses: tuple[IpAddress, ...],
    ) -> None:
        """Answer by these settings from the next packet on; the sockets stay as they are."""
        self._zone = compile_zone(settings, garden, portal_host, portal_addresses)
        self._portal_addresses = frozenset(portal_addresses)
        self._sinkhole.configure(self._zone, settings.limit)
        self.resolver.reconfigure(settings.upstreams)
        self.ahead.reconfigure(_names_ahead(settings, garden))

    def explain(self, name: str, decision: Decision) -> Verdict:
        """What an A query for ``name`` gets under ``decision``. ValueError when it is no name."""
        return self._sinkhole.explain(name, decision)

    def rehearse(self, octets: bytes, source: IpAddress, view: View, now: float) -> bytes | None:
        """What ``source`` would be answered under ``view`` at ``now`` (epoch); None: silence, or an upstream's answer.

        By the code that answers packets, in a copy of it: nothing is counted or remembered.
        """
        rates = Rates()
        stage = Sinkhole(
            self._zone, self._settings.limit, DnsCounters(), rates, Portable(rates.datagrams, 0), secret=bytes(32)
        )
        stage.adopt(view)
        answer = stage.answer(octets, str(source), now)
        return answer if isinstance(answer, bytes) else None

    async def _follow_policy(self) -> None:
        """What is answered outside the interpreter asks for no policy: it is told."""
        while True:
            self._refresh()
            await self._current.wait(self._version)

    def _refresh(self) -> None:
        if self._version != self._current.version:
            self._version = self._current.version
            self._sinkhole.adopt(self._current.view)

    def _later(self, pending: Pending, send: Callable[[bytes], None]) -> None:
        """Answer ``pending`` by ``send`` when an upstream has spoken."""
        if self._group is None or self._waiting >= _IN_FLIGHT:
            self._counters.errors["servfail"] += 1
            # never from within the call: a stream is in the middle of its buffer
            octets = reply.render(pending.question, _SERVFAIL, pending.cookie)
            asyncio.get_running_loop().call_soon(send, octets)
            return
        self._waiting += 1
        self._group.create_task(self._answer_later(pending, send), name="dns-answer")

    async def _answer_later(self, pending: Pending, send: Callable[[bytes], None]) -> None:
        begun = time.perf_counter()
        try:
            octets = await self.true_answer(pending)
            # what an upstream could just send may be too long with our own EDNS options
            if len(octets) > (LONGEST if pending.stream else reply.udp_limit(pending.question)):
                self._counters.errors["truncated"] += 1
                octets = reply.truncated(pending.question, pending.cookie, answer.RELAYED)
            send(octets)
            self._counters.note_took(time.perf_counter() - begun)
        finally:
            self._waiting -= 1

    async def true_answer(self, pending: Pending) -> bytes:
        """What an upstream says, as the whole reply to ``pending``; SERVFAIL when none does."""
        question, cookie = pending.question, pending.cookie
        garden = pending.verdict.kind is Kind.GARDEN
        self._counters.garden_lookups += garden
        try:
            if garden and question.qtype in _FAMILY:
                return await self._garden(question, cookie)
            found = await self.resolver.find(question)
        except UpstreamError as error:
            self._counters.upstream_failures += 1
            self._counters.errors["servfail"] += 1
            return reply.render(question, _REFUSED if isinstance(error, RefusedError) else _SERVFAIL, cookie)
        if garden and found.answer.aliased:
            # the records of an alias are its target's, and whoever learns the target asks for it
            return reply.render(question, answer.nothing(min(found.ttl, GARDEN_TTL)), cookie)
        return answer.relay(question, found.answer, found.age, stale=found.stale, cookie=cookie)

    async def _garden(self, question: Question, cookie: bytes) -> bytes:
        """The addresses of a garden name, once they are in the sets."""
        found, held, left = await self.resolver.find_addresses(question)
        if not held and not found.answer.aliased:
            return answer.relay(question, found.answer, found.age, stale=found.stale, cookie=cookie)
        ttl = max(1, min(left, GARDEN_TTL))
        allowed, refused = self._sorted(held, question.qtype)
        if not allowed:
            return reply.render(question, answer.nothing(ttl, refused=bool(refused)), cookie)
        await self._admitted([(a, float(ttl + GARDEN_GRACE)) for a in allowed])
        return reply.render(question, answer.garden_body(allowed, ttl), cookie)

    def _sorted(self, held: tuple[IpAddress, ...], qtype: int) -> tuple[tuple[IpAddress, ...], tuple[IpAddress, ...]]:
        """Of the asked family: what a garden name may point to, and what it may not."""
        family = tuple(a for a in held if a.version == _FAMILY[qtype])
        refused = tuple(a for a in family if a in self._portal_addresses or not answer.may_open(a) or _is_own(a))
        self._counters.rebinding += len(refused)
        return tuple(a for a in family if a not in refused), refused

    async def _resolve_ahead(self, name: str, life: float) -> bool:
        """Put the addresses of ``name`` (both families) into the sets for ``life`` seconds. False: no answer."""
        answered = True
        for qtype in _FAMILY:
            question = message.ask(name, qtype)
            if decide(Access.BLOCKED, question, self._zone).kind is not Kind.GARDEN:
                return True  # a fixed answer, or a special name: its true address is not what the client is told
            try:
                _, held, ttl = await self.resolver.find_addresses(question)
                allowed, _ = self._sorted(held, qtype)
                if allowed:
                    await self._admit([(a, max(float(ttl + GARDEN_GRACE), life)) for a in allowed])
            except (UpstreamError, OSError):
                answered = False
        return answered

    async def _admitted(self, entries: list[tuple[IpAddress, float]]) -> None:
        """Wait for the sets, but not for ever: a late rule is better than a late answer."""
        admission = asyncio.ensure_future(self._admit(entries))
        self._admissions.add(admission)
        admission.add_done_callback(self._admission_ended)
        done, _ = await asyncio.wait((admission,), timeout=ADMIT_BUDGET)
        if not done:
            self._counters.admit_timeouts += 1
            return
        error = admission.exception()
        if error is not None and not isinstance(error, (UpstreamError, OSError)):
            raise error

    def _admission_ended(self, admission: asyncio.Future[None]) -> None:
        self._admissions.discard(admission)
        if not admission.cancelled() and admission.exception() is not None:
            self._counters.admit_failures += 1

    def _refuse_self(self, upstream: UpstreamSettings, key: str) -> None:
        """Its questions would come back for ever."""
        for endpoint in self.endpoints:
            same = upstream.address == endpoint.address
            if upstream.port == endpoint.port and (
                same or (endpoint.address.is_unspecified and _is_own(upstream.address))
            ):
                raise ConfigError.of(key, f"{upstream}, which is edged itself", "the address of another resolver")


def _names_ahead(settings: DnsSettings, garden: GardenSettings) -> tuple[str, ...]:
    """The garden's names that can be asked for: exact ones, and the apex of ``.name``."""
    if not settings.listen or not settings.upstreams:
        return ()
    return tuple(dict.fromkeys(n.removeprefix(".") for n in garden.all_names() if not n.startswith("*")))


def _is_own(address: IpAddress) -> bool:
    """True when the address is one of this host: its packets to there leave from there."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            # no packet is sent; binding would prove nothing where foreign addresses may be bound
            sock.connect((str(address), 53))
            source: str = sock.getsockname()[0]
    except OSError:
        return False
    return source == str(address)
