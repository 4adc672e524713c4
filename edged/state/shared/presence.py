# SPDX-License-Identifier: Apache-2.0
"""Who is at the shared store: an edge says it in the name of its connection (``application_name``). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

FRESH_S = 30.0
"""An edge that shares asks something every ten seconds: who has not for so long is gone, or the way to it is."""
CLOCK_S = 10.0
"""How far this host's clock and the server's may be apart: of two words on one thing the later holds."""
_PROGRAM, _NO_MARK = "edged", "-"
_MOST_SITE = 36
"""PostgreSQL keeps 63 octets of the whole."""


class Present(NamedTuple):
    """An edge that is connected."""

    site: str
    """Shortened where it is long."""
    instance: str
    """Drawn at each start: tells two edges of one name apart."""
    mark: str
    """Of its ``state.shared_key``; empty: it has none."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one look at the shared store shows."""

    error: str = ""
    """Why it could not be looked at; empty: it could."""
    schema: int = 0
    """0: edged has no tables there yet."""
    is_newer: bool = False
    """True: this edged must not write there."""
    refused: str = ""
    """Why rows cannot be written there, as a sentence's end; empty: they can."""
    ahead: float = 0.0
    """Seconds by which this host's clock is ahead of the server's."""
    within: float = 0.0
    """How far that may be off: half of the time that the question took."""
    keys: int = 0
    """Keys made by hand that were tried, the newest."""
    unopened: int = 0
    """Of these, sealed with another ``state.shared_key``."""
    present: tuple[Present, ...] = ()


def shortened(site: str) -> str:
    """``site`` as the name of a connection has it: long ones that differ stay different."""
    if len(site) <= _MOST_SITE:
        return site
    return f"{site[: _MOST_SITE - 9]}~{sha256(site.encode()).hexdigest()[:8]}"


def connection_name(site: str, instance: str, mark: str) -> str:
    """The name of an edge's connection, at most 63 octets; of ``instance`` and ``mark`` the first 8 characters."""
    return f"{_PROGRAM} {instance[:8]} {mark[:8] or _NO_MARK} {shortened(site)}"


def present(names: Iterable[str]) -> tuple[Present, ...]:
    """The edges among connections of those names."""
    split = (name.split(" ") for name in names)
    return tuple(Present(p[3], p[1], p[2].strip(_NO_MARK)) for p in split if len(p) == 4 and p[0] == _PROGRAM)


def namesakes(who: Iterable[Present], site: str) -> int:
    """How many edges among ``who`` are called ``site``."""
    return len({each.instance for each in who if each.site == shortened(site)})
