# SPDX-License-Identifier: Apache-2.0
"""Reports of edges in, how each stands to the hub out: its age, its drift, its alarms. Pure; bounded.

A report is what somebody with the bearer key says: every field is checked, what is unknown is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

_EDGES = 10_000
_ALARMS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""As ``Config.site`` has it."""
_CODE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TEXT = re.compile(r"[!-~]{0,128}")
_MOST = 10**12
LATE_S = 300.0
"""Seconds with another list than the hub's after which somebody should look: an edge asks every half minute."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an edge said of itself. Times in epoch seconds by the edge's clock, but for ``heard_at``, by the hub's."""

    edge: str
    heard_at: float
    at: float = 0.0
    version: str = ""
    mode: str = ""
    started_at: float = 0.0
    alarms: tuple[str, ...] = ()
    subscribers: str = ""
    """Revision of the list of subscribers that it read last."""
    keys: str = ""
    read_at: float = 0.0
    """When billing last confirmed what is in force there."""
    blocked: int = 0
    listed: int = 0
    held: str = ""
    """The reading that waits for a person there; empty: none."""
    source: str = ""
    """``hub``, or ``fallback`` while it asks billing itself."""

    def facts(self) -> dict[str, Any]:
        """For a file and for a program."""
        return asdict(self) | {"alarms": list(self.alarms)}


def read(document: object, heard_at: float) -> Report | None:
    """The report in ``document``, heard now; None: it is none. What is not as it should be is left out."""
    if not isinstance(document, dict):
        return None
    edge = document.get("edge")
    if not isinstance(edge, str) or not _NAME.fullmatch(edge):
        return None
    said: dict[str, Any] = {"edge": edge, "heard_at": heard_at, "alarms": _codes(document.get("alarms"))}
    for each in fields(Report):
        value = document.get(each.name)
        if each.name in said or isinstance(value, bool):
            continue
        if each.type == "str" and isinstance(value, str) and _TEXT.fullmatch(value):
            said[each.name] = value
        elif each.type in {"int", "float"} and isinstance(value, int | float) and 0 <= value <= _MOST:
            said[each.name] = int(value) if each.type == "int" else float(value)
    return Report(**said)


def _codes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(code for code in value[:_ALARMS] if isinstance(code, str) and _CODE.fullmatch(code))


@dataclass(frozen=True, slots=True)
class Standing:
    """One edge as the hub sees it."""

    report: Report
    silent: bool
    """It has not reported for long."""
    behind: float
    """Seconds for which the hub had had another list when it reported; 0: it had the same."""
    clock: float
    """Seconds by which its clock was ahead of the hub's when it reported."""

    @property
    def late(self) -> bool:
        """It reports, and has had another list for too long."""
        return self.behind > LATE_S and not self.silent

    def facts(self, now: float) -> dict[str, Any]:
        """For a program."""
        return self.report.facts() | {
            "age": max(0.0, now - self.report.heard_at),
            "silent": self.silent,
            "behind": self.behind,
            "clock": self.clock,
        }


class Fleet:
    """The last report of every edge."""

    def __init__(self, known: Iterable[Report] = (), since: float = 0.0) -> None:
        """``known``: from before; ``since``: from when on edges could report, epoch seconds."""
        self._reports = {report.edge: report for report in known}
        self._since = since
        self._behind: dict[str, float] = {}
        """Since when an edge has had an older list, by the hub's clock."""
        self.turned_away = 0
        """Reports of edges beyond the bound."""

    def __len__(self) -> int:
        return len(self._reports)

    def knows(self, edge: str) -> bool:
        """True when it has been heard of."""
        return edge in self._reports

    def hear(self, report: Report, superseded: Iterable[float | None]) -> bool:
        """Take a report. False: there are too many edges.

        ``superseded``: of the revisions that it names, when others took their places; 0: not yet, None: not known.
        """
        if report.edge not in self._reports and len(self._reports) >= _EDGES:
            self.turned_away += 1
            return False
        self._reports[report.edge] = report
        times = [self._behind.get(report.edge, report.heard_at) if at is None else at for at in superseded]
        since = min((at for at in times if at), default=0.0)
        self._behind.pop(report.edge, None)
        if since:
            self._behind[report.edge] = since
        return True

    def forget(self, edge: str) -> bool:
        """An edge that is no more; False: it was not known."""
        self._behind.pop(edge, None)
        return self._reports.pop(edge, None) is not None

    def reports(self) -> tuple[Report, ...]:
        """What to keep over a restart."""
        return tuple(self._reports.values())

    def standings(self, now: float, silent: float) -> tuple[Standing, ...]:
        """Every edge, in order of name. ``silent``: seconds without a report that are too many."""
        return tuple(
            Standing(
                report,
                silent=now - max(report.heard_at, self._since) > silent,
                behind=max(0.0, report.heard_at - self._behind[name]) if name in self._behind else 0.0,
                clock=report.at - report.heard_at if report.at else 0.0,
            )
            for name, report in sorted(self._reports.items())
        )
