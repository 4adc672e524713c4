# SPDX-License-Identifier: Apache-2.0
"""Whatever edges say and in whatever order they meet, they come to the same."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edged.errors import UpstreamError
from edged.state.shared.merging import AHEAD_S, bounded, merge
from edged.state.shared.rows import KINDS, Row, named, received, spelt, stamp_of

MOMENTS = st.sampled_from([1.0, 2.0, 3.0])
VALUES = {
    "text": st.sampled_from(["", "a", "b"]),
    "real": MOMENTS,
    "whole": st.integers(0, 1),
    "real?": st.none() | MOMENTS,
    "whole?": st.none() | st.integers(0, 1),
}


@st.composite
def about_one_thing(draw: st.DrawFn, least: int = 1) -> list[Row]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    of = KINDS[kind]
    name = named(*(1.0 if wanted == "real" else "a" for wanted in of.key.values()))
    rows = []
    for _ in range(draw(st.integers(least, 5))):
        if of.forgettable and draw(st.integers(0, 3)) == 0:
            rows.append(Row(kind, name, draw(MOMENTS), {}, gone=True))
            continue
        body: dict[str, Any] = {column: draw(VALUES[wanted]) for column, wanted in of.body.items()}
        rows.append(Row(kind, name, stamp_of(kind, name, body) if kind != "key" else draw(MOMENTS), body))
    return rows


def facts(row: Row) -> tuple[Any, ...]:
    return row.name, row.text, row.changed, row.gone


@given(about_one_thing(), st.data())
def test_in_whatever_order_rows_meet_they_come_to_the_same(rows: list[Row], data: st.DataObject) -> None:
    once = reduce(merge, rows)
    again = reduce(merge, data.draw(st.permutations([*rows, *rows])))
    apart = data.draw(st.integers(0, len(rows)))
    met = [reduce(merge, half) for half in (rows[:apart], rows[apart:]) if half]

    assert facts(again) == facts(once)
    assert facts(reduce(merge, reversed(met))) == facts(once)
    assert facts(merge(once, once)) == facts(once)


@given(about_one_thing())
def test_the_latest_word_holds_and_a_revocation_no_later_word_on_it_takes_back(rows: list[Row]) -> None:
    once = reduce(merge, rows)

    assert once.changed == max(row.changed for row in rows)
    assert once.gone in {row.gone for row in rows if row.changed == once.changed}
    if once.kind == "key":
        marks = [(row.body["marked"], row.body["revoked"]) for row in rows]
        last = [revoked for marked, revoked in marks if marked == once.body["marked"]]
        assert once.body["marked"] == max(row.body["marked"] for row in rows)  # type: ignore[type-var]
        assert once.body["revoked"] is not None or last == [None] * len(last)


@given(about_one_thing(), st.floats(0.0, 5.0))
def test_no_word_is_from_further_ahead_than_the_bound(rows: list[Row], now: float) -> None:
    for row in (replace(each, changed=each.changed + 2 * AHEAD_S) for each in rows):
        limited = bounded(row, now)

        assert limited.changed <= now + AHEAD_S or row.kind in {"pass", "snooze", "audit", "signer"}
        assert facts(bounded(limited, now)) == facts(limited)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(about_one_thing(), st.data())
def test_a_row_reads_back_as_it_was_written_and_a_spoilt_one_is_refused(rows: list[Row], data: st.DataObject) -> None:
    row = rows[0]
    spoilt: dict[str, Any] = dict(row.body)
    if spoilt and not row.gone:
        spoilt[data.draw(st.sampled_from(sorted(spoilt)))] = data.draw(JSON)
    for each in (row, replace(row, body=spoilt)):
        name, text = spelt(each)
        try:
            found = received(each.kind, name, text, each.changed, gone=each.gone)
        except UpstreamError:
            continue
        assert spelt(found) == spelt(replace(each, body=found.body))
        assert found.gone or set(found.body) >= set(KINDS[each.kind].body)
