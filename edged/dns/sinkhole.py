# SPDX-License-Identifier: Apache-2.0
"""All that needs no waiting: packet, source and time in; reply, ``Pending`` or silence out. Pure.

Who asks is remembered until the policy changes, what they get until the configuration does.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

from edged.dns import message, reply
from edged.dns.codes import Rcode
from edged.dns.cookies import CLIENT_OCTETS, cookie_option, valid
from edged.dns.counters import DnsCounters
from edged.dns.question import Question
from edged.dns.verdict import COOKIE, Kind, Verdict, decide
from edged.dns.zone import Zone
from edged.errors import WireError
from edged.model import Access
from edged.policy.access import Decision, View
from edged.values import IpAddress, parse_address

_ASKERS = 65_536
"""Sources remembered: more than one edge serves, some 20 MB."""
_PACKETS = 16_384
_PACKET_OCTETS = 128
"""Queries whose reply is remembered: ordinary names repeat, long ones do not; some 16 MB at worst."""
_STRANGERS = 50
"""REFUSED a second to all sources together that are not served: enough to be noticed, useless to reflect."""
_STRANGER_KEY = ""
_NO_RECURSION = reply.failure(Rcode.REFUSED)
_BADCOOKIE = reply.failure(Rcode.BADCOOKIE)


class Asker(NamedTuple):
    """One source address, as the policy sees it."""

    access: Access
    until: float
    """Epoch seconds at which the decision may change by itself."""
    key: Hashable
    """Whom the rate counts for: the subscriber, else the IPv4 address or the /64."""
    limit: int
    """Answers a second."""
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
        "_counts",
        "_limit",
        "_older",
        "_packets",
        "_second",
        "_secret",
        "_streams",
        "_view",
        "_zone",
        "counters",
    )

    def __init__(self, zone: Zone, limit: int, counters: DnsCounters, *, secret: bytes) -> None:
        self.counters = counters
        self._view = View()
        self._secret = secret
        self._askers: dict[str, Asker] = {}
        self._counts: dict[Hashable, int] = {}
        self._streams: dict[Hashable, int] = {}
        self._second = 0
        self.configure(zone, limit)

    def configure(self, zone: Zone, limit: int) -> None:
        """Answer by ``zone``, at most ``limit`` times a second to one subscriber."""
        self._zone, self._limit = zone, limit
        self._packets: dict[bytes, tuple[Kind, bytes]] = {}
        self._older: dict[bytes, tuple[Kind, bytes]] = {}
        self._askers.clear()

    def adopt(self, view: View) -> None:
        """Take ``view`` for the policy in force."""
        self._view = view
        self._askers.clear()

    def answer(self, octets: bytes, host: str, now: float, *, stream: bool = False) -> bytes | Pending | None:
        """The reply to ``octets`` from ``host`` at ``now`` (epoch); None: silence, or the end of a stream."""
        counters = self.counters
        counters.received += 1
        asker = self._askers.get(host)
        if asker is None or asker.until <= now:
            asker = self._meet(host, now)
        if int(now) != self._second:
            self._second = int(now)
            self._counts.clear()
            self._streams.clear()
        # streams are counted apart: a truncated client that comes back over TCP is to be heard
        counts = self._streams if stream else self._counts
        count = counts.get(asker.key, 0) + 1
        counts[asker.key] = count
        if count > asker.limit:
            return self._over(octets, asker, count, stream=stream)
        if asker.access is Access.BLOCKED:
            packet = octets[2:]
            known = self._packets.get(packet) or self._older.get(packet)
            if known is not None:
                counters.answers[known[0]] += 1
                return octets[:2] + known[1]
        return self._decide(octets, asker, now, stream=stream)

    def explain(self, name: str, decision: Decision) -> Verdict:
        """What an A query for ``name`` gets under ``decision``. ValueError when it is no name."""
        return decide(decision.access, message.ask(name), self._zone)

    def _meet(self, host: str, now: float) -> Asker:
        address = parse_address(host)
        decision = self._view.decide(address, now)
        access = decision.access
        if len(self._askers) >= _ASKERS:
            self._askers.clear()
        limit = _STRANGERS if access is Access.STRANGER else self._limit
        asker = Asker(access, decision.until or math.inf, _rate_key(address, decision), limit, address.packed)
        self._askers[host] = asker
        return asker

    def _over(self, octets: bytes, asker: Asker, count: int, *, stream: bool) -> bytes | None:
        """Above the rate: the first as many again truncated, the rest dropped; strangers dropped at once."""
        counters = self.counters
        if asker.access is Access.STRANGER:
            counters.dropped["stranger"] += 1
            return None
        counters.ratelimited += 1
        if not stream and count <= 2 * asker.limit:
            try:
                question = message.parse(octets)
            except WireError:
                pass
            else:
                counters.errors["truncated"] += 1
                return reply.truncated(question)
        counters.dropped["ratelimited"] += 1
        return None

    def _decide(self, octets: bytes, asker: Asker, now: float, *, stream: bool) -> bytes | Pending | None:
        """The reply by the rules."""
        counters = self.counters
        try:
            question = message.parse(octets)
        except WireError as error:
            return self._malformed(error, asker)
        cookie = b""
        if question.edns is not None and question.edns.cookie:
            cookie = cookie_option(question.edns.cookie, asker.packed, self._secret, now)
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
        return len(sent) == CLIENT_OCTETS or valid(sent, asker.packed, self._secret, now)

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


def _rate_key(address: IpAddress, decision: Decision) -> Hashable:
    if decision.access is Access.STRANGER:
        return _STRANGER_KEY
    if decision.subscriber is not None:
        return decision.subscriber.id
    return int(address) if address.version == 4 else (int(address) >> 64,)
