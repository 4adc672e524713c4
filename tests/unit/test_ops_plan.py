# SPDX-License-Identifier: Apache-2.0
"""What ``edged plan`` says of several targets, some of which cannot be read."""

from __future__ import annotations

import pytest

from edged.enforce.diff import Plan
from edged.ops.planning import plan_facts
from tests.e2e.enforce_contract import view_of

CHANGE, NOTHING = Plan(base=True), Plan()


@pytest.mark.parametrize(
    ("plans", "unread", "verdict"),
    [
        ({"a": NOTHING, "b": NOTHING}, {}, "every target is as it should be"),
        ({"a": NOTHING, "b": CHANGE}, {}, "1 of 2 targets would change"),
        ({"a": CHANGE}, {"b": "down"}, "1 of 2 targets would change; 1 of 2 could not be read"),
        ({"a": NOTHING}, {"b": "down"}, "those that were read are as they should be; 1 of 2 could not be read"),
        ({}, {}, "no target is configured; nothing is enforced"),
    ],
)
def test_the_verdict_counts_every_target(plans: dict[str, Plan], unread: dict[str, str], verdict: str) -> None:
    facts = plan_facts(view_of(), plans, dict.fromkeys(plans, ""), watching=False, unread=unread)

    assert facts["verdict"] == verdict
    assert [target["name"] for target in facts["targets"]] == [*plans, *unread]
    assert [target["summary"] for target in facts["targets"] if target["name"] in unread] == ["not read: down"] * len(
        unread
    )
