# SPDX-License-Identifier: Apache-2.0
"""A report in, what a person or a program reads out: one sentence first, then a line a step. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from edged.ops.control import SCHEMA
from edged.ops.probe.values import Finding, State, Trial
from edged.ops.text import columns, printable, wrapped

_STANDINGS = {
    "blocked": "sees what a blocked line should see",
    "faulty": "is blocked, but not all is as it should be",
    "open": "is OPEN: it gets the Internet, and no page",
    "dead": "gets NOTHING: neither the page nor the Internet",
    "unreached": "cannot be tried",
}
_INDENT = 25


@dataclass(frozen=True, slots=True)
class Report:
    """All of one probe."""

    trial: Trial
    interface: str
    standing: str
    """One of blocked, faulty, open, dead, unreached."""
    findings: tuple[Finding, ...]
    shows: dict[str, str]
    seconds: float
    frames: int
    """Sent."""
    capture: str = ""

    @property
    def failures(self) -> int:
        """Steps that failed."""
        return sum(f.state is State.FAIL for f in self.findings)


def facts(report: Report) -> dict[str, Any]:
    """The same for a program; the keys are stable."""
    phone, promise = report.trial.phone, report.trial.expected
    return {
        "schema": SCHEMA, "site": promise.site, "headline": _headline(report), "standing": report.standing,
        "mode": "watch" if promise.watching else "enforce", "interface": report.interface, "mac": phone.mac,
        "addresses": [phone.addresses[f] for f in sorted(phone.addresses)], "seconds": round(report.seconds, 2),
        "frames_sent": report.frames, "capture": report.capture or None, "shows": report.shows,
        "steps": [
            {
                "step": f.step, "family": f.family, "state": f.state.value.lower(), "seen": f.seen,
                "means": f.means or None, "fix": f.fix or None,
            }
            for f in report.findings
        ],
    }  # fmt: skip


def text(report: Report) -> str:
    """The headline, what devices show, a line a step; three more where one failed."""
    lines = textwrap.wrap(_headline(report), columns(), subsequent_indent="  ", break_on_hyphens=False)
    if report.trial.expected.watching:
        lines.append("  mode: watch changes nothing for anyone, so every line is open")
    if report.standing == "open":
        # ten failures with one cause
        address = report.trial.phone.named.partition(" ")[0]
        lines.append(f"  if it should be blocked:  edged explain {address}")
    if report.shows:
        lines += ["", "would show"]
        for device, what in report.shows.items():
            lines += wrapped(f"  {device:<16}", printable(what), 18)
    lines.append("")
    for finding in _grouped(report.findings):
        lines += _step(finding if report.standing != "open" else replace(finding, means="", fix=""))
    if report.capture:
        lines += ["", f"{report.frames} frames were sent; all of them, and the answers, are in {report.capture}"]
    return "\n".join(lines)


def _headline(report: Report) -> str:
    count = {state: sum(f.state is state for f in report.findings) for state in State}
    tally = f"{count[State.PASS]} passed, {count[State.FAIL]} failed, {count[State.SKIP]} left out"
    trial = report.trial
    who = f"{trial.expected.site}: {trial.phone.named}"
    return f"{who} {_STANDINGS[report.standing]}. {tally} in {report.seconds:.1f} s"


def _step(finding: Finding) -> Iterator[str]:
    family = f"IPv{finding.family}"
    yield from wrapped(f"{finding.state.value:<6}{finding.step:<13}{family:<6}", printable(finding.seen), _INDENT)
    for label, sentence in (("means", finding.means), ("fix", finding.fix)):
        if sentence:
            yield from wrapped(f"        {label:<6}", printable(sentence), 14)


def _grouped(findings: Iterable[Finding]) -> list[Finding]:
    """The checks of a family that went alike, in one line: ten clients ask the same question."""
    kept: list[Finding] = []
    alike: dict[tuple[int, State, str], list[str]] = {}
    for finding in findings:
        _, is_check, client = finding.step.partition("check-")
        seen = "not tried: DNS gave no address" if finding.state is State.SKIP else finding.seen
        clients = alike.setdefault((finding.family, finding.state, seen), []) if is_check else []
        clients.append(client)
        if len(clients) == 1:
            kept.append(replace(finding, step="checks", seen=seen) if is_check else finding)
    return [_with_clients(f, alike[f.family, f.state, f.seen]) if f.step == "checks" else f for f in kept]


def _with_clients(finding: Finding, clients: list[str]) -> Finding:
    return replace(finding, seen=f"{', '.join(clients)}: {finding.seen}")
