# SPDX-License-Identifier: Apache-2.0
"""What a person reads, against golden files; ``EDGED_GOLDEN=write`` writes them again after a wanted change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import Problem
from edged.ops import text
from edged.ops.text import WIDTH, moment, problems, span

GOLDEN = Path(__file__).parent.parent / "golden" / "ops"
SINCE = 1_795_672_800.0  # 2026-11-26 06:00 UTC

Answer = dict[str, Any]

WELL: Answer = {
    "site": "tower-12",
    "mode": "enforce",
    "verdict": "all well",
    "version": "0.1.0",
    "uptime_s": 4 * 86400 + 3 * 3600 + 59,
    "loaded_at": SINCE,
    "subscribers": {
        "known": 40120,
        "states": {"active": 38901, "notice": 12, "blocked": 1207},
        "reasons": {"unpaid": 1180, "new": 20, "no reason given": 7},
        "access": {"blocked": 1207, "pass": 3, "drain": 14},
    },
    "last_hour": {"restored": 7, "median_s": 11.2, "slowest_s": 29.4},
    "parts": [
        {"name": "billing", "state": "OK", "fact": "rest, read 22 s ago (snapshot 8812.91c0aa17); reached 22 s ago"},
        {"name": "dns", "state": "OK", "fact": "1,210 answers/s, p99 1.1 ms; 1,204,551 since the start, 31 dropped"},
        {"name": "portal", "state": "OK", "fact": "38 pages in the last hour; certificate good for 61 days"},
        {"name": "radius", "state": "OFF", "fact": "radius.auth is empty"},
        {"name": "nftables", "state": "OK", "fact": "1,388 of 1,388, compared 4 s ago"},
        {"name": "store", "state": "OK", "fact": "sqlite, 2.1 MB"},
    ],
    "alarms": [],
}

TROUBLE: Answer = {
    "site": "tower-12",
    "mode": "enforce",
    "verdict": "billing is HELD; the last good list is in force",
    "version": "0.1.0",
    "uptime_s": 61,
    "loaded_at": SINCE,
    "subscribers": {
        "known": None,
        "states": {"notice": 0, "blocked": 1207},
        "reasons": {
            "unpaid": 900, "disabled": 120, "quota": 60, "abuse": 50, "new": 40,
            "waiting for the technician": 25, "contract ended": 12,
        },
        "access": {"blocked": 1207, "pass": 0, "drain": 0},
    },
    "parts": [
        {
            "name": "billing",
            "state": "WARN",
            "fact": "rest, read 2 h 10 min ago (snapshot 8812.91c0aa17); reached 12 s ago; the feed answers 503",
        },
        {"name": "nftables", "state": "FAIL", "fact": "nft: Operation not permitted (CAP_NET_ADMIN is missing)"},
        {"name": "a-router-of-a-long-name.example.net", "state": "WARN", "fact": "not compared yet"},
    ],
    "alarms": [
        {
            "code": "billing-held",
            "sentence": (
                "A reading of 9,100 subscribers, 8,900 blocked, waits: 7,693 newly blocked, above the limit of 1,203."
                " The last good list (2 h 10 min old) stays in force."
            ),
            "try": "edged plan --snapshot 8813.3fa9c1d2, which says who; then edged sync --accept 8813.3fa9c1d2",
        },
        {
            "code": "target-failing",
            "sentence": "nftables: nft: Operation not permitted, since 2026-11-26 05:58 UTC. What it enforces stays as"
            " it was. 2 subscribers lifted since then may still be blocked behind it: 20881, 20993.",
            "try": "edged doctor targets",
        },
    ],
}  # fmt: skip

WATCHING: Answer = {**WELL, "mode": "watch", "verdict": "watching; nothing is changed for anyone"}

WORDS: Answer = {
    **WELL,
    "words": {
        "blocks": 2, "openings": 9, "promises": 8, "exemptions": 1, "next_end": SINCE, "ending_soon": 7,
        "list": [
            {"subscriber": f"2041{n}", "kind": "promise" if n else "block", "until": SINCE + n}
            for n in range(10)
        ],
    },
}  # fmt: skip

BLOCKED: Answer = {
    "headline": "100.64.7.9 is BLOCKED for unpaid, since 2026-11-22 06:00 (4 d 3 h)",
    "who": [
        "subscriber 20417, brand north",
        "has 100.64.7.9, 2001:db8:100:700::/56",
        "devices 02:00:5e:10:00:01, 02:00:5e:10:00:02, 02:00:5e:10:00:03, 02:00:5e:10:00:04",
        "Wi-Fi keys k-501 (2 devices)",
    ],
    "ladder": [
        {"rule": "served network", "said": "yes", "decided": False},
        {"rule": "exempt network", "said": "no", "decided": False},
        {"rule": "override", "said": "none", "decided": False},
        {"rule": "pass", "said": "none", "decided": False},
        {"rule": "billing", "said": "blocked, unpaid; read 22 s ago, snapshot 8812.91c0aa17", "decided": True},
    ],
    "gets": [
        {"protocol": "DNS", "answer": "203.0.113.10 (the sinkhole answers for every name, TTL 5 s)"},
        {"protocol": "HTTP", "answer": "302 to https://portal.example.net/"},
        {"protocol": "HTTPS", "answer": "to foreign names: TLS alert (no page is possible)"},
    ],
    "in_place": [{"target": "nftables", "state": "blocked", "blocked": True}],
    "link": "https://portal.example.net/s/eyJzIjoiMjA0MTcifQ",
    "recently": [
        {"at": SINCE, "what": "unblock by noc: promise to pay until Friday, agreed with the collections desk by phone"},
        {"at": SINCE - 86400, "what": "pass by subscriber: pressed on the page"},
    ],
    "lifts": "billing says active: looked at every 1 min, or at once with edged sync 20417",
}

LONG: Answer = {
    "headline": (
        "2001:db8:100:7ff:ffff:ffff:ffff:fffe is BLOCKED for waiting for the technician, since 2026-11-22 06:00"
        " (4 d 3 h), until 2026-11-29 06:00 (2 d 21 h left)"
    ),
    "ladder": [{"rule": "served network", "said": "yes", "decided": True}],
}

STRANGER: Answer = {
    "headline": "198.51.100.7 is a STRANGER",
    "ladder": [{"rule": "served network", "said": "no", "decided": True}],
    "who": ["no network in subscribers.networks holds it; billing lists nobody there"],
    "gets": [{"protocol": "DNS", "answer": "refused; the page is not shown; nothing is enforced on it"}],
    "lifts": "",
}

KEY: Answer = {
    "headline": "key k-501 on Residence is good",
    "who": [
        "billing's, site building-7, label Flat 12, VLAN 112",
        "used by 02:00:5e:10:00:01, 02:00:5e:10:00:02",
        "subscriber 20417 is blocked",
    ],
    "gets": [{"protocol": "Wi-Fi", "answer": "VLAN 666"}],
}

PLAN: Answer = {
    "site": "tower-12",
    "verdict": "1 of 2 targets would change",
    "targets": [
        {"name": "nftables", "summary": "+2 -1", "text": "add element inet edged blocked4 { 100.64.7.9 }\n"},
        {"name": "memory", "summary": "+0 -0", "text": ""},
    ],
    "who": [
        {"sign": "+", "subscriber": "20417", "why": "unpaid"},
        *({"sign": "-", "subscriber": str(number), "why": "open again"} for number in range(20418, 21618)),
    ],
}

KEYS: Answer = {
    "keys": [
        {
            "id": "k-501", "origin": "billing", "ssid": "Residence", "site": "building-7", "label": "Flat 12",
            "subscriber": "20417", "vlan": 112, "devices": 2, "state": "good",
        },
        {
            "id": "local-1a2b3c4d", "origin": "local", "ssid": "Residence", "site": "", "label": "",
            "subscriber": "", "vlan": None, "devices": 0, "state": "deriving",
        },
    ]
}  # fmt: skip

NARROWED: Answer = {
    "keys": [{**KEYS["keys"][1], "state": "not-unique (k-501)"}],
    "count": "1 of 212 keys",
    "weak": 3,
    "left_out": [{"id": f"k-{number}", "same_as": "k-501"} for number in range(600, 1802)],
}

_FLOW = (
    "clients: [{name: building-7, networks: [10.7.0.0/24], secret: !file /etc/edged/secrets/building-7, "
    "dialect: hostpad, message_authenticator: auto, disconnect: {port: 3799}}, {name: building-8, x: 1}]"
)
PROBLEMS = (
    Problem("", "a tab", "YAML", "indent with spaces", line=1, column=1),
    Problem("radius.clients[0].dialect", '"hostpad"', "one of auto, hostapd", 'did you mean "hostapd"?',
            line=2, column=_FLOW.index("hostpad") + 1, width=7),
    Problem("radius.clients[1].x", 'there is no key "x" here', "one of name, networks, secret",
            line=2, column=_FLOW.index("x: 1") + 1, width=1),
    Problem("radius", "a mapping", "a list", line=2, column=1, width=len(_FLOW)),
    Problem("state.directory", "/var/lib/edged: Permission denied", "a directory that edged may write"),
    Problem("portal.addresses[0]", "a private address", "phones refuse such an answer, and their owners see no page",
            "use a public or 100.64.0.0/10 address", line=3, column=13, width=8, warning=True),
)  # fmt: skip
LINES = ("\tsite: a", _FLOW, "addresses: [10.0.0.1]")

TEXTS: dict[str, Callable[[], str]] = {
    "status-all-well": lambda: text.status(WELL),
    "status-watching": lambda: text.status(WATCHING),
    "status-held": lambda: text.status(TROUBLE),
    "status-words": lambda: text.status(WORDS),
    "explain-blocked": lambda: text.explain(BLOCKED),
    "explain-long": lambda: text.explain(LONG),
    "explain-stranger": lambda: text.explain(STRANGER),
    "explain-key": lambda: text.explain(KEY),
    "plan": lambda: text.plan(PLAN),
    "plan-nothing": lambda: text.plan({**PLAN, "verdict": "no target is configured", "targets": [], "who": []}),
    "keys": lambda: text.keys(KEYS),
    "keys-none": lambda: text.keys({"keys": []}),
    "keys-narrowed": lambda: text.keys(NARROWED),
    "problems": lambda: problems(PROBLEMS, LINES, "/etc/edged/edged.yaml", "Nothing was changed."),
    "problems-one-warning": lambda: problems(PROBLEMS[-1:], LINES, "edged.yaml", "edged starts."),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_golden_one(name: str) -> None:
    path, printed = GOLDEN / f"{name}.txt", TEXTS[name]() + "\n"
    if os.environ.get("EDGED_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(printed, "utf-8")

    assert printed == path.read_text("utf-8")


def test_every_golden_file_belongs_to_a_text() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_a_terminal_of_eighty_columns_breaks_no_line(name: str) -> None:
    # a row of the table of keys is as wide as its cells
    limit = 100 if name in {"keys", "keys-narrowed"} else WIDTH

    assert max(map(len, TEXTS[name]().splitlines())) <= limit


@pytest.mark.parametrize("name", TEXTS)
def test_no_line_ends_in_spaces(name: str) -> None:
    assert [line for line in TEXTS[name]().splitlines() if line != line.rstrip()] == []


# --- spans and moments -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"), (0, "0 s"), (0.2, "0.2 s"), (1, "1 s"), (22, "22 s"), (59.4, "59 s"),
        (59.6, "1 min"), (60, "1 min"), (61, "1 min 1 s"), (839, "13 min 59 s"), (840, "14 min"), (3600, "1 h"),
        (3601, "1 h"), (3660, "1 h 1 min"), (86399, "23 h 59 min"), (86400, "1 d"), (86460, "1 d"),
        (4 * 86400 + 3 * 3600 + 59, "4 d 3 h"), (400 * 86400, "400 d"),
    ],
)  # fmt: skip
def test_a_span_is_its_two_largest_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


@given(st.floats(-1e9, 1e12))
def test_any_span_can_be_said_in_at_most_two_units(seconds: float) -> None:
    words = span(seconds).split()

    assert len(words) in {2, 4}
    assert set(words[1::2]) <= {"d", "h", "min", "s"}


@pytest.mark.parametrize(
    ("epoch", "said"),
    [(0.0, "1970-01-01 00:00 UTC"), (SINCE, "2026-11-26 06:00 UTC"), (SINCE + 59.9, "2026-11-26 06:00 UTC")],
)
def test_a_moment_is_told_in_utc_to_the_minute(epoch: float, said: str) -> None:
    assert moment(epoch) == said


# --- problems --------------------------------------------------------------------------------------

lines_of_text = st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=300), max_size=4)
any_problem = st.builds(
    Problem,
    key=st.text(max_size=40), found=st.text(max_size=200), expected=st.text(max_size=200), hint=st.text(max_size=80),
    line=st.integers(0, 6), column=st.integers(0, 400), width=st.integers(0, 400), warning=st.booleans(),
)  # fmt: skip


@given(st.lists(any_problem, min_size=1, max_size=4), lines_of_text)
def test_any_problem_can_be_printed(found: list[Problem], lines: list[str]) -> None:
    assert problems(tuple(found), lines, "edged.yaml", "Nothing was changed.")


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 300))
def test_the_caret_stands_under_the_fault_within_eighty_columns(length: int, column: int, width: int) -> None:
    column = min(column, length)
    line = "".join(chr(0x100 + place) for place in range(length))
    (problem,) = (Problem("key", "this", "that", line=1, column=column, width=width),)

    _, _, _, source, caret, *_ = problems((problem,), [line], "edged.yaml", "Nothing was changed.").splitlines()

    assert source[caret.index("^")] == line[column - 1]
    assert caret.count("^") <= width
    assert len(source) <= WIDTH
    assert len(caret) <= WIDTH
