# SPDX-License-Identifier: Apache-2.0
"""All that needs no waiting: packet, source and time in; reply, ``Pending`` or silence out. Pure.

Who asks is remembered until the policy changes, what they get until the configuration does. The compiled path
(edged/native) is told of both and answers ordinary names of blocked subscribers by itself, in the same words.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from ipaddress import ip_network
from typing import NamedTuple

from edged.dns import cookies, message, reply
from edged.dns.codes import Rcode
from edged.dns.counters import DnsCounters, Limited
from edged.dns.question import Question
from edged.dns.rates import Rates
from edged.dns.ready import ready
from edged.dns.settings import LimitSettings
from edged.dns.verdict import COOKIE, Kind, Verdict, decide
from edged.dns.zone import Zone
from edged.errors import WireError
from edged.model import Access
from edged.native.datagrams import Datagrams
from edged.policy.access import Decision, View
from edged.values import IpAddress, parse_address

_ASKERS = 65_536
"""Sources remembered: more than one edge serves, some 20 MB."""
_PACKETS = 16_384
_PACKET_OCTETS = 128
"""Queries whose reply is remembered: ordinary names repeat, long ones do not; some 16 MB at worst."""
_STRANGERS = 50
"""REFUSED a second to all sources together that are not served: enough to be noticed, useless to reflect."""
_NOBODY, _NOWHERE = "", ()
"""The keys of all strangers together, and of their prefixes."""
_PREFIX_BITS = {4: 24, 6: 56}
"""What a limit of a prefix means: networks of the size that answers to forged sources are aimed at."""
_PROVEN_OCTETS = 12 + 5 + 11 + 4 + 24
"""No message with a whole cookie is shorter."""
_NO_RECURSION = reply.failure(Rcode.REFUSED)
_BADCOOKIE = reply.failure(Rcode.BADCOOKIE)


class Asker(NamedTuple):
    """One source address, as the policy sees it."""

    access: Access
    until: float
    """Epoch seconds at which the decision may change by itself."""
    key: Hashable
    """Whom it counts for: the subscriber, else the IPv4 address or the /64."""
    limit: int
    """Answers a second."""
    subscriber: int
    """The place of ``key`` in the table of rates."""
    prefix: int
    """The place of its IPv4 /24 or IPv6 /56."""
    packed: bytes
    """The address, for the cookie."""


class Pending(NamedTuple):
    """A query whose answer an upstream has."""

    question: Question
    verdict: Verdict
    cookie: bytes
    """The COOKIE option of the reply; empty: none."""
    stream: bool
    """True: over TCP, where a reply may have any size."""


class Sinkhole:
    """The state between packets."""

    __slots__ = (
        "_askers",
        "_compiled",
        "_limit",
        "_older",
        "_packets",
        "_rates",
        "_secret",
        "_view",
        "_zone",
        "counters",
    )

    def __init__(
        self,
        zone: Zone,
        limit: LimitSettings,
        counters: DnsCounters,
        rates: Rates,
        compiled: Datagrams,
        *,
        secret: bytes,
    ) -> None:
        self.counters = counters
        self._view = View()
        self._secret = secret
        self._rates, self._compiled = rates, compiled
        self._askers: dict[str, Asker] = {}
        self.configure(zone, limit)

    def configure(self, zone: Zone, limit: LimitSettings) -> None:
        """Answer by ``zone``, within ``limit``."""
        self._zone, self._limit = zone, limit
        self._packets: dict[bytes, tuple[Kind, bytes]] = {}
        self._older: dict[bytes, tuple[Kind, bytes]] = {}
        self._askers.clear()
        self._compiled.configure(ready(zone, limit))

    def adopt(self, view: View) -> None:
        """Take ``view`` for the policy in force."""
        self._view = view
        self._forget()

    def answer(self, octets: bytes, host: str, now: float, *, stream: bool = False) -> bytes | Pending | None:
        """The reply to ``octets`` from ``host`` at ``now`` (epoch); None: silence, or the end of a stream."""
        counters = self.counters
        counters.received += 1
        asker = self._askers.get(host)
        if asker is None or asker.until <= now:
            asker = self._meet(host, now)
        counts = self._rates.of(now, stream=stream)
        count = counts[asker.subscriber] = counts[asker.subscriber] + 1
        shared = counts[asker.prefix] = counts[asker.prefix] + 1
        if count > asker.limit or (shared > self._limit.per_prefix and not stream):
            return self._over(octets, host, asker, now, stream=stream)
        if asker.access is Access.BLOCKED:
            packet = octets[2:]
            known = self._packets.get(packet) or self._older.get(packet)
            if known is not None:
                counters.answers[known[0]] += 1
                return octets[:2] + known[1]
        return self._decide(octets, asker, now, stream=stream)

    def whom(self, host: str, now: float) -> Hashable:
        """Whom ``host`` counts for at ``now`` (epoch): one key for each subscriber, one for all strangers."""
        asker = self._askers.get(host)
        return (self._meet(host, now) if asker is None or asker.until <= now else asker).key

    def explain(self, name: str, decision: Decision) -> Verdict:
        """What an A query for ``name`` gets under ``decision``. ValueError when it is no name."""
        return decide(decision.access, message.ask(name), self._zone)

    def _forget(self) -> None:
        self._askers.clear()
        self._compiled.forget()

    def _meet(self, host: str, now: float) -> Asker:
        address = parse_address(host)
        decision = self._view.decide(address, now)
        if len(self._askers) >= _ASKERS or self._rates.full:
            self._forget()
            self._rates.clear()
        stranger, key = decision.access is Access.STRANGER, _rate_key(address, decision)
        asker = Asker(
            decision.access,
            decision.until or math.inf,
            key,
            _STRANGERS if stranger else self._limit.per_subscriber,
            self._rates.place(key),
            self._rates.place(_NOWHERE if stranger else _prefix_key(address)),
            address.packed,
        )
        self._askers[host] = asker
        if asker.access is Access.BLOCKED:
            self._compiled.remember(asker.packed, asker.until, asker.subscriber, asker.prefix)
        return asker

    def _over(self, octets: bytes, host: str, asker: Asker, now: float, *, stream: bool) -> bytes | Pending | None:
        """Above a rate: the first as many again truncated, the rest dropped; strangers dropped at once."""
        counters = self.counters
        if asker.access is Access.STRANGER:
            counters.dropped["stranger"] += 1
            return None
        counts = self._rates.of(now, stream=stream)
        if counts[asker.subscriber] > asker.limit:
            by, count, limit = Limited.SUBSCRIBER, counts[asker.subscriber], asker.limit
        else:
            by, count, limit = Limited.PREFIX, counts[asker.prefix], self._limit.per_prefix
        if count == limit + 1:
            counters.note_limited(by, self._name(by, host, now))
        if by is Limited.PREFIX and self._is_proven(octets, asker, now):
            return self._decide(octets, asker, now, stream=stream)
        counters.ratelimited[by] += 1
        question = None if stream or count > 2 * limit else _question_in(octets)
        if question is None:
            counters.dropped["ratelimited"] += 1
            return None
        counters.errors["truncated"] += 1
        return reply.truncated(question)

    def _is_proven(self, octets: bytes, asker: Asker, now: float) -> bool:
        """True when a cookie of ours shows that the address is not forged: its prefix's rate does not touch it."""
        if len(octets) < _PROVEN_OCTETS:
            return False
        question = _question_in(octets)
        cookie = question.edns.cookie if question is not None and question.edns is not None else b""
        return cookies.valid(cookie, asker.packed, self._secret, now)

    def _name(self, by: Limited, host: str, now: float) -> str:
        """Who is too fast, for people."""
        address = parse_address(host)
        if by is Limited.PREFIX:
            return str(ip_network((address, _PREFIX_BITS[address.version]), strict=False))
        subscriber = self._view.decide(address, now).subscriber
        return host if subscriber is None else subscriber.id

    def _decide(self, octets: bytes, asker: Asker, now: float, *, stream: bool) -> bytes | Pending | None:
        """The reply by the rules."""
        counters = self.counters
        try:
            question = message.parse(octets)
        except WireError as error:
            return self._malformed(error, asker)
        cookie = b""
        if question.edns is not None and question.edns.cookie:
            cookie = cookies.cookie_option(question.edns.cookie, asker.packed, self._secret, now)
        verdict = decide(asker.access, question, self._zone)
        if verdict.body is None and not question.recursion_desired:
            verdict = Verdict(Kind.REFUSED, "recursion is not asked for", _NO_RECURSION)
        if verdict.body is COOKIE and not self._confirms(question, asker, now):
            verdict = verdict._replace(body=_BADCOOKIE)
        counters.answers[verdict.kind] += 1
        if verdict.body is None:
            return Pending(question, verdict, cookie, stream)
        sent = reply.render(question, verdict.body, cookie)
        if len(sent) > reply.udp_limit(question):
            if stream:
                return sent
            counters.errors["truncated"] += 1
            return reply.truncated(question, cookie)
        if asker.access is Access.BLOCKED and (question.edns is None or question.edns.bare):
            self._remember(octets, verdict.kind, sent)
        return sent

    def _confirms(self, question: Question, asker: Asker, now: float) -> bool:
        """False when the client asks whether its server cookie is good, and it is not (RFC 7873, section 5.4)."""
        sent = question.edns.cookie if question.edns is not None else b""
        return len(sent) == cookies.CLIENT_OCTETS or cookies.valid(sent, asker.packed, self._secret, now)

    def _malformed(self, error: WireError, asker: Asker) -> bytes | None:
        if error.reply is None:
            self.counters.dropped[error.reason] += 1
            return None
        if asker.access is Access.STRANGER:
            self.counters.dropped["stranger"] += 1
            return None
        self.counters.errors[error.reason] += 1
        return error.reply

    def _remember(self, octets: bytes, kind: Kind, sent: bytes) -> None:
        if len(octets) > _PACKET_OCTETS:
            return
        if len(self._packets) >= _PACKETS:
            # two generations: a flood of random names pushes the usual ones out half as often
            self._older, self._packets = self._packets, {}
        self._packets[octets[2:]] = kind, sent[2:]


def _question_in(octets: bytes) -> Question | None:
    try:
        return message.parse(octets)
    except WireError:
        return None


def _rate_key(address: IpAddress, decision: Decision) -> Hashable:
    if decision.access is Access.STRANGER:
        return _NOBODY
    if decision.subscriber is not None:
        return decision.subscriber.id
    return int(address) if address.version == 4 else (int(address) >> 64,)


def _prefix_key(address: IpAddress) -> Hashable:
    return address.version, int(address) >> (address.max_prefixlen - _PREFIX_BITS[address.version])
