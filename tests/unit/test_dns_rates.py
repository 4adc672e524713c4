"""The counts of a second: when they start anew, and when not."""

from __future__ import annotations

import pytest

from edged.dns.rates import Rates


@pytest.mark.parametrize("now", [100.0, 100.999, 99.999])
def test_a_batch_of_the_last_second_counts_in_this_one(now: float) -> None:
    rates = Rates()
    place = rates.place("somebody")
    rates.of(100.0, stream=False)[place] = 7

    assert rates.of(now, stream=False)[place] == 7


@pytest.mark.parametrize("now", [101.0, 98.999, 3.0])
def test_another_second_starts_anew_even_when_the_clock_is_set_back(now: float) -> None:
    rates = Rates()
    place = rates.place("somebody")
    rates.of(100.0, stream=False)[place] = 7

    assert rates.of(now, stream=False)[place] == 0
