# SPDX-License-Identifier: Apache-2.0
"""What the daemon knows of itself in, what stands on the dashboard out. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.ops.codes import AFFECTED
from edged.ops.dashboard.lists import grouped
from edged.ops.dashboard.mask import HIDDEN, Mask
from edged.ops.dashboard.plots import Plot, day_plot, spark
from edged.ops.record.changes import Change
from edged.ops.record.history import (
    BIN_S,
    Bin,
    all_spans,
    all_took,
    bin_start,
    day,
    milliseconds,
    quantile,
    took_below,
)
from edged.ops.text import counted, moment, seconds, span

Facts = dict[str, Any]
Day = Sequence[Bin | None]

_WIDE, _NARROW = (860, 176), (340, 220)
"""Pixels of the plot on a desk and on a phone."""
_REASONS = 5
"""Named beside the plot."""
_MERGED = 3
"""Bins of one bar on a phone: half an hour."""


@dataclass(frozen=True, slots=True)
class WiFi:
    """How the Wi-Fi is used."""

    devices: int | None
    """On it now; None: no access point reports sessions."""
    keys: int
    keys_used: int
    """Keys that a device has proved."""
    accepts: int
    rejects: tuple[tuple[str, int], ...]
    """By reason, since the start; the most frequent first."""
    refused: tuple[str, float] | None
    """The latest device that no key fits and when."""
    refused_count: int
    strangers: int
    stranger: tuple[str, float] | None
    """The latest unknown NAS and when."""
    clients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What was gathered for one page."""

    status: Facts
    """As ``/status`` has it."""
    bins: tuple[Bin, ...]
    changes: tuple[Change, ...]
    wifi: WiFi | None
    now: float
    held_back: Mapping[str, int] = field(default_factory=dict)
    """Target to how many may still be blocked behind it."""
    stopped: bool = False
    """A bug has ended the record of the day."""


def page_facts(known: Known, mask: Mask, *, masked: bool) -> Facts:
    """Everything that the template says, in its order."""
    bins = day(known.bins, known.now)
    status = known.status
    return {
        "site": status["site"],
        "watching": status["mode"] == "watch",
        "verdict": status["verdict"],
        "level": _level(status),
        "word": "HELD" if _is_held(status) else _WORDS[_level(status)],
        "at": moment(known.now),
        "version": status["version"],
        "uptime": span(status["uptime_s"]),
        "loaded": moment(status["loaded_at"]),
        "alarms": [_alarm(alarm, mask) for alarm in status["alarms"]],
        "numbers": _numbers(known, bins),
        "sees": status["subscribers"]["access"]["blocked"],
        "known": "" if status["subscribers"]["known"] is None else f"{status['subscribers']['known']:,}",
        "reasons": list(status["subscribers"]["reasons"].items())[:_REASONS],
        "stopped": known.stopped,
        "plots": (_plot(bins, known.now, _WIDE, 1), _plot(bins, known.now, _NARROW, _MERGED)),
        "sums": _sums(bins),
        "sparks": _sparks(bins),
        "parts_rows": [_part(part, known.held_back.get(part["name"], 0), mask) for part in status["parts"]],
        "words": status["words"],
        "changes": [_row(row, mask, masked=masked) for row in grouped(known.changes)],
        "wifi": _wifi(known.wifi, known.now, mask),
    }


_WORDS = {"good": "OK", "warn": "WARN", "fail": "FAIL", "watch": "WATCH"}


def _is_held(status: Facts) -> bool:
    return any(alarm["code"] == "billing-held" for alarm in status["alarms"])


def _level(status: Facts) -> str:
    """``fail`` when a part has failed or a reading is held, ``warn`` when something needs a person, else ``good``."""
    if _is_held(status) or any(part["state"] == "FAIL" for part in status["parts"]):
        return "fail"
    return "warn" if status["alarms"] else "watch" if status["mode"] == "watch" else "good"


def _alarm(alarm: Facts, mask: Mask) -> Facts:
    return {
        "code": alarm["code"],
        "sentence": mask.text(alarm["sentence"]),
        "affected": AFFECTED.get(alarm["code"], ""),
        "pieces": pieces(mask.text(alarm["try"])),
    }


_BETWEEN = re.compile(r"(; then |; |, | and )")
_COMMAND = re.compile(r"(?:edged|nft|systemctl|journalctl) [a-z-]|df$")


def pieces(text: str) -> list[tuple[str, bool]]:
    """What to do, cut where a command begins or ends; True: it is one, to be copied as it stands."""
    return [(piece, bool(_COMMAND.match(piece))) for piece in _BETWEEN.split(text) if piece]


def _numbers(known: Known, bins: Day) -> list[Facts]:
    spans = all_spans(bins)
    median = quantile(spans, 0.5)
    watching = known.status["mode"] == "watch"
    access = known.status["subscribers"]["access"]
    took = "-" if median is None else seconds(median)
    return [
        {"list": "blocked", "value": f"{access['blocked']:,}", "label": "would be blocked" if watching else "blocked"},
        {"list": "notice", "value": f"{access['notice']:,}", "label": "reminded"},
        {"list": "pass", "value": f"{access['pass']:,}", "label": "on a pass"},
        {"list": "restored", "value": f"{_sum(bins, 'restored'):,}", "label": "restored in 24 h"},
        {"list": "history", "value": took, "label": "median to open"},
    ]  # fmt: skip


def _sum(bins: Iterable[Bin | None], name: str) -> int:
    return sum(getattr(one, name) for one in bins if one is not None)


def _sums(bins: Day) -> Facts:
    """What the plot says in words, for who cannot see it."""
    held = sum(one.held for one in bins if one is not None)
    lost = Counter(name for one in bins if one is not None for name in one.lost)
    blocked = [one.blocked for one in bins if one is not None]
    return {
        "added": _sum(bins, "added"),
        "lifted": _sum(bins, "lifted"),
        "most": max(blocked, default=0),
        "least": min(blocked, default=0),
        "held": span(held * BIN_S) if held else "",
        "lost": span(max(lost.values()) * BIN_S) if lost else "",
        "seen": sum(one is not None for one in bins),
    }


def merged(bins: Day, count: int) -> list[Bin | None]:
    """``count`` bins as one."""
    found: list[Bin | None] = []
    for first in range(0, len(bins), count):
        some = [one for one in bins[first : first + count] if one is not None]
        if not some:
            found.append(None)
            continue
        whole = Bin(some[0].start, blocked=some[-1].blocked)
        for name in ("added", "lifted", "restored", "answers", "pages", "seconds"):
            setattr(whole, name, _sum(some, name))
        whole.spans, whole.took = all_spans(some), all_took(some)
        whole.held = any(one.held for one in some)
        whole.note_lost(name for one in some for name in one.lost)
        found.append(whole)
    return found


def _plot(bins: Day, now: float, size: tuple[int, int], count: int) -> Plot:
    first = bin_start(now) - (len(bins) - 1) * BIN_S
    # a wider bar begins with a full half hour
    skipped = -(first // BIN_S) % count
    some = merged(bins[skipped:], count)
    starts = [first + (skipped + index * count) * BIN_S for index in range(len(some))]

    def each(name: str) -> list[float | None]:
        return [None if one is None else float(getattr(one, name)) for one in some]

    return day_plot(
        each("blocked"), each("added"), each("lifted"),
        held=[one is not None and one.held for one in some],
        lost=[one is not None and bool(one.lost) for one in some],
        starts=starts, size=size, every_h=2 if count == 1 else 6,
    )  # fmt: skip


def _sparks(bins: Day) -> list[Facts]:
    some = merged(bins, _MERGED)

    def rate(one: Bin | None) -> float | None:
        return None if one is None or one.seconds < 1 else one.answers / one.seconds

    def took(share: float) -> list[float | None]:
        return [None if one is None else quantile(one.spans, share) for one in some]

    def each(name: str) -> list[float | None]:
        return [None if one is None else float(getattr(one, name)) for one in some]

    slow, answers, spans = took(0.95), [rate(one) for one in some], all_spans(bins)
    within = quantile(spans, 0.95)
    slowest = [None if one is None else took_below(one.took, 0.99) for one in some]
    asked = f"now {_rate(_last(answers))}, most {_rate(_top(answers))}"
    asked += f", p99 {milliseconds(_last(slowest))}" if any(slowest) else ""
    opened = f"{sum(spans.values()):,} timed, 95 % within {seconds(within)}" if within else "nobody was opened"
    return [
        _spark("Billing's word to open", (took(0.5), slow), opened, "median", "95th percentile"),
        _spark("DNS answers a second", (answers, slowest), asked, "answers", "99th percentile", apart=True),
        _spark(
            "Pages and openings", (each("pages"), each("restored")),
            f"{_sum(bins, 'pages'):,} pages, {_sum(bins, 'restored'):,} opened", "pages", "opened",
        ),
    ]  # fmt: skip


def _spark(title: str, series: Sequence[list[float | None]], fact: str, *legend: str, apart: bool = False) -> Facts:
    return {"title": title, "spark": spark(series, apart=apart), "fact": fact, "legend": legend}


def _rate(a_second: float) -> str:
    return f"{a_second:,.1f}" if 0 < a_second < 10 else f"{a_second:,.0f}"


def _last(values: list[float | None]) -> float:
    return next((value for value in reversed(values) if value is not None), 0.0)


def _top(values: list[float | None]) -> float:
    return max((value for value in values if value is not None), default=0.0)


_LISTED = {"radius": "keys", "enforce": "targets", "hub": "edges"}
_ROOMS = {"billing", "hub", "dns", "portal", "radius", "store", "enforce"}


def _part(part: Facts, held_back: int, mask: Mask) -> Facts:
    name = part["name"]
    return {
        "target": name,
        "held_back": counted(held_back, "subscriber") if held_back else "",
        "name": mask.text(name),
        "state": part["state"],
        "fact": mask.text(part["fact"]),
        "list": _LISTED.get(name, "") if name in _ROOMS else "targets",
    }


def _row(row: Facts, mask: Mask, *, masked: bool) -> Facts:
    return {
        **row,
        "time": moment(row["at"])[11:16],
        "day": moment(row["at"])[5:10],
        "who": mask.one(row["subscriber"]),
        "by": HIDDEN if masked and row["by"] not in {"billing", "pass"} else row["by"],
    }


def _wifi(wifi: WiFi | None, now: float, mask: Mask) -> Facts | None:
    if wifi is None:
        return None
    stranger, refused = wifi.stranger, wifi.refused
    return {
        "devices": "-" if wifi.devices is None else f"{wifi.devices:,}",
        "keys_all": f"{wifi.keys:,}",
        "keys_used": f"{wifi.keys_used:,}",
        "accepts": f"{wifi.accepts:,}",
        "rejects": wifi.rejects[:5],
        "refused_count": wifi.refused_count,
        "refused": f"{mask.text(refused[0])}, {span(now - refused[1])} ago" if refused else "",
        "strangers": wifi.strangers,
        "stranger": f"{mask.text(stranger[0])}, {span(now - stranger[1])} ago" if stranger else "",
        "waiting": "" if wifi.accepts or wifi.rejects else "No access point has asked yet."
        + (f" Waiting for {', '.join(wifi.clients[:3])}." if wifi.clients else ""),
    }  # fmt: skip


def answer_facts(answer: Facts, mask: Mask, *, masked: bool) -> Facts:
    """What ``edged explain`` answers, without the signed link; the mask leaves out who it is and what people wrote."""
    ladder = [
        {**step, "said": HIDDEN if masked and step["rule"] == "override" and step["said"] != "none" else step["said"]}
        for step in answer.get("ladder", [])
    ]
    return {
        "headline": mask.text(answer["headline"]),
        "access": answer.get("access", ""),
        "who": [HIDDEN] if masked else answer.get("who", []),
        "ladder": [{**step, "said": mask.text(step["said"])} for step in ladder],
        "gets": [{**get, "answer": mask.text(get["answer"])} for get in answer.get("gets", [])],
        "in_place": [{**there, "target": mask.text(there["target"])} for there in answer.get("in_place", [])],
        "recently": [
            {"at": moment(r["at"]), "what": HIDDEN if masked else r["what"]} for r in answer.get("recently", [])
        ],
        "lifts": mask.text(answer.get("lifts", "")),
    }
