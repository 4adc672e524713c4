# SPDX-License-Identifier: Apache-2.0
"""How an answer is shown: colours that repeat a word, ASCII where the locale is no UTF-8, a terminal's width."""

from __future__ import annotations

import io
import os
import re
import textwrap

import pytest

from edged.commands.terminal import Screen, painted
from edged.ops import text

STATUS = {
    "site": "tower-12", "verdict": "1 thing needs you", "mode": "enforce", "version": "0.1.0", "uptime_s": 1_051_200.0,
    "loaded_at": 1_800_000_000.0,
    "subscribers": {
        "known": 104_812, "states": {"notice": 12_345, "blocked": 16_300},
        "reasons": {"unpaid": 14_100, "new": 9_000, "quota": 800, "abuse": 300, "disabled": 200},
        "access": {"blocked": 16_100, "pass": 200, "drain": 500, "unreached": 44},
    },
    "words": {
        "blocks": 12, "openings": 40, "promises": 30, "exemptions": 10, "ending_soon": 5,
        "list": [{"kind": "promise", "subscriber": f"2041{index}", "until": 1_800_000_000.0} for index in range(5)],
    },
    "parts": [{"name": "192.0.2.1", "state": "WARN", "fact": "no answer for 6 min; held 344 then, 340 wanted now"}],
    "alarms": [{"code": "target-failing", "sentence": "192.0.2.1 refuses connections on 8729 since 08:52. " * 2,
                "try": "edged plan"}],
}  # fmt: skip


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(environment: dict[str, str], *, terminal: bool = True, no_color: bool = False) -> Screen:
    return Screen.of(Terminal() if terminal else io.StringIO(), environment, no_color=no_color)


# --- colours ---------------------------------------------------------------------------------------

XTERM = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}


@pytest.mark.parametrize(
    ("environment", "terminal", "no_color", "colours"),
    [
        (XTERM, True, False, True),
        (XTERM, False, False, False),
        (XTERM, True, True, False),
        (XTERM | {"NO_COLOR": "1"}, True, False, False),
        (XTERM | {"NO_COLOR": ""}, True, False, True),
        (XTERM | {"TERM": "dumb"}, True, False, False),
        ({"LANG": "en_US.UTF-8"}, True, False, False),
    ],
)
def test_colours_are_for_a_terminal_that_wants_them(
    environment: dict[str, str], terminal: bool, no_color: bool, colours: bool
) -> None:
    assert screen(environment, terminal=terminal, no_color=no_color).colours is colours


def test_nothing_that_is_said_commands_the_terminal_and_a_pipe_has_it_as_it_is() -> None:
    said = "a\x1b]52;c;cm0gLXJm\x07b\x9b2Jc\rd\n\te"

    assert screen(XTERM, no_color=True).shown(said) == "a\ufffd]52;c;cm0gLXJm\ufffdb\ufffd2Jc\ufffdd\n\te"
    assert screen(XTERM, terminal=False).shown(said) == said


def test_a_colour_repeats_a_word_and_nothing_is_said_by_it_alone() -> None:
    shown = painted(text.status(STATUS))

    assert "\033[33mWARN\033[0m" in shown
    assert re.sub(r"\033\[\d*m", "", shown) == text.status(STATUS)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("100.64.7.9 is BLOCKED for unpaid", "BLOCKED"), ("error  edged.yaml:3:1  site", "error"),
        ("FAIL  ports", "FAIL"), ("in place    nftables open (WRONG, being mended)", "WRONG"),
        ("m.stripe.network is NOT reachable", "NOT"), ("x is REACHABLE for y", "REACHABLE"),
    ],
)  # fmt: skip
def test_words_that_judge_are_coloured(line: str, word: str) -> None:
    shown = painted(line)

    assert re.findall(r"\033\[3\dm(\w+)\033\[0m", shown) == [word]
    assert re.sub(r"\033\[\d*m", "", shown) == line


@pytest.mark.parametrize("line", ["the error is yours", "BLOCKED-7", "k-OK", "OKAY", "blocked", "an ok line", ""])
def test_words_within_names_and_sentences_are_not(line: str) -> None:
    assert painted(line) == line


# --- ASCII -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "plain"),
    [
        ({"LANG": "en_US.UTF-8"}, False), ({"LANG": "en_US.utf8"}, False), ({}, False),
        ({"LC_ALL": "C"}, True), ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True), ({"LC_CTYPE": "de_DE.ISO-8859-1", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, False),
        # what Python itself puts there for LANG=C
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True), ({"LC_CTYPE": "C.UTF-8"}, False),
    ],
)  # fmt: skip
def test_text_is_ascii_where_the_locale_is_another_than_utf_8(environment: dict[str, str], plain: bool) -> None:
    shown = screen(environment).shown("Undo:  edged block 1 --end --why … Zoë")

    assert shown.isascii() is plain
    assert shown == ("Undo:  edged block 1 --end --why ... Zo?" if plain else "Undo:  edged block 1 --end --why … Zoë")


# --- width -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "widest"), [(60, 60), (72, 72), (80, 80), (200, 80), (20, 60)])
def test_lines_are_as_wide_as_the_terminal_within_60_and_80(columns: int, widest: int) -> None:
    text.fit(columns)
    try:
        shown = text.status(STATUS)
    finally:
        text.fit(text.WIDTH)

    assert max(map(len, shown.splitlines())) <= widest
    assert " ".join(shown.split()) == " ".join(text.status(STATUS).split())


def test_a_narrow_terminal_has_the_explanation_within_its_width() -> None:
    answer = {
        "headline": textwrap.shorten("100.64.7.9 is BLOCKED for unpaid, since 2026-11-18 06:00 UTC (4 d 3 h) " * 3, 99),
        "who": ["subscriber 20417, brand north, page reference T12-7K4M, and a good deal more of the same"],
        "ladder": [{"rule": "billing", "said": "blocked, unpaid; billing was reached 9 s ago, snapshot 8811.205753aa",
                    "decided": True}],
        "gets": [{"protocol": "DNS", "answer": "203.0.113.10 (a blocked subscriber, TTL 5 s) and some more of that"}],
        "lifts": "billing says active: looked at every 30 s, or at once with edged sync 20417",
    }  # fmt: skip
    text.fit(60)
    try:
        assert max(map(len, text.explain(answer).splitlines())) <= 60
    finally:
        text.fit(text.WIDTH)


def test_a_pipe_gets_80_columns_whatever_the_terminal_beside_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "61")

    assert screen(XTERM, terminal=False).columns == 80
    assert screen(XTERM).columns == 61
