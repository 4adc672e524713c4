"""Days of random faults in simulated time: docs/decisions/0017 has the promises, CONTRIBUTING.md how to replay a seed.

``--seed N`` runs one seed alone, ``--seconds N`` as many further seeds as fit (``make test`` gives 60).
"""

from __future__ import annotations

import os
import time
from itertools import count

import pytest

from tests.simulation.clockwork import Clockwork, run
from tests.simulation.day import Plan, faults_of, live

QUICK = range(6)
FIRST_LONG = 1000
"""The long run takes other seeds than the quick one, and other ones each day of the year."""


def plans(seed: int) -> tuple[Plan, ...]:
    """A day on which every line of billing is true when it can be read, and one on which billing lies."""
    return Plan(seed), Plan(seed, lies=True)


def test_no_active_line_is_blocked_and_no_payer_waits_on_days_of_random_faults(request: pytest.FixtureRequest) -> None:
    chosen = request.config.getoption("--seed")
    for seed in QUICK[::2] if chosen is None else [chosen]:
        live(Plan(seed, days=request.config.getoption("--days")))


def test_billing_that_lies_blocks_no_more_than_the_limit(request: pytest.FixtureRequest) -> None:
    chosen = request.config.getoption("--seed")
    for seed in QUICK[1::2] if chosen is None else [chosen]:
        live(Plan(seed, days=request.config.getoption("--days"), lies=True))


@pytest.mark.timeout(600)
def test_many_more_days(request: pytest.FixtureRequest) -> None:
    seconds = request.config.getoption("--seconds")
    if not seconds:
        pytest.skip("--seconds N: part of make test")
    begins = time.monotonic()
    first = FIRST_LONG if os.environ.get("CI") else FIRST_LONG * (1 + time.gmtime().tm_yday)
    done = 0
    for seed in count(first):
        if time.monotonic() - begins > seconds:
            break
        for plan in plans(seed):
            live(plan)
            done += 1
        if seed % 10 == 0:
            live(Plan(seed, days=7.0))
            done += 7
    print(f"{done} simulated days, seeds {first} to {first + done // 2}")
    assert done


def test_the_same_seed_is_the_same_day() -> None:
    one, other = live(Plan(5)), live(Plan(5))

    assert one.checks.published == other.checks.published
    assert len(one.checks.published) > 50
    assert list(one.checks.events) == list(other.checks.events)


def test_a_simulated_day_has_everything_in_it() -> None:
    """A run that breaks nothing proves nothing: kills, held readings, failures and payments all happen."""
    day = live(Plan(3))

    kinds = {fault.kind for seed in QUICK for fault in faults_of(Plan(seed, lies=True))}
    assert {"empty", "short", "everybody", "slipped", "renamed", "old", "forgetful", "lies", "slow"} <= kinds
    assert day.lives > 5
    assert len(day.checks.newly) > 5
    assert any(payer not in day.billing.blocked() for _, payer in day.checks.newly)


def test_virtual_time_passes_at_once_and_exactly() -> None:
    import asyncio
    from random import Random

    loop = Clockwork(Random(1), 1000.0)

    async def sleep() -> tuple[float, float, int]:
        await asyncio.sleep(86400)
        loop.set_clock(-500)
        return loop.time(), loop.clock(), await asyncio.to_thread(lambda: 7)

    begins = time.monotonic()
    virtual, wall, answer = run(loop, sleep)
    assert virtual == pytest.approx(86400)
    assert wall == pytest.approx(86900)
    assert answer == 7
    assert time.monotonic() - begins < 5
