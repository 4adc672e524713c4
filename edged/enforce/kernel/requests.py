# SPDX-License-Identifier: Apache-2.0
"""What can be asked of the kernel: our own table and the connections of its lines, and no more. Values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from edged.enforce.edits import Edit, Statement
from edged.enforce.rules import Rules
from edged.values import Prefix


class Simple(IntEnum):
    """A question without more to say."""

    GENERATION = 0
    """The number of the ruleset's generation, four octets."""
    TABLE = 1
    """Our table with its elements, as ``nft -j list`` prints it."""
    TERSE = 2
    """Our table without them."""
    RULESET = 3
    """Every table of the host without elements: who else stands in the way of packets?"""
    COUNTERS = 4
    """Our counters."""
    LIFT = 5
    """Take our table away."""


class Transact(NamedTuple):
    """A few edits by netlink messages of our own, all or none; one octet: how many generations it made."""

    edits: Sequence[Edit]


class Script(NamedTuple):
    """One transaction by nft: the table and its rules where they are given, then the edits."""

    rules: Rules | None
    edits: Sequence[Edit] = ()
    check: bool = False
    """True: the kernel looks at it without taking it."""


class Holds(NamedTuple):
    """Is the one element of ``which`` in its set? The code says so."""

    which: Statement


class Forget(NamedTuple):
    """Delete the tracked connections of lines: all of the blocked, of the opened their UDP flows alone.

    Forgetting how a TCP connection to the page is translated cuts it off from the answer that is on its way.
    It ends by itself within seconds; a UDP flow with fixed ports would stay on the sinkhole for ever.
    """

    blocked: Collection[Prefix]
    opened: Collection[Prefix]


class Widen(NamedTuple):
    """Give the UDP socket that comes with it a receive buffer of so many octets, whatever net.core.rmem_max says."""

    octets: int


Request = Simple | Transact | Script | Holds | Forget | Widen


class Answer(NamedTuple):
    """What came of it."""

    code: int
    """0: done. Of nft its exit status, of netlink an errno; ``REFUSED``."""
    complaint: str = ""
    """What nft said, or why nothing was tried."""
    octets: bytes = b""


REFUSED = -1
"""The code of what was not tried, or did not end."""


class Kernel(Protocol):
    """Who asks the kernel for us."""

    async def ask(self, request: Request) -> Answer:
        """The answer, bounded in time. UpstreamError when there is none."""
        ...
