# SPDX-License-Identifier: Apache-2.0
"""How edges stand to their hub in, whom somebody should look at, and how many are how, out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edged.hub.fleet import Standing

CLOCK_S = 5.0
"""Seconds by which two clocks that are kept in step never differ; at 300 an edge refuses the hub's answers."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many edges there are, and how many of them are how."""

    known: int
    silent: int
    behind: int
    """With another list than the hub's for longer than ``LATE_S``."""
    alarming: int
    """With alarms of their own, as they last said."""
    fallback: int
    """Asking billing itself."""
    needing: int
    """Silent, behind or with alarms."""


def tally(standings: Iterable[Standing]) -> Tally:
    """The counts of a fleet."""
    rows = list(standings)
    return Tally(
        known=len(rows),
        silent=sum(s.silent for s in rows),
        behind=sum(s.late for s in rows),
        alarming=sum(bool(s.report.alarms) for s in rows),
        fallback=sum(s.report.source == "fallback" for s in rows),
        needing=sum(needs_somebody(s) for s in rows),
    )


def needs_somebody(standing: Standing) -> bool:
    """True of an edge that is silent or behind, or has alarms."""
    return standing.silent or standing.late or bool(standing.report.alarms)


def ordered(standings: Iterable[Standing]) -> list[Standing]:
    """Those that need somebody first, the silent ones before all; then clocks that are off; each by name."""
    return sorted(standings, key=lambda s: (not s.silent, not s.late, not s.report.alarms, not off(s), s.report.edge))


def off(standing: Standing) -> float:
    """Seconds by which its clock is ahead of the hub's (behind: negative), where that is worth a word; else 0."""
    return standing.clock if abs(standing.clock) > CLOCK_S else 0.0


def facts(standing: Standing, now: float) -> dict[str, Any]:
    """One edge for a program: its report, and how it stands."""
    report = standing.report
    return standing.facts(now) | {
        "late": standing.late,
        "list_age": max(0.0, report.heard_at - report.read_at) if report.read_at else None,
        "clock_off": off(standing),
        "needs": needs_somebody(standing),
    }
