"""What docs/fleet.md says of a fleet after an outage, with the pacing that edges have."""

from __future__ import annotations

import random

from bench.fleet import InStep, outage, turned


def test_a_hub_that_comes_back_meets_a_few_edges_a_second_and_never_all_of_them() -> None:
    for seconds, peak, current in ((3.0, 600, 30), (30.0, 250, 75), (600.0, 250, 270), (7200.0, 250, 370)):
        for seed in range(3):
            herd = outage(1000, seconds, random.Random(seed))
            assert herd.peak <= peak, (seconds, seed, herd)
            assert 0 < herd.current <= current, (seconds, seed, herd)


def test_without_chance_in_the_pauses_all_edges_would_come_in_the_same_second() -> None:
    assert outage(1000, 600.0, InStep()).peak == 2000


def test_billing_itself_meets_a_fleet_that_has_lost_its_hub_spread_over_a_quarter_of_an_hour() -> None:
    busiest, span = turned(1000, 900.0, random.Random(1))
    assert busiest <= 10
    assert span > 800
