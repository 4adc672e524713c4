# SPDX-License-Identifier: Apache-2.0
"""Findings in, what a person or a program reads out: one sentence, then a line a check. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edged.ops.control import SCHEMA
from edged.ops.doctor.finding import Finding, Grade, Words
from edged.ops.doctor.values import Facts
from edged.ops.text import printable, wrapped

_INDENT = 19
_NOTHING = Facts()


@dataclass(frozen=True, slots=True)
class Report:
    """All of one look."""

    site: str
    findings: tuple[Finding, ...]
    seconds: float
    known: Facts = _NOTHING
    """What the findings rest on."""

    @property
    def failed(self) -> bool:
        """True when a check failed."""
        return any(f.grade is Grade.FAIL for f in self.findings)

    @property
    def headline(self) -> str:
        """How many of each, and that nothing was changed."""
        count = {grade: sum(f.grade is grade for f in self.findings) for grade in Grade}
        told = ", ".join(f"{number} {grade.value}" for grade, number in count.items() if number)
        return f"{self.site}: {told} in {self.seconds:.1f} s. Nothing was changed."


def facts(report: Report) -> dict[str, Any]:
    """The same for a program; the keys are stable."""
    return {
        "schema": SCHEMA, "site": report.site, "headline": report.headline, "seconds": round(report.seconds, 2),
        "checks": [_row_facts(finding) for finding in report.findings],
    }  # fmt: skip


def _row_facts(finding: Finding) -> dict[str, Any]:
    words = finding.worded()
    return {
        "check": finding.check, "grade": finding.grade.value, "seen": words.says, "detail": words.seen or None,
        "means": words.means or None, "why": words.why or None, "fix": words.fix or None,
    }  # fmt: skip


def text(report: Report) -> str:
    """The headline, a line a check; more where it is not well."""
    lines = [report.headline, "", *rows(report.findings, Finding.worded)]
    unwell = next((f.check for grade in (Grade.FAIL, Grade.WARN) for f in report.findings if f.grade is grade), "")
    if unwell and len(report.findings) > 1:
        lines += ["", f"Check one again:  edged doctor {unwell}      Share:  edged doctor --report FILE"]
    return "\n".join(lines)


def rows(findings: Iterable[Finding], worded: Callable[[Finding], Words]) -> Iterator[str]:
    """The lines of every finding, in the words that ``worded`` makes of it."""
    for finding in findings:
        words = worded(finding)
        yield from wrapped(f"{finding.grade.value:<6}{finding.check:<13}", printable(words.says), _INDENT)
        for label, sentence in (("seen", words.seen), ("means", words.means), ("why", words.why), ("fix", words.fix)):
            if sentence:
                yield from wrapped(f"        {label:<7}", printable(sentence), 15)
