# SPDX-License-Identifier: Apache-2.0
"""What a blocked subscriber gets for every ordinary name, rendered ahead for edged/native: ``Zone`` to octets. Pure.

Nothing is decided here: ``decide`` is asked once for every type, and ``render`` writes the reply.
"""

from __future__ import annotations

import struct

from edged.dns import message, reply
from edged.dns.codes import CLASS_IN, HEADER_OCTETS, UDP_OCTETS, Type
from edged.dns.names import ROOT
from edged.dns.question import Edns
from edged.dns.settings import LimitSettings
from edged.dns.special import FIRST_LABELS
from edged.dns.verdict import Kind, Verdict, decide
from edged.dns.zone import Zone
from edged.errors import WireError
from edged.model import Access
from edged.native.datagrams import NO_ANSWER, TAIL, Rendered, Table, Variant

_ORDINARY = b"\x01\xff\x01\xff\x00"
"""A name that nobody can configure."""
_VARIANTS = (None, Edns(UDP_OCTETS, do=False), Edns(UDP_OCTETS, do=True))


def ready(zone: Zone, limit: LimitSettings) -> Table:
    """The answers for names without a rule of their own, and the names that have one."""
    rendered: list[Rendered] = []
    indices: dict[Verdict, int] = {}
    by_type = bytearray([NO_ANSWER]) * 256
    for qtype in range(1, 256):
        try:
            verdict = decide(Access.BLOCKED, message.parse(_query(qtype)), zone)
        except WireError:
            continue
        if verdict.kind not in {Kind.SINKHOLE, Kind.NODATA}:
            continue
        if verdict not in indices:
            answer = _rendered(verdict)
            # a portal of dozens of addresses does not fit
            fits = all(len(tail) <= TAIL for _, tail in answer[1:])
            indices[verdict] = len(rendered) if fits else NO_ANSWER
            rendered += [answer] if fits else []
        by_type[qtype] = indices[verdict]
    return Table(
        rendered,
        bytes(by_type),
        list(zone.names()),
        [bytes((len(label),)) + label + ROOT for label in FIRST_LABELS],
        limit.per_subscriber,
        limit.per_prefix,
    )


def _query(qtype: int) -> bytes:
    return struct.pack("!6H", 0, 0, 1, 0, 0, 0) + _ORDINARY + struct.pack("!2H", qtype, CLASS_IN)


def _rendered(verdict: Verdict) -> Rendered:
    assert verdict.body is not None  # noqa: S101  # neither a garden nor a forward: those kinds were not asked for
    question = message.parse(_query(Type.A))
    plain, edns, do = (_variant(reply.render(question._replace(edns=e), verdict.body)) for e in _VARIANTS)
    return list(Kind).index(verdict.kind), plain, edns, do


def _variant(octets: bytes) -> Variant:
    return octets[2:HEADER_OCTETS], octets[HEADER_OCTETS + len(_ORDINARY) + 4 :]
