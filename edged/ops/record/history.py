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
    took: Counter[int] = field(default_factory=Counter)
    """How long DNS answers took: place n, less than 2**n microseconds, to count."""

    def note_lost(self, names: Iterable[str]) -> None:
        """``names`` failed at some time within it."""
        self.lost = sorted({*self.lost, *names})


def bin_start(now: float) -> int:
    """The start of the bin that holds ``now``, epoch seconds."""
    return int(now // BIN_S) * BIN_S


def encoded(one: Bin) -> str:
    """``one`` for the database."""
    counted = {"spans": sorted(one.spans.items()), "took": sorted(one.took.items())}
    return json.dumps(asdict(one) | counted, separators=(",", ":"))


def decoded(text: str) -> Bin:
    """What ``encoded`` made. ValueError, TypeError or KeyError: another edged wrote it."""
    # a bin of before ``took`` was counted has none
    facts = {"took": (), **json.loads(text)}
    return Bin(**{**facts, "spans": Counter(dict(facts["spans"])), "took": Counter(dict(facts["took"]))})


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


def took_below(took: Mapping[int, int], share: float) -> float | None:
    """Seconds that ``share`` of ``took`` stayed below, drawn in equal parts within a place; None: there are none."""
    wanted, seen = share * sum(took.values()), 0
    for place in sorted(took):
        if took[place] and seen + took[place] >= wanted:
            lower, upper = float(1 << place >> 1), float(1 << place)
            return (lower + (upper - lower) * (wanted - seen) / took[place]) / 1e6
        seen += took[place]
    return None


def all_took(bins: Iterable[Bin | None]) -> Counter[int]:
    """How long the answers of all ``bins`` took."""
    took: Counter[int] = Counter()
    for one in bins:
        took.update(one.took if one is not None else {})
    return took


def milliseconds(seconds: float) -> str:
    """``1.1 ms``, ``62 ms``, ``0.06 ms``: two digits that say something."""
    value = seconds * 1e3
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


@dataclass(frozen=True, slots=True)
class LastHour:
    """What happened in the newest six bins: fifty minutes to an hour."""

    restored: int
    median: float | None
    """Seconds from billing's word to an open line; None: nobody was timed."""
    slowest: float | None
    pages: int


def last_hour(bins: Iterable[Bin], now: float) -> LastHour:
    """The last hour before ``now`` (epoch seconds)."""
    recent = [one for one in bins if one.start > now - 3600]
    spans = all_spans(recent)
    return LastHour(
        sum(one.restored for one in recent), quantile(spans, 0.5), quantile(spans, 1.0),
        sum(one.pages for one in recent),
    )  # fmt: skip
