# SPDX-License-Identifier: Apache-2.0
"""Answers of the daemon in, what a person reads out: one plain sentence first, then detail. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from edged.errors import Problem

WIDTH, NARROWEST = 80, 60
_COLUMNS: ContextVar[int] = ContextVar("columns", default=WIDTH)
"""How wide the answers of this process are; the daemon prints none."""
WHO_SHOWN = 20
"""Subscribers named in a plan for people; a program gets them all."""
_TIED = "\N{NO-BREAK SPACE}"
Answer = dict[str, Any]


def columns() -> int:
    """How wide a line of text may be."""
    return _COLUMNS.get()


def fit(width: int) -> None:
    """Make the lines of this process ``width`` columns wide, within 60 and 80."""
    _COLUMNS.set(max(NARROWEST, min(WIDTH, width)))


def span(seconds: float) -> str:
    """``4 d 3 h``, ``14 min``, ``22 s``: the two largest units that say something."""
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts) or "0 s"


def seconds(value: float) -> str:
    """``0.4 s``, ``11 s``, ``2 min 5 s``: tenths where they say something."""
    return f"{value:.1f} s" if value < 10 else span(value)


def moment(epoch: float) -> str:
    """``2026-11-18 06:00 UTC``."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M UTC")


def counted(number: int, one: str, many: str = "") -> str:
    """``1 key``, ``1,200 keys``; ``many`` where an s does not make it."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def wrapped(label: str, text: str, indent: int) -> Iterator[str]:
    """``text`` beside ``label``, which has ``indent`` columns; what does not fit stands below, indented."""
    lines = textwrap.wrap(text, columns() - indent, break_long_words=False, break_on_hyphens=False) or [""]
    yield f"{label:<{indent}}{lines[0]}".rstrip()
    for line in lines[1:]:
        yield " " * indent + line


# --- problems of the configuration ------------------------------------------------------------


def problems(found: tuple[Problem, ...], lines: Sequence[str], path: str, meanwhile: str) -> str:
    """All problems, each as a small manual page; ``meanwhile`` says what did not happen."""
    errors = sum(not p.warning for p in found)
    warnings = len(found) - errors
    counts = [counted(errors, "error")] if errors else []
    counts += [counted(warnings, "warning")] if warnings else []
    printed = [f"{path}: {', '.join(counts)}. {meanwhile}"]
    for problem in found:
        printed += ["", *_problem(problem, lines, path)]
    return "\n".join(printed)


def _problem(problem: Problem, lines: Sequence[str], path: str) -> Iterator[str]:
    place = f"{path}:{problem.line}:{problem.column}" if problem.line else path
    yield f"{'warning' if problem.warning else 'error'}  {place}  {problem.key}".rstrip()
    if problem.warning:
        sentence = f"{problem.found}: {problem.expected}"
    elif problem.found.startswith("there is"):
        sentence = f"{problem.found}; expected {problem.expected}"
    else:
        sentence = f"found {problem.found}; expected {problem.expected}"
    body = sentence + (f"\n{problem.hint}" if problem.hint else "")
    if 0 < problem.line <= len(lines):
        # a tab as wide as the caret takes it to be
        source = lines[problem.line - 1].replace("\t", " ")
        # a long flow line is cut around the fault
        room, column = columns() - 8, max(0, problem.column - 1)
        start = max(0, min(column - room // 2, len(source) - room))
        indent = min(column - start, room - 1)
        yield f"{problem.line:>5} | {source[start : start + room]}".rstrip()
        yield f"      | {' ' * indent}{'^' * max(1, min(problem.width, room - indent))}"
    for line in body.split("\n"):
        yield from textwrap.wrap(line, columns(), initial_indent="      ", subsequent_indent="      ")


# --- status ------------------------------------------------------------------------------------


def status(answer: Answer) -> str:
    """One screen: the verdict, the counts, the parts, and what needs a person."""
    subscribers = answer["subscribers"]
    lines = [f"{answer['site']}: {answer['verdict']}", ""]
    known = f"{subscribers['known']:,}" if subscribers["known"] is not None else "?"
    lines += _tied(f"  {'subscribers':<14}{known:<10}", _pairs(subscribers["states"]), 26)
    if subscribers["reasons"]:
        head = f"  {'blocked for':<14}{subscribers['states']['blocked']:<10,}"
        lines += _tied(head, _pairs(subscribers["reasons"]), 26)
    lines += [] if answer.get("role") == "hub" else _right_now(answer)
    lines += _last_hour(answer.get("last_hour", {}))
    lines += _words(answer.get("words", {}))
    lines.append("")
    for part in answer["parts"]:
        lines += wrapped(f"  {part['name']:<13} {part['state']:<7}", part["fact"], 23)
    lines += _nases(answer.get("nases", {}))
    if answer["alarms"]:
        lines += ["", "needs you"]
        for alarm in answer["alarms"]:
            lines += textwrap.wrap(
                f"{alarm['code']}  {alarm['sentence']}",
                columns(),
                initial_indent="  ",
                subsequent_indent="      ",
            )
            # a line each: a command that is broken cannot be copied
            first, *more = alarm["try"].replace("; then ", ";\nthen ").split("\n")
            lines += [f"      Try:  {first}", *(f"{'':<12}{step}" for step in more)]
    last = f"edged {answer['version']}, up {span(answer['uptime_s'])}, configuration of {moment(answer['loaded_at'])}"
    lines += ["", *textwrap.wrap(last, columns())]
    return "\n".join(lines)


def _right_now(answer: Answer) -> Iterator[str]:
    """What blocked subscribers meet in this moment; at a hub alone nobody meets anything."""
    now = answer["subscribers"]["access"]
    sees = "would see" if answer["mode"] == "watch" else "see"
    unreached = now.get("unreached", 0)
    seen = [f"{now['blocked'] - unreached:,} {sees} the page", f"{now['pass']:,} have a pass"]
    seen += [f"{now['drain']:,} draining"] + ([f"{unreached:,} on no known line"] if unreached else [])
    yield from _tied(f"  {'right now':<14}", seen, 16)


def _last_hour(hour: Answer) -> Iterator[str]:
    """How many are back, and how long that took; nothing where nobody is."""
    if not hour.get("restored"):
        return
    said = f"{hour['restored']:,} restored"
    if hour["median_s"] is not None:
        said += f", back after {seconds(hour['median_s'])} (median), {seconds(hour['slowest_s'])} (slowest)"
    yield from wrapped(f"  {'last hour':<14}", said, 16)


def _pairs(counts: dict[str, int]) -> list[str]:
    return [f"{name} {count:,}" for name, count in counts.items()]


def _tied(label: str, parts: Sequence[str], indent: int) -> Iterator[str]:
    """As ``wrapped``, with each of ``parts`` on one line."""
    text = "   ".join(part.replace(" ", _TIED) for part in parts)
    yield from (row.replace(_TIED, " ") for row in wrapped(label, text, indent))


NASES_SHOWN = 5
"""Addresses of one kind, named for people; the rest is in --json."""


def _nases(nases: Answer) -> Iterator[str]:
    """NASes that need a look; nothing where there are none."""
    for row in nases.get("secrets", []):
        named = f": {', '.join(row['list'][:NASES_SHOWN])}" if row["list"] else ""
        yield from wrapped(f"  {'secrets':<14}", f"{row['client']}: {row['sentence']}{named}", 16)
    unsigned = nases.get("unsigned", {"count": 0, "list": []})
    if unsigned["count"]:
        named = ", ".join(
            f"{row['address']} ({row['client']}{', DROPPED' if row['dropped'] else ''})"
            for row in unsigned["list"][:NASES_SHOWN]
        )
        what = f"{counted(unsigned['count'], 'access point')} without Message-Authenticator: {named}"
        yield from wrapped(f"  {'unsigned':<14}", what, 16)
    for row in nases.get("strangers", [])[:NASES_SHOWN]:
        what = f"{row['address']}, {counted(row['count'], 'request')} since {moment(row['since'])}, last"
        yield from wrapped(f"  {'unknown NAS':<14}", f"{what} {moment(row['last'])}", 16)
        yield from wrapped("      Try:  ", row["try"], 12)


SOON_SHOWN = 5
"""Words that end within a day, named for people."""


def _words(words: Answer) -> Iterator[str]:
    """Operators' words in force, the one that ends next, and those that end within a day; nothing without any."""
    if not words.get("blocks") and not words.get("openings"):
        return
    counts = [counted(words["blocks"], "block")] if words["blocks"] else []
    if words["openings"]:
        kinds = [counted(words[f"{kind}s"], kind) for kind in ("promise", "exemption") if words[f"{kind}s"]]
        counts.append(f"{counted(words['openings'], 'opening')} ({', '.join(kinds)})")
    yield from _tied(f"  {'operators':<14}", counts, 16)
    listed = words.get("list", [])
    if listed:
        first = listed[0]
        yield from wrapped(
            f"  {'ends next':<14}", f"{first['kind']} of {first['subscriber']}, {moment(first['until'])}", 16
        )
    if words["ending_soon"]:
        soon = [f"{word['subscriber']} ({word['kind']})" for word in listed[: min(words["ending_soon"], SOON_SHOWN)]]
        left = words["ending_soon"] - len(soon)
        yield from wrapped(f"  {'within 24 h':<14}", ", ".join(soon) + (f" and {left:,} more" if left else ""), 16)


# --- explain -----------------------------------------------------------------------------------


def explain(answer: Answer) -> str:
    """Who it is, which rule decided, what each protocol gets, what is truly installed, what would lift it."""
    parts = [
        textwrap.wrap(answer["headline"], columns(), subsequent_indent="  ", break_on_hyphens=False),
        list(_block("who", answer.get("who", []))),
        list(_ladder(answer.get("ladder", []))),
        list(_gets(answer.get("gets", []))),
        list(wrapped("in place", "   ".join(f"{p['target']} {p['state']}" for p in answer.get("in_place", [])), 12)),
        [f"their page  {answer['link']}"] if answer.get("link") else [],
        list(_block("recently", [f"{moment(r['at'])}  {r['what']}" for r in answer.get("recently", [])])),
        list(wrapped("lifts when", answer.get("lifts", ""), 12)),
    ]
    empty = (["in place"], ["lifts when"])
    return "\n\n".join("\n".join(lines) for lines in parts if lines and lines not in empty)


def _ladder(steps: list[Answer]) -> Iterator[str]:
    for index, step in enumerate(steps):
        label = "decided by" if index == 0 else ""
        arrow = " ->" if step["decided"] else ""
        yield from wrapped(f"{label:<10}{arrow:<4}{step['rule']:<18}", step["said"], 32)


def _gets(rows: list[Answer]) -> Iterator[str]:
    for index, get in enumerate(rows):
        yield from wrapped(f"{'gets' if index == 0 else '':<12}{get['protocol']:<9}", get["answer"], 21)


def _block(label: str, rows: list[str]) -> Iterator[str]:
    for index, row in enumerate(rows):
        yield from wrapped(label if index == 0 else "", row, 12)


# --- plan --------------------------------------------------------------------------------------


def plan(answer: Answer) -> str:
    """What would change on each target, as text of that target, ending with totals and who."""
    lines = [f"{answer['site']}: {answer['verdict']}"]
    for target in answer["targets"]:
        lines += ["", f"# {target['name']}: {target['summary']}"]
        if target["text"]:
            lines.append(target["text"].rstrip("\n"))
    if answer["who"]:
        lines += ["", "# who"]
        lines += [f"#   {w['sign']} {w['subscriber']}  {w['why']}" for w in answer["who"][:WHO_SHOWN]]
        if len(answer["who"]) > WHO_SHOWN:
            lines.append(f"#   and {len(answer['who']) - WHO_SHOWN:,} more; all of them with --json")
    return "\n".join(lines)


# --- keys --------------------------------------------------------------------------------------

_KEY_COLUMNS = (
    ("id", "KEY"), ("origin", "FROM"), ("ssid", "NETWORK"), ("site", "SITE"), ("label", "LABEL"),
    ("subscriber", "SUBSCRIBER"), ("vlan", "VLAN"), ("devices", "DEVICES"), ("state", "STATE"),
)  # fmt: skip


def keys(answer: Answer) -> str:
    """One row a key, how many there are, and what of billing's list is not in force; never a passphrase."""
    rows, count = answer["keys"], answer.get("count", "")
    if not rows:
        text = f"There are no such keys ({count})." if count not in {"", "0 keys"} else "There are no keys."
        return "\n".join([text, *_left_out(answer.get("left_out", []))])
    lines = [*table(_KEY_COLUMNS, rows), "", count or counted(len(rows), "key")]
    if answer.get("weak"):
        weak = f"{counted(answer['weak'], 'passphrase')} of billing's {'is' if answer['weak'] == 1 else 'are'} weak"
        lines.append(f"{weak}:  edged keys list --state weak")
    return "\n".join([*lines, *_left_out(answer.get("left_out", []))])


def _left_out(rows: list[Answer]) -> list[str]:
    lines = [f"{r['id']} of billing's list is left out: {r['same_as']} has its passphrase." for r in rows[:WHO_SHOWN]]
    more = len(rows) - WHO_SHOWN
    return [*lines, *([f"and {more:,} more; all of them with --json"] if more > 0 else [])]


def printable(text: str) -> str:
    """``text`` of a peer, with U+FFFD for what could move the cursor of a terminal or end a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def table(columns: tuple[tuple[str, str], ...], rows: list[Answer]) -> list[str]:
    """Aligned columns, as wide as their widest cell."""
    cells = [[title for _, title in columns]]
    cells += [["" if row[name] is None else printable(str(row[name])) for name, _ in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
