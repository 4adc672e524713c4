# SPDX-License-Identifier: Apache-2.0
"""The answers of ``edged fleet`` in, what a person reads out. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from edged.ops.text import columns, counted, moment, printable, span, table, wrapped

Answer = dict[str, Any]

ROWS = 20
"""Edges that are shown where not all are asked for: those that need somebody, then others."""
MOST_ROWS = 100
"""Edges that need somebody and are shown; more than that is one fault and not a hundred."""
_ALARMS = 2
"""Codes of one edge beside its name; the rest is a number."""
_WORD = 16
"""Characters of a version."""
_LEAST = 20
"""Columns of the screen that a cell needs to be broken in it: the longest code of an alarm, or so."""
_COLUMNS = (
    ("edge", "EDGE"), ("version", "VERSION"), ("heard", "REPORTED"), ("list", "LIST"), ("behind", "BEHIND"),
    ("blocked", "BLOCKED"), ("needs", "NEEDS YOU"),
)  # fmt: skip


def status(answer: Answer, *, everybody: bool) -> str:
    """Where the hub listens, the key it is known by, how many edges are how; then a row an edge."""
    lines = [f"{answer['site']}: {answer['verdict']}", "", *_head(answer)]
    shown, left = chosen(answer["edges"], everybody=everybody)
    if shown:
        lines += ["", *_table([_row(edge) for edge in shown])]
    if left:
        lines += ["", *_rest(left)]
    return "\n".join(lines)


def _head(answer: Answer) -> Iterator[str]:
    counts = answer["counts"]
    yield f"  {'listens':<14}{answer['url']}"
    yield f"  {'signed_by':<14}{answer['public_key']}"
    age = max(0.0, answer["now"] - answer["current_at"])
    yield f"  {'list':<14}" + (f"billing confirmed it {span(age)} ago" if answer["current_at"] else "none yet")
    said = [f"{counts['known']:,}", f"{answer['waiting']:,} waiting for a change"]
    words = (("silent", "silent"), ("behind", "behind"), ("alarming", "with alarms"), ("fallback", "asking billing"))
    said += [f"{counts[name]:,} {word}" for name, word in words if counts[name]]
    yield from wrapped(f"  {'edges':<14}", "; ".join(said), 16)


def chosen(edges: list[Answer], *, everybody: bool) -> tuple[list[Answer], list[Answer]]:
    """Which of ``edges``, those that need somebody first, are shown, and which are only counted."""
    if everybody:
        return edges, []
    needing = sum(edge["needs"] for edge in edges)
    rows = max(ROWS, min(needing, MOST_ROWS))
    if len(edges) <= rows:
        return edges, []
    return edges[:rows], edges[rows:]


def _table(rows: list[Answer]) -> Iterator[str]:
    """Without columns that are empty; where the screen ends, the last one goes on below itself."""
    used = tuple(column for column in _COLUMNS if column == _COLUMNS[-1] or any(row[column[0]] for row in rows))
    lines = table(used, rows)
    indent = lines[0].index(used[-1][1])
    for line in lines:
        if columns() - indent < _LEAST:
            yield line
        else:
            yield from wrapped(line[:indent], line[indent:], indent)


def _rest(left: list[Answer]) -> Iterator[str]:
    needing = sum(edge["needs"] for edge in left)
    well = len(left) - needing
    said = [f"{needing:,} more that need you"] if needing else []
    said += [counted(well, "other edge") + (" is well" if well == 1 else " are well")] if well else []
    yield from wrapped("", f"{'; '.join(said)}; all of them with --all", 0)


def _row(edge: Answer) -> Answer:
    return {
        "edge": edge["edge"],
        "version": _cut(edge["version"]),
        "heard": f"{span(round(edge['age']))} ago",
        "list": _list(edge),
        "behind": span(edge["behind"]) if edge["behind"] >= 1 else "",
        "blocked": f"{edge['blocked']:,}",
        "needs": "; ".join(_needs(edge)),
    }


def _cut(word: str) -> str:
    """``word`` no longer than words of its kind are: no edge may push the others' columns off the screen."""
    return f"{word[: _WORD - 1]}…" if len(word) > _WORD else word or "?"


def _needs(edge: Answer) -> Iterator[str]:
    if edge["silent"]:
        yield "silent"
    if edge["late"]:
        yield "behind"
    if edge["alarms"]:
        more = len(edge["alarms"]) - _ALARMS
        yield ", ".join(edge["alarms"][:_ALARMS]) + (f" and {more} more" if more > 0 else "")
    if edge["clock_off"]:
        yield f"clock {_clock(edge)}"


def _list(edge: Answer) -> str:
    return "none" if edge["list_age"] is None else f"{span(round(edge['list_age']))} old"


def _clock(edge: Answer) -> str:
    return f"{span(abs(edge['clock_off']))} {'fast' if edge['clock_off'] > 0 else 'slow'}"


def one(answer: Answer) -> str:
    """All that one edge last said of itself."""
    (edge,) = answer["edges"]
    needs = [*_needs(edge | {"alarms": []}), *([counted(len(edge["alarms"]), "alarm")] if edge["alarms"] else [])]
    lines = [f"{edge['edge']}: {'; '.join(needs) or 'all well'}", ""]
    for label, text in _told(edge):
        lines += wrapped(f"  {label:<14}", printable(text), 16)
    return "\n".join(lines)


def _told(edge: Answer) -> Iterator[tuple[str, str]]:
    yield "reported", f"{span(round(edge['age']))} ago, at {moment(edge['heard_at'])}; what follows is from then"
    up = max(0.0, edge["heard_at"] - edge["started_at"])
    yield "version", (edge["version"] or "?") + (f", up {span(up)}" if edge["started_at"] else "")
    yield "mode", edge["mode"] or "?"
    yield "list", _list(edge) + (f", behind for {span(edge['behind'])}" if edge["behind"] >= 1 else "")
    yield "subscribers", f"{edge['listed']:,} listed, {edge['blocked']:,} blocked"
    if edge["held"]:
        yield "held", "a reading waits for a person; there, once it is right:"
        # to be copied into a shell, and an edge may say anything
        yield "", f"edged sync --accept {shlex.quote(edge['held'])}"
    yield "asks", {"hub": "this hub", "fallback": "billing itself"}.get(edge["source"], edge["source"] or "?")
    yield "clock", _clock(edge) if edge["clock_off"] else "as here"
    if edge["alarms"]:
        yield "alarms", ", ".join(edge["alarms"])


def key(answer: Answer) -> str:
    """The public key alone, as ``billing.signed_by`` of the edges has it."""
    return str(answer["public_key"])


def sentence(answer: Answer) -> str:
    """What was done."""
    return str(answer["sentence"])
