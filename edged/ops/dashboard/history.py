# SPDX-License-Identifier: Apache-2.0
"""The last day in bins of ten minutes: what was counted in, figures for the plots out. Pure.

Durations are kept as counts of steps that are ten per cent wide, so that a median is right to five per cent however
many lines were opened.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

BIN_S = 600
"""Seconds of one bin."""
BINS = 144
"""A day."""
_FIRST_S, _GROWTH = 0.1, 1.1
_STEPS = 120
"""Up to 0.1 s times 1.1^120, two and a half hours; what takes longer is counted there."""


@dataclass(slots=True)
class Bin:
    """What happened in ten minutes. One writer: the recorder."""

    start: int
    """Epoch seconds, a multiple of ``BIN_S``."""
    blocked: int = 0
    """Subscribers who saw the page at its end."""
    added: int = 0
    """Times that a subscriber came to see the page."""
    lifted: int = 0
    """Times that one did no longer, a pass included."""
    restored: int = 0
    """Subscribers whom billing opened."""
    spans: Counter[int] = field(default_factory=Counter)
    """How long after billing's word their lines were open: step to count."""
    answers: int = 0
    """DNS answers."""
    pages: int = 0
    held: bool = False
    """A reading waited for a person."""
    lost: list[str] = field(default_factory=list)
    """Targets that failed."""
    seconds: float = 0.0
    """How long of it edged was there to look."""

    def note_lost(self, names: Iterable[str]) -> None:
        """``names`` failed at some time within it."""
        self.lost = sorted({*self.lost, *names})


def bin_start(now: float) -> int:
    """The start of the bin that holds ``now``, epoch seconds."""
    return int(now // BIN_S) * BIN_S


def encoded(one: Bin) -> str:
    """``one`` for the database."""
    return json.dumps(asdict(one) | {"spans": sorted(one.spans.items())}, separators=(",", ":"))


def decoded(text: str) -> Bin:
    """What ``encoded`` made. ValueError, TypeError or KeyError: another edged wrote it."""
    facts = json.loads(text)
    return Bin(**{**facts, "spans": Counter(dict(facts["spans"]))})


def day(bins: Iterable[Bin], now: float) -> list[Bin | None]:
    """The 144 bins up to that of ``now``, oldest first; None: edged was not there."""
    by_start = {one.start: one for one in bins}
    last = bin_start(now)
    return [by_start.get(last - BIN_S * back) for back in range(BINS - 1, -1, -1)]


def step_of(seconds: float) -> int:
    """The step that ``seconds`` are counted in."""
    return min(_STEPS, max(0, math.ceil(math.log(max(seconds, _FIRST_S) / _FIRST_S, _GROWTH) - 0.5)))


def quantile(spans: Mapping[int, int], share: float) -> float | None:
    """The duration in seconds below which ``share`` of ``spans`` lie; None: there are none."""
    wanted, seen = share * sum(spans.values()), 0
    for step in sorted(spans):
        seen += spans[step]
        if seen >= wanted:
            return float(_FIRST_S * _GROWTH**step)
    return None


def all_spans(bins: Iterable[Bin | None]) -> Counter[int]:
    """The durations of all ``bins``."""
    spans: Counter[int] = Counter()
    for one in bins:
        spans.update(one.spans if one is not None else {})
    return spans
