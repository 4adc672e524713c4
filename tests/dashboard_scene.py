# SPDX-License-Identifier: Apache-2.0
"""A made-up edge for tests and pictures of the dashboard: suspensions, a held reading, a lost router.

.venv/bin/python -m tests.dashboard_scene     # pictures in .run/dashboard; needs Debian's chromium
"""

from __future__ import annotations

import functools
import random
import shutil
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from edged.ops.dashboard.facts import Known, WiFi, answer_facts, page_facts
from edged.ops.dashboard.mask import BARE, Mask
from edged.ops.dashboard.pages import TEMPLATE_NAMES, Documents, Query
from edged.ops.record.changes import Change
from edged.ops.record.history import BIN_S, Bin, step_of
from tests.unit.test_ops_text import BLOCKED

NOW = 1_795_627_264.0
"""2026-11-25 17:21 UTC."""
TEMPLATES = files("edged.ops.dashboard") / "templates"
MASK = Mask(b"a key of the tests", lambda word: word.isdigit() and len(word) == 5)


@functools.cache
def documents() -> Documents:
    return Documents({name: (TEMPLATES / name).read_text("utf-8") for name in TEMPLATE_NAMES})


def bins() -> tuple[Bin, ...]:
    """A day: suspensions at six in the morning, payments until now, an hour of which nothing is known."""
    draw, found, blocked = random.Random(7), [], 92
    last = int(NOW // BIN_S) * BIN_S
    for back in range(143, -1, -1):
        start = last - back * BIN_S
        hour = start // 3600 % 24
        one = Bin(start, seconds=BIN_S)
        one.added = 118 if (hour, start // 600 % 6) == (6, 0) else draw.choice((0, 0, 0, 1))
        one.lifted = one.restored = min(blocked, draw.choice((0, 1, 2, 3)) if 8 <= hour < 22 else 0)
        blocked = one.blocked = blocked + one.added - one.lifted
        one.spans = Counter(step_of(draw.uniform(2, 31)) for _ in range(one.restored))
        one.answers = int(600 * (40 + 30 * (8 <= hour < 23) + draw.random() * 20))
        one.took = Counter(
            {6: one.answers * 9 // 10, 9: one.answers // 12, 11: int(one.answers * draw.uniform(0, 0.02))}
        )
        one.pages = draw.randrange(4, 30) if hour >= 7 else 1
        one.held = hour == 5
        one.lost = ["192.0.2.1"] if hour in {13, 14} else []
        if hour != 2:
            found.append(one)
    return tuple(found)


def changes() -> tuple[Change, ...]:
    run = [Change(NOW - 40_000, str(30_000 + i), "open", "blocked", "unpaid", "billing") for i in range(118)]
    later = [
        Change(NOW - 5400, "20417", "blocked", "pass", "unpaid", "pass"),
        Change(NOW - 4500, "20417", "pass", "blocked", "unpaid", "billing"),
        Change(NOW - 3000, "20552", "blocked", "open", "unpaid", "anna"),
        *(Change(NOW - 2900 + 130 * i, str(20_600 + i), "blocked", "open", "unpaid", "billing") for i in range(12)),
        Change(NOW - 900, "20881", "open", "blocked", "abuse", "anna"),
        Change(NOW - 400, "20902", "open", "notice", "unpaid", "billing"),
        Change(NOW - 60, "20993", "blocked", "open", "unpaid", "billing"),
    ]
    return (*run, *later)


ALARMS = [
    {
        "code": "target-failing",
        "sentence": "192.0.2.1: it refuses connections at port 8729, since 2026-11-25 17:15 UTC. What it enforces stays"
        " as it was. 2 subscribers lifted since then may still be blocked behind it: 20611, 20993.",
        "try": "edged doctor targets",
    },
    {
        "code": "billing-held",
        "sentence": "A reading of 4,812 subscribers, 1,906 blocked, waits: 1,743 newly blocked within the window, 144"
        " may be. The last good list (14 min old) stays in force.",
        "try": "edged plan --snapshot 8813.61b63588, which says who; then edged sync --accept 8813.61b63588",
    },
]


def _verdict(alarms: list[dict[str, str]]) -> str:
    if any(alarm["code"] == "billing-held" for alarm in alarms):
        return "billing is HELD; the last good list is in force"
    return "1 thing needs you; 2 subscribers may still be blocked by mistake" if alarms else "all well"


def status(alarms: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    return {
        "schema": 1, "site": "tower-12", "role": "edge",
        "mode": "enforce", "version": "0.1.0", "uptime_s": 1_051_200.0,
        "loaded_at": NOW - 500_000,
        "verdict": _verdict(alarms),
        "subscribers": {
            "known": 4812, "states": {"active": 4637, "notice": 12, "blocked": 163},
            "reasons": {"unpaid": 141, "new": 9, "quota": 8, "abuse": 3, "disabled": 2},
            "access": {"blocked": 161, "unreached": 0, "notice": 12, "pass": 2, "drain": 5},
        },
        "last_hour": {"restored": 7, "median_s": 11.2, "slowest_s": 29.1},
        "words": {"blocks": 1, "openings": 2, "promises": 1, "exemptions": 1, "next_end": NOW + 900, "ending_soon": 2},
        "nases": {}, "alarms": alarms,
        "parts": [
            {"name": "billing", "state": "OK", "fact": "splynx, read 22 s ago (snapshot 8812.0c5bd1f7)"},
            {"name": "dns", "state": "OK", "fact": "61 answers/s, p99 1.1 ms; 61,201,310 since the start, 12 dropped;"
             " compiled"},
            {"name": "portal", "state": "OK", "fact": "38 pages in the last hour; certificate good for 61 days"},
            {"name": "radius", "state": "OK", "fact": "212 keys; 1,184 accepts, 31 rejects, 0 discards"},
            {"name": "nftables", "state": "OK", "fact": "340 of 340, compared 4 s ago"},
            {"name": "192.0.2.1", "state": "FAIL" if alarms else "OK", "fact": "it refuses connections at port"
             " 8729; for 6 min; held 344 then, 340 wanted now" if alarms else "340 of 340, compared 3 s ago"},
            {"name": "store", "state": "OK", "fact": "sqlite, 2.1 MB"},
        ],
    } | more  # fmt: skip


WIFI = WiFi(
    devices=388, keys=212, keys_used=187, accepts=1184,
    rejects=(("no-match", 19), ("unknown-device", 9), ("expired", 3)),
    refused=("9c:b6:d0:11:22:33", NOW - 130), refused_count=14, strangers=1, stranger=("10.9.0.4", NOW - 40),
    clients=("building-7",),
)  # fmt: skip
ANSWER = BLOCKED | {
    "access": "blocked",
    "in_place": [{"target": "nftables", "state": "blocked"}, {"target": "192.0.2.1", "state": "unknown"}],
    "link": "https://portal.example.net/s/a-signed-link",
}


def known(alarms: list[dict[str, str]] | None = None, *, empty: bool = False) -> Known:
    facts = status(ALARMS if alarms is None else alarms)
    if empty:
        nobody = {"known": 4812, "states": {"active": 4812, "notice": 0, "blocked": 0}, "reasons": {}}
        access = dict.fromkeys(("blocked", "unreached", "notice", "pass", "drain"), 0)
        facts |= {"subscribers": {**nobody, "access": access}, "words": {**facts["words"], "blocks": 0, "openings": 0}}
        return Known(facts, (Bin(int(NOW // BIN_S) * BIN_S),), (), None, NOW)
    return Known(facts, bins(), changes(), WIFI, NOW, {"192.0.2.1": 2} if facts["alarms"] else {})


def page(what: Known, query: Query | None = None, *, answer: dict[str, Any] | None = None) -> bytes:
    asked = query or Query()
    mask = MASK if asked.masked else BARE
    facts = page_facts(what, mask, masked=asked.masked)
    said = answer_facts(answer, mask, masked=asked.masked) if answer else None
    return documents().render("main.html", {**facts, "asked": "", "answer": said, "guarded": True}, asked)


@functools.cache
def scenes() -> dict[str, bytes]:
    """Each document by name."""
    return {
        "well": page(known([])),
        "trouble": page(known()),
        "asked": page(known([]), answer=ANSWER),
        "masked": page(known(), Query(masked=True), answer=ANSWER),
        "wall": page(known(), Query(wall=True)),
        "empty": page(known([], empty=True)),
        "login": documents().render("login.html", {"wrong": True}),
    }


def main() -> None:
    folder = Path(".run/dashboard")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width, height in ((1280, 800), (360, 780)):
            for scheme in ("light", "dark"):
                tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                for name, body in scenes().items():
                    tab.set_content(body.decode())
                    tab.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=width < 1000)
                    print(folder / f"{name}-{width}-{scheme}.png", len(body))
                tab.close()
        browser.close()


if __name__ == "__main__":
    main()
