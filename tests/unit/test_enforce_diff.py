# SPDX-License-Identifier: Apache-2.0
"""The change between what should be and what is."""

from __future__ import annotations

import dataclasses

from edged.enforce.diff import Actual, Plan, diff, subscribers_of
from edged.enforce.sets import SetName
from tests.e2e.enforce_contract import RULES, subscriber, view_of, wanted

ONE = wanted(subscriber("1", "100.64.1.7"), subscriber("9", "100.64.9.0/24"))
TWO = wanted(subscriber("2", "100.64.1.8"), subscriber("9", "100.64.9.0/24"))


def test_nothing_to_do_is_an_empty_plan() -> None:
    plan = diff(ONE, Actual(RULES, ONE.sets))
    assert plan.empty
    assert str(plan) == "nothing to change"


def test_an_absent_table_is_written_whole() -> None:
    plan = diff(ONE, None)
    assert plan.base
    assert plan.add == {name: elements for name, elements in ONE.sets.items() if elements}
    assert not plan.remove


def test_only_the_difference_is_changed() -> None:
    plan = diff(TWO, Actual(RULES, ONE.sets))
    assert not plan.base
    assert (plan.added, plan.removed) == (1, 1)
    assert plan.changed == {SetName.BLOCKED_HOSTS_4}
    assert str(plan) == "- blocked4h 100.64.1.7\n+ blocked4h 100.64.1.8"
    assert [str(p) for p in plan.blocked()] == ["100.64.1.8"]
    assert [str(p) for p in plan.unblocked()] == ["100.64.1.7"]


def test_other_rules_or_unknown_ones_are_written_again() -> None:
    assert diff(ONE, Actual(None, ONE.sets)) == Plan(base=True)
    assert diff(ONE, Actual(dataclasses.replace(RULES, forward="drop"), ONE.sets)) == Plan(base=True)
    assert str(Plan(base=True)) == "~ rules"


def test_a_plan_says_whom_it_concerns_as_far_as_the_table_knows() -> None:
    view = view_of(subscriber("2", "100.64.1.8"))
    assert subscribers_of(view, diff(TWO, Actual(RULES, ONE.sets))) == (["2"], [])
