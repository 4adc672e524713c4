"""Which edges of a hub need somebody, in which order they stand, and how many a screen shows."""

from __future__ import annotations

from typing import Any

from edged.hub.fleet import LATE_S, Fleet, Report, Standing, read
from edged.ops.fleet.edges import facts, needs_somebody, off, ordered, tally
from edged.ops.fleet.text import MOST_ROWS, ROWS, chosen, one, status

NOW = 1_800_000_000.0


def standing(
    name: str, *, silent: bool = False, behind: float = 0.0, clock: float = 0.0, ago: float = 10.0, **said: Any
) -> Standing:
    report = Report(name, NOW - ago, **({"version": "0.1.0", "source": "hub"} | said))
    return Standing(report, silent, behind, clock)


def answer(*standings: Standing, **changes: Any) -> dict[str, Any]:
    counts = tally(standings)
    return {
        "site": "hub-1",
        "verdict": "…",
        "now": NOW,
        "url": "http://127.0.0.1:9443/edged",
        "public_key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
        "current_at": NOW - 12,
        "waiting": 0,
        "counts": {name: getattr(counts, name) for name in counts.__slots__},
        "edges": [facts(each, NOW) for each in ordered(standings)],
    } | changes


def test_an_edge_needs_somebody_when_it_is_silent_or_behind_or_has_alarms() -> None:
    assert needs_somebody(standing("a", silent=True))
    assert needs_somebody(standing("a", behind=LATE_S + 1))
    assert needs_somebody(standing("a", alarms=("billing-held",)))
    assert not needs_somebody(standing("a", behind=LATE_S - 1, clock=40.0))


def test_an_edge_that_is_silent_is_not_said_to_be_behind_too() -> None:
    assert not standing("a", silent=True, behind=LATE_S + 1).late
    assert tally([standing("a", silent=True, behind=LATE_S + 1)]).behind == 0


def test_those_that_need_somebody_stand_first_and_a_clock_that_is_off_before_the_rest() -> None:
    rows = [
        standing("a"), standing("b", clock=-6.0), standing("c", alarms=("store-apart",)),
        standing("d", behind=LATE_S + 1), standing("e", silent=True), standing("f", silent=True),
        standing("g", clock=4.0),
    ]  # fmt: skip

    assert [s.report.edge for s in ordered(rows)] == ["e", "f", "d", "c", "b", "a", "g"]
    assert (off(rows[1]), off(rows[6])) == (-6.0, 0.0)
    counts = tally(rows)
    assert (counts.known, counts.silent, counts.behind, counts.alarming, counts.needing) == (7, 2, 1, 1, 4)


def test_of_a_thousand_edges_the_screen_shows_those_that_need_somebody_and_counts_the_rest() -> None:
    rows = [standing(f"tower-{number:04}", silent=number % 250 == 0) for number in range(1000)]

    lines = status(answer(*rows), everybody=False).splitlines()
    assert len(lines) < 32
    assert "4 silent" in next(line for line in lines if line.startswith("  edges"))
    table = lines[lines.index("") + 1 :]
    named = [line.split()[0] for line in table if line.startswith("tower-")]
    assert named[:5] == ["tower-0000", "tower-0250", "tower-0500", "tower-0750", "tower-0001"]
    assert len(named) == ROWS
    assert lines[-1] == "980 other edges are well; all of them with --all"
    assert status(answer(*rows), everybody=True).count("\ntower-") == 1000


def test_a_fault_of_everybody_does_not_fill_screens() -> None:
    rows = [standing(f"tower-{number:04}", silent=number < 400) for number in range(1000)]

    said = status(answer(*rows), everybody=False)

    assert said.count("\ntower-") == MOST_ROWS
    assert said.endswith("300 more that need you; 600 other edges are well; all of them with --all")


def test_a_small_fleet_is_shown_whole() -> None:
    edges = [facts(standing(f"tower-{number}"), NOW) for number in range(ROWS)]

    assert chosen(edges, everybody=False) == (edges, [])


def test_a_row_says_what_an_edge_last_said_of_itself() -> None:
    held = standing(
        "tower-12", behind=900.0, clock=12.0, ago=22.0, read_at=NOW - 52, blocked=1417, listed=20417,
        alarms=("billing-held", "store-apart", "target-failing"), source="fallback", mode="enforce",
        started_at=NOW - 7222, held="8813.3fa9c1d2",
    )  # fmt: skip

    row = " ".join(status(answer(held), everybody=False).partition("NEEDS YOU")[2].split())
    assert row == (
        "tower-12 0.1.0 22 s ago 30 s old 15 min 1,417 behind; billing-held, store-apart and 1 more; clock 12 s fast"
    )
    said = one(answer(held))
    assert said.startswith("tower-12: behind; clock 12 s fast; 3 alarms\n")
    for words in (
        "0.1.0, up 2 h", "30 s old, behind for 15 min", "20,417 listed, 1,417 blocked",
        "edged sync --accept 8813.3fa9c1d2", "billing itself", "billing-held, store-apart, target-failing",
    ):  # fmt: skip
        assert words in said


def test_what_an_edge_needs_is_broken_where_the_screen_ends() -> None:
    told = standing("tower-1", read_at=NOW - 12, alarms=("billing-unreachable", "page-incomplete", "store-apart"))

    lines = status(answer(told), everybody=False).splitlines()
    indent = lines[-3].index("NEEDS YOU")
    assert max(map(len, lines)) <= 80
    assert [line[indent:] for line in lines[-2:]] == ["billing-unreachable,", "page-incomplete and 1 more"]
    assert not lines[-1][:indent].strip()


def test_columns_that_say_nothing_of_anybody_are_left_out() -> None:
    head = status(answer(standing("tower-1")), everybody=False).splitlines()[-2]
    assert head.split() == ["EDGE", "VERSION", "REPORTED", "LIST", "BLOCKED", "NEEDS", "YOU"]


def test_what_an_edge_says_neither_widens_the_table_nor_is_a_command_in_a_shell() -> None:
    report = read(
        {"edge": "a", "version": "9" * 128, "source": "s" * 128, "held": "8.a;reboot", "alarms": []}, NOW - 10
    )
    assert report is not None
    said = answer(Standing(report, silent=False, behind=0.0, clock=0.0))

    assert max(map(len, status(said, everybody=False).splitlines())) < 90
    assert "edged sync --accept '8.a;reboot'" in one(said)


def test_an_edge_that_has_said_nothing_of_its_list_is_shown_without_one() -> None:
    bare = standing("a", version="", source="")

    assert "none" in status(answer(bare, current_at=0.0), everybody=False).splitlines()[-1]
    assert "asks          ?" in one(answer(bare))


def test_after_a_restart_of_the_hub_edges_have_the_whole_time_again_to_report() -> None:
    fleet = Fleet([Report("tower-1", NOW - 900.0)], since=NOW)

    assert [s.silent for s in fleet.standings(NOW + 290, 300.0)] == [False]
    assert [s.silent for s in fleet.standings(NOW + 301, 300.0)] == [True]
