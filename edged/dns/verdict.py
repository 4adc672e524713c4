# SPDX-License-Identifier: Apache-2.0
"""What a question gets: access, question and ``Zone`` in, ``Verdict`` out. Pure. RFC 2308, RFC 8482.

``RULES`` is the one place where precedence is decided; service and ``edged explain`` both call ``decide``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from edged.dns import reply
from edged.dns.codes import CLASS_IN, Ede, Flag, Rcode, Type
from edged.dns.names import ROOT
from edged.dns.question import Question
from edged.dns.reply import Body
from edged.dns.special import FIRST_LABELS, SINGLE_LABEL
from edged.dns.zone import Host, Zone
from edged.model import Access
from edged.values import IpAddress


class Kind(StrEnum):
    """What sort of answer it is; the label of a counter."""

    SINKHOLE = "sinkhole"
    PORTAL = "portal"
    PROBE = "probe"
    STATIC = "static"
    SPECIAL = "special"
    GARDEN = "garden"
    FORWARD = "forward"
    NODATA = "nodata"
    REFUSED = "refused"


class Verdict(NamedTuple):
    """The answer, or that an upstream is to be asked, and why."""

    kind: Kind
    why: str
    body: Body | None = None
    """None: ask an upstream (garden, forward)."""
    addresses: tuple[IpAddress, ...] = ()
    """What the answer holds, where it holds addresses."""
    ttl: int = 0


Rule = Callable[[Access, Question, Zone], Verdict | None]

_REFUSED = reply.failure(Rcode.REFUSED)
_PROHIBITED = reply.failure(Rcode.REFUSED, Ede.PROHIBITED)
COOKIE = Body(flags=Flag.QR)
"""What a request for a cookie alone gets."""
_TRANSFERS = frozenset[int]((Type.AXFR, Type.IXFR, Type.TKEY, Type.TSIG))
_HINTS = frozenset((Type.SVCB, Type.HTTPS))
_PAST_THE_SETS = _HINTS | {Type.ANY, Type.CNAME, Type.DNAME}
_DELEGATION = frozenset((Type.NS, Type.SOA, Type.DS, Type.DNSKEY))


def _of(kind: Kind, why: str, host: Host, question: Question) -> Verdict:
    """The verdict that ``host`` answers."""
    body, addresses = host.by_type.get(question.qtype, host.other)
    return Verdict(kind, why, body, addresses, host.ttl)


def stranger(access: Access, _question: Question, _zone: Zone) -> Verdict | None:
    """Nobody but served networks gets anything: an open resolver takes part in attacks on others."""
    return Verdict(Kind.REFUSED, "not a served network", _PROHIBITED) if access is Access.STRANGER else None


def cookie_alone(_access: Access, question: Question, _zone: Zone) -> Verdict | None:
    """No question, but a cookie: the client wants ours (RFC 7873, section 5.4)."""
    return None if question.qname else Verdict(Kind.NODATA, "a request for a cookie", COOKIE)


def other_class(_access: Access, question: Question, _zone: Zone) -> Verdict | None:
    """CH asks for our version, the rest asks for nothing that exists; no address in any of them."""
    return None if question.qclass == CLASS_IN else Verdict(Kind.REFUSED, "a class other than IN", _REFUSED)


def transfer(_access: Access, question: Question, _zone: Zone) -> Verdict | None:
    """There is no zone to transfer and no key to agree on, over UDP either."""
    return Verdict(Kind.REFUSED, "a transfer or a key", _REFUSED) if question.qtype in _TRANSFERS else None


def portal(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """The page's own name resolves alike for everyone, so that an open tab survives the change of state."""
    if question.name == zone.portal_name:
        return _of(Kind.PORTAL, "the portal's own name", zone.portal, question)
    pointer = zone.reverse.find(question.name)
    return None if pointer is None else _of(Kind.PORTAL, "the portal's own address", pointer, question)


def special_for_everyone(access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Names that mean this resolver itself are never forwarded."""
    found = None if access is Access.BLOCKED else zone.everywhere.find(question.name)
    return None if found is None else _of(Kind.SPECIAL, found[0].why, found[1], question)


def true_answer(access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Whoever is not blocked gets the truth: a paid line keeps us as resolver until its lease ends."""
    if access is Access.BLOCKED:
        return None
    if question.qtype == Type.ANY:
        body = reply.hinfo(zone.ttl)._replace(flags=Flag.QR | Flag.RA)
        return Verdict(Kind.NODATA, "ANY is not forwarded (RFC 8482)", body, ttl=zone.ttl)
    return Verdict(Kind.FORWARD, f"access is {access.value}: the true answer")


def apex(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """The zone that we are authoritative for has an SOA and an NS, and no address."""
    if question.name != ROOT:
        return None
    return _of(Kind.NODATA, "the synthetic root zone", zone.apex, question)


def special(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Before the garden: some of these names break devices when anything answers."""
    found = zone.special.find(question.name)
    return None if found is None else _of(Kind.SPECIAL, found[0].why, found[1], question)


def first_label(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Hosts that a client looks for below its own domain and then trusts."""
    name = question.name
    why = FIRST_LABELS.get(name[1 : 1 + name[0]])
    return None if why is None else _of(Kind.SPECIAL, why, zone.nowhere, question)


def single_label(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Not for the types of a delegation: NXDOMAIN for a top level ends every name below it (RFC 8020)."""
    name = question.name
    if name[1 + name[0]] or question.qtype in _DELEGATION:
        return None
    return _of(Kind.SPECIAL, SINGLE_LABEL, zone.nothing if name in zone.tops else zone.nowhere, question)


def probe(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Before the garden: a check that succeeds hides the page."""
    if question.name not in zone.probes:
        return None
    return _of(Kind.PROBE, "a connectivity check, which must see the portal", zone.probe, question)


def static(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """Before the garden: the operator's fixed answer is more exact than a wildcard."""
    found = zone.records.find(question.name)
    return None if found is None else _of(Kind.STATIC, "garden.records", found, question)


def garden(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """The truth, save for what leads past the garden sets: the hints of HTTPS and SVCB, the targets of aliases."""
    entry = zone.garden.find(question.name)
    if entry is None:
        return None
    if question.qtype in _PAST_THE_SETS:
        return _of(Kind.NODATA, f"garden name {entry}", zone.sinkhole, question)
    return Verdict(Kind.GARDEN, f"garden name {entry}")


def sinkhole(_access: Access, question: Question, zone: Zone) -> Verdict | None:
    """The wildcard: the portal's addresses; NODATA for every other type, so that no client waits."""
    body, addresses = zone.sinkhole.by_type.get(question.qtype, zone.sinkhole.other)
    if addresses:
        return Verdict(Kind.SINKHOLE, "a blocked subscriber", body, addresses, zone.ttl)
    return Verdict(Kind.NODATA, "a blocked subscriber, and no address of ours of this type", body, (), zone.ttl)


RULES: tuple[Rule, ...] = (
    stranger,
    cookie_alone,
    other_class,
    transfer,
    portal,
    special_for_everyone,
    true_answer,
    # from here on: blocked
    apex,
    special,
    first_label,
    single_label,
    probe,
    static,
    garden,
    sinkhole,
)
"""First match wins; the reason of each place is the docstring of the rule."""


def decide(access: Access, question: Question, zone: Zone) -> Verdict:
    """The verdict of the first rule that has one; the last one always has."""
    for rule in RULES:
        verdict = rule(access, question, zone)
        if verdict is not None:
            return verdict
    raise AssertionError("the sinkhole answers everything")
