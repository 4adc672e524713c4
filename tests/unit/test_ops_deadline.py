# SPDX-License-Identifier: Apache-2.0
"""When a word of an operator ends: lengths, days of the host's zone, moments with a zone, and everything else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.ops.control import Refused
from edged.ops.deadline import end_of, parse_from, parse_until


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Auckland"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


# the days on which clocks change in Berlin, and an ordinary one
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-11-27", "2028-02-29", "2026-12-31"])
@pytest.mark.usefixtures("zone")
def test_a_day_ends_at_the_midnight_of_this_host_whatever_its_clocks_do(day: str) -> None:
    end = parse_until(day)

    last, first = datetime.fromtimestamp(end - 1).astimezone(), datetime.fromtimestamp(end).astimezone()
    assert last.date().isoformat() == day
    assert (last.hour, last.minute, last.second) == (23, 59, 59)
    assert (first.hour, first.minute, first.second) == (0, 0, 0)


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-11-27", "2028-02-29", "2026-12-31"])
@pytest.mark.usefixtures("zone")
def test_what_begins_on_a_day_begins_at_its_first_second_here(day: str) -> None:
    first = datetime.fromtimestamp(parse_from(day)).astimezone()

    assert (first.date().isoformat(), first.hour, first.minute, first.second) == (day, 0, 0, 0)
    assert parse_from(f"{day}T18:00+01:00") == parse_until(f"{day}T18:00+01:00")
    with pytest.raises(Refused, match='"soon" is no beginning'):
        parse_from("soon")


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2026-11-27T18:00+01:00", 1_795_798_800.0),
        ("2026-11-27T17:00:00Z", 1_795_798_800.0),
        ("2026-11-27 17:00:00+00:00", 1_795_798_800.0),
    ],
)
@pytest.mark.usefixtures("zone")
def test_a_moment_means_the_same_everywhere(text: str, epoch: float) -> None:
    assert parse_until(text) == epoch


@pytest.mark.parametrize(
    ("length", "until", "meant"),
    [(None, None, {}), ("2h", None, {"seconds": 7200.0}), (None, "2026-11-27T17:00Z", {"until": 1_795_798_800.0})],
)
def test_one_of_the_two_or_neither_may_be_given(length: str | None, until: str | None, meant: dict[str, float]) -> None:
    assert end_of(length, until) == meant


def test_both_are_refused_as_usage() -> None:
    with pytest.raises(Refused, match="give one of them") as raised:
        end_of("2h", "2026-11-27")
    assert raised.value.status == 2


@given(
    st.text(max_size=60)
    | st.from_regex(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?", fullmatch=True)
)
def test_any_text_is_an_end_or_one_sentence(text: str) -> None:
    try:
        assert isinstance(parse_until(text), float)
    except Refused as refusal:
        assert refusal.status == 2  # noqa: PT017  # either is right
