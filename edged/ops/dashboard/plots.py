# SPDX-License-Identifier: Apache-2.0
"""Numbers in, the coordinates and paths of small SVG pictures out. Pure; the templates draw them.

None stands for a time of which nothing is known: a line has a gap there, never a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Span:
    """A shaded piece of time."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Plot:
    """The picture of a day: a step line over bars upward and downward."""

    width: int
    height: int
    left: int
    """Where the plot begins: labels stand before it."""
    floor: float
    """y of zero of the line."""
    axis: float
    """y of zero of the bars."""
    line: str
    ups: str
    downs: str
    held: tuple[Span, ...]
    lost: tuple[Span, ...]
    absent: tuple[Span, ...]
    levels: tuple[Tick, ...]
    hours: tuple[Tick, ...]
    most: int
    """The highest bar."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A small line without axes, or two on one scale."""

    width: int
    height: int
    lines: tuple[str, ...]
    top: float
    """What its upper edge stands for; 0: there is nothing to draw."""


def nice(highest: float) -> float:
    """The least round number (4, then 1, 2 or 5 with zeros) that is not below ``highest``."""
    if highest <= 4:
        return 4.0
    power = 1.0
    while power * 10 < highest:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= highest)


def steps(values: Values, left: float, width: float, floor: float, scale: float) -> str:
    """The path of a step line; a gap where nothing is known."""
    each, path, drawn = width / max(1, len(values)), [], False
    for index, value in enumerate(values):
        if value is None:
            drawn = False
            continue
        y = _number(floor - value * scale)
        path.append(f"V{y}" if drawn else f"M{_number(left + index * each)} {y}")
        path.append(f"H{_number(left + (index + 1) * each)}")
        drawn = True
    return "".join(path)


def bars(values: Values, left: float, width: float, floor: float, scale: float) -> str:
    """The path of filled bars from ``floor`` upward; with a negative ``scale`` downward."""
    each = width / max(1, len(values))
    wide = max(1.0, each - 1)
    return "".join(
        f"M{_number(left + index * each)} {_number(floor)}h{_number(wide)}"
        f"v{_number(-_seen(value * scale))}h{_number(-wide)}z"
        for index, value in enumerate(values)
        if value
    )


def _seen(height: float) -> float:
    """At least a pixel and a half: one subscriber shows beside a thousand."""
    return max(1.5, height) if height > 0 else min(-1.5, height)


def line(values: Values, width: float, height: float, top: float) -> str:
    """The path of a line through the middles of the bins; one value alone is a short stroke."""
    each, path = width / max(1, len(values)), []
    for known, run in groupby(enumerate(values), key=lambda pair: pair[1] is not None):
        if known:
            points = [(each * (i + 0.5), height - 1 - (v or 0.0) / top * (height - 3)) for i, v in run]
            if len(points) == 1:
                points.append((points[0][0] + each, points[0][1]))
            path.append("M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points))
    return "".join(path)


def spark(series: Iterable[Values], width: int = 240, height: int = 40, *, apart: bool = False) -> Spark:
    """The lines of ``series`` on one scale that begins at zero; ``apart``: each on its own."""
    known = tuple(tuple(values) for values in series)
    tops = [max((v for v in values if v is not None), default=0.0) for values in known]
    top = max(tops, default=0.0)
    drawn = tuple(
        line(values, width, height, own if apart else top) if (own if apart else top) else ""
        for values, own in zip(known, tops, strict=True)
    )
    return Spark(width, height, drawn, top)


def spans(flags: Sequence[bool], left: float, width: float) -> tuple[Span, ...]:
    """Where ``flags`` are true, each run as one piece."""
    each, at, found = width / max(1, len(flags)), 0, []
    for flag, run in groupby(flags):
        count = len(list(run))
        if flag:
            found.append(Span(round(left + at * each, 1), round(count * each, 1)))
        at += count
    return tuple(found)


def _number(value: float) -> str:
    """As short as SVG takes it."""
    return f"{value:.1f}".removesuffix(".0")


def day_plot(
    blocked: Values, added: Values, lifted: Values, *, held: Sequence[bool], lost: Sequence[bool],
    starts: Sequence[int], size: tuple[int, int], every_h: int,
) -> Plot:  # fmt: skip
    """The day in ``size`` pixels, a label every ``every_h`` hours of UTC; ``starts``: of the bins, epoch seconds."""
    (width, height), left, foot = size, 44, 18
    room = (height - foot - 8) * 0.68
    floor = 6 + room
    axis = floor + (height - foot - floor) / 2 + 1
    across = width - left - 4
    top = nice(max((v for v in blocked if v is not None), default=0))
    most = max((v for values in (added, lifted) for v in values if v is not None), default=0)
    bar = ((height - foot - floor) / 2 - 4) / max(4, most)
    scale = room / top
    each = across / max(1, len(starts))
    hours = tuple(
        Tick(round(left + index * each, 1), f"{start // 3600 % 24:02d}:00")
        for index, start in enumerate(starts)
        if start % (3600 * every_h) == 0
    )
    levels = tuple(Tick(round(floor - share * room, 1), f"{top * share:,.0f}") for share in (0, 0.5, 1))
    return Plot(
        width, height, left, round(floor, 1), round(axis, 1),
        steps(blocked, left, across, floor, scale),
        bars(added, left, across, axis, bar),
        bars(lifted, left, across, axis, -bar),
        spans(held, left, across), spans(lost, left, across), spans([v is None for v in blocked], left, across),
        levels, hours, int(most),
    )  # fmt: skip
