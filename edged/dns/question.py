# SPDX-License-Identifier: Apache-2.0
"""One query as a value: header, name as sent and in lower case, type, class, EDNS. Pure. RFC 1035 4.1, RFC 6891."""

from __future__ import annotations

import struct
from typing import NamedTuple

from edged.dns.codes import Flag

_TYPE_CLASS = struct.Struct("!2H")


class Edns(NamedTuple):
    """What the OPT record of a query says."""

    size: int
    """UDP payload size as sent."""
    do: bool
    cookie: bytes = b""
    """The whole COOKIE option; empty: there was none."""
    bare: bool = True
    """True when there are no options at all."""


class Question(NamedTuple):
    """One well-formed query."""

    id: int
    flags: int
    """Second word of the header as sent."""
    qname: bytes
    """Exactly as sent (RFC 4343: the case comes back)."""
    name: bytes
    """``qname`` in lower case: what every comparison uses."""
    qtype: int
    qclass: int
    edns: Edns | None = None

    @property
    def section(self) -> bytes:
        """The question section as it came."""
        return self.qname + _TYPE_CLASS.pack(self.qtype, self.qclass)

    @property
    def recursion_desired(self) -> bool:
        """RD."""
        return bool(self.flags & Flag.RD)
