from __future__ import annotations

from edged.dns.ahead.pace import GRACE, life_seconds, round_seconds
from edged.dns.upstream.health import LAST_REST, Healths


def test_one_that_failed_is_asked_last_and_the_one_whose_rest_ends_first_before_it() -> None:
    healths = Healths(["a", "b", "c"])
    assert healths.order() == (0, 1, 2)

    healths.failed(0, 100.0)
    assert healths.order() == (1, 2, 0)
    healths.failed(1, 101.0)
    assert healths.order() == (2, 0, 1)
    healths.failed(2, 102.0)
    assert healths.order() == (0, 1, 2)

    healths.answered(1)
    assert healths.order() == (1, 0, 2)


def test_a_rest_doubles_at_each_failure_after_it_and_not_at_those_within_it() -> None:
    healths = Healths(["a"])
    now, rests = 0.0, []
    for _ in range(9):
        for _ in range(5):
            healths.failed(0, now)
        rests.append(healths.all[0].until - now)
        now = healths.all[0].until

    assert rests == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, LAST_REST, LAST_REST, LAST_REST]
    assert healths.all[0].failed == 45


def test_one_is_down_after_three_failures_in_a_row() -> None:
    healths = Healths(["a"])
    for now in (0.0, 5.0, 15.0):
        assert not healths.all[0].down
        healths.failed(0, now)

    assert healths.all[0].down
    healths.answered(0)
    assert not healths.all[0].down


def test_one_that_has_rested_is_tried_only_beside_one_that_answers() -> None:
    healths = Healths(["a", "b"])
    healths.failed(0, 0.0)
    assert healths.due(4.9) == ()
    assert healths.due(5.0) == (0,)

    healths.all[0].trying = True
    assert healths.due(5.0) == ()

    healths.all[0].trying = False
    healths.failed(1, 1.0)
    assert healths.due(100.0) == (), "both are asked as it is"


def test_addresses_live_past_the_next_round_whatever_the_number_of_names() -> None:
    for names in (1, 100, 600, 5_000, 100_000):
        assert life_seconds(names, 0.0) >= round_seconds(names) + GRACE
        assert life_seconds(names, 20_000.0) >= 20_000.0 + GRACE

    assert round_seconds(1) == 60
    assert round_seconds(100_000) == 10_000
